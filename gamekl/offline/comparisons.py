"""Comparisons of candidates: how often one was preferred to another, and what preference that shows.

With w_ij the times that candidate i was preferred to j (a tie counts half for each), n_ij = w_ij + w_ji and a
smoothing s >= 0,

    estimated preference    P_ij = (w_ij + s) / (n_ij + 2 s),    P_ii = 1/2,    P + P^T = 1.

n rows that compare pairs (i, j) ~ behavior, i being preferred with probability P_ij, enter through w alone: n_ij is
multinomial, and given it w_ij is Binomial(n_ij, P_ij). So 10^12 rows cost what ten cost.
"""

import logging
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.arrays import as_float_array
from gamekl.core.policies import is_concrete
from gamekl.core.show import Shown
from gamekl.core.validation import (
    check_distribution,
    check_finite,
    check_nonnegative,
    check_preferences,
    check_whole,
    refuse,
)
from gamekl.offline.draws import draw_rows, sample_counts, sample_sums

logger = logging.getLogger("gamekl")


class Comparisons(Shown):
    """How often each candidate was preferred to each other, prompt by prompt.

    Attributes:
        wins: w_ij, how often i was preferred to j, shape ``[*prompt, candidate, candidate]``, numbers >= 0; 0 where
            i = j.

    Raises:
        ValueError: the shape is another, or (on concrete arrays) an entry is negative, not finite, or of a candidate
            that was compared to itself.
    """

    wins: Float[Array, "*prompt preferred other"] = eqx.field(converter=lambda value: as_float_array("wins", value))

    def __check_init__(self) -> None:
        shape = self.wins.shape
        if len(shape) < 2 or shape[-1] != shape[-2] or min(shape) < 1 or shape[-1] < 2:
            raise ValueError(f"wins: got shape {shape}, takes [*prompt, candidate, candidate], at least two candidates")
        if is_concrete(self.wins):
            wins = np.asarray(self.wins)
            check_finite("wins", wins)
            refuse("wins", wins, wins < 0, "numbers >= 0")
            refuse("wins", wins, (wins != 0) & np.eye(shape[-1], dtype=bool), "0 of a candidate against itself")

    @property
    def counts(self) -> Float[Array, "*prompt candidate other"]:
        """n_ij, how often i and j were compared, in either order."""
        return self.wins + jnp.swapaxes(self.wins, -1, -2)


class PreferenceEstimate(Shown):
    """Estimated preferences and how much data stands behind them.

    Attributes:
        preferences: P_ij, the probability that i is preferred to j, shape ``[*prompt, candidate, candidate]``.
        counts: n_ij, how often they were compared, of the same shape.
    """

    preferences: Float[Array, "*prompt candidate other"]
    counts: Float[Array, "*prompt candidate other"]


@eqx.filter_jit
def _draw(key: Array, chances: Array, pairs: Array, num_samples: Array) -> tuple[Array, Array]:
    count_key, win_key = jax.random.split(key)
    counts = sample_counts(count_key, num_samples, pairs.astype(num_samples.dtype))
    wins = sample_sums(win_key, counts, chances, "bernoulli")
    return wins.astype(chances.dtype), (counts - wins).astype(chances.dtype)


def draw_wins(
    key: Array, chances: Float[Array, "judge pair"], pairs: Float[Array, " pair"], num_samples: ArrayLike
) -> tuple[Float[Array, "judge pair"], Float[Array, "judge pair"]]:
    """How often each judge preferred the first and the second of each pair, in `num_samples` comparisons.

    All judges answer the same comparisons, independently; numbers are drawn in float64 and rounded to the dtype of
    `chances`.

    Args:
        key: a jax random key.
        chances: of the first to be preferred.
        pairs: distribution of the pairs that are compared.
        num_samples: how many comparisons; may be traced, then with the limits of `sample_statistics`.
    """
    return draw_rows(_draw, num_samples, key, chances, pairs)


def both_ways(won: Float[Array, "*batch pair"], lost: Float[Array, "*batch pair"], size: int) -> Array:
    """Wins ``[*batch, size, size]`` of the pairs i < j, row by row, and of these pairs the other way round."""
    first, second = np.triu_indices(size, 1)
    table = jnp.zeros((*won.shape[:-1], size, size), won.dtype)
    return table.at[..., first, second].set(won).at[..., second, first].set(lost)


def pair_chances(field: str, behavior: Float[Array, "*prompt first second"]) -> Float[Array, "*prompt pair"]:
    """The chances of the pairs i < j, row by row, in either order.

    Raises:
        ValueError: (where concrete) no distribution, or one that compares a candidate to itself.
    """
    size = behavior.shape[-1]
    if is_concrete(behavior):
        values = np.asarray(behavior)
        check_distribution(field, values, tuple(range(values.ndim)))
        refuse(field, values, (values != 0) & np.eye(size, dtype=bool), "0 of one against itself")
    first, second = np.triu_indices(size, 1)
    return (behavior + jnp.swapaxes(behavior, -1, -2))[..., first, second]


def sample_comparisons(
    key: Array, preferences: ArrayLike | Sequence[Any], behavior: ArrayLike | Sequence[Any], num_samples: ArrayLike
) -> Comparisons:
    """Draw what `num_samples` comparisons show, exactly in law, at a cost that does not depend on their number.

    Args:
        key: a jax random key, typed or legacy.
        preferences: P_ij, the probability that i is preferred to j, shape ``[*prompt, candidate, candidate]``.
        behavior: distribution of the prompts and pairs that are compared, of the same shape, summing to one over all of
            it; the order of a pair does not matter.
        num_samples: how many comparisons, >= 1; may be traced. In float32, wins above 2^24 are rounded.

    Returns:
        `Comparisons` of the same shape.

    Raises:
        ValueError: (where concrete) bad preferences, behavior or number of comparisons.
    """
    chances, pairs = as_float_array("preferences", preferences), as_float_array("behavior", behavior)
    if is_concrete(chances):
        check_preferences("preferences", np.asarray(chances))
    if pairs.shape != chances.shape:
        raise ValueError(f"behavior: got shape {pairs.shape}, takes the preferences' {chances.shape}")
    size = chances.shape[-1]
    first, second = np.triu_indices(size, 1)
    chances, pairs = chances[..., first, second], pair_chances("behavior", pairs)
    won, lost = draw_wins(key, chances.reshape(1, -1), pairs.ravel(), num_samples)
    return Comparisons(both_ways(won.reshape(pairs.shape), lost.reshape(pairs.shape), size))


def _column(field: str, values: Any, rows: int | None = None) -> np.ndarray:
    found = np.asarray(values)
    if found.ndim != 1:
        raise ValueError(f"{field}: got shape {found.shape}, takes [row]")
    if rows is not None and len(found) != rows:
        raise ValueError(f"{field}: got {len(found)} rows beside {rows}, takes one entry for each row")
    return found


def _indices(field: str, values: Any, rows: int | None, size: int | None) -> np.ndarray:
    found = _column(field, values, rows)
    if not np.issubdtype(found.dtype, np.integer):
        hint = "integers (names, ids): np.unique(names, return_inverse=True) numbers them"
        raise ValueError(f"{field}: got dtype {found.dtype}, takes {hint}")
    most = np.inf if size is None else size
    refuse(field, found, (found < 0) | (found >= most), "integers from 0" if size is None else f"0 to {size - 1}")
    return found


def count_comparisons(
    prompt: ArrayLike | Sequence[Any],
    first: ArrayLike | Sequence[Any],
    second: ArrayLike | Sequence[Any],
    wins: ArrayLike | Sequence[Any],
    *,
    num_prompts: int | None = None,
    num_candidates: int | None = None,
) -> Comparisons:
    """Count the rows of a log of comparisons.

    Args:
        prompt: of each row, integers from 0, shape ``[row]``. Each number up to the largest is a prompt; ids with gaps,
            and names, are numbered by ``np.unique(ids, return_inverse=True)``.
        first: a candidate of each row, integers from 0.
        second: the other candidate of each row.
        wins: 1 where the first was preferred, 0 where the second was; in between for ties (1/2) and for probabilities.
        num_prompts: how many prompts there are, with data or without; as many as the rows name if None.
        num_candidates: how many candidates each prompt has; as many as the rows name if None.

    Returns:
        `Comparisons` of shape ``[prompt, candidate, candidate]``.

    Raises:
        ValueError: no rows, columns of unequal lengths, an entry out of range or NaN, or a candidate that is compared
            to itself; the message names column and row.
    """
    check_whole(
        **{
            name: value
            for name, value in [("num_prompts", num_prompts), ("num_candidates", num_candidates)]
            if value is not None
        }
    )
    if not np.size(prompt):
        raise ValueError("prompt: got no rows, takes at least one comparison")
    prompts = _indices("prompt", prompt, None, num_prompts)
    ones, others = (
        _indices(name, values, len(prompts), num_candidates) for name, values in [("first", first), ("second", second)]
    )
    refuse("second", others, ones == others, "another candidate than first")
    won = _column("wins", wins, len(prompts))
    won = np.asarray(won, dtype=np.float32 if won.dtype == np.float32 else np.float64)
    refuse("wins", won, ~((won >= 0) & (won <= 1)), "numbers from 0 to 1")
    size = num_candidates or int(max(ones.max(), others.max())) + 1
    table = np.zeros((num_prompts or int(prompts.max()) + 1, size, size))
    np.add.at(table, (prompts, ones, others), won)
    np.add.at(table, (prompts, others, ones), 1 - won)
    return Comparisons(table.astype(won.dtype))


def check_any(comparisons: Comparisons) -> None:
    """Raise ``ValueError`` if there is (concretely) no comparison at all, ``TypeError`` if it is something else."""
    if not isinstance(comparisons, Comparisons):
        raise TypeError(f"comparisons: got {type(comparisons).__name__}, takes Comparisons")
    if is_concrete(comparisons) and not np.any(np.asarray(comparisons.wins)):
        raise ValueError("comparisons: got none, takes at least one comparison")


def estimate_preferences(
    comparisons: Comparisons, *, smoothing: ArrayLike = 0.0, prior: ArrayLike | Sequence[Any] = 0.5
) -> PreferenceEstimate:
    """Estimate preferences by shares of wins, P_ij = (w_ij + s) / (n_ij + 2 s), with P + P^T = 1 to the last bit.

    Pairs that were never compared get `prior` and keep count 0, which is reported by a warning in the log ``gamekl``
    and is no error: coverage studies need it.

    Args:
        comparisons: the data.
        smoothing: s, comparisons that each candidate of a pair is given on top; >= 0, may be traced.
        prior: preferences of the pairs without data, a number (1/2) or an array ``[*prompt, candidate, candidate]``.

    Returns:
        A `PreferenceEstimate`.

    Raises:
        TypeError: `comparisons` is something else.
        ValueError: no comparisons, a smoothing below 0, or a prior without P + P^T = 1.
    """
    check_any(comparisons)
    check_nonnegative(smoothing=smoothing)
    wins, counts = comparisons.wins, comparisons.counts
    table = jnp.broadcast_to(jnp.asarray(prior, wins.dtype), wins.shape)
    if is_concrete(table):
        check_preferences("prior", np.asarray(table))
    if is_concrete(counts):
        unvisited = int(np.sum(np.triu(np.asarray(counts) == 0, 1)))
        if unvisited:
            logger.warning(
                "%d of %d pairs of candidates were never compared; their preferences are taken from prior",
                unvisited,
                counts.size * (counts.shape[-1] - 1) // (2 * counts.shape[-1]),
            )
    raised = wins + jnp.asarray(smoothing, wins.dtype)
    total = raised + jnp.swapaxes(raised, -1, -2)
    shares = raised / jnp.where(total > 0, total, 1)
    # The smaller of the two is rounded, the other is what it leaves of one.
    shares = jnp.where(shares <= 0.5, shares, 1 - jnp.swapaxes(shares, -1, -2))
    shares = jnp.where(counts == 0, table, shares)  # and NaN, of too many rows for the precision, stays
    return PreferenceEstimate(jnp.where(jnp.eye(wins.shape[-1], dtype=bool), 0.5, shares).astype(wins.dtype), counts)
