"""The equations of a profile of supports: players are indifferent among the actions that they use."""

from collections.abc import Iterator, Sequence

import numpy as np

from gamekl.solvers.exact.many.candidates import Candidate, judged
from gamekl.solvers.exact.many.exactly import ExactGame
from gamekl.solvers.exact.many.roots import EPS, Roots
from gamekl.solvers.exact.many.supports import Actions

Supports = tuple[Actions, ...]


def system_of(differences: Sequence[np.ndarray], support: Supports) -> np.ndarray:
    """The rows of one profile of supports, ``[row, *actions]``, as of `System`."""
    equations, others = [], []
    for player, (more, own) in enumerate(zip(differences, support, strict=True)):
        rest = support[:player] + support[player + 1 :]
        rows = np.expand_dims(more[own[0]][np.ix_(range(more.shape[1]), *rest)], player + 1)
        rows = np.broadcast_to(rows, (len(rows), *map(len, support)))
        equations += [rows[action] for action in own[1:]]
        others += [rows[action] for action in range(len(rows)) if action not in own]
    rows = np.stack(equations + others) if equations or others else np.zeros((0, *map(len, support)))
    flat = np.abs(rows).max(axis=tuple(range(1, rows.ndim)), initial=0)
    return rows / np.where(flat > 0, flat, 1).reshape(-1, *(1,) * len(support))


def whole(policy: Sequence[np.ndarray], support: Supports, num_actions: Sequence[int]) -> tuple[np.ndarray, ...]:
    """Policies over supports as policies over all actions."""
    every = tuple(np.zeros(size) for size in num_actions)
    for own, actions, shares in zip(every, support, policy, strict=True):
        own[list(actions)] = shares
    return every


def from_roots(
    game: ExactGame, roots: Roots, profiles: Sequence[Supports], num_actions: Sequence[int]
) -> Iterator[Candidate]:
    """The candidates among roots: those whose shares may be >= 0, and with no action that is surely better."""
    doubt = roots.error * 2.2 * sum(len(own) - 1 for own in profiles[0]) + 64 * EPS * sum(map(len, profiles[0]))
    error = np.max([roots.error * max(1, len(own) - 1) for own in profiles[0]], axis=0)
    least = np.min([own.min(axis=1) for own in roots.policy], axis=0)
    most = roots.others.max(axis=1, initial=-np.inf)
    for number in np.flatnonzero((least >= -error) & (most <= doubt)):
        regular = bool(least[number] > error[number] and most[number] < -doubt[number])
        policy = whole([own[number] for own in roots.policy], profiles[roots.system[number]], num_actions)
        yield judged(game, policy, float(error[number]), regular)
