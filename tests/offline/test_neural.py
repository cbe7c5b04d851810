"""Neural least squares, beside linear least squares written out in numpy."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl.offline import ContextualDataset, FitStatus, Neural, sample_dataset

ACTIONS, CONTEXTS, FEATURES, ROWS, NOISE = (2, 3), 300, 4, 10_000, 0.3
OPTIONS = {"num_members": 2, "width": 32, "max_steps": 500, "patience": 200, "learning_rate": 3e-3}


@cache
def draw(name, seed, seen=CONTEXTS, **options):
    """A game, its features, and rows of uniform play in the first contexts."""
    key, rows_key = jax.random.split(jax.random.key(seed))
    family = getattr(gk.games, name)
    game, features = family(key, ACTIONS, num_contexts=CONTEXTS, num_features=FEATURES, **options)
    here = gk.ContextualGame(game.payoffs, jnp.where(jnp.arange(CONTEXTS) < seen, 1 / seen, 0.0))
    data = sample_dataset(rows_key, here, np.full((CONTEXTS, *ACTIONS), 1 / np.prod(ACTIONS)), ROWS, NOISE)
    return game, features, data


def replaced(data, **parts):
    """The data with other columns."""
    columns = {name: np.asarray(getattr(data, name)) for name in ("contexts", "actions", "rewards")}
    return ContextualDataset(**{**columns, **parts}, num_actions=ACTIONS, num_contexts=CONTEXTS)


def linear_fit(features, data):
    """Least squares in (1, features) for each player and joint action."""
    design = np.column_stack([np.ones(len(features)), features])
    contexts, actions, rewards = (np.asarray(part) for part in (data.contexts, data.actions, data.rewards))
    payoffs = np.zeros((len(features), len(data.num_actions), *data.num_actions))
    for cell in np.ndindex(*data.num_actions):
        mine = np.all(actions == cell, axis=1)
        payoffs[(..., *cell)] = design @ np.linalg.lstsq(design[contexts[mine]], rewards[mine], rcond=None)[0]
    return payoffs


def error(payoffs, game, contexts=slice(None)):
    return np.mean((np.asarray(payoffs) - np.asarray(game.payoffs))[contexts] ** 2)


def test_a_linear_game_is_fitted_almost_as_by_least_squares():
    game, features, data = draw("context_linear", 0)
    model = Neural(jax.random.key(0), features, **OPTIONS)
    assert error(model.fit(data), game) < 1.5 * error(linear_fit(features, data), game)


def test_a_smooth_game_is_fitted_better_than_by_least_squares_in_all_contexts():
    """In contexts without rows, too."""
    game, features, data = draw("smooth", 1, seen=200, frequency=1.5)
    fit = Neural(jax.random.key(0), features, **OPTIONS).train(data)
    linear = linear_fit(features, data)
    assert error(fit.payoffs, game) < error(linear, game) / 4
    assert error(fit.payoffs, game, slice(200, None)) < error(linear, game, slice(200, None)) / 2
    assert np.all(fit.num_steps > 0)
    fallen = OPTIONS["max_steps"] - np.asarray(fit.num_steps) < OPTIONS["patience"]
    np.testing.assert_array_equal(fit.status, np.where(fallen, FitStatus.max_steps, FitStatus.converged))
    short = Neural(jax.random.key(0), features, **(OPTIONS | {"max_steps": 100})).train(data)
    assert np.all(short.status == FitStatus.max_steps)
    # Held-out residuals are the noise and the member's error, which is more than that of the mean of members.
    assert np.all(NOISE**2 < fit.validation_loss) and np.all(fit.validation_loss < NOISE**2 + 0.03)


def test_an_estimate_holds_the_fit_and_the_counts():
    _, features, data = draw("context_linear", 0)
    model = Neural(jax.random.key(0), features, **OPTIONS)
    estimate = gk.offline.estimate(data, model=model)
    np.testing.assert_array_equal(estimate.game.payoffs, model.fit(data))
    assert estimate.counts.sum() == ROWS


def test_the_key_decides():
    _, features, data = draw("smooth", 1, seen=200, frequency=1.5)
    one, again, other = (Neural(jax.random.key(seed), features, **OPTIONS).fit(data) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.01


def test_seeds_in_a_batch_are_fitted_as_each_alone():
    _, features, data = draw("smooth", 1, seen=200, frequency=1.5)
    _, _, more = draw("context_linear", 0)
    keys = jax.random.split(jax.random.key(5), 2)
    together = jax.vmap(lambda key, rows: Neural(key, features, **OPTIONS).train(rows))(keys, gk.stack([data, more]))
    for index, rows in enumerate((data, more)):
        alone = Neural(keys[index], features, **OPTIONS).train(rows)
        np.testing.assert_array_equal(together.num_steps[index], alone.num_steps)
        # Training takes the rounding of float32 a long way.
        np.testing.assert_allclose(together.payoffs[index], alone.payoffs, atol=1e-3)


def test_units_do_not_matter():
    _, features, data = draw("smooth", 1, seen=200, frequency=1.5)
    units, zero = np.array([1000.0, 0.01]), np.array([-300.0, 7.0])
    other = replaced(data, rewards=np.asarray(data.rewards) * units + zero)
    one = Neural(jax.random.key(0), features, **OPTIONS).fit(data)
    payoffs = Neural(jax.random.key(0), np.asarray(features) * 1e6 + 1e7, **OPTIONS).fit(other)
    back = (np.asarray(payoffs) - zero[:, None, None]) / units[:, None, None]
    np.testing.assert_allclose(back, one, atol=1e-3)


def test_joint_actions_without_rows_get_the_mean_reward():
    _, features, data = draw("smooth", 1, seen=200, frequency=1.5)
    actions = np.array(data.actions)
    actions[np.all(actions == [1, 2], axis=1)] = [0, 0]
    payoffs = np.asarray(Neural(jax.random.key(0), features, **OPTIONS).fit(replaced(data, actions=actions)))
    expected = np.broadcast_to(np.asarray(data.rewards).mean(axis=0), (CONTEXTS, 2))
    np.testing.assert_allclose(payoffs[:, :, 1, 2], expected, atol=1e-6)


@pytest.mark.parametrize(("dtype", "make_key"), [(jnp.float32, jax.random.PRNGKey), (jnp.float64, jax.random.key)])
def test_two_rows(dtype, make_key):
    """One to train on, one to hold out: the losses are the residuals of all rows, in payoff units squared."""
    features = jnp.asarray([[0.0, 3.0], [1.0, 3.0], [5.0, 3.0]], dtype)  # the second says nothing
    rewards = np.array([[1.0, 2.0], [4.0, -7.0]])
    data = ContextualDataset(np.array([0, 2]), np.array([[0, 0], [1, 1]]), jnp.asarray(rewards, dtype), (2, 2), 3)
    fit = Neural(make_key(0), features, num_members=1, width=4, depth=1, max_steps=1).train(data)
    assert fit.payoffs.shape == (3, 2, 2, 2) and fit.payoffs.dtype == dtype
    found = np.asarray(fit.payoffs)[[0, 2], :, [0, 1], [0, 1]]
    np.testing.assert_allclose(fit.train_loss + fit.validation_loss, np.mean((found - rewards) ** 2) * 2, rtol=1e-5)
    # Of the row that is held out nothing is known: its joint action gets the mean.
    assert np.isclose(found, rewards.mean(axis=0), atol=1e-5).all(axis=1).any()


def test_bad_features():
    features = np.zeros((5, 2))
    features[3, 1] = features[4, 0] = np.nan
    with pytest.raises(ValueError, match=r"features\[3, 1\]: got nan \(2 such entries\), takes finite numbers"):
        Neural(jax.random.key(0), features)
    for shape in [(5,), (5, 0), (0, 2), (5, 2, 2)]:
        with pytest.raises(ValueError, match=r"features: got shape .*, takes \[context, feature\]"):
            Neural(jax.random.key(0), np.zeros(shape))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"width": 0}, "width: got 0, takes a whole number >= 1"),
        ({"num_members": 0}, "num_members: got 0, takes a whole number >= 1"),
        ({"learning_rate": 0.0}, "learning_rate: got 0.0, takes a finite number > 0"),
        ({"holdout": 1.0}, "holdout: got 1.0, takes a share of the rows between 0 and 1"),
    ],
)
def test_bad_options(option, message):
    with pytest.raises(ValueError, match=message):
        Neural(jax.random.key(0), np.zeros((5, 2)), **option)


def test_data_that_do_not_fit():
    model = Neural(jax.random.key(0), np.zeros((5, 2)))
    with pytest.raises(ValueError, match="features: got 5 contexts, takes the data's num_contexts = 7"):
        model.fit(ContextualDataset(np.array([0, 1]), np.zeros((2, 2), int), np.zeros((2, 2)), (2, 2), 7))
    with pytest.raises(ValueError, match="contexts: got 1 row, takes at least 2"):
        model.fit(ContextualDataset(np.array([0]), np.zeros((1, 2), int), np.zeros((1, 2)), (2, 2), 5))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "most"), [("context_linear", 3.0), ("smooth", 0.5)])
def test_gaps_beside_the_best_linear_fit(name, most):
    """16 features, 5 x 5 actions, 100,000 rows, options as they come; the gap falls with the number of rows."""
    key, rows_key = jax.random.split(jax.random.key(3))
    game, features = getattr(gk.games, name)(key, (5, 5), num_contexts=2000, num_features=16)
    behavior, regularizer = np.full((2000, 5, 5), 1 / 25), gk.Regularizer.uniform(game, 0.2)

    def gap(payoffs):
        guess = gk.ContextualGame(payoffs, game.context_probs)
        return gk.regularized_gap(game, regularizer, gk.solve_nash(guess, regularizer).log_policy).mean()

    gaps = []
    for num_rows in (1000, 10_000, 100_000):
        data = sample_dataset(rows_key, game, behavior, num_rows, 0.5)
        gaps.append(gap(Neural(jax.random.key(0), features).fit(data)))
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < most * gap(linear_fit(features, data))
