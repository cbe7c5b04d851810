#!/usr/bin/env bash
# What the next releases of others will break: the newest pre-releases of what gamekl stands on, in an environment of
# their own (.venv-ahead, made anew each time) with the newest Python of this machine, and there the tests named in
# tests/on_every_python.txt. It reports, and fails nothing. Further arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
source scripts/testing.sh

newest="$(bash scripts/pythons.sh | tail -n 1)"
rm -rf .venv-ahead
PYTHON="${PYTHON:-${newest#* }}" prepare_environment "[test]" .venv-ahead
install_oracles .venv-ahead
.venv-ahead/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --pre --only-binary :all: \
  jax jaxlib equinox numpy pyarrow pygambit || echo "pip found no pre-releases that go together"
.venv-ahead/bin/python -m pip check || true
versions .venv-ahead
outcome=passed
run_tests .venv-ahead @tests/on_every_python.txt "$@" || outcome="failed (see above)"
echo "$outcome: $(versions .venv-ahead)"
