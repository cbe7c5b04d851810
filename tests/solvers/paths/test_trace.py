"""The logit path as data: beside solves, closed forms, 50 digits, disturbed games and Gambit."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from gambit_helpers import policies, pygambit, table
from helpers import action_values_by_definition, dirichlet_regularizer

import gamekl as gk
from gamekl.solvers.paths import batch

COORDINATION = np.stack([np.eye(2)] * 2)
# The branch that bends away at temperature .5 solves x = tanh(x / (2 temperature)), p = (1 + x) / 2.
BENT = {0.45: 0.7627147563, 0.25: 0.9787520120}
# Shapley (1974), as in Gambit's catalogue; a pitchfork's prong leads from its path to another crossing.
SHAPLEY = np.array([[[0, 3, 0], [2, 2, 0], [3, 0, 1]], [[0, 2, 3], [3, 2, 0], [0, 0, 1]]], dtype=float)
# Two folds before temperature .1.
FOLDING = np.array([[[4.0, 0, 0], [1, 1, 5]], [[5, 5, 0], [3, 4, 5]]])
THREE = [0.5, 0.2, 0.1]
# One of three has to do what costs each 2 and is worth 5 to all.
VOLUNTEERS = np.array(
    [5.0 * (np.indices((2, 2, 2)).min(axis=0) == 0) - 2 * (np.indices((2, 2, 2))[player] == 0) for player in range(3)]
)


def uniform(payoffs, temperature):
    game = gk.NormalFormGame(payoffs)
    return game, gk.Regularizer.uniform(game, temperature)


def random_games(shape, size, seed=1):
    return jnp.asarray(np.random.default_rng(seed).uniform(size=(size, len(shape), *shape)))


# At as many temperatures as elsewhere here, so that games of one shape share programs.
@partial(jax.jit, static_argnames="temperature")
@partial(jax.vmap, in_axes=(0, None))
def traced_together(payoffs, temperature):
    return gk.trace(*uniform(payoffs, temperature), temperatures=THREE, throw=False)


@cache
def traced_batch(shape, temperature):
    """Payoffs, games and regularizers, the temperatures asked for, and paths, of 192 random games."""
    payoffs = random_games(shape, 192)
    games = jax.vmap(gk.NormalFormGame)(payoffs)
    asked = np.geomspace(1, temperature, 8)
    anchors = jax.vmap(partial(gk.Regularizer.uniform, temperature=temperature))(games)
    paths = gk.trace_batch(
        games, anchors, temperatures=np.broadcast_to(asked, (192, 8)), max_crossings=5, max_points=128
    )
    return payoffs, (games, anchors), asked, paths


def events(path):
    """Kind and temperature of what happens on a path."""
    kinds = np.asarray(path.points.kind)
    temperatures = np.asarray(path.points.temperature)[:, 0]
    return [(gk.PointKind(kinds[row]).name, float(temperatures[row])) for row in np.flatnonzero(kinds)]


def assert_fixed_points(game, regularizer, log_policies, temperatures, atol=1e-9):
    """Each profile is its own logit response at each player's temperature, by definition."""
    for row in range(len(temperatures)):
        policy = [np.exp(np.asarray(entry)[row]) for entry in log_policies]
        values = action_values_by_definition(game.payoffs, policy)
        for player, value in enumerate(values):
            logits = np.asarray(regularizer.log_reference[player]) + value / temperatures[row][player]
            response = np.exp(logits - logits.max())
            np.testing.assert_allclose(policy[player], response / response.sum(), atol=atol)


def test_coordination_stays_or_turns_off():
    game, regularizer = uniform(COORDINATION, 0.25)
    asked = [1.0, 0.6, 0.45, 0.25]
    stay = gk.trace(game, regularizer, temperatures=asked)
    np.testing.assert_allclose(stay.policy[0], 0.5, atol=1e-12)
    cross = gk.trace(game, regularizer, temperatures=asked, at_branching="cross")
    np.testing.assert_allclose(cross.policy[0][:, 0], [0.5, 0.5, BENT[0.45], BENT[0.25]], atol=1e-9)
    assert [kind for kind, _ in events(stay)] == ["pitchfork"]
    assert [kind for kind, _ in events(cross)] == ["pitchfork", "turn_off"]
    np.testing.assert_allclose([temperature for _, temperature in events(cross)], 0.5, rtol=1e-10)
    # Down the index the symmetric branch loses its sign at the pitchfork, and the bent one keeps it.
    np.testing.assert_array_equal(stay.crossings.index[:, 0], [1, 1, -1, -1])
    np.testing.assert_array_equal(cross.crossings.index[:, 0], 1)


@pytest.mark.parametrize("short", [1e-8, 1e-5, 1e-4, 1e-2])
def test_a_path_may_end_just_behind_a_crossing(short):
    """It does not step over its end and double back: the first place on the branch is before it."""
    temperature = 0.5 - short
    found = gk.trace(*uniform(COORDINATION, temperature), at_branching="cross")
    solution = mpmath.findroot(lambda x: x - mpmath.tanh(x / (2 * temperature)), mpmath.sqrt(6 * short))
    np.testing.assert_allclose(found.policy[0][0, 0], float((1 + solution) / 2), atol=1e-10)
    np.testing.assert_array_equal(found.crossings.count, 1)
    assert [kind for kind, _ in events(found)] == ["pitchfork", "turn_off"]
    assert np.all(np.diff(1 / np.asarray(found.points.temperature[: int(found.points.count), 0])) >= 0)


def test_it_crosses_wherever_the_path_ends():
    """Where a step leads onto the crossing itself, too: to 400 temperatures, by the closed form."""
    temperatures = 1 / np.append(np.geomspace(2.01, 60, 399), 6.21459600809373)
    games = gk.stack([gk.NormalFormGame(COORDINATION)] * 400)
    anchors = jax.vmap(gk.Regularizer.uniform)(games, jnp.asarray(temperatures))
    found = gk.trace_batch(games, anchors, at_branching="cross")
    assert (found.status == gk.Status.converged).all()
    tilt = 2 * np.asarray(found.policy[0])[:, 0, 0] - 1
    np.testing.assert_allclose(tilt, np.tanh(tilt / (2 * temperatures)), atol=1e-9)
    assert tilt.min() > 0.1


@pytest.mark.parametrize("at_branching", ["stay", "cross"])
def test_a_path_may_end_at_a_crossing(at_branching):
    found = gk.trace(*uniform(COORDINATION, 0.5), at_branching=at_branching)
    np.testing.assert_allclose(found.policy[0], 0.5, atol=1e-12)
    np.testing.assert_array_equal(found.crossings.count, 1)
    assert events(found) == [("pitchfork", 0.5)]


@pytest.mark.parametrize("player", [0, 1])
@pytest.mark.parametrize("action", [0, 1])
def test_a_direction_tells_the_side(player, action):
    """As the path of a game that is changed so, by little."""
    game, regularizer = uniform(COORDINATION, 0.25)
    payoffs, references = np.zeros((2, 2, 2)), [np.zeros(2), np.zeros(2)]
    np.moveaxis(payoffs[player], player, 0)[action] = 3.0
    references[player][action] = 3.0
    for direction in (payoffs, references):
        found = gk.trace(game, regularizer, at_branching="cross", direction=direction)
        np.testing.assert_allclose(found.policy[0][0, action], BENT[0.25], atol=1e-9)
    changed = gk.Regularizer([np.log(np.exp(1e-7 * entry) / np.exp(1e-7 * entry).sum()) for entry in references], 0.25)
    np.testing.assert_allclose(gk.solve_nash(game, changed).policy[0][action], BENT[0.25], atol=1e-5)


def test_a_path_that_misses_the_crossing_turns_off():
    """Of coordination games with references that are uneven by 1e-9 to 1e-4, each to its own side."""
    uneven = np.outer(np.geomspace(1e-9, 1e-4, 60), [1.0, -1.0]) * np.array([1, -1])[np.arange(60) % 2, None]
    games = gk.stack([gk.NormalFormGame(COORDINATION)] * 60)
    references = jax.nn.log_softmax(jnp.asarray(uneven))
    anchors = jax.vmap(lambda first: gk.Regularizer([first, jnp.log(jnp.full(2, 0.5))], 0.25))(references)
    found = gk.solve_nash_batch(games, anchors)
    np.testing.assert_allclose(np.where(uneven[:, 0] > 0, *found.policy[0].T), BENT[0.25], atol=2e-4)
    np.testing.assert_array_equal(found.path.bifurcations, 0)


@pytest.mark.parametrize(
    "payoffs", [np.stack([np.eye(3)] * 2), pytest.param(np.stack([np.eye(4)] * 2), marks=pytest.mark.slow), SHAPLEY]
)
def test_it_crosses_as_disturbed_games_do(payoffs):
    """Where several branches cross at once, and where the path comes to a crossing as a pitchfork's prong."""
    game, regularizer = uniform(payoffs, 0.1)
    found = gk.trace(game, regularizer, at_branching="cross")
    size = payoffs.shape[1]
    favoured = np.full(size, 1.0)
    favoured[0] += 1e-5
    changed = gk.Regularizer([np.log(favoured / favoured.sum()), np.full(size, -np.log(size))], 0.1)
    there = gk.solve_nash(game, changed)
    assert there.path.bifurcations == 0
    for mine, theirs in zip(found.policy, there.policy, strict=True):
        np.testing.assert_allclose(mine[0], theirs, atol=1e-3)
    assert "turn_off" in [kind for kind, _ in events(found)]


@pytest.mark.parametrize("payoffs", [np.stack([np.eye(3)] * 2), pytest.param(VOLUNTEERS, marks=pytest.mark.slow)])
def test_a_direction_tells_which_of_several_branches(payoffs):
    """That of the changed game's own path, also where the direction lies along no line of symmetry."""
    game, regularizer = uniform(payoffs, 0.15)
    random = np.random.default_rng(0)
    for number in range(6):
        direction = [
            random.normal(size=size) if number % 2 or player == 0 else np.zeros(size)
            for player, size in enumerate(game.num_actions)
        ]
        found = gk.trace(game, regularizer, at_branching="cross", direction=direction)
        weights = [np.exp(1e-6 * entry) for entry in direction]
        there = gk.solve_nash(game, gk.Regularizer([np.log(entry / entry.sum()) for entry in weights], 0.15))
        for mine, theirs in zip(found.policy, there.policy, strict=True):
            np.testing.assert_allclose(mine[0], theirs, atol=1e-3)
        assert "multiple" in [kind for kind, _ in events(found)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"direction": [[1, 0], [0, 0]]}, 'direction: got one where at_branching is "stay", takes one where'),
        ({"direction": [[np.nan, 0], [1, 0]], "at_branching": "cross"}, "direction: got a NaN or an infinite entry"),
    ],
)
def test_directions_that_it_does_not_take(arguments, message):
    with pytest.raises(ValueError, match=message):
        gk.trace(*uniform(COORDINATION, 0.25), **arguments)


@pytest.mark.parametrize(
    ("shape", "temperature"),
    [((2, 10), 0.03), ((3, 3, 3), 0.03), pytest.param((4, 4), 0.01, marks=pytest.mark.slow)],
)
def test_first_crossings_are_the_solutions_and_all_are_fixed_points(shape, temperature):
    _, (games, anchors), asked, paths = traced_batch(shape, temperature)
    assert (paths.status == gk.Status.converged).all()
    for place, tau in enumerate(asked):
        at = jax.vmap(partial(gk.Regularizer.uniform, temperature=tau))(games)
        found = gk.solve_nash_batch(games, at)
        for mine, theirs in zip(paths.policy, found.policy, strict=True):
            np.testing.assert_allclose(mine[:, place], theirs, atol=1e-9)
    counts = np.asarray(paths.crossings.count)
    there = np.arange(5) < counts[:, :, None]
    assert (np.asarray(paths.crossings.status)[there] == gk.Status.converged).all()
    assert np.isnan(np.asarray(paths.crossings.residual)[~there]).all()
    # Crossings are met from below and from above in turn, as long as nothing crosses the path.
    assert (counts % 2 == 1).all() and (counts > 1).any()
    signs = np.broadcast_to(np.where(np.arange(5) % 2 == 0, 1, -1), there.shape)
    np.testing.assert_array_equal(np.asarray(paths.crossings.index)[there], signs[there])
    game, place, crossing = np.argwhere(there & (np.arange(5) > 0))[0]
    one = jax.tree.map(lambda leaf: leaf[game], (games, anchors))
    policies = [np.asarray(entry)[game, place, : crossing + 1] for entry in paths.crossings.log_policy]
    assert_fixed_points(*one, policies, [[asked[place]] * len(shape)] * (crossing + 1))


def test_folds_are_those_of_an_extended_system_in_50_digits():
    """F = 0, F_z v = 0, |v| = 1 in log-odds, written anew for two players."""
    payoffs, _, _, paths = traced_batch((2, 10), 0.03)
    checked = 0
    for row in np.flatnonzero(np.asarray(paths.path.folds) > 0)[:2]:
        path = jax.tree.map(lambda leaf, row=row: leaf[row], paths)
        kinds = np.asarray(path.points.kind)
        assert (kinds == gk.PointKind.fold).sum() == int(path.path.folds)
        for place in np.flatnonzero(kinds == gk.PointKind.fold):
            mine = float(path.points.temperature[place, 0])
            logs = [np.asarray(entry)[place] for entry in path.points.log_policy]
            np.testing.assert_allclose(
                mine, float(_fold_in_digits(np.asarray(payoffs[row]), logs, 1 / mine)), rtol=1e-10
            )
            assert path.points.pace[place] == 0
            checked += 1
    assert checked >= 2


def _fold_in_digits(payoffs, log_policies, precision):
    """The temperature of the fold near a point, by Newton's method in 50 digits."""
    with mpmath.workdps(50):
        rows = [mpmath.matrix(payoffs[0].tolist()), mpmath.matrix(payoffs[1].T.tolist())]
        odds = [mpmath.mpf(float(entry)) for logs in log_policies for entry in logs[1:] - logs[0]]
        first = len(log_policies[0]) - 1

        def policies(z):
            parts = []
            for part in (z[:first], z[first:]):
                weights = [mpmath.mpf(1), *map(mpmath.exp, part)]
                parts.append([weight / sum(weights) for weight in weights])
            return parts

        def residual(z, slope):
            found = []
            for own, (table, others) in enumerate(zip(rows, reversed(policies(z)), strict=True)):
                values = [sum(table[i, j] * others[j] for j in range(len(others))) for i in range(table.rows)]
                part = z[:first] if own == 0 else z[first:]
                found += [part[i] - slope * (values[i + 1] - values[0]) for i in range(len(part))]
            return found

        size, step = len(odds), mpmath.mpf(10) ** -20

        def jacobian(z, slope):
            columns = []
            for place in range(size):
                up, down = list(z), list(z)
                up[place], down[place] = up[place] + step, down[place] - step
                ends = zip(residual(up, slope), residual(down, slope), strict=True)
                columns.append([(high - low) / (2 * step) for high, low in ends])
            return mpmath.matrix(columns).T

        # The null vector to begin with.
        _, _, right = np.linalg.svd(np.array(jacobian(odds, mpmath.mpf(precision)).tolist(), dtype=float))
        v = [mpmath.mpf(entry) for entry in right[-1]]
        z, slope = odds, mpmath.mpf(precision)

        def extended(unknown):
            z, v, slope = unknown[:size], unknown[size : 2 * size], unknown[-1]
            pushed = jacobian(z, slope) * mpmath.matrix(v)
            return [*residual(z, slope), *pushed, sum(entry**2 for entry in v) - 1]

        unknown = [*z, *v, slope]
        for _ in range(4):
            off = extended(unknown)
            table = mpmath.matrix(len(off), len(off))
            for place in range(len(unknown)):
                moved = list(unknown)
                moved[place] += mpmath.mpf(10) ** -12
                for line, (new, old) in enumerate(zip(extended(moved), off, strict=True)):
                    table[line, place] = (new - old) * mpmath.mpf(10) ** 12
            change = mpmath.lu_solve(table, mpmath.matrix(off))
            unknown = [entry - change[place] for place, entry in enumerate(unknown)]
        assert max(abs(entry) for entry in extended(unknown)) < 1e-15
        return 1 / unknown[-1]


def test_points_lie_on_the_path_and_arclength_grows():
    game, regularizer = uniform(random_games((3, 4), 1)[0], 0.05)
    path = gk.trace(game, regularizer, temperatures=np.geomspace(1, 0.05, 6))
    count = int(path.points.count)
    inner = slice(1, count)
    assert_fixed_points(
        game,
        regularizer,
        [np.asarray(entry)[inner] for entry in path.points.log_policy],
        np.asarray(path.points.temperature)[inner],
    )
    assert (np.diff(path.points.arclength[:count]) > 0).all()
    assert np.isinf(path.points.temperature[0]).all() and np.isnan(path.points.temperature[count:]).all()
    # Tangents are derivatives by arclength: a chord's direction lies between those at its ends.
    logs = np.concatenate([np.asarray(entry)[:count] for entry in path.points.log_policy], axis=1)
    tangents = np.concatenate([np.asarray(entry)[:count] for entry in path.points.tangent], axis=1)
    lengths = np.diff(path.points.arclength[:count])
    close = lengths < 0.7
    slopes = np.diff(logs, axis=0)[close] / lengths[close, None]
    middle = (tangents[1:] + tangents[:-1])[close] / 2
    np.testing.assert_allclose(slopes, middle, atol=0.05)


def test_each_player_has_a_temperature_of_its_own():
    game = gk.NormalFormGame(random_games((3, 3), 1)[0])
    ends = np.array([0.05, 0.2])
    regularizer = dirichlet_regularizer(jax.random.key(0), game, jnp.asarray(ends))
    asked = np.array([[10.0], [3.0], [1.0]]) * ends
    path = gk.trace(game, regularizer, temperatures=asked)
    np.testing.assert_allclose(path.crossings.temperature, asked, rtol=1e-12)
    assert_fixed_points(game, regularizer, path.log_policy, asked)


def test_vmap_jit_and_batch_agree_with_single_calls():
    payoffs = random_games((3, 3), 5)
    many = traced_together(payoffs, 0.05)
    games = jax.vmap(gk.NormalFormGame)(payoffs)
    anchors = jax.vmap(partial(gk.Regularizer.uniform, temperature=0.05))(games)
    batch = gk.trace_batch(games, anchors, temperatures=np.broadcast_to(THREE, (5, 3)))
    for row in range(5):
        alone = gk.trace(*uniform(payoffs[row], 0.05), temperatures=THREE, throw=False)
        for one, mapped, driven in zip(alone.policy, many.policy, batch.policy, strict=True):
            np.testing.assert_allclose(mapped[row], one, atol=1e-12)
            np.testing.assert_allclose(driven[row], one, atol=1e-12)


def test_single_precision():
    game, regularizer = uniform(jnp.asarray(COORDINATION, jnp.float32), 0.25)
    path = gk.trace(game, regularizer, at_branching="cross")
    assert path.policy[0].dtype == jnp.float32
    np.testing.assert_allclose(path.policy[0][0, 0], BENT[0.25], atol=1e-4)
    np.testing.assert_allclose(events(path)[0][1], 0.5, rtol=1e-4)


def test_contexts_have_paths_of_their_own():
    payoffs = random_games((3, 3), 3)
    game = gk.ContextualGame(payoffs, jnp.full(3, 1 / 3))
    paths = gk.trace(game, gk.Regularizer.uniform(game, 0.1), temperatures=THREE)
    for row in range(3):
        alone = gk.trace(*uniform(payoffs[row], 0.1), temperatures=THREE)
        for all_, one in zip(paths.policy, alone.policy, strict=True):
            np.testing.assert_allclose(all_[row], one, atol=1e-12)


def test_payoffs_that_do_not_matter():
    path = gk.trace(*uniform(np.ones((2, 3, 3)), 0.1), temperatures=THREE)
    np.testing.assert_allclose(path.policy[1], 1 / 3, rtol=1e-12)


def test_a_bad_game_stays_alone():
    payoffs = random_games((3, 3), 5).at[1, 0, 0, 0].set(np.nan)
    paths = traced_together(payoffs, 0.05)
    np.testing.assert_array_equal(paths.status, [0, gk.Status.nonfinite_input, 0, 0, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperatures": [0.05]}, "temperatures: got 0.05, takes at least the regularizer's"),
        ({"temperatures": [-1.0]}, "temperatures: got -1.0, takes positive numbers"),
        ({"temperatures": 0.5}, r"temperatures: got shape \(\), takes \[temperature\]"),
        ({"temperatures": []}, "temperatures: got shape"),
        ({"at_branching": "turn"}, "at_branching: got 'turn', takes 'stay' or 'cross'"),
        ({"direction": np.zeros((2, 3))}, r"direction: got shape \(2, 3\), takes \(2, 2, 2\)"),
        ({"direction": [np.zeros(2)]}, "direction: got shapes"),
        ({"max_points": 1}, "max_points: got 1, takes a whole number from 2"),
        ({"max_crossings": 0}, "max_crossings: got 0"),
        ({"tol": -1}, "tol"),
    ],
)
def test_what_it_does_not_take(arguments, message):
    with pytest.raises(ValueError, match=message):
        gk.trace(*uniform(COORDINATION, 0.1), **arguments)


def test_rays_and_games_that_it_does_not_take():
    game = gk.NormalFormGame(COORDINATION)
    own = gk.Regularizer.uniform(game, jnp.array([0.1, 0.2]))
    with pytest.raises(ValueError, match="takes multiples of the regularizer's"):
        gk.trace(game, own, temperatures=[[0.2, 0.2]])
    markov = gk.games.markov(jax.random.key(0), (2, 2), num_states=2, horizon=2)
    with pytest.raises(ValueError, match="game: got a Markov game"):
        gk.trace(markov, gk.Regularizer.uniform(markov, 0.1))


def test_too_few_points_are_told():
    game, regularizer = uniform(random_games((3, 3), 1)[0], 0.01)
    with pytest.raises(gk.SolveError, match="max_steps"):
        gk.trace(game, regularizer, max_points=4)
    path = gk.trace(game, regularizer, max_points=4, throw=False)
    assert path.status == gk.Status.max_steps and path.path.temperature[0] > 0.01


def test_too_few_folds_are_told(monkeypatch):
    """A path with two: all are counted, and where one has no place the path is not whole. A batch makes room."""
    game, regularizer = uniform(FOLDING, 0.1)
    whole = gk.trace(game, regularizer)
    with pytest.raises(gk.SolveError, match="and 2 folds; max_points, max_folds"):
        gk.trace(game, regularizer, max_folds=1)
    short = gk.trace(game, regularizer, max_folds=1, throw=False)
    assert short.status == gk.Status.max_steps and short.path.folds == 2
    monkeypatch.setattr(batch, "FEWEST_FOLDS", 1)
    games, regularizers = jax.tree.map(lambda leaf: leaf[None], (game, regularizer))
    found = gk.trace_batch(games, regularizers)
    assert found.status[0] == gk.Status.converged
    count = int(whole.points.count)
    np.testing.assert_array_equal(found.points.kind[0], whole.points.kind[:count])
    np.testing.assert_allclose(found.points.temperature[0], whole.points.temperature[:count])
    assert gk.trace_batch(games, regularizers, max_folds=1).status[0] == gk.Status.max_steps


def test_gambits_tracer_goes_the_same_way():
    asked = np.geomspace(1, 0.05, 6)
    tracer = pygambit()
    for payoffs in random_games((3, 4), 12, seed=3):
        path = gk.trace(*uniform(payoffs, 0.05), temperatures=asked)
        game = table(*payoffs)
        for place, point in enumerate(tracer.qre.logit_solve_lambda(game, lam=list(1 / asked))):
            for mine, other in zip(path.policy, policies(game, point.profile), strict=True):
                np.testing.assert_allclose(mine[place], other, atol=1e-6)


@pytest.mark.slow
def test_a_batch_has_room_for_long_paths():
    """Of 64 random games some have paths of more points than there is room for at first."""
    games = jax.vmap(gk.NormalFormGame)(jnp.asarray(np.random.default_rng(0).normal(size=(64, 2, 5, 5))))
    anchors = jax.vmap(partial(gk.Regularizer.uniform, temperature=0.01))(games)
    paths = gk.trace_batch(games, anchors)
    assert (paths.status == gk.Status.converged).all() and paths.points.count.max() > 64
    assert paths.points.kind.shape == (64, int(paths.points.count.max()))
    for game, count in enumerate(np.asarray(paths.points.count)):
        here = np.isfinite(np.asarray(paths.points.arclength[game]))
        assert here[:count].all() and not here[count:].any()
    alone = gk.trace(*jax.tree.map(lambda leaf: leaf[int(jnp.argmax(paths.points.count))], (games, anchors)))
    assert alone.points.count == paths.points.count.max()
    full = gk.trace_batch(games, anchors, max_points=64)
    told = r"as far as temperature 0.\d+, .* max_points, max_folds and max_steps"
    with pytest.raises(gk.SolveError, match=told):
        gk.trace_batch(games, anchors, max_points=64, throw=True)
    assert set(np.asarray(full.status).tolist()) == {gk.Status.converged, gk.Status.max_steps}


def test_a_bad_temperature_stays_alone():
    games = gk.stack([gk.NormalFormGame(COORDINATION)] * 4)
    anchors = jax.vmap(gk.Regularizer.uniform)(games, jnp.array([0.25, jnp.nan, -1.0, 0.3]))
    for temperatures in (None, np.full((4, 1), 0.7)):
        status = gk.trace_batch(games, anchors, temperatures=temperatures).status
        np.testing.assert_array_equal(status, [0, gk.Status.nonfinite_input, gk.Status.invalid_input, 0])
