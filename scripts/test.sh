#!/usr/bin/env bash
# Environment, install, lint, types, all tests but the slow ones and those that need a GPU.
# Further arguments go to pytest: `bash scripts/test.sh -m slow` runs the slow ones.
# `bash scripts/test.sh --pythons` also runs, with every other Python of this machine that gamekl knows, the tests named
# in tests/on_every_python.txt, in .venv-3.12 and the like.
# `XLA_FLAGS= bash scripts/test.sh` tests programs as users get them, which takes longer.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
source scripts/testing.sh

pythons=""
if [ "${1-}" = --pythons ]; then
  pythons=all
  shift
fi

summary=""
failed=0
tell() { # usage: tell OUTCOME WHAT
  summary+="$1: $2"$'\n'
  [ "$1" != failed ] || failed=1
}

judge() { # usage: judge FOLDER COMMAND. Runs the command, which tests that environment.
  local outcome=passed
  "${@:2}" || outcome=failed
  tell "$outcome" "$(versions "$1")"
}

check() { # everything, in .venv
  .venv/bin/ruff format --check . &&
    .venv/bin/ruff check . &&
    .venv/bin/pyright --pythonpath .venv/bin/python &&
    run_tests .venv "$@"
}

check_selection() { # usage: check_selection PYTHON FOLDER
  if ! PYTHON="$1" make_environment "$2"; then
    tell skipped "$1, which makes no environment"
  elif ! PYTHON="$1" prepare_environment "[test]" "$2"; then
    # Newer Pythons than pyproject.toml names may have no wheels yet.
    if grep -q "Python :: ${2#.venv-}\"" pyproject.toml; then
      tell failed "$1, with which gamekl does not install"
    else
      tell skipped "$1, with which gamekl does not install, nor says that it does"
    fi
  else
    install_oracles "$2"
    versions "$2"
    judge "$2" run_tests "$2" @tests/on_every_python.txt
  fi
}

# Two Pythons often have the same jax: what the tests compile under one serves the next.
JAX_COMPILATION_CACHE_DIR="$(mktemp -d)"
export JAX_COMPILATION_CACHE_DIR
trap 'rm -rf "$JAX_COMPILATION_CACHE_DIR"' EXIT

prepare_environment "[test]"
install_oracles .venv
versions .venv
judge .venv check "$@"
if [ "$pythons" ]; then
  mine="$(.venv/bin/python -c 'import sys; print(*sys.version_info[:2], sep=".")')"
  while read -r version python <&3; do
    [ "${version%.*}" = "$mine" ] || check_selection "$python" ".venv-${version%.*}"
  done 3< <(bash scripts/pythons.sh)
fi
printf "%s" "$summary"
exit "$failed"
