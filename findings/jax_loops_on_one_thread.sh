#!/usr/bin/env bash
# From jax 0.12 on, a loop over arrays of a megabyte runs on one thread of a CPU; until 0.11 each of its operations was
# spread over all.
#
# One would expect the same program to use the same processors, as it does outside of a loop. But the XLA of jaxlib
# 0.12.0.1 makes one function of a `while` over little data (here .8 MB), which is compiled sooner, takes less processor
# time in all, and runs on the thread that calls it. Nothing in the log or in the program's text says so.
#
# Seen on two processors, processor time over time on the clock:
#     jax 0.11.2:   outside of a loop 1.9, in a loop 2.0
#     jax 0.12.0.1: outside of a loop 1.9, in a loop 1.0
#
# Fails if the loop runs on one thread in 0.11.2, or on more in 0.12.0.1. Takes two processors, and Python 3.11 or newer
# (set PYTHON to choose one).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > measure.py <<'P'
import sys
import time

import jax
import jax.numpy as jnp


def threads(function, x):
    """The most processor time over time on the clock of several calls."""
    function = jax.jit(function)
    function(x).block_until_ready()
    ratios = []
    for _ in range(9):
        clock, processor = time.perf_counter(), time.process_time()
        function(x).block_until_ready()
        ratios.append((time.process_time() - processor) / (time.perf_counter() - clock))
    return max(ratios)


def step(x):
    return jnp.sin(x) ** 1.5 + jnp.log1p(x)


outside = threads(step, jnp.linspace(0, 1, 4_000_000))
inside = threads(lambda x: jax.lax.fori_loop(0, 100, lambda _, x: step(x), x), jnp.linspace(0, 1, 200_000))
print(f"jax {jax.__version__}: outside of a loop {outside:.1f}, in a loop {inside:.1f}")
sys.exit((inside > 1.3) != (sys.argv[1] == "many") or outside < 1.3)
P
for version in 0.11.2 0.12.0.1; do
  "${PYTHON:-python3}" -m venv "$version"
  "$version/bin/pip" install --quiet "jax==$version" "jaxlib==$version"
done
export JAX_PLATFORMS=cpu
0.11.2/bin/python measure.py many
0.12.0.1/bin/python measure.py one
