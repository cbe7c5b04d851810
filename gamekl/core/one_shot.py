"""How a player responds in a game of one shot, and what it loses by not responding.

With q_i(a_i) = E_{a_-i ~ pi_-i} r_i(a), tau the player's temperature and pi0 its reference:

    best response      BR_i = softmax(log pi0_i + q_i / tau)
    regularised gap    gap_i = max_p [<p, q_i> - tau KL(p || pi0_i)] - [<pi_i, q_i> - tau KL(pi_i || pi0_i)]
                             = tau KL(pi_i || BR_i)                                   (derived, theory A3)
    Nash gap           max_a q_i(a) - <pi_i, q_i>

Everything here is one game, pure and differentiable, and may be transformed by ``jit``, ``vmap`` and ``grad``.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any, TypeVar

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gamekl.core.games import NormalFormGame, OneShotGame, PolymatrixGame, require_one_shot
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.policies import Profile, centre, check_profile, kl, normalize, support
from gamekl.core.regularizer import Regularizer
from gamekl.core.symmetric.counts import chances, expected
from gamekl.core.symmetric.game import SymmetricGame
from gamekl.core.validation import check_regularizer

AnyGame = OneShotGame | SymmetricGame
G = TypeVar("G", bound=AnyGame)
Masks = Sequence[Bool[Array, " _"]]

# Below this the terms of exp(-d) - 1 + d cancel and a series takes over: both are good to 1e-14 relative here.
SERIES_BELOW = 1e-2
SERIES_ORDER = 9


def expected_payoffs(
    payoffs: Float[Array, "*actions"], policy: Sequence[Float[Array, " _"]], keep: Sequence[int]
) -> Float[Array, "*kept"]:
    """Expectation of one player's payoffs over every player's action but those in `keep`; axes stay in player order."""
    for player in reversed(range(payoffs.ndim)):  # from the back, so that the axes in front keep their numbers
        if player not in keep:
            payoffs = jnp.tensordot(payoffs, policy[player], axes=([player], [0]), precision=PRECISION)
    return payoffs


def _require(game: Any) -> None:
    if not isinstance(game, SymmetricGame):
        require_one_shot(game)


def action_values(game: AnyGame, policy: Profile) -> tuple[Float[Array, " _"], ...]:
    """The expected payoff of each action of each player, against the others' policies.

    Args:
        game: a `NormalFormGame`, a `PolymatrixGame` or a `SymmetricGame`, any number of players.
        policy: probabilities, one array ``[actions_i]`` for each player.

    Returns:
        For each player q_i, shape ``[actions_i]``, payoff units.
    """
    _require(game)
    return _action_values(game, check_profile("policy", policy, game.roles, log=False))


def _action_values(game: AnyGame, policy: Sequence[Array]) -> tuple[Array, ...]:
    if isinstance(game, SymmetricGame):
        alone = policy[0][:, None]
        logs = jnp.log(jnp.where(alone > 0, alone, 1))
        return (expected(game.payoffs[..., None], chances(logs, alone, game.num_players))[:, 0],)
    if isinstance(game, PolymatrixGame):
        return tuple(jnp.einsum("ijab,jb->ia", game.payoffs, jnp.stack(policy), precision=PRECISION))
    return tuple(expected_payoffs(game.payoffs[player], policy, (player,)) for player in range(game.num_players))


def _at_profile(
    game: AnyGame, log_policy: Profile, masks: Masks | None = None
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """The checked profile, and action values up to a shift of each player's, at the best precision."""
    _require(game)
    log_policy = check_profile("log_policy", log_policy, game.roles, log=True)
    return log_policy, _action_values(level_payoffs(game, masks), [jnp.exp(entry) for entry in log_policy])


def level_payoffs(game: G, masks: Masks | None = None) -> G:
    """The same game with payoffs shifted so that, whatever the others do, a player's range is centred at 0.

    Such a shift changes no response and no gap, but rounding errors then scale with what a choice of one's own changes,
    and neither with the payoffs' distance from 0 nor with those of what the others never do.

    Args:
        game: the game.
        masks: for each player the actions that count; all of them if None.
    """
    masks = [jnp.ones(size, dtype=bool) for size in game.roles] if masks is None else masks
    if isinstance(game, SymmetricGame):
        return type(game)(_levelled(game.payoffs, masks[0], 0), game.num_players)
    pairs = isinstance(game, PolymatrixGame)
    own = zip(game.payoffs, masks, strict=True)
    levelled = [_levelled(table, mask, 1 if pairs else player) for player, (table, mask) in enumerate(own)]
    return type(game)(jnp.stack(levelled))


def _levelled(own: Float[Array, "*actions"], mask: Bool[Array, " _"], axis: int) -> Float[Array, "*actions"]:
    low, high = _ends(own, mask, axis)
    return own - (low + (high - low) / 2)


def _ends(own: Float[Array, "*actions"], mask: Bool[Array, " _"], axis: int) -> tuple[Array, Array]:
    """The least and the largest of one player's payoffs over its own actions, whose axis stays."""
    mask = _along(mask, axis, own.ndim)
    low = jnp.where(mask, own, jnp.inf).min(axis=axis, keepdims=True)
    return low, jnp.where(mask, own, -jnp.inf).max(axis=axis, keepdims=True)


def _along(entries: Array, axis: int, ndim: int) -> Array:
    """An array along one of so many axes."""
    return entries.reshape(-1, *(1,) * (ndim - axis - 1))


def magnitude(
    game: OneShotGame, regularizer: Regularizer, log_policy: Sequence[Float[Array, " _"]]
) -> Float[Array, ""]:
    """The largest of all E |r_i| / temperature_i, with levelled payoffs: a logit's rounding error is eps times that."""
    levelled = level_payoffs(game, regularizer.masks)
    sizes = type(game)(jnp.abs(levelled.payoffs))
    values = _action_values(sizes, [jnp.exp(entry) for entry in log_policy])
    players = zip(values, regularizer.masks, regularizer.temperatures, strict=True)
    return jnp.stack([jnp.max(jnp.where(mask, value, 0)) / tau for value, mask, tau in players]).max()


def payoff_range(game: OneShotGame) -> Float[Array, " player"]:
    """R_i = max r_i - min r_i of each player, payoff units."""
    if isinstance(game, PolymatrixGame):
        highest = game.payoffs.max(axis=3).sum(axis=1)  # of each action
        lowest = game.payoffs.min(axis=3).sum(axis=1)
        return highest.max(axis=1) - lowest.min(axis=1)
    axes = tuple(range(1, game.payoffs.ndim))
    return game.payoffs.max(axis=axes) - game.payoffs.min(axis=axes)


def supported_range(game: NormalFormGame, masks: Masks) -> Float[Array, " player"]:
    """The range of each player's payoffs over the actions in `masks` alone, payoff units."""
    ranges = []
    for player, (own, mask) in enumerate(zip(game.payoffs, masks, strict=True)):
        low, high = _ends(own, mask, player)
        others = [_along(other, axis, own.ndim) for axis, other in enumerate(masks) if axis != player]
        inside = reduce(jnp.logical_and, others, jnp.ones((), dtype=bool))
        ranges.append(jnp.where(inside, high, -jnp.inf).max() - jnp.where(inside, low, jnp.inf).min())
    return jnp.stack(ranges)


def scaled_payoffs(game: NormalFormGame, regularizer: Regularizer) -> tuple[Float[Array, "..."], ...]:
    """C r_i / temperature_i for each player, in nats, its own axis first; C as in `core.policies.centre`."""
    return tuple(
        jnp.moveaxis(centre(jnp.moveaxis(payoffs, player, -1), mask), -1, 0) / temperature
        for player, (payoffs, mask, temperature) in enumerate(
            zip(game.payoffs, regularizer.masks, regularizer.temperatures, strict=True)
        )
    )


def best_response(game: AnyGame, regularizer: Regularizer, log_policy: Profile) -> tuple[Float[Array, " _"], ...]:
    """Each player's best response to the others' policies, ``log softmax(log_reference + q / temperature)``.

    Args:
        game: the game.
        regularizer: references and temperatures.
        log_policy: one log-policy ``[actions_i]`` for each player.

    Returns:
        One log-policy ``[actions_i]`` for each player; -inf on masked actions.
    """
    _require(game)
    check_regularizer(game, regularizer)
    _, values = _at_profile(game, log_policy, regularizer.masks)
    return tuple(
        normalize(reference + value / temperature)
        for reference, value, temperature in zip(
            regularizer.log_reference, values, regularizer.temperatures, strict=True
        )
    )


def excess(deviation: Array) -> Array:
    """phi(d) = exp(-d) - 1 + d, without cancellation for small d."""
    small = jnp.abs(deviation) < SERIES_BELOW
    d = jnp.where(small, deviation, 0)
    series = jnp.ones_like(d)
    for order in range(SERIES_ORDER, 2, -1):  # Horner for d^2/2! - d^3/3! + ...
        series = 1 - d / order * series
    direct = jnp.where(small, 1, deviation)
    return jnp.where(small, d**2 / 2 * series, jnp.expm1(-direct) + direct)


def _response(log_reference: Array, values: Array, temperature: Array) -> tuple[Array, Array]:
    """A player's best response to what its actions are worth, and those values in nats, 0 off the support."""
    scaled = jnp.where(support(log_reference), values, 0) / temperature
    return normalize(log_reference + scaled), scaled


def _gap(log_policy: Array, response: Array, log_reference: Array, scaled: Array, temperature: Array) -> Array:
    """The regularised gap of a normalised policy."""
    mask = support(log_reference)
    played = support(log_policy)
    inside = mask & played
    policy = jnp.where(inside, jnp.exp(log_policy), 0)
    deviation = jnp.where(inside, log_policy, 0) - jnp.where(inside, log_reference, 0) - jnp.where(inside, scaled, 0)
    deviation = jnp.where(inside, deviation - jnp.sum(policy * deviation), 0)
    # Near a best response a difference of two nearly equal values would be all rounding, so the gap is computed from
    # the deviation of the logits itself; far from it that formula overflows, and the KL form is exact enough.
    near = jnp.all(mask == played) & jnp.all(jnp.abs(deviation) < 1)
    close = temperature * jnp.log1p(jnp.sum(policy * excess(jnp.where(near, deviation, 0))))
    far = temperature * kl(log_policy, response)
    return jnp.where(near, close, jnp.maximum(far, 0))


def player_gap(log_policy: Array, log_reference: Array, values: Array, temperature: Array) -> Array:
    """The regularised gap of one player, to whom its actions have these values, up to a shift."""
    response, scaled = _response(log_reference, values, temperature)
    return _gap(normalize(log_policy), response, log_reference, scaled, temperature)


def regularized_gap(game: AnyGame, regularizer: Regularizer, log_policy: Profile) -> Float[Array, " player"]:
    """What each player could still gain in the regularised game: gap_i = temperature_i KL(pi_i || BR_i).

    The value is >= 0, finite for every policy on the references' support (pure ones too), and infinite off it. Near
    an equilibrium it is good to about eps^2 R^2 / (2 temperature), the square of what a difference of values reaches
    (derived, theory A3 and I4).

    Args:
        game: the game in which the gap is measured.
        regularizer: references and temperatures.
        log_policy: one log-policy ``[actions_i]`` for each player.

    Returns:
        The gap of each player, shape ``[player]``, payoff units.
    """
    _require(game)
    check_regularizer(game, regularizer)
    log_policy, values = _at_profile(game, log_policy, regularizer.masks)
    gaps = [
        player_gap(*arguments)
        for arguments in zip(log_policy, regularizer.log_reference, values, regularizer.temperatures, strict=True)
    ]
    return jnp.stack(gaps)


def nash_gap(
    game: AnyGame,
    log_policy: Profile,
    *,
    regularizer: Regularizer | None = None,
) -> Float[Array, " player"]:
    """What each player could gain by its best unregularised deviation: max_a q_i(a) - <pi_i, q_i>.

    Args:
        game: the game in which the gap is measured.
        log_policy: one log-policy ``[actions_i]`` for each player.
        regularizer: where given, deviations stay on its references' support.

    Returns:
        The gap of each player, shape ``[player]``, payoff units; >= 0 for policies on that support.
    """
    log_policy, values = _at_profile(game, log_policy)
    policy = [jnp.exp(entry) for entry in log_policy]
    allowed = [jnp.ones_like(value, dtype=bool) for value in values]
    if regularizer is not None:
        regularizer.check_fits(game)
        allowed = [support(entry) for entry in regularizer.log_reference]
    best = [jnp.max(jnp.where(mask, value, -jnp.inf)) for mask, value in zip(allowed, values, strict=True)]
    return jnp.stack([jnp.sum(p * (top - value)) for p, top, value in zip(policy, best, values, strict=True)])
