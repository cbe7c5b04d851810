"""Fits of rationality to play: published figures, Gambit's fits, closed forms, and what it does not take."""

from functools import partial

import jax
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from gambit_helpers import pygambit, table
from helpers import action_values_by_definition

import gamekl as gk
from gamekl.core.kernels.curves import Turns
from gamekl.estimation import (
    LogitCurve,
    Play,
    ResponseCurve,
    bootstrap,
    fit_qre,
    nested_test,
    play_of_rows,
    uniform_test,
)

# Ochs (1995), asymmetric matching pennies as McKelvey and Palfrey refitted it.
PENNIES = gk.NormalFormGame(np.array([[[1.1141, 0], [0, 0.2785]], [[0, 1.1141], [1.1141, 0]]]))
OCHS = [[67.456, 60.544], [46.848, 81.152]]
# Its path has two folds.
FOLDING = gk.NormalFormGame(np.array([[[4.0, 0, 0], [1, 1, 5]], [[5, 5, 0], [3, 4, 5]]]))
# Each player has a dominant action: its share is 1 / (1 + exp(-rationality gain)) for any play of the other.
DONATION = gk.NormalFormGame(np.array([[[3.0, 0], [4, 1]], [[3, 4], [0, 1]]]))


def likelihood_at(game, counts, rationality):
    """The log-likelihood of the principal equilibrium, by `solve_nash`."""
    solution = gk.solve_nash(game, gk.Regularizer.uniform(game, 1 / rationality))
    return sum(float(own @ np.asarray(logs)) for own, logs in zip(counts, solution.log_policy, strict=True))


def test_ochs_as_mckelvey_and_palfrey_refitted_it():
    fit = fit_qre(PENNIES, OCHS)
    np.testing.assert_allclose(fit.rationality, 1.8456097, rtol=1e-7)
    np.testing.assert_allclose(fit.log_likelihood, -174.7645319, atol=1e-7)
    first, second = fit.policies[0][0]
    np.testing.assert_allclose([first[0], second[0]], [0.6156513, 0.3832909], atol=1e-7)
    np.testing.assert_allclose(fit.frequencies[0][0][0], [0.527, 0.473], atol=1e-3)
    np.testing.assert_allclose(fit.temperature, 1 / fit.rationality)
    assert "1.84561" in repr(fit) and fit.status == (0,)


def test_by_empirical_payoffs():
    """Responses to what was seen: `logit_estimate` of pygambit 16.7.0 has 1.0068156, whose likelihood is the same.

    The root of the likelihood's slope in 30 digits is 1.00681685781970.
    """
    fit = fit_qre(ResponseCurve(PENNIES, OCHS), OCHS)
    np.testing.assert_allclose(fit.rationality, 1.00681685781970, rtol=1e-9)
    np.testing.assert_allclose(fit.log_likelihood, -176.5259464802575, atol=1e-9)
    values = action_values_by_definition(PENNIES.payoffs, fit.frequencies[0][0])
    for own, value in zip(fit.policies[0][0], values, strict=True):
        expected = np.exp(fit.rationality[0] * value)
        np.testing.assert_allclose(own, expected / expected.sum(), atol=1e-9)


def test_a_closed_form():
    """Of donation play: the estimate is the log-odds, the error that of a share, and the interval by its likelihood."""
    fit = fit_qre(DONATION, [[30, 70], [20, 80]])
    np.testing.assert_allclose(fit.rationality, np.log(150 / 50), rtol=1e-9)
    of_share = (150 * 50 / 200) ** -0.5
    for kind in ("information", "sandwich"):
        factor = np.sqrt(200 / 199) if kind == "sandwich" else 1
        np.testing.assert_allclose(fit.std_error(kind), factor * of_share / fit.rationality, rtol=1e-7)
    ((low, high),) = fit.interval()[0]

    def beyond(rationality):
        share = 1 / (1 + np.exp(-rationality))
        log_likelihood = 150 * np.log(share) + 50 * np.log1p(-share)
        return fit.log_likelihood[0] - log_likelihood - scipy.stats.chi2.ppf(0.95, 1) / 2

    expected = scipy.optimize.brentq(beyond, 0.1, 1.09), scipy.optimize.brentq(beyond, 1.1, 3)
    np.testing.assert_allclose((low, high), expected, rtol=1e-7)
    np.testing.assert_allclose(
        fit.interval(kind="information")[0][0],
        fit.rationality * np.exp(np.array([-1, 1]) * scipy.stats.norm.ppf(0.975) * fit.std_error()),
        rtol=1e-12,
    )
    (test,) = uniform_test(fit)
    np.testing.assert_allclose(test.statistic, 2 * (fit.log_likelihood[0] + 200 * np.log(2)), rtol=1e-9)
    np.testing.assert_allclose(test.p_value, scipy.stats.chi2.sf(test.statistic, 1) / 2)


def test_as_gambit_or_better():
    """Nowhere a smaller likelihood than at the rationality of Gambit's fit, and about the same one.

    Its own figures are of points that are off the path by up to 5e-8 in the log-likelihood (pygambit 16.7).
    """
    random, tracer = np.random.default_rng(0), pygambit()
    for _ in range(8):
        payoffs = random.uniform(0, 5, (2, 3, 3))
        drawn = gk.NormalFormGame(payoffs)
        policies = gk.solve_nash(drawn, gk.Regularizer.uniform(drawn, 1 / random.uniform(0.5, 3))).policy
        counts = [random.multinomial(200, np.asarray(own)).astype(float) for own in policies]
        fit = fit_qre(drawn, counts)
        game = table(*payoffs)
        profile = game.mixed_strategy_profile(data=[own.tolist() for own in counts])
        theirs = tracer.qre.logit_estimate(profile, use_empirical=False)
        assert fit.log_likelihood[0] >= likelihood_at(drawn, counts, theirs.lam) - 1e-9
        if fit.status[0].name == "no_maximizer":
            continue  # Gambit's ends somewhere
        np.testing.assert_allclose(fit.rationality, theirs.lam, rtol=1e-4)
        np.testing.assert_allclose(fit.log_likelihood[0], theirs.log_like, atol=1e-6)
        np.testing.assert_allclose(
            fit.log_likelihood[0], likelihood_at(drawn, counts, float(fit.rationality[0])), atol=1e-9
        )


@pytest.mark.parametrize("counts", [[[55, 45], [30, 20, 50]], [[30, 70], [5, 50, 45]], [[90, 10], [60, 30, 10]]])
def test_of_a_folded_path_all_stretches_count(counts):
    """No crossing of any rationality has a larger likelihood; each part of the interval ends at its level."""
    fit = fit_qre(FOLDING, counts)
    assert len(fit.likelihood.segments.turns) == 2
    asked = np.geomspace(0.05, 40, 512)
    path = gk.trace(FOLDING, gk.Regularizer.uniform(FOLDING, 1 / 40), temperatures=1 / asked)
    logs = zip(counts, path.crossings.log_policy, strict=True)
    joined = sum(np.asarray(entry) @ np.array(own, float) for own, entry in logs)
    best = max(np.nanmax(joined), fit.uniform_log_likelihood[0])
    assert fit.log_likelihood[0] >= best - 1e-9 and fit.log_likelihood[0] - best < 0.5
    # One-sided at rationality 0.
    level = fit.log_likelihood[0] - scipy.stats.chi2.ppf(0.95 if fit.rationality[0] > 0 else 0.9, 1) / 2
    inside = np.nanmax(joined, axis=1) >= level
    parts = fit.interval()[0]
    for rationality, there in zip(asked, inside, strict=True):
        assert there == any(low <= rationality <= high for low, high in parts)


def test_several_games_and_groups():
    """One rationality of two games has the larger sum of their likelihoods; groups are fitted by themselves."""
    counts = {"a": [[[70, 58], [50, 78]], [[40, 60], [45, 55]]], "b": [[[90, 38], [30, 98]], [[20, 80], [10, 90]]]}
    fit = fit_qre([PENNIES, DONATION], counts)
    assert fit.labels == ("a", "b")
    for number, label in enumerate(fit.labels):
        games = list(
            zip([PENNIES, DONATION], [[np.array(own, float) for own in game] for game in counts[label]], strict=True)
        )

        def loss(rationality, games=games):
            return -sum(likelihood_at(game, own, rationality) for game, own in games)

        around = fit.rationality[number] * np.array([0.99, 1, 1.01])
        losses = [loss(at) for at in around]
        assert losses[1] < min(losses[0], losses[2])
        np.testing.assert_allclose(-losses[1], fit.log_likelihood[number], rtol=1e-9)
        curvature = (losses[0] - 2 * losses[1] + losses[2]) / np.log(1.01) ** 2
        np.testing.assert_allclose(fit.std_error()[number], curvature**-0.5, rtol=2e-2)
    pooled = fit_qre([PENNIES, DONATION], fit.play.pooled())
    test = nested_test(pooled, fit)
    np.testing.assert_allclose(test.statistic, 2 * (fit.log_likelihood.sum() - pooled.log_likelihood[0]))
    assert test.num_parameters == 1 and test.p_value == scipy.stats.chi2.sf(test.statistic, 1)
    with pytest.raises(ValueError, match="larger: got 1 groups, takes more than the 2"):
        nested_test(fit, pooled)
    with pytest.raises(ValueError, match="smaller: got a fit of other play"):
        nested_test(fit_qre(PENNIES, OCHS), fit)


def test_references_and_crossed_branches():
    """A reference stands for payoffs: of rationality 1 those of log-references; branches are those of the path."""
    game = gk.NormalFormGame(np.stack([np.eye(2)] * 2))
    with_reference = fit_qre(game, [[60, 40], [70, 30]], log_reference=np.log([[0.6, 0.4], [0.5, 0.5]]))
    solution = gk.solve_nash(
        game, gk.Regularizer(list(np.log([[0.6, 0.4], [0.5, 0.5]])), float(with_reference.temperature[0]))
    )
    np.testing.assert_allclose(with_reference.policies[0][0], solution.policy, atol=1e-9)
    # On the symmetric branch all rationalities tell the same; on the one that bends away they do not.
    assert fit_qre(game, [[90, 10], [85, 15]]).status == (gk.offline.FitStatus.not_identified,)
    bent = fit_qre(game, [[90, 10], [85, 15]], at_branching="cross")
    share = 175 / 200
    np.testing.assert_allclose(bent.policies[0][0][0][0], share, atol=1e-9)
    # x = tanh(rationality x / 2), x = 2 share - 1
    np.testing.assert_allclose(bent.rationality, 2 * np.arctanh(2 * share - 1) / (2 * share - 1), rtol=1e-9)


def test_what_is_not_identified_and_what_has_no_maximum():
    zero = gk.NormalFormGame(np.zeros((2, 2, 2)))
    flat = fit_qre(zero, [[60, 40], [50, 50]])
    assert flat.status[0].name == "not_identified" and np.isnan(flat.rationality[0]) and flat.interval() == ([],)
    always = fit_qre(DONATION, [[0, 100], [0, 100]])
    assert always.status[0].name == "no_maximizer" and always.rationality[0] == np.inf
    ((low, high),) = always.interval()[0]
    # One-sided: 200 log(share) is not less than half of chi-square's 90 % quantile.
    np.testing.assert_allclose(200 * np.log1p(np.exp(-low)), scipy.stats.chi2.ppf(0.9, 1) / 2, rtol=1e-7)
    assert high == np.inf and np.isnan(always.std_error()[0])
    never = fit_qre(DONATION, [[60, 40], [55, 45]])
    assert never.status[0].name == "converged" and never.rationality[0] == 0
    assert never.interval()[0][0][0] == 0 and np.isnan(never.std_error()[0])
    assert uniform_test(never)[0].p_value == 1


def rows_of_subjects(random, subjects, rounds, spread):
    """Decisions in DONATION, each subject's log-odds drawn around 1."""
    shares = 1 / (1 + np.exp(-1 - spread * random.normal(size=subjects)))
    action = (random.uniform(size=(subjects, rounds)) < shares[:, None]).astype(int)
    subject = np.repeat(np.arange(subjects), rounds)
    return {"action": action.ravel(), "player": subject % 2, "subject": subject.tolist()}


def test_rows_and_errors_by_subject():
    """Counts of rows; where a subject's decisions go together the clustered error is that of means of subjects."""
    rows = rows_of_subjects(np.random.default_rng(0), 40, 25, 1.5)
    play = play_of_rows(DONATION, **rows)
    assert play.counts.shape == (40, 4) and play.counts.sum() == 1000
    fit = fit_qre(DONATION, play)
    share = rows["action"].mean()
    np.testing.assert_allclose(fit.rationality, np.log(share / (1 - share)), rtol=1e-9)
    means = rows["action"].reshape(40, 25).mean(axis=1)
    expected = (
        np.sqrt(np.sum((means - share) ** 2) / 40 * 40 / 39 * 999 / 1000 / 40) / (share * (1 - share)) / fit.rationality
    )
    np.testing.assert_allclose(fit.std_error("clustered"), expected, rtol=1e-6)
    assert fit.std_error("clustered") > 1.5 * fit.std_error("information")
    drawn = bootstrap(fit, jax.random.key(0), num_samples=2000, kind="clustered")
    np.testing.assert_allclose(np.log(drawn.rationality).std(), fit.std_error("clustered")[0], rtol=0.15)
    assert fit.play.labels == ("all",)


def test_the_parametric_bootstrap_spreads_as_the_error_says():
    fit = fit_qre(DONATION, {"a": [[30, 70], [20, 80]], "b": [[10, 190], [30, 170]]})
    drawn = bootstrap(fit, jax.random.key(1), num_samples=4000)
    assert drawn.rationality.shape == (4000, 2) and not drawn.unbounded.any()
    np.testing.assert_allclose(np.log(drawn.rationality).std(axis=0), fit.std_error(), rtol=0.1)
    for (low, high), rationality in zip(drawn.interval(), fit.rationality, strict=True):
        assert low < rationality < high
    # A sample's estimate is its log-odds: these are so many, and no more.
    odds = np.exp(drawn.rationality[:, 0])
    np.testing.assert_allclose(200 * odds / (1 + odds), np.round(200 * odds / (1 + odds)), atol=1e-6)


REFUSED = {
    "counts": ([[1, 2, 3], [1, 2]], r"play: got counts of shapes \[\(3,\), \(2,\)\] of game 0, group 'all'"),
    "negative": (
        [[1, -2], [1, 2]],
        r"counts: got -2.0 of game 0, player 0, action 1, group 'all', takes numbers from 0",
    ),
    "nan": ([[1, np.nan], [1, 2]], r"counts: got nan of game 0, player 0, action 1"),
    "none": ({"a": [[1, 2], [1, 2]], "b": [[0, 0], [0, 0]]}, r"play: got no decision in group 'b'"),
    "games": ([[[1, 2], [1, 2]]] * 2, r"play: got counts of shapes"),
    "players": ([[1, 2]], r"play: got counts of shapes \[\(2,\)\]"),
    "no group": ({}, "play: got no group, takes at least one"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_play_that_it_does_not_take(name):
    play, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        fit_qre(DONATION, play)


def test_other_arguments_that_it_does_not_take():
    masked = [np.array([0, -np.inf]), np.log([0.5, 0.5])]
    with pytest.raises(
        ValueError, match=r"play: got 3 plays of game 0, player 0, action 1, group 'all', which its ref"
    ):
        fit_qre(DONATION, [[1, 3], [1, 2]], log_reference=masked)
    with pytest.raises(ValueError, match="max_rationality: got 0, takes a number > 0"):
        fit_qre(DONATION, [[1, 3], [1, 2]], max_rationality=0)
    with pytest.raises(ValueError, match="games: got none"):
        fit_qre([], [])
    with pytest.raises(TypeError, match="game: got Markov|parameter 'games'"):
        fit_qre(gk.games.markov(jax.random.key(0), (2, 2), num_states=2, horizon=2), [[1, 3], [1, 2]])
    fit = fit_qre(DONATION, [[30.5, 70], [20, 80]])
    with pytest.raises(ValueError, match="kind: got 'clustered' for play without subjects"):
        fit.std_error("clustered")
    with pytest.raises(ValueError, match="level: got 1.0, takes a number between 0 and 1"):
        fit.interval(1.0)
    with pytest.raises(
        ValueError, match="play: got 100.5 decisions of game 0, player 0, action 0, takes a whole number"
    ):
        bootstrap(fit, jax.random.key(0))
    rows = partial(play_of_rows, DONATION)
    with pytest.raises(ValueError, match="action: got action 2 of player 1 in game 0 in row 1"):
        rows(action=[0, 2], player=[0, 1])
    with pytest.raises(ValueError, match="player: got 1 rows, takes 2, as action has"):
        rows(action=[0, 1], player=[0])
    with pytest.raises(ValueError, match="action: got dtype float64, takes whole numbers"):
        rows(action=np.array([0.5, 1]), player=[0, 1])
    with pytest.raises(ValueError, match=r"counts: got shape \(1, 3\), takes \[row, 4\]"):
        Play(((2, 2),), np.zeros((1, 3)), ("all",))


def test_a_curve_of_players_who_differ():
    """In donation play the second one's odds are those of twice the rationality."""
    curve = LogitCurve(DONATION, weights=(1.0, 2.0))
    fit = fit_qre(curve, [[30, 70], [20, 80]])

    def slope(rationality):
        shares = [1 / (1 + np.exp(-weight * rationality)) for weight in (1, 2)]
        return sum(weight * (seen - 100 * share) for weight, seen, share in zip((1, 2), (70, 80), shares, strict=True))

    np.testing.assert_allclose(fit.rationality, scipy.optimize.brentq(slope, 0.1, 3), rtol=1e-9)
    with pytest.raises(ValueError, match=r"weights: got \(1.0,\), takes a positive number for each of 2 players"):
        LogitCurve(DONATION, weights=(1.0,))


class Lost:
    """A curve of one player that is lost beyond rationality 1, and says nothing of it."""

    scale = 1.0
    log_start = (np.log([0.5, 0.5]),)

    def turns(self, end):
        return Turns(np.zeros(0), end, "")

    def at(self, rationalities, end):
        share = 1 / (1 + np.exp(-np.where(rationalities < 1, rationalities, np.nan)))
        return (np.log(np.stack([1 - share, share], axis=1))[:, None],)


def test_a_curve_of_ones_own_and_one_that_is_lost():
    fit = fit_qre(Lost(), [[40, 60]], max_rationality=0.9)
    np.testing.assert_allclose(fit.rationality, np.log(60 / 40), rtol=1e-9)
    with pytest.raises(
        ValueError, match=r"games: got paths that are lost near rationality (0.99999|1)\d*, takes max_rat"
    ):
        fit_qre(Lost(), [[40, 60]])


def test_policies_solve_the_game_at_the_estimate():
    """Of three players: each one's policy is its own logit response, by definition."""
    payoffs = np.random.default_rng(3).uniform(0, 4, (3, 2, 3, 2))
    counts = [[12, 8], [5, 9, 6], [3, 17]]
    fit = fit_qre(gk.NormalFormGame(payoffs), counts)
    policies = fit.policies[0][0]
    for policy, value in zip(policies, action_values_by_definition(payoffs, list(policies)), strict=True):
        response = np.exp(fit.rationality[0] * (value - value.max()))
        np.testing.assert_allclose(policy, response / response.sum(), atol=1e-9)


@pytest.mark.parametrize(
    ("play", "message"),
    [
        (OCHS[:1], "play: got that of 1 players, takes 2"),
        ([[1.0, 2, 3], [1, 2]], r"play\[0\]: got \[1.0, 2, 3\], takes 2 numbers >= 0, not all of them 0"),
        ([[1.0, 2], [0, 0]], r"play\[1\]: got \[0, 0\]"),
        ([[1.0, np.nan], [1, 0]], r"play\[0\]"),
    ],
)
def test_responses_to_no_play(play, message):
    with pytest.raises(ValueError, match=message):
        ResponseCurve(PENNIES, play)
