"""Samples of estimates: what else might have been estimated, had chance gone another way."""

from collections.abc import Hashable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gamekl.core.validation import check_key
from gamekl.estimation.qre_fit import GroupFit, QreFit, check_level
from gamekl.solvers.solution import whole_number

# Totals of roles are this near to whole numbers, or the number of decisions to be drawn is not known.
WHOLE = 1e-6


class Bootstrap(NamedTuple):
    """Estimates of drawn play, an entry for each sample and group.

    Attributes:
        labels: of the groups.
        rationality: the estimates, 1 / payoff unit, shape ``[sample, group]``; infinite where ``unbounded``.
        log_likelihood: the largest of each sample, likewise.
        unbounded: whether the likelihood of a sample rises to the end of the path, likewise.
    """

    labels: tuple[Hashable, ...]
    rationality: Float[np.ndarray, "sample group"]
    log_likelihood: Float[np.ndarray, "sample group"]
    unbounded: Bool[np.ndarray, "sample group"]

    def interval(self, level: float = 0.95) -> tuple[tuple[float, float], ...]:
        """Of each group the percentiles that leave out the same share on both sides, unbounded samples counted."""
        check_level(level)
        shares = [(1 - level) / 2, (1 + level) / 2]
        # Of neighbours the one nearer to the middle has to be there: between them there may be infinity.
        ends = [
            np.quantile(self.rationality, share, axis=0, method=way)
            for share, way in zip(shares, ("lower", "higher"), strict=True)
        ]
        return tuple((float(low), float(high)) for low, high in zip(*ends, strict=True))


def bootstrap(
    fit: QreFit, key: Array, *, num_samples: int = 1_000, kind: Literal["parametric", "clustered"] = "parametric"
) -> Bootstrap:
    """Draw play again and fit it, many times.

    Args:
        fit: of `fit_qre`.
        key: a jax random key.
        num_samples: how many times; ten thousand take about a second.
        kind: "parametric": each role's decisions are drawn from the policies fitted, as many as there were.
            "clustered": subjects are drawn with replacement, with all that they did.

    Returns:
        The estimates. What they spread around is the fit, not the truth.

    Raises:
        TypeError: no jax random key.
        ValueError: an unknown kind; "clustered" without subjects; or "parametric" where a role's counts do not sum to a
            whole number.
    """
    check_key(key)
    number = whole_number("num_samples", num_samples)
    if kind not in ("parametric", "clustered"):
        raise ValueError(f"kind: got {kind!r}, takes 'parametric' or 'clustered'")
    if kind == "clustered":
        fit.play.require_subjects()
    random = np.random.default_rng(np.asarray(jax.random.bits(key, (4,), dtype=jnp.uint32)))
    found = []
    for group, policies in zip(fit.groups, fit.policies, strict=True):
        rows = (
            _subjects(group, number, random)
            if kind == "clustered"
            else _decisions(fit, group, policies, number, random)
        )
        found.append(fit.likelihood.maximize(rows))
    rationality = np.stack([one.rationality for one in found], axis=1)
    unbounded = fit.likelihood.segments.is_end(rationality)
    values = np.stack([one.value for one in found], axis=1)
    return Bootstrap(fit.labels, np.where(unbounded, np.inf, rationality), values, unbounded)


def _subjects(group: GroupFit, number: int, random: np.random.Generator) -> Float[np.ndarray, "sample cell"]:
    size = len(group.rows)
    times = random.multinomial(size, np.full(size, 1 / size), size=number)
    return times @ group.rows


def _decisions(
    fit: QreFit, group: GroupFit, policies: tuple[tuple[np.ndarray, ...], ...], number: int, random: np.random.Generator
) -> Float[np.ndarray, "sample cell"]:
    parts, start = [], 0
    for policy in (own for game in policies for own in game):
        total = float(group.counts[start : start + len(policy)].sum())
        if abs(total - round(total)) > WHOLE:
            raise ValueError(f"play: got {total:g} decisions of {fit.play.place(start)}, takes a whole number of them")
        # What rounding leaves of a sum of probabilities is the likeliest action's.
        shares = policy / policy.sum()
        parts.append(random.multinomial(round(total), shares, size=number))
        start += len(policy)
    return np.concatenate(parts, axis=1).astype(float)
