"""A log, added up, and what it covers."""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from gamekl.core.games import ContextualGame, NormalFormGame
from gamekl.core.names import Label, Names, distinct
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import Shown, show
from gamekl.offline.behavior import concentrability
from gamekl.offline.statistics import ContextualStatistics, Statistics


class LogCoverage(NamedTuple):
    """How well a log covers its cells and the deviations from two references, before anything is solved.

    Attributes:
        fewest: rows of the rarest cell.
        median: rows of the middle one.
        most: rows of the commonest one.
        missing: the cells that the log never saw, shape ``[*stage, *actions]``.
        of_behavior: unilateral concentrability of the product of the behavior's marginals under the log's frequencies
            (deviations stay on actions that it plays), dimensionless; of contexts the worst.
        of_uniform: the same of uniform play; infinite where a cell is missing.
    """

    fewest: float
    median: float
    most: float
    missing: Bool[np.ndarray, "*cells"]
    of_behavior: float
    of_uniform: float
    __repr__ = show


class Log(Shown):
    """A log, added up; float64 on the host whatever jax's x64 mode is.

    Attributes:
        groups: `Statistics` or `ContextualStatistics` with a leading axis ``[group]``, disjoint parts of the log; those
            without rows are left out.
        noise: standard deviation of the rewards of each player around their cell's mean, shape ``[player]``, payoff
            units; NaN where no cell has two rows.
        players: what they are called.
        actions: the labels of each player's actions, in the order of the tables.
        contexts: the labels of the contexts, or None.
        num_rows: how many rows there are, those of weight 0 left out; in the long layout matches.
        num_plays: for how many plays they stand: the sum of their weights.
        weight: the column of weights, or None.
        group: the column whose values keep rows together, which in the long layout may be that of matches; or None.
        num_values: how many values it has, 65,536 where there are more; None without it.
        preference: the column from which the rewards p and 1 - p come, the first one of several; or None.
        symmetric: what the schema says of it. If true the statistics have each play twice, as (a, b) and as (b, a).
    """

    groups: Any
    noise: Float[np.ndarray, " player"]
    players: tuple[str, ...] = eqx.field(static=True)
    actions: tuple[tuple[Label, ...], ...] = eqx.field(static=True)
    contexts: tuple[Label, ...] | None = eqx.field(static=True)
    num_rows: int = eqx.field(static=True)
    num_plays: float = eqx.field(static=True)
    weight: str | None = eqx.field(static=True)
    group: str | None = eqx.field(static=True)
    num_values: int | None = eqx.field(static=True)
    symmetric: bool | None = eqx.field(static=True)
    preference: str | None = eqx.field(static=True, default=None)

    @property
    def names(self) -> Names:
        """Players, actions and contexts as texts, for games that are estimated from the log."""
        contexts = () if self.contexts is None else distinct(map(str, self.contexts))
        return Names(self.players, tuple(distinct(map(str, own)) for own in self.actions), "", contexts)

    @property
    def num_groups(self) -> int:
        """How many groups have rows."""
        return len(self.groups.counts)

    @property
    def statistics(self) -> Statistics | ContextualStatistics:
        """The counts and reward sums of the whole log, its groups added up."""
        return jax.tree.map(lambda leaf: leaf.sum(axis=0), self.groups)

    @property
    def behavior(self) -> Float[np.ndarray, "*cells"]:
        """How often each joint action was played, ``[*actions]`` or ``[context, *actions]``.

        In a context without rows it is uniform.
        """
        counts = self.statistics.counts
        actions = tuple(range(-len(self.actions), 0))
        totals = counts.sum(axis=actions, keepdims=True)
        uniform = 1 / math.prod(map(len, self.actions))
        return np.where(totals > 0, counts / np.where(totals > 0, totals, 1), uniform)

    @property
    def marginals(self) -> tuple[Float[np.ndarray, "*stage _"], ...]:
        """How often each player played its actions, one array ``[actions_i]`` or ``[context, actions_i]`` for each."""
        joint, axes = self.behavior, range(-len(self.actions), 0)
        return tuple(joint.sum(axis=tuple(other for other in axes if other != axis)) for axis in axes)

    def coverage(self) -> LogCoverage:
        """Measure how well the log covers its cells, and the deviations from its marginals and from uniform play."""
        counts = np.asarray(self.statistics.counts)
        with jax.enable_x64(True):
            found = [float(entry) for entry in _concentrability(counts, self.behavior, self.marginals)]
        fewest, median, most = np.quantile(counts, [0, 0.5, 1])
        return LogCoverage(float(fewest), float(median), float(most), np.equal(counts, 0), *found)


def _concentrability(counts: np.ndarray, behavior: np.ndarray, marginals: tuple[np.ndarray, ...]) -> list[Any]:
    """The unilateral concentrability of the product of the marginals, and of uniform play."""
    players = len(marginals)
    if counts.ndim > players:
        visits = counts.sum(axis=tuple(range(1, counts.ndim)))
        nothing = jnp.zeros((len(counts), players, *counts.shape[1:]))
        game = ContextualGame(nothing, jnp.asarray(visits / visits.sum()))
    else:
        game = NormalFormGame(jnp.zeros((players, *counts.shape)))
    anchor = Regularizer([jnp.log(jnp.asarray(entry)) for entry in marginals], 1.0)
    anchors = (anchor, Regularizer.uniform(game, 1.0))
    return [concentrability(game, behavior, one.log_reference, regularizer=one) for one in anchors]
