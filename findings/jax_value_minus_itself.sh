#!/usr/bin/env bash
# In a jitted program on a CPU a number minus itself need not be 0.
#
# Standardise numbers and compare each with each, y = (x - mean) / std, y[:, None] - y[None]: the diagonal is the same
# array minus itself. Without jit it is 0. Under jit all 30 entries are 1e-17 to 3e-16. The whole is one function there,
# which computes y anew for both sides, the division as a product with 1 / std, and the compiler joins one of those two
# products with the difference (a fused multiply-add), so that one side is rounded and the other is not. Without
# optimization (--xla_backend_optimization_level=0) the diagonal is 0 again. Ties that a program looks for by a difference
# of 0, or whose logarithms it takes, are lost so.
#
# Seen with jax 0.10.2 and 0.12.0.1 on x86-64 with FMA: 30 of 30 not 0, at most 3.1e-16; eager 0, unoptimized 0.
#
# Fails if that changes. Takes a CPU with FMA, and Python 3.11 or newer (set PYTHON to choose one).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > compare.py <<'P'
import sys

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)


def differences(x):
    y = (x - x.mean()) / x.std()
    return y[:, None] - y[None]


x = jnp.sqrt(jnp.arange(1.0, 31.0))
eager, jitted = (np.abs(np.diag(np.asarray(f(x)))) for f in (differences, jax.jit(differences)))
print(f"jax {jax.__version__}: not 0 are {np.sum(eager > 0)} eager and {np.sum(jitted > 0)} jitted, {jitted.max():.1e}")
wanted = 30 if sys.argv[1] == "optimized" else 0
sys.exit(int(eager.max() > 0 or np.sum(jitted > 0) != wanted))
P
export JAX_PLATFORMS=cpu
for version in 0.10.2 0.12.0.1; do
  "${PYTHON:-python3}" -m venv "$version"
  "$version/bin/python" -m pip install --quiet --disable-pip-version-check "jax==$version" "jaxlib==$version"
  "$version/bin/python" compare.py optimized
  XLA_FLAGS=--xla_backend_optimization_level=0 "$version/bin/python" compare.py plain
done
echo "as described"
