"""Correlated and coarse correlated equilibria that are best by some measure, certified.

Of all joint policies x from which no player gains more than epsilon by leaving (`core.deviations`):

    entropy   the least KL(x || prior), the prior being uniform or a product of references: maximum-entropy equilibria
    gini      the least sum x^2 / 2: maximum-Gini equilibria (Marris et al. 2021, "Multi-Agent Training beyond Zero-Sum
              with Correlated Equilibrium Meta-Solvers")

either less welfare_weight times the sum of the players' payoffs. The greatest such sum alone is found by `welfare`.
Exact correlated equilibria always exist, so there is always an answer.
"""

import math
from functools import partial
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from gamekl.core import deviations
from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.kernels.jit import jit
from gamekl.core.policies import (
    Profile,
    check_alone,
    check_profile,
    is_concrete,
    marginals,
    sample_joint,
    support,
)
from gamekl.core.show import Shown
from gamekl.core.validation import validate
from gamekl.solvers.correlated.attempts import Given, Kind, solver
from gamekl.solvers.correlated.gain_rows import count_gains
from gamekl.solvers.solution import Status, check_options, raise_unless_converged

CONCEPTS = ("cce", "ce")
OBJECTIVES = ("entropy", "gini")
# Entries of the matrix of gains.
LARGEST_MATRIX = 2 * 10**8
MAX_STEPS = 200


class CorrelatedEquilibrium(Shown):
    """A joint policy, and what is certain about it.

    Attributes:
        joint_policy: probabilities of joint actions, shape ``[*actions]``.
        cce_gap: what each player could gain by one action in place of all recommendations, shape ``[player]``, payoff
            units; may be below 0. Deviations stay on the references' support.
        ce_gap: by an action for each recommendation, shape ``[player]``, summed over recommendations.
        objective: what was minimised (for `solve_welfare` minus the welfare, payoff units).
        duality_gap: how far the objective may be from the least among all joint policies whose gains are no greater
            than epsilon and `violation`, proved by multipliers.
        violation: how far a gain exceeds epsilon, payoff units.
        num_steps: steps made.
        status: a `Status` value.
    """

    joint_policy: Float[Array, "*actions"]
    cce_gap: Float[Array, "*batch player"]
    ce_gap: Float[Array, "*batch player"]
    objective: Float[Array, "*batch"]
    duality_gap: Float[Array, "*batch"]
    violation: Float[Array, "*batch"]
    num_steps: Int[Array, "*batch"]
    status: Int[Array, "*batch"]
    status_type: ClassVar = Status

    @property
    def marginals(self) -> tuple[Float[Array, "*batch _"], ...]:
        """Each player's part, ``[actions_i]``."""
        players = self.cce_gap.shape[-1]
        table = jnp.moveaxis(self.joint_policy, tuple(range(-players, 0)), tuple(range(players)))
        return tuple(jnp.moveaxis(entry, 0, -1) for entry in marginals(table, players))

    def sample(self, key: ArrayLike, num_samples: int) -> Int[Array, "sample player"]:
        """Joint actions drawn from one equilibrium, shape ``[num_samples, player]``.

        Raises:
            ValueError: this is a batch of equilibria.
        """
        check_alone(self.num_steps.shape)
        return sample_joint(key, self.joint_policy.ravel(), self.joint_policy.shape, num_samples)


def conclude(
    scaled: NormalFormGame, scale: Float[Array, " player"], x: Array, masks: deviations.Masks, **fields: Any
) -> CorrelatedEquilibrium:
    """A joint policy of a game that was rescaled, with its gaps in payoff units and the other fields."""
    joint_policy = x.reshape(scaled.num_actions)
    return CorrelatedEquilibrium(
        joint_policy=joint_policy,
        cce_gap=deviations.coarse_gap(scaled, joint_policy, masks) * scale,
        ce_gap=deviations.gap(scaled, joint_policy, masks) * scale,
        **fields,
    )


@partial(jit, static_argnames="kind", quick=True)
def _solve(given: Given, kind: Kind) -> CorrelatedEquilibrium:
    posed, end = solver(kind)(given)
    solved = (end.gap <= given.tol) & end.good
    status = jnp.where(solved, Status.converged, Status.not_converged)
    status = jnp.where(~solved & jnp.isfinite(end.gap) & (end.num_steps >= kind.max_steps), Status.max_steps, status)
    finite = jnp.all(jnp.isfinite(given.game.payoffs))
    return conclude(
        NormalFormGame(posed.payoffs),
        posed.scale,
        end.x,
        [support(entry) for entry in given.log_reference],
        objective=end.objective,
        duality_gap=end.gap,
        violation=end.violation,
        num_steps=end.num_steps,
        status=jnp.where(finite, status, Status.nonfinite_input).astype(jnp.int32),
    )


def check_problem(game: NormalFormGame, concept: str, epsilon: Any) -> None:
    """Raise ``ValueError`` unless there is such a concept, and the game and epsilon can be taken."""
    require_normal_form(game)
    if concept not in CONCEPTS:
        raise ValueError(f"concept: got {concept!r}, takes one of {', '.join(map(repr, CONCEPTS))}")
    if np.shape(epsilon) not in ((), (game.num_players,)):
        raise ValueError(f"epsilon: got shape {np.shape(epsilon)}, takes a number or [player] = ({game.num_players},)")
    if is_concrete(epsilon) and not np.all((np.asarray(epsilon, dtype=float) >= 0) & np.isfinite(epsilon)):
        raise ValueError(f"epsilon: got {epsilon!r}, takes finite numbers >= 0")
    rows, cells = count_gains(game, concept)
    if rows * cells > LARGEST_MATRIX:
        raise ValueError(
            f"game: got {cells:,} joint actions and {rows:,} deviations, takes at most {LARGEST_MATRIX:,} as their "
            "product; gamekl.gamd finds coarse correlated equilibria of larger games"
        )


def solve_correlated(
    game: NormalFormGame,
    *,
    concept: str = "cce",
    objective: str = "entropy",
    log_reference: Profile | None = None,
    epsilon: Any = 0.0,
    welfare_weight: Any = 0.0,
    tol: Any = None,
    max_steps: int = MAX_STEPS,
    throw: bool = True,
) -> CorrelatedEquilibrium:
    """The correlated ("ce") or coarse correlated ("cce") equilibrium of most entropy or Gini impurity.

    It may be transformed by ``jax.jit`` and ``jax.vmap``; it has no derivatives.

    Args:
        game: the game, of up to about 10^4 joint actions.
        concept: "cce", no player gains by one action in place of all recommendations; or "ce", by an action for each.
        objective: "entropy", the least KL to the product of the references; or "gini", the least sum x^2 / 2.
        log_reference: log-policies, one ``[actions_i]`` for each player; -inf masks an action, which is then neither
            recommended nor deviated to. Uniform if None.
        epsilon: what each gain may come to, payoff units, a number or ``[player]``; for "ce" that of each recommended
            action and each other by itself (`CorrelatedEquilibrium.ce_gap` sums over recommended ones).
        welfare_weight: what a payoff unit of all players' sum is worth, in units of the objective.
        tol: bound on the duality gap, and on each violation relative to what its deviation typically brings
            (`solvers.correlated.constraints`), with or without what is asked so rarely that nobody need obey; the
            default is ``max(1e-8, 1000 eps)``.
        max_steps: most steps. Static under ``jit``.
        throw: raise where the status is not `Status.converged`. Acts on concrete inputs only.

    Returns:
        The equilibrium, with its certificate.

    Raises:
        ValueError: an option is not known, the game is too large, or (``throw``) a payoff is not finite.
        SolveError: (``throw``) the solve did not converge.

    Source: maximum-Gini equilibria are those of Marris et al. (2021); certificates are derived in
    `solvers.correlated.interior`.
    """
    check_problem(game, concept, epsilon)
    if objective not in OBJECTIVES:
        raise ValueError(f"objective: got {objective!r}, takes one of {', '.join(map(repr, OBJECTIVES))}")
    if log_reference is None:
        log_reference = [np.full(size, -math.log(size)) for size in game.num_actions]
    reference = check_profile("log_reference", log_reference, game.num_actions, log=True)
    if throw and is_concrete(game):
        validate(game)
    if np.shape(welfare_weight) != () or (is_concrete(welfare_weight) and not np.isfinite(welfare_weight)):
        raise ValueError(f"welfare_weight: got {welfare_weight!r}, takes a finite number")
    check_options(tol, max_steps)
    tol = max(1e-8, 1e3 * float(jnp.finfo(game.dtype).eps)) if tol is None else tol
    epsilon, welfare_weight, tol = (jnp.asarray(value, dtype=game.dtype) for value in (epsilon, welfare_weight, tol))
    reference = tuple(entry.astype(game.dtype) for entry in reference)
    given = Given(game, reference, jnp.broadcast_to(epsilon, (game.num_players,)), welfare_weight, tol)
    solution = _solve(given, kind=Kind(concept, objective, int(max_steps)))
    if throw:
        raise_unless_converged(solution)
    return solution
