"""Learning Markov games while playing them: finite classes of models and of values, and optimism stage by stage."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl.online.decoupling import decoupling
from gamekl.online.loop import play_online
from gamekl.online.mamex import Greed, Mamex, Optimism
from gamekl.online.models import FiniteModels, pure_policies
from gamekl.online.stages import OptimisticStages
from gamekl.online.values import FiniteValues, values_of_models

ROUNDS, SEEDS = (250, 1000, 4000), 3


def models_of(number, num_actions=(2, 2)):
    """Models that share rewards and first states."""
    keys = jax.random.split(jax.random.key(9), 16)[:number]
    draw = jax.jit(lambda key: gk.games.markov(key, num_actions, num_states=2, horizon=2, concentration=0.5))
    games = [draw(key) for key in keys]
    return [gk.MarkovGame(games[0].rewards, game.transitions, games[0].initial_probs) for game in games]


def regret_of(hypotheses, rule_of, concept):
    keys = jax.random.split(jax.random.key(1), SEEDS)

    def play(key, num_rounds):
        learner = Mamex(hypotheses, rule_of(num_rounds), concept)
        played = play_online(key, learner, num_rounds, most_rounds=ROUNDS[-1])
        return played.cumulative[-1], played.uncertified

    together = jax.jit(jax.vmap(play, (0, None)))
    found = [together(keys, jnp.asarray(number)) for number in ROUNDS]
    assert all(np.all(np.asarray(uncertified) == 0) for _, uncertified in found)
    return np.stack([regret for regret, _ in found]).mean(axis=1)


def test_greed_never_finds_out_what_optimism_does():
    """Sixteen models with 256 pure joint policies: door 1 alone is open, and greed keeps to door 0."""
    hypotheses = FiniteModels(gk.games.doors(), truth=2)
    assert hypotheses.truth.shape == (1, 2, 16, 16)
    greedy = regret_of(hypotheses, lambda _: Greed(), "nash")
    np.testing.assert_allclose(greedy, ((0.75 - 0.25) * 0.6 - 0.1) * np.array(ROUNDS), rtol=1e-9)
    regret = regret_of(hypotheses, lambda rounds: Optimism(0.5 / jnp.sqrt(rounds.astype(float))), "nash")
    assert np.polyfit(np.log(ROUNDS), np.log(regret), 1)[0] < 0.6


def test_values_are_those_of_policies():
    hypotheses = FiniteModels(models_of(2), truth=1)
    policies = pure_policies((2, 2), 2, 2)
    for choice in [(0, 0), (5, 9), (15, 3)]:
        profile = [jax.nn.one_hot(policies[player][index], 2, dtype=float) for player, index in enumerate(choice)]
        value = gk.evaluate.policy_value(hypotheses.game, tuple(jnp.log(part) for part in profile))
        np.testing.assert_allclose(hypotheses.truth[(0, slice(None), *choice)], value, atol=1e-12)


def test_with_the_true_model_alone_nothing_is_paid():
    """Whatever was seen, the plan is the same."""
    learner = Mamex(FiniteModels(models_of(1)), Optimism(0.1), "cce")
    regret = jax.jit(lambda seen: learner.regret(learner.plan(seen).joint_policy))
    for log_likelihood in (0.0, -1234.5):
        assert np.abs(regret(learner.begin() + log_likelihood)) < 1e-9


def test_bellman_errors_are_written_out():
    """The loss of each table from the rows themselves, and that values of models are found out."""
    models = models_of(4, (2, 1))
    hypotheses = FiniteValues(models[0], values_of_models(models), noise=0.1)
    policies = pure_policies((2, 1), 2, 2)[0]
    observe = jax.jit(lambda *arguments: hypotheses.observe(*arguments))
    seen, rows = hypotheses.begin(), []
    for key in jax.random.split(jax.random.key(0), 30):
        before = seen
        choice = jax.random.randint(key, (1, 2), 0, jnp.array([16, 1]))
        seen = observe(key, seen, choice)
        moved, paid = (np.asarray(new - old) for new, old in zip(seen, before, strict=True))
        rows.append([(*np.argwhere(moved[step])[0], paid[:, step].sum(axis=1)) for step in range(2)])
    tables = np.asarray(values_of_models(models))  # [model, joint, horizon, state, player, 2, 1]
    found = np.asarray(hypotheses.losses(seen))
    for model, joint, player in product(range(4), (0, 7), range(2)):
        loss = 0.0
        for step in range(2):
            errors = np.zeros(4)
            for row in rows:
                cell, following, paid = row[step]
                target = paid[player]
                if step == 0:
                    action = int(policies[joint][1, following])
                    target += tables[model, joint, 1, following, player, action, 0]
                errors += (tables[:, joint, step, cell // 2, player, cell % 2, 0] - target) ** 2
            loss += errors[model] - errors.min()
        np.testing.assert_allclose(found[model, joint, player], loss, atol=1e-9)
    learner = Mamex(hypotheses, Optimism(0.05), "nash")
    played = play_online(jax.random.key(1), learner, 600)
    assert played.cumulative[-1] - played.cumulative[300] <= 0.5 * played.cumulative[300] + 1e-9


def test_stages_find_an_equilibrium_of_a_game_too_large_to_enumerate():
    game = gk.games.markov(jax.random.key(5), (2, 3), num_states=3, horizon=3)
    with pytest.raises(ValueError, match="num_actions: got 10,077,696 pure joint policies of 3 steps and 3 states"):
        pure_policies((2, 3), 3, 3)
    learner = OptimisticStages(game, noise=0.1, scale=0.3, concept="nash")
    played = play_online(jax.random.key(0), learner, 3000)
    regret = played.regret.reshape(3, -1).mean(axis=1)
    assert played.uncertified == 0 and regret[2] < 0.5 * regret[0]
    parts = [played.joint_policy.sum(axis=-1), played.joint_policy.sum(axis=-2)]
    gap = gk.nash_gap(game, tuple(jnp.log(part) for part in parts))
    np.testing.assert_allclose(played.regret[-1], jnp.sum(gap), atol=1e-9)


def test_decoupling_of_tables_and_of_features():
    """Cells that are played in turn; and log K, within the elliptical potential."""
    table = decoupling(np.eye(9).reshape(3, 3, 9), 900)
    np.testing.assert_allclose(table[-1], 9 / 4 * np.sum(1 / np.arange(1, 101)), rtol=1e-9)
    features = np.random.default_rng(0).normal(size=(4, 4, 3))
    features /= np.linalg.norm(features, axis=-1, keepdims=True)
    found = np.asarray(decoupling(features, 2000))
    rounds = np.arange(1, 2001)
    assert np.all(found <= 1.5 * np.log(1 + rounds / 3))
    assert found[1999] - found[199] < 1.1 * (found[199] - found[19])


def test_bad_classes_are_named():
    models = models_of(2)
    other = gk.MarkovGame(models[0].rewards + 1, models[0].transitions, models[0].initial_probs)
    ends = gk.MarkovGame(models[0].rewards, 0 * models[0].transitions, models[0].initial_probs)
    broken = gk.MarkovGame(models[0].rewards * np.nan, models[0].transitions, models[0].initial_probs)
    tables = np.zeros((1, 256, *models[0].rewards.shape))
    faults = [
        (lambda: FiniteModels([]), "models: got none, takes at least one: the class is empty"),
        (lambda: FiniteModels(models, truth=2), "truth: got 2, takes the number of one of 2 models"),
        (lambda: FiniteModels([models[0], other]), "models: got several rewards, takes one for all"),
        (lambda: FiniteModels([ends]), r"models\[0\]: got transitions that end the episode"),
        (lambda: FiniteModels(models, limit=100), "got 256 pure joint policies .* at most 100; OptimisticStages"),
        (lambda: FiniteValues(models[0], tables[:0], noise=0.1), r"tables: got shape \(0, 256, .* \(1 or more, 256"),
        (lambda: FiniteValues(models[0], tables * np.nan, noise=0.1), r"tables\[0, 0, 0, 0, 0, 0, 0\]: got nan"),
        (lambda: FiniteModels([broken]), r"rewards\[0, 0, 0, 0, 0\]: got nan"),
        (lambda: OptimisticStages(models[0], noise=0.1, scale=1.0, high=0.1), "high: got 0.1, takes at least"),
        (lambda: decoupling(np.ones(3), 5), r"features: got shape \(3,\)"),
    ]
    for fault, message in faults:
        with pytest.raises(ValueError, match=message):
            fault()
