"""The reduced strategic form of a game tree, exactly.

A strategy of a player takes an action in each information set that the player's own moves lead to; what it would do
elsewhere is left open, so that strategies that differ only there are one. They are in Gambit's order: as a walk through
the tree, depth first, first meets the player's sets, the last of them running fastest.

A player's *own history* is what the player did on the way to a node, set by set. The player's set is met once for each
own history that leads to it: once in all with perfect recall, which is not needed here.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import lcm, log10, prod

import numpy as np

from gamekl.games.files.limits import MAX_LOG, MAX_STRATEGIES, MAX_VISITS, refuse

MAX_STEPS = 1 << 25
MAX_SCALE_BITS = 1 << 12
EXACT = 1 << 53  # integers up to this are floats

Leaves = Mapping[tuple[int, ...], Sequence[Fraction]]


class _Grown:
    """Strategies as they split: the leaves of a tree of their own, each of whose nodes took an action in a set.

    Attributes:
        leaves: the last node of each strategy, 0 for none yet, in order.
        rows: what else is known of each strategy.
    """

    def __init__(self) -> None:
        self.leaves = np.zeros(1, dtype=np.int64)
        self.rows: dict[tuple[str, int], np.ndarray] = {}
        self._count = 1
        self._nodes: list[tuple[np.ndarray, int, int]] = []  # the nodes before some, their set, its number of actions

    def split(self, open_: np.ndarray, place: int, size: int) -> None:
        """Put in place of each of some strategies one for each action in a set."""
        if size > 1:
            times = np.where(open_, size, 1)
            self.leaves, open_ = np.repeat(self.leaves, times), np.repeat(open_, times)
            for key, values in self.rows.items():
                self.rows[key] = np.repeat(values, times)
        before = self.leaves[open_]
        self._nodes.append((before, place, size))
        self.leaves[open_] = self._count + np.arange(len(before))
        self.rows["set", place][open_] = np.arange(len(before)) % size
        self._count += len(before)

    def choices(self, sets: int) -> np.ndarray:
        """What each strategy does, shape ``[set, strategy]``; -1 where it does nothing."""
        befores = np.concatenate([np.zeros(1, dtype=np.int64), *(before for before, _, _ in self._nodes)])
        lengths = [len(before) for before, _, _ in self._nodes]
        places = np.concatenate([[0], np.repeat([place for _, place, _ in self._nodes], lengths)]).astype(np.int32)
        actions = np.concatenate([[0], *(np.arange(len(before)) % size for before, _, size in self._nodes)])
        choices = np.full((sets, len(self.leaves)), -1, dtype=np.int32)
        strategies, nodes = np.arange(len(self.leaves)), self.leaves
        while len(nodes := nodes[more := nodes > 0]):
            strategies = strategies[more]
            choices[places[nodes], strategies] = actions[nodes]
            nodes = befores[nodes]
        return choices


class Moves:
    """What one player may do in a tree.

    Attributes:
        sets: the names of the actions in each of the player's information sets, in the order of their first nodes.
    """

    def __init__(self) -> None:
        """A player who has nothing to do yet; own history 0 is that of the root."""
        self.sets: list[tuple[str, ...]] = []
        self._visits: dict[tuple[int, int], None] = {}  # own history and set, in the order of their first nodes
        self._after: dict[tuple[int, int, int], int] = {}  # own history, set and action: the own history that follows
        self._before: list[tuple[int, int, int]] = [(0, -1, -1)]
        self._depths = [0]

    def visit(self, history: int, place: int) -> list[int]:
        """Enter a node of set `place` that own history leads to, and return the own histories its actions lead to."""
        self._visits.setdefault((history, place))
        return [self._follow((history, place, action)) for action in range(len(self.sets[place]))]

    def _follow(self, move: tuple[int, int, int]) -> int:
        history = self._after.setdefault(move, len(self._before))
        if history == len(self._before):
            self._before.append(move)
            self._depths.append(self._depths[move[0]] + 1)
        return history

    @property
    def recalls(self) -> bool:
        """Whether the player has perfect recall."""
        return len(self._visits) == len(self.sets)

    def count(self) -> int:
        """How many strategies there are, without making them; without perfect recall, at least one."""
        if not self.recalls:
            return 1
        counts = [1] * len(self._before)
        for history, place in reversed(self._visits):
            actions = range(len(self.sets[place]))
            total = sum(counts[self._after[history, place, action]] for action in actions)
            counts[history] = min(counts[history] * total, 10 ** (MAX_LOG + 1))
        return counts[0]

    def choices(self, limit: int) -> np.ndarray:
        """The action that each strategy takes, -1 where its own moves never lead, shape ``[set, strategy]``.

        Raises:
            ValueError: there are more than `limit`, or it would take too long to make them.
        """
        steps = sum(1 if self.recalls else 1 + self._depths[history] for history, _ in self._visits)
        last: dict[tuple[str, int], int] = {}  # until when it must be known who follows a history, and acts in a set
        for index, (history, place) in enumerate(self._visits):
            last["history", history] = last["set", place] = index
        grown = _Grown()
        rows = grown.rows
        rows["history", 0] = np.ones(1, dtype=bool)
        for index, (history, place) in enumerate(self._visits):
            size = len(self.sets[place])
            if ("set", place) not in rows:
                rows["set", place] = np.full_like(grown.leaves, -1)
            open_ = rows["history", history] & (rows["set", place] < 0)
            count = len(open_) + (size - 1) * int(np.count_nonzero(open_))
            if count > limit:
                raise ValueError(f"efg: got a player who forgets with more than {limit} strategies, takes at most that")
            if count * steps > MAX_STEPS:
                raise ValueError(f"efg: got {count} strategies of {steps} moves, takes at most {MAX_STEPS} in all")
            grown.split(open_, place, size)
            for action in range(size):
                after = self._after[history, place, action]
                if last.get(("history", after), -1) > index:
                    rows["history", after] = rows["history", history] & (rows["set", place] == action)
            for key in (("history", history), ("set", place)):
                if last[key] == index:
                    del rows[key]
        return grown.choices(len(self.sets))

    def follows(self, choices: np.ndarray, history: int) -> np.ndarray:
        """Which strategies do what the own history says, shape ``[strategy]``."""
        mask = np.ones(choices.shape[1], dtype=bool)
        while history:
            history, place, action = self._before[history]
            mask &= choices[place] == action
            if self.recalls:  # the action is taken only where what comes before it was
                break
        return mask

    def labels(self, choices: np.ndarray) -> list[str]:
        """The strategies in words: the actions that they take, set by set."""
        taken = [[(*names, None)[action] for action in row] for names, row in zip(self.sets, choices, strict=True)]
        columns = zip(*taken, strict=True) if taken else [()]
        return ["/".join(name for name in column if name is not None) or "*" for column in columns]


def strategic_form(movers: Sequence[Moves], leaves: Leaves, nodes: int) -> tuple[np.ndarray, list[list[str]]]:
    """The payoffs ``[player, *strategies]``, each the nearest float, and what the strategies do.

    Args:
        movers: the players.
        leaves: what the tree pays each player at its ends, times the chance of what nature does on the way, summed over
            the ends with the same own histories of all players.
        nodes: of the tree.

    Raises:
        ValueError: too many strategies, which are counted before any is made; or a payoff beyond the largest float.
    """
    counts = [mover.count() for mover in movers]
    refuse("efg", "a tree", [log10(count) for count in counts], nodes)
    choices = []
    for player, mover in enumerate(movers):
        others = prod(counts[:player]) * prod(counts[player + 1 :])
        choices.append(mover.choices(MAX_STRATEGIES // others))
        counts[player] = choices[-1].shape[1]
    rows = [
        {history: np.flatnonzero(mover.follows(taken, history)) for history in {leaf[player] for leaf in leaves}}
        for player, (mover, taken) in enumerate(zip(movers, choices, strict=True))
    ]
    cells = [[own[history] for own, history in zip(rows, leaf, strict=True)] for leaf in leaves]
    payoffs = _summed(cells, list(leaves.values()), counts)
    return payoffs, [mover.labels(taken) for mover, taken in zip(movers, choices, strict=True)]


def _summed(cells: list[list[np.ndarray]], values: list[Sequence[Fraction]], sizes: list[int]) -> np.ndarray:
    """Each leaf's values, added up over the joint strategies that reach it."""
    visits = sum(prod(map(len, cell)) for cell in cells)
    if visits > MAX_VISITS:
        raise ValueError(f"efg: got joint strategies that reach {visits} ends, takes at most {MAX_VISITS}")
    # Where every joint strategy reaches one leaf, nothing is added; else over the common denominator.
    scale = 1 if visits == prod(sizes) else lcm(*(value.denominator for entry in values for value in entry))
    if scale.bit_length() > MAX_SCALE_BITS:
        raise ValueError(
            f"efg: got a common denominator of more than {MAX_SCALE_BITS} binary digits, takes a smaller one"
        )
    whole = [[value * scale for value in entry] for entry in values]
    largest = max(scale, *(sum(abs(entry[player]) for entry in whole) for player in range(len(sizes))))
    dtype = float if scale == 1 or largest < EXACT else object
    payoffs = np.zeros((len(sizes), *sizes), dtype=dtype)
    try:
        for cell, entry in zip(cells, whole, strict=True):
            numbers = [float(value) if dtype is float else int(value) for value in entry]
            payoffs[:, *np.ix_(*cell)] += np.array(numbers, dtype=dtype).reshape(-1, *[1] * len(sizes))
        return (payoffs / scale).astype(float)
    except OverflowError:
        raise ValueError(f"payoffs: got one beyond {np.finfo(float).max:.3g}, takes finite numbers") from None
