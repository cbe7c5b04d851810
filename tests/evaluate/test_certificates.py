"""Certificates of uniqueness against their definitions, and against searches for a second equilibrium.

They are those of theory A9.1, A9.2 and H1.
"""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import action_values_by_definition, log
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

import gamekl as gk
from gamekl.core.policies import normalize, outer
from gamekl.evaluate import contraction_matrix, monotone_margin, small_gain_margin, uniqueness
from gamekl.evaluate.couplings import on_support, spectral_radius
from gamekl.evaluate.monotone import _profile_ratio, monotone_ratio

SHAPES = [(2, 2), (3, 4), (3, 4, 2), (4,)]


def random_policy(rng, shape):
    """A log-policy for each player, uniform on the simplex (numpy's: jax's sampler takes seconds to compile)."""
    return [jnp.log(rng.dirichlet(np.ones(size))) for size in shape]


def random_case(seed, shape, temperature=0.4):
    """Standard normal payoffs and random references."""
    rng = np.random.default_rng(seed)
    game = gk.NormalFormGame(rng.normal(size=(len(shape), *shape)))
    return game, gk.Regularizer(random_policy(rng, shape), temperature), random_policy(rng, shape)


def masked_case(seed):
    """A 3 x 4 x 2 game in which two actions are left to each player, and the game without the others."""
    game = random_case(seed, (3, 4, 2))[0]
    references = log([0.4, 0.6, 0.0], [0.0, 0.6, 0.4, 0.0], [0.7, 0.3])
    kept = [np.flatnonzero(np.isfinite(entry)) for entry in references]
    reduced = gk.NormalFormGame(game.payoffs[np.ix_(range(3), *kept)])
    smaller = gk.Regularizer([entry[index] for entry, index in zip(references, kept, strict=True)], [0.5, 0.7, 0.9])
    mask = outer([jnp.isfinite(entry).astype(float) for entry in references]) > 0
    # What a masked cell pays must not matter, however much it is.
    game = gk.NormalFormGame(jnp.where(mask, game.payoffs, 1e30))
    return game, gk.Regularizer(references, [0.5, 0.7, 0.9]), reduced, smaller


def interaction_by_definition(table, i, j):
    """Max of the second differences in a_i and a_j over all others, by loops over all 4-tuples."""
    table = np.moveaxis(np.asarray(table), (i, j), (0, 1))
    table = table.reshape(*table.shape[:2], -1)
    rows, columns, _ = table.shape
    return max(
        np.abs(table[a, b] - table[c, b] - table[a, d] + table[c, d]).max()
        for a, c in itertools.product(range(rows), repeat=2)
        for b, d in itertools.product(range(columns), repeat=2)
    )


def hessian(game, policy):
    """H_ij(a_i, a_j), the expectation of r_i over the others' policies, as one matrix over all players' actions."""
    sizes = game.num_actions
    corners = np.cumsum([0, *sizes])
    full = np.zeros((corners[-1], corners[-1]))
    for i, j in itertools.permutations(range(len(sizes)), 2):
        table = np.moveaxis(np.asarray(game.payoffs[i]), (i, j), (0, 1))
        for k in reversed([k for k in range(len(sizes)) if k not in (i, j)]):
            table = table @ np.asarray(policy[k])
        full[corners[i] : corners[i + 1], corners[j] : corners[j + 1]] = table
    return full


def blocks_of(values, sizes):
    return np.repeat(np.asarray(values), sizes)


@pytest.mark.parametrize("shape", [*SHAPES, (3, 1), (2, 2, 2, 2)])
def test_contraction_matrix_by_definition(shape):
    temperatures = np.linspace(0.3, 0.9, len(shape))
    game, regularizer, _ = random_case(0, shape, list(temperatures))
    ours, payoffs = np.asarray(contraction_matrix(game, regularizer)), np.asarray(game.payoffs)
    for i, j in itertools.permutations(range(len(shape)), 2):
        expected = interaction_by_definition(payoffs[i], i, j) / (4 * temperatures[i])
        np.testing.assert_allclose(ours[i, j], expected, rtol=1e-13, atol=1e-15)
        assert ours[i, j] >= expected or min(shape[i], shape[j]) == 1
    np.testing.assert_array_equal(np.diagonal(ours), 0)


@pytest.mark.parametrize("shape", SHAPES)
def test_best_responses_move_no_more_than_the_contraction_matrix_says(shape):
    """On 500 pairs of profiles, near to and far from each other, inside and near the corners."""
    game, regularizer, _ = random_case(1, shape, list(np.linspace(0.2, 0.5, len(shape))))
    rng = np.random.default_rng(2)
    scales, spreads = rng.uniform(0, 10, 500), 10 ** rng.uniform(-3, 1, 500)
    one = [scales[:, None] * rng.normal(size=(500, size)) for size in shape]
    other = [entry + spreads[:, None] * rng.normal(size=entry.shape) for entry in one]
    one, other = ([normalize(jnp.asarray(entry)) for entry in profile] for profile in (one, other))
    respond = jax.jit(jax.vmap(lambda policy: gk.best_response(game, regularizer, policy)))

    def distances(a, b):
        return np.stack([np.abs(np.exp(x) - np.exp(y)).sum(axis=1) for x, y in zip(a, b, strict=True)], axis=1)

    allowed = distances(one, other) @ np.asarray(contraction_matrix(game, regularizer)).T
    assert np.all(distances(respond(one), respond(other)) <= allowed * (1 + 1e-12) + 1e-15)


def test_the_contraction_matrix_is_tight():
    """Coordination: around the uniform profile the response moves by all of K |pi - pi'|."""
    game = gk.games.coordination()
    regularizer = gk.Regularizer.uniform(game, 0.7)
    moved = gk.best_response(game, regularizer, log([0.5 + 1e-6, 0.5 - 1e-6], [0.5, 0.5]))
    ratio = jnp.abs(jnp.exp(moved[1]) - 0.5).sum() / 2e-6
    np.testing.assert_allclose(ratio, contraction_matrix(game, regularizer)[1, 0], rtol=1e-6)


def coupling_matrix(seed, size, density):
    rng = np.random.default_rng(seed)
    return rng.uniform(size=(size, size)) * (rng.uniform(size=(size, size)) < density) * (1 - np.eye(size))


MATRICES = {
    "random": coupling_matrix(0, 5, 1.0),
    "sparse": coupling_matrix(1, 6, 0.3),
    "cycle": np.roll(np.eye(4), 1, axis=1) * [0.5, 2.0, 3.0, 0.1],
    "bipartite": np.array([[0, 0, 1, 2], [0, 0, 3, 4], [5, 6, 0, 0], [7, 8, 0, 0.0]]),
    "triangular": np.triu(np.ones((3, 3)), 1),
    "blocks": np.kron(np.diag([1.0, 0.999]), np.array([[0, 1], [1, 0]])),
    "ill-scaled": np.array([[0, 1e10], [1e-10, 0]]),
    "ill-scaled cycle": np.roll(np.diag([100.0, 0.01, 1.0]), 1, axis=1),
    "zero": np.zeros((3, 3)),
    "one": np.array([[0.0]]),
}


@pytest.mark.parametrize("name", MATRICES)
def test_spectral_radius_is_sharp_and_never_below(name):
    matrix = MATRICES[name]
    truth = np.abs(np.linalg.eigvals(matrix)).max()
    ours = float(spectral_radius(jnp.asarray(matrix)))
    assert truth * (1 - 1e-14) <= ours <= truth * (1 + 1e-12) + 1e-4
    ours = float(spectral_radius(jnp.asarray(matrix, dtype=jnp.float32)))
    assert truth * (1 - 1e-7) <= ours <= truth * (1 + 1e-5) + 1e-2


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2)])
def test_monotone_ratio_bounds_the_coupling_everywhere(shape):
    """sum w_i <v_i, H_ij v_j> <= kappa sum w_i tau_i |v_i|_1^2 at 1,000 profiles, for sparse tangent vectors too."""
    game, regularizer, _ = random_case(3, shape, list(np.linspace(0.3, 0.9, len(shape))))
    weights, ratio = (np.asarray(entry) for entry in jax.jit(monotone_ratio)(game, regularizer))
    curvature = weights * np.asarray(regularizer.temperatures)
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(1_000):
        policy = [rng.dirichlet(np.full(size, 0.3)) for size in shape]
        vectors = []
        for size in shape:
            vector = rng.normal(size=size) * (rng.uniform(size=size) < rng.uniform(0.2, 1))
            vectors.append(vector - vector.mean() if size > 1 else np.zeros(1))
        tangent = np.concatenate(vectors)
        used = (blocks_of(weights, shape) * tangent) @ hessian(game, policy) @ tangent
        norms = np.array([np.abs(vector).sum() for vector in vectors])
        allowed = np.sum(curvature * norms**2)
        worst = max(worst, used / allowed if allowed > 0 else 0)
    assert worst <= ratio * (1 + 1e-12)
    assert worst >= 0.2 * ratio  # no slack by orders of magnitude


def two_player_threshold(game):
    """min over c of I(r_1 + c r_2) / (8 sqrt c), by scipy."""
    first, second = np.asarray(game.payoffs)

    def ratio(logarithm):
        c = np.exp(logarithm)
        return interaction_by_definition(first + c * second, 0, 1) / (8 * np.sqrt(c))

    grid = np.linspace(-4, 4, 81)
    best = grid[np.argmin([ratio(entry) for entry in grid])]
    return minimize_scalar(ratio, bounds=(best - 0.1, best + 0.1), method="bounded", options={"xatol": 1e-9}).fun


@pytest.mark.parametrize("seed", range(8))
def test_two_player_margin_in_closed_form(seed):
    """The margin is the temperature less the least threshold over player weights, and beats the Euclidean one."""
    game, regularizer, _ = random_case(seed, (3, 4))
    margin = float(uniqueness(game, regularizer).monotone)
    np.testing.assert_allclose(margin, 0.4 - two_player_threshold(game), atol=2e-5)
    both = np.asarray(game.payoffs.sum(axis=0))
    centred = both - both.mean(axis=0) - both.mean(axis=1)[:, None] + both.mean()
    assert margin >= 0.4 - np.linalg.norm(centred, 2) / 4


def test_profile_ratio_is_the_supremum_over_profiles(shape=(2, 3, 2, 2)):
    """Against loops over all pure profiles; no mixed profile has more."""
    game, regularizer, _ = random_case(4, shape, list(np.linspace(0.3, 0.9, len(shape))))
    weights = np.linspace(0.5, 1.5, len(shape))
    centres = np.concatenate([np.full(size, 1 / size) for size in shape])
    same = np.equal.outer(blocks_of(range(len(shape)), shape), blocks_of(range(len(shape)), shape))
    centring = np.eye(sum(shape)) - same * centres

    def top(policy):
        coupling = blocks_of(weights, shape)[:, None] * hessian(game, policy)
        coupling = centring @ (coupling + coupling.T) @ centring / 2
        scale = 1 / np.sqrt(blocks_of(weights * np.asarray(regularizer.temperatures), shape))
        return np.linalg.eigvalsh(coupling * scale * scale[:, None])[-1] / 2

    pure = [top([np.eye(n)[a] for n, a in zip(shape, actions, strict=True)]) for actions in np.ndindex(*shape)]
    ours = jax.jit(lambda g, r, w: _profile_ratio(on_support(g, r), r, w))(game, regularizer, jnp.asarray(weights))
    np.testing.assert_allclose(ours, max(pure), rtol=1e-12)
    rng = np.random.default_rng(0)
    mixed = [top([rng.dirichlet(np.full(size, 0.5)) for size in shape]) for _ in range(200)]
    assert max(mixed) <= ours


def test_signs_cancel_around_three_players():
    """Pairs 1-2 and 2-3 coordinate and 1-3 does not: each pair alone asks for more than all together."""
    match = jnp.eye(2)
    pairs = {(0, 1): match, (1, 2): match, (0, 2): -match}
    table = sum(jnp.expand_dims(pair, next(k for k in range(3) if k not in players)) for players, pair in pairs.items())
    game = gk.NormalFormGame(jnp.broadcast_to(table, (3, 2, 2, 2)))
    # lambda_max of [[0, 1, -1], [1, 0, 1], [-1, 1, 0]] is 1, of its absolute values 2; a pair's I / 4 is 1/2.
    np.testing.assert_allclose(uniqueness(game, gk.Regularizer.uniform(game, 1.0)).monotone, 0.5, atol=1e-12)
    same = gk.NormalFormGame(jnp.broadcast_to(table + 2 * match[:, None, :], (3, 2, 2, 2)))
    np.testing.assert_allclose(uniqueness(same, gk.Regularizer.uniform(same, 2.0)).monotone, 1.0, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_monotone_claims_wherever_the_contraction_does(shape):
    """kappa <= rho(K), so just above rho(K) = 1 both claim; and uniqueness always does where rho(K) < 1."""
    for seed in range(20):
        game, regularizer, _ = random_case(seed, shape, list(np.linspace(0.3, 0.9, len(shape))))
        found = uniqueness(game, regularizer)
        radius = found.contraction
        assert found.monotone >= 0.3 * (1 - radius) - 1e-13
        if radius > 0:
            edge = gk.Regularizer(regularizer.log_reference, regularizer.temperatures * radius * (1 + 1e-9))
            found = uniqueness(game, edge)
            assert found.unique
            assert found.contraction < 1
            assert found.monotone > 0


@pytest.mark.parametrize("temperature", [1e-3, 1e-2, 0.1, 1.0, 10.0])
def test_zero_sum_games_are_unique_at_every_temperature(temperature):
    """Up to scale and terms of one player's action too, for two players and for networks of three."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        first = rng.uniform(-1, 1, (3, 4))
        game = gk.NormalFormGame(np.stack([first, -first]))
        assert uniqueness(game, gk.Regularizer.uniform(game, temperature)).unique
        scale = np.exp(rng.uniform(-3, 3))
        second = scale * (rng.normal(size=(3, 1)) - first) + rng.normal(size=4)
        scaled = gk.NormalFormGame(np.stack([first + rng.normal(size=4), second + 17]))
        assert uniqueness(scaled, gk.Regularizer.uniform(scaled, temperature)).unique
        weights = np.exp(rng.uniform(-2, 2, 3))
        tables = np.zeros((3, 3, 4, 2))
        for (i, j), k in (((0, 1), 2), ((0, 2), 1), ((1, 2), 0)):
            pair = np.expand_dims(rng.normal(size=np.delete((3, 4, 2), k)), k)
            tables[i] += pair / weights[i]
            tables[j] -= pair / weights[j]
        network = gk.NormalFormGame(tables)
        assert uniqueness(network, gk.Regularizer.uniform(network, temperature)).unique


def test_the_verdict_flips_exactly_on_coordination():
    game = gk.games.coordination()
    for temperature, expected in [
        (0.25, False),
        (0.5 * (1 - 1e-12), False),
        (np.nextafter(0.5, 0), False),
        (0.5, False),
        (0.5 * (1 + 1e-12), True),
        (0.6, True),
    ]:
        found = uniqueness(game, gk.Regularizer.uniform(game, temperature))
        assert bool(found.unique) is expected
        np.testing.assert_allclose(found.contraction, 0.5 / temperature, rtol=1e-13)
        np.testing.assert_allclose(found.monotone, temperature - 0.5, atol=1e-14)
    np.testing.assert_allclose(
        contraction_matrix(game, gk.Regularizer.uniform(game, 0.5)), [[0, 1], [1, 0]], rtol=1e-14
    )


# A search for several equilibria: Newton's method on logits from many random starts.


def policies_of(logits, sizes):
    ends = np.cumsum(sizes)[:-1]
    return [normalize(part) for part in jnp.split(logits, ends)]


def equilibria(game, regularizer, starts, steps=40):
    """Policies ``[start, actions of all]`` that Newton's method reaches, and their residuals ``[start]``."""
    sizes = game.num_actions
    references = jnp.concatenate(regularizer.log_reference)
    temperatures = regularizer.temperatures[np.repeat(np.arange(len(sizes)), sizes)]

    def miss(logits):
        values = gk.action_values(game, [jnp.exp(entry) for entry in policies_of(logits, sizes)])
        return logits - references - jnp.concatenate(values) / temperatures

    def step(index, logits):
        missed = miss(logits)
        newton = jnp.linalg.solve(jax.jacfwd(miss)(logits), missed)
        newton = newton * jnp.minimum(1, 3 / jnp.max(jnp.abs(newton)))
        # First some damped responses, which lead to the stable equilibria.
        return logits - jnp.where(index < steps // 4, 0.5 * missed, newton)

    @jax.vmap
    def run(start):
        found = jax.lax.fori_loop(0, steps, step, start)
        return jnp.exp(jnp.concatenate(policies_of(found, sizes))), jnp.max(jnp.abs(miss(found)))

    return run(starts)


@jax.jit
@partial(jax.vmap, in_axes=(0, 0, None))
def has_several(game, regularizer, starts):
    """Whether a search from the starts finds two equilibria that differ by more than 1e-4."""
    policies, residuals = equilibria(game, regularizer, starts)
    good = residuals < 1e-9
    first = policies[jnp.argmax(good)]
    return jnp.any(good & (jnp.abs(policies - first).sum(axis=1) > 1e-4))


def random_starts(shape, count=200):
    rng = np.random.default_rng(count)
    return jnp.asarray(np.concatenate([np.log(rng.dirichlet(np.ones(size), count)) for size in shape], axis=1))


def hard_case(rng, shape, common):
    """A game, and references that make an equilibrium of what the certificate holds to be the worst profile."""
    payoffs = rng.normal(size=(len(shape), *shape))
    if common:
        payoffs = payoffs[:1] + 0.1 * rng.uniform() * payoffs
    policy = [np.full(size, 1 / size) for size in shape]
    if common and len(shape) == 3:  # pairs that match or mismatch, so that no profile of the others matters much
        signs = rng.choice([-1, 1], 3)
        pairs = [np.expand_dims(sign * np.eye(2), axis) for axis, sign in enumerate(signs)]
        payoffs = 0.05 * payoffs + sum(pairs)
    elif len(shape) == 2:
        both = payoffs.sum(axis=0)
        differences = both[:, None, :, None] - both[None, :, :, None] - both[:, None, None] + both[None, :, None]
        a, c, b, d = np.unravel_index(np.abs(differences).argmax(), differences.shape)
        policy = [np.full(size, 1e-3) for size in shape]
        policy[0][[a, c]], policy[1][[b, d]] = 1.0, 1.0
        policy = [entry / entry.sum() for entry in policy]
    game = gk.NormalFormGame(payoffs)
    threshold = 1 - float(uniqueness(game, gk.Regularizer.uniform(game, 1.0)).monotone)
    temperature = threshold * rng.choice([0.5, 0.8, 0.95, 0.99, 1.001, 1.2])
    values = action_values_by_definition(payoffs, policy)
    references = [np.log(p) - v / temperature for p, v in zip(policy, values, strict=True)]
    references = [entry - np.logaddexp.reduce(entry) for entry in references]
    return game, gk.Regularizer(references, temperature)


def claims_against_searches(shape, count, seed):
    rng = np.random.default_rng(seed)
    cases = []
    for index in range(count):
        game, regularizer = hard_case(rng, shape, common=index % 2 == 0)
        if index % 4 == 3:
            regularizer = gk.Regularizer(random_policy(rng, shape), regularizer.temperature)
        cases.append((game, regularizer))
    games, regularizers = (gk.stack(part) for part in zip(*cases, strict=True))
    claimed = np.array([uniqueness(*case).unique for case in cases])
    several = [
        has_several(*jax.tree.map(lambda leaf, at=at: leaf[at : at + 25], (games, regularizers)), random_starts(shape))
        for at in range(0, count, 25)
    ]
    return claimed, np.concatenate(several)


@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (3, 3), (2, 2, 2)])
def test_no_claim_where_a_search_finds_two_equilibria(shape, count=25):
    claimed, several = claims_against_searches(shape, count, seed=0)
    assert not np.any(claimed & several)
    # It is a real test: both happen often, though all temperatures are within a factor 2 of the threshold.
    assert claimed.mean() > 0.15
    assert several.mean() > 0.15


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (3, 3), (2, 2, 2)])
def test_no_claim_where_a_search_finds_two_equilibria_in_500_games_of_each_shape(shape):
    test_no_claim_where_a_search_finds_two_equilibria(shape, count=500)


def test_the_threshold_is_sharp_for_common_interests():
    """With the worst references a second equilibrium is there as soon as the certificate stops to claim."""
    game = gk.games.coordination(3)
    threshold = 1 - float(uniqueness(game, gk.Regularizer.uniform(game, 1.0)).monotone)
    np.testing.assert_allclose(threshold, 0.5, rtol=1e-12)
    references = log([0.5, 0.5, 0.0], [0.5, 0.5, 0.0])
    kept = gk.games.coordination(2)
    for factor, expected in ((1.01, False), (0.99, True)):
        regularizer = gk.Regularizer(references, factor * threshold)
        assert bool(uniqueness(game, regularizer).unique) is not expected
        smaller = gk.Regularizer.uniform(kept, factor * threshold)
        one = jax.tree.map(lambda leaf: jnp.stack([leaf] * 25), (kept, smaller))  # the shapes that are compiled
        assert bool(has_several(*one, random_starts((2, 2)))[0]) is expected


# The small-gain margin.


@pytest.mark.parametrize("temperature", [1e-3, 0.1, 0.5, 2.0])
def test_small_gain_margins_in_closed_form(temperature):
    """Matching pennies tau at every profile, coordination tau - 1/2 at the uniform one."""
    pennies, match = gk.games.matching_pennies(), gk.games.coordination()
    for seed in range(5):
        policy = random_policy(np.random.default_rng(seed), (2, 2))
        margin = small_gain_margin(pennies, gk.Regularizer.uniform(pennies, temperature), policy)
        np.testing.assert_allclose(margin, temperature, atol=1e-14)
    margin = small_gain_margin(match, gk.Regularizer.uniform(match, temperature), log([0.5, 0.5], [0.5, 0.5]))
    np.testing.assert_allclose(margin, temperature - 0.5, atol=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
def test_small_gain_margin_by_definition(shape):
    """With the symmetric root of F, for given weights; the default weights do no worse than norms."""
    game, regularizer, log_policy = random_case(5, shape, list(np.linspace(0.3, 0.9, len(shape))))
    policy = [np.exp(entry) for entry in log_policy]
    root = np.zeros((sum(shape), sum(shape)))
    corners = np.cumsum([0, *shape])
    for p, at, end in zip(policy, corners, corners[1:], strict=False):
        values, vectors = np.linalg.eigh(np.diag(p) - np.outer(p, p))
        root[at:end, at:end] = vectors @ np.diag(np.sqrt(np.maximum(values, 0))) @ vectors.T
    coupling = root @ hessian(game, policy) @ root
    weights = np.linspace(0.5, 2, len(shape))
    scale = np.sqrt(blocks_of(weights, shape))
    weighted = coupling * scale[:, None] / scale
    diagonal = np.diag(blocks_of(regularizer.temperatures, shape))
    expected = np.linalg.eigvalsh(diagonal - (weighted + weighted.T) / 2)[0]
    ours = small_gain_margin(game, regularizer, log_policy, weights=weights)
    np.testing.assert_allclose(ours, expected, atol=1e-7)  # the root of a zero eigenvalue costs half the digits
    one = gk.Regularizer(regularizer.log_reference, 1.0)
    parts = [[coupling[a:b, c:d] for c, d in itertools.pairwise(corners)] for a, b in itertools.pairwise(corners)]
    norms = np.array([[np.linalg.norm(part, 2) for part in row] for row in parts])
    assert small_gain_margin(game, one, log_policy) >= 1 - np.abs(np.linalg.eigvals(norms)).max() - 1e-7
    assert small_gain_margin(game, one, log_policy) <= 1 + 1e-12


def test_small_gain_margin_at_the_edge():
    game = gk.games.coordination(3)
    masked = gk.Regularizer(log([0.5, 0.5, 0.0], [1, 0, 0]), 0.3)
    np.testing.assert_allclose(small_gain_margin(game, masked, log([0.5, 0.5, 0], [1, 0, 0])), 0.3)
    np.testing.assert_allclose(small_gain_margin(game, masked, log([1, 0, 0], [1, 0, 0])), 0.3)
    assert small_gain_margin(game, masked, log([0, 0, 1], [1, 0, 0])) == -np.inf


def test_the_small_gain_margin_bounds_the_rate_at_an_equilibrium():
    """The flow's Jacobian at an equilibrium has no eigenvalue beyond minus the margin."""
    search = jax.jit(equilibria)
    shape = (2, 2, 2)
    for seed in range(10):
        game, regularizer, _ = random_case(seed, shape, 0.3)
        found, residuals = (np.asarray(entry) for entry in search(game, regularizer, random_starts(shape, 20)))
        policy = found[np.argmin(residuals)]
        assert residuals.min() < 1e-10
        parts = np.split(policy, np.cumsum(shape)[:-1])
        margin = float(small_gain_margin(game, regularizer, [jnp.log(part) for part in parts]))
        owner = blocks_of(range(3), shape)
        fisher = np.diag(policy) - np.outer(policy, policy) * np.equal.outer(owner, owner)
        jacobian = hessian(game, parts) @ fisher - 0.3 * np.eye(len(policy))
        assert np.linalg.eigvals(jacobian).real.max() <= -margin + 1e-9


# What all certificates share.


def everything(game, regularizer, log_policy):
    found = uniqueness(game, regularizer)
    margin = small_gain_margin(game, regularizer, log_policy)
    return contraction_matrix(game, regularizer), found.contraction, found.monotone, margin


@pytest.mark.parametrize("seed", range(3))
def test_masked_actions_are_as_if_they_were_not_there(seed):
    game, regularizer, reduced, smaller = masked_case(seed)
    theirs = everything(reduced, smaller, smaller.log_reference)
    for mine, other in zip(everything(game, regularizer, regularizer.log_reference), theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-13)


def test_players_without_a_choice_do_not_couple():
    game = random_case(0, (3, 4, 2))[0]
    regularizer = gk.Regularizer(log([1, 0, 0], [0, 0.2, 0.3, 0.5], [0, 1]), 1e-9)
    found = uniqueness(game, regularizer)
    assert found.unique
    assert found.contraction == 0
    np.testing.assert_allclose(found.monotone, 1e-9)
    alone = random_case(0, (4,))[0]
    assert uniqueness(alone, gk.Regularizer.uniform(alone, 1e-9)).unique


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**31),
    order=st.permutations(range(3)),
    shift=st.floats(-1e3, 1e3),
    scale=st.floats(1e-3, 1e3),
)
def test_names_shifts_and_scales_do_not_matter(seed, order, shift, scale):
    shape = (2, 2, 2)
    game, regularizer, log_policy = random_case(seed, shape, [0.5, 0.8, 1.1])
    matrix, radius, margin, gain = everything(game, regularizer, log_policy)
    rng = np.random.default_rng(seed)
    actions = [rng.permutation(size) for size in shape]
    payoffs = np.asarray(game.payoffs)[np.ix_(range(3), *actions)] * scale + shift
    payoffs = np.transpose(payoffs[list(order)], (0, *(1 + p for p in order)))

    def renamed(parts):
        return [parts[p][actions[p]] for p in order]

    temperatures = scale * regularizer.temperatures[jnp.asarray(order)]
    other = gk.Regularizer(renamed(regularizer.log_reference), temperatures)
    theirs = everything(gk.NormalFormGame(payoffs), other, renamed(log_policy))
    np.testing.assert_allclose(theirs[0], matrix[np.ix_(order, order)], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(theirs[1], radius, rtol=1e-8)
    np.testing.assert_allclose(theirs[2] / scale, margin, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(theirs[3] / scale, gain, rtol=1e-8, atol=1e-8)


def test_rounding_is_never_taken_for_a_proof():
    """Payoffs around 1e6: a zero-sum game is still seen as one, unless the temperature is as small as the rounding."""
    game = gk.games.zero_sum(jax.random.key(0), (3, 3))
    large = gk.NormalFormGame(1e6 * (game.payoffs + 1))
    assert uniqueness(large, gk.Regularizer.uniform(large, 1e-3)).unique
    assert not uniqueness(large, gk.Regularizer.uniform(large, 1e-10)).unique
    single = gk.NormalFormGame(large.payoffs.astype(jnp.float32))
    assert not uniqueness(single, gk.Regularizer.uniform(single, 1e-3)).unique
    assert uniqueness(single, gk.Regularizer.uniform(single, 10.0)).unique


def test_float32():
    game = gk.games.coordination(dtype=jnp.float32)
    for temperature, expected in ((0.5, False), (0.5001, True)):
        found = uniqueness(game, gk.Regularizer.uniform(game, temperature))
        assert bool(found.unique) is expected
        assert found.monotone.dtype == found.contraction.dtype == jnp.float32
    case = random_case(6, (2, 2, 2))
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), case)
    for mine, other in zip(everything(*single), everything(*case), strict=True):
        assert mine.dtype == jnp.float32
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-4)
    # A regularizer in another dtype than the game's:
    assert uniqueness(game, gk.Regularizer(log([0.5, 0.5], [0.5, 0.5]), 0.6)).unique


def test_jit_and_vmap_change_nothing():
    cases = [random_case(seed, (2, 2, 2)) for seed in range(4)]
    batch = [gk.stack(part) for part in zip(*cases, strict=True)]
    together = jax.jit(jax.vmap(uniqueness))(*batch[:2]), jax.jit(jax.vmap(small_gain_margin))(*batch)
    for index, case in enumerate(cases):
        alone = uniqueness(*case[:2]), small_gain_margin(*case)
        for mine, other in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
            np.testing.assert_allclose(mine, other[index], rtol=1e-11, atol=1e-12)


def test_nothing_is_claimed_of_bad_values():
    """NaN or infinite payoffs, and traced temperatures that are not positive; a neighbour is not touched."""
    game = gk.games.coordination()
    regularizer = gk.Regularizer.uniform(game, 1.0)
    for bad in (np.nan, np.inf):
        assert not uniqueness(gk.NormalFormGame(game.payoffs.at[0, 1, 1].set(bad)), regularizer).unique
    claims = jax.jit(jax.vmap(lambda t: uniqueness(game, gk.Regularizer.uniform(game, t)).unique))
    np.testing.assert_array_equal(claims(jnp.asarray([-1.0, 0.0, np.nan, 1.0])), [False, False, False, True])


def test_bad_arguments():
    game = gk.games.matching_pennies()
    regularizer = gk.Regularizer.uniform(game, 1.0)
    half = log([0.5, 0.5], [0.5, 0.5])
    other = gk.Regularizer(log([0.5, 0.5], [0.2, 0.3, 0.5]), 1.0)
    for function in (
        contraction_matrix,
        monotone_margin,
        uniqueness,
        lambda g, r: small_gain_margin(g, r, half),
        lambda g, r: gk.evaluate.distance_bound(g, r, half),
    ):
        with pytest.raises(ValueError, match=r"log_reference\[1\]: got shape \(3,\)"):
            function(game, other)
        with pytest.raises(ValueError, match="temperature: got -1.0, takes numbers > 0"):
            function(game, gk.Regularizer.uniform(game, -1.0))
    staged = gk.ContextualGame(game.payoffs[None], np.ones(1))
    with pytest.raises(ValueError, match="weights: got shape"):
        small_gain_margin(game, regularizer, half, weights=[1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="weights: got .*takes finite numbers > 0"):
        small_gain_margin(game, regularizer, half, weights=[1.0, 0.0])
    with pytest.raises(ValueError, match=r"log_policy\[0\]: got 0.5, takes logarithms"):
        small_gain_margin(game, regularizer, [[0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(Exception, match="game"):  # TypeError, or the type checker's error in tests
        uniqueness(staged, regularizer)
