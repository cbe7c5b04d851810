"""Which supports of several players may have an equilibrium."""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float

# A player's actions, by number.
Actions = tuple[int, ...]


def num_profiles(sizes: Sequence[int]) -> int:
    """How many profiles of supports there are."""
    return math.prod(2**size - 1 for size in sizes)


def _survivors(table: Float[np.ndarray, "_ ..."], candidates: Actions, others: Sequence[Actions]) -> tuple[int, ...]:
    """The candidates than which no own action is better against each profile of the others' actions."""
    seen = table[np.ix_(range(len(table)), *others)].reshape(len(table), -1)
    return tuple(action for action in candidates if not np.any(np.all(seen > seen[action], axis=1)))


def _reduced(
    tables: Sequence[Float[np.ndarray, "_ ..."]], domains: Sequence[Actions], num_chosen: int
) -> tuple[Actions, ...] | None:
    """Domains without actions that are conditionally dominated; None if a chosen one is, or none is left.

    Args:
        tables: each player's payoffs, its own actions first, then the others' in their order.
        domains: actions that each player may use; of the first players, which have chosen, those that it does.
        num_chosen: how many have.
    """
    domains = list(domains)
    changed = True
    while changed:
        changed = False
        for player, (table, domain) in enumerate(zip(tables, domains, strict=True)):
            left = _survivors(table, domain, domains[:player] + domains[player + 1 :])
            if len(left) < len(domain):
                if player < num_chosen or not left:
                    return None
                domains[player], changed = left, True
    return tuple(domains)


def supports(tables: Sequence[Float[np.ndarray, "_ ..."]]) -> Iterator[tuple[Actions, ...]]:
    """The profiles of supports in which no action is conditionally dominated: strictly, given what the others may use.

    One player's support is chosen after the other, and what is dominated given those chosen goes before the next is.

    Args:
        tables: each player's payoffs, its own actions first, then the others' in their order.

    Source: Porter, Nudelman and Shoham, "Simple search methods for finding a Nash equilibrium" (2008), without their
    order of sizes, as all are wanted.
    """

    def choose(domains: tuple[Actions, ...], player: int) -> Iterator[tuple[Actions, ...]]:
        left = _reduced(tables, domains, player)
        if left is None:
            return
        if player == len(tables):
            yield left
            return
        for size in range(1, len(left[player]) + 1):
            for support in combinations(left[player], size):
                yield from choose((*left[:player], support, *left[player + 1 :]), player + 1)

    yield from choose(tuple(tuple(range(len(table))) for table in tables), 0)
