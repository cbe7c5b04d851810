#!/usr/bin/env bash
# From jax 0.12 on, a loop over arrays of a megabyte runs on one thread of a CPU; until 0.11 each of its operations was
# spread over all.
#
# One would expect the same program to use the same processors, as it does outside of a loop. But the XLA of jaxlib
# 0.12.0.1 makes one function of a `while` over little data (here .8 MB), which is compiled sooner, takes less processor
# time in all, and runs on the thread that calls it. Nothing in the log or in the program's text says so.
#
# Seen on two processors, the share of the busiest thread in a call's processor time:
#     jax 0.11.2:   outside of a loop 0.5, in a loop 0.5
#     jax 0.12.0.1: outside of a loop 0.5, in a loop 1.0
#
# Fails if the loop runs on one thread in 0.11.2, or on more in 0.12.0.1. Takes Linux, two processors, and Python 3.11 or
# newer (set PYTHON to choose one).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > measure.py <<'P'
import os
import statistics
import sys

import jax
import jax.numpy as jnp


def processor_time():
    """Ticks of each thread so far."""
    ticks = {}
    for thread in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{thread}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        ticks[thread] = int(fields[11]) + int(fields[12])
    return ticks


def busiest(function, x):
    """The share of one thread in the processor time of a call; the median of several calls, each of .1 s or more."""
    function = jax.jit(function)
    function(x).block_until_ready()
    shares = []
    for _ in range(9):
        before = processor_time()
        function(x).block_until_ready()
        spent = [ticks - before.get(thread, 0) for thread, ticks in processor_time().items()]
        shares.append(max(spent) / sum(spent))
    return statistics.median(shares)


def step(x):
    return jnp.sin(x) ** 1.5 + jnp.log1p(x)


outside = busiest(step, jnp.linspace(0, 1, 40_000_000))
inside = busiest(lambda x: jax.lax.fori_loop(0, 200, lambda _, x: step(x), x), jnp.linspace(0, 1, 200_000))
print(f"jax {jax.__version__}: outside of a loop {outside:.1f}, in a loop {inside:.1f}")
sys.exit((inside < 0.8) != (sys.argv[1] == "many") or outside > 0.8)
P
for version in 0.11.2 0.12.0.1; do
  "${PYTHON:-python3}" -m venv "$version"
  "$version/bin/pip" install --quiet "jax==$version" "jaxlib==$version"
done
export JAX_PLATFORMS=cpu
0.11.2/bin/python measure.py many
0.12.0.1/bin/python measure.py one
