"""Following rules: the Euclidean ones, values that are asked for, and what a trajectory holds."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import dirichlet_regularizer
from scipy.optimize import minimize
from test_preference_rules import preferences, reference

import gamekl as gk
from gamekl import rules
from gamekl.solvers.play.feedback import AskedGame
from gamekl.solvers.play.follow import self_play
from gamekl.solvers.play.products import against_itself, unscaled_against_itself
from gamekl.solvers.play.rules.euclidean import project

UNIFORM = np.log([0.25] * 4)


def nearest(point):
    """On the simplex, by a general optimiser."""
    start = np.full(len(point), 1 / len(point))
    whole = {"type": "eq", "fun": lambda x: x.sum() - 1}
    options = {"ftol": 1e-14, "maxiter": 500}
    found = minimize(
        lambda x: np.sum((x - point) ** 2),
        start,
        bounds=[(0, 1)] * len(point),
        constraints=whole,
        method="SLSQP",
        options=options,
    )
    return found.x


def test_projections():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(2, 5, 8)) * np.exp(rng.normal(size=8))
    mask = np.ones(points.shape, dtype=bool)
    mask[1, 3:] = False
    found = np.asarray(project(jnp.asarray(points), jnp.asarray(mask)))
    for player, lane in itertools.product(range(2), range(8)):
        kept = mask[player, :, lane]
        np.testing.assert_allclose(found[player, kept, lane], nearest(points[player, kept, lane]), atol=1e-6)
        assert np.all(found[player, ~kept, lane] == 0)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-14)


def onto(point):
    return np.asarray(project(jnp.asarray(point)[None, :, None], jnp.ones((1, len(point), 1), bool)))[0, :, 0]


def extragradient(table, x, first, t, memory):
    half = onto(x + 0.2 * table @ x)
    return onto(x + 0.2 * table @ half), memory


def halpern(table, x, first, t, memory):
    weight = 1 / (t + 1)
    centre = weight * first + (1 - weight) * x
    half = onto(centre + 0.2 * table @ x)
    return onto(centre + 0.2 * table @ half), memory


def aog(table, x, first, t, memory):
    back = (first - x) / (t + 1)
    values = table @ onto(x + 0.2 * memory + back)
    return onto(x + 0.2 * values + back), values


@pytest.mark.parametrize(
    "rule, update", [(rules.Extragradient, extragradient), (rules.Halpern, halpern), (rules.AOG, aog)]
)
def test_the_definition_of_projected_rules(rule, update):
    table, first = preferences(1, 4), np.exp(reference(1, 4))
    x, memory = first, np.zeros(4)  # AOG has seen no values before
    for t in range(1, 13):
        x, memory = update(table, x, first, t, memory)
    found = self_play(table, np.log(first), 1.0, rule(0.2), num_rounds=12)
    np.testing.assert_allclose(np.exp(found.log_policy[0]), x, atol=1e-13)


STEPS = np.array([30, 100, 300, 1000, 3000])


@pytest.mark.parametrize("rule, power", [(rules.Extragradient, 0.5), (rules.Halpern, 1.0), (rules.AOG, 1.0)])
def test_last_rounds_of_projected_rules(rule, power):
    """Gaps of the last round times T^power stay bounded, in each of 20 zero-sum games."""

    def run(table):
        return self_play(table, jnp.asarray(UNIFORM), 1.0, rule(0.2), num_rounds=STEPS).nash_gap[:, 0]

    gaps = np.asarray(jax.jit(jax.vmap(run))(jnp.stack([preferences(seed, 4) for seed in range(20)])))
    scaled = gaps * STEPS**power
    assert np.all(scaled < 3) and scaled[:, -1].max() <= 1.2 * scaled[:, 0].max()


def test_asked_values_have_the_law_of_comparisons():
    """Wins of n queries are binomial with the action's value, afresh in every round, evaluation and game."""
    table, log_reference = jnp.asarray(preferences(2, 4)), jnp.asarray(reference(2, 4))
    lanes = 4000
    game = jax.tree.map(
        lambda leaf: jnp.repeat(leaf[..., None], lanes, -1), against_itself(table, log_reference, jnp.asarray(0.5))
    )
    chances = jax.tree.map(
        lambda leaf: jnp.repeat(leaf[..., None], lanes, -1), unscaled_against_itself(table, log_reference)
    )
    shared = {name: getattr(game, name) for name in ("log_reference", "mask", "temperature")}
    asked = AskedGame(**shared, chances=chances, keys=jax.random.split(jax.random.key(0), lanes), num_queries=3)
    policy = jnp.repeat(jnp.asarray([0.1, 0.2, 0.3, 0.4])[None, :, None], lanes, -1)
    rates = 0.5 * np.asarray(asked.values(policy))[0]
    chance = np.asarray(table) @ [0.1, 0.2, 0.3, 0.4]
    errors = np.sqrt(chance * (1 - chance) / 3)
    assert np.all(np.abs(rates.mean(axis=1) - chance) < 5 * errors / np.sqrt(lanes))
    np.testing.assert_allclose(rates.std(axis=1), errors, rtol=0.1)
    np.testing.assert_allclose(3 * rates, np.round(3 * rates), atol=1e-12)
    again = 0.5 * np.asarray(asked.again().values(policy))[0]
    assert abs(np.corrcoef(rates[0], again[0])[0, 1]) < 0.1
    assert abs(np.corrcoef(rates[0], rates[1])[0, 1]) < 0.1


@pytest.mark.slow
def test_learning_from_queries():
    """A constant step stays as far off as its noise makes it; falling steps come nearer, at the rate 1 / T."""
    table, log_reference, tau = preferences(0, 5), reference(0, 5), 0.5
    game = gk.NormalFormGame(np.stack([table, table.T]))
    target = gk.solve_nash(game, gk.Regularizer((log_reference, log_reference), tau)).log_policy[0]
    steps = [100, 400, 1600]

    def kl(step_size):
        def run(key):
            options = {"num_rounds": steps, "target": target, "num_queries": 4, "key": key}
            return self_play(table, log_reference, tau, rules.MMD(step_size), **options).kl[:, 0]

        return np.asarray(jax.vmap(run)(jax.random.split(jax.random.key(1), 200))).mean(axis=0)

    constant, falling = kl(0.2), kl(lambda t: 2 / (tau * (t + 2)))
    assert 0.7 < constant[2] / constant[1] < 1.3
    assert 2.5 < falling[0] / falling[1] < 6 and 2.5 < falling[1] / falling[2] < 6
    assert falling[2] < 0.2 * constant[2]


def test_what_is_counted():
    table, log_reference = preferences(0, 5), reference(0, 5)
    for rule, evaluations in ((rules.EGPO(0.1), 2), (rules.MMD(0.1), 1), (rules.AOG(0.1), 1)):
        told = self_play(table, log_reference, 1.0, rule, num_rounds=[0, 7])
        np.testing.assert_array_equal(told.num_queries, [0, 7 * evaluations])
        asked = self_play(table, log_reference, 1.0, rule, num_rounds=[0, 7], num_queries=5, key=jax.random.key(0))
        np.testing.assert_array_equal(asked.num_queries, [0, 35 * evaluations])


def test_measures_by_their_definitions():
    """Gaps, averages and KL of the last round, and the first round that is good enough."""
    game = gk.games.uniform(jax.random.key(3), (3, 2))
    regularizer = dirichlet_regularizer(jax.random.key(4), game, 0.3)
    solution = gk.solve_nash(game, regularizer)
    steps = np.arange(60)
    measured = {"target": solution.log_policy, "tol": 1e-4, "kl_tol": 1e-3}
    found = gk.follow(game, regularizer, rules.EGPO(0.3), num_rounds=steps, **measured)
    played = [gk.follow(game, regularizer, rules.EGPO(0.3), num_rounds=int(t)).log_policy for t in (0, 1, 2, 3, 17)]
    np.testing.assert_allclose(played[0][0], regularizer.log_reference[0], atol=1e-14)
    for t, log_policy in zip((0, 1, 2, 3, 17), played, strict=True):
        gap = gk.regularized_gap(game, regularizer, log_policy)
        np.testing.assert_allclose(found.regularized_gap[t], gap, atol=1e-14)
        np.testing.assert_allclose(found.nash_gap[t], gk.nash_gap(game, log_policy), atol=1e-14)
        kl = [np.sum(np.exp(a) * (a - b)) for a, b in zip(solution.log_policy, log_policy, strict=True)]
        np.testing.assert_allclose(found.kl[t], kl, atol=1e-14)
    mean = [np.log(np.mean([np.exp(played[t][i]) for t in range(4)], axis=0)) for i in range(2)]
    np.testing.assert_allclose(found.average_nash_gap[3], gk.nash_gap(game, tuple(mean)), atol=1e-14)
    total = np.asarray(found.regularized_gap).sum(axis=1)
    assert int(found.first) == np.flatnonzero(total <= 1e-4)[0] > 0
    assert int(found.first_kl) == np.flatnonzero(np.asarray(found.kl).sum(axis=1) <= 1e-3)[0] > 0
    never = gk.follow(game, regularizer, rules.SPO(0.3), num_rounds=60, tol=0.0)
    assert int(never.first) == -1
    assert never.first_kl is None


def test_batches_are_as_each_alone():
    """Games, temperatures and steps side by side; one that is no game stays alone."""
    tables = np.stack([preferences(seed, 4) for seed in range(5)])
    tables[3, 0, 1] = np.nan
    taus, etas = jnp.asarray([0.1, 0.3, 1.0, 1.0, 3.0]), jnp.asarray([0.05, 0.1, 0.2, 0.2, 0.3])

    def run(table, tau, eta):
        return self_play(table, jnp.asarray(UNIFORM), tau, rules.NashMP(eta), num_rounds=[3, 40], throw=False)

    together = jax.jit(jax.vmap(run))(jnp.asarray(tables), taus, etas)
    np.testing.assert_array_equal(together.status == gk.Status.converged, [True, True, True, False, True])
    for index in (0, 1, 2, 4):
        alone = run(tables[index], taus[index], etas[index])
        np.testing.assert_allclose(together.regularized_gap[index], alone.regularized_gap, atol=1e-14)
        np.testing.assert_allclose(together.log_policy[0][index], alone.log_policy[0], atol=1e-12)


def test_masked_actions_and_float32():
    table, log_reference = preferences(0, 5), np.array(reference(0, 5))
    small = self_play(
        table[:4, :4], log_reference[:4] - np.log(np.exp(log_reference[:4]).sum()), 0.5, rules.EGPO(0.3), num_rounds=50
    )
    log_reference[4] = -np.inf
    log_reference[:4] -= np.log(np.exp(log_reference[:4]).sum())
    for rule in (rules.EGPO(0.3), rules.MMD(0.3)):
        masked = self_play(table, log_reference, 0.5, rule, num_rounds=50)
        assert masked.log_policy[0][4] == -np.inf
    masked = self_play(table, log_reference, 0.5, rules.EGPO(0.3), num_rounds=50)
    np.testing.assert_allclose(masked.log_policy[0][:4], small.log_policy[0], atol=1e-12)
    np.testing.assert_allclose(masked.nash_gap, small.nash_gap, atol=1e-12)
    single = self_play(np.float32(table), np.float32(log_reference), 0.5, rules.EGPO(0.3), num_rounds=50)
    assert single.log_policy[0].dtype == jnp.float32
    np.testing.assert_allclose(np.exp(single.log_policy[0]), np.exp(masked.log_policy[0]), atol=1e-5)
