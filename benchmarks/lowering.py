"""What all programs of gamekl call, lowered for GPUs and TPUs by this machine, which needs neither.

Usage: python benchmarks/lowering.py. It replaces this jax's part of results/lowering.md.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from lowering.process import Lowered, lower

RESULTS = Path(__file__).parent / "results" / "lowering.md"
HEAD = """# Lowering

Every public kernel, and every jitted function behind it, as `jax.export` lowers it for `cuda` and `tpu` on a machine
without either (`python benchmarks/lowering.py`, with each jax). Programs that are not named call nothing but XLA.
"""


def counts(found: dict[str, Lowered]) -> Iterator[str]:
    """A line for each dtype and platform."""
    yield "| dtype | platform | programs | not lowered | calls of libraries, programs with them |"
    yield "|---|---|---|---|---|"
    for dtype, one in found.items():
        for platform in ("cuda", "tpu"):
            calling = [calls[platform] for calls in one.calls.values() if calls[platform]]
            total = sum(sum(calls.values()) for calls in calling)
            numbers = f"{len(one.calls)} | {len(one.errors)} | {total}, {len(calling)}"
            yield f"| {dtype} | {platform} | {numbers} |"


def needs(found: dict[str, Lowered]) -> Iterator[str]:
    """A line for each call: the programs that have it, whatever their dtype."""
    users: dict[tuple[str, str], dict[str, None]] = {}
    for one in found.values():
        for name, calls in one.calls.items():
            for platform, targets in calls.items():
                for target in targets:
                    users.setdefault((platform, target), {})[name] = None
    yield "| platform | call | programs |"
    yield "|---|---|---|"
    for (platform, target), names in sorted(users.items()):
        yield f"| {platform} | `{target}` | {len(names)}: {'; '.join(names)} |"


def main() -> None:
    found = {dtype: lower(dtype) for dtype in ("float32", "float64")}
    version = found["float64"].jax
    parts = re.split(r"^## jax ", RESULTS.read_text(encoding="utf-8"), flags=re.M)[1:] if RESULTS.exists() else []
    others = {part.split("\n", 1)[0]: part.split("\n", 1)[1].strip() for part in parts}
    others[version] = "\n".join([*counts(found), "", *needs(found)])
    text = "".join(f"\n## jax {name}\n\n{others[name]}\n" for name in sorted(others))
    RESULTS.write_text(HEAD + text, encoding="utf-8")


if __name__ == "__main__":
    main()
