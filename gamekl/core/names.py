"""What a file calls a game, its players and their actions."""

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

# Of an action or a context, as a log or a schema has it.
Label = int | str


@dataclass(frozen=True)
class Names:
    """The names in a game, as they are to be printed.

    Attributes:
        players: one each, all different.
        actions: each player's, one for each action; a player's differ from each other.
        title: of the game, maybe empty.
    """

    players: tuple[str, ...]
    actions: tuple[tuple[str, ...], ...]
    title: str = ""

    def check(self, num_actions: Sequence[int]) -> None:
        """Raise ``ValueError`` unless there is a name for each player and action of a game."""
        got = list(map(len, self.actions))
        if got != list(num_actions) or len(self.players) != len(got):
            raise ValueError(f"names: got {len(self.players)} players of {got} actions, takes {list(num_actions)}")


class Named:
    """Room for names that are no part of a game's fields: for jax, games that differ in names only are of one type.

    Names stay with the object. What is made of it has none, be it by jax, by `copy` or by `pickle`.
    """

    __slots__ = ("_names",)

    @property
    def names(self) -> Names | None:
        """What the file that the game was read from calls its players and actions; None if there are no names."""
        return getattr(self, "_names", None)

    def set_names(self, names: Names) -> None:
        """Give names to an object that is frozen but for these."""
        object.__setattr__(self, "_names", names)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__


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


def numbered_names(num_actions: Sequence[int]) -> Names:
    """Names of a game without any: player 1, player 2, ..., and numbers for actions."""
    return Names(tuple(f"player {number}" for number in numbered(len(num_actions))), tuple(map(numbered, num_actions)))


def meant(got: Any, known: Iterable[str]) -> str | None:
    """The one of the known names that was probably meant."""
    return next(iter(difflib.get_close_matches(got.lower(), known, n=1)), None) if isinstance(got, str) else None
