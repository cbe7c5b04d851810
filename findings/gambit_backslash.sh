#!/usr/bin/env bash
# Gambit cannot read back a file that it wrote if a label or the title ends in a backslash.
#
# pygambit 17.0.0b2 takes such a label (its rule forbids control characters and spaces at the ends, no backslash), and
# writes it with the backslash doubled. Its reader knows the escape \" but not \\: to it the second backslash and the
# closing quote are a quote inside of the label, which then runs on, and the file is refused. A backslash elsewhere comes
# back as three of them, without a word. 16.7.0 (built from source) does the same.
#
# Seen: written: NFG 1 R "t" { "C:\\" "b" }
#       read:    ValueError: Parse error in game file: line 1:26: Expected '}'
#       the title a\b comes back as a\\\b
#
# Fails if that changes. Takes Python 3.11 to 3.13 (set PYTHON to choose one).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install -q "pygambit==17.0.0b2"
"$folder/env/bin/python" - <<'PROGRAM'
import io

import pygambit

print("pygambit", pygambit.__version__)
game = pygambit.StrategicGame.from_dict({"C:\\": [[1, 2], [3, 4]], "b": [[1, 2], [3, 4]]}, title="t")
text = game.to_nfg()
print("written:", text.splitlines()[0])
assert '{ "C:\\\\" "b" }' in text, text
try:
    pygambit.read_nfg(io.StringIO(text))
except ValueError as error:
    print("read:    ValueError:", error)
    assert "Expected '}'" in str(error)
else:
    raise SystemExit("it reads what it wrote: changed")

game.relabel_players({"C:\\": "a"})
game.title = "a\\b"
title = pygambit.read_nfg(io.StringIO(game.to_nfg())).title
print("the title", game.title, "comes back as", title)
assert title == "a\\\\\\b", title
PROGRAM
