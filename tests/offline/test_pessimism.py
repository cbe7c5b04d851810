"""Lower confidence bounds as edits of an estimate, and what they cost inside the KL game."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl.core.games import MarkovGame
from gamekl.evaluate.rates import predicted_constant
from gamekl.offline import Estimate, estimate, sample_statistics
from gamekl.offline.pessimism import lower_confidence


def some_estimate(stage=(), actions=(2, 3), seed=0):
    """Random payoffs, and counts among which there are zeros."""
    rng = np.random.default_rng(seed)
    table, counts = rng.normal(size=(*stage, len(actions), *actions)), rng.poisson(2.0, (*stage, *actions))
    if len(stage) == 0:
        game = gk.NormalFormGame(table)
    elif len(stage) == 1:
        game = gk.ContextualGame(table, np.full(stage, 1 / stage[0]))
    else:
        moves = rng.dirichlet(np.ones(stage[1]), (*stage, *actions))
        game = gk.MarkovGame(table, moves, np.full(stage[1], 1 / stage[1]))
    return Estimate(game, jnp.asarray(counts, dtype=float))


@pytest.mark.parametrize(
    ("stage", "actions"), [((), (2, 3)), ((), (2, 3, 2)), ((4,), (2, 3)), ((3, 2), (2, 2))], ids=str
)
def test_every_cell_is_lowered_by_its_own_uncertainty(stage, actions):
    found = some_estimate(stage, actions)
    lowered = lower_confidence(found, 1.5, noise=0.2)
    assert type(lowered.game) is type(found.game)
    np.testing.assert_array_equal(lowered.counts, found.counts)
    assert (np.asarray(found.counts) == 0).any()
    for index in np.ndindex(*stage, *actions):
        width = 1.5 * 0.2 / np.sqrt(max(float(found.counts[index]), 1))
        for player in range(len(actions)):
            cell = (*index[: len(stage)], player, *index[len(stage) :])
            np.testing.assert_allclose(lowered.game.table[cell], found.game.table[cell] - width, atol=1e-14)
    if isinstance(found.game, MarkovGame):
        np.testing.assert_array_equal(lowered.game.transitions, found.game.transitions)


def test_no_scale_changes_nothing():
    found = some_estimate()
    np.testing.assert_array_equal(lower_confidence(found, 0).game.payoffs, found.game.payoffs)


def test_scales_and_estimates_may_be_mapped():
    found = gk.stack([some_estimate(seed=seed) for seed in range(3)])
    scales = jnp.asarray([0.5, 1.0, 2.0])
    mapped = jax.jit(jax.vmap(lower_confidence))(found, scales)
    for index, scale in enumerate(scales):
        alone = lower_confidence(some_estimate(seed=index), scale)
        np.testing.assert_allclose(mapped.game.payoffs[index], alone.game.payoffs, atol=1e-14)


def test_the_payoffs_dtype_is_kept():
    found = some_estimate()
    single = Estimate(gk.NormalFormGame(found.game.payoffs.astype(jnp.float32)), found.counts)
    assert lower_confidence(single, 1.0).game.payoffs.dtype == jnp.float32


def test_pessimism_inside_the_kl_game_keeps_the_rate_and_raises_the_constant():
    """The shift c sigma / sqrt(n mu) adds its variance to the noise's: (1 / 2 tau) Var_{a ~ pi_i} of its mean."""
    game = gk.games.uniform(jax.random.key(0), (3, 2))
    regularizer = gk.Regularizer.uniform(game, 0.5)
    behavior = np.array([[0.4, 0.02], [0.3, 0.2], [0.05, 0.03]])
    solution = gk.solve_nash(game, regularizer)
    policy = [np.asarray(entry) for entry in solution.policy]
    shift = 1 / np.sqrt(behavior)
    seen = [shift @ policy[1], policy[0] @ shift]
    spread = sum(pi @ value**2 - (pi @ value) ** 2 for pi, value in zip(policy, seen, strict=True))
    plain = float(predicted_constant(game, regularizer, solution, behavior, 1.0).sum())

    @jax.jit
    def scaled_gaps(n, scale):
        def one(key):
            edited = lower_confidence(estimate(sample_statistics(key, game, behavior, n, 1.0)), scale)
            return gk.regularized_gap(game, regularizer, gk.gane(edited, regularizer, throw=False).log_policy).sum()

        return n * jax.vmap(one)(jax.random.split(jax.random.key(1), 1_000))

    for scale in (0.0, 2.0):
        predicted = plain + scale**2 * spread / (2 * 0.5)
        gaps = np.asarray(scaled_gaps(jnp.asarray(1e6), jnp.asarray(scale)))
        assert gaps.mean() == pytest.approx(predicted, abs=4 * gaps.std() / np.sqrt(len(gaps)))
    assert scale**2 * spread > plain  # the larger constant is there to be seen


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": -1}, "scale: got -1, takes a finite number >= 0"),
        ({"scale": np.inf}, "scale: got inf, takes a finite number >= 0"),
        ({"scale": 1.0, "noise": np.nan}, "noise: got nan, takes a finite number >= 0"),
        ({"scale": np.ones(2)}, r"scale: got array\(\[1., 1.\]\), takes a finite number >= 0"),
    ],
)
def test_bad_scales(options, message):
    with pytest.raises(ValueError, match=message):
        lower_confidence(some_estimate(), **options)


def test_counts_that_do_not_fit():
    with pytest.raises(
        ValueError, match=r"estimate.counts: got shape \(3, 2\), takes \[\*stage, \*actions\] = \(2, 2\)"
    ):
        lower_confidence(Estimate(gk.games.matching_pennies(), jnp.ones((3, 2))), 1.0)


def test_games_without_a_table_of_counts():
    pairs = gk.PolymatrixGame(np.zeros((2, 2, 3, 3)))
    with pytest.raises(TypeError, match="estimate.game: got PolymatrixGame, takes a NormalFormGame"):
        lower_confidence(Estimate(pairs, jnp.ones((3, 3))), 1.0)
