# Sourced by test.sh and ahead.sh: the oracles, versions and tests of an environment.

# usage: install_oracles FOLDER. The oracles are other tools. Each is tried by itself, as a wheel, and as one of a
# pre-release where nothing else has any; without it the tests that need it are skipped.
install_oracles() {
  local oracle wheel="$1/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all:"
  while IFS= read -r oracle <&3; do
    $wheel "$oracle" 2>/dev/null || $wheel --pre "$oracle" ||
      echo "$oracle did not install in $1; the tests that need it are skipped" >&2
  done 3< <("$1/bin/python" -c 'import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["oracles"], sep="\n")')
}

# usage: versions FOLDER. One line: the Python, and the packages on which numbers depend.
versions() {
  local packages="jax|jaxlib|equinox|numpy|scipy|pyarrow|cvxpy|open.spiel|pygambit"
  echo "$("$1/bin/python" --version) in $1:" \
    $("$1/bin/python" -m pip list --disable-pip-version-check --format freeze | grep -E "^($packages)==")
}

# usage: run_tests FOLDER [PYTEST ARGUMENTS]. Without arguments all tests but the slow ones and those that need a GPU.
# The tests compile more than they compute, so XLA is asked for less, but only where XLA_FLAGS is not set. Tests of bits
# have XLA fuse as it does for users. XLA's older emitters for CPUs compile in a third of the time; XLA has none
# since jax 0.11, nor anything else that saves as much. It also compiles each program in one part, for one processor: two
# workers have no idle processors to share, and parts take time to split and to link.
run_tests() {
  local folder="$1" failed=0
  local plain="--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
  local older="$plain --xla_cpu_use_fusion_emitters=false"
  shift
  if [[ -n "${XLA_FLAGS+set}" || $# -gt 0 ]] || ! XLA_FLAGS="$older" starts_jax "$folder"; then
    XLA_FLAGS="${XLA_FLAGS-$plain}" run_pytest "$folder" -m "not slow and not gpu" "$@"
  else
    XLA_FLAGS="$plain" run_pytest "$folder" -m "bits and not slow and not gpu" || failed=$?
    XLA_FLAGS="$older" run_pytest "$folder" -m "not bits and not slow and not gpu" || failed=$?
    return "$failed"
  fi
}

starts_jax() {
  "$1/bin/python" -c "import jax; jax.devices()" 2>/dev/null
}

run_pytest() {
  local folder="$1"
  shift
  "$folder/bin/python" -m pytest --numprocesses 2 --dist loadfile "$@"
}
