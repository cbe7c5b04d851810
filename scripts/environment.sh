# Sourced by the other scripts: makes environments beside the project and installs gamekl there.

# Which Python an executable starts, the same words for an environment and for what it was made from; none if none.
interpreter() {
  "$1" -c 'import os, sys; print(sys.version, os.path.realpath(sys.base_prefix))' 2>/dev/null </dev/null
}

# usage: make_environment FOLDER. Its Python is the machine's python3 unless PYTHON names another. An environment of
# another one, or whose Python is gone, is made anew.
make_environment() {
  local folder="$1" python="${PYTHON:-python3}" wanted there
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null </dev/null || {
    echo "gamekl needs Python 3.11 or newer; $python is $("$python" --version 2>&1 | head -n 1)." \
      "Set PYTHON to another one." >&2
    return 1
  }
  wanted="$(interpreter "$python")"
  if [ -e "$folder" ]; then
    there="$(interpreter "$folder/bin/python" || true)"
    [ "$there" = "$wanted" ] && [ -x "$folder/bin/pip" ] && return
    echo "making $folder anew: its Python is ${there:-gone}, and $wanted is asked for" >&2
  fi
  "$python" -m venv --clear "$folder" || {
    rm -rf "$folder"
    return 1
  }
}

# usage: prepare_environment EXTRAS [FOLDER], for instance "" or "[test]"; the folder is .venv unless another is given.
prepare_environment() {
  local extras="$1" folder="${2:-.venv}" stamp
  make_environment "$folder" || return
  # An environment that these files made needs no second look.
  stamp="$folder/installed-$(cat pyproject.toml gamekl/__init__.py <(echo "$extras") | cksum | tr ' ' '-')"
  [ -e "$stamp" ] && return
  echo "installing gamekl$extras into $folder" >&2
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".$extras" && touch "$stamp"
}
