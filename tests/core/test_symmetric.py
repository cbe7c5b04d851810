"""Symmetric games: what they take, the order of counts, the chances of what the others do, to and from normal forms."""

import itertools
import math
import pickle
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl.core.symmetric.counts import chances, expected, joint_counts, moments, within


def log_policy_of(policy):
    return jnp.log(jnp.where(policy > 0, policy, 1))


def exact_chances(policy, num_players):
    """n! / prod c! prod pi^c in fractions of the floats as they are, of which the sum is made 1."""
    policy = [Fraction(float(share)) for share in policy]
    policy = [share / sum(policy) for share in policy]
    found = []
    for row in gk.games.opponent_counts(num_players, len(policy)).tolist():
        ways = math.factorial(num_players - 1) // math.prod(math.factorial(count) for count in row)
        found.append(ways * math.prod(share**count for share, count in zip(policy, row, strict=True)))
    return np.array([float(chance) for chance in found])


@pytest.mark.parametrize(("players", "actions"), [(1, 3), (2, 1), (2, 4), (4, 3), (6, 2), (12, 4)])
def test_counts_are_all_that_there_are_in_lexicographic_order(players, actions):
    rows = [tuple(row) for row in gk.games.opponent_counts(players, actions).tolist()]
    every = [row for row in itertools.product(range(players), repeat=actions) if sum(row) == players - 1]
    assert rows == sorted(every)
    assert len(rows) == math.comb(players + actions - 2, actions - 1)


def test_the_table_of_counts_is_ones_own():
    gk.games.opponent_counts(3, 2)[:] = 7
    np.testing.assert_array_equal(gk.games.opponent_counts(3, 2), [[0, 2], [1, 1], [2, 0]])


@pytest.mark.parametrize(("players", "actions"), [(1, 2), (2, 3), (4, 3), (5, 2)])
def test_rows_of_joint_actions_are_those_of_their_counts(players, actions):
    rows, counts = joint_counts(players, actions), gk.games.opponent_counts(players, actions)
    assert rows.shape == (actions,) * (players - 1)
    for joint in itertools.product(range(actions), repeat=players - 1):
        np.testing.assert_array_equal(counts[rows[joint]], np.bincount(np.array(joint, int), minlength=actions))


POLICIES = [[0.3, 0.2, 0.5], [1e-30, 0.4, 0.6], [1e-300, 1e-12, 1.0], [0.0, 0.7, 0.3], [0.0, 1.0, 0.0]]


@pytest.mark.parametrize("policy", POLICIES, ids=str)
@pytest.mark.parametrize("players", [1, 2, 7, 40])
def test_chances_are_multinomial_however_small(policy, players):
    policy = jnp.asarray(policy)[:, None]
    found = np.asarray(chances(log_policy_of(policy), policy, players))[:, 0]
    exact = exact_chances(policy[:, 0], players)
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-14)


@pytest.mark.parametrize("players", [30, 400])
def test_chances_in_float32_lose_no_more_than_its_digits(players):
    """e^-399 and 1 / 399! are no float32."""
    policy = jnp.asarray([0.999, 0.001], jnp.float32)[:, None]
    found = np.asarray(chances(jnp.log(policy), policy, players))[:, 0]
    exact = exact_chances(policy[:, 0], players)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact, rtol=2e-4, atol=1e-37)
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-4)


@pytest.mark.parametrize("lane", [1, 5])
def test_sums_over_counts_are_those_of_numpy(lane):
    """Of 364 counts, in blocks; and their moments are derivatives of the values."""
    players, actions = 12, 4
    rng = np.random.default_rng(0)
    policy = jnp.asarray(rng.dirichlet(np.ones(actions), lane).T)
    payoffs = jnp.asarray(rng.normal(size=(actions, 364, lane)))
    weights = chances(jnp.log(policy), policy, players)
    counts = gk.games.opponent_counts(players, actions)
    np.testing.assert_allclose(
        expected(payoffs, weights), np.einsum("acl,cl->al", payoffs, np.asarray(weights)), rtol=0, atol=1e-13
    )
    sums = moments(payoffs, weights, players)
    np.testing.assert_allclose(sums, np.einsum("acl,cl,cb->abl", payoffs, weights, counts), rtol=0, atol=1e-12)

    def values(log_policy):  # of which sums do not have to be 1
        shares = jnp.exp(log_policy)
        changed = weights[:, 0] * jnp.prod((shares / policy[:, 0]) ** counts.astype(float), axis=1)
        return payoffs[..., 0] @ changed

    np.testing.assert_allclose(jax.jacfwd(values)(jnp.log(policy[:, 0])), sums[..., 0], rtol=0, atol=1e-12)


def test_counts_without_masked_actions():
    mask = jnp.asarray([[True, False], [True, True], [False, True]])
    counts = gk.games.opponent_counts(4, 3)
    np.testing.assert_array_equal(within(mask, 4).T, [counts[:, 2] == 0, counts[:, 0] == 0])


def test_a_game_knows_its_players_actions_and_role():
    game = gk.SymmetricGame(np.zeros((4, 364)), 12)
    assert (game.num_players, game.num_actions, game.roles, game.stage_shape) == (12, (4,) * 12, (4,), ())
    assert game.dtype == jnp.float64 and gk.SymmetricGame(np.zeros((2, 3), np.float32), 3).dtype == jnp.float32
    assert "12 players, 4 actions each, 364 counts" in repr(game)
    assert "batch [3] of games of 12 players" in repr(gk.stack([game] * 3))
    assert pickle.loads(pickle.dumps(game)).num_players == 12  # noqa: S301
    assert jax.tree.structure(game) != jax.tree.structure(gk.SymmetricGame(np.zeros((4, 4)), 2))
    regularizer = gk.Regularizer.uniform(game, 0.5)
    assert [entry.shape for entry in regularizer.log_reference] == [(4,)]
    gk.validate(game, regularizer)


@pytest.mark.parametrize("shape", [(2,), (0, 4), (4, 363), (4, 4, 4)])
def test_payoffs_of_a_wrong_shape(shape):
    with pytest.raises(ValueError, match=r"payoffs: got shape .*, takes \[action, count\]"):
        gk.SymmetricGame(np.zeros(shape), 12)


@pytest.mark.parametrize("players", [0, -1, True])
def test_bad_numbers_of_players(players):
    with pytest.raises(ValueError, match=r"num_players: got .*, takes a whole number >= 1"):
        gk.games.opponent_counts(players, 2)
    with pytest.raises(ValueError, match=r"num_players: got .*, takes a whole number >= 1"):
        gk.SymmetricGame(np.zeros((2, 2)), players)


def test_too_many_counts_and_too_many_payoffs_are_told():
    with pytest.raises(
        ValueError, match=r"got 100 and 8, of which the others have 24,370,067,800 counts; takes at most"
    ):
        gk.games.opponent_counts(100, 8)
    game = gk.SymmetricGame(np.zeros((4, 364)), 12)
    with pytest.raises(ValueError, match=r"num_players: got 12 with 4 actions, 201,326,592 payoffs .* 16,777,216"):
        game.normal_form()


def test_bad_values_and_regularizers():
    game = gk.SymmetricGame([[0.0, np.nan], [1.0, 2.0]], 2)
    with pytest.raises(ValueError, match=r"payoffs\[0, 1\]: got nan"):
        gk.validate(game)
    two = gk.Regularizer([np.log([0.5, 0.5])] * 2, 1.0)
    with pytest.raises(
        ValueError, match="log_reference: got references of 2 players, takes one that all players share"
    ):
        two.check_fits(game)


@pytest.mark.parametrize(("players", "actions"), [(1, 3), (2, 3), (3, 2), (4, 3)])
def test_to_a_normal_form_and_back(players, actions):
    game = gk.games.uniform_symmetric(jax.random.key(0), players, actions)
    full, counts = game.normal_form(), gk.games.opponent_counts(players, actions).tolist()
    for joint in itertools.product(range(actions), repeat=players):
        for player in range(players):
            others = np.bincount(np.delete(joint, player), minlength=actions).tolist()
            assert full.payoffs[(player, *joint)] == game.payoffs[joint[player], counts.index(others)]
    again = gk.SymmetricGame.from_normal_form(full)
    assert again.num_players == players
    np.testing.assert_array_equal(again.payoffs, game.payoffs)


def test_what_is_not_symmetric_is_told():
    payoffs = np.array(gk.games.uniform_symmetric(jax.random.key(0), 3, 2).normal_form().payoffs)
    wrong = payoffs.copy()
    wrong[2, 1, 0, 1] += 0.25
    with pytest.raises(
        ValueError, match=r"game: got .* at payoffs\[2, 1, 0, 1\] and .* at payoffs\[0, 1, 0, 1\]"
    ) as told:
        gk.SymmetricGame.from_normal_form(gk.NormalFormGame(wrong))
    assert f"got {wrong[2, 1, 0, 1]} at" in str(told.value) and "(1 entries differ so)" in str(told.value)
    np.testing.assert_array_equal(
        gk.SymmetricGame.from_normal_form(gk.NormalFormGame(wrong), tol=0.3).normal_form().payoffs, payoffs
    )
    with pytest.raises(ValueError, match=r"game: got \(3, 4\) actions, takes the same number"):
        gk.SymmetricGame.from_normal_form(gk.games.uniform(jax.random.key(0), (3, 4)))
    with pytest.raises(TypeError, match="NormalFormGame"):
        gk.SymmetricGame.from_normal_form(gk.ContextualGame(np.zeros((1, 2, 2, 2)), [1.0]))


def test_payoffs_by_a_function():
    """Which rooms are crowded: a room is worth what it is, over those who are in it."""
    worth = jnp.asarray([3.0, 1.0])
    game = gk.SymmetricGame.from_function(lambda own, others: worth[own] / (1.0 + others[own]), 4, 2)
    np.testing.assert_array_equal(gk.games.opponent_counts(4, 2)[:, 0], [0, 1, 2, 3])
    np.testing.assert_allclose(game.payoffs, [3 / np.array([1, 2, 3, 4]), 1 / np.array([4, 3, 2, 1])])


@pytest.mark.parametrize("masked", [False, True])
def test_responses_and_gaps_are_those_of_the_normal_form(masked):
    game = gk.games.uniform_symmetric(jax.random.key(3), 4, 3)
    full = game.normal_form()
    reference = np.log([0.5, 0.5, 1e-300 if masked else 0.25])
    reference = jax.nn.log_softmax(jnp.asarray(reference).at[2].add(-jnp.inf if masked else 0.0))
    one, all_alike = gk.Regularizer([reference], 0.2), gk.Regularizer([reference] * 4, 0.2)
    policy = jax.nn.log_softmax(jnp.asarray([0.3, -1.0, -jnp.inf if masked else 2.0]))
    np.testing.assert_allclose(
        gk.action_values(game, [jnp.exp(policy)])[0], gk.action_values(full, [jnp.exp(policy)] * 4)[2], atol=1e-14
    )
    for find in (gk.best_response, gk.regularized_gap):
        alike, theirs = find(game, one, [policy]), find(full, all_alike, [policy] * 4)
        np.testing.assert_allclose(np.exp(alike[0]), np.exp(theirs[1]), atol=1e-13)
    for restricted in (False, True):
        alike = gk.nash_gap(game, [policy], regularizer=one if restricted else None)
        theirs = gk.nash_gap(full, [policy] * 4, regularizer=all_alike if restricted else None)
        np.testing.assert_allclose(alike, theirs[:1], atol=1e-14)
    np.testing.assert_allclose(gk.nash_conv(game, [policy]), gk.nash_conv(full, [policy] * 4), atol=1e-13)
    np.testing.assert_allclose(gk.exploitability(game, [policy]), gk.exploitability(full, [policy] * 4), atol=1e-14)


@pytest.mark.parametrize(
    "refuse",
    [
        lambda game, anchor: gk.gamd(game, anchor, num_rounds=3),
        lambda game, anchor: gk.follow(game, anchor, gk.rules.MMD(0.1), num_rounds=(3,)),
        lambda game, anchor: gk.evaluate.uniqueness(game, anchor),
        lambda game, anchor: gk.solve_nash_exact(game),
        lambda game, anchor: gk.solve_correlated(game),
        lambda game, anchor: gk.evaluate.cce_gap(game, np.full((2, 2), 0.25)),
    ],
)
def test_what_is_for_other_games_says_so(refuse):
    game = gk.games.uniform_symmetric(jax.random.key(0), 2, 2)
    with pytest.raises(Exception, match=r"SymmetricGame|symmetric"):
        refuse(game, gk.Regularizer.uniform(game, 0.5))
