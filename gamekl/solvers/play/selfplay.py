"""Self-play: every player follows a first-order rule against the others' policies, round after round.

Games are played side by side in lanes. All rounds together are a joint policy (`mixture`), whose gaps are measured in
the game that is played and, in the same pass, in another one.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.games import Game, OneShotGame, require_one_shot
from gamekl.core.kernels.batching import in_lanes, sharing_lanes
from gamekl.core.kernels.jit import jit
from gamekl.core.one_shot import payoff_range
from gamekl.core.policies import is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.validation import validate
from gamekl.solvers.correlated_solution import CorrelatedSolution
from gamekl.solvers.play.loop import Block, Run, iterate, start
from gamekl.solvers.play.mixture import Gaps, Kept, Summary, empty, gaps, observe
from gamekl.solvers.play.products import anchor
from gamekl.solvers.play.rules.anchored import Rule
from gamekl.solvers.solution import Status, status_of


class PlayProblem(NamedTuple):
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


class Played(NamedTuple):
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


def _play_block(problems: PlayProblem, num_actions: tuple[int, ...]) -> Played:
    """Play problems side by side, each in a lane."""
    anchored = jax.vmap(anchor)
    game = _to_lanes(anchored(problems.game, problems.regularizer))
    target = None if problems.target is None else _to_lanes(anchored(problems.target, problems.regularizer))
    there = game if target is None else target
    last = problems.limits[:, -1]

    def measure(summary: Summary) -> tuple[Gaps, Gaps]:
        measured, solved = summary.pairs(game, target)
        return gaps(there, measured, summary.cost.value), gaps(game, solved, summary.cost.value)

    def finished(summary: Summary) -> Bool[Array, " lane"]:
        if problems.tol is None:
            return jnp.zeros(last.shape, dtype=bool)
        worst = measure(summary)[1].regularized_cce.max(axis=0)
        return (summary.round > 0) & (worst <= problems.tol)

    def add(summary: Summary, block: Block) -> Summary:
        return observe(summary, block, target, problems.rule.weighting, last, num_actions)

    def advance(carry: tuple[Run, Summary], limit: Array) -> tuple[tuple[Run, Summary], tuple[Gaps, Gaps]]:
        run, summary = iterate(problems.rule, game, *carry, limit, add, finished)
        return (run, summary), measure(summary)

    first = start(problems.rule, game), empty(game, target, num_actions)
    (run, summary), reached = jax.lax.scan(advance, first, problems.limits.T)
    last_gaps = there.gaps(run.state)
    played = Played(run, summary, reached, summary.marginals(num_actions), game.log_policy(run.state), last_gaps)
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), played)


def _play(problem: PlayProblem) -> Played:
    """Play one problem; under ``jax.vmap`` a batch, in blocks of lanes."""
    num_actions = problem.game.num_actions
    block = partial(_play_block, num_actions=num_actions)

    def alone(problem: PlayProblem) -> Played:
        return jax.tree.map(lambda leaf: leaf[0], block(jax.tree.map(lambda leaf: leaf[None], problem)))

    def together(problems: PlayProblem) -> Played:
        return in_lanes(block, [problems.game.payoffs], problems)

    return sharing_lanes(alone, together)(problem)


def named_gaps(measured: Gaps, solved: Gaps) -> dict[str, Array]:
    """The gaps in the game to measure in and in the one played, by the names that solutions have for them."""
    return {
        "regularized_cce_gap": measured.regularized_cce,
        "cce_gap": measured.cce,
        "ce_gap": measured.ce,
        "regularized_cce_gap_estimated": solved.regularized_cce,
        "cce_gap_estimated": solved.cce,
        "ce_gap_estimated": solved.ce,
    }


def _conclude(problem: PlayProblem, played: Played) -> CorrelatedSolution:
    run, summary = played.run, played.summary
    game, regularizer = problem.game, problem.regularizer
    measured, solved = jax.tree.map(lambda leaf: leaf[-1], played.reached)
    sizes = game.num_actions
    status = jnp.asarray(Status.converged, dtype=jnp.int32)
    if problem.tol is not None:
        status = jnp.where(solved.regularized_cce.max() <= problem.tol, status, Status.max_steps)
    finite = jnp.all(jnp.isfinite(measured.cce)) & jnp.all(jnp.isfinite(solved.regularized_cce))
    status = jnp.where(finite, status, Status.not_converged)
    wrong = status_of(game, regularizer)
    if problem.target is not None:
        unseen = ~jnp.all(jnp.isfinite(problem.target.payoffs))
        wrong = jnp.where((wrong == Status.converged) & unseen, Status.nonfinite_input, wrong)
    rising = (problem.limits[0] >= 1) & jnp.all(jnp.diff(problem.limits) >= 1)
    wrong = jnp.where((wrong == Status.converged) & ~rising, Status.invalid_input, wrong)
    regularized, unregularized = played.last_gaps
    return CorrelatedSolution(
        **named_gaps(measured, solved),
        bound=problem.rule.bound(payoff_range(game), regularizer, run.round[..., None]),
        cost=summary.cost.value * regularizer.temperatures,
        marginals=tuple(played.marginals),
        last_log_policy=tuple(played.last[player, :size] for player, size in enumerate(sizes)),
        last_regularized_gap=regularized,
        last_nash_gap=unregularized,
        num_rounds=run.round,
        status=jnp.where(wrong == Status.converged, status, wrong).astype(jnp.int32),
        mixture=summary.mixture if isinstance(summary.mixture, Kept) else summary.mixture.value,
        num_actions=sizes,
    )


@jit
def play_problem(problem: PlayProblem) -> tuple[CorrelatedSolution, tuple[Gaps, Gaps]]:
    """The solution, and the gaps at the checkpoints as in `Played`."""
    played = _play(problem)
    return _conclude(problem, played), played.reached


def check_rounds(num_rounds: Any, tol: Any) -> None:
    """Raise ``ValueError`` unless these make sense, where they are concrete."""
    if is_concrete(num_rounds):
        rounds = np.asarray(num_rounds)
        if rounds.dtype.kind not in "iu" or np.any(rounds < 1) or np.any(rounds >= 2**31):
            raise ValueError(f"num_rounds: got {num_rounds!r}, takes whole numbers from 1 to 2^31 - 1")
    if tol is not None and is_concrete(tol) and not np.all(np.asarray(tol, dtype=float) >= 0):
        raise ValueError(f"tol: got {tol!r}, takes a number >= 0 or None")


def _alike(game: Game, other: Any) -> bool:
    """Whether two games are of one kind, an estimate or not, and of one shape."""
    kinds = isinstance(other, type(game)) or isinstance(game, type(other))
    return kinds and other.table.shape == game.table.shape


def check_play(game: Game, regularizer: Any, num_rounds: Any, tol: Any, evaluate_on: Any, check_values: bool) -> None:
    """Raise unless all this fits together and, where it is concrete and `check_values` is set, the values are right."""
    Regularizer.require(regularizer)
    regularizer.check_fits(game)
    check_rounds(num_rounds, tol)
    if evaluate_on is not None and not _alike(game, evaluate_on):
        got = f"{type(evaluate_on).__name__} {getattr(evaluate_on, 'num_actions', '')}".strip()
        takes = f"a {type(game).__name__} with the actions of the game that is played, {game.num_actions}"
        raise ValueError(f"evaluate_on: got {got}, takes {takes}")
    if check_values and is_concrete(game, regularizer, evaluate_on):
        validate(game, regularizer)
        if evaluate_on is not None:
            validate(evaluate_on)


def make_play_problem(
    game: OneShotGame,
    regularizer: Regularizer,
    limits: Any,
    make_rule: Callable[[Float[Array, " player"], Regularizer], Rule],
    tol: Any,
    evaluate_on: Any,
    check_values: bool,
) -> PlayProblem:
    """Check what is to be played, values too where they are concrete and `check_values` is set.

    Args:
        game: in which to play.
        regularizer: references and temperatures.
        limits: rounds after which to measure, increasing, or how many there are to be.
        make_rule: from each player's payoff range and the regularizer in the game's dtype to the rule.
        tol: regularised gap at which to stop, or None.
        evaluate_on: another game in which to measure too, or None.
        check_values: whether bad values are raised, and not left to the status.
    """
    require_one_shot(game)
    check_play(game, regularizer, limits, tol, evaluate_on, check_values)
    if is_concrete(limits) and np.any(np.diff(np.asarray(limits, dtype=int).ravel()) < 1):
        raise ValueError(f"num_rounds: got {limits!r}, takes increasing numbers")
    regularizer = regularizer.astype(game.dtype)
    return PlayProblem(
        game=game,
        regularizer=regularizer,
        target=None if evaluate_on is None else type(game)(evaluate_on.payoffs.astype(game.dtype)),
        rule=make_rule(payoff_range(game), regularizer),
        limits=jnp.atleast_1d(jnp.asarray(limits, dtype=jnp.int32)),
        tol=None if tol is None else jnp.asarray(tol, dtype=game.dtype),
    )
