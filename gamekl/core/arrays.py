"""Reading numpy's archives from anywhere, safely; the precision that jax is in."""

from os import PathLike

import jax.numpy as jnp
import numpy as np


def read_arrays(path: str | PathLike[str], what: str) -> dict[str, np.ndarray]:
    """All arrays of an ``.npz`` archive, checksums verified, never unpickling.

    Args:
        path: of the file.
        what: it should be, for the message.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or no archive of arrays.
    """
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it is a single array and no archive")
        with archive:
            arrays = {name: archive[name] for name in archive.files}
        strange = [name for name, value in arrays.items() if not isinstance(value, np.ndarray)]
        if strange:
            raise ValueError(f"its member {strange[0]!r} is no array")
        return arrays
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged archive can fail in numpy, zipfile, zlib, tokenize or the allocator
        raise ValueError(f"path: got {path}, which is no readable {what}: {error}") from error


def has_float64() -> bool:
    """Whether jax's x64 mode is on, here and in this thread."""
    return jnp.result_type(float) == jnp.float64
