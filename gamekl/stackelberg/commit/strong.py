"""What a leader should commit to against a follower that responds best.

In the notation of `gamekl.stackelberg.follower`, as tau_f falls to 0 the follower responds best, on its reference's
support; where it is indifferent, policies nearby make it respond as the leader likes best. So J's supremum tends, for
generic games and tau_l = 0, to what the leader earns in the strong Stackelberg equilibrium,

    max over b of  max { sum_a x(a) r_l(a, b) : sum_a x(a) [r_f(a, b) - r_f(a, b')] >= 0 for all b' },

a linear programme for each b (Conitzer and Sandholm, EC 2006).
"""

from typing import ClassVar

import numpy as np
from jaxtyping import Float

from gamekl.core.games import NormalFormGame
from gamekl.core.policies import is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import Shown
from gamekl.solvers.correlated.programme import TOLERANCE, is_impossible, maximize, typical
from gamekl.solvers.solution import Status
from gamekl.stackelberg.follower import check_commitment


class StrongCommitment(Shown):
    """A strong Stackelberg equilibrium.

    Attributes:
        policy: the leader's probabilities ``[leader]``.
        response: the follower's action.
        value: what the leader earns, payoff units.
        candidates: for each action of the follower, the leader's best policy to which it is a best response,
            ``[follower, leader]``; NaN where there is none.
        values: what these earn, ``[follower]``; -inf where there is none.
        status: a `Status` value; `Status.converged` where multipliers prove that no policy earns more.
    """

    policy: Float[np.ndarray, " leader"]
    response: int
    value: float
    candidates: Float[np.ndarray, "follower leader"]
    values: Float[np.ndarray, " follower"]
    status: int
    status_type: ClassVar = Status


def _against(gain: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, float]:
    """The policy of most gain with rows @ x <= 0, NaN if there is none, and what none can exceed, but for rounding."""
    found = maximize(gain, rows, np.zeros(len(rows)))
    policy = found.policy
    if np.isnan(policy).any():
        return policy, -np.inf if is_impossible(rows) else np.inf
    broken = np.any(rows @ policy > TOLERANCE * (np.abs(rows) @ policy))
    size = typical(gain) + float(found.multipliers @ (np.abs(rows) @ policy))
    return policy, np.inf if broken else found.bound - TOLERANCE * size


def strong_stackelberg(game: NormalFormGame, regularizer: Regularizer | None = None) -> StrongCommitment:
    """The leader's best policy against a follower that responds best, ties broken for the leader; on the host.

    Args:
        game: leader and follower; concrete.
        regularizer: where given, actions stay on its references' support; its temperatures do not matter.

    Returns:
        A `StrongCommitment`.

    Raises:
        TypeError: `game` is no `NormalFormGame`, or is traced.
        ValueError: there are not two players, a payoff is not finite, or the regularizer does not fit.

    Source: Conitzer and Sandholm (EC 2006), a linear programme for each action of the follower.
    """
    check_commitment(game, Regularizer.uniform(game, 1.0) if regularizer is None else regularizer)
    if not is_concrete(game, regularizer):
        raise TypeError("game: got traced arrays, takes concrete ones: linear programmes are solved on the host")
    own, others = np.asarray(game.payoffs, dtype=np.float64)
    leader, follower = own.shape
    masks = [np.ones(size, dtype=bool) for size in own.shape]
    if regularizer is not None:
        masks = [np.asarray(mask) for mask in regularizer.masks]
    policies, values = np.full((follower, leader), np.nan), np.full(follower, -np.inf)
    bounds = np.full(follower, -np.inf)
    policies[np.ix_(masks[1], ~masks[0])] = 0
    for b in np.flatnonzero(masks[1]):
        gain = own[masks[0], b]
        middle = np.median(gain)
        others_do = np.flatnonzero(masks[1] & (np.arange(follower) != b))
        more = (others[:, others_do] - others[:, [b]])[masks[0]].T
        policies[b, masks[0]], bound = _against(gain - middle, more)
        bounds[b] = bound + middle
        values[b] = -np.inf if np.isnan(policies[b]).any() else policies[b] @ own[:, b]
    best = int(np.argmax(values))
    solved = bounds.max() <= values[best]
    status = int(Status.converged if solved else Status.not_converged)
    return StrongCommitment(policies[best], best, float(values[best]), policies, values, status)
