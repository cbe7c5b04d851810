"""A leader that commits to a policy, and a follower that responds to it.

A leader announces a policy x over its actions a; a follower sees x, not a, and chooses b. With payoffs r_l(a, b) and
r_f(a, b), references x0 and nu0, and temperatures tau_l >= 0 and tau_f > 0 (payoff units per nat),

    quantal response     nu_x(b)  prop. to  nu0(b) exp(sum_a x(a) r_f(a, b) / tau_f)
    follower's value     V_f(x) = tau_f log sum_b nu0(b) exp(sum_a x(a) r_f(a, b) / tau_f)
    leader's value       J(x) = sum_{a, b} x(a) nu_x(b) r_l(a, b) - tau_l KL(x || x0)

A quantal Stackelberg equilibrium is an x that maximises J, with nu_x (the setting of Chen, Wang and Yang, arXiv
2307.14085, by its abstract; the anchor x0 and any nu0 are added here). The follower's rationality is eta = 1 / tau_f;
the house's word is its inverse, the temperature. Responses know r_f only up to what does not depend on b, and only as
r_f / tau_f.

Leader and follower are players 0 and 1 of a game; a `Regularizer` holds references and temperatures, of which the
leader's may be 0: then its reference only says which actions there are.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.games import Game, NormalFormGame
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.policies import check_profile, is_concrete, support
from gamekl.core.regularizer import Regularizer
from gamekl.core.validation import check_finite, check_regularizer


def respond(
    strategy: Float[Array, "*batch leader"],
    utilities: Float[Array, "leader follower"],
    log_reference: Float[Array, " follower"],
) -> Float[Array, "*batch follower"]:
    """The follower's log-policy log nu_x, with its payoffs over its temperature, in nats."""
    return jax.nn.log_softmax(log_reference + jnp.matmul(strategy, utilities, precision=PRECISION))


def payoff_part(strategy: Float[Array, " leader"], game: NormalFormGame, regularizer: Regularizer) -> Float[Array, ""]:
    """The leader's expected payoff, which is J without the KL."""
    own, others = game.payoffs
    utilities = jnp.matmul(strategy, others / regularizer.temperatures[1], precision=PRECISION)
    nu = jax.nn.softmax(regularizer.log_reference[1] + utilities)
    return jnp.matmul(strategy, jnp.matmul(own, nu, precision=PRECISION), precision=PRECISION)


def anchor_cost(
    strategy: Float[Array, "*batch leader"],
    log_reference: Float[Array, "*batch leader"],
    temperature: Float[Array, ""],
) -> Float[Array, "*batch"]:
    """The cost temperature * KL(x || x0) of probabilities on the reference's support, which may be 0.

    Where the temperature is 0 so are the derivatives, though those of the KL are infinite where probabilities vanish.
    """
    # Nor do they have one below this: 1 / x^2 would be infinite there.
    positive = strategy > math.sqrt(jnp.finfo(strategy.dtype).tiny)
    inside = positive & support(log_reference) & (temperature > 0)
    ratio = jnp.log(jnp.where(positive, strategy, 1)) - jnp.where(inside, log_reference, 0)
    return temperature * jnp.sum(jnp.where(inside, strategy * ratio, 0), axis=-1)


def committed_value(
    strategy: Float[Array, " leader"], game: NormalFormGame, regularizer: Regularizer
) -> Float[Array, ""]:
    """The leader's value J(x), payoff units."""
    cost = anchor_cost(strategy, regularizer.log_reference[0], regularizer.temperatures[0])
    return payoff_part(strategy, game, regularizer) - cost


def follower_value(
    strategy: Float[Array, " leader"], game: NormalFormGame, regularizer: Regularizer
) -> Float[Array, ""]:
    """The follower's value V_f(x), payoff units."""
    tau = regularizer.temperatures[1]
    scaled = jnp.matmul(strategy, game.payoffs[1] / tau, precision=PRECISION)
    return tau * jax.nn.logsumexp(regularizer.log_reference[1] + scaled)


def check_commitment(game: Game, regularizer: Regularizer, *kinds: type[Any]) -> None:
    """Raise unless the game is of these kinds, has a leader and a follower, and the regularizer fits it.

    Args:
        game: leader and follower.
        regularizer: of both.
        kinds: of games; a `NormalFormGame` if none is named.

    Raises:
        TypeError: `game` is another kind, or `regularizer` is none.
        ValueError: there are not two players, or (where concrete) a value is bad; the leader's temperature may be 0.
    """
    kinds = kinds or (NormalFormGame,)
    if not isinstance(game, kinds):
        takes = " or a ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"game: got {type(game).__name__}, takes a {takes}")
    Regularizer.require(regularizer)
    if game.num_players != 2:
        raise ValueError(f"game: got {game.num_players} players, takes two, leader and follower")
    regularizer.check_fits(game)
    if is_concrete(game):
        check_finite("rewards" if hasattr(game, "rewards") else "payoffs", np.asarray(game.table))
    if is_concrete(regularizer):
        leader, follower = np.asarray(regularizer.temperatures)
        if not 0 <= leader < np.inf:
            raise ValueError(f"temperature[0]: got {leader}, takes a finite number >= 0")
        if not 0 < follower < np.inf:
            raise ValueError(f"temperature[1]: got {follower}, takes a finite number > 0: 1 / the rationality")
        check_regularizer(game, Regularizer(regularizer.log_reference, follower))


def _one_strategy(
    game: NormalFormGame, regularizer: Regularizer, policy: ArrayLike | Sequence[Any]
) -> Float[Array, " leader"]:
    check_commitment(game, regularizer)
    return check_profile("policy", [policy], game.num_actions[:1], log=False)[0].astype(game.dtype)


def quantal_response(
    game: NormalFormGame, regularizer: Regularizer, policy: ArrayLike | Sequence[Any]
) -> Float[Array, " follower"]:
    """The follower's log-policy nu_x to a leader that plays x.

    Args:
        game: leader and follower.
        regularizer: the follower's reference, where -inf masks an action, and temperature.
        policy: x, the leader's probabilities ``[leader]``.

    Returns:
        log nu_x, shape ``[follower]``.

    Raises:
        TypeError: `game` is no `NormalFormGame`.
        ValueError: there are not two players, x is no policy, or the follower's temperature is not > 0.
    """
    strategy = _one_strategy(game, regularizer, policy)
    regularizer = regularizer.astype(game.dtype)
    return respond(strategy, game.payoffs[1] / regularizer.temperatures[1], regularizer.log_reference[1])


def leader_value(game: NormalFormGame, regularizer: Regularizer, policy: ArrayLike | Sequence[Any]) -> Float[Array, ""]:
    """What a leader earns that plays x, less what leaving its reference costs: J(x).

    Args:
        game: leader and follower, the true ones where a learnt policy is to be judged.
        regularizer: references and temperatures; the leader's may be 0.
        policy: x, the leader's probabilities ``[leader]``.

    Returns:
        J, payoff units; -inf where x leaves the support of the leader's reference.

    Raises:
        TypeError: `game` is no `NormalFormGame`.
        ValueError: there are not two players, x is no policy, or the follower's temperature is not > 0.
    """
    strategy = _one_strategy(game, regularizer, policy)
    regularizer = regularizer.astype(game.dtype)
    outside = jnp.any((strategy > 0) & ~support(regularizer.log_reference[0]))
    return jnp.where(outside, -jnp.inf, committed_value(strategy, game, regularizer))
