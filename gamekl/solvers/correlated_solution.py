"""What the correlated solvers return: a joint policy from which no player gains by leaving."""

import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int

from gamekl.core.policies import check_alone, sample_joint
from gamekl.core.show import Shown
from gamekl.solvers.play.mixture import LARGEST_TABLE, Kept
from gamekl.solvers.solution import Status


class CorrelatedSolution(Shown):
    """The averaged joint policy of a run, and its gaps: what a player could gain by leaving it, payoff units.

    Gaps without a suffix are in `evaluate_on` (in the game that was played if that is None), those with the suffix
    ``_estimated`` in the game that was played. Deviations stay on the references' support. A gap below 0 means that no
    deviation of that kind gains anything.

    Attributes:
        regularized_cce_gap: by one policy for all rounds; both sides pay for their KL to the reference, the joint
            policy that of every round (theory B3). Shape ``[player]``.
        cce_gap: by one action for all rounds, shape ``[player]``.
        ce_gap: by an action for each recommended one, shape ``[player]``; never below 0 but for rounding.
        regularized_cce_gap_estimated: the first of these gaps in the game that was played, shape ``[player]``.
        cce_gap_estimated: the second, shape ``[player]``.
        ce_gap_estimated: the third, shape ``[player]``.
        bound: on `regularized_cce_gap_estimated` (of `multiplicative_weights`, on `cce_gap_estimated`), shape
            ``[player]``; None for step sizes of one's own.
        cost: temperature times the average KL of the rounds' policies to the reference, ``[player]``, payoff units.
        marginals: each player's policy, averaged, ``[actions_i]``.
        last_log_policy: what would be played next, one log-policy ``[actions_i]`` for each player.
        last_regularized_gap: of that profile as a Nash equilibrium, shape ``[player]``.
        last_nash_gap: the same without the regularisation, on the references' support, shape ``[player]``.
        num_rounds: rounds played.
        status: a `Status` value; `Status.max_steps` where a `tol` was asked for and not met.
        mixture: the joint policy itself; use `joint_policy` and `sample`.
        num_actions: how many actions each player has.
    """

    regularized_cce_gap: Float[Array, "*batch player"]
    cce_gap: Float[Array, "*batch player"]
    ce_gap: Float[Array, "*batch player"]
    regularized_cce_gap_estimated: Float[Array, "*batch player"]
    cce_gap_estimated: Float[Array, "*batch player"]
    ce_gap_estimated: Float[Array, "*batch player"]
    bound: Float[Array, "*batch player"] | None
    cost: Float[Array, "*batch player"]
    marginals: tuple[Float[Array, "*batch _"], ...]
    last_log_policy: tuple[Float[Array, "*batch _"], ...]
    last_regularized_gap: Float[Array, "*batch player"]
    last_nash_gap: Float[Array, "*batch player"]
    num_rounds: Int[Array, "*batch"]
    status: Int[Array, "*batch"]
    mixture: Float[Array, "*batch joint"] | Kept
    num_actions: tuple[int, ...] = eqx.field(static=True)
    status_type: ClassVar = Status

    @property
    def joint_policy(self) -> Float[Array, "*actions"]:
        """The joint policy as a table, shape ``[*actions]`` (after the batch's axis, where there is one).

        Raises:
            ValueError: there are too many joint actions.
        """
        if isinstance(self.mixture, Kept):
            raise ValueError(
                f"joint_policy: got a game of {math.prod(self.num_actions):,} joint actions, takes at most "
                f"{LARGEST_TABLE:,}; use marginals, the gaps, or sample(key, num_samples)"
            )
        return self.mixture.reshape(*self.mixture.shape[:-1], *self.num_actions)

    def sample(self, key: ArrayLike, num_samples: int) -> Int[Array, "sample player"]:
        """Joint actions drawn from the joint policy, shape ``[num_samples, player]``, of one solution.

        Where there is no table, a round is drawn first: one of at most 1,000 that stand for equally long stretches of
        all rounds, exact in law for runs of up to 1,000 rounds.

        Raises:
            ValueError: this is a batch of solutions.
        """
        check_alone(self.num_rounds.shape)
        if not isinstance(self.mixture, Kept):
            return sample_joint(key, self.mixture, self.num_actions, num_samples)
        first, second = jax.random.split(key)
        row = jax.random.categorical(first, jnp.log(self.mixture.weight), shape=(num_samples,))
        policy = self.mixture.policy[row]  # [sample, player, actions]
        return jax.random.categorical(second, jnp.log(policy), axis=-1)
