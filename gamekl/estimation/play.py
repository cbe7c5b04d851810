"""What subjects did: counts of actions, by game, player, group and subject."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from gamekl.core.arrays import own

Sizes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Play:
    """Counts of what was played.

    Attributes:
        sizes: of each game the number of actions of each player.
        counts: a row for each subject, or for each group where subjects are not known; a column for each game, player
            and action, in this order, shape ``[row, cell]``. They may be fractions.
        groups: the label of each row's group; rows of one group have one rationality.
        subjects: the label of each row's subject; empty where they are not known.

    Raises:
        ValueError: counts of another shape, negative, NaN or infinite, or as many labels as there are not rows.
    """

    sizes: Sizes
    counts: Float[np.ndarray, "row cell"]
    groups: tuple[Hashable, ...]
    subjects: tuple[Hashable, ...] = ()

    def __post_init__(self) -> None:
        cells = sum(map(sum, self.sizes))
        if self.counts.ndim != 2 or self.counts.shape[1] != cells:
            raise ValueError(f"counts: got shape {self.counts.shape}, takes [row, {cells}]")
        if len(self.groups) != len(self.counts) or len(self.subjects) not in (0, len(self.counts)):
            got = f"{len(self.groups)} groups and {len(self.subjects)} subjects"
            raise ValueError(f"counts: got {len(self.counts)} rows with {got}, takes one of each for each row")
        wrong = np.argwhere(~(np.isfinite(self.counts) & (self.counts >= 0)))
        if len(wrong):
            row, cell = wrong[0].tolist()
            where = f"{self.place(cell)}, group {self.groups[row]!r}"
            raise ValueError(f"counts: got {self.counts[row, cell]} of {where}, takes numbers from 0")

    def place(self, cell: int) -> str:
        """Which game, player and action a column is of."""
        for number, players in enumerate(self.sizes):
            for player, size in enumerate(players):
                if cell < size:
                    return f"game {number}, player {player}, action {cell}"
                cell -= size
        raise IndexError(cell)

    @property
    def labels(self) -> tuple[Hashable, ...]:
        """The groups, each once, in the order in which they first appear."""
        return tuple(dict.fromkeys(self.groups))

    def require_subjects(self) -> None:
        """Raise ``ValueError`` where subjects are not known."""
        if not self.subjects:
            raise ValueError("kind: got 'clustered' for play without subjects, takes play_of_rows(..., subject=...)")

    @cached_property
    def _rows(self) -> dict[Hashable, list[int]]:
        """The rows of each group."""
        found: dict[Hashable, list[int]] = {}
        for row, group in enumerate(self.groups):
            found.setdefault(group, []).append(row)
        return found

    def of_group(self, label: Hashable) -> Float[np.ndarray, "row cell"]:
        """The rows of a group, one for each of its subjects."""
        rows = self._rows[label]
        if not self.subjects:
            return self.counts[rows]
        places: dict[Hashable, int] = {}
        own_rows = [places.setdefault(self.subjects[row], len(places)) for row in rows]
        found = np.zeros((len(places), self.counts.shape[1]))
        np.add.at(found, own_rows, self.counts[rows])
        return found

    def pooled(self) -> "Play":
        """The same with one group."""
        return Play(self.sizes, self.counts, ("all",) * len(self.counts), self.subjects)


def play_of_counts(sizes: Sizes, given: Any, several: bool) -> Play:
    """The play in counts as `fit_qre` takes them: of the game, of each game, or such by group."""
    if isinstance(given, Play):
        if given.sizes != sizes:
            raise ValueError(f"play: got counts of games of {given.sizes} actions, takes {sizes}")
        return given
    by_group = given if isinstance(given, Mapping) else {"all": given}
    if not by_group:
        raise ValueError("play: got no group, takes at least one")
    rows = [_row(sizes, counts if several else [counts], group) for group, counts in by_group.items()]
    return Play(sizes, np.stack(rows), tuple(by_group))


def _row(sizes: Sizes, counts: Any, group: Hashable) -> np.ndarray:
    if not isinstance(counts, Sequence | np.ndarray) or len(counts) != len(sizes):
        got = len(counts) if hasattr(counts, "__len__") else type(counts).__name__
        raise ValueError(f"play: got {got} games in group {group!r}, takes counts of {len(sizes)}")
    row = []
    for number, (players, game) in enumerate(zip(sizes, counts, strict=True)):
        parts = [np.asarray(own("play", part), dtype=float) for part in game]
        if [part.shape for part in parts] != [(size,) for size in players]:
            shapes = [part.shape for part in parts]
            where = f"of game {number}, group {group!r}"
            raise ValueError(
                f"play: got counts of shapes {shapes} {where}, takes one [actions] array a player: {players}"
            )
        row.extend(parts)
    return np.concatenate(row)


def play_of_rows(
    games: Any,
    *,
    action: Any,
    player: Any,
    game: Any = None,
    group: Any = None,
    subject: Any = None,
    weight: Any = None,
) -> Play:
    """Counts of decisions, a row each.

    Args:
        games: the game, or a sequence of games.
        action: what was done, from 0.
        player: whose role it was, from 0.
        game: in which game, from 0; the first if None.
        group: a label, such as the treatment; decisions of one group share a rationality.
        subject: a label of who decided, for errors that allow for dependence; or None.
        weight: how much each decision counts; 1 if None.

    Raises:
        ValueError: columns of different lengths, or entries that the games do not have; it names the row.
    """
    many = games if isinstance(games, Sequence) else [games]
    sizes = tuple(tuple(one.num_actions) for one in many)
    size = len(action)
    columns = {"player": player, "game": game, "group": group, "subject": subject, "weight": weight}
    for name, column in columns.items():
        if column is not None and len(column) != size:
            raise ValueError(f"{name}: got {len(column)} rows, takes {size}, as action has")
    indices = [
        np.zeros(size, int) if column is None else _whole(name, column)
        for name, column in {"game": game, "player": player, "action": action}.items()
    ]
    starts = {}
    place = 0
    for number, players in enumerate(sizes):
        for role, count in enumerate(players):
            starts[number, role] = place, count
            place += count
    keys = list(
        zip(
            group if group is not None else ["all"] * size,
            subject if subject is not None else [None] * size,
            strict=True,
        )
    )
    rows = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    counts = np.zeros((len(rows), place))
    for row, (in_game, role, taken) in enumerate(zip(*(column.tolist() for column in indices), strict=True)):
        start, count = starts.get((in_game, role), (0, 0))
        if not 0 <= taken < count:
            got = f"action {taken} of player {role} in game {in_game}"
            raise ValueError(f"action: got {got} in row {row}, takes those of games of {sizes} actions")
        counts[rows[keys[row]], start + taken] += 1.0 if weight is None else float(weight[row])
    groups, subjects = zip(*rows, strict=True) if rows else ((), ())
    return Play(sizes, counts, groups, subjects if subject is not None else ())


def _whole(name: str, column: Any) -> np.ndarray:
    array = np.asarray(own(name, column))
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{name}: got dtype {array.dtype}, takes whole numbers from 0")
    return array
