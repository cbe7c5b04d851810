#!/usr/bin/env bash
# On a machine with a GPU, within ten minutes: the tests marked gpu, bench_solve, bench_scale in both dtypes and one
# sweep. Logs, tables, figures and the sweep's results go to the folder.
#     bash scripts/gpu.sh FOLDER
# It runs with the Python that PYTHON names, or else python3, where that one's jax sees a GPU and it has what gamekl
# needs; else with .venv, which it makes with jax for CUDA unless it is there. gamekl itself is taken from this checkout.
# Each part has its share of the time, after which it is stopped; what it had printed stays in its log. Times of
# compilation leave out what an earlier part compiled. What lanes and chunks come to takes longer than all of this:
# benchmarks/bench_scale.py --settings.
set -euo pipefail

if [ $# -ne 1 ] || [[ "$1" == -* ]]; then
  echo "usage: bash scripts/gpu.sh FOLDER" >&2
  exit 2
fi
folder="$(realpath -m -- "$1")"
cd "$(dirname "$0")/.."
source scripts/environment.sh

if ! nvidia-smi --list-gpus 2>/dev/null | grep -q . && ! compgen -G "/dev/nvidia[0-9]*" >/dev/null; then
  echo "no GPU: nvidia-smi lists none, and there is no /dev/nvidia0. Nothing was installed or run." >&2
  exit 1
fi

# Several processes share the GPU, and what one has compiled serves the others.
export XLA_PYTHON_CLIENT_PREALLOCATE=false
export JAX_COMPILATION_CACHE_DIR="$folder/compiled"
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1

sees_gpu() { # usage: sees_gpu PYTHON
  "$1" -c 'import jax; assert jax.__version_info__ >= (0, 10); jax.devices("gpu")' >/dev/null 2>&1
}

lacks() { # usage: lacks PYTHON PACKAGES. Prints those that are not there.
  "$1" - "${@:2}" <<'PROGRAM'
import importlib.util
import sys

print(*(name for name in sys.argv[1:] if importlib.util.find_spec(name) is None))
PROGRAM
}

needs="$(sed -n '/^dependencies = \[/,/^\]/s/^ *"\([a-z]*\).*/\1/p' pyproject.toml)"
python="$(command -v "${PYTHON:-python3}" || true)"
if [ -z "$python" ] || ! sees_gpu "$python" || [ "$(lacks "$python" $needs)" ]; then
  python="$PWD/.venv/bin/python"
  if ! sees_gpu "$python" || [ "$(lacks "$python" $needs)" ]; then
    prepare_environment "[test,cuda]"
    sees_gpu "$python" || {
      echo "jax sees no GPU from $python: $("$python" -c 'import jax; jax.devices("gpu")' 2>&1 | tail -n 1)" >&2
      exit 1
    }
  fi
fi
missing="$(lacks "$python" pytest xdist beartype)"
if [ "$missing" ]; then
  "$python" -m pip install --quiet --disable-pip-version-check ${missing/xdist/pytest-xdist} ||
    echo "$missing did not install; the tests will fail" >&2
fi

mkdir -p "$folder"
trap 'rm -rf "$JAX_COMPILATION_CACHE_DIR"' EXIT
"$python" -c '
import sys, jax, gamekl
print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, gamekl {gamekl.__version__}, Python {sys.version.split()[0]}")
' | tee "$folder/machine.txt"

summary=""
failed=0
part() { # usage: part NAME SECONDS COMMAND. Its output goes to NAME.log, too.
  local name="$1" share="$2" outcome=passed status=0 start="$SECONDS"
  shift 2
  timeout --kill-after=5 "$share" "$@" 2>&1 | tee "$folder/$name.log" || status=$?
  case "$status" in
    0) ;;
    124 | 137) outcome="stopped after its $share s" failed=1 ;;
    *) outcome="failed ($status)" failed=1 ;;
  esac
  summary+="$name: $outcome, $((SECONDS - start)) s"$'\n'
}

cores="$(nproc)"
part tests 170 "$python" -m pytest -m gpu tests/test_gpu.py -p no:cacheprovider --numprocesses $((cores < 8 ? cores : 8))
part bench_scale 130 "$python" benchmarks/bench_scale.py --quick --largest 1000000 --out "$folder"
part bench_scale_float32 90 "$python" benchmarks/bench_scale.py --quick --largest 1000000 --dtype float32 --out "$folder"
part bench_solve 90 "$python" benchmarks/bench_solve.py --quick --out "$folder"
part sweep 80 "$python" -m gamekl sweep configs/gane_rate.toml --engine devices --num-seeds 1000 --out "$folder/run"
part plot 20 "$python" -m gamekl plot "$folder/run" --out "$folder"

echo "$(cat "$folder/machine.txt"), $SECONDS s"
printf "%s" "$summary" | tee "$folder/summary.txt"
echo "tables, figures and logs: $folder"
exit "$failed"
