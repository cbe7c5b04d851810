"""Quantal response equilibria fitted to play: how rational subjects are."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.curves import PolicyCurve
from gamekl.core.status import FitStatus
from gamekl.estimation.likelihood import Likelihood
from gamekl.estimation.logit_curve import LogitCurve
from gamekl.estimation.play import Play, play_of_counts
from gamekl.estimation.qre_fit import GroupFit, QreFit
from gamekl.estimation.segments import build_segments

# The default end, times the largest range of payoffs: mistakes that cost a hundredth of it are made with odds e^-10.
FARTHEST = 1_000.0
# A likelihood that changes by less than this along the whole path tells nothing.
FLAT = 1e-9


def fit_qre(
    games: NormalFormGame | PolicyCurve | Sequence[NormalFormGame | PolicyCurve],
    play: Any,
    *,
    log_reference: Any = None,
    at_branching: str = "stay",
    max_rationality: float | int | None = None,
) -> QreFit:
    """Fit the rationality of logit quantal response equilibria to play, by maximum likelihood along the path.

    The equilibria are those on the path of each game from its references (`gamekl.trace`). Where a path folds, all of
    its stretches are looked at: at each rationality each game's play may be that of any of them.

    Args:
        games: one game or several, that the same subjects play with one rationality; or other curves of policies by
            rationality.
        play: counts, one array ``[actions_i]`` for each player; of several games a sequence of such; of groups, such as
            treatments, a mapping of labels to such: each has a rationality of its own. Or a `Play`, as `play_of_rows`
            makes it.
        log_reference: of each game in normal form what `Regularizer` takes; of several games a sequence of such;
            uniform if None.
        at_branching: "stay" on the path where other branches cross it, or "cross" onto them, as `gamekl.trace`.
        max_rationality: where to stop, 1 / payoff unit; by default 1,000 over the largest range of payoffs.

    Returns:
        The fit, a `QreFit`.

    Raises:
        TypeError: something that is no game.
        ValueError: counts that do not fit, or of actions that a reference masks, or no play in a group.

    Source: McKelvey and Palfrey, "Quantal response equilibria for normal form games" (1995); Bland and Turocy (Games
    and Economic Behavior 157, 2026) for fits along the path.
    """
    several = isinstance(games, Sequence)
    many: Sequence[Any] = games if isinstance(games, Sequence) else [games]
    if not many:
        raise ValueError("games: got none, takes at least one")
    references = log_reference if several and log_reference is not None else [log_reference] * len(many)
    if len(references) != len(many):
        raise ValueError(f"log_reference: got those of {len(references)} games, takes {len(many)}")
    curves: list[PolicyCurve] = [
        one if isinstance(one, PolicyCurve) else LogitCurve(one, reference, at_branching=at_branching)
        for one, reference in zip(many, references, strict=True)
    ]
    sizes = tuple(tuple(len(part) for part in curve.log_start) for curve in curves)
    given = play_of_counts(sizes, play, several)
    starts = np.concatenate([part for curve in curves for part in curve.log_start])
    _refuse_masked_play(given, starts)
    scale = max(curve.scale for curve in curves)
    end = max_rationality if max_rationality is not None else FARTHEST / (scale or 1.0)
    if not 0 < end < np.inf:
        raise ValueError(f"max_rationality: got {max_rationality!r}, takes a number > 0")
    eps = float(np.finfo(np.result_type(*(_dtype(one) for one in many))).eps)
    likelihood = Likelihood(build_segments(curves, end, eps))
    return QreFit(given, likelihood, tuple(_fit(likelihood, given, label) for label in given.labels))


def _dtype(game: Any) -> Any:
    return getattr(game, "dtype", np.float64)


def _refuse_masked_play(play: Play, starts: Float[np.ndarray, " cell"]) -> None:
    wrong = np.argwhere((play.counts > 0) & np.isneginf(starts))
    if len(wrong):
        row, cell = wrong[0].tolist()
        raise ValueError(
            f"play: got {play.counts[row, cell]:g} plays of {play.place(cell)}, group {play.groups[row]!r}, which its "
            "reference masks, takes 0"
        )


def _fit(likelihood: Likelihood, play: Play, label: Hashable) -> GroupFit:
    rows = play.of_group(label)
    counts = rows.sum(axis=0)
    if not counts.sum() > 0:
        raise ValueError(f"play: got no decision in group {label!r}, takes at least one")
    peaks = likelihood.peaks(counts)
    flat = FLAT * (1 + abs(float(peaks.value[0])))
    status = FitStatus.converged
    if likelihood.range(counts) <= flat:
        status, peaks = FitStatus.not_identified, peaks.first(1)
    elif likelihood.at_end(counts) >= peaks.value[0] - flat:
        status, peaks = FitStatus.no_maximizer, peaks.first(1)
    return GroupFit(label, rows, status, peaks)
