#!/usr/bin/env bash
# Environment, install, lint, types, all tests but the slow ones and those that need a GPU.
# Further arguments go to pytest: `bash scripts/test.sh -m slow` runs the slow ones.
# The tests compile more than they compute, so LLVM is asked for less, but only where XLA_FLAGS is not set: an empty one
# (`XLA_FLAGS= bash scripts/test.sh`) tests programs as users get them.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh

prepare_environment "[test]"
# The oracles are other tools, some built from source (a C++ compiler, minutes). Without them their tests are skipped.
prepare_environment "[test,oracles]" || echo "the oracles did not install; the tests that need them are skipped" >&2

.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/pyright --pythonpath .venv/bin/python
fast="--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
# A flag that XLA does not know (any more) ends the process.
if [[ -z "${XLA_FLAGS+set}" ]] && XLA_FLAGS="$fast" .venv/bin/python -c "import jax; jax.devices()" 2>/dev/null; then
  export XLA_FLAGS="$fast"
fi
.venv/bin/pytest --numprocesses 2 --dist loadfile -m "not slow and not gpu" "$@"
