"""Compiled programs that the shell keeps between runs, in a folder of the user's that nobody else may write.

There are two kinds. jax's own cache serves all commands; `call` keeps whole programs, which then need neither tracing
nor most of what makes them. Programs are machine code: they are taken only from a folder that is the user's alone, only
where their checksum is right, and under a name that tells versions, sources, settings and processor. Whatever goes
wrong with the folder, a command runs as it would without one. Loads no jax.
"""

import hashlib
import logging
import os
import pickle
import platform
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from gamekl import __version__

logger = logging.getLogger("gamekl")

VARIABLE = "GAMEKL_CACHE"
# Bytes of all programs that are kept; the oldest go first.
MOST_BYTES = 1 << 29
# Of which the programs that `call` keeps are made.
SOURCES = ("core", "solvers", "commands/computing.py")
CHECKSUM = hashlib.sha256().digest_size


def _users_caches() -> Path:
    """Where this system's programs keep what they can make again."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches"
    given = os.environ.get("XDG_CACHE_HOME", "")
    return Path(given) if os.path.isabs(given) else Path.home() / ".cache"


def _processor() -> str:
    """What the machine code of this processor may not run on another."""
    if sys.platform != "linux":
        return f"{platform.machine()} {platform.processor()}"
    told = [platform.machine()]
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith(("model name", "flags", "Features", "CPU ")):
                told.append(line)
            elif not line.strip():  # the others are like the first
                break
    return "\n".join(told)


def _digest(*parts: str | bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        found.update(len(content).to_bytes(8, "little") + content)
    return found.hexdigest()[:32]


def _is_private(folder: Path) -> bool:
    """Whether a folder is the user's, no link, and not to be written by others."""
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        return False
    return not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o022)


@cache
def folder(given: str | None, caches: Path) -> Path | None:
    """The folder of programs for this processor; None where there is to be none, or cannot be.

    jax's key knows versions and options, but not what a processor can, and a home may be shared by unlike machines.

    Args:
        given: what the variable has: a folder, "off", or nothing.
        caches: where the folder is if none is given.
    """
    if given is not None and given.strip().lower() in ("off", "0", "no", "false"):
        return None
    root = Path(given).expanduser() if given else caches / "gamekl"
    own = f"{platform.machine()}-{_digest(_processor())[:8]}"
    try:
        for place in (root, root / own):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_private(place):
                logger.warning("%s: got %s, takes a folder that nobody else may write; none is used", VARIABLE, place)
                return None
    except OSError:  # read-only, full, a file, no home
        return None
    return root / own


def keep_programs(asked: bool) -> Path | None:
    """Let jax keep what it compiles here and in processes that this one starts; before jax is loaded.

    Where jax is loaded already, or its own variables have a folder, its settings are somebody else's and stay.

    Args:
        asked: whether the user wants it; the variable `VARIABLE` says so, too.

    Returns:
        The folder for `call`; None where nothing is to be kept, or can be.
    """
    try:
        place = folder(os.environ.get(VARIABLE) or None, _users_caches()) if asked else None
    except RuntimeError:  # no home
        return None
    if place is not None and "jax" not in sys.modules and "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        _trim(place)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(place)
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    return place


def _trim(place: Path) -> None:
    """Remove the programs that were used longest ago, where there are too many."""
    with suppress(OSError):
        found = sorted((entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in os.scandir(place))
        excess = sum(size for _, size, _ in found) - MOST_BYTES
        for _, size, path in found:
            if excess <= 0:
                return
            os.unlink(path)
            excess -= size


def _sources() -> Iterator[bytes]:
    """What the programs are made of."""
    root = Path(__file__).parents[1]
    for name in SOURCES:
        for path in sorted((root / name).rglob("*.py")) if not name.endswith(".py") else [root / name]:
            yield path.read_bytes()


def _settings() -> Iterator[str]:
    """Variables that change what jax and XLA make."""
    for name in sorted(os.environ):
        if name.startswith(("JAX_", "XLA_")) and "CACHE" not in name:
            yield f"{name}={os.environ[name]}"


def _find_lapack() -> None:
    """Let jax look up the functions of LAPACK, as it does where it lowers a call of one.

    A program that was kept has been lowered before, and would jump to nowhere.
    """
    import jax
    import numpy as np

    jax.jit(lambda table: jax.lax.linalg.lu(table)).lower(np.zeros((1, 1), np.float32))


def _load(path: Path) -> Callable[..., Any] | None:
    """The program in a file; None where there is none that is whole."""
    from jax.experimental.serialize_executable import deserialize_and_load

    try:
        content = path.read_bytes()
        told, packed = content[:CHECKSUM], content[CHECKSUM:]
        if hashlib.sha256(packed).digest() != told:
            return None
        os.utime(path)
        calls_lapack, program = pickle.loads(packed)  # noqa: S301 (out of a folder that is the user's alone)
        if calls_lapack:
            _find_lapack()
        return deserialize_and_load(*program)
    except Exception:  # of whatever kind: it is compiled anew
        return None


def _store(path: Path, compiled: Any) -> None:
    from jax.experimental.serialize_executable import serialize

    try:
        packed = pickle.dumps(("lapack_" in compiled.as_text(), serialize(compiled)))
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            try:
                file.write(hashlib.sha256(packed).digest() + packed)
                file.close()
                os.replace(file.name, path)
            except OSError:
                os.unlink(file.name)
                raise
    except Exception as error:  # a full disk, or a program that cannot be kept
        logger.debug("%s: %s was not kept: %s", VARIABLE, path, error)


@contextmanager
def _without_caches() -> Iterator[None]:
    """Compile anew: XLA loses parts of a program that it has loaded where that is to be stored again.

    What fails is the call of such a program, in the next run, and not storing it (jax 0.10.2 and 0.12.0.1).
    """
    import jax
    from jax.experimental.compilation_cache.compilation_cache import reset_cache

    before = jax.config.jax_enable_compilation_cache  # pyright: ignore[reportAttributeAccessIssue]
    try:
        jax.config.update("jax_enable_compilation_cache", False)
        reset_cache()  # which looks at the setting only once
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
        reset_cache()


def _compile(name: str, arguments: tuple[Any, ...], options: dict[str, Any], static: dict[str, Any]) -> Any:
    import jax

    function = getattr(import_module("gamekl.commands.computing"), name)
    lowered = jax.jit(function, static_argnames=tuple(static)).lower(*arguments, **static)
    left = list(options.items())
    while True:
        try:
            return lowered.compile(compiler_options=dict(left))
        except jax.errors.JaxRuntimeError:  # one that this XLA does not know
            if not left:
                raise
            left.pop()


def call(place: Path | None, name: str, *arguments: Any, options: dict[str, Any], **static: Any) -> dict[str, Any]:
    """Call a function of `commands.computing` as one compiled program, which is kept for the next time.

    Args:
        place: the folder of programs; None to keep none.
        name: of the function.
        arguments: numpy's arrays and numbers, or None.
        options: of XLA's compiler; where it does not know them, the last are left out.
        static: further arguments, which shape the program.

    Returns:
        What it returns, as numpy's arrays.
    """
    import jax
    import jaxlib
    import numpy as np

    program, path = None, None
    if place is not None:
        shapes = [None if entry is None else (entry.shape, entry.dtype.str) for entry in arguments]
        device = jax.devices()[0]
        told = [name, repr(shapes), repr(sorted(options.items())), repr(sorted(static.items())), __version__]
        told += [jax.__version__, jaxlib.__version__, sys.version, device.platform, device.device_kind, *_settings()]
        path = place / f"{name}-{_digest(*told, *_sources())}"
        program = _load(path)
    if program is None:
        with _without_caches() if path is not None else nullcontext():
            program = _compile(name, arguments, options, static)
        if path is not None:
            _store(path, program)
    return {key: np.asarray(value) for key, value in program(*arguments).items()}
