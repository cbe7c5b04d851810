"""The dynamic programmes of games in stages: one backward pass over Markov games, and what the passes are made of.

At stage (h, s) of a Markov game the players face the one-shot game

    Q_i(h, s, a) = r_i(h, s, a) + sum_s' P_h(s' | s, a) V_i(h + 1, s'),        V_i(H + 1, .) = 0,

where V_i is what a pass makes of the stages behind: the value of some policies, of a best response to them, or of an
equilibrium. Where a row of transitions is 0 throughout, the episode ends. A contextual game has one such game for each
context and nothing behind it.

Against policies pi, with q_i the values of player i's actions if it responds as well as it can later on too,

    gap_i = sum_h E_{s ~ pi} [ gap of pi_i(h, s) against q_i(h, s) ]

for the regularised and the unregularised gap alike (derived, by telescoping; theory C2).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core.games import ContextualGame, MarkovGame, NormalFormGame, StagedGame
from gamekl.core.kernels.jit import jit
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.one_shot import expected_payoffs, player_gap
from gamekl.core.policies import kl, outer, support
from gamekl.core.regularizer import Regularizer

T = TypeVar("T")
Values = Float[Array, " player"]


def backward(
    game: MarkovGame, visit: Callable[[NormalFormGame, Any], tuple[Values, T]], per_stage: Any
) -> tuple[Float[Array, "state player"], T]:
    """Visit every stage from the last to the first.

    Args:
        game: the Markov game.
        visit: from the one-shot game of a stage, and what there is `per_stage`, to the players' values and results.
        per_stage: a tree whose leaves begin with ``[horizon, state]``.

    Returns:
        The values of the first stage, ``[state, player]``, and the results, ``[horizon, state, ...]``.
    """

    def step(values: Array, inputs: tuple[Array, Array, Any]) -> tuple[Array, T]:
        rewards, transitions, entries = inputs
        ahead = jnp.tensordot(transitions, values, axes=1, precision=PRECISION)  # [state, *actions, player]
        payoffs = rewards + jnp.moveaxis(ahead, -1, 1)
        return jax.vmap(lambda table, entry: visit(NormalFormGame(table), entry))(payoffs, entries)

    nothing = jnp.zeros((game.stage_shape[1], game.num_players), game.dtype)
    return jax.lax.scan(step, nothing, (game.rewards, game.transitions, per_stage), reverse=True)


def over_contexts(game: ContextualGame, visit: Callable[[NormalFormGame, Any], T], per_stage: Any) -> T:
    """Visit every context; leaves of `per_stage` and of the results begin with ``[context]``."""
    return jax.vmap(lambda table, entry: visit(NormalFormGame(table), entry))(game.payoffs, per_stage)


def visit_stages(
    game: StagedGame, visit: Callable[[NormalFormGame, Any], tuple[Values, T]], per_stage: Any
) -> tuple[Values, T]:
    """The players' values from the start, and the results of all stages, ``[*stage, ...]``."""
    if isinstance(game, MarkovGame):
        values, results = backward(game, visit, per_stage)
        return jnp.matmul(game.initial_probs.astype(game.dtype), values, precision=PRECISION), results
    values, results = over_contexts(game, visit, per_stage)
    return jnp.matmul(game.context_probs.astype(game.dtype), values, precision=PRECISION), results


@jit
def occupancies(game: StagedGame, joint: Float[Array, "*stage_and_actions"]) -> Float[Array, "*stage"]:
    """The probability of each stage under a joint policy: of contexts, or of the states at each step."""
    if isinstance(game, ContextualGame):
        return game.context_probs
    actions = tuple(range(1, game.num_players + 1))

    def step(here: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        transitions, policy = inputs
        moved = jnp.sum(transitions * policy[..., None], axis=actions)  # [state, next_state]
        return jnp.matmul(here, moved, precision=PRECISION), here

    return jax.lax.scan(step, game.initial_probs.astype(game.dtype), (game.transitions, joint))[1]


def expected_values(stage: NormalFormGame, policy: tuple[Array, ...]) -> Values:
    """What each player earns by a profile, payoff units."""
    return jnp.stack([expected_payoffs(payoffs, policy, ()) for payoffs in stage.payoffs])


def cell_chances(game: StagedGame, joint: Float[Array, "*stage_and_actions"]) -> Float[Array, "*stage_and_actions"]:
    """The probability of each stage and joint action under a joint policy."""
    visits = occupancies(game, joint)
    return visits.reshape(*visits.shape, *[1] * game.num_players) * joint


def earned(stage: NormalFormGame, sigma: Float[Array, "*actions"]) -> Values:
    """What each player earns by a joint policy at a stage."""
    return jnp.sum(stage.payoffs * sigma, axis=tuple(range(1, stage.num_players + 1)))


class Response(NamedTuple):
    """Each player's best response at a stage.

    Attributes:
        log_policy: one for each player; unregularised ones play a single action.
        gap: what each player's policy lacks there, shape ``[player]``.
    """

    log_policy: tuple[Array, ...]
    gap: Values


def _own_values(stage: NormalFormGame, policy: list[Array]) -> list[tuple[Array, Array]]:
    """Each player's action values against a profile, less the middle of its payoffs, and that middle."""
    found = []
    for player, payoffs in enumerate(stage.payoffs):
        middle = (payoffs.max() + payoffs.min()) / 2
        found.append((expected_payoffs(payoffs - middle, policy, (player,)), middle))
    return found


@jit
def respond(
    game: StagedGame, regularizer: Regularizer, log_policy: tuple[Float[Array, "*stage _"], ...]
) -> tuple[Values, Response]:
    """Each player's regularised best response to the others' policies, now and later."""

    def visit(stage: NormalFormGame, entry: Any) -> tuple[Values, Response]:
        profile, references = entry
        values, responses, gaps = [], [], []
        found = _own_values(stage, [jnp.exp(part) for part in profile])
        for player, ((own, middle), tau) in enumerate(zip(found, regularizer.temperatures, strict=True)):
            logits = references[player] + jnp.where(support(references[player]), own, 0) / tau
            total = jax.nn.logsumexp(logits)
            values.append(tau * total + middle)
            responses.append(logits - total)
            gaps.append(player_gap(profile[player], references[player], own, tau))
        return jnp.stack(values), Response(tuple(responses), jnp.stack(gaps))

    return visit_stages(game, visit, (log_policy, regularizer.log_reference))


@jit
def respond_greedily(
    game: StagedGame, masks: tuple[Array, ...], log_policy: tuple[Float[Array, "*stage _"], ...]
) -> tuple[Values, Response]:
    """Each player's unregularised best response on the masks, now and later."""

    def visit(stage: NormalFormGame, entry: Any) -> tuple[Values, Response]:
        profile, allowed = entry
        policy = [jnp.exp(part) for part in profile]
        values, responses, gaps = [], [], []
        for player, (own, middle) in enumerate(_own_values(stage, policy)):
            open_values = jnp.where(allowed[player], own, -jnp.inf)
            best = jnp.max(open_values)
            values.append(best + middle)
            chosen = jnp.arange(len(own)) == jnp.argmax(open_values)
            responses.append(jnp.where(chosen, jnp.zeros_like(own), -jnp.inf))
            gaps.append(jnp.sum(policy[player] * (best - own)))
        return jnp.stack(values), Response(tuple(responses), jnp.stack(gaps))

    return visit_stages(game, visit, (log_policy, masks))


@jit
def total_gap(
    game: StagedGame, log_policy: tuple[Float[Array, "*stage _"], ...], gap: Float[Array, "*stage player"]
) -> Values:
    """The gaps of stages, weighted by how often the policies come there."""
    weights = occupancies(game, outer(tuple(jnp.exp(entry) for entry in log_policy)))
    axes = tuple(range(weights.ndim))
    return jnp.sum(weights[..., None] * gap, axis=axes)


@jit
def policy_values(
    game: StagedGame,
    joint: Float[Array, "*stage_and_actions"],
    cost: Float[Array, "*stage player"],
) -> Values:
    """What each player earns from the start by a joint policy, less what that costs it at each stage, payoff units."""

    def visit(stage: NormalFormGame, entry: Any) -> tuple[Values, None]:
        sigma, costs = entry
        return earned(stage, sigma) - costs, None

    return visit_stages(game, visit, (joint, cost))[0]


def policy_cost(
    regularizer: Regularizer, log_policy: tuple[Float[Array, "*stage _"], ...]
) -> Float[Array, "*stage player"]:
    """What each player pays for leaving its reference at each stage, temperature * KL, payoff units."""
    parts = [kl(own, reference) for own, reference in zip(log_policy, regularizer.log_reference, strict=True)]
    return jnp.stack(parts, axis=-1) * regularizer.temperatures


@jit
def coarse_response(
    game: StagedGame,
    regularizer: Regularizer,
    joint: Float[Array, "*stage_and_actions"],
) -> tuple[Values, Values]:
    """What each player earns from the start if it leaves a joint policy for good, seeing no recommendation.

    Returns:
        By its best regularised policy, less what that costs, and by its best unregularised one on the references'
        support; shape ``[player]`` each.
    """

    def others(stage: NormalFormGame, sigma: Array) -> list[Array]:
        """Each player's action values against the others' part of the joint policy."""
        return [
            jnp.tensordot(
                jnp.moveaxis(payoffs, player, 0),
                sigma.sum(axis=player),
                axes=stage.num_players - 1,
                precision=PRECISION,
            )
            for player, payoffs in enumerate(stage.payoffs)
        ]

    def softly(stage: NormalFormGame, entry: Any) -> tuple[Values, None]:
        sigma, references = entry
        values = [
            tau * jax.nn.logsumexp(reference + jnp.where(support(reference), own, 0) / tau)
            for own, reference, tau in zip(others(stage, sigma), references, regularizer.temperatures, strict=True)
        ]
        return jnp.stack(values), None

    def greedily(stage: NormalFormGame, entry: Any) -> tuple[Values, None]:
        sigma, references = entry
        found = zip(others(stage, sigma), references, strict=True)
        return jnp.stack([jnp.max(jnp.where(support(reference), own, -jnp.inf)) for own, reference in found]), None

    per_stage = (joint, regularizer.log_reference)
    return visit_stages(game, softly, per_stage)[0], visit_stages(game, greedily, per_stage)[0]
