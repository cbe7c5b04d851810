"""gamd against its definition written out in numpy, the bounds of theory B2, and the values of theory J9."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import action_values_by_definition, assert_policies, dirichlet_regularizer, log, mixed_batch, rows
from scipy.special import logsumexp

import gamekl as gk
from gamekl.solvers.play.mixture import LARGEST_TABLE


def by_definition(game, regularizer, num_rounds, weighting, evaluate_on=None):
    """Theory B1, B2 and B3, round by round, with the joint policy as a table; gaps in `evaluate_on`."""
    target = np.asarray((evaluate_on or game).payoffs)
    sizes, taus = game.num_actions, np.asarray(regularizer.temperatures)
    references = [np.asarray(entry) for entry in regularizer.log_reference]
    earned = [np.zeros(size) for size in sizes]
    weights = np.arange(1, num_rounds + 1) if weighting == "linear" else np.ones(num_rounds)
    joint, cost = np.zeros(sizes), np.zeros(len(sizes))

    def play(time):
        mass = time * (time + 1) / 2 if weighting == "linear" else time
        policies = []
        for reference, total, tau in zip(references, earned, taus, strict=True):
            logits = reference + total / (tau * mass)
            policies.append(np.exp(logits - logsumexp(logits)))
        return policies

    for time, weight in enumerate(weights, start=1):
        last = play(time)
        values = action_values_by_definition(game.payoffs, last)
        earned[:] = [total + weight * value for total, value in zip(earned, values, strict=True)]
        product = np.ones(())
        for policy in last:
            product = np.multiply.outer(product, policy)
        joint += weight / weights.sum() * product
        for player, (policy, reference) in enumerate(zip(last, references, strict=True)):
            played = policy > 0
            kl = np.sum(policy[played] * (np.log(policy[played]) - reference[played]))
            cost[player] += weight / weights.sum() * kl
    players = range(len(sizes))
    gaps = {"regularized_cce_gap": [], "cce_gap": [], "ce_gap": []}
    for i in players:
        table, probs = (
            np.moveaxis(target[i], i, 0).reshape(sizes[i], -1),
            np.moveaxis(joint, i, 0).reshape(sizes[i], -1),
        )
        allowed = np.isfinite(references[i])
        values, value = table @ probs.sum(axis=0), np.sum(table * probs)
        soft = taus[i] * logsumexp(references[i] + values / taus[i])
        gaps["regularized_cce_gap"].append(soft - (value - taus[i] * cost[i]))
        gaps["cce_gap"].append(values[allowed].max() - value)
        pairs = probs @ table.T
        gaps["ce_gap"].append(np.sum(pairs[:, allowed].max(axis=1) - np.diag(pairs)))
    return joint, play(num_rounds + 1), {name: np.array(entries) for name, entries in gaps.items()}


@pytest.mark.parametrize("weighting", ["uniform", "linear"])
@pytest.mark.parametrize("shape", [(2, 2), (3, 5), (2, 4, 3), (2, 2, 3, 2)], ids=str)
@pytest.mark.parametrize("num_rounds", [1, 37])  # less and more than a block of rounds
def test_the_definition(shape, weighting, num_rounds):
    """Random references and temperatures, a masked action, and gaps in another game."""
    batch = mixed_batch(shape, 5)
    game, regularizer = rows(batch, 4)
    truth = rows(batch, 3)[0]
    for target in (None, truth) if shape == (2, 2) else (truth,):  # each is a program of its own
        solution = gk.gamd(game, regularizer, num_rounds=num_rounds, weighting=weighting, evaluate_on=target)
        joint, last, gaps = by_definition(game, regularizer, num_rounds, weighting, target)
        np.testing.assert_allclose(solution.joint_policy, joint, atol=1e-14)
        assert_policies([np.exp(entry) for entry in solution.last_log_policy], last, atol=1e-13)
        for player, marginal in enumerate(solution.marginals):
            others = tuple(other for other in range(len(shape)) if other != player)
            np.testing.assert_allclose(marginal, joint.sum(axis=others), atol=1e-14)
        for name, expected in gaps.items():
            np.testing.assert_allclose(getattr(solution, name), expected, atol=1e-13)
        assert solution.num_rounds == num_rounds
    _, _, estimated = by_definition(game, regularizer, num_rounds, weighting)
    for name, expected in estimated.items():
        np.testing.assert_allclose(getattr(solution, f"{name}_estimated"), expected, atol=1e-13)
    where = {"regularized": gk.regularized_gap(truth, regularizer, solution.last_log_policy)}
    np.testing.assert_allclose(solution.last_regularized_gap, where["regularized"], rtol=1e-9)
    unregularized = gk.nash_gap(truth, solution.last_log_policy, regularizer=regularizer)
    np.testing.assert_allclose(solution.last_nash_gap, unregularized, rtol=1e-9)


@pytest.mark.parametrize("weighting", ["uniform", "linear"])
@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 2)], ids=str)
def test_the_bound_holds_after_every_round(shape, weighting):
    """Theory J9, on 50 random games of each shape, at temperatures down to 0.02."""
    batch = mixed_batch(shape, 50)
    times = jnp.arange(1, 201)
    history = jax.vmap(lambda game, reg: gk.gamd_history(game, reg, num_rounds=times, weighting=weighting))(*batch)
    spans = np.ptp(np.asarray(batch[0].payoffs).reshape(50, len(shape), -1), axis=-1)
    curvature = (spans**2 / np.asarray(batch[1].temperature))[:, None]
    steps = np.asarray(times)[:, None]
    bound = curvature * (1 / (2 * (steps + 1)) if weighting == "linear" else (1 + np.log(steps)) / (8 * steps))
    assert np.all(history.regularized_cce_gap <= bound)
    assert np.max(history.regularized_cce_gap / bound) > 0.1  # of use, too
    solution = gk.gamd(*rows(batch, 0), num_rounds=200, weighting=weighting)
    np.testing.assert_allclose(solution.bound, bound[0, -1], rtol=1e-9)
    np.testing.assert_allclose(solution.regularized_cce_gap, history.regularized_cce_gap[0, -1], atol=1e-14)


def shapley():
    payoffs = np.stack([np.eye(3), np.roll(np.eye(3), 1, axis=1)])
    return gk.NormalFormGame(payoffs), gk.Regularizer(log([0.34, 0.33, 0.33], [0.33, 0.34, 0.33]), 0.05)


@pytest.mark.parametrize("weighting, expected", [("uniform", 2.5e-4), ("linear", 1.2e-4)])
def test_shapleys_game_cycles_and_its_average_converges(weighting, expected):
    """Theory J9."""
    solution = gk.gamd(*shapley(), num_rounds=20_000, weighting=weighting)
    np.testing.assert_allclose(solution.regularized_cce_gap, expected, rtol=0.15)
    assert np.all(solution.last_regularized_gap > 0.1)
    assert np.all(solution.cce_gap <= solution.regularized_cce_gap + 0.05 * np.log(1 / 0.33) + 1e-12)


def test_in_a_contractive_game_the_last_round_converges_to_the_nash_equilibrium():
    game = gk.games.uniform(jax.random.key(0), (4, 3, 2))
    regularizer = dirichlet_regularizer(jax.random.key(1), game, 2.0)
    nash = gk.solve_nash(game, regularizer)
    rate = 1 / (1 + 0.5 * 2.0)
    for steps in (5, 10, 40):
        solution = gk.gamd(game, regularizer, num_rounds=steps, step_size=0.5)
        error = max(np.abs(a - b).max() for a, b in zip(solution.last_log_policy, nash.log_policy, strict=True))
        assert error <= 4 * (rate * 1.2) ** steps + 1e-12
    assert solution.bound is None


def test_a_schedule_takes_the_place_of_a_step_size():
    """1 / (tau t) is the schedule behind uniform weights."""
    game = gk.games.uniform(jax.random.key(0), (3, 4))
    regularizer = dirichlet_regularizer(jax.random.key(1), game, 0.1)
    plain = gk.gamd(game, regularizer, num_rounds=50)
    scheduled = gk.gamd(game, regularizer, num_rounds=50, step_size=lambda count: 1 / (0.1 * (count + 1)))
    np.testing.assert_allclose(scheduled.joint_policy, plain.joint_policy, atol=1e-14)
    constant = gk.gamd(game, regularizer, num_rounds=50, step_size=2.0)
    through_optax = gk.gamd(game, regularizer, num_rounds=50, step_size=optax.constant_schedule(2.0))
    np.testing.assert_allclose(through_optax.joint_policy, constant.joint_policy, atol=1e-14)


def test_it_stops_at_a_tolerance():
    game = gk.games.uniform(jax.random.key(0), (3, 4))
    regularizer = gk.Regularizer.uniform(game, 0.5)
    stopped = gk.gamd(game, regularizer, num_rounds=100_000, tol=1e-3)
    assert stopped.status == gk.Status.converged
    assert stopped.num_rounds < 1000
    assert np.all(stopped.regularized_cce_gap <= 1e-3)
    short = gk.gamd(game, regularizer, num_rounds=16, tol=1e-9, throw=False)
    assert short.status == gk.Status.max_steps
    with pytest.raises(gk.SolveError, match=r"max_steps: .* \(rounds 16\); throw=False"):
        gk.gamd(game, regularizer, num_rounds=16, tol=1e-9)


def test_a_batch_plays_as_each_game_would_alone():
    """In the driver and under vmap; each may have its own number of rounds, and bad games stay alone."""
    batch = mixed_batch((3, 4), 70)
    steps = 10 + np.arange(70)
    together = gk.gamd_batch(*batch, num_rounds=steps)
    mapped = jax.jit(jax.vmap(lambda game, reg, steps: gk.gamd(game, reg, num_rounds=steps)))(
        *batch, jnp.asarray(steps)
    )
    for game in (0, 33, 69):
        alone = gk.gamd(*rows(batch, game), num_rounds=int(steps[game]))
        for several in (together, mapped):
            for ours, theirs in zip(jax.tree.leaves(rows(several, game)), jax.tree.leaves(alone), strict=True):
                np.testing.assert_allclose(ours, theirs, atol=1e-13)
    games, regularizers = batch
    broken = jax.tree.map(lambda leaf: leaf.at[5].set(jnp.nan), games)
    found = gk.gamd_batch(broken, regularizers, num_rounds=steps)
    assert found.status[5] == gk.Status.nonfinite_input
    with pytest.raises(gk.SolveError, match=r"game 5 \(1 of 70 games failed\): nonfinite_input"):
        gk.gamd_batch(broken, regularizers, num_rounds=steps, throw=True)
    others = np.arange(70) != 5
    for ours, theirs in zip(jax.tree.leaves(rows(found, others)), jax.tree.leaves(rows(together, others)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_float32():
    games, regularizers = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), mixed_batch((3, 4), 20))
    rough = gk.gamd_batch(games, regularizers, num_rounds=3000)
    fine = gk.gamd_batch(*jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (games, regularizers)), num_rounds=3000)
    assert rough.cce_gap.dtype == rough.mixture.dtype == jnp.float32
    np.testing.assert_allclose(rough.regularized_cce_gap, fine.regularized_cce_gap, atol=1e-4)
    np.testing.assert_allclose(rough.mixture.sum(axis=-1), 1, atol=1e-6)


def test_float32_after_many_rounds():
    """Running means keep what rounding takes: without that, gaps of -6e-6 were reported here."""
    game = gk.games.uniform(jax.random.key(3), (4, 4))
    anchor = gk.Regularizer.uniform(game, 0.1)
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (game, anchor))
    for weighting in ("uniform", "linear"):
        fine = gk.gamd(game, anchor, num_rounds=300_000, weighting=weighting)
        rough = gk.gamd(*single, num_rounds=300_000, weighting=weighting)
        np.testing.assert_allclose(rough.mixture.sum(), 1, atol=5e-7)
        np.testing.assert_allclose(rough.regularized_cce_gap, fine.regularized_cce_gap, atol=3e-7)


def test_statuses_are_honest():
    """Where nothing raises."""
    game = gk.games.chicken()
    anchor = gk.Regularizer.uniform(game, 0.5)
    mapped = jax.vmap(lambda steps: gk.gamd(game, anchor, num_rounds=steps))(jnp.array([0, -3, 5]))
    invalid = gk.Status.invalid_input
    assert mapped.status.tolist() == [invalid, invalid, gk.Status.converged]
    odd = jax.vmap(lambda steps: gk.gamd_history(game, anchor, num_rounds=steps))(jnp.array([[3, 5], [5, 3]]))
    assert odd.status.tolist() == [gk.Status.converged, invalid]
    broken = gk.NormalFormGame(game.payoffs.at[0, 0, 0].set(jnp.nan))
    unseen = gk.gamd(game, anchor, num_rounds=5, evaluate_on=broken, throw=False)
    assert unseen.status == gk.Status.nonfinite_input
    wild = gk.gamd(game, anchor, num_rounds=5, step_size=lambda count: count * jnp.nan, throw=False)
    assert wild.status == gk.Status.not_converged
    with pytest.raises(gk.SolveError, match="not_converged"):
        gk.gamd_history(game, anchor, num_rounds=[3, 5], step_size=lambda count: count * jnp.nan)


# The baseline without an anchor


def weights_by_definition(game, references, num_rounds):
    """Hedge with step sizes 2 sqrt(L_i / t) / R_i, round by round; the average joint policy and its coarse gaps."""
    payoffs, sizes = np.asarray(game.payoffs), game.num_actions
    earned, joint = [np.zeros(size) for size in sizes], np.zeros(sizes)
    for time in range(1, num_rounds + 1):
        policies = []
        for player, (reference, total) in enumerate(zip(references, earned, strict=True)):
            size = 2 * np.sqrt(-np.log(np.min(reference)) / time) / np.ptp(payoffs[player])
            logits = np.log(reference) + size * total
            policies.append(np.exp(logits - logsumexp(logits)))
        joint += np.einsum("a,b,c->abc", *policies) / num_rounds
        earned = [total + q for total, q in zip(earned, action_values_by_definition(payoffs, policies), strict=True)]
    values = [np.moveaxis(payoffs[i], i, 0).reshape(size, -1) for i, size in enumerate(sizes)]
    others = [np.moveaxis(joint, i, 0).reshape(size, -1) for i, size in enumerate(sizes)]
    return joint, [
        (table @ part.sum(axis=0)).max() - np.sum(table * part) for table, part in zip(values, others, strict=True)
    ]


def test_multiplicative_weights():
    """By definition, with players of different ranges; temperatures are for measuring only."""
    game = gk.games.uniform(jax.random.key(0), (2, 3, 4))
    game = gk.NormalFormGame(game.payoffs * np.array([1.0, 5.0, 0.1])[:, None, None, None])
    references = [[0.3, 0.7], [0.2, 0.3, 0.5], [0.25] * 4]
    joint, gaps = weights_by_definition(game, [np.array(row) for row in references], 40)
    for temperature in (1.0, 0.01):
        solution = gk.multiplicative_weights(game, gk.Regularizer(log(*references), temperature), num_rounds=40)
        np.testing.assert_allclose(solution.joint_policy, joint, atol=1e-13)
        np.testing.assert_allclose(solution.cce_gap, gaps, atol=1e-13)
    spans = np.ptp(np.asarray(game.payoffs).reshape(3, -1), axis=1)
    np.testing.assert_allclose(solution.bound, spans * np.sqrt(np.log([1 / 0.3, 5, 4]) / 40), rtol=1e-12)


def test_the_bound_of_multiplicative_weights_holds_after_every_round():
    games, regularizers = mixed_batch((3, 3), 50)
    times = jnp.arange(1, 201)
    play = lambda game, anchor: gk.multiplicative_weights_history(game, anchor, num_rounds=times)  # noqa: E731
    history = jax.vmap(play)(games, regularizers)
    assert np.all(history.cce_gap <= history.bound)
    assert np.max(history.cce_gap / history.bound) > 0.1


def test_a_player_without_a_choice_stays_where_it_is():
    game = gk.NormalFormGame(np.stack([np.ones((2, 2)), np.eye(2)]))
    solution = gk.multiplicative_weights(game, gk.Regularizer(log([0.2, 0.8], [0.5, 0.5]), 1.0), num_rounds=20)
    np.testing.assert_allclose(solution.marginals[0], [0.2, 0.8], atol=1e-15)
    assert solution.marginals[1][1] > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("weighting", ["uniform", "linear"])
def test_the_bound_holds_after_each_of_many_rounds(weighting):
    """Every T up to 10^5, for random games and for Shapley's, which cycles."""
    game, anchor = shapley()
    batch = jax.tree.map(
        lambda leaf, cycling: jnp.concatenate([leaf, cycling[None]]),
        mixed_batch((3, 3), 15),
        (game, gk.Regularizer(anchor.log_reference, anchor.temperatures)),
    )
    times = jnp.arange(1, 100_001)
    history = jax.vmap(lambda game, anchor: gk.gamd_history(game, anchor, num_rounds=times, weighting=weighting))(
        *batch
    )
    assert np.all(history.regularized_cce_gap <= history.bound * (1 + 1e-9) + 1e-12)


# Polymatrix games, and many joint actions


def random_polymatrix(key, num_players, num_actions):
    payoffs = jax.random.uniform(key, (num_players, num_players, num_actions, num_actions))
    return gk.PolymatrixGame(payoffs * (1 - jnp.eye(num_players))[:, :, None, None])


def test_a_polymatrix_game_is_its_normal_form():
    game = random_polymatrix(jax.random.key(0), 4, 3)
    table = game.normal_form()
    payoffs = np.zeros((4, 3, 3, 3, 3))
    for actions in itertools.product(range(3), repeat=4):
        for i, j in itertools.permutations(range(4), 2):
            payoffs[(i, *actions)] += game.payoffs[i, j, actions[i], actions[j]]
    np.testing.assert_allclose(table.payoffs, payoffs, atol=1e-15)
    regularizer = gk.Regularizer(log(*[[0.2, 0.3, 0.5]] * 3, [0.5, 0.0, 0.5]), [0.1, 0.2, 0.3, 0.4])
    pairs, dense = (gk.gamd(entry, regularizer, num_rounds=100, weighting="linear") for entry in (game, table))
    for ours, theirs in zip(jax.tree.leaves(pairs), jax.tree.leaves(dense), strict=True):
        if ours is not pairs.bound:
            np.testing.assert_allclose(ours, theirs, atol=1e-12)
    np.testing.assert_allclose(pairs.bound, dense.bound, rtol=0.5)
    assert np.all(pairs.bound >= dense.bound * (1 - 1e-12))  # the range of a sum is at most the sum of the ranges
    policy = [jnp.exp(entry) for entry in regularizer.log_reference]
    assert_policies(gk.action_values(game, policy), gk.action_values(table, policy), atol=1e-14)


def test_beyond_a_table_rounds_are_kept():
    game = random_polymatrix(jax.random.key(0), 20, 3)
    assert 3**20 > LARGEST_TABLE
    regularizer = dirichlet_regularizer(jax.random.key(1), game, 0.5)
    solution = gk.gamd(game, regularizer, num_rounds=2500)
    assert np.all(solution.regularized_cce_gap <= solution.bound)
    with pytest.raises(ValueError, match=r"joint_policy: got a game of 3,486,784,401 joint actions, .*sample"):
        _ = solution.joint_policy
    drawn = np.asarray(solution.sample(jax.random.key(2), 40_000))
    assert drawn.shape == (40_000, 20)
    for player in (0, 19):
        counted = np.bincount(drawn[:, player], minlength=3) / 40_000
        np.testing.assert_allclose(counted, solution.marginals[player], atol=0.015)
    np.testing.assert_allclose(solution.mixture.weight.sum(), 2500)


def test_samples_have_the_law_of_the_table():
    solution = gk.gamd(*shapley(), num_rounds=300)
    drawn = np.asarray(solution.sample(jax.random.key(0), 100_000))
    counted = np.zeros((3, 3))
    np.add.at(counted, tuple(drawn.T), 1e-5)
    np.testing.assert_allclose(counted, solution.joint_policy, atol=0.006)


def test_bad_input_names_the_field():
    game = gk.games.uniform(jax.random.key(0), (3, 4))
    regularizer = gk.Regularizer.uniform(game, 0.5)
    for options, message in [
        ({"num_rounds": 0}, "num_rounds: got 0, takes whole numbers from 1"),
        ({"num_rounds": [10, 20]}, r"num_rounds: got shape \(2,\), takes a number"),
        ({"num_rounds": 2.5}, "num_rounds: got 2.5, takes whole numbers from 1"),
        ({"num_rounds": 5, "weighting": "square"}, "weighting: got 'square', takes one of 'uniform', 'linear'"),
        ({"num_rounds": 5, "step_size": -1.0}, "step_size: got -1.0, takes a finite number > 0 or a schedule"),
        ({"num_rounds": 5, "tol": -1.0}, "tol: got -1.0, takes a number >= 0 or None"),
        (
            {"num_rounds": 5, "evaluate_on": gk.games.uniform(jax.random.key(0), (4, 3))},
            r"evaluate_on: got NormalFormGame \(4, 3\), takes a NormalFormGame with the actions .* \(3, 4\)",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            gk.gamd(game, regularizer, **options)
    with pytest.raises(ValueError, match=r"payoffs\[0, 0, 0\]: got nan"):
        gk.gamd(gk.NormalFormGame(game.payoffs.at[0, 0, 0].set(jnp.nan)), regularizer, num_rounds=5)
    with pytest.raises(ValueError, match="num_rounds: got .*, takes increasing numbers"):
        gk.gamd_history(game, regularizer, num_rounds=[3, 2])
    with pytest.raises(ValueError, match=r"payoffs\[0, 0\]: got entries that are not 0"):
        gk.validate(gk.PolymatrixGame(np.ones((3, 3, 2, 2))))
    batch = mixed_batch((3, 4), 3)
    with pytest.raises(ValueError, match=r"num_rounds: got shape \(2,\), takes a number or \[batch\] = \(3,\)"):
        gk.gamd_batch(*batch, num_rounds=[1, 2])
