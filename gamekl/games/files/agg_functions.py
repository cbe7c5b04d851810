"""What function nodes of action graphs make of the action nodes that lead to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

MAX_WAYS = 1 << 20  # times weights and players it is an integer of 64 bits
NONE = 1 << 40  # beyond all weights


@dataclass(frozen=True)
class Function:
    """A function of the players' actions, each of which contributes alone.

    Attributes:
        kind: as in the file: 0 their sum, 1 whether there are any, 2 the highest and 3 the lowest; 10 to 13 the same of
            weights.
        default: of 2, 3, 12 and 13 where no action leads here; of 10 and 11 what each player adds besides.
        weights: one for each action node, of 10 to 13.
    """

    kind: int = 0
    default: int = 0
    weights: tuple[int, ...] = ()

    def of_one(self, action: int, ways: Mapping[int, int]) -> int:
        """What one player's action alone comes to, where each action leads here by so many ways."""
        count = ways.get(action, 0)
        match self.kind:
            case 0 | 1:
                total = count
            case 10 | 11:
                total = self.default + count * self.weights[action]
            case 2 | 3:
                return action if count else self.default
            case _:
                return self.weights[action] if count else self.default
        return total if self.kind in (0, 10) else int(total > 0)

    def of_all(self, each: Sequence[np.ndarray]) -> np.ndarray:
        """What all the players' actions come to, of arrays that broadcast."""
        if self.kind in (0, 10):
            return reduce(np.add, each)
        if self.kind in (1, 11):
            return reduce(np.maximum, each)
        better, none = (np.maximum, -NONE) if self.kind in (2, 12) else (np.minimum, NONE)
        found = reduce(better, [np.where(entry == self.default, none, entry) for entry in each])
        return np.where(found == none, self.default, found)


def ancestors(neighbours: Sequence[Sequence[int]], functions: Sequence[Function]) -> list[dict[int, int]]:
    """For each function node, by how many ways each action node leads to it.

    Raises:
        ValueError: function nodes lead round in a circle, or to one of another function, or by too many ways.
    """
    actions = len(neighbours) - len(functions)
    found: list[dict[int, int] | None] = [None] * len(functions)
    for start in range(len(functions)):
        stack, open_ = [start], {start}
        while stack:
            node = stack[-1]
            below = [entry - actions for entry in neighbours[actions + node] if entry >= actions]
            wrong = next((entry for entry in below if functions[entry] != functions[node]), None)
            if wrong is not None:
                raise ValueError(f"agg: got functions {actions + wrong} and {actions + node} in a row, takes one kind")
            waiting = [entry for entry in below if found[entry] is None]
            if found[node] is None and waiting:
                if waiting[0] in open_:
                    raise ValueError(f"agg: got function {actions + waiting[0]} that leads to itself, takes no circles")
                stack.append(waiting[0])
                open_.add(waiting[0])
                continue
            if found[node] is None:
                found[node] = _ways(neighbours[actions + node], actions, found)
            open_.discard(stack.pop())
    return [ways or {} for ways in found]


def _ways(neighbours: Sequence[int], actions: int, found: Sequence[dict[int, int] | None]) -> dict[int, int]:
    ways: dict[int, int] = {}
    for entry in neighbours:
        for action, count in ({entry: 1} if entry < actions else found[entry - actions] or {}).items():
            ways[action] = ways.get(action, 0) + count
    if max(ways.values(), default=0) >= MAX_WAYS:
        raise ValueError(f"agg: got an action that leads to a function by {MAX_WAYS} ways or more, takes fewer")
    return ways
