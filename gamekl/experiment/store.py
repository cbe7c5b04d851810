"""A folder of immutable, checksummed Parquet shards.

    config.json     what was asked for, all defaults filled in
    plan.json       what follows from it: sample sizes, predicted constants
    manifest.jsonl  one line for each run that added shards (versions, device) and for each shard (sha256, rows)
    shards/         *.parquet, published whole: written beside, synced, renamed, the folder synced
    events.jsonl    what happened when

A shard counts as done when the manifest has its checksum and the file still has it too. Loads no jax.
"""

import fcntl
import hashlib
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA_VERSION = 2


class StoreError(RuntimeError):
    """A results folder that cannot be used as asked; the message says why and what helps."""


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(path: Path, content: bytes) -> None:
    """Write a file so that it is either wholly there or not at all, also after a crash."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    _sync_folder(path.parent)


def _differences(there: Any, here: Any, path: str = "") -> Iterator[str]:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted(there.keys() | here.keys()):
            yield from _differences(there.get(key), here.get(key), f"{path}.{key}" if path else key)
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for index, (one, other) in enumerate(zip(there, here, strict=True)):
            yield from _differences(one, other, f"{path}.{index}")
    elif there != here:
        yield f"{path} (there {json.dumps(there)[:60]}, here {json.dumps(here)[:60]})"


class Store:
    """The results folder of one run."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        """Nothing is read or made before it is asked for."""
        self.root = Path(root)
        self.shards = self.root / "shards"

    def shard_path(self, name: str) -> Path:
        """Where the shard of this name lies."""
        return self.shards / f"{name}.parquet"

    def open(self, config: dict[str, Any]) -> None:
        """Make the folder, or check that it was made by the same config, and clear what a killed run left half-written.

        Raises:
            StoreError: another config made it, or it holds something else.
        """
        self.shards.mkdir(parents=True, exist_ok=True)
        path = self.root / "config.json"
        if path.exists():
            differences = list(_differences(self._read_json(path), config))
            if differences:
                raise StoreError(
                    f"out: got {self.root}, which was made by another config: {'; '.join(differences[:8])}; "
                    "takes a new folder (--out) or the same config"
                )
        elif any(self.shards.iterdir()):
            raise StoreError(f"out: got {self.root}, which has shards but no config.json; takes a new folder (--out)")
        else:
            publish(path, json.dumps(config, indent=1, sort_keys=True).encode())
        for leftover in [*self.root.glob(".*.tmp"), *self.shards.glob(".*.tmp")]:
            leftover.unlink()
        self._mend_manifest()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder, so that two runs do not write into it at once; freed by the system if the run dies."""
        self.root.mkdir(parents=True, exist_ok=True)
        with open(self.root / ".lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise StoreError(f"out: got {self.root}, which another run is using; takes a free folder") from error
            yield

    def _read_json(self, path: Path) -> Any:
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            message = f"run: got {self.root}, which has no {path.name}; takes a folder made by gamekl sweep"
            raise StoreError(message) from error
        except ValueError as error:
            raise StoreError(f"run: {path} is damaged ({error}); remove it and run gamekl sweep again") from error

    def config(self) -> dict[str, Any]:
        """The config that made the folder."""
        return self._read_json(self.root / "config.json")

    def plan(self) -> dict[str, Any] | None:
        """The stored plan, or None."""
        path = self.root / "plan.json"
        return self._read_json(path) if path.exists() else None

    def write_plan(self, plan: dict[str, Any]) -> None:
        """Store the plan, once."""
        publish(self.root / "plan.json", json.dumps(plan, indent=1).encode())

    def _manifest(self) -> tuple[list[dict[str, Any]], bool]:
        """The readable lines of the manifest, and whether there are others (a kill can cut the last one short)."""
        path = self.root / "manifest.jsonl"
        if not path.exists():
            return [], False
        lines, torn = [], False
        content = path.read_bytes()
        for line in content.split(b"\n")[: None if content.endswith(b"\n") else -1]:
            if not line:
                continue
            try:
                entry = json.loads(line)
            except ValueError:
                torn = True
                continue
            if isinstance(entry, dict) and ("run" in entry or entry.keys() >= {"shard", "sha256"}):
                lines.append(entry)
            else:
                torn = True
        return lines, torn or (bool(content) and not content.endswith(b"\n"))

    def _mend_manifest(self) -> None:
        lines, torn = self._manifest()
        if torn:
            self._write_manifest(lines)

    def _write_manifest(self, lines: list[dict[str, Any]]) -> None:
        publish(self.root / "manifest.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())

    def forget(self, names: set[str]) -> None:
        """Take shards out of the manifest, so that they count as not made."""
        self._write_manifest([line for line in self._manifest()[0] if line.get("shard") not in names])

    def _append(self, name: str, line: dict[str, Any], *, sync: bool) -> None:
        with open(self.root / name, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            if sync:
                os.fsync(file.fileno())

    def record_run(self, facts: dict[str, Any]) -> None:
        """Note versions and device of a run that is about to add shards."""
        self._append("manifest.jsonl", {"run": facts}, sync=True)

    def log(self, event: str, **facts: Any) -> None:
        """Add a line to the event log."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._append("events.jsonl", {"time": time, "event": event, **facts}, sync=False)

    def write_shard(self, name: str, table: pa.Table, metadata: dict[str, str]) -> None:
        """Publish a shard and enter its checksum into the manifest."""
        facts = {"gamekl_schema": str(SCHEMA_VERSION), **metadata}
        buffer = io.BytesIO()
        pq.write_table(table.replace_schema_metadata(facts), buffer, compression="zstd", write_page_checksum=True)
        content = buffer.getvalue()
        publish(self.shard_path(name), content)
        entry = {"shard": name, "sha256": hashlib.sha256(content).hexdigest(), "rows": table.num_rows}
        self._append("manifest.jsonl", entry, sync=True)

    def verified(self) -> tuple[set[str], set[str]]:
        """The shards that are whole, and those that the manifest has but whose file is gone or damaged."""
        whole, damaged = set(), set()
        checksums = {line["shard"]: line["sha256"] for line in self._manifest()[0] if "shard" in line}
        for name, checksum in checksums.items():
            path = self.shard_path(name)
            found = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None
            (whole if found == checksum else damaged).add(name)
        return whole, damaged

    def read(self) -> pa.Table:
        """All shards as one table, every checksum verified.

        Raises:
            StoreError: a shard is damaged, or there is none.
        """
        whole, damaged = self.verified()
        if damaged:
            raise StoreError(
                f"run: {len(damaged)} shards of {self.root} are damaged or gone, {sorted(damaged)[0]} among them; "
                "run gamekl sweep with the same config again to make them anew"
            )
        if not whole:
            raise StoreError(f"run: got {self.root}, which has no finished shard; takes a folder made by gamekl sweep")
        tables = [pq.read_table(self.shard_path(name), page_checksum_verification=True) for name in sorted(whole)]
        return pa.concat_tables(tables)
