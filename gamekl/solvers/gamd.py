"""GAMD: anchored mirror descent to a coarse correlated equilibrium, by matrix products only.

Every player answers what its actions have earned so far, anchored to its reference (`rules`). The joint policy of all
rounds together is an approximate coarse correlated equilibrium of the game that was played, with a bound that holds
after every round (MATH B2, derived):

    uniform weights   regularised gap_i <= R_i^2 (1 + ln T) / (8 tau_i T)
    linear weights    regularised gap_i <= R_i^2 / (2 tau_i (T + 1))

Played on an estimate, GAMD needs no pessimism: its gap in the true game is that bound and a term of order 1/sqrt(n)
(announced in arXiv 2605.00264).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.anchored import anchor
from gamekl.core.games import OneShotGame, require_one_shot
from gamekl.core.policies import is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.response import payoff_range
from gamekl.core.validation import validate
from gamekl.solvers.correlated_solution import CorrelatedSolution
from gamekl.solvers.loop import Block, Run, iterate, start
from gamekl.solvers.mixture import Gaps, Summary, empty, gaps, observe
from gamekl.solvers.queue import fitting_lanes, in_blocks, sharing_lanes
from gamekl.solvers.rules import WEIGHTINGS, DualAveraging, Rule, mirror_descent
from gamekl.solvers.solution import Status, input_status


class Problem(NamedTuple):
    """What is to be played; in a batch every leaf has a leading axis.

    Attributes:
        game: in which it is played.
        regularizer: references and temperatures, in the game's dtype.
        target: another game in which to measure too, or None.
        rule: the method.
        limits: rounds after which to measure, increasing, shape ``[checkpoint]``.
        tol: regularised gap at which to stop, or None.
    """

    game: OneShotGame
    regularizer: Regularizer
    target: OneShotGame | None
    rule: Rule
    limits: Int[Array, "*batch checkpoint"]
    tol: Float[Array, "*batch"] | None


class Outcome(NamedTuple):
    """What a run comes to; in a batch every leaf has a leading axis.

    Attributes:
        run: where the rule has come to.
        summary: of all rounds.
        reached: the gaps at each checkpoint, in the game to measure in and in the one played, ``[checkpoint, player]``.
        marginals: each player's policy, averaged.
        last: log-policies after the last round, ``[player, actions]``.
        last_gaps: their gaps as a Nash equilibrium, regularised and not, in the game to measure in.
    """

    run: Run
    summary: Summary
    reached: tuple[Gaps, Gaps]
    marginals: list[Float[Array, "*batch _"]]
    last: Float[Array, "*batch player actions"]
    last_gaps: tuple[Float[Array, "*batch player"], Float[Array, "*batch player"]]


def _to_lanes(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), tree)


def _play_block(problems: Problem, weighting: str, num_actions: tuple[int, ...]) -> Outcome:
    """Play problems side by side, each in a lane."""
    anchored = jax.vmap(anchor)
    game = _to_lanes(anchored(problems.game, problems.regularizer))
    target = None if problems.target is None else _to_lanes(anchored(problems.target, problems.regularizer))
    there = game if target is None else target
    last = problems.limits[:, -1]

    def measure(summary: Summary) -> tuple[Gaps, Gaps]:
        measured, solved = summary.pairs(game, target)
        return gaps(there, measured, summary.cost), gaps(game, solved, summary.cost)

    def finished(summary: Summary) -> Bool[Array, " lane"]:
        if problems.tol is None:
            return jnp.zeros(last.shape, dtype=bool)
        worst = measure(summary)[1].regularized_cce.max(axis=0)
        return (summary.weight > 0) & (worst <= problems.tol)

    def add(summary: Summary, block: Block) -> Summary:
        return observe(summary, block, target, weighting, last, num_actions)

    def advance(carry: tuple[Run, Summary], limit: Array) -> tuple[tuple[Run, Summary], tuple[Gaps, Gaps]]:
        run, summary = iterate(problems.rule, game, *carry, limit, add, finished)
        return (run, summary), measure(summary)

    first = start(problems.rule, game), empty(game, target, num_actions)
    (run, summary), reached = jax.lax.scan(advance, first, problems.limits.T)
    last_gaps = there.gaps(run.drift)
    outcome = Outcome(run, summary, reached, summary.marginals(num_actions), game.log_policy(run.drift), last_gaps)
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), outcome)


def _play(problem: Problem, weighting: str) -> Outcome:
    """Play one problem; under ``jax.vmap`` a batch, in blocks of lanes."""
    num_actions = problem.game.num_actions
    block = partial(_play_block, weighting=weighting, num_actions=num_actions)

    def alone(problem: Problem) -> Outcome:
        return jax.tree.map(lambda leaf: leaf[0], block(jax.tree.map(lambda leaf: leaf[None], problem)))

    def together(problems: Problem) -> Outcome:
        return in_blocks(block, fitting_lanes(problems.game), problems)

    return sharing_lanes(alone, together)(problem)


def _bound(problem: Problem, num_steps: Array, weighting: str) -> Float[Array, " player"] | None:
    if not isinstance(problem.rule, DualAveraging):
        return None
    time = num_steps.astype(problem.game.dtype)
    curvature = payoff_range(problem.game) ** 2 / problem.regularizer.temperatures
    return curvature * (1 / (2 * (time + 1)) if weighting == "linear" else (1 + jnp.log(time)) / (8 * time))


def _conclude(problem: Problem, outcome: Outcome, weighting: str) -> CorrelatedSolution:
    run, summary = outcome.run, outcome.summary
    game, regularizer = problem.game, problem.regularizer
    measured, solved = jax.tree.map(lambda leaf: leaf[-1], outcome.reached)
    sizes = game.num_actions
    status = jnp.asarray(Status.converged, dtype=jnp.int32)
    if problem.tol is not None:
        status = jnp.where(solved.regularized_cce.max() <= problem.tol, status, Status.max_steps)
    wrong = input_status(game, regularizer)
    regularized, unregularized = outcome.last_gaps
    return CorrelatedSolution(
        regularized_cce_gap=measured.regularized_cce,
        cce_gap=measured.cce,
        ce_gap=measured.ce,
        regularized_cce_gap_estimated=solved.regularized_cce,
        cce_gap_estimated=solved.cce,
        ce_gap_estimated=solved.ce,
        bound=_bound(problem, run.round, weighting),
        marginals=tuple(outcome.marginals),
        last_log_policy=tuple(outcome.last[player, :size] for player, size in enumerate(sizes)),
        last_regularized_gap=regularized,
        last_nash_gap=unregularized,
        num_steps=run.round,
        status=jnp.where(wrong == Status.converged, status, wrong).astype(jnp.int32),
        mixture=summary.mixture,
        num_actions=sizes,
    )


@partial(jax.jit, static_argnames="weighting")
def play_problem(problem: Problem, weighting: str) -> tuple[CorrelatedSolution, tuple[Gaps, Gaps]]:
    """The solution, and the gaps at the checkpoints as in `Outcome`."""
    outcome = _play(problem, weighting)
    return _conclude(problem, outcome, weighting), outcome.reached


def check_gamd_options(num_steps: Any, weighting: Any, step_size: Any, tol: Any) -> None:
    """Raise ``ValueError`` unless these make sense, where they are concrete."""
    if weighting not in WEIGHTINGS:
        raise ValueError(f"weighting: got {weighting!r}, takes one of {', '.join(map(repr, WEIGHTINGS))}")
    if is_concrete(num_steps):
        rounds = np.asarray(num_steps)
        if rounds.dtype.kind not in "iu" or np.any(rounds < 1) or np.any(rounds >= 2**31):
            raise ValueError(f"num_steps: got {num_steps!r}, takes whole numbers from 1 to 2^31 - 1")
    if step_size is not None and not callable(step_size) and is_concrete(step_size):
        if not np.all(np.asarray(step_size, dtype=float) > 0):
            raise ValueError(f"step_size: got {step_size!r}, takes a number > 0 or a schedule")
    if tol is not None and is_concrete(tol) and not np.all(np.asarray(tol, dtype=float) >= 0):
        raise ValueError(f"tol: got {tol!r}, takes a number >= 0 or None")


def make_problem(
    game: OneShotGame,
    regularizer: Regularizer,
    limits: Any,
    weighting: str,
    step_size: Any,
    tol: Any,
    evaluate_on: OneShotGame | None,
    throw: bool = True,
) -> Problem:
    """Check the arguments of `gamd`, values too where they are concrete and `throw` is set."""
    require_one_shot(game)
    Regularizer.require(regularizer)
    regularizer.check_fits(game)
    check_gamd_options(limits, weighting, step_size, tol)
    if is_concrete(limits) and np.any(np.diff(np.asarray(limits, dtype=int).ravel()) < 1):
        raise ValueError(f"num_steps: got {limits!r}, takes increasing numbers")
    if evaluate_on is not None and (
        type(evaluate_on) is not type(game) or evaluate_on.payoffs.shape != game.payoffs.shape
    ):
        got = f"{type(evaluate_on).__name__} {getattr(evaluate_on, 'num_actions', '')}"
        takes = f"a {type(game).__name__} with the actions of the game that is played, {game.num_actions}"
        raise ValueError(f"evaluate_on: got {got}, takes {takes}")
    if throw and is_concrete(game, regularizer, evaluate_on):
        validate(game, regularizer)
        if evaluate_on is not None:
            validate(evaluate_on)
    return Problem(
        game=game,
        regularizer=regularizer.astype(game.dtype),
        target=None if evaluate_on is None else type(game)(evaluate_on.payoffs.astype(game.dtype)),
        rule=DualAveraging(weighting) if step_size is None else mirror_descent(step_size),
        limits=jnp.atleast_1d(jnp.asarray(limits, dtype=jnp.int32)),
        tol=None if tol is None else jnp.asarray(tol, dtype=game.dtype),
    )


def gamd(
    game: OneShotGame,
    regularizer: Regularizer,
    *,
    num_steps: Any,
    weighting: str = "uniform",
    step_size: float | Float[Array, ""] | Callable[..., Any] | None = None,
    tol: float | int | Float[Array, ""] | None = None,
    evaluate_on: OneShotGame | None = None,
    throw: bool = True,
) -> CorrelatedSolution:
    """Play anchored mirror descent, and measure the joint policy of all rounds as a coarse correlated equilibrium.

    It may be transformed by ``jax.jit`` and ``jax.vmap`` (a batch is played in blocks of lanes, with all sizes of
    `num_steps` together; a game's numbers do not depend on its neighbours).

    Args:
        game: a `NormalFormGame` or a `PolymatrixGame`. The work is done in the payoffs' dtype.
        regularizer: references and temperatures for this game.
        num_steps: rounds; not static.
        weighting: "uniform" averages all rounds alike, "linear" gives round t the weight t. Each comes with the play
            of which it is the average, and with its bound.
        step_size: instead of those plays, the step size of mirror descent in nats per payoff unit: a number, or an
            optax schedule of the round counted from 0. Then there is no bound.
        tol: stop, at the end of a block of rounds, once no regularised gap in the played game exceeds this.
        evaluate_on: a game in which to measure too, such as the truth whose estimate is played.
        throw: raise on bad values. Acts on concrete inputs only; otherwise `CorrelatedSolution.status` tells.

    Returns:
        The averaged joint policy, its gaps, and what would be played next.

    Raises:
        ValueError: game, regularizer and `evaluate_on` do not fit, an option is not known, or values are bad.

    Source: update, averages and bounds derived, MATH B1 to B3; the method is GAMD of arXiv 2605.00264.
    """
    problem = make_problem(game, regularizer, num_steps, weighting, step_size, tol, evaluate_on, throw)
    return play_problem(problem, weighting)[0]
