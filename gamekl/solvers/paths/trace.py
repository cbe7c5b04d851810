"""The whole logit path of a game from its reference, as data."""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core.games import ContextualGame, MarkovGame, NormalFormGame, StagedGame, require_normal_form
from gamekl.core.kernels.batching import in_blocks, sharing_lanes
from gamekl.core.kernels.jit import jit
from gamekl.core.kernels.lanes import lanes_first, lanes_last
from gamekl.core.kernels.platforms import Platform, by_platform
from gamekl.core.kernels.system import split
from gamekl.core.policies import is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.validation import validate
from gamekl.solvers.nash.prepare import NashProblem, Prepared, make_nash_problem, prepare
from gamekl.solvers.nash.queue import num_lanes
from gamekl.solvers.nash.solve import MAX_STEPS
from gamekl.solvers.nash.trace import FAILED, FOUND
from gamekl.solvers.paths.crossings import Crossings, cross_temperatures
from gamekl.solvers.paths.follow import follow
from gamekl.solvers.paths.logit_path import LogitPath, PathCrossings, PathPoints
from gamekl.solvers.paths.points import Points, exact_points
from gamekl.solvers.paths.record import Leg, Places
from gamekl.solvers.paths.requests import Options, Request, asked_fractions, make_direction, make_options
from gamekl.solvers.solution import PathSummary, Status, raise_unless_all_converged, raise_unless_converged

# Paths of so many games are kept at a time.
BLOCK = 512


def _finish(problems: NashProblem, fractions: Array, legs: Leg, places: Places, options: Options) -> LogitPath:
    """The paths of a block of problems, with a leading axis, from what the tracer kept."""
    prepared = prepare(problems)
    leg, places = lanes_last((legs, places))
    leg = leg._replace(system=prepared.system)
    points = exact_points(leg, places, options.max_folds)
    crossings = cross_temperatures(prepared, problems.tol, points, lanes_last(fractions), options.max_crossings)
    trace, temperatures = leg.trace, prepared.temperatures
    status = jnp.where(trace.phase == FAILED, Status.path_failed, Status.max_steps)
    # Where there is no room for a fold, crossings beside it would be missed.
    whole = (trace.phase == FOUND) & (points.num_folds <= options.max_folds)
    status = jnp.where(whole, Status.converged, status)
    status = jnp.where(prepared.wrong == Status.converged, status, prepared.wrong)
    asked = jnp.isfinite(lanes_last(fractions))
    firsts = jnp.where(asked, crossings.status[:, 0], Status.converged)
    failed = jnp.argmax(firsts != Status.converged, axis=0)
    first = jnp.take_along_axis(firsts, failed[None], axis=0)[0]
    status = jnp.where(status == Status.converged, first, status)
    scale = jnp.where(prepared.system.scale > 0, prepared.system.scale, 1)
    reached = jnp.where(trace.phase == FOUND, 1, trace.here.point.s / scale)
    path_points = _path_points(prepared, points, scale)
    path = PathSummary(
        temperature=lanes_first(temperatures / reached),
        folds=points.num_folds,
        bifurcations=trace.bifurcations,
        crossings=(trace.phase == FOUND).astype(jnp.int32),
    )
    return LogitPath(
        points=path_points,
        crossings=_path_crossings(prepared, crossings, lanes_last(fractions)),
        num_steps=trace.num_steps,
        status=status.astype(jnp.int32),
        path=path,
    )


def _parts(prepared: Prepared, z: Array, *, log: bool) -> tuple[Array, ...]:
    """The players' parts of ``[..., logits, lane]`` in front of the lanes; -inf (or 0) where masked."""
    masked = jnp.where(prepared.system.mask > 0, z, -jnp.inf if log else 0)
    return tuple(jnp.moveaxis(part, 0, -2) for part in split(jnp.moveaxis(masked, -2, 0), prepared.system.sizes))


def _path_points(prepared: Prepared, points: Points, scale: Array) -> PathPoints:
    s, pace = points.places.numbers[:, 0], points.places.numbers[:, 1]
    inside = jnp.arange(len(s), dtype=jnp.int32)[:, None] < points.num_points
    fraction = s * prepared.system.pace

    def kept(leaf: Array) -> Array:
        return jnp.where(inside.reshape(len(s), *(1,) * (leaf.ndim - 2), -1), leaf, jnp.nan)

    log_policy = map(kept, _parts(prepared, points.places.vectors[:, 0], log=True))
    tangent = map(kept, _parts(prepared, points.places.vectors[:, 1], log=False))
    return PathPoints(
        log_policy=lanes_first(tuple(log_policy)),
        temperature=lanes_first(kept(prepared.temperatures / fraction[:, None])),
        kind=lanes_first(jnp.where(inside, points.places.kind, 0)),
        arclength=lanes_first(kept(points.length)),
        tangent=lanes_first(tuple(tangent)),
        pace=lanes_first(kept(pace)),
        scale=lanes_first(prepared.temperatures * scale),
        index=lanes_first(jnp.where(inside, points.places.sign, 0)),
        count=points.num_points,
    )


def _path_crossings(prepared: Prepared, crossings: Crossings, fractions: Array) -> PathCrossings:
    there = jnp.isfinite(crossings.residual)[:, :, None]
    log_policy = _parts(prepared, crossings.z, log=True)
    return PathCrossings(
        temperature=lanes_first(prepared.temperatures / fractions[:, None]),
        log_policy=lanes_first(tuple(jnp.where(there, part, jnp.nan) for part in log_policy)),
        gap=lanes_first(crossings.gap),
        residual=lanes_first(crossings.residual),
        index=lanes_first(crossings.sign),
        arclength=lanes_first(crossings.length),
        status=lanes_first(crossings.status),
        count=lanes_first(crossings.number),
    )


def _trace_block(requests: Request, options: Options, width: int, each: Any) -> LogitPath:
    problems, fractions, direction = requests
    kept = {name: getattr(options, name) for name in ("max_steps", "max_points", "crosses")}
    legs, places = follow(problems, direction, each=each, width=width, **kept)
    return each(partial(_finish, options=options), problems, fractions, legs, places)


def trace_requests(requests: Request, options: Options) -> LogitPath:
    """The paths of a batch of requests; every leaf has a leading axis."""

    def trace(platform: Platform, requests: Request) -> LogitPath:
        width = num_lanes(platform, requests.problem.game)
        block = partial(
            _trace_block, options=options, width=width, each=lambda function, *batch: in_blocks(function, width, *batch)
        )
        size = requests.fractions.shape[0]
        return block(requests) if size <= BLOCK else in_blocks(block, BLOCK, requests)

    return by_platform(trace, requests)


def _trace_one(request: Request, options: Options) -> LogitPath:
    batch = jax.tree.map(lambda leaf: leaf[None], request)
    found = _trace_block(batch, options, 1, lambda function, *given: function(*given))
    return jax.tree.map(lambda leaf: leaf[0], found)


@partial(jit, static_argnames="options", quick=True)
def _trace(request: Request, options: Options) -> LogitPath:
    return sharing_lanes(partial(_trace_one, options=options), partial(trace_requests, options=options))(request)


def trace(
    game: NormalFormGame | StagedGame,
    regularizer: Regularizer,
    *,
    temperatures: Any = None,
    at_branching: str = "stay",
    direction: Any = None,
    tol: float | int | Float[Array, ""] | None = None,
    max_crossings: int = 5,
    max_points: int = 256,
    max_folds: int = 16,
    max_steps: int = MAX_STEPS,
    throw: bool = True,
) -> LogitPath:
    """The logit path from the reference to the regularizer's temperature, as data.

    The solutions of pi_i = softmax(log_reference_i + beta q_i(pi) / temperature_i) form a path that starts at the
    reference, beta = 0. Its first crossing of beta = 1 is the equilibrium of `solve_nash`. Where players have
    temperatures of their own the path lies on their ray, all of them over beta; on another ray it may end elsewhere.

    It may be transformed by ``jax.jit`` and ``jax.vmap`` (a batch shares a fixed number of lanes), and has no
    derivatives; those of the equilibria are `solve_nash`'s, from ``initial``.

    Args:
        game: in normal form; a contextual game is traced in each context. A Markov game is refused, as what a stage's
            actions are worth depends on the temperature itself, at later stages.
        regularizer: references, and the temperature at which the path ends, payoff units.
        temperatures: to report the path at, none of them below its end, shape ``[temperature]``, or ``[temperature,
            player]`` where the regularizer has one for each player, then multiples of these. Its end, if None.
        at_branching: what to do where another branch crosses the path: "stay" on the path, or "cross" onto the other
            branch.
        direction: the small change that tells the side to which to cross: of the payoffs, ``[player, *actions]``, or
            of the log-references, one array ``[actions_i]`` for each player. The path of the game that is changed so,
            by ever less, bends to that side. By default, and where this does not tell, the first action that the
            branches tell apart (players in order, actions in order) has a little more of the reference.
        tol: bound on the residual at the temperatures; the default is that of `solve_nash`.
        max_crossings: room for crossings of each temperature. Static under ``jit``, as what follows.
        max_points: room for the tracer's points.
        max_folds: room for folds.
        max_steps: most Newton corrections of the tracer.
        throw: raise where the status is not `Status.converged`. Acts on concrete inputs only.

    Returns:
        The path, a `LogitPath`; of a contextual game with an axis of contexts in front.

    Raises:
        ValueError: an argument does not fit, or (``throw``) bad values of the game or regularizer.
        SolveError: (``throw``) the path did not come to its end, or misses a temperature; ``path.temperature`` of its
            solution says how far it went.

    Source: path as of `solve_nash`; singular points by Newton's method on the least singular value, and turning off by
    the reduction of Lyapunov and Schmidt (derived; `solvers.paths.singular`).
    """
    if isinstance(game, MarkovGame):
        raise ValueError(
            "game: got a Markov game, takes one in normal form or contextual: what a stage's actions are worth depends "
            "on the temperature of later stages, so that stages have no paths of their own"
        )
    if not isinstance(game, ContextualGame):
        require_normal_form(game, takes="a NormalFormGame or a ContextualGame")
    Regularizer.require(regularizer)
    regularizer.check_fits(game)
    options = make_options(at_branching, max_crossings, max_points, max_folds, max_steps, tol)
    if throw and is_concrete(game, regularizer):
        validate(game, regularizer)
    if isinstance(game, ContextualGame):
        alone = partial(_trace_game, temperatures=temperatures, direction=direction, tol=tol, options=options)
        regularizer = regularizer.astype(game.dtype)
        found = jax.vmap(
            lambda payoffs, references: alone(NormalFormGame(payoffs), Regularizer(references, regularizer.temperature))
        )(game.payoffs, regularizer.log_reference)
        if throw and is_concrete(found.status):
            raise_unless_all_converged(found, "context")
        return found
    found = _trace_game(game, regularizer, temperatures, direction, tol, options)
    if throw:
        raise_unless_converged(found)
    return found


def _trace_game(
    game: NormalFormGame, regularizer: Regularizer, temperatures: Any, direction: Any, tol: Any, options: Options
) -> LogitPath:
    problem = make_nash_problem(game, regularizer, None, tol)
    fractions, size = asked_fractions(problem.regularizer, temperatures)
    request = Request(problem, fractions, make_direction(game, direction))
    if direction is not None and not options.crosses:
        raise ValueError('direction: got one where at_branching is "stay", takes one where it is "cross"')
    return cut(_trace(request, options=options), size)


def cut(found: LogitPath, size: int) -> LogitPath:
    """The path with the first of its temperatures, which were filled up."""
    rows = (*(slice(None),) * found.status.ndim, slice(size))
    crossings = jax.tree.map(lambda leaf: leaf[rows], found.crossings)
    return eqx.tree_at(lambda path: path.crossings, found, crossings)
