#!/usr/bin/env bash
# Every further move of a path doubles the time in which pygambit 17 hashes a history, so laying out a small tree stalls.
#
# A History of pygambit 17.0.0b2 is a tuple of transitions, each of which holds, as `state`, the History of the place
# where the move was made. hash() descends into all of them: 2^n visits for n moves. Whatever is keyed by histories pays
# that, from a dict of one's own to `layout_tree`, whose result is keyed by the history of every node. A tree of one
# player who may stop at each of 18 moves has 37 nodes and takes half a second; at 30 moves that is half an hour. Keyed
# by `history.actions`, the plain labels, the same dict takes microseconds. 16.7 has no histories.
#
# Seen: 12 moves: hash 0.0007 s, hash of its labels 0.0000 s, layout_tree of 25 nodes 0.0074 s
#       18 moves: hash 0.0501 s, hash of its labels 0.0000 s, layout_tree of 37 nodes 0.4707 s
#
# Fails if six more moves no longer take 16 times as long (2^6 = 64 is what doubling gives, 2 what a chain would need).
# Takes Python 3.11 to 3.13 (set PYTHON to choose one).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q "pygambit==17.0.0b2"
"$folder/env/bin/python" - <<'PROGRAM'
import time

import pygambit
from pygambit import H


def seconds(call):
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


print("pygambit", pygambit.__version__)
taken = {}
for moves in (12, 18):
    game = pygambit.ExtensiveGame(players=["only"])
    game.append_move(H.path(), "only", ["on", "stop"])
    for _ in range(moves - 1):
        game.insert_move(H.path(), "only", ["on", "stop"])
    (last,) = game.get_histories(H.path(*["on"] * moves))
    taken[moves] = seconds(lambda: hash(last)), seconds(lambda: pygambit.layout_tree(game))
    nodes = len(game.get_histories(H.after()))
    print(
        f"{moves} moves: hash {taken[moves][0]:.4f} s, hash of its labels {seconds(lambda: hash(last.actions)):.4f} s, "
        f"layout_tree of {nodes} nodes {taken[moves][1]:.4f} s"
    )
assert taken[18][0] > 16 * taken[12][0] and taken[18][1] > 16 * taken[12][1], "changed: no longer doubles"
PROGRAM
