"""Whether a log of two players who choose among the same candidates tells which is better, or only who stood where.

A log may also have each pair in one order only (`check_orders`).

Preferences of candidates are the same whichever of the two stands first: P_ij, how far i is preferred where it stands
first, and P_ji sum to 1, and P_ii = 1/2. A log whose winners all stand first, or whose pairs all stand in one order,
does not have that. With n_ij rows of (i, j), a mean of 1/2 where there are none, and preferences in [0, 1], each of

    z_ij = 2 (P_ij + P_ji - 1) / sqrt(1 / n_ij + 1 / n_ji)   (i < j),     z_ii = 2 sqrt(n_ii) (P_ii - 1/2)

(1 / n is 0 of those without rows) would be sub-Gaussian with variance proxy 1, by Hoeffding's lemma; the sum S of the
squares of k of them would then exceed k x, x >= 1, with a chance of at most exp(-k (x - 1 - log x) / 2) (derived).
Rows are taken to be independent.
"""

import logging
from typing import Any

import numpy as np

from gamekl.offline.logs.log import Log

logger = logging.getLogger("gamekl")

# A log whose sides are treated alike is refused once in so many.
LEAST_CHANCE = 1e-6
# Means that differ by less, beside their size, are one number that was added up.
ROUNDING = 1e-9
MIRROR = "symmetric = true in the schema (each row counts both ways)"
WINNERS = 'outcome = "winner" beside it where the first column has the winner'


def unseen_mean(log: Log, given: float | int | None = None) -> float:
    """What a cell without rows is taken to pay: 1/2 of preferences, else what is `given`, or 0.

    Raises:
        ValueError: another number is given for preferences.
    """
    if log.preference is None:
        return 0.0 if given is None else float(given)
    if given not in (None, 0.5):
        raise ValueError(f"prior_mean: got {given:g} for a log of preferences, takes 0.5, as those of a pair sum to 1")
    return 0.5


def check_sides(log: Log) -> None:
    """Raise ``ValueError`` where a log cannot tell its actions from each other; warn where it probably does not."""
    if found := fault(log):
        raise ValueError(found)
    if ahead := _always_ahead(log):
        logger.warning(
            "%s earns more than %s in every cell, whichever of two actions it plays: right where the sides differ; but "
            "where columns are in the order of who won, takes %s",
            *ahead,
            MIRROR,
        )


def fault(log: Log) -> str | None:
    """Why a log cannot tell its actions from each other, and what is taken; None where it may."""
    return _one_sided(log) or _constant(log)


def _constant(log: Log) -> str | None:
    """Where every row of every player has the same reward."""
    statistics = log.statistics
    counts, sums = (np.asarray(entry) for entry in (statistics.counts, statistics.reward_sums))
    seen = counts > 0
    means = np.moveaxis(sums, 0 if log.contexts is None else 1, 0)[:, seen] / counts[seen]
    sizes = np.abs(means).max(axis=1)
    varied = (np.ptp(means, axis=1) > ROUNDING * sizes) | (log.noise > ROUNDING * sizes)  # the noise may be NaN
    if np.any(varied) or counts.size == 1 or (log.preference is not None and np.all(means == 0.5)):
        return None
    told = ", ".join(f"{mean:g} for {name}" for mean, name in zip(means[:, 0], log.players, strict=True))
    field = "reward" if log.preference is None else "preference"
    return (
        f"{field}: got one number in all rows ({told}), which tells no action from another; takes a column that says "
        f"who did how well, or {MIRROR}, with {WINNERS}"
    )


def _squares(log: Log) -> tuple[np.ndarray, np.ndarray, list[Any]]:
    """Counts and the first player's means, ``[context, first, second]`` over the labels of both, and those labels."""
    statistics = log.statistics
    counts = np.asarray(statistics.counts)
    sums = np.asarray(statistics.reward_sums)
    counts, sums = (counts[None], sums[None]) if log.contexts is None else (counts, sums)
    labels = list(dict.fromkeys((*log.actions[0], *log.actions[1])))
    places = {label: index for index, label in enumerate(labels)}
    cells = np.ix_(range(len(counts)), *([places[label] for label in player] for player in log.actions))
    square = np.zeros((2, len(counts), len(labels), len(labels)))
    square[0][cells], square[1][cells] = counts, sums[:, 0]
    return square[0], square[1], labels


def _are_candidates(log: Log) -> bool:
    """Whether two players have actions in common."""
    return len(log.actions) == 2 and not set(log.actions[0]).isdisjoint(log.actions[1])


def _one_sided(log: Log) -> str | None:
    """Where preferences of the two orders of candidates do not sum to 1, and the schema does not say so."""
    if log.preference is None or log.symmetric is False or not _are_candidates(log):
        return None
    counts, sums, labels = _squares(log)
    shares = np.where(counts > 0, sums / np.maximum(counts, 1), 0.5)
    inverse = np.where(counts > 0, 1 / np.maximum(counts, 1), 0)
    flipped, turned = np.swapaxes(shares, 1, 2), np.swapaxes(inverse, 1, 2)
    # Of a candidate beside itself the two orders are the same rows.
    variance = np.where(np.eye(len(labels), dtype=bool), 4 * inverse, inverse + turned)
    z = 2 * (shares + flipped - 1) / np.sqrt(np.where(variance > 0, variance, np.inf))
    z = np.triu(z)
    pairs = np.count_nonzero(np.triu(variance))
    mean = np.sum(z**2) / pairs
    if mean <= 1 or pairs * (mean - 1 - np.log(mean)) / 2 <= -np.log(LEAST_CHANCE):
        return None
    context, first, second = map(int, np.unravel_index(np.argmax(np.abs(z)), z.shape))

    def told(one: int, other: int) -> str:
        rows, share = counts[context, one, other], shares[context, one, other]
        seen = f"{share:.3g} in {rows:,.0f} rows" if rows else "1/2, of which there is no row"
        return f"{labels[one]!s} first beside {labels[other]!s}: {seen}"

    orders = dict.fromkeys([told(first, second), told(second, first)])
    return (
        f"preference: got shares that do not sum to 1 over the two orders of a pair ({'; '.join(orders)}), so that the "
        f"order of a row's candidates tells who won; takes {MIRROR}, {WINNERS}, or candidates in random order (where "
        "being first is an advantage, rewards in place of preferences)"
    )


def _always_ahead(log: Log) -> tuple[str, str] | None:
    """Who earns more than whom in every cell, some pairs of actions having been seen both ways."""
    if log.preference is not None or log.symmetric is False or not _are_candidates(log):
        return None
    counts, _, labels = _squares(log)
    both = (counts > 0) & (np.swapaxes(counts, 1, 2) > 0) & ~np.eye(len(labels), dtype=bool)
    statistics = log.statistics
    lead = -np.diff(np.asarray(statistics.reward_sums), axis=-3)[np.asarray(statistics.counts)[..., None, :, :] > 0]
    if not np.any(both) or np.any(lead[0] * lead <= 0):
        return None
    one, other = log.players
    return (one, other) if lead[0] > 0 else (other, one)


def check_orders(log: Log) -> None:
    """Raise where a log has pairs of labels in one order only, and nothing says what that means.

    Of two players that share labels, each match is then logged once, as (a, b) or as (b, a), and half of the table is
    unknown; in a symmetric game one order tells of the other. That is so where no pair of labels that both players have
    was seen in both orders, though some were seen in one; or, as in a tournament in a fixed order, each pair of all
    labels in one order. A schema that says whether the game is `symmetric` is believed.

    Args:
        log: a `Log`, as `read_log` makes it.

    Raises:
        ValueError: pairs are in one order only; the message says what to do.
    """
    if len(log.actions) != 2 or log.symmetric is not None:
        return
    counts = np.asarray(log.statistics.counts)
    labels = list(dict.fromkeys((*log.actions[0], *log.actions[1])))
    places = [[labels.index(label) for label in found] for found in log.actions]
    seen = np.zeros((len(labels), len(labels)), bool)
    seen[np.ix_(*places)] = (counts if log.contexts is None else counts.sum(axis=0)) > 0
    np.fill_diagonal(seen, False)
    once, twice = seen & ~seen.T, seen & seen.T
    shared = np.ix_(*[[place for place in places[0] if place in places[1]]] * 2)
    tournament = len(labels) > 2 and len(shared[0]) and np.all(once | once.T | np.eye(len(labels), dtype=bool))
    if tournament or (once[shared].any() and not twice[shared].any()):
        first, second = (labels[place] for place in np.argwhere(once)[0])
        pairs = f"all {int(once.sum() + twice.sum() // 2)} pairs that it has"
        raise ValueError(
            f"symmetric: got a log with ({first}, {second}) and never ({second}, {first}), and so for {pairs}, "
            "takes true in the schema for a game in which one order tells of the other, or false"
        )
