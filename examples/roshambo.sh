#!/usr/bin/env bash
# From a bare machine (Python 3.11 or newer, pip) to the two examples that OpenSpiel's games make: a tournament of 43
# programs of rock-paper-scissors, logged, solved and compared with new matches, and Kuhn poker against its known value.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh

prepare_environment "[openspiel]"
.venv/bin/python examples/roshambo_play.py
.venv/bin/python examples/roshambo.py
.venv/bin/python examples/kuhn.py
