# Sourced by the other scripts: makes .venv beside the project and installs gamekl with the given extras.
# usage: prepare_environment EXTRAS, for instance "" or "[test]"

prepare_environment() {
  local extras="$1" python stamp
  python="${PYTHON:-python3.11}"
  command -v "$python" >/dev/null || python=python3
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "gamekl needs Python 3.11 or newer; $python is $("$python" --version 2>&1). Set PYTHON to another one." >&2
    return 1
  }
  [ -x .venv/bin/python ] || "$python" -m venv .venv
  # An environment that these files made needs no second look.
  stamp=".venv/installed-$(cat pyproject.toml gamekl/__init__.py <(echo "$extras") | cksum | tr ' ' '-')"
  if [ ! -e "$stamp" ]; then
    echo "installing gamekl$extras into .venv" >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".$extras"
    touch "$stamp"
  fi
}
