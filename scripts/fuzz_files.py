"""Fuzz the reader of a format of files by coverage: it may raise its own ValueError and nothing else, within 2 s.

    pip install atheris
    python scripts/fuzz_files.py FORMAT -runs=1000000 -max_len=4096 [FOLDER OF A CORPUS]

The format is nfg, efg, agg or csv; all other arguments are libFuzzer's. The seeds below are always among the corpus; a
text that breaks the rule is written to a file ``crash-...`` in the current folder. Times are of the processor, so
that a busy machine does not matter.
"""

import sys
import tempfile
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gamekl.games"]):
    from gamekl.games.files.agg import agg_table
    from gamekl.games.files.csv_tables import csv_table
    from gamekl.games.files.efg import efg_table
    from gamekl.games.files.nfg import nfg_table

READERS = {"nfg": nfg_table, "efg": efg_table, "agg": agg_table, "csv": csv_table}
NFG = [
    'NFG 1 R "Selten" { "Player 1" "Player 2" } { 3 2 }\n\n1 1 0 2 0 2 1 1 0 3 2 0\n',
    'NFG 1 D "" { "1" "2" "3" } { 2 1 3 } 1 10 1e2 2 2/3 -.5 3 +30 300 4 4 4 5 5. 5 6 6 nan',
    'NFG 1 R "a \\"b\\" \\\\" { "R" "C" } { { "t" "m {}" } { "l" "r" } } "comment" '
    '{ { "best" 10, 5/2 } { "" -1 .5 } } 1 0 2 1',
    'NFG 1 R "" { "a" } { 2 } { } 0 0',
    'NFG 1 R "é\u2028\U0001f3b2" { "a" } { 1 } ' + "9" * 400 + "/" + "7" * 400,
    'NFG 1 R "" { "a" } { 2 } -' + "9" * 400 + "/7 0." + "9" * 999 + "e-99",
]
EFG = [
    'EFG 2 R "g" { "a" "b" } "" p "" 1 1 "s" { "u" "d" } 0 p "" 2 1 "" { "l" "r" } 0 t "" 1 "x" { 1, 2/3 } '
    't "" 2 "" { .5 -1e2 } p "" 2 1 0 t "" 1 t "" 0',
    'EFG 2 D "" { "a" } c "" 1 "" { "x" 1/3 "y" 2/3 } 5 "fee" { 1 } c "" 1 0 t "" 0 t "" 5 '
    'p "" 1 7 "" { "m" } 0 t "" 0',
    'EFG 2 R "" { "a" } p "" 1 1 "" { "l" "r" } 0 p "" 1 1 0 t "" 0 t "" 1 "" { 1 } p "" 1 2 "" { "l" "r" } 0 '
    't "" 1 t "" 1',
]
AGG = [
    "#AGG\n2 2 1\n2 2\n0 1\n0 1\n2 0 2\n1 1\n1 0\n10 0 [ 1 2 ]\n0 1 2 3\n1 3 [0] 1 [1] 2/3 [2] .5\n",
    "#AGG\n# c\n3 2 0 2 2 2 0 1 0 1 0 1 1 0 1 0 0 1 3 -2 1 3 [0] 0 [2] 1/2 [1] 0.25",
]
CSV = [
    "Ann,Bob,payoff Ann,payoff Bob\nu,l,1,2\nu,r,0,1/3\nd,l,0,0\nd,r,2,1\n",
    'Ann \\ Bob,l,r\nu,"(1, 2)","(0, 1/3)"\nd,0 0,2 | 1\n',
    "A;payoff\nu;1\nd;2\n",
]
SEEDS = {"nfg": NFG, "efg": EFG, "agg": AGG, "csv": CSV}
WORDS = [
    '\\"\\"',
    "{",
    "}",
    ",",
    "/",
    "1/3",
    "0/0",
    "1e999",
    "-inf",
    "nan",
    "NFG 1 R",
    "999999999",
    "\\\\",
    "\\xff\\xfe",
]
LIMIT_S = 2.0
FORMAT = sys.argv.pop(1) if sys.argv[1:2] and sys.argv[1] in READERS else sys.exit(__doc__)

longest = 0.0


def read(data: bytes) -> None:
    """One execution; any byte sequence is a text, as bytes that are no UTF-8 become lone surrogates."""
    global longest
    text = data.decode("utf-8", "surrogateescape")
    start = time.process_time()
    try:
        READERS[FORMAT](text).game(None)
    except ValueError as error:
        if not str(error).startswith((f"{FORMAT}: ", "payoffs")):
            raise
    seconds = time.process_time() - start
    if seconds > longest:
        longest = seconds
        print(f"longest execution so far: {seconds:.4f} s of {len(data)} bytes", file=sys.stderr, flush=True)
    if seconds > LIMIT_S:
        raise TimeoutError(f"{seconds:.1f} s")


if __name__ == "__main__":
    atheris.enabled_hooks.add("RegEx")
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz_{FORMAT}_"))
    seeds = folder / "seeds"
    seeds.mkdir()
    for number, seed in enumerate(SEEDS[FORMAT]):
        (seeds / str(number)).write_text(seed, encoding="utf-8")
    (folder / "words").write_text("".join(f'"{word}"\n' for word in WORDS))
    own = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    corpus = own or [str(folder / "corpus")]
    Path(corpus[0]).mkdir(exist_ok=True)
    flags = [argument for argument in sys.argv[1:] if argument.startswith("-")]
    atheris.Setup([sys.argv[0], f"-dict={folder / 'words'}", "-print_final_stats=1", *flags, *corpus, str(seeds)], read)
    atheris.Fuzz()
