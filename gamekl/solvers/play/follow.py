"""Follow a first-order rule round by round: every player in a game, or one policy against itself."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from gamekl.core.arrays import own
from gamekl.core.games import NormalFormGame, OneShotGame, require_one_shot
from gamekl.core.kernels.batching import in_lanes, sharing_lanes
from gamekl.core.kernels.jit import jit
from gamekl.core.policies import Profile, check_profile, is_concrete, padded
from gamekl.core.regularizer import Regularizer
from gamekl.core.validation import check_preferences, validate
from gamekl.solvers.play.feedback import Asking
from gamekl.solvers.play.products import AnchoredGame, against_itself, anchor, unscaled, unscaled_against_itself
from gamekl.solvers.play.rules.anchored import Proven, Rule
from gamekl.solvers.play.trajectory import Record, Trajectory, follow_lanes
from gamekl.solvers.solution import Status, raise_unless_converged, status_of


class FollowProblem(NamedTuple):
    """What is to be followed; in a batch every leaf has a leading axis.

    Attributes:
        game: without a lane axis.
        rule: the method.
        limits: checkpoints, shape ``[checkpoint]``.
        target: of `Trajectory.kl`, padded, or None.
        tol: of `Trajectory.first`.
        kl_tol: of `Trajectory.first_kl`.
        asked: the game in probabilities to win and a key, or None where values are told.
    """

    game: AnchoredGame
    rule: Rule
    limits: Int[Array, "*batch checkpoint"]
    target: Float[Array, "*batch player actions"] | None
    tol: Float[Array, "*batch"]
    kl_tol: Float[Array, "*batch"]
    asked: tuple[AnchoredGame, Any] | None


def _follow_block(problems: FollowProblem, num_queries: int | None) -> Record:
    """Follow rules side by side, each in a lane."""
    game, *measures = jax.tree.map(
        lambda leaf: jnp.moveaxis(leaf, 0, -1),
        (problems.game, problems.limits, problems.target, problems.tol, problems.kl_tol),
    )
    rule = problems.rule
    if problems.asked is not None and num_queries is not None:
        chances = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), problems.asked[0])
        rule = Asking(rule, chances, problems.asked[1], num_queries)
    record = follow_lanes(rule, game, *measures)
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), record)


@partial(jit, static_argnames="num_queries")
def _follow(problem: FollowProblem, num_queries: int | None) -> Record:
    block = partial(_follow_block, num_queries=num_queries)

    def alone(problem: FollowProblem) -> Record:
        return jax.tree.map(lambda leaf: leaf[0], block(jax.tree.map(lambda leaf: leaf[None], problem)))

    def together(problems: FollowProblem) -> Record:
        return in_lanes(block, jax.tree.leaves(problems.game), problems)

    return sharing_lanes(alone, together)(problem)


def _check(rule: Any, num_rounds: Any, tol: Any, kl_tol: Any, num_queries: Any, key: Any) -> np.ndarray:
    """The checkpoints, after checking all that is not the game."""
    if not isinstance(rule, Rule):
        got = f"the class {rule.__name__}" if isinstance(rule, type) else type(rule).__name__
        hint = "its `rule`" if isinstance(rule, Proven) else "a rule of gamekl.rules, such as gamekl.rules.EGPO(0.3)"
        raise TypeError(f"rule: got {got}, takes {hint}")
    if rule.weighting != "uniform":
        raise ValueError(f"rule.weighting: got {rule.weighting!r}, takes 'uniform': averages are plain here")
    rounds = np.atleast_1d(np.asarray(num_rounds))
    if (
        rounds.ndim != 1
        or not len(rounds)
        or rounds.dtype.kind not in "iu"
        or rounds[0] < 0
        or np.any(np.diff(rounds) < 1)
    ):
        raise ValueError(f"num_rounds: got {num_rounds!r}, takes increasing whole numbers >= 0")
    if rounds[-1] >= 2**31 - 1:
        raise ValueError(f"num_rounds: got {rounds[-1]}, takes numbers below 2^31 - 1")
    for name, value in [("tol", tol), ("kl_tol", kl_tol)]:
        if is_concrete(value) and not np.all(np.asarray(value, dtype=float) >= 0):
            raise ValueError(f"{name}: got {value!r}, takes a number >= 0")
    if (num_queries is None) != (key is None):
        raise ValueError(f"key: got {key!r} with num_queries {num_queries!r}, takes both or neither")
    if key is not None and not (hasattr(key, "dtype") and np.ndim(key) <= 1):
        raise ValueError(f"key: got {key!r}, takes a jax random key, such as jax.random.key(0)")
    if num_queries is not None and (type(num_queries) is not int or num_queries < 1):
        raise ValueError(f"num_queries: got {num_queries!r}, takes a whole number >= 1")
    if (total := int(rounds[-1]) * rule.evaluations * (num_queries or 1)) >= 2**31:
        raise ValueError(f"num_rounds, num_queries: got {total} queries in all, takes fewer than 2^31")
    return rounds


def _trajectory(problem: FollowProblem, sizes: tuple[int, ...], num_queries: int | None, wrong: Array) -> Trajectory:
    record = _follow(problem, num_queries)
    measured = record.measured
    finite = jnp.all(jnp.isfinite(measured.regularized_gap) & jnp.isfinite(measured.nash_gap))
    status = jnp.where(finite, Status.converged, Status.not_converged)
    return Trajectory(
        num_rounds=problem.limits,
        num_queries=problem.limits * problem.rule.evaluations * (num_queries or 1),
        regularized_gap=measured.regularized_gap,
        nash_gap=measured.nash_gap,
        average_nash_gap=measured.average_nash_gap,
        kl=None if problem.target is None else measured.kl,
        log_policy=tuple(jnp.log(record.policy[player, :size]) for player, size in enumerate(sizes)),
        first=record.first,
        first_kl=None if problem.target is None else record.first_kl,
        status=jnp.where(wrong == Status.converged, status, wrong).astype(jnp.int32),
    )


def follow(
    game: OneShotGame,
    regularizer: Regularizer,
    rule: Rule | Any,
    *,
    num_rounds: Any,
    target: Profile | None = None,
    tol: ArrayLike = 1e-6,
    kl_tol: ArrayLike = 1e-10,
    num_queries: int | None = None,
    key: Any = None,
    throw: bool = True,
) -> Trajectory:
    """Let every player follow a rule from its reference, and measure rounds on the way.

    It may be transformed by ``jax.jit`` and ``jax.vmap``, over games, temperatures, step sizes and keys.

    Args:
        game: a `NormalFormGame` or a `PolymatrixGame`.
        regularizer: references and temperatures for this game.
        rule: one of `gamekl.rules`.
        num_rounds: rounds after which to measure, increasing, one number or ``[checkpoint]``; not traced.
        target: log-policies of a known solution, to measure the KL from.
        tol: total regularised gap, payoff units, whose first round is looked for.
        kl_tol: likewise the total KL from the target, nats.
        num_queries: ask for wins so often for each action in place of being told its value; payoffs are then the
            probabilities to win.
        key: of the queries.
        throw: raise where the status is not `Status.converged`; acts on concrete inputs only.

    Returns:
        A `Trajectory`: the gaps of single rounds and of averages at the checkpoints, payoff units.

    Raises:
        ValueError: game and regularizer do not fit, or an option or (``throw``) a value is bad.
        TypeError: `rule` is no rule.
        SolveError: (``throw``) numbers are not finite.
    """
    rounds = _check(rule, num_rounds, tol, kl_tol, num_queries, key)
    require_one_shot(game)
    Regularizer.require(regularizer)
    regularizer.check_fits(game)
    rule.check_fits(game)
    if throw and is_concrete(game, regularizer):
        validate(game, regularizer)
        if num_queries is not None and not np.all((np.asarray(game.payoffs) >= 0) & (np.asarray(game.payoffs) <= 1)):
            raise ValueError(
                "payoffs: got values outside of [0, 1], takes probabilities to win where num_queries is given"
            )
    regularizer = regularizer.astype(game.dtype)
    known = None if target is None else check_profile("target", target, game.num_actions, log=True)
    logs = None if known is None else padded([entry.astype(game.dtype) for entry in known], -jnp.inf)
    problem = FollowProblem(
        game=anchor(game, regularizer),
        rule=rule,
        limits=jnp.asarray(rounds, dtype=jnp.int32),
        target=None if logs is None else jnp.exp(logs),
        tol=jnp.asarray(tol, dtype=game.dtype),
        kl_tol=jnp.asarray(kl_tol, dtype=game.dtype),
        asked=None if key is None else (unscaled(game, regularizer), key),
    )
    trajectory = _trajectory(problem, game.num_actions, num_queries, status_of(game, regularizer))
    if throw:
        raise_unless_converged(trajectory)
    return trajectory


def self_play(
    preferences: ArrayLike | Sequence[Any],
    log_reference: ArrayLike | Sequence[Any],
    temperature: ArrayLike,
    rule: Rule | Any,
    *,
    num_rounds: Any,
    target: ArrayLike | Sequence[Any] | None = None,
    tol: ArrayLike = 1e-6,
    kl_tol: ArrayLike = 1e-10,
    num_queries: int | None = None,
    key: Any = None,
    throw: bool = True,
) -> Trajectory:
    """Let one policy follow a rule against itself, from its reference, and measure rounds on the way.

    With one reference for both, that is how two players would play by `follow`. It may be transformed by ``jax.jit``
    and ``jax.vmap``.

    Args:
        preferences: P[y, y'], the probability that y is preferred to y', ``[actions, actions]``; P + P^T = 1.
        log_reference: logarithms of the reference policy, ``[actions]``; -inf masks.
        temperature: preference per nat.
        rule: one of `gamekl.rules`.
        num_rounds: rounds after which to measure, increasing, one number or ``[checkpoint]``; not traced.
        target: log-policy of a known solution, ``[actions]``, to measure the KL from.
        tol: regularised gap, in units of preference, whose first round is looked for.
        kl_tol: likewise the KL from the target, nats.
        num_queries: comparisons for each action and evaluation, in place of being told its value.
        key: of the comparisons.
        throw: raise on bad values and on any status but `converged`; acts on concrete inputs only.

    Returns:
        A `Trajectory` of a single player, whose gaps are half of what `follow` would sum up to for both.

    Raises:
        ValueError: preferences are none, shapes do not fit, or an option or (``throw``) a value is bad.
        TypeError: `rule` is no rule.
        SolveError: (``throw``) numbers are not finite.
    """
    rounds = _check(rule, num_rounds, tol, kl_tol, num_queries, key)
    preferences = jnp.asarray(own("preferences", preferences))
    log_reference = jnp.asarray(own("log_reference", log_reference))
    if preferences.ndim != 2 or preferences.shape[0] != preferences.shape[1]:
        raise ValueError(f"preferences: got shape {preferences.shape}, takes [actions, actions]; jax.vmap takes many")
    if log_reference.shape != preferences.shape[:1]:
        raise ValueError(f"log_reference: got shape {log_reference.shape}, takes [actions] = {preferences.shape[:1]}")
    if jnp.shape(temperature):
        raise ValueError(f"temperature: got shape {jnp.shape(temperature)}, takes a number; jax.vmap takes several")
    game = NormalFormGame(jnp.stack([preferences, preferences.T]))
    regularizer = Regularizer((log_reference, log_reference), temperature).astype(game.dtype)
    regularizer.check_fits(game)
    if throw and is_concrete(game, regularizer):
        check_preferences("preferences", np.asarray(preferences))
        validate(game, regularizer)
    reference, tau = regularizer.log_reference[0], regularizer.temperature
    slack = 16 * float(jnp.finfo(game.dtype).eps)
    fair = jnp.all((game.payoffs >= 0) & (jnp.abs(game.payoffs[0] + game.payoffs[1] - 1) <= slack))
    status = status_of(game, regularizer)
    status = jnp.where((status == Status.converged) & ~fair, Status.invalid_input, status)
    if target is not None:
        [target] = check_profile("target", [target], game.num_actions[:1], log=True)
    problem = FollowProblem(
        game=against_itself(preferences, reference, tau),
        rule=rule,
        limits=jnp.asarray(rounds, dtype=jnp.int32),
        target=None if target is None else jnp.exp(target.astype(game.dtype))[None],
        tol=jnp.asarray(tol, dtype=game.dtype),
        kl_tol=jnp.asarray(kl_tol, dtype=game.dtype),
        asked=None if key is None else (unscaled_against_itself(preferences, reference), key),
    )
    trajectory = _trajectory(problem, game.num_actions[:1], num_queries, status)
    if throw:
        raise_unless_converged(trajectory)
    return trajectory
