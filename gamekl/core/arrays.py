"""Taking arrays from anywhere, safely, with a hint where their axes are in QuantEcon's order; jax's precision."""

import logging
import zipfile
from collections.abc import Sequence
from os import PathLike
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

logger = logging.getLogger("gamekl")


def own(field: str, value: Any) -> jax.Array | np.ndarray:
    """The numbers of an array-like as they are now: jax's arrays themselves, a copy of all else.

    jax reads numpy's arrays when it comes to it, which may be after their owner has written something else there.

    Raises:
        ValueError: entries are masked, or nested sequences have unequal lengths; the message names the field.
    """
    if isinstance(value, jax.Array):
        return value
    refuse_masked(field, value)
    try:
        return np.array(value)
    except ValueError as error:
        raise ValueError(
            f"{field}: got nested sequences of unequal lengths, takes an array ({error}){own_actions_first(value)}"
        ) from error


def as_float_array(field: str, value: Any) -> jax.Array:
    """`value` as a float32 or float64 array of its own; a silent loss of float64 precision is logged as a warning.

    Raises:
        ValueError: it is no array of real numbers; the message names the field.
    """
    declared = hasattr(value, "dtype")
    value = own(field, value)
    if value.dtype not in (np.float32, np.float64):
        if value.dtype.kind not in "iuf" and not jnp.issubdtype(value.dtype, jnp.floating):
            raise ValueError(f"{field}: got dtype {value.dtype}, takes real numbers")
        return jnp.asarray(value).astype(float)
    array = jnp.asarray(value)
    if declared and array.dtype != value.dtype:
        logger.warning(
            "%s: a %s array became %s, as jax's x64 mode is off; jax.config.update('jax_enable_x64', True) enables it",
            field,
            value.dtype,
            array.dtype,
        )
    return array


def stacked(arrays: Sequence[Any]) -> jax.Array:
    """Arrays along a new axis: by numpy where all are its own or a CPU's, as jax compiles a program for each number.

    Keys and traced arrays, what lies on other devices, and mixed dtypes are left to jax.
    """
    if all(map(_is_at_hand, arrays)) and len({array.dtype for array in arrays}) == 1:
        return jax.device_put(np.stack([np.asarray(array) for array in arrays]))
    return jnp.stack(arrays)


def _is_at_hand(array: Any) -> bool:
    if isinstance(array, Tracer) or not isinstance(array, jax.Array):
        return isinstance(array, np.ndarray)
    plain = not jnp.issubdtype(array.dtype, jax.dtypes.extended)
    return plain and not array.committed and all(device.platform == "cpu" for device in array.devices())


def refuse_masked(field: str, value: Any) -> None:
    """Raise ``ValueError`` where numpy holds entries for missing: `numpy.asarray` would show what lies behind them."""
    if masked := _masked(value):
        raise ValueError(f"{field}: got a masked array with {masked} masked entries, takes numbers in all of them")


def _masked(value: Any) -> int:
    if isinstance(value, np.ma.MaskedArray):
        return int(np.ma.count_masked(value))
    return sum(map(_masked, value)) if isinstance(value, list | tuple) else 0


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
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):  # numpy would speak of pickles
                raise ValueError("it is no archive of arrays")
        with np.load(path, allow_pickle=False) as archive:
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


def players_last(field: str, shape: Sequence[int], axis: int) -> str:
    """What to say of a shape that fits ``[*actions, player]`` after `axis` other axes; nothing if it does not fit."""
    if len(shape) < axis + 2 or shape[-1] != len(shape) - axis - 1:
        return ""
    return f"; if the players' axis is the last, as in QuantEcon: numpy.moveaxis({field}, -1, {axis})"


def own_actions_first(arrays: Any) -> str:
    """What to say of an array for each player whose axes begin with the player's own, then go round; else nothing."""
    shapes = [getattr(entry, "shape", ()) for entry in arrays] if isinstance(arrays, list | tuple) else []
    rolled = [(*shapes[0][player:], *shapes[0][:player]) for player in range(len(shapes))]
    if not shapes or shapes != rolled or len(shapes[0]) != len(shapes):
        return ""
    turned = "numpy.transpose(a, [(k - i) % len(arrays) for k in range(len(arrays))])"
    return f"; if each begins with the player's own actions, as in QuantEcon: [{turned} for i, a in enumerate(arrays)]"
