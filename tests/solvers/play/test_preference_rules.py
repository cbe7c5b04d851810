"""Each rule against its update written out in numpy, and against what is proven of it (theory G and J10)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

import gamekl as gk
from gamekl import rules
from gamekl.solvers.play.follow import self_play

ETA = 0.4
TAU = 0.3


def preferences(seed, size):
    upper = np.triu(np.random.default_rng(seed).uniform(size=(size, size)), 1)
    return upper + np.tril(1 - upper.T, -1) + np.eye(size) / 2


def reference(seed, size):
    return log_softmax(np.random.default_rng(100 + seed).normal(size=size))


P, REFERENCE = preferences(0, 5), reference(0, 5)


def mmd(log_pi, t):
    return (log_pi + ETA * TAU * REFERENCE + ETA * P @ np.exp(log_pi)) / (1 + ETA * TAU)


def nash_md(log_pi, t):
    mixed = log_softmax((1 - ETA * TAU) * log_pi + ETA * TAU * REFERENCE)
    return mixed + ETA * P @ np.exp(mixed)


def inpo(log_pi, t):
    paper = 1 / ETA
    return TAU / paper * REFERENCE + (1 - TAU / paper) * log_pi + P @ np.exp(log_pi) / paper


def egpo(log_pi, t):
    base = (1 - ETA * TAU) * log_pi + ETA * TAU * REFERENCE
    half = base + ETA * P @ np.exp(log_pi)
    return base + ETA * P @ softmax(half)


def nash_mp(log_pi, t):
    half = (log_pi / ETA + TAU * REFERENCE + P @ np.exp(log_pi)) / (TAU + 1 / ETA)
    return (log_pi / ETA + TAU * REFERENCE + P @ softmax(half)) / (TAU + 1 / ETA)


def spo(log_pi, t):
    return log_pi + ETA * P @ np.exp(log_pi)


DEFINITIONS = [
    (rules.MMD, mmd),
    (rules.NashMD, nash_md),
    (rules.INPO, inpo),
    (rules.EGPO, egpo),
    (rules.NashMP, nash_mp),
    (rules.SPO, spo),
    (rules.MNPO, spo),  # of one player
]


@pytest.mark.parametrize("rule, update", DEFINITIONS, ids=[rule.__name__ for rule, _ in DEFINITIONS])
def test_the_definition(rule, update):
    log_pi = REFERENCE
    for t in range(20):
        log_pi = log_softmax(update(log_pi, t))
    alone = self_play(P, REFERENCE, TAU, rule(ETA), num_rounds=20)
    np.testing.assert_allclose(alone.log_policy[0], log_pi, atol=1e-12)
    game = gk.NormalFormGame(np.stack([P, P.T]))
    both = gk.follow(game, gk.Regularizer((REFERENCE, REFERENCE), TAU), rule(ETA), num_rounds=20)
    for policy in both.log_policy:
        np.testing.assert_allclose(policy, log_pi, atol=1e-12)


def test_optimism():
    """ONPO keeps the sum of all steps, and plays with the last one repeated."""
    summed = log_pi = REFERENCE
    for _ in range(20):
        step = ETA * P @ np.exp(log_pi)
        summed = summed + step
        log_pi = log_softmax(summed + step)
    found = self_play(P, REFERENCE, TAU, rules.ONPO(ETA), num_rounds=20)
    np.testing.assert_allclose(found.log_policy[0], log_pi, atol=1e-12)


def test_a_magnet_that_moves():
    """MPO: seven rounds towards the magnet, which then comes along."""
    magnet = log_pi = REFERENCE
    for t in range(1, 31):
        log_pi = log_softmax((log_pi + ETA * TAU * magnet + ETA * P @ np.exp(log_pi)) / (1 + ETA * TAU))
        magnet = log_pi if t % 7 == 0 else magnet
    found = self_play(P, REFERENCE, TAU, rules.MPO(ETA, 7), num_rounds=30)
    np.testing.assert_allclose(found.log_policy[0], log_pi, atol=1e-12)


def test_three_who_learn_from_each_other():
    """MNPO: from the geometric mean of the other two, by the mean preference against them."""
    logs = [reference(seed, 5) for seed in range(3)]
    pairs = np.zeros((3, 3, 5, 5))
    pairs[~np.eye(3, dtype=bool)] = P / 2
    found = gk.follow(gk.PolymatrixGame(pairs), gk.Regularizer(logs, TAU), rules.MNPO(ETA), num_rounds=10)
    for _ in range(10):
        others = [[logs[j] for j in range(3) if j != i] for i in range(3)]
        logs = [log_softmax(np.mean(two, axis=0) + ETA * P @ np.mean(np.exp(two), axis=0)) for two in others]
    for mine, expected in zip(found.log_policy, logs, strict=True):
        np.testing.assert_allclose(mine, expected, atol=1e-12)


def test_of_two_players_mnpo_is_spo():
    game = gk.NormalFormGame(np.stack([P, P.T]))
    regularizer = gk.Regularizer((REFERENCE, REFERENCE), TAU)
    one, other = (gk.follow(game, regularizer, rule(ETA), num_rounds=30) for rule in (rules.MNPO, rules.SPO))
    np.testing.assert_allclose(one.log_policy[0], other.log_policy[0], atol=1e-12)


def test_inpo_is_mmd_with_another_step():
    """1 / eta = eta' - tau."""
    paper = 1 / ETA
    one = self_play(P, REFERENCE, TAU, rules.INPO(1 / paper), num_rounds=[5, 50])
    other = self_play(P, REFERENCE, TAU, rules.MMD(1 / (paper - TAU)), num_rounds=[5, 50])
    np.testing.assert_allclose(one.log_policy[0], other.log_policy[0], atol=1e-12)
    np.testing.assert_allclose(one.regularized_gap, other.regularized_gap, atol=1e-12)


GAMES = 200
SIZE = 6


@pytest.fixture(scope="module")
def many():
    """Random preferences and tournaments (0 or 1), temperatures from .01 to 5, and their equilibria."""
    rng = np.random.default_rng(3)
    tables = np.stack([preferences(seed, SIZE) for seed in range(GAMES)])
    tables[::2] = np.where(np.eye(SIZE) == 1, 0.5, tables[::2] > 0.5)
    references = log_softmax(rng.normal(size=(GAMES, SIZE)), axis=1)
    temperatures = np.exp(rng.uniform(np.log(0.01), np.log(5), GAMES))
    games = jax.vmap(lambda table: gk.NormalFormGame(jnp.stack([table, table.T])))(jnp.asarray(tables))
    regularizers = jax.vmap(gk.Regularizer)((jnp.asarray(references),) * 2, jnp.asarray(temperatures))
    solutions = gk.solve_nash_batch(games, regularizers, tol=1e-13)
    assert np.all(solutions.residual < 1e-12)
    return jnp.asarray(tables), jnp.asarray(references), jnp.asarray(temperatures), solutions.log_policy[0]


# Steps and factors as the papers have them.
PROVEN = {
    rules.MMD: (lambda tau: 4 * tau, lambda tau: 1 / (1 + 4 * tau**2)),
    rules.NashMP: (lambda tau: 2.0 + 0 * tau, lambda tau: 1 / (1 + 2 * tau)),
    rules.EGPO: (lambda tau: 1 / (tau + 3), lambda tau: 1 - tau / (tau + 3)),
    rules.INPO: (lambda tau: 1 / (1 / (4 * tau) + tau), lambda tau: 1 / (1 + 4 * tau**2)),
}


@pytest.mark.parametrize("kind", PROVEN)
def test_rates_hold_in_every_round(many, kind):
    """KL(pi* || pi) falls by the proven factor or faster in each round, until it is as small as rounding."""
    tables, references, temperatures, targets = many
    step_size, factor = PROVEN[kind]

    def run(table, reference, tau, target):
        steps = np.arange(301)
        known = kind.proven(tau)
        kl = self_play(table, reference, tau, known.rule, num_rounds=steps, target=target).kl[:, 0]
        return kl, known.kl(kl[0], steps), known.rule.step_size(jnp.zeros(()))

    kl, bound, steps = map(np.asarray, jax.jit(jax.vmap(run))(tables, references, temperatures, targets))
    np.testing.assert_allclose(steps, step_size(np.asarray(temperatures)), rtol=1e-12)
    before, after = kl[:, :-1], kl[:, 1:]
    allowed = np.asarray(factor(temperatures))[:, None] * (1 + 1e-6)
    counts = after > 1e-10
    assert counts.any(axis=1).sum() > GAMES / 2
    assert np.all((after <= allowed * before) | ~counts)
    np.testing.assert_allclose(bound[:, 7], kl[:, 0] * np.asarray(factor(temperatures)) ** 7, rtol=1e-9)


@pytest.mark.parametrize("kind", PROVEN)
def test_the_limit_is_the_anchored_equilibrium(kind):
    """Also of players with different references, and of three in a general-sum game that is calm enough."""
    pair = gk.NormalFormGame(np.stack([P, P.T])), gk.Regularizer((REFERENCE, reference(7, 5)), 0.5)
    three = (
        gk.games.uniform(jax.random.key(0), (2, 3, 2)),
        gk.Regularizer([reference(i, n) for i, n in enumerate((2, 3, 2))], 2.0),
    )
    for (game, regularizer), tau in ((pair, 0.5), (three, 0.25)):
        solution = gk.solve_nash(game, regularizer, tol=1e-13)
        found = gk.follow(game, regularizer, kind.proven(tau).rule, num_rounds=2000, target=solution.log_policy)
        for mine, expected in zip(found.log_policy, solution.log_policy, strict=True):
            np.testing.assert_allclose(np.exp(mine), np.exp(expected), atol=1e-8)
        assert np.all(found.regularized_gap[-1] < 1e-14) and np.all(found.kl[-1] < 1e-14)


RPS = np.array([[0.5, 0, 1], [1, 0.5, 0], [0, 1, 0.5]])
SKEWED = np.log([0.5, 0.3, 0.2])


def test_spo_goes_round_and_its_average_converges():
    """On rock, paper, scissors: the last round never comes nearer, as its KL from the equilibrium only grows."""
    found = self_play(
        RPS, SKEWED, 1.0, rules.SPO(0.05), num_rounds=[0, 10, 100, 1000, 5000], target=np.log([1 / 3] * 3)
    )
    assert np.all(np.diff(found.kl[:, 0]) > 0)
    assert np.all(found.nash_gap[:, 0] > 0.05)
    assert found.average_nash_gap[-1, 0] < 0.02
    bound = np.log(5) / (0.05 * 5000) + 0.05 / 8  # of Hedge with a constant step
    assert found.average_nash_gap[-1, 0] <= bound


def test_optimistic_averages_fall_like_one_over_the_rounds():
    steps = np.array([10, 100, 1000, 10_000])
    for seed in range(5):
        found = self_play(preferences(seed, 5), reference(seed, 5), 1.0, rules.ONPO(0.5), num_rounds=steps)
        assert np.all(steps * np.asarray(found.average_nash_gap[:, 0]) < 20)


def test_a_moving_magnet_leads_to_the_unregularized_equilibrium():
    """Each move comes nearer to it, and the gap goes to 0; the inner game alone would stay at the anchored one."""
    moves = 100 * np.arange(31)
    found = self_play(RPS, SKEWED, 0.5, rules.MPO(1.0, 100), num_rounds=moves, target=np.log([1 / 3] * 3))
    kl = np.asarray(found.kl[:, 0])
    assert np.all(kl[1:] < kl[:-1]) and kl[-1] < 1e-3 * kl[0]
    anchored = self_play(RPS, SKEWED, 0.5, rules.MMD(1.0), num_rounds=moves)
    assert found.nash_gap[-1, 0] < 0.02 * anchored.nash_gap[-1, 0]


def test_nash_md_keeps_a_bias_that_its_schedule_removes():
    solution = gk.solve_nash(
        gk.NormalFormGame(np.stack([P, P.T])), gk.Regularizer((REFERENCE, REFERENCE), TAU), tol=1e-13
    )
    target = solution.log_policy[0]
    steps = [100, 1000, 10_000]

    def kl(step_size):
        return np.asarray(
            self_play(P, REFERENCE, TAU, rules.NashMD(step_size), num_rounds=steps, target=target).kl[:, 0]
        )

    known = rules.NashMD.proven(TAU)
    constant, smaller, schedule = kl(0.4), kl(0.1), kl(known.rule.step_size)
    np.testing.assert_allclose(known.rule.step_size(jnp.asarray(3.0)), 2 / (TAU * 5))
    assert constant[2] == pytest.approx(constant[1], rel=1e-6) and constant[2] > 1e-6
    assert 4 < constant[2] / smaller[2] < 40  # about 16: a bias of the order of the step
    np.testing.assert_allclose(known.kl(1.0, np.array(steps)), 8 / (TAU**2 * (np.array(steps) + 1)))
    assert np.all(schedule <= known.kl(1.0, np.array(steps)))
    assert schedule[2] < 1e-3 * constant[2]


def test_bad_input_names_the_field():
    game, regularizer = gk.games.chicken(), gk.Regularizer.uniform(gk.games.chicken(), 1.0)
    with pytest.raises(ValueError, match=r"step_size: got -1, takes a finite number > 0 or a schedule"):
        rules.EGPO(-1)
    with pytest.raises(TypeError, match="rule"):
        gk.follow(game, regularizer, "EGPO", num_rounds=3)
    for steps in ([3, 3], [-1], 1.5, [], [[1]]):
        with pytest.raises(ValueError, match="num_rounds: got .* takes increasing whole numbers"):
            gk.follow(game, regularizer, rules.EGPO(0.1), num_rounds=steps)
    with pytest.raises(ValueError, match="takes players with the same actions for MNPO"):
        uneven = gk.games.uniform(jax.random.key(0), (2, 3))
        gk.follow(uneven, gk.Regularizer.uniform(uneven, 1.0), rules.MNPO(0.1), num_rounds=3)
    with pytest.raises(ValueError, match=r"preferences\[0, 1\]: got 1.5, takes probabilities"):
        self_play([[0.5, 1.5], [-0.5, 0.5]], np.log([0.5, 0.5]), 1.0, rules.EGPO(0.1), num_rounds=3)
    with pytest.raises(ValueError, match=r"preferences\[0, 1\]: got 0.7, takes P with P \+ P\^T = 1"):
        self_play([[0.5, 0.7], [0.7, 0.5]], np.log([0.5, 0.5]), 1.0, rules.EGPO(0.1), num_rounds=3)
    with pytest.raises(ValueError, match="rule: got SPO, of whose single rounds nothing is proven"):
        rules.SPO.proven(0.1)
    with pytest.raises(ValueError, match="kl_tol: got -1"):
        gk.follow(game, regularizer, rules.EGPO(0.1), num_rounds=3, kl_tol=-1)
    with pytest.raises(ValueError, match="got 4000000000 queries in all, takes fewer than 2"):
        gk.follow(game, regularizer, rules.EGPO(0.1), num_rounds=2 * 10**6, num_queries=1000, key=jax.random.key(0))
    with pytest.raises(TypeError, match="rule: got the class EGPO, takes a rule of gamekl.rules, such as"):
        gk.follow(game, regularizer, rules.EGPO, num_rounds=3)
    with pytest.raises(TypeError, match="rule: got Proven, takes its `rule`"):
        gk.follow(game, regularizer, rules.EGPO.proven(0.1), num_rounds=3)
    with pytest.raises(ValueError, match="rule.weighting: got 'linear', takes 'uniform'"):
        gk.follow(game, regularizer, rules.MMD(0.1, weighting="linear"), num_rounds=3)
    with pytest.raises(ValueError, match="step_size: got .* takes a number > 0 or a schedule; jax.vmap takes several"):
        rules.EGPO(np.array([0.1, 0.2]))
    with pytest.raises(ValueError, match="step_size: got inf, takes a finite number > 0"):
        rules.EGPO(np.inf)
    with pytest.raises(ValueError, match="rounds: got 0, takes a whole number >= 1"):
        rules.MPO(0.1, 0)
    with pytest.raises(ValueError, match=r"target\[0\]"):
        gk.follow(game, regularizer, rules.EGPO(0.1), num_rounds=3, target=[np.zeros(2), np.zeros(2)])
    with pytest.raises(ValueError, match="key: got 3, takes a jax random key"):
        gk.follow(game, regularizer, rules.EGPO(0.1), num_rounds=3, num_queries=2, key=3)


def test_bad_tables_are_named():
    options = {"rule": rules.EGPO(0.1), "num_rounds": 3}
    even = np.log(np.full(3, 1 / 3))
    with pytest.raises(ValueError, match=r"preferences: got shape \(2, 3, 3\), takes \[actions, actions\]; jax.vmap"):
        self_play(np.full((2, 3, 3), 0.5), even, 1.0, **options)
    with pytest.raises(ValueError, match=r"log_reference: got shape \(2,\), takes \[actions\] = \(3,\)"):
        self_play(np.full((3, 3), 0.5), np.log(np.full(2, 1 / 2)), 1.0, **options)
    with pytest.raises(ValueError, match=r"temperature: got shape \(1,\), takes a number; jax.vmap"):
        self_play(np.full((3, 3), 0.5), even, np.ones(1), **options)


def test_bad_queries_are_named():
    game, regularizer = gk.games.chicken(), gk.Regularizer.uniform(gk.games.chicken(), 1.0)
    with pytest.raises(ValueError, match="key: got None with num_queries 3, takes both or neither"):
        gk.follow(game, regularizer, rules.EGPO(0.1), num_rounds=3, num_queries=3)
    with pytest.raises(ValueError, match=r"payoffs: got values outside of \[0, 1\]"):
        gk.follow(game, regularizer, rules.EGPO(0.1), num_rounds=3, num_queries=3, key=jax.random.key(0))


def test_under_vmap_the_status_tells_of_tables_that_are_no_preferences():
    tables = jnp.stack([jnp.asarray(P), jnp.asarray(P) + 0.1, jnp.asarray(P).at[0, 1].set(1.5).at[1, 0].set(-0.5)])
    found = jax.vmap(lambda table: self_play(table, REFERENCE, TAU, rules.MMD(ETA), num_rounds=3))(tables)
    np.testing.assert_array_equal(found.status, [gk.Status.converged, *[gk.Status.invalid_input] * 2])
