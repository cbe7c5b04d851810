"""What the first call of every public function takes, in a process of its own: imports, tracing, compiling.

    python benchmarks/bench_compile.py [--beside COMMIT] [--python PYTHON] [--only NAME] [--out benchmarks/results]

Seconds are the processors', of all threads, the least over rounds; `first_calls.py` makes the calls. With `--beside`
the same calls are made under the commit, in turn with ours, by PYTHON where that commit needs another one.
"""

import json
import subprocess
from contextlib import suppress

from beside import HERE, Tree, environment, parse, trees
from common import digits, facts, table
from first_calls import CASES

FOUND = "imports", "trace and lower", "compile", "programs", "first call"
# Nothing that was compiled before may help.
FRESH = {"JAX_ENABLE_COMPILATION_CACHE": "0", "JAX_COMPILATION_CACHE_DIR": ""}


def first_call(tree: Tree, name: str) -> dict[str, float]:
    """What a process says of its first call; nothing where the commit has no such function."""
    command = [tree.python, str(HERE / "first_calls.py"), name]
    found = subprocess.run(command, env=environment(tree.path) | FRESH, capture_output=True, text=True)  # noqa: S603
    with suppress(IndexError, json.JSONDecodeError):
        return json.loads(found.stdout.splitlines()[-1])
    if tree.path == HERE.parent:
        raise RuntimeError(found.stderr)
    return {}


def least(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The round with the quickest first call."""
    return min(rounds, key=lambda found: found.get("first call", 0))


def main() -> None:
    parser = parse(__doc__)
    parser.add_argument("--beside", help="a commit")
    options = parser.parse_args()
    commits = [options.beside] if options.beside else []
    header = ["first call", *(f"{name}, s" if name != "programs" else name for name in FOUND)]
    header += [text for commit in commits for text in (f"{commit}, s", f"this / {commit}")]
    print(*header, sep=" | ", flush=True)
    rows = []
    with trees(commits, options.python) as contenders:
        for name in CASES:
            if options.only not in name:
                continue
            turns = [[first_call(tree, name) for tree in contenders] for _ in range(options.rounds)]
            ours, *others = (least(list(own)) for own in zip(*turns, strict=True))
            rows.append([name, *(digits(ours[key]) for key in FOUND)])
            for other in others:
                took = other.get("first call")
                rows[-1] += ["-", "-"] if took is None else [digits(took), f"{ours['first call'] / took:.2f}"]
            print(*rows[-1], sep=" | ", flush=True)
    told = f"{facts()}; seconds of all processors, the least of {options.rounds} rounds, each call in a process of its "
    told += "own, without a cache. The first call is all behind imports and the making of its arguments."
    text = "\n\n".join(["# First calls", told, table(header, rows)])
    print(text)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "bench_compile.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
