"""A folder of immutable, checksummed Parquet shards.

    config.json     what was asked for, all defaults filled in
    plan.json       what follows from it: sample sizes, predicted constants, chunks
    manifest/       *.jsonl, a file for each run that added shards: what made them (versions, device), and a line for
                    each (sha256, rows)
    shards/         *.parquet, published whole: written beside, synced, renamed, the folder synced
    events.jsonl    what happened when

A shard counts as done when the manifest has its checksum and the file still has it too. Several runs may share a
folder. Loads no jax.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pydantic

from gamekl.experiment.run.manifest import Manifest
from gamekl.experiment.run.origin import Origin, Run
from gamekl.experiment.run.publish import publish, publish_new
from gamekl.experiment.schema.cases import Plan
from gamekl.experiment.schema.plain import is_list, is_table

# Of shards, plan and manifest, and of what a seed draws: raised when numbers change by more than their last digits.
# Folders of another one are refused.
SCHEMA_VERSION = 7


class StoreError(RuntimeError):
    """A results folder that cannot be used as asked; the message says why and what helps."""


class OtherVersionError(StoreError):
    """A results folder of another gamekl."""


def _differences(there: Any, here: Any, path: str = "") -> Iterator[str]:
    if is_table(there) and is_table(here):
        for key in sorted(there.keys() | here.keys()):
            yield from _differences(there.get(key), here.get(key), f"{path}.{key}" if path else key)
    elif is_list(there) and is_list(here) and len(there) == len(here):
        for index, (one, other) in enumerate(zip(there, here, strict=True)):
            yield from _differences(one, other, f"{path}.{index}")
    elif there != here:
        yield f"{path} (there {json.dumps(there)[:60]}, here {json.dumps(here)[:60]})"


def _digest(plan: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


class Store:
    """The results folder of one run."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        """Nothing is read or made before it is asked for."""
        self.root = Path(root)
        self.shards = self.root / "shards"
        self.manifest = Manifest(self.root / "manifest")
        self._current: str | None = None  # digest of the plan that was read or written last

    def shard_path(self, name: str) -> Path:
        """Where the shard of this name lies."""
        return self.shards / f"{name}.parquet"

    @contextmanager
    def _writing(self) -> Generator[None, None, None]:
        """Whatever stands in the way of writing is told with the folder and what helps."""
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"out: got {self.root}, where gamekl cannot write ({error.strerror or error}); takes a folder with "
                "room and permission (--out). What is finished is kept: the same command goes on"
            ) from error

    def open(self, config: dict[str, Any], *, alone: bool = False) -> None:
        """Make the folder, or check that it was made by the same config.

        Where that was not even planned, and the caller is `alone` in the folder, the new config takes its place.

        Raises:
            StoreError: another config or another version made it, its plan is damaged, it holds something else, or it
                cannot be written.
        """
        with self._writing():
            for folder in (self.shards, self.manifest.folder):
                folder.mkdir(parents=True, exist_ok=True)
        path = self.root / "config.json"
        if not path.exists() and any(self.shards.iterdir()):
            raise StoreError(f"out: got {self.root}, which has shards but no config.json; takes a new folder (--out)")
        content = json.dumps(config, indent=1, sort_keys=True).encode()
        with self._writing(), suppress(FileExistsError):
            publish_new(path, content)
        planned = self.plan() is not None  # another version's is told as that, not as another config
        differences = list(_differences(self.config(), config))
        if differences and alone and not planned and not any(self.shards.iterdir()):
            with self._writing():  # nothing was computed by the config that is there
                publish(path, content)
        elif differences:
            raise StoreError(
                f"out: got {self.root}, which was made by another config: {'; '.join(differences[:8])}; "
                "takes a new folder (--out) or the same config"
            )

    def clear(self) -> None:
        """Remove what killed runs left half-written; nobody else may be using the folder."""
        for folder in (self.root, self.shards, self.manifest.folder):
            for leftover in folder.glob(".*.tmp"):
                leftover.unlink()

    def lock(self) -> AbstractContextManager[None]:
        """Hold the folder alone; freed by the system if the run dies.

        Raises:
            StoreError: somebody else holds it.
        """
        return self._hold(fcntl.LOCK_EX)

    def share(self) -> AbstractContextManager[None]:
        """Hold the folder together with others that share it; as `lock` otherwise."""
        return self._hold(fcntl.LOCK_SH)

    @contextmanager
    def _hold(self, operation: int) -> Generator[None, None, None]:
        with self._writing():
            self.root.mkdir(parents=True, exist_ok=True)
            file = open(self.root / ".lock", "a+")  # network file systems lock only what may be read and written
        with file:
            with self._writing():
                try:
                    fcntl.flock(file, operation | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    message = f"out: got {self.root}, which another run is using; takes a free folder"
                    raise StoreError(message) from error
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

    def plan(self) -> Plan | None:
        """The stored plan, or None.

        Raises:
            StoreError: it is damaged, or another version's.
        """
        path = self.root / "plan.json"
        if not path.exists():
            return None
        plan = self._read_json(path)
        if not is_table(plan) or plan.get("schema") != SCHEMA_VERSION:
            there = plan.get("schema", "1 or 2") if is_table(plan) else "none"
            raise OtherVersionError(
                f"run: {path} has schema {there}, this gamekl takes {SCHEMA_VERSION}; use the gamekl that made it, or "
                "run gamekl sweep into a new folder (--out)"
            )
        if plan.pop("sha256", None) != _digest(plan):
            raise StoreError(f"run: {path} is damaged; remove it and run gamekl sweep again")
        digest = _digest(plan)
        del plan["schema"]
        try:
            made = Plan.model_validate(plan)
        except pydantic.ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise OtherVersionError(
                f"run: {path} is of another gamekl ({where}); use the one that made it, or run gamekl sweep into a "
                "new folder (--out)"
            ) from error
        self._current = digest
        return made

    def write_plan(self, plan: Plan) -> Plan:
        """Store the plan unless there is one; what is there now."""
        content = {"schema": SCHEMA_VERSION, **plan.model_dump(mode="json")}
        with self._writing(), suppress(FileExistsError):
            publish_new(self.root / "plan.json", json.dumps({**content, "sha256": _digest(content)}, indent=1).encode())
        return cast(Plan, self.plan())

    def runs(self) -> list[Run]:
        """What made the shards, in order of time: of the stored plan, or all where that cannot be read."""
        return self.manifest.runs(self._plan_digest())

    def log(self, event: str, **facts: Any) -> None:
        """Add a line to the event log."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._writing(), open(self.root / "events.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps({"time": now, "event": event, **facts}) + "\n")

    def write_shard(self, name: str, content: bytes, rows: int, origin: Origin) -> None:
        """Publish a shard of the plan that was read or written last, and enter it into the manifest."""
        with self._writing():
            publish(self.shard_path(name), content)
            self.manifest.enter(name, hashlib.sha256(content).hexdigest(), rows, self._current, origin)

    def _plan_digest(self) -> str | None:
        """The digest of the stored plan, or None where there is none that can be read."""
        try:
            return None if self.plan() is None else self._current
        except StoreError:
            return None

    def verified(self) -> tuple[set[str], set[str]]:
        """The shards that are whole, and those that a manifest has but whose file is gone or damaged.

        Where the plan can be read, shards of another one do not count: the same name may mean other seeds there.
        """
        checksums: dict[str, set[str]] = {}
        current = self._plan_digest()
        for entry in self.manifest.entries():
            if current is None or entry.plan == current:
                checksums.setdefault(entry.shard, set()).add(entry.sha256)
        found = {name: self._sha256(name) for name in checksums}
        whole = {name for name, known in checksums.items() if found[name] in known}
        return whole, checksums.keys() - whole

    def _sha256(self, name: str) -> str | None:
        try:
            return hashlib.sha256(self.shard_path(name).read_bytes()).hexdigest()
        except FileNotFoundError:
            return None

    def read(self) -> pa.Table:
        """All shards as one table, every checksum verified; a metric that some did not have yet is null there.

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
        return pa.concat_tables(self.tables(sorted(whole)), promote_options="default")

    def tables(self, names: list[str]) -> list[pa.Table]:
        """The shards of these names, which are verified already."""
        return [pq.read_table(self.shard_path(name), page_checksum_verification=True) for name in names]
