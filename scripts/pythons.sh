#!/usr/bin/env bash
# Prints the Pythons of this machine that gamekl runs on: for each minor version from 3.11 on the newest patch, oldest
# first, as "3.12.1 /usr/bin/python3.12". What an executable is it says itself when started, whatever its name: a
# shim may start nothing.
set -euo pipefail
shopt -s nullglob extglob

IFS=: read -ra folders <<<"$PATH"
folders+=("${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin)
folders+=("${UV_PYTHON_INSTALL_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/uv/python}"/*/bin)
for conda in /opt/conda "$HOME"/{miniconda3,anaconda3,miniforge3,mambaforge,.conda}; do
  folders+=("$conda/bin" "$conda"/envs/*/bin)
done

program='
import os, sys
if sys.version_info >= (3, 11) and sys.implementation.name == "cpython":
    print(".".join(map(str, sys.version_info[:3])), os.path.realpath(sys.executable))
'
for folder in "${folders[@]}"; do
  for python in "$folder"/python3 "$folder"/python3.+([0-9]); do
    "$python" -IS -c "$program" 2>/dev/null </dev/null || true
  done
done |
  sort -s -t . -k 2,2nr -k 3,3nr |
  awk -F . '/^3\.[0-9]+\.[0-9]+ \// && !seen[$2]++' |
  sort -t . -k 2,2n
