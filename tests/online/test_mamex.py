"""Learning while playing, by one optimistic objective and an equilibrium oracle, in one-shot games."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl.online.loop import play_online
from gamekl.online.mamex import Greed, Mamex, Optimism, step_size
from gamekl.online.tables import LinearPayoffs, TabularPayoffs, optimistic_entry

NOISE, ROUNDS, SEEDS = 0.3, (250, 750, 2000), 4
TABLES = jax.vmap(lambda key: gk.games.uniform(key, (3, 3)).payoffs)(jax.random.split(jax.random.key(0), 6))


def runs(concept, rules_of):
    """Cumulative regret [number of rounds, rule, game, seed]; one compilation, and every equilibrium certified."""
    keys, traces = jax.random.split(jax.random.key(1), SEEDS), []

    def play(rule, table, key, num_rounds):
        traces.append(concept)
        hypotheses = TabularPayoffs(gk.NormalFormGame(table), noise=NOISE)
        played = play_online(key, Mamex(hypotheses, rule, concept), num_rounds, most_rounds=ROUNDS[-1])
        return played.cumulative[-1], played.uncertified

    seeds = jax.vmap(play, (None, None, 0, None))
    together = jax.jit(jax.vmap(jax.vmap(seeds, (None, 0, None, None)), (0, None, None, None)))
    found = [together(rules_of(number), TABLES, keys, jnp.asarray(number)) for number in ROUNDS]
    assert len(traces) == 1
    assert all(np.all(np.asarray(uncertified) == 0) for _, uncertified in found)
    return np.stack([regret for regret, _ in found])


@pytest.mark.parametrize("concept", ["nash", "ce", pytest.param("cce", marks=pytest.mark.slow)])
def test_regret_grows_as_the_square_root_of_rounds(concept):
    """One compilation serves all numbers of rounds, though eta depends on them."""
    regret = runs(concept, lambda rounds: jax.vmap(Optimism)(step_size(rounds, NOISE)[None])).mean(axis=(1, 2, 3))
    assert np.polyfit(np.log(ROUNDS), np.log(regret), 1)[0] < 0.6


@pytest.mark.slow
def test_greed_and_uniform_play_pay_in_every_round():
    """Greed pays on the seeds where bad first rewards hide an action; uniform play on all."""
    rules = jax.vmap(Greed)(jnp.array([0.0, 0.1, 1.0]))
    greedy, some, uniform = np.moveaxis(runs("cce", lambda _: rules), 1, 0)
    worst = greedy.reshape(len(ROUNDS), -1).max(axis=1)
    assert worst[2] > 7 * worst[0]
    assert some[2].max() < 0.5 * worst[2]
    np.testing.assert_allclose(uniform[2], 8 * uniform[0], rtol=1e-9)


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_the_closed_form_is_the_supremum_over_tables(weight):
    """Against every table of two entries on a fine grid, of the loss on rows that were seen."""
    rng = np.random.default_rng(0)
    grid = np.linspace(0, 1, 1001)
    for counts, eta, centre in product([(3, 0), (1, 4), (20, 2)], [0.02, 0.3], [-0.1, 0.4, 1.2]):
        rows = [rng.normal(centre, 0.2, count) for count in counts]
        losses = [((grid[:, None] - row) ** 2).sum(axis=1) for row in rows]
        loss = losses[0][:, None] + losses[1]
        loss -= loss.min()
        brute = [
            np.max(weight * grid[:, None] - eta * loss),
            np.max(weight * grid - eta * loss),
        ]
        means = jnp.array([row.mean() if len(row) else 0.5 for row in rows])
        found = optimistic_entry(means, jnp.array(counts, float), eta, 0.0, 1.0, weight)
        np.testing.assert_allclose(found, brute, atol=1e-5)


def test_the_closed_form_has_two_cases():
    mean, count, eta = jnp.array([0.4, 0.9]), jnp.array([8.0, 8.0]), jnp.array(0.25)
    inside, clipped = 0.4 + 1 / (4 * 0.25 * 8), 1 - 0.25 * 8 * 0.1**2
    np.testing.assert_allclose(optimistic_entry(mean, count, eta, 0.0, 1.0), [inside, clipped], atol=1e-12)


def test_with_the_true_game_alone_nothing_is_paid():
    game = gk.NormalFormGame(jnp.full((2, 3, 3), 0.5, float))
    only = TabularPayoffs(game, noise=NOISE, low=0.5, high=0.5)
    played = play_online(jax.random.key(0), Mamex(only, Optimism(0.1), "nash"), 30)
    assert np.abs(played.cumulative[-1]) < 1e-9


def test_regret_is_that_of_the_last_policy():
    """Nash play is a product; its regret is what NashConv says of it."""
    game = gk.NormalFormGame(TABLES[0])
    hypotheses = TabularPayoffs(game, noise=NOISE)
    played = play_online(jax.random.key(2), Mamex(hypotheses, Optimism(0.1), "nash"), 30)
    joint = played.joint_policy[0]
    policy = (joint.sum(axis=1), joint.sum(axis=0))
    np.testing.assert_allclose(joint, np.outer(*policy), atol=1e-12)
    conv = gk.nash_conv(game, tuple(jnp.log(part) for part in policy))
    np.testing.assert_allclose(played.regret[-1], conv, atol=1e-12)
    counts, sums = played.seen
    assert counts.sum() == 30 and sums.shape == (1, 2, 3, 3)


def test_contexts_are_learnt_side_by_side():
    """Regret of a contextual game: each context's gains, by how often it comes."""
    game = gk.games.contextual(jax.random.key(4), (2, 2), num_contexts=3)
    hypotheses = TabularPayoffs(game, noise=NOISE)
    learner = Mamex(hypotheses, Optimism(step_size(2000, NOISE)), "ce")
    played = play_online(jax.random.key(0), learner, 2000)
    gains = [
        probability * gk.evaluate.ce_gap(gk.NormalFormGame(payoffs), joint)
        for probability, payoffs, joint in zip(game.context_probs, game.payoffs, played.joint_policy, strict=True)
    ]
    np.testing.assert_allclose(played.regret[-1], np.sum(gains), atol=1e-9)
    assert played.cumulative[-1] - played.cumulative[1000] < 0.7 * played.cumulative[1000]


def test_linear_payoffs_with_a_feature_for_each_cell_are_a_table_without_clipping():
    """U of ridge regression, written out, and far fewer rounds where few features explain all."""
    game = gk.NormalFormGame(TABLES[1])
    table = LinearPayoffs(game, jnp.eye(9).reshape(3, 3, 9), noise=NOISE, ridge=1e-6)
    eta, keys = jnp.asarray(0.2), jax.random.split(jax.random.key(5), 12)
    observe = jax.jit(lambda *arguments: table.observe(*arguments))
    seen, rows = table.begin(), []
    for key in keys:
        choice = jax.random.randint(key, (1, 2), 0, 3)
        before = seen[1]
        seen = observe(key, seen, choice)
        rows.append((3 * int(choice[0, 0]) + int(choice[0, 1]), np.asarray(seen[1] - before).sum(axis=0)))
    upper = np.asarray(table.optimistic(seen, eta))[0].reshape(2, 9)
    for cell in range(9):
        paid = [row for where, row in rows if where == cell]
        ridge = len(paid) + 1e-6
        np.testing.assert_allclose(upper[:, cell], np.sum(paid, axis=0) / ridge + 1 / (4 * 0.2 * ridge), rtol=1e-6)


def test_linear_contexts_share_what_they_teach():
    """U of every pair of pure policies, from contexts to actions, is a supremum over theta."""
    features = jax.random.normal(jax.random.key(7), (2, 2, 2, 3))
    theta = jax.random.normal(jax.random.key(8), (3, 2))
    eta, weights = 0.3, jnp.array([0.25, 0.75])
    game = gk.ContextualGame(jnp.moveaxis(features @ theta, -1, 1), weights)
    seen = (jnp.linalg.inv(jnp.diag(jnp.arange(1.0, 4))), jnp.ones((3, 2)))
    hypotheses = LinearPayoffs(game, features, noise=NOISE)
    upper, truth = hypotheses.optimistic(seen, jnp.asarray(eta)), hypotheses.truth
    assert upper.shape == truth.shape == (1, 2, 4, 4)
    fit = np.asarray(seen[0] @ seen[1])
    for first, second in product(product(range(2), repeat=2), repeat=2):
        psi = np.asarray(sum(weights[c] * features[c, first[c], second[c]] for c in range(2)))
        at = (0, slice(None), 2 * first[0] + first[1], 2 * second[0] + second[1])
        np.testing.assert_allclose(truth[at], psi @ theta, atol=1e-12)
        best = fit + (np.diag([1, 1 / 2, 1 / 3]) @ psi / (2 * eta))[:, None]
        loss = np.sum((best - fit) ** 2 * np.arange(1.0, 4)[:, None], axis=0)
        np.testing.assert_allclose(upper[at], psi @ best - eta * loss, atol=1e-12)
    played = play_online(jax.random.key(9), Mamex(hypotheses, Optimism(step_size(500, NOISE)), "cce"), 500)
    assert played.uncertified == 0 and played.status == gk.Status.converged
    assert played.regret[250:].sum() < 0.3 * played.regret[:250].sum()


def test_float32_learns_as_float64_does():
    """Rounds differ where rounding decides what is drawn: what regret comes to does not."""
    keys, totals = jax.random.split(jax.random.key(10), 8), []
    for dtype in (jnp.float32, jnp.float64):
        hypotheses = TabularPayoffs(gk.NormalFormGame(TABLES[2].astype(dtype)), noise=NOISE)
        learner = Mamex(hypotheses, Optimism(step_size(1000, NOISE)), "cce")
        played = jax.vmap(lambda key, learner=learner: play_online(key, learner, 1000))(keys)
        assert played.regret.dtype == dtype and np.all(played.uncertified == 0)
        totals.append(played.cumulative[:, -1].mean())
    np.testing.assert_allclose(totals[0], totals[1], rtol=0.2)


def test_bad_arguments_are_named():
    game = gk.NormalFormGame(TABLES[0])
    hypotheses = TabularPayoffs(game, noise=NOISE)
    three = TabularPayoffs(gk.games.uniform(jax.random.key(6), (2, 2, 2)), noise=NOISE)
    learner = Mamex(hypotheses, Greed())
    broken = gk.NormalFormGame(TABLES[0] * np.nan)
    contexts = gk.games.contextual(jax.random.key(4), (2, 2), num_contexts=3)
    key = jax.random.key(0)
    faults = [
        (lambda: TabularPayoffs(game, noise=NOISE, low=2.0), "low, high: got 2.0 and 1.0.*empty"),
        (lambda: TabularPayoffs(game, noise=NOISE, high=0.5), "payoffs: got .* takes values in"),
        (lambda: TabularPayoffs(game, noise=-1.0), "noise: got -1.0"),
        (lambda: LinearPayoffs(game, jnp.ones((3, 4)), noise=NOISE), r"features: got shape \(3, 4\)"),
        (lambda: LinearPayoffs(game, jnp.ones((3, 3, 2)), noise=NOISE, ridge=0.0), "ridge: got 0.0"),
        (lambda: Optimism(0.0), "eta: got 0.0, takes a finite number > 0"),
        (lambda: Optimism(-1.0), "eta: got -1.0"),
        (lambda: Optimism(float("nan")), "eta: got nan"),
        (
            lambda: TabularPayoffs(broken, noise=NOISE),
            r"payoffs\[0, 0, 0, 0\]: got nan \(18 such entries\), takes finite",
        ),
        (
            lambda: LinearPayoffs(contexts, jnp.ones((3, 2, 2, 1)), noise=NOISE, limit=20),
            "got 64 pure joint .* most 20",
        ),
        (lambda: LinearPayoffs(contexts, jnp.ones((2, 2, 1)), noise=NOISE), r"takes \[context, \*actions, feature\]"),
        (lambda: Greed(1.5), "exploration: got 1.5, takes a number from 0 to 1"),
        (lambda: Mamex(three, Greed(), "nash"), "concept: got 'nash' of 3 players, takes 'ce' or 'cce'"),
        (lambda: Mamex(hypotheses, Greed(), "qre"), "concept: got 'qre', takes one of 'nash', 'ce', 'cce'"),
        (lambda: play_online(key, learner, 0), "num_rounds: got 0, takes a whole number"),
        (lambda: play_online(key, learner, 2.5), "num_rounds: got 2.5, takes a whole number"),
        (lambda: play_online(key, learner, 9, most_rounds=5), "num_rounds: got 9, takes at most"),
        (lambda: jax.jit(lambda n: play_online(key, learner, n).regret)(3), "most_rounds: got None"),
    ]
    for fault, message in faults:
        with pytest.raises(ValueError, match=message):
            fault()
    with pytest.raises(TypeError, match="learner: got TabularPayoffs, takes a Mamex or an OptimisticStages"):
        play_online(key, hypotheses, 3)


@pytest.mark.parametrize(
    ("rounds", "noise", "field"), [(0, 0.3, "num_rounds"), (-5, 0.3, "num_rounds"), (9, 0, "noise")]
)
def test_step_sizes_are_of_rounds_and_noise(rounds, noise, field):
    with pytest.raises(ValueError, match=f"{field}: got .*, takes a number > 0"):
        step_size(rounds, noise)
