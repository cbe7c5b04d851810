"""Families that play: GAMD and multiplicative weights, measured after several rounds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import log

import gamekl as gk
from gamekl.experiment.run.plan import make_chunks, make_plan
from gamekl.experiment.run.shards import data_keys
from gamekl.experiment.run.store import Store
from gamekl.experiment.run.sweep import run_sweep
from gamekl.experiment.schema.load import ConfigError, parse_config
from gamekl.experiment.show.plot import draw, save_figure
from gamekl.experiment.show.report import summarize
from gamekl.experiment.show.table import format_table

REFERENCE = [[0.34, 0.33, 0.33], [0.33, 0.34, 0.33]]
ROUNDS = {"first": 10, "decades": 2, "points": 3}
PLAYED = {
    "label": "Shapley",
    "solver": "gamd",
    "game": {"kind": "shapley"},
    "reference": REFERENCE,
    "temperatures": [1.0, 0.05],
    "num_samples": {"first": 1000, "decades": 1, "points": 2},
    "num_rounds": ROUNDS,
}
BASELINE = {
    **{key: value for key, value in PLAYED.items() if key != "temperatures"},
    "label": "baseline",
    "solver": "multiplicative_weights",
}


def sweep(*families, num_seeds=100):
    return parse_config({"name": "played", "seed": 3, "num_seeds": num_seeds, "family": families})


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Run once; tests must not change it."""
    root = tmp_path_factory.mktemp("played") / "run"
    run_sweep(sweep(PLAYED, BASELINE), root)
    return root


def test_a_row_for_each_number_of_rounds(swept):
    table = Store(swept).read().to_pandas()
    assert len(table) == 3 * 2 * 100 * 3
    assert not table.duplicated(["case", "num_samples", "game", "seed", "num_rounds"]).any()
    assert set(table["num_rounds"]) == {10, 100, 1000}
    assert (table["status"] == 0).all() and (table["exceeded"] == 0).all()
    assert table["regularized_gap"].isna().all() and table["residual"].isna().all()
    assert (table[["regularized_cce_gap", "cce_gap", "ce_gap", "solver_gap"]] >= 0).all().all()
    assert (table["solver_gap"] <= table["bound"]).all()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_rows_are_what_the_public_functions_give(swept, number):
    """Estimate, play and measure one dataset by hand."""
    config, plan = sweep(PLAYED, BASELINE), Store(swept).plan()
    case = plan.cases[number]
    chunk = next(chunk for chunk in make_chunks(plan) if chunk.case == number and chunk.point == 1)
    key = data_keys(config, config.family[case.family], case, chunk.point, np.arange(8))[0, 7]
    game = gk.games.shapley()
    statistics = gk.offline.sample_statistics(key, game, jnp.full((3, 3), 1 / 9), 10_000.0, jnp.asarray(1.0))
    estimate = gk.offline.estimate(statistics).game
    regularizer = gk.Regularizer(log(*REFERENCE), case.temperature or 1.0)
    play = gk.gamd if case.solver == "gamd" else gk.multiplicative_weights
    table = Store(swept).read().to_pandas().query(f"case == {number} and num_samples == 10000 and seed == 7")
    for rounds in (10, 1000):
        solution = play(estimate, regularizer, num_rounds=rounds, evaluate_on=game)
        [row] = table.query(f"num_rounds == {rounds}").to_dict("records")
        own = "regularized_cce_gap_estimated" if case.solver == "gamd" else "cce_gap_estimated"
        names = {"regularized_cce_gap": "regularized_cce_gap", "cce_gap": "cce_gap", "ce_gap": "ce_gap"}
        for name, field in {**names, "solver_gap": own, "bound": "bound"}.items():
            np.testing.assert_allclose(row[name], np.maximum(getattr(solution, field), 0).sum(), rtol=1e-8, atol=1e-12)


def test_predictions(swept):
    """Where best responses contract, the constant of the Nash equilibrium; elsewhere and for the baseline none."""
    contractive, cycling, baseline = Store(swept).plan().cases
    anchor = gk.Regularizer(log(*REFERENCE), 1.0)
    game = gk.games.shapley()
    constant = gk.evaluate.predicted_constant(
        game, anchor, gk.solve_nash(game, anchor), jnp.full((3, 3), 1 / 9), 1.0
    ).sum()
    assert contractive.slope == -1 and contractive.constant == pytest.approx(float(constant))
    assert cycling.slope == baseline.slope == -0.5
    assert cycling.constant is None and "may cycle" in cycling.remark
    assert contractive.num_rounds == (10, 100, 1000)


def test_curves(swept, tmp_path):
    """Against rounds in the true game and in the estimate, with its bound, then against rows of data."""
    summaries = summarize(Store(swept))
    mine = [entry for entry in summaries if entry.case.temperature == 0.05]
    assert [(entry.axis, entry.held, entry.metric) for entry in mine] == [
        ("num_rounds", 1000, "regularized_cce_gap"),
        ("num_rounds", 10_000, "regularized_cce_gap"),
        ("num_rounds", 10_000, "solver_gap"),
        ("num_samples", 10, "regularized_cce_gap"),
        ("num_samples", 100, "regularized_cce_gap"),
        ("num_samples", 1000, "regularized_cce_gap"),
    ]
    table = Store(swept).read().to_pandas().query("case == 1 and num_samples == 10000")
    means = table.groupby("num_rounds")[["solver_gap", "bound"]].mean()
    np.testing.assert_allclose(mine[2].means, means["solver_gap"], rtol=1e-12)
    np.testing.assert_allclose(mine[2].predicted, means["bound"], rtol=1e-12)
    assert mine[2].is_bound and mine[2].exceeded == 0 and np.all(mine[2].ratios < 1)
    assert mine[2].rate is not None and -1 < mine[2].rate.slope < -0.5
    assert all(entry.rate is None for entry in mine[:2])
    [predicted] = [entry for entry in summaries if entry.predicted is not None and not entry.is_bound]
    assert (predicted.case.temperature, predicted.held) == (1.0, 1000)
    assert abs(predicted.ratios[-1] - 1) < 0.5  # 100 seeds
    text = format_table(summaries)
    assert "Shapley (τ=0.05), n = 1e4, in the estimate" in text and "0 of 300, 0 above" in text
    assert "baseline, T = 1e3" in text
    figure = draw(summaries)
    titles = [axes.get_title() for axes in figure.axes if axes.axison]
    assert titles == ["Shapley (τ=1)"] * 2 + ["Shapley (τ=0.05)"] * 2 + ["baseline"] * 2
    labels = [text.get_text() for text in figure.axes[2].get_legend().get_texts()]
    assert "its bound" in labels and "n = 1e3" in labels
    assert figure.axes[2].get_xlabel() == "rounds $T$" and figure.axes[3].get_xlabel() == "rows of data $n$"
    assert len(save_figure(summaries, tmp_path)) == 3


def test_auto_needs_contraction():
    family = {**PLAYED, "temperatures": [1.0], "num_samples": {"decades": 1, "points": 2}}
    [case] = make_plan(sweep(family)).cases
    assert case.num_samples[0] >= 270  # 30 rows a cell
    with pytest.raises(ValueError, match=r"family\.0 \(Shapley\): num_samples\.first: got 'auto', .*may cycle"):
        make_plan(sweep({**family, "temperatures": [0.05]}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_rounds": None}, "num_rounds: got None, takes a table of first, decades, points"),
        ({"solver": "gane"}, "num_rounds: got a value for solver 'gane', takes none"),
        ({"temperatures": []}, "temperatures: got none, takes at least one number > 0 for solver 'gamd'"),
        (
            {"solver": "multiplicative_weights"},
            "temperatures: got some for solver 'multiplicative_weights', takes none",
        ),
        ({"solver": "multiplicative_weights", "temperatures": [], "weighting": "linear"}, "weighting: got 'linear'"),
        (
            {"num_rounds": {"first": 1, "decades": 0.5, "points": 9}},
            "num_rounds: got rounds .*takes numbers that d",
        ),
        ({"num_rounds": {"first": 0}}, "num_rounds.first: got 0"),
    ],
)
def test_bad_configs(changes, message):
    with pytest.raises(ConfigError, match=message):
        sweep({**PLAYED, **changes})


def test_nan_games_stay_alone():
    """In the pipeline, where nothing raises."""
    game = gk.games.shapley()
    broken = jnp.stack([game.payoffs, game.payoffs.at[0, 0, 0].set(jnp.nan)])
    regularizer = gk.Regularizer(log(*REFERENCE), 0.05)
    run = jax.vmap(
        lambda payoffs: gk.gamd_history(gk.NormalFormGame(payoffs), regularizer, num_rounds=[5, 50], throw=False)
    )(broken)
    alone = gk.gamd_history(game, regularizer, num_rounds=[5, 50])
    assert run.status.tolist() == [gk.Status.converged, gk.Status.nonfinite_input]
    np.testing.assert_allclose(run.cce_gap[0], alone.cce_gap, atol=1e-14)
