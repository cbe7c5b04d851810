#!/usr/bin/env bash
# From a bare machine (Python 3.11 or newer, pip) to the rate plot of GANE: environment, install, sweep, table, figure.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh

prepare_environment ""
.venv/bin/gamekl sweep configs/gane_rate.toml
.venv/bin/gamekl plot runs/gane_rate
