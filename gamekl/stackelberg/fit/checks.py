"""How a fit of a follower's payoffs ended, and why there is none."""

from typing import Any

import jax
import numpy as np
import scipy.optimize
from jaxtyping import Float, Int

from gamekl.core.policies import support
from gamekl.core.status import FitStatus
from gamekl.core.validation import show_place
from gamekl.stackelberg.fit.likelihood import ResponseLog, projected_features


def _separable(projected: np.ndarray, counts: np.ndarray, mask: np.ndarray) -> bool:
    """Whether some weights make every response that was seen at least as likely as any other, and some likelier."""
    rows = [
        projected[k, b] - projected[k, other]
        for k, b in np.argwhere(counts > 0)
        for other in np.flatnonzero(mask)
        if other != b
    ]
    if not rows:
        return False
    table = np.stack(rows)
    bounds = [(None, None)] * table.shape[1]
    ones = np.ones(len(table))
    found = scipy.optimize.linprog(-table.sum(axis=0), np.r_[-table, table], np.r_[0 * ones, ones], bounds=bounds)
    return bool(found.success and -found.fun > 1e-6)


def refuse_unfit(statuses: Int[np.ndarray, " lane"], log: ResponseLog, stage: tuple[int, ...], *, named: bool) -> None:
    """Raise ``ValueError`` for the first fit, of a flat batch of concrete ones, that has no maximiser.

    Args:
        statuses: of the fits.
        log: what was fitted.
        stage: the batch's shape.
        named: whether features were given.
    """
    wrong = np.flatnonzero(statuses != FitStatus.converged)
    if not len(wrong):
        return
    first = int(wrong[0])
    one = jax.tree.map(lambda leaf: leaf[first], log)
    counts, status = np.asarray(one.counts), int(statuses[first])
    where = f" at stage {show_place(np.array(np.unravel_index(first, stage)))}" if stage else ""
    if status == FitStatus.not_identified:
        seen = np.asarray(one.strategies)[counts.sum(axis=1) > 0]
        rank = int(np.linalg.matrix_rank(seen)) if len(seen) else 0
        got = f"responses to policies that span {rank} of the leader's {log.strategies.shape[-1]} dimensions{where}"
        if named:
            raise ValueError(f"features: got some that cannot be told apart by {got}, takes fewer, or penalty > 0")
        raise ValueError(f"strategies: got {got}, takes some that span all, or penalty > 0: payoffs are not identified")
    mask = np.asarray(support(one.log_reference))
    unseen = np.flatnonzero(mask & (counts.sum(axis=0) == 0)).tolist()
    if status == FitStatus.no_maximizer and unseen:
        raise ValueError(f"counts: got no response {unseen}{where}, takes each at least once, or penalty > 0")
    if status == FitStatus.no_maximizer or _separable(np.asarray(projected_features(one)), counts, mask):
        never = np.argwhere(mask & (counts == 0))[:1].tolist()
        such = "".join(f", such as no {response} to strategy {strategy}" for strategy, response in never)
        raise ValueError(
            f"counts: got responses that some payoffs make certain{where}{such}, takes more of them, or penalty > 0: "
            "the likelihood has no finite maximiser"
        )
    if status == FitStatus.max_steps:
        raise ValueError(f"max_steps: got fewer than the fit takes{where}, takes more")


def refuse_farsighted(
    status: int, told: tuple[int, int], counts: Float[np.ndarray, "horizon state strategy follower"], allowed: Any
) -> None:
    """Raise ``ValueError`` where the fit of a farsighted follower, of concrete arrays, did not converge.

    Args:
        status: of the fit.
        told: in how many directions the log has information, and in how many any log may.
        counts: of responses.
        allowed: which responses could have been seen, ``[horizon, state, follower]``.
    """
    if status == FitStatus.converged:
        return
    if status == FitStatus.nonfinite_input:
        raise ValueError("counts: got NaN, an infinite or a negative number, takes finite numbers >= 0")
    if status == FitStatus.max_steps:
        got = "responses of which the likelihood rose to the last step"
        raise ValueError(f"counts: got {got}, takes more of them, penalty > 0, or more max_steps")
    missing = np.argwhere(allowed & (counts.sum(axis=2) == 0))
    if len(missing):
        step, state, response = missing[0].tolist()
        got = f"no response [{response}] at stage [{step}, {state}], which may be reached"
        raise ValueError(f"counts: got {got}, takes each at least once, or penalty > 0")
    raise ValueError(
        f"strategies: got policies that tell {told[0]} of the {told[1]} directions of payoffs that responses can tell, "
        "takes more that differ in every stage, or penalty > 0: payoffs are not identified"
    )
