"""GAMD: anchored mirror descent to a coarse correlated equilibrium, by matrix products only.

Every player answers what its actions have earned so far, anchored to its reference (`rules`). The joint policy of all
rounds together is an approximate coarse correlated equilibrium of the game that was played, with a bound that holds
after every round (theory B2, derived):

    uniform weights   regularised gap_i <= R_i^2 (1 + ln T) / (8 tau_i T)
    linear weights    regularised gap_i <= R_i^2 / (2 tau_i (T + 1))

Played on an estimate, GAMD needs no pessimism: its gap in the true game is that bound and a term of order 1/sqrt(n)
(announced in arXiv 2605.00264).
"""

import math
from collections.abc import Callable
from typing import Any, overload

import numpy as np
from jaxtyping import Array, Float

from gamekl.core.games import ContextualGame, MarkovGame, NormalFormGame, OneShotGame, StagedGame
from gamekl.core.kernels.jit import jit
from gamekl.core.regularizer import Regularizer
from gamekl.solvers.correlated_solution import CorrelatedSolution
from gamekl.solvers.play.mixture import LARGEST_TABLE
from gamekl.solvers.play.rules.anchored import Rule, anchored, hedge
from gamekl.solvers.play.selfplay import check_play, make_play_problem, play_problem
from gamekl.solvers.play.stages import StagedCorrelatedSolution, play_stages
from gamekl.solvers.solution import raise_unless_converged


def _check_numbers(**options: Any) -> None:
    for name, value in options.items():
        if value is not None and np.shape(value) != ():
            raise ValueError(f"{name}: got shape {np.shape(value)}, takes a number (gamd_batch and vmap take many)")


def _play_stages(
    game: StagedGame, regularizer: Regularizer, num_rounds: Any, rule: Rule, tol: Any, evaluate_on: Any, throw: bool
) -> StagedCorrelatedSolution:
    check_play(game, regularizer, num_rounds, tol, evaluate_on, throw)
    if math.prod(game.num_actions) > LARGEST_TABLE:
        raise ValueError(
            f"game: got {math.prod(game.num_actions):,} joint actions a stage, takes at most {LARGEST_TABLE:,}"
        )
    solution = _play_all(game, regularizer, num_rounds, rule, tol, evaluate_on)
    if throw:
        raise_unless_converged(solution)
    return solution


@jit
def _play_all(
    game: StagedGame, regularizer: Regularizer, num_rounds: Any, rule: Rule, tol: Any, evaluate_on: Any
) -> StagedCorrelatedSolution:
    def play(stage: NormalFormGame, here: Regularizer) -> CorrelatedSolution:
        return play_problem(make_play_problem(stage, here, num_rounds, lambda *_: rule, tol, None, check_values=False))[
            0
        ]

    return play_stages(game, regularizer, evaluate_on, play)


@overload
def gamd(
    game: OneShotGame,
    regularizer: Regularizer,
    *,
    num_rounds: Any,
    weighting: str = ...,
    step_size: Any = ...,
    tol: Any = ...,
    evaluate_on: OneShotGame | None = ...,
    throw: bool = ...,
) -> CorrelatedSolution: ...


@overload
def gamd(
    game: StagedGame,
    regularizer: Regularizer,
    *,
    num_rounds: Any,
    weighting: str = ...,
    step_size: Any = ...,
    tol: Any = ...,
    evaluate_on: StagedGame | None = ...,
    throw: bool = ...,
) -> StagedCorrelatedSolution: ...


def gamd(
    game: OneShotGame | StagedGame,
    regularizer: Regularizer,
    *,
    num_rounds: Any,
    weighting: str = "uniform",
    step_size: float | Float[Array, ""] | Callable[..., Any] | None = None,
    tol: float | int | Float[Array, ""] | None = None,
    evaluate_on: OneShotGame | StagedGame | None = None,
    throw: bool = True,
) -> CorrelatedSolution | StagedCorrelatedSolution:
    """Play anchored mirror descent, and measure the joint policy of all rounds as a coarse correlated equilibrium.

    It may be transformed by ``jax.jit`` and ``jax.vmap`` (a batch is played in blocks of lanes, with all sizes of
    `num_rounds` together; a game's numbers do not depend on its neighbours). It has no derivatives.

    Args:
        game: a `NormalFormGame` or a `PolymatrixGame`; or a contextual or Markov game, which is played stage by stage,
            with the values of what was played behind it. The work is done in the payoffs' dtype.
        regularizer: references and temperatures for this game.
        num_rounds: rounds; not static.
        weighting: "uniform" averages all rounds alike, "linear" gives round t the weight t. Each comes with the play
            of which it is the average, and with its bound.
        step_size: instead of those plays, the step size of mirror descent in nats per payoff unit: a number, or an
            optax schedule of the round counted from 0. Then there is no bound.
        tol: stop, at the end of a block of rounds, once no regularised gap in the played game exceeds this.
        evaluate_on: a game in which to measure too, such as the truth whose estimate is played.
        throw: raise where the status is not `Status.converged`: numbers are not finite, or `tol` was not met. Acts on
            concrete inputs only; otherwise the status tells.

    Returns:
        The averaged joint policy, its gaps, and what would be played next: a `CorrelatedSolution`, or for games in
        stages a `StagedCorrelatedSolution`.

    Raises:
        ValueError: game, regularizer and `evaluate_on` do not fit, an option is not known, or (``throw``) values are
            bad.
        SolveError: (``throw``) the status is another.

    Source: update, averages and bounds derived, theory B1, B2 and B3; the method is GAMD of arXiv 2605.00264.
    """
    rule = anchored(weighting, step_size)
    _check_numbers(num_rounds=num_rounds, step_size=None if callable(step_size) else step_size, tol=tol)
    if isinstance(game, ContextualGame | MarkovGame):
        return _play_stages(game, regularizer, num_rounds, rule, tol, evaluate_on, throw)
    problem = make_play_problem(game, regularizer, num_rounds, lambda *_: rule, tol, evaluate_on, throw)
    solution = play_problem(problem)[0]
    if throw:
        raise_unless_converged(solution)
    return solution


def multiplicative_weights(
    game: OneShotGame,
    regularizer: Regularizer,
    *,
    num_rounds: Any,
    evaluate_on: OneShotGame | None = None,
    throw: bool = True,
) -> CorrelatedSolution:
    """Play Hedge, the baseline without an anchor, which leaves its references for good.

    The unregularised gap, `CorrelatedSolution.cce_gap_estimated`, is at most R_i sqrt(L_i / T) after T rounds, where
    L_i = -log min reference_i; that is `CorrelatedSolution.bound`. Regularised gaps are measured as for `gamd`.

    Args:
        game: a `NormalFormGame` or a `PolymatrixGame`.
        regularizer: the references from which it starts, and the temperatures by which regularised gaps are measured.
        num_rounds: rounds; not static.
        evaluate_on: a game in which to measure too.
        throw: raise on bad values and on any status but `converged`. Acts on concrete inputs only; otherwise
            `CorrelatedSolution.status` tells.

    Returns:
        A `CorrelatedSolution`: the averaged joint policy and its gaps, payoff units.

    Raises:
        ValueError: game, regularizer and `evaluate_on` do not fit, an option is not known, or values are bad.
        SolveError: (``throw``) numbers are not finite, or `tol` was not met.

    Source: Hedge with falling step sizes (Freund and Schapire 1997); the bound is derived in
    `solvers.play.rules.anchored`.
    """
    _check_numbers(num_rounds=num_rounds)
    problem = make_play_problem(game, regularizer, num_rounds, hedge, None, evaluate_on, throw)
    solution = play_problem(problem)[0]
    if throw:
        raise_unless_converged(solution)
    return solution
