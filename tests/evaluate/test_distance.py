"""Distances to equilibria found to the last bits, against what is claimed without knowing them (theory I5)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import log

import gamekl as gk
from gamekl.core.policies import normalize
from gamekl.evaluate import distance_bound, uniqueness

NOISES = 10.0 ** np.linspace(-8, -1, 8)


def equilibrium(game, regularizer, steps=60):
    """By damped responses and Newton's method on logits; unique where these tests use it."""
    sizes = game.num_actions
    references = jnp.concatenate(regularizer.log_reference)
    temperatures = regularizer.temperatures[np.repeat(np.arange(len(sizes)), sizes)]

    def policies(logits):
        return [normalize(part) for part in jnp.split(logits, np.cumsum(sizes)[:-1])]

    def miss(logits):
        values = gk.action_values(game, [jnp.exp(entry) for entry in policies(logits)])
        return logits - references - jnp.concatenate(values) / temperatures

    def step(index, logits):
        missed = miss(logits)
        newton = jnp.linalg.solve(jax.jacfwd(miss)(logits), missed)
        newton = newton * jnp.minimum(1, 2 / jnp.max(jnp.abs(newton)))
        return logits - jnp.where(index < 10, 0.3 * missed, newton)

    found = jax.lax.fori_loop(0, steps, step, references)
    return policies(found), jnp.max(jnp.abs(miss(found)))


def divergence(log_policy, log_other):
    """KL as a sum of pi* (e^d (d - 1) + 1), d = log pi - log pi*, which keeps its digits where the two are close."""
    d = np.asarray(log_policy - log_other)
    small = d**2 * (1 / 2 + d / 3 + d**2 / 8 + d**3 / 30 + d**4 / 144)
    return np.sum(np.exp(log_other) * np.where(np.abs(d) < 1e-2, small, np.exp(d) * (d - 1) + 1), axis=-1)


def two_players(rng, shape, mix):
    """From zero-sum (0) over independent payoffs to common interests, in scales of their own."""
    first, other = rng.normal(size=(2, *shape))
    second = -first if mix == 0 else first if mix == 2 else other
    return np.stack([first, np.exp(rng.uniform(-1, 1)) * second])


SOLVE, BOUND = (jax.jit(jax.vmap(entry)) for entry in (equilibrium, distance_bound))


def claims(shape, payoffs_of, temperature_of, count, seed):
    """Perturbed equilibria: distances and divergences, the bounds on them, and the noise."""
    rng = np.random.default_rng(seed)
    noises = np.tile(NOISES, -(-count // len(NOISES)))[:count]
    games = jax.vmap(gk.NormalFormGame)(np.stack([payoffs_of(rng, shape, index % 3) for index in range(count)]))
    references = [np.log(rng.dirichlet(np.ones(size), count)) for size in shape]
    regularizers = jax.vmap(gk.Regularizer)(references, np.stack([temperature_of(rng) for _ in range(count)]))
    exact, misses = SOLVE(games, regularizers)
    moved = [normalize(p + noises[:, None] * rng.normal(size=p.shape)) for p in exact]
    bounds = BOUND(games, regularizers, moved)
    distances = [np.abs(np.exp(m) - np.exp(p)).sum(axis=1) for m, p in zip(moved, exact, strict=True)]
    total = sum(divergence(m, p) for m, p in zip(moved, exact, strict=True))
    # Where Newton's method did not arrive there is nothing to compare with.
    known = np.asarray(misses) < 1e-11
    parts = (np.stack(distances, axis=1), total, np.asarray(bounds.l1), np.asarray(bounds.kl), noises)
    return [part[known] for part in parts]


CASES = {
    "two players": ((3, 4), two_players, lambda rng: rng.uniform(0.3, 2, 2)),
    "two players, cold": ((3, 4), two_players, lambda rng: np.full(2, rng.uniform(0.05, 0.5))),
    "three players": (
        (3, 2, 2),
        lambda rng, shape, _: rng.normal(size=(3, *shape)),
        lambda rng: rng.uniform(1, 4, 3),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bounds_hold_at_perturbed_equilibria(name, count=680):
    """In 680 games of each family, perturbed by 1e-8 to 1e-1."""
    distances, divergences, l1, kl, noises = claims(*CASES[name], count, seed=0)
    assert len(distances) > 0.9 * count
    # The equilibria compared with are good to about 1e-14 themselves.
    assert np.all(distances <= l1 + 1e-12)
    assert np.all(divergences <= kl * (1 + 1e-6))
    finite = np.isfinite(kl)
    assert np.mean(finite) > 0.3
    np.testing.assert_array_equal(np.isfinite(l1).all(axis=1), finite)
    # And they are of use: typically within a small factor, at every size of noise.
    for noise in NOISES:
        at = finite & (noises == noise)
        assert np.median(l1[at].sum(axis=1) / distances[at].sum(axis=1)) < 10
        assert np.median(kl[at] / divergences[at]) < 50


@pytest.mark.parametrize("temperature", [0.01, 0.1, 1.0])
def test_zero_sum_games_have_the_gap_over_the_temperature(temperature):
    """sum KL(pi || pi*) <= Gap / tau, with no loss of a factor: one player alone attains it."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=(3, 3))
    game = gk.NormalFormGame(np.stack([first, -first]))
    regularizer = gk.Regularizer.uniform(game, temperature)
    policy = [jnp.log(rng.dirichlet(np.ones(3))) for _ in range(2)]
    bound = distance_bound(game, regularizer, policy)
    gap = gk.regularized_gap(game, regularizer, policy)
    np.testing.assert_allclose(bound.gap, gap, rtol=1e-10)
    assert np.all(bound.gap >= gap)
    assert bound.kl <= gap.sum() / temperature * (1 + 1e-10)
    alone = gk.NormalFormGame(rng.normal(size=(1, 4)))
    anchor = gk.Regularizer.uniform(alone, temperature)
    policy = [jnp.log(rng.dirichlet(np.ones(4)))]
    (response,) = gk.best_response(alone, anchor, policy)
    np.testing.assert_allclose(distance_bound(alone, anchor, policy).kl, divergence(policy[0], response), rtol=1e-10)
    assert distance_bound(alone, anchor, policy).l1[0] >= np.abs(np.exp(policy[0]) - np.exp(response)).sum()


def test_nothing_is_claimed_where_uniqueness_is_not():
    game = gk.games.coordination(3)
    for temperature in (0.3, 0.5, 0.6, 1.2):
        regularizer = gk.Regularizer.uniform(game, temperature)
        bound = distance_bound(game, regularizer, log([0.6, 0.3, 0.1], [0.3, 0.5, 0.2]))
        proven = bool(uniqueness(game, regularizer).unique)
        assert proven is (temperature > 0.5)
        assert np.all(np.isfinite(bound.l1)) == np.isfinite(bound.kl) == proven
        assert np.all(np.isfinite(bound.gap))


def test_pure_policies_and_masked_actions():
    """A pure policy is at a finite distance; one that plays a masked action is nowhere near."""
    game = gk.games.coordination(3)
    regularizer = gk.Regularizer(log([0.5, 0.5, 0.0], [0.3, 0.3, 0.4]), 3.0)
    pure = log([1, 0, 0], [0, 0, 1])
    bound = distance_bound(game, regularizer, pure)
    exact, _ = jax.jit(equilibrium)(
        gk.NormalFormGame(game.payoffs[:, :2]), gk.Regularizer(log([0.5, 0.5], [0.3, 0.3, 0.4]), 3.0)
    )
    distances = [np.abs(np.exp(p[: len(e)]) - np.exp(e)).sum() for p, e in zip(pure, exact, strict=True)]
    assert np.all(np.array(distances) <= bound.l1)
    assert np.all(np.isfinite(bound.l1))
    assert -exact[0][0] - exact[1][2] <= bound.kl < np.inf
    off = distance_bound(game, regularizer, log([0, 0, 1], [0, 0, 1]))
    assert np.all(np.isinf(off.l1)) and np.isinf(off.kl) and np.isinf(off.gap[0])


def test_float32_allows_for_its_rounding():
    """The float64 equilibrium, rounded to float32, is within the float32 bound; and that is small."""
    solve = jax.jit(equilibrium)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        game = gk.NormalFormGame(two_players(rng, (3, 4), 0))
        regularizer = gk.Regularizer.uniform(game, 0.1)
        exact, miss = solve(game, regularizer)
        if miss > 1e-10:
            continue
        single, anchor, policy = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (game, regularizer, exact))
        bound = distance_bound(single, anchor, policy)
        assert bound.l1.dtype == jnp.float32
        # The rounded game is another one, with an equilibrium about R eps / tau away: it has its own in float64.
        double, anchor64 = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (single, anchor))
        # A reference's scale does not matter; in float64 its rounding would be taken for an error.
        anchor64 = gk.Regularizer([normalize(entry) for entry in anchor64.log_reference], anchor64.temperature)
        truth, _ = solve(double, anchor64)
        moved = [normalize(entry.astype(jnp.float64)) for entry in policy]
        distances = [np.abs(np.exp(m) - np.exp(t)).sum() for m, t in zip(moved, truth, strict=True)]
        assert np.all(np.array(distances) <= np.asarray(bound.l1))
        assert np.all(bound.l1 < 0.02)
        assert np.all(np.asarray(gk.regularized_gap(double, anchor64, moved)) <= np.asarray(bound.gap))


def test_bad_arguments():
    game = gk.games.matching_pennies()
    regularizer = gk.Regularizer.uniform(game, 1.0)
    with pytest.raises(ValueError, match=r"log_policy\[0\]: got 0.5, takes logarithms"):
        distance_bound(game, regularizer, [[0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(ValueError, match="log_policy: got shapes"):
        distance_bound(game, regularizer, log([0.5, 0.5]))
    with pytest.raises(ValueError, match=r"log_reference\[1\]: got shape \(3,\)"):
        distance_bound(game, gk.Regularizer(log([0.5, 0.5], [0.2, 0.3, 0.5]), 1.0), log([0.5, 0.5], [0.5, 0.5]))
