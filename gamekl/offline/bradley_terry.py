"""The Bradley-Terry model: each candidate has a reward, and the better one is preferred the more, the better it is.

    P_ij = sigma(r_i - r_j),    L(r) = sum_ij w_ij log sigma(r_i - r_j) - penalty / 2 |r|^2

with w_ij the times that i was preferred to j. L is concave and does not know the mean of r, which is set to 0. Without
a penalty its maximiser is finite, and is then the only one, if and only if the directed graph with an edge from i to j
where w_ij > 0 is strongly connected: however the candidates are parted in two, some of each part have beaten some of
the other (Ford, American Mathematical Monthly 64, 1957; Hunter, Annals of Statistics 32, 2004).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse.csgraph
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from gamekl.core.arrays import as_float_array
from gamekl.core.kernels.batching import joining_batches
from gamekl.core.kernels.jit import jit
from gamekl.core.kernels.lanes import largest, matmul, total
from gamekl.core.policies import is_concrete
from gamekl.core.show import Shown
from gamekl.core.status import FitStatus
from gamekl.core.validation import check_nonnegative, check_whole, refuse, show_place
from gamekl.offline.comparisons import Comparisons, check_any
from gamekl.offline.logistic import Slopes, maximize

MAX_STEPS = 100
MOST_NAMED = 10


class BradleyTerryFit(Shown):
    """The rewards of maximal likelihood in the Bradley-Terry model, and how the fit ended.

    Attributes:
        rewards: r, shape ``[*prompt, candidate]``, in units in which preferences are sigma of differences; their mean
            over a prompt's candidates is 0, those outside of the mask have 0. NaN where there is no maximiser.
        log_likelihood: sum_ij w_ij log sigma(r_i - r_j), shape ``[*prompt]``, nats.
        residual: how far any candidate's reward alone would move to where L is greatest, shape ``[*prompt]``, units of
            rewards: the gradient over the curvature.
        num_steps: Newton steps, shape ``[*prompt]``.
        status: a `FitStatus` value, shape ``[*prompt]``.
    """

    rewards: Float[Array, "*prompt candidate"]
    log_likelihood: Float[Array, "*prompt"]
    residual: Float[Array, "*prompt"]
    num_steps: Int[Array, "*prompt"]
    status: Int[Array, "*prompt"]
    status_type: ClassVar = FitStatus


def bradley_terry_preferences(rewards: ArrayLike) -> Float[Array, "*prompt candidate other"]:
    """The preferences P_ij = sigma(r_i - r_j) that rewards imply in the Bradley-Terry model.

    Args:
        rewards: r, shape ``[*prompt, candidate]``, in units in which preferences are sigma of differences.

    Returns:
        The probability that i is preferred to j, shape ``[*prompt, candidate, candidate]``.
    """
    rewards = as_float_array("rewards", rewards)
    return jax.nn.sigmoid(rewards[..., :, None] - rewards[..., None, :])


def _strongly_connected(wins: Float[Array, "i j lane"], mask: Bool[Array, "i lane"]) -> Bool[Array, " lane"]:
    """Whether wins lead from each candidate of the mask to each other."""
    size = len(mask)
    reach = ((wins > 0) | jnp.eye(size, dtype=bool)[..., None]).astype(wins.dtype)
    for _ in range((size - 1).bit_length()):  # each squaring doubles the length of the ways
        reach = (matmul(reach, reach) > 0).astype(wins.dtype)
    return jnp.all((reach > 0) | ~mask | ~mask[:, None], axis=(0, 1))


def _solve(
    wins: Float[Array, "prompt i j"], mask: Bool[Array, "prompt i"], penalty: Float[Array, " prompt"], max_steps: int
) -> BradleyTerryFit:
    """Fit all prompts side by side, in lanes."""
    wins, mask = jnp.moveaxis(wins, 0, -1), jnp.moveaxis(mask, 0, -1)
    wins = jnp.where(mask & mask[:, None], wins, 0)
    size = len(mask)
    unit = jnp.eye(size, dtype=wins.dtype)[..., None]

    def log_odds(x: Array) -> Array:
        return x[:, None] - x

    def derivatives(x: Array) -> Slopes:
        z = log_odds(x)
        pull = wins * jax.nn.sigmoid(-z)  # of each win on its winner: differences of these do not cancel
        gradient = total(jnp.swapaxes(pull, 0, 1) - pull) - penalty * x
        weights = (wins + jnp.swapaxes(wins, 0, 1)) * jax.nn.sigmoid(z) * jax.nn.sigmoid(-z)
        own = total(weights) + penalty
        own = jnp.where(mask & (own > 0), own, 1)  # who is not in the mask, or is alone there, stays where it is
        # The mean is no direction: any curvature will do for it.
        mean = jnp.min(jnp.where(mask, own, jnp.inf), axis=0) / size
        curvature = unit * own - weights + jnp.where(mask & mask[:, None], mean, 0)
        return Slopes(gradient, curvature)

    def widest(move: Array) -> Array:
        return largest(move) + largest(-move)  # between its entries, whose mean is 0

    finite = jnp.all(jnp.isfinite(wins) & (wins >= 0), axis=(0, 1))
    bounded = (penalty > 0) | _strongly_connected(wins, mask)
    fit = maximize(derivatives, widest, jnp.zeros_like(wins[0]), finite & bounded, max_steps)
    ended = jnp.where(fit.converged, FitStatus.converged, FitStatus.max_steps)
    status = jnp.where(finite, jnp.where(bounded, ended, FitStatus.no_maximizer), FitStatus.nonfinite_input)
    inside = mask.astype(wins.dtype)
    mean = jnp.sum(fit.x * inside, axis=0) / jnp.maximum(jnp.sum(inside, axis=0), 1)
    rewards = jnp.where(finite & bounded, jnp.where(mask, fit.x - mean, 0), jnp.nan)
    likelihood = jnp.sum(wins * jax.nn.log_sigmoid(log_odds(rewards)), axis=(0, 1))
    return BradleyTerryFit(rewards.T, likelihood, fit.residual, fit.num_steps, status.astype(jnp.int32))


@partial(jit, static_argnames="max_steps")
def _fit(wins: Array, mask: Array, penalty: Array, max_steps: int) -> BradleyTerryFit:
    """Fit prompts along the first axis; under ``jax.vmap``, nested or not, all batches' prompts share their lanes."""

    def solve(batch: tuple[Array, Array, Array]) -> BradleyTerryFit:
        return _solve(*batch, max_steps)

    return joining_batches(solve)((wins, mask, penalty))


def name_groups(wins: np.ndarray, mask: np.ndarray, label: Callable[[int], Any]) -> str:
    """The candidates in groups, within which wins lead from each to each other; at most ten of ten are named."""
    kept = np.flatnonzero(mask)
    count, group = scipy.sparse.csgraph.connected_components(wins[np.ix_(kept, kept)] > 0, connection="strong")
    parts = []
    for index in range(min(count, MOST_NAMED)):
        members = kept[group == index]
        more = [f"and {len(members) - MOST_NAMED} more"] if len(members) > MOST_NAMED else []
        parts.append(f"[{', '.join([*(str(label(int(member))) for member in members[:MOST_NAMED]), *more])}]")
    rest = f" and {count - MOST_NAMED} more" if count > MOST_NAMED else ""
    return f"{count} groups between which wins lead one way at most: {', '.join(parts)}{rest}"


def check_bounded(
    status: Int[Array, "*prompt"],
    wins: Float[Array, "*prompt candidate other"],
    mask: Bool[Array, "*prompt candidate"],
    place: Callable[[np.ndarray], str],
    label: Callable[[int], Any],
) -> None:
    """Raise ``ValueError`` where (concretely) there is no finite maximiser, naming a prompt and its groups."""
    if not is_concrete(status, wins, mask):
        return
    wrong = np.argwhere(np.asarray(status) == FitStatus.no_maximizer)
    if len(wrong):
        index = tuple(wrong[0])
        named = name_groups(np.asarray(wins)[index], np.asarray(mask)[index], label)
        raise ValueError(
            f"{place(wrong[0])}: got {named}; takes wins that lead from each to each other, or penalty > 0"
        )


def fit_rewards(
    wins: Float[Array, "*prompt candidate other"],
    mask: Bool[Array, "*prompt candidate"],
    penalty: ArrayLike,
    max_steps: int,
) -> BradleyTerryFit:
    """What `fit_bradley_terry` does, without its errors."""
    prompts, size = wins.shape[:-2], wins.shape[-1]
    flat = wins.reshape(-1, size, size)
    penalties = jnp.broadcast_to(jnp.asarray(penalty, wins.dtype), flat.shape[:1])
    found = _fit(flat, mask.reshape(-1, size), penalties, max_steps)
    return jax.tree.map(lambda leaf: leaf.reshape(*prompts, *leaf.shape[1:]), found)


def fit_bradley_terry(
    comparisons: Comparisons,
    *,
    penalty: ArrayLike = 0.0,
    mask: ArrayLike | None = None,
    max_steps: int = MAX_STEPS,
) -> BradleyTerryFit:
    """Fit rewards to comparisons in the Bradley-Terry model, by maximum likelihood.

    Newton's method takes steps that rise from everywhere (derived, in `offline.logistic`). Prompts are fitted side by
    side; the function may be transformed by ``jax.jit`` and ``jax.vmap``, which never raise: there, the status tells
    where no finite maximiser exists.

    Args:
        comparisons: the data.
        penalty: of |r|^2 / 2 beside the log-likelihood, that of a Gaussian prior with variance 1 / penalty; >= 0, may
            be traced. With one a maximiser always exists, and candidates that were never compared have 0.
        mask: which candidates there are in each prompt, booleans ``[*prompt, candidate]`` or ``[candidate]``; all if
            None.
        max_steps: Newton steps before giving up; static.

    Returns:
        A `BradleyTerryFit`.

    Raises:
        TypeError: `comparisons` is something else.
        ValueError: no comparisons; a bad penalty or mask; wins of candidates that it leaves out; or (where concrete) a
            likelihood without a finite maximiser, with the groups of candidates that are to blame.

    Source: Ford (1957) and Hunter (2004) on when a maximiser exists.
    """
    check_any(comparisons)
    check_nonnegative(penalty=penalty)
    check_whole(max_steps=max_steps)
    wins = comparisons.wins
    allowed = jnp.ones(wins.shape[:-1], dtype=bool) if mask is None else jnp.asarray(mask)
    if allowed.dtype != bool or allowed.shape not in (wins.shape[:-1], wins.shape[-1:]):
        raise ValueError(
            f"mask: got {allowed.dtype} of shape {allowed.shape}, takes booleans [*prompt, candidate] = "
            f"{wins.shape[:-1]} or [candidate]"
        )
    allowed = jnp.broadcast_to(allowed, wins.shape[:-1])
    if is_concrete(wins, allowed):
        kept = np.asarray(allowed)
        strange = (np.asarray(wins) > 0) & ~(kept[..., :, None] & kept[..., None, :])
        refuse("wins", np.asarray(wins), strange, "0 of candidates that mask leaves out")
    found = fit_rewards(wins, allowed, penalty, max_steps)
    check_bounded(found.status, wins, allowed, lambda prompt: f"comparisons{show_place(prompt)}", lambda entry: entry)
    return found
