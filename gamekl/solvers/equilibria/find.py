"""All regularised equilibria that many starts find, each certified."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.kernels import lanes, tables
from gamekl.core.kernels.batching import sharing_lanes
from gamekl.core.kernels.calls import materialize
from gamekl.core.kernels.jit import jit
from gamekl.core.kernels.lanes import lanes_first, lanes_last
from gamekl.core.kernels.platforms import Platform, by_platform
from gamekl.core.kernels.system import LogitSystem, split, to_logits
from gamekl.core.policies import Profile, check_profile, is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.validation import check_key, validate
from gamekl.solvers.equilibria.certify import Certificate, centred, certify
from gamekl.solvers.equilibria.equilibria import Equilibria
from gamekl.solvers.equilibria.search import Catch, Hunt, search
from gamekl.solvers.equilibria.starts import as_logits, make_starts
from gamekl.solvers.nash import ladder
from gamekl.solvers.nash.conclude import assess, status_of_answer
from gamekl.solvers.nash.prepare import NashProblem, make_nash_problem, make_tasks, prepare
from gamekl.solvers.nash.proof import half_ranges
from gamekl.solvers.nash.solve import MAX_STEPS
from gamekl.solvers.nash.trace import FOUND, Count, Lane
from gamekl.solvers.solution import Status, check_options, raise_unless_converged, whole_number

# Newton's method finds equilibria where branches meet, which have no ball, to so many nats only.
BLURRED = 1e-3


class Options(NamedTuple):
    """The options of `find_equilibria`, which are static; `single`: the search itself is in float32."""

    num_starts: int
    max_equilibria: int
    max_steps: int
    single: bool = False


class Request(NamedTuple):
    """A problem, the key of its starts, and log-policies ``[start, actions_i]`` to start from, too."""

    problem: NashProblem
    key: Array
    initial: tuple[Array | np.ndarray, ...]


def no_starts(sizes: tuple[int, ...], batch: tuple[int, ...] = ()) -> tuple[np.ndarray, ...]:
    """No log-policies to start from."""
    return tuple(np.zeros((*batch, 0, size)) for size in sizes)


class _Known(NamedTuple):
    """What is known of one equilibrium in each lane."""

    certificate: Certificate
    log_policy: Array
    gap: Float[Array, "player lane"]
    residual: Lane
    solved: Array
    divergence: Float[Array, "player lane"]
    welfare: Lane


def _knower(problems: NashProblem) -> Callable[[Array], _Known]:
    """What tells what is known of equilibria at log-policies z, ``[logits, lane]``, of a block of problems."""
    prepared, tol = prepare(problems), lanes_last(problems.tol)
    exact = lanes_last(jax.vmap(lambda problem: LogitSystem.of(problem.game, problem.regularizer))(problems))
    halves = half_ranges(exact)
    payoffs = tables.own_first(lanes_last(problems.game.payoffs))
    system = prepared.system
    phase = jnp.full(system.scale.shape, FOUND, jnp.int32)

    def know(z: Array) -> _Known:
        certificate = certify(exact, halves, prepared.temperatures, centred(exact, z))
        z, policy = materialize(system.normalized, certificate.z)
        quality = materialize(assess, prepared, z, policy)
        status = status_of_answer(tol, phase, quality, prepared.wrong)
        parts = split(policy, system.sizes)
        apart = split(policy * (z - system.anchor), system.sizes)
        earned = tables.action_values(payoffs, parts)
        welfare = lanes.total(jnp.stack([lanes.dot(part, value) for part, value in zip(parts, earned, strict=True)]))
        return _Known(
            certificate=certificate,
            log_policy=jnp.where(system.mask > 0, z, -jnp.inf),
            gap=quality.gap,
            residual=quality.residual,
            solved=status == Status.converged,
            divergence=jnp.stack([lanes.total(part) for part in apart]),
            welfare=welfare,
        )

    return know


def _order(known: _Known, hits: Int[Array, "equilibrium lane"], number: Count) -> tuple[Array, Array, Count]:
    """The order in which different equilibria come first, their hits, and how many there are."""
    room = hits.shape[0]
    row = jnp.arange(room, dtype=jnp.int32)
    inside = (row[:, None] < number) & known.solved
    z, radius = known.certificate.z, known.certificate.radius
    away = jnp.max(jnp.abs(z[:, None] - z[None]), axis=2)
    surely = (radius[:, None] > 0) & (radius[None] > 0)
    same = away <= jnp.maximum(jnp.maximum(radius[:, None], radius[None]), jnp.where(surely, 0, BLURRED))
    # Each belongs to the first that it is the same as.
    same = same & inside[:, None] & inside[None] & (row[:, None, None] >= row[None, :, None])
    first = jnp.argmax(same, axis=1).astype(jnp.int32)
    new = inside & (first == row[:, None])
    merged = jnp.sum(jnp.where((first[:, None] == row[None, :, None]) & inside[:, None], hits[:, None], 0), axis=0)
    order = jnp.argsort(jnp.where(new, 0, room) + row[:, None], axis=0)
    return order, merged, jnp.sum(new, axis=0, dtype=jnp.int32)


def _conclude(problems: NashProblem, catch: Catch, status: Array, free: Array) -> Equilibria:
    """The equilibria of a block of problems, with a leading axis."""
    catch = lanes_last(catch)
    room = catch.z.shape[0]
    kept = jnp.minimum(catch.number, room)
    know = _knower(problems)
    like = jax.eval_shape(know, catch.z[0])
    blank = jax.tree.map(lambda leaf: jnp.zeros((room, *leaf.shape), leaf.dtype), like)

    def add(row: Array, table: _Known) -> _Known:
        return jax.tree.map(lambda every, one: every.at[row].set(one), table, know(catch.z[row]))

    known = jax.lax.fori_loop(0, jnp.max(kept), add, blank)
    order, hits, number = _order(known, catch.hits, kept)
    inside = jnp.arange(room, dtype=jnp.int32)[:, None] < number

    def sort(table: Array, padding: Any = jnp.nan) -> Array:
        rows = order.reshape(room, *(1,) * (table.ndim - 2), -1)
        there = inside.reshape(room, *(1,) * (table.ndim - 2), -1)
        return jnp.where(there, jnp.take_along_axis(table, rows, axis=0), padding)

    certificate = known.certificate
    error, sign = sort(certificate.error), sort(certificate.sign, 0)
    regular = jnp.all(~inside | (error < jnp.inf), axis=0)
    logs = split(jnp.moveaxis(sort(known.log_policy), 1, 0), problems.game.payoffs.shape[2:])
    return Equilibria(
        log_policy=lanes_first(tuple(jnp.moveaxis(part, 0, 1) for part in logs)),
        gap=lanes_first(sort(known.gap)),
        residual=lanes_first(sort(known.residual)),
        error=lanes_first(error),
        radius=lanes_first(sort(certificate.radius)),
        index=lanes_first(sign),
        stable=lanes_first(sort(certificate.stable, 0)),
        flows=lanes_first(sort(certificate.flows, 0)),
        divergence=lanes_first(sort(known.divergence)),
        welfare=lanes_first(sort(known.welfare)),
        hits=lanes_first(sort(hits, 0)),
        number=number + (catch.number - kept),
        lost=catch.lost,
        unique=free & (status == Status.converged),
        incomplete=regular & (number > 0) & (jnp.sum(sign, axis=0) != 1) & (catch.number <= room),
        status=status,
    )


def _start(request: Request, log_policy: tuple[Array, ...], status: Array, options: Options) -> Array:
    problem = request.problem
    game = NormalFormGame(problem.game.payoffs)
    starts = make_starts(game, problem.regularizer, request.key, options.num_starts)
    given = tuple(jnp.asarray(entry, game.dtype) for entry in request.initial)
    own = jax.vmap(partial(as_logits, regularizer=problem.regularizer))(given)
    starts = jnp.concatenate([starts[:1], own, starts[1:]])
    solved = to_logits(log_policy, problem.regularizer.masks)
    return starts.at[0].set(jnp.where(status == Status.converged, solved, starts[0]))


def _find(requests: Request, options: Options, solver: ladder.Solver, width: int | None) -> Equilibria:
    problems = requests.problem
    solution = solver.solve(problems)
    tasks = solver.each(partial(make_tasks, dtype=problems.tol.dtype), problems)
    starts = jax.vmap(partial(_start, options=options))(requests, solution.log_policy, solution.status)
    hunts = Hunt(tasks.system, starts, tasks.usable)
    if options.single:
        hunts = jax.tree.map(lambda leaf: leaf.astype(jnp.float32) if eqx.is_inexact_array(leaf) else leaf, hunts)
    room = options.max_equilibria
    catch = lanes_first(search(lanes_last(hunts), room, None)) if width is None else search(hunts, room, width)
    catch = catch._replace(z=catch.z.astype(starts.dtype))
    return solver.each(_conclude, problems, catch, solution.status, tasks.free)


def find_all(requests: Request, options: Options) -> Equilibria:
    """The equilibria of a batch of requests; every leaf has a leading axis."""

    def find(platform: Platform, requests: Request) -> Equilibria:
        solver = ladder.in_batches(platform, requests.problem, ladder.Options(options.max_steps))
        return _find(requests, options, solver, solver.width)

    return by_platform(find, requests)


def _find_one(request: Request, options: Options) -> Equilibria:
    batch = jax.tree.map(lambda leaf: leaf[None], request)
    found = _find(batch, options, ladder.alone(ladder.Options(options.max_steps)), None)
    return jax.tree.map(lambda leaf: leaf[0], found)


@partial(jit, static_argnames="options", quick=True)
def _find_jitted(request: Request, options: Options) -> Equilibria:
    return sharing_lanes(partial(_find_one, options=options), partial(find_all, options=options))(request)


def make_options(num_starts: Any, max_equilibria: Any, max_steps: Any, tol: Any = None) -> Options:
    """The options, checked; raises ``ValueError``."""
    check_options(tol, max_steps)
    return Options(
        whole_number("num_starts", num_starts), whole_number("max_equilibria", max_equilibria), int(max_steps)
    )


def find_equilibria(
    game: NormalFormGame,
    regularizer: Regularizer,
    key: Array,
    *,
    num_starts: int = 64,
    initial: Profile | None = None,
    max_equilibria: int = 32,
    tol: float | int | Float[Array, ""] | None = None,
    max_steps: int = MAX_STEPS,
    throw: bool = True,
) -> Equilibria:
    """The regularised equilibria of a game to which many starts lead, each certified.

    The first start is the principal equilibrium, that of `solve_nash`; the others are best responses to pure profiles,
    uniform play on random supports, random policies, and best responses to these. From each Newton's method is followed
    with steps of at most 4 nats. What is found is polished, certified, and told apart by the balls in which each is
    proven to be the only one.

    It may be transformed by ``jax.jit`` and ``jax.vmap``; it has no derivatives (those of an equilibrium are
    `solve_nash`'s, from ``initial``).

    Args:
        game: any number of players and actions.
        regularizer: references and temperatures for this game.
        key: a jax random key, of the starts.
        num_starts: how many. Static under ``jit``, as what follows.
        initial: log-policies to start from besides, ``[start, actions_i]`` for each player, such as those of other
            branches of the path.
        max_equilibria: room for equilibria.
        tol: bound on residuals; the default is that of `solve_nash`.
        max_steps: most Newton corrections of `solve_nash`.
        throw: raise where the principal equilibrium was not found. Acts on concrete inputs only.

    Returns:
        The equilibria. That they are all is proven only where ``unique`` says that there is but one.

    Raises:
        TypeError: another kind of game, or no jax random key.
        ValueError: game and regularizer do not fit, an option is not known, or (``throw``) their values are bad.
        SolveError: (``throw``) the principal equilibrium was not found.

    Source: balls by the theorem of Newton and Kantorovich with the bounds of `solvers.nash.proof`; indices and
    stability as in theory H1 (derived).
    """
    require_normal_form(game)
    Regularizer.require(regularizer)
    regularizer.check_fits(game)
    options = make_options(num_starts, max_equilibria, max_steps, tol)
    check_key(key)
    if throw and is_concrete(game, regularizer):
        validate(game, regularizer)
    if initial is None:
        initial = no_starts(game.num_actions)
    elif isinstance(initial, tuple | list) and initial:
        initial = check_profile("initial", initial, game.num_actions, log=True, stage=np.shape(initial[0])[:1])
    else:
        raise TypeError(f"initial: got {type(initial).__name__}, takes one [start, actions] array for each player")
    request = Request(make_nash_problem(game, regularizer, None, tol), key, tuple(initial))
    found = _find_jitted(request, options=options)
    if throw:
        raise_unless_converged(found)
    return found
