"""Files that are either wholly there or not at all. Loads no jax."""

import os
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _beside(path: Path, content: bytes) -> Generator[Path, None, None]:
    """A file of that content in the same folder, on disk, to be made `path` in one step."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def publish(path: Path, content: bytes) -> None:
    """Write a file, in place of what is there, so that it is either wholly there or not at all, also after a crash."""
    with _beside(path, content) as temporary:
        os.replace(temporary, path)


def publish_new(path: Path, content: bytes) -> None:
    """Publish a file where there is none.

    Raises:
        FileExistsError: something is.
    """
    with _beside(path, content) as temporary:
        os.link(temporary, path)
