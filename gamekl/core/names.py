"""What a game, its players and their actions are called."""

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

N = TypeVar("N")
# Of an action or a context, as a log or a schema has it.
Label = int | str


@dataclass(frozen=True, init=False)
class Names:
    """The names in a game, as they are to be printed.

    Attributes:
        players: one each, all different; of a symmetric game one, for the role that all of them have.
        actions: each player's, one for each action; a player's differ from each other.
        title: of the game, maybe empty.
        contexts: of a contextual game, one each, all different; or none.

    Raises:
        ValueError: names that are no texts, or that repeat.
    """

    players: tuple[str, ...]
    actions: tuple[tuple[str, ...], ...]
    title: str = ""
    contexts: tuple[str, ...] = ()

    def __init__(self, players: Any, actions: Any, title: str = "", contexts: Any = ()) -> None:
        """Take any sequences."""
        if isinstance(actions, str) or not isinstance(actions, Iterable):
            raise ValueError(f"actions: got {actions!r}, takes the names of each player's actions")
        own = tuple(_texts(f"actions[{player}]", entry) for player, entry in enumerate(actions))
        told = {"players": _texts("players", players), "actions": own, "title": title}
        for name, value in (told | {"contexts": _texts("contexts", contexts)}).items():
            object.__setattr__(self, name, value)

    @classmethod
    def of_numbers(cls, num_actions: Sequence[int]) -> "Names":
        """The names of a game that has none."""
        return cls(
            tuple(f"player {number}" for number in numbered(len(num_actions))), tuple(map(numbered, num_actions))
        )

    def check(self, num_actions: Sequence[int], num_contexts: int | None = None) -> None:
        """Raise ``ValueError`` unless there is a name for each player and action of a game, and of its contexts."""
        got = list(map(len, self.actions))
        if got != list(num_actions) or len(self.players) != len(got):
            raise ValueError(f"names: got {len(self.players)} players of {got} actions, takes {list(num_actions)}")
        if self.contexts and len(self.contexts) != num_contexts:
            takes = "none" if num_contexts is None else f"{num_contexts}, or none"
            raise ValueError(f"names: got {len(self.contexts)} contexts, takes {takes}")

    def arrays(self) -> dict[str, tuple[str, ...]]:
        """The names as they are saved: ``players``, ``actions_0``, ..., and ``title`` and ``contexts`` if there are."""
        more = {"title": (self.title,) if self.title else (), "contexts": self.contexts}
        actions = {f"actions_{player}": own for player, own in enumerate(self.actions)}
        return {"players": self.players, **actions, **{name: told for name, told in more.items() if told}}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Any]) -> "Names | None":
        """The names that `arrays` made; None where there are none.

        Raises:
            ValueError: a player's actions are missing, or names repeat.
        """
        if "players" not in arrays:
            return None
        players = _saved("players", arrays)
        actions = tuple(_saved(f"actions_{player}", arrays) for player in range(len(players)))
        title, contexts = (_saved(name, arrays) if name in arrays else () for name in ("title", "contexts"))
        return cls(players, actions, "".join(title), contexts)


def _texts(field: str, names: Any) -> tuple[str, ...]:
    """The names, all of them different."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise ValueError(f"{field}: got {names!r}, takes a sequence of names")
    told = tuple(names)
    if other := [name for name in told if not isinstance(name, str)]:
        raise ValueError(f"{field}: got {other[0]!r}, takes names that are texts")
    if len(set(told)) < len(told):
        (name, times), *_ = Counter(told).most_common(1)
        raise ValueError(f"{field}: got {name!r} {times} times, takes names that differ")
    return told


def _saved(field: str, arrays: Mapping[str, Any]) -> tuple[str, ...]:
    """An array of names, or of numbers that stand for them."""
    entry = arrays.get(field)
    if entry is None or entry.dtype.kind not in "Uiu" or entry.ndim != 1:
        got = "none" if entry is None else f"{entry.dtype} {entry.shape}"
        raise ValueError(f"{field}: got {got}, takes an array of names")
    return tuple(map(str, entry.tolist()))


class Named:
    """Room for names that are no part of an object's fields: for jax, games that differ in names only are of one type.

    Names stay with the object. What is made of it has none, be it by jax, by `copy` or by `pickle`.
    """

    __slots__ = ("_names",)

    @property
    def names(self) -> Names | None:
        """What the players and their actions are called, by the file or the log behind it; None without names."""
        return getattr(self, "_names", None)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__


def named(made: N, names: Names | None) -> N:
    """What was just made, with these names, if there are any."""
    if names is not None:
        object.__setattr__(made, "_names", names)
    return made


def names_of(*objects: Any) -> Names | None:
    """The names that all of them have; None where they differ, but for the title, which is then left out."""
    first = getattr(objects[0], "names", None) if objects else None
    if not isinstance(first, Names):
        return None
    others = [entry.names for entry in objects[1:]]
    if None in others:
        return None
    if all(other is first or other == first for other in others):
        return first
    bare = replace(first, title="")
    return bare if all(replace(other, title="") == bare for other in others) else None


def printed_names(names: Iterable[str]) -> tuple[str, ...]:
    """The names on one line each, and still all different."""
    return distinct(name if name.isprintable() else name.encode("unicode_escape").decode() for name in names)


def distinct(names: Iterable[str]) -> tuple[str, ...]:
    """The names, with numbers at those that are empty or repeated, as Gambit does: a, a becomes a_1, a_2."""
    names = list(names)
    counts, used = Counter(names), set(names)
    numbers: Counter[str] = Counter()
    spelled = []
    for name in names:
        if counts[name] > 1 or not name:
            bare = name
            while name in used:
                numbers[bare] += 1
                name = f"{bare}_{numbers[bare]}"
            used.add(name)
        spelled.append(name)
    return tuple(spelled)


def numbered(count: int) -> tuple[str, ...]:
    """Names where there are none: 1, 2, ..."""
    return tuple(map(str, range(1, count + 1)))


def meant(got: Any, known: Iterable[str]) -> str | None:
    """The one of the known names that was probably meant."""
    return next(iter(difflib.get_close_matches(got.lower(), known, n=1)), None) if isinstance(got, str) else None
