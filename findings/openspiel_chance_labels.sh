#!/usr/bin/env bash
# OpenSpiel takes two chance outcomes of one label in a Gambit file for one outcome, and loses the other's subgame.
#
# Labels in .efg files are for reading; Gambit's format lets outcomes of a chance move share one (two cards called "low"),
# and Gambit keeps both branches. `efg_game` of OpenSpiel 2.0.2 numbers outcomes by their labels: the state has two
# outcomes of one number, with chances 1/4 and 3/4, and following that number leads to the first branch both times. The
# expected payoff is then the first branch's and not the average, without a word.
#
# Seen: chance outcomes [(0, 0.25), (0, 0.75)], payoffs of both [8.0, 8.0], where the file says 8 and 0, so that player 1
# gets 2 on average and 8 by OpenSpiel.
#
# Fails if that changes. Takes Python 3.11 or newer (set PYTHON to choose one).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > cards.efg <<'P'
EFG 2 R "two low cards" { "A" "B" }
c "" 1 "" { "low" 1/4 "low" 3/4 } 0
p "" 1 1 "" { "go" "stop" } 0
t "" 1 "" { 8, 0 }
t "" 2 "" { 8, 0 }
p "" 1 2 "" { "go" "stop" } 0
t "" 3 "" { 0, 8 }
t "" 4 "" { 0, 8 }
P
cat > play.py <<'P'
import importlib.metadata

import pyspiel

start = pyspiel.load_game("efg_game(filename=cards.efg)").new_initial_state()
outcomes = start.chance_outcomes()
payoffs = [start.child(action).child(start.child(action).legal_actions()[0]).returns()[0] for action, _ in outcomes]
print("open_spiel", importlib.metadata.version("open_spiel"), "chance outcomes", outcomes, "payoffs", payoffs)
same = outcomes[0][0] == outcomes[1][0]
raise SystemExit(not (same and [chance for _, chance in outcomes] == [0.25, 0.75] and payoffs == [8.0, 8.0]))
P
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check open_spiel==2.0.2
env/bin/python play.py
echo "as described"
