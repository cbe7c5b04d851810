#!/usr/bin/env bash
# Environment, install, lint, types, all tests but the slow ones and those that need a GPU.
# Further arguments go to pytest: `bash scripts/test.sh -m slow` runs the slow ones.
# The tests compile more than they compute, so XLA is asked for less, but only where XLA_FLAGS is not set: an empty one
# (`XLA_FLAGS= bash scripts/test.sh`) tests programs as users get them. Tests of bits have XLA fuse as it does for users.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh

prepare_environment "[test]"
# The oracles are other tools, some built from source (a C++ compiler, minutes). Without them their tests are skipped.
prepare_environment "[test,oracles]" || echo "the oracles did not install; the tests that need them are skipped" >&2

.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/pyright --pythonpath .venv/bin/python
run() { .venv/bin/pytest --numprocesses 2 --dist loadfile "$@"; }
plain="--xla_backend_optimization_level=0"
fast="$plain --xla_cpu_use_fusion_emitters=false"
if [[ -n "${XLA_FLAGS+set}" || $# -gt 0 ]]; then
  XLA_FLAGS="${XLA_FLAGS-$plain}" run -m "not slow and not gpu" "$@"
elif XLA_FLAGS="$fast" .venv/bin/python -c "import jax; jax.devices()" 2>/dev/null; then
  XLA_FLAGS="$plain" run -m "bits and not slow and not gpu"
  XLA_FLAGS="$fast" run -m "not bits and not slow and not gpu"
else  # XLA does not know the flag (any more)
  XLA_FLAGS="$plain" run -m "not slow and not gpu"
fi
