"""What a file calls a game, its players and their actions."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


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
