"""Which shards a folder has and what made them: a file for each run that added some. Loads no jax.

A line of a file is a JSON object and a checksum. That of a worker (`Origin`) says what made the shards that follow;
that of a shard has its sha256, its rows and its plan. Each run writes to a file of its own, so several may share a
folder, and a line that a kill or a fault of the disk has spoilt counts as not written.
"""

import json
import os
import time
import uuid
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gamekl.experiment.run.origin import Origin, Run


class Entry(NamedTuple):
    """A shard, as a run entered it.

    Attributes:
        shard: its name.
        sha256: of its file.
        plan: the sha256 of the plan that it is of.
        origin: of the worker that made it; all of it None where its line is spoilt.
        file: of the run.
    """

    shard: str
    sha256: str
    plan: str | None
    origin: Origin
    file: str


def _checksum(content: bytes) -> bytes:
    return f"{zlib.crc32(content):08x}".encode()


class Manifest:
    """The manifest of a results folder."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read or made before it is asked for."""
        self.folder = folder
        self._own = folder / f"{time.time_ns():020d}-{uuid.uuid4().hex}.jsonl"
        self._last: Origin | None = None  # that was written

    def enter(self, shard: str, sha256: str, rows: int, plan: str | None, origin: Origin) -> None:
        """Add a shard to this run's file; on disk when it returns."""
        lines: list[dict[str, Any]] = [] if origin == self._last else [{"run": origin._asdict()}]
        lines.append({"shard": shard, "sha256": sha256, "rows": rows, "plan": plan})
        with open(self._own, "ab") as file:
            for content in (json.dumps(line).encode() for line in lines):
                file.write(content + b" " + _checksum(content) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._last = origin

    def entries(self) -> Iterator[Entry]:
        """What the files of all runs tell, in order of time."""
        for path in sorted(self.folder.glob("*.jsonl")):
            origin = Origin()
            for text in path.read_bytes().split(b"\n"):
                content, _, checksum = text.rpartition(b" ")
                if checksum != _checksum(content):
                    origin = origin if not text else Origin()  # what is spoilt may have told of another
                    continue
                line = json.loads(content)
                if "run" in line:
                    origin = Origin.read(line["run"])
                elif "shard" in line:
                    yield Entry(line["shard"], line["sha256"], line.get("plan"), origin, path.name)

    def runs(self, plan: str | None) -> list[Run]:
        """What made the shards of a plan, or all shards where that is None, in order of time."""
        made: dict[str, tuple[str, Origin]] = {}
        for entry in self.entries():
            if plan is None or entry.plan == plan:
                made.pop(entry.shard, None)
                made[entry.shard] = entry.file, entry.origin
        return [Run(origin, shards) for (_, origin), shards in Counter(made.values()).items()]
