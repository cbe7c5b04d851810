"""Plans of a leader against grids, closed forms and linear programmes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

import gamekl as gk
from gamekl import stackelberg

SHAPE = (3, 4)


def uniform(shape, leader, follower):
    return gk.Regularizer([jnp.full(size, -np.log(size)) for size in shape], jnp.array([leader, follower]))


def by_definition(payoffs, strategies, references, temperatures):
    """J of policies [point, leader], in numpy."""
    (own, others), (x0, nu0), (tau_l, tau_f) = np.asarray(payoffs), references, temperatures
    logits = np.log(nu0) + strategies @ others / tau_f
    responses = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
    ratio = np.log(np.where(strategies > 0, strategies / x0, 1))
    return np.einsum("na,ab,nb->n", strategies, own, responses) - tau_l * np.sum(strategies * ratio, axis=1)


def simplex_grid(step):
    return np.array([(i, j, step - i - j) for i in range(step + 1) for j in range(step + 1 - i)]) / step


def plans_and_a_grid(payoffs, temperature):
    """Plans of 3 x 3 games for a leader without an anchor, and the most that the plans of a grid earn, by game."""
    regularizer = uniform((3, 3), 0.0, temperature)

    @jax.jit
    @jax.vmap
    def plan(table):
        return stackelberg.quantal_stackelberg(gk.NormalFormGame(table), regularizer, throw=False)

    grid, third = simplex_grid(20), np.full(3, 1 / 3)
    earned = [by_definition(table, grid, (third, third), (0.0, temperature)).max() for table in payoffs]
    return plan(payoffs), np.array(earned)


@pytest.fixture(scope="module")
def planned():
    """A function of 100 games, regularizers and further starts, compiled once."""

    @jax.jit
    @jax.vmap
    def plan(game, regularizer, starts):
        return stackelberg.quantal_stackelberg(game, regularizer, starts=starts, throw=False)

    return plan


CENTRES = jnp.full((100, SHAPE[1], SHAPE[0]), 1 / SHAPE[0])


def test_plans_are_a_fine_grids_to_its_accuracy(planned):
    """100 random games, anchored or not, of calm and of quick followers."""
    rng = np.random.default_rng(0)
    payoffs = rng.uniform(size=(100, 2, *SHAPE))
    references = [rng.dirichlet(np.full(size, 3.0), 100) for size in SHAPE]
    temperatures = np.stack([np.tile([0.0, 0.05], 50), 10 ** rng.uniform(-1.7, 0, 100)], axis=1)
    regularizers = jax.vmap(lambda a, b, tau: gk.Regularizer([jnp.log(a), jnp.log(b)], tau))(
        *map(jnp.asarray, [*references, temperatures])
    )
    plans = planned(jax.vmap(gk.NormalFormGame)(jnp.asarray(payoffs)), regularizers, CENTRES)
    assert np.all(plans.status == gk.Status.converged)
    assert np.max(plans.gap) < 1e-9 and np.max(plans.curvature) < 0
    grid = simplex_grid(400)
    for index in range(100):
        at = [entry[index] for entry in references]
        values = by_definition(payoffs[index], grid, at, temperatures[index])
        ours = by_definition(payoffs[index], np.asarray(plans.policy[0][index])[None], at, temperatures[index])[0]
        np.testing.assert_allclose(plans.value[index], ours, atol=1e-12)
        assert values.max() - 1e-12 <= ours <= values.max() + 2e-4


def test_quick_followers_bring_the_strong_equilibrium(planned):
    """100 random games: J tends to the linear programmes' value as tau log(1 / tau) does."""
    games = [gk.games.uniform(jax.random.key(seed), SHAPE) for seed in range(100)]
    strong = [stackelberg.strong_stackelberg(game) for game in games]
    values = np.array([found.value for found in strong])
    starts = np.stack([np.where(np.isfinite(found.candidates), found.candidates, 1 / 3) for found in strong])
    for tau in (1e-3, 1e-4, 1e-5):
        plans = planned(gk.stack(games), gk.stack([uniform(SHAPE, 0.0, tau)] * 100), starts)
        assert np.all(plans.status == gk.Status.converged)
        assert np.max(np.abs(plans.value - values)) < 6 * tau * np.log(1 / tau)


def test_strong_equilibrium_of_the_textbook():
    """Up dominates for the leader, but committing to the other row half of the time moves the follower.

    The value is 3.5 and not the Nash equilibrium's 2.
    """
    game = gk.NormalFormGame([[[2, 4], [1, 3]], [[1, 0], [0, 1]]])
    found = stackelberg.strong_stackelberg(game)
    np.testing.assert_allclose(found.policy, [0.5, 0.5], atol=1e-9)
    assert found.response == 1
    np.testing.assert_allclose([found.value, found.values[0]], [3.5, 2.0])


def test_strong_equilibrium_against_all_policies_of_a_grid():
    grid = simplex_grid(120)
    for seed in range(5):
        game = gk.games.uniform(jax.random.key(seed), SHAPE)
        own, others = np.asarray(game.payoffs)
        responses = grid @ others
        best = responses >= responses.max(axis=1, keepdims=True) - 1e-12
        value = np.max(np.where(best, grid @ own, -np.inf))
        found = stackelberg.strong_stackelberg(game)
        assert value <= found.value + 1e-12 and found.value <= value + 0.03
    masked = gk.Regularizer([jnp.log(jnp.array([0.5, 0.5, 0])), jnp.log(jnp.array([0, 0.4, 0.3, 0.3]))], 1.0)
    kept = gk.NormalFormGame(game.payoffs[:, :2, 1:])
    assert np.isclose(stackelberg.strong_stackelberg(game, masked).value, stackelberg.strong_stackelberg(kept).value)


def test_a_follower_that_does_not_care_leaves_a_plain_softmax():
    """r_f = 0: nu is its reference, x the leader's softmax, and J a concave function, with the curvature of its KL."""
    own = np.array([[1.0, 0.2, 0.3, 0.1], [0.3, 0.9, 0.2, 0.4], [0.0, 0.4, 0.5, 0.3]])
    game = gk.NormalFormGame(jnp.stack([jnp.asarray(own), jnp.zeros(SHAPE)]))
    x0, nu0, tau = np.array([0.5, 0.3, 0.2]), np.array([0.25, 0.35, 0.3, 0.1]), 0.2
    plan = stackelberg.quantal_stackelberg(game, gk.Regularizer([np.log(x0), np.log(nu0)], [tau, 1.0]))
    logits = np.log(x0) + own @ nu0 / tau
    np.testing.assert_allclose(plan.log_policy[0], logits - logsumexp(logits), atol=1e-9)
    np.testing.assert_allclose(plan.policy[1], nu0, atol=1e-15)
    np.testing.assert_allclose(plan.value, tau * logsumexp(logits), rtol=1e-12)
    np.testing.assert_allclose(plan.curvature, -4 * tau, rtol=1e-6)
    greedy = stackelberg.quantal_stackelberg(game, gk.Regularizer([np.log(x0), np.log(nu0)], [0.0, 1.0]))
    np.testing.assert_allclose(greedy.policy[0], np.eye(3)[np.argmax(own @ nu0)], atol=1e-12)
    above = np.sort(own @ nu0)
    np.testing.assert_allclose(greedy.curvature, 2 * (above[-2] - above[-1]), rtol=1e-6)


def test_masked_actions_are_those_of_the_smaller_game():
    game = gk.games.uniform(jax.random.key(5), SHAPE)
    x0, nu0 = np.array([0.6, 0.0, 0.4]), np.array([0.0, 0.3, 0.4, 0.3])
    with np.errstate(divide="ignore"):
        masked = gk.Regularizer([np.log(x0), np.log(nu0)], [0.1, 0.2])
    plan = stackelberg.quantal_stackelberg(game, masked)
    small = gk.NormalFormGame(game.payoffs[:, ::2, 1:])
    other = stackelberg.quantal_stackelberg(small, gk.Regularizer([np.log(x0[::2]), np.log(nu0[1:])], [0.1, 0.2]))
    np.testing.assert_allclose(plan.policy[0], np.insert(other.policy[0], 1, 0), atol=1e-9)
    np.testing.assert_allclose(plan.policy[1], np.insert(other.policy[1], 0, 0), atol=1e-9)
    np.testing.assert_allclose([plan.value, plan.curvature], [other.value, other.curvature], rtol=1e-6)


def test_shifts_and_units_of_the_follower_do_not_matter():
    game = gk.games.uniform(jax.random.key(6), SHAPE)
    moved = jnp.stack([game.payoffs[0], 5 * (game.payoffs[1] + jnp.arange(3.0)[:, None])])
    plan = stackelberg.quantal_stackelberg(game, uniform(SHAPE, 0.1, 0.2))
    other = stackelberg.quantal_stackelberg(gk.NormalFormGame(moved), uniform(SHAPE, 0.1, 1.0))
    np.testing.assert_allclose(plan.policy[0], other.policy[0], atol=1e-9)
    response = stackelberg.quantal_response(game, uniform(SHAPE, 0.1, 0.2), plan.policy[0])
    np.testing.assert_allclose(plan.log_policy[1], response, atol=1e-14)
    np.testing.assert_allclose(plan.value, stackelberg.leader_value(game, uniform(SHAPE, 0.1, 0.2), plan.policy[0]))


def test_a_bad_neighbour_changes_nothing(planned):
    games = gk.stack([gk.games.uniform(jax.random.key(seed), SHAPE) for seed in range(100)])
    regularizers = gk.stack([uniform(SHAPE, 0.1, 0.2)] * 100)
    broken = jax.tree.map(lambda payoffs: payoffs.at[3].set(jnp.nan), games)
    clean, mixed = planned(games, regularizers, CENTRES), planned(broken, regularizers, CENTRES)
    assert int(mixed.status[3]) == gk.Status.nonfinite_input
    others = np.delete(np.arange(100), 3)
    np.testing.assert_array_equal(clean.log_policy[0][others], mixed.log_policy[0][others])


def test_a_leader_without_choice():
    alone = gk.Regularizer([[-np.inf, 0.0, -np.inf], np.full(4, -np.log(4))], [0.0, 1.0])
    plan = stackelberg.quantal_stackelberg(gk.NormalFormGame(np.ones((2, *SHAPE))), alone)
    np.testing.assert_array_equal(plan.policy[0], [0, 1, 0])
    np.testing.assert_allclose([plan.value, plan.curvature], [1, -np.inf])


@pytest.mark.parametrize(
    ("temperature", "message"),
    [
        ([0.1, 0.0], r"temperature\[1\]: got 0.0, takes a finite number > 0: 1 / the rationality"),
        ([0.1, -1.0], r"temperature\[1\]: got -1.0, takes a finite number > 0"),
        ([-0.1, 1.0], r"temperature\[0\]: got -0.1, takes a finite number >= 0"),
        ([0.1, np.inf], r"temperature\[1\]: got inf"),
    ],
)
def test_bad_temperatures_are_named(temperature, message):
    game = gk.games.uniform(jax.random.key(0), (2, 2))
    regularizer = gk.Regularizer([np.log([0.5, 0.5])] * 2, temperature)
    with pytest.raises(ValueError, match=message):
        stackelberg.quantal_stackelberg(game, regularizer)


def test_bad_arguments_are_named():
    game, regularizer = gk.games.uniform(jax.random.key(0), (2, 2)), uniform((2, 2), 0.0, 1.0)
    three = gk.NormalFormGame(np.zeros((3, 2, 2, 2)))
    with pytest.raises(ValueError, match="game: got 3 players, takes two"):
        stackelberg.quantal_stackelberg(three, gk.Regularizer.uniform(three, 1.0))
    with pytest.raises(TypeError):
        stackelberg.quantal_stackelberg(gk.PolymatrixGame(np.zeros((2, 2, 2, 2))), regularizer)
    with pytest.raises(ValueError, match=r"starts: got shape \(1, 3\), takes \[start, leader\] with 2 actions"):
        stackelberg.quantal_stackelberg(game, regularizer, starts=[[0.2, 0.3, 0.5]])
    with pytest.raises(ValueError, match=r"starts\[0\]: got a sum of 1.5"):
        stackelberg.quantal_stackelberg(game, regularizer, starts=[[0.5, 1.0]])
    with pytest.raises(ValueError, match="policy"):
        stackelberg.quantal_response(game, regularizer, [0.5, 0.6])
    with pytest.raises(ValueError, match="payoffs"):
        stackelberg.strong_stackelberg(gk.NormalFormGame([[[np.nan]], [[0.0]]]))


def test_every_name_is_there():
    assert all(hasattr(stackelberg, name) for name in stackelberg.__all__)


def test_a_leader_without_an_anchor_at_a_vertex():
    """The KL has infinite derivatives there, and none at temperature 0: the certificate is that of the payoffs alone.

    Games of small whole payoffs; a pure plan is right where no plan of a grid earns more.
    """
    payoffs = np.round(np.random.default_rng(2).random((100, 2, 3, 3)) * 3)
    plans, earned = plans_and_a_grid(payoffs, 0.1)
    assert np.all(np.asarray(plans.status) == gk.Status.converged)
    assert np.all(np.isfinite(plans.curvature))
    assert np.all(np.asarray(plans.value) >= earned - 1e-12)


@pytest.mark.parametrize("cell", [-1e6, -1e9, -1e12])
def test_where_a_cell_is_forbidden(cell):
    """Certified, and no plan of a grid earns more."""
    payoffs = np.random.default_rng(0).random((30, 2, 3, 3))
    payoffs[:, 0, 0, 0] = cell
    plans, earned = plans_and_a_grid(payoffs, 0.02)
    assert np.all(np.asarray(plans.status) == gk.Status.converged)
    assert np.all(np.asarray(plans.value) >= earned - 1e-12)


def test_a_leader_to_whom_nothing_matters():
    """Rounding is all that its payoffs then differ by."""
    game = gk.NormalFormGame([[[2.1, 2.1], [2.1, 2.1]], [[3.0, 1.0], [0.0, 2.0]]])
    plan = stackelberg.quantal_stackelberg(game, uniform((2, 2), 0.0, 0.02))
    np.testing.assert_allclose(float(plan.value), 2.1, rtol=1e-14)
