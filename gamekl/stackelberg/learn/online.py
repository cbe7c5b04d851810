"""A leader that learns while it leads.

In round t the leader announces what optimism makes of the log so far,

    x_t = argmax J_hat(x) + c s(x)        (`gamekl.stackelberg.learn.leader`),

sees how the follower responds to it, and adds that to the log. Payoffs begin at 0 with the variance 1 / penalty of
their prior, in nats squared, so that policies whose responses nobody knows are tried. The source (Chen, Wang and Yang,
arXiv 2307.14085, by its abstract) proves sublinear regret for optimism of other forms; standard errors in their place
are derived from the delta method, and no bound is claimed.
"""

from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.jit import jit
from gamekl.core.policies import is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import Shown
from gamekl.core.validation import check_nonnegative, check_whole
from gamekl.solvers.solution import Status
from gamekl.stackelberg.commit.quantal import quantal_stackelberg
from gamekl.stackelberg.fit.responses import Responses, sample_responses
from gamekl.stackelberg.follower import check_commitment, committed_value
from gamekl.stackelberg.learn.leader import estimate_follower, optimistic_commitment


class OnlineLeader(Shown):
    """What a leader announced, and what it cost to learn.

    Attributes:
        log_policy: log x_t, shape ``[round, leader]``.
        regret: J(x*) - J(x_t) of a row in each round, payoff units, shape ``[round]``; its sum is the regret.
        log: all that was seen; each round's policy is a strategy.
        status: a `Status` value of each round's plan, shape ``[round]``.
    """

    log_policy: Float[Array, "*batch round leader"]
    regret: Float[Array, "*batch round"]
    log: Responses
    status: Int[Array, "*batch round"]
    status_type: ClassVar = Status


@partial(jit, static_argnames="rounds", quick=True)
def _lead(
    key: Array, game: NormalFormGame, regularizer: Regularizer, options: dict[str, Array], noise: Any, rounds: int
) -> OnlineLeader:
    """The rounds; `noise` is an array or None."""
    leader, follower = game.num_actions
    known = game.payoffs[0] if noise is None else None
    spread = 0.0 if noise is None else noise
    best = quantal_stackelberg(game, regularizer, throw=False).value
    alone = jnp.ones(1, game.dtype)
    nothing = jnp.zeros((2, leader, follower), game.dtype)
    begin = (
        jnp.full((rounds, leader), 1 / leader, game.dtype),
        jnp.zeros((rounds, follower), game.dtype),
        nothing,
    )

    def play(seen: tuple[Array, Array, Array], entry: tuple[Array, Array]) -> tuple[tuple, tuple]:
        index, key = entry
        strategies, counts, earned = seen
        log = Responses(strategies, counts, *earned)
        estimate = estimate_follower(log, regularizer, leader_payoffs=known, noise=spread, penalty=options["penalty"])
        plan = optimistic_commitment(estimate, regularizer, options["scale"], throw=False)
        policy = plan.policy[0]
        drawn = sample_responses(key, game, regularizer, policy[None], alone, options["rows"], noise)
        new = [leaf for leaf in (drawn.visits, drawn.reward_sums) if leaf is not None]
        grown = (
            strategies.at[index].set(policy),
            counts.at[index].set(drawn.counts[0]),
            earned + (jnp.stack(new) if new else nothing),
        )
        return grown, (plan.log_policy[0], best - committed_value(policy, game, regularizer), plan.status)

    seen, told = jax.lax.scan(play, begin, (jnp.arange(rounds), jax.random.split(key, rounds)))
    return OnlineLeader(told[0], told[1], Responses(seen[0], seen[1], *seen[2]), told[2])


def lead_online(
    key: Array,
    game: NormalFormGame,
    regularizer: Regularizer,
    num_rounds: int,
    *,
    scale: ArrayLike,
    penalty: ArrayLike = 1.0,
    rows_per_round: ArrayLike = 1,
    noise: ArrayLike | None = None,
) -> OnlineLeader:
    """Announce, see the responses, and learn, for a number of rounds; optimism in the face of what is not known.

    It may be transformed by ``jax.vmap``, as over keys.

    Args:
        key: a jax random key, typed or legacy.
        game: the true game, from which responses and rewards are drawn.
        regularizer: references and temperatures.
        num_rounds: how many policies are announced; static. A round costs as much as the rounds before are many.
        scale: c, how many standard errors are added; 0 is greedy. May be traced.
        penalty: the inverse variance of the follower's payoffs before anything is seen, nats^-2; > 0.
        rows_per_round: how many responses each policy gets, a whole number >= 1.
        noise: standard deviation of the leader's rewards; None where its payoffs are known.

    Returns:
        An `OnlineLeader`.

    Raises:
        TypeError: `game` is no `NormalFormGame`.
        ValueError: there are not two players, the regularizer does not fit, or a number is bad.
    """
    check_commitment(game, regularizer)
    check_whole(num_rounds=num_rounds)
    check_nonnegative(scale=scale, penalty=penalty, noise=0 if noise is None else noise)
    if is_concrete(penalty) and not np.asarray(penalty) > 0:
        raise ValueError(f"penalty: got {penalty!r}, takes a number > 0")
    if is_concrete(rows_per_round):
        check_whole(rows_per_round=np.asarray(rows_per_round).item())
    numbers = {"scale": scale, "penalty": penalty, "rows": rows_per_round}
    options = {name: jnp.asarray(value, game.dtype) for name, value in numbers.items()}
    spread = None if noise is None else jnp.asarray(noise, game.dtype)
    return _lead(key, game, regularizer.astype(game.dtype), options, spread, num_rounds)
