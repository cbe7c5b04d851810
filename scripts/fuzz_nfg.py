"""Fuzz the reader of ``.nfg`` files by coverage: it may raise its own ValueError and nothing else, within 2 s.

    pip install atheris
    python scripts/fuzz_nfg.py -runs=1000000 -max_len=4096 [FOLDER OF A CORPUS]

Arguments are libFuzzer's. The seeds below are always among the corpus; a text that breaks the rule is written to a file
``crash-...`` in the current folder. Times are of the processor, so that a busy machine does not matter.
"""

import sys
import tempfile
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gamekl.games.files"]):
    from gamekl.games.files import parse_nfg

SEEDS = [
    'NFG 1 R "Selten" { "Player 1" "Player 2" } { 3 2 }\n\n1 1 0 2 0 2 1 1 0 3 2 0\n',
    'NFG 1 D "" { "1" "2" "3" } { 2 1 3 } 1 10 1e2 2 2/3 -.5 3 +30 300 4 4 4 5 5. 5 6 6 nan',
    'NFG 1 R "a \\"b\\" \\\\" { "R" "C" } { { "t" "m {}" } { "l" "r" } } "comment" '
    '{ { "best" 10, 5/2 } { "" -1 .5 } } 1 0 2 1',
    'NFG 1 R "" { "a" } { 2 } { } 0 0',
    'NFG 1 R "é\u2028\U0001f3b2" { "a" } { 1 } ' + "9" * 400 + "/" + "7" * 400,
    'NFG 1 R "" { "a" } { 2 } -' + "9" * 400 + "/7 0." + "9" * 999 + "e-99",
]
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

longest = 0.0


def read(data: bytes) -> None:
    """One execution; any byte sequence is a text, as bytes that are no UTF-8 become lone surrogates."""
    global longest
    text = data.decode("utf-8", "surrogateescape")
    start = time.process_time()
    try:
        parse_nfg(text)
    except ValueError as error:
        if not str(error).startswith(("nfg: ", "payoffs[")):
            raise
    seconds = time.process_time() - start
    if seconds > longest:
        longest = seconds
        print(f"longest execution so far: {seconds:.4f} s of {len(data)} bytes", file=sys.stderr, flush=True)
    if seconds > LIMIT_S:
        raise TimeoutError(f"{seconds:.1f} s")


if __name__ == "__main__":
    atheris.enabled_hooks.add("RegEx")
    folder = Path(tempfile.mkdtemp(prefix="fuzz_nfg_"))
    seeds = folder / "seeds"
    seeds.mkdir()
    for number, seed in enumerate(SEEDS):
        (seeds / str(number)).write_text(seed, encoding="utf-8")
    (folder / "words").write_text("".join(f'"{word}"\n' for word in WORDS))
    own = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    corpus = own or [str(folder / "corpus")]
    Path(corpus[0]).mkdir(exist_ok=True)
    flags = [argument for argument in sys.argv[1:] if argument.startswith("-")]
    atheris.Setup([sys.argv[0], f"-dict={folder / 'words'}", "-print_final_stats=1", *flags, *corpus, str(seeds)], read)
    atheris.Fuzz()
