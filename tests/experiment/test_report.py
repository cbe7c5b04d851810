"""Summaries and figures of stores made by hand, whose errors are known."""

import io
import math
import struct

import matplotlib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gamekl.experiment.run.origin import Origin
from gamekl.experiment.run.store import Store
from gamekl.experiment.schema.cases import Case, Curve, Plan, Tuning
from gamekl.experiment.show.plot import STYLE, draw, save_figure
from gamekl.experiment.show.report import summarize
from gamekl.experiment.show.table import format_table

N = (100, 1_000, 10_000, 100_000)
# Columns that other kinds of families have.
UNUSED = ("average_nash_gap", "kl", "suboptimality", "follower_error", "coverage", "regret")
# Mean 1, so that a case's mean error is what the test says it is.
SPREAD = np.array([0.25, 0.5, 0.75, 1.0, 1.0, 1.25, 1.5, 1.75])


def curves(metrics, slope=-1.0, constant=2.0, sizes=N, axis="num_samples", numbers=0):
    """Against data, or along an axis at each sample size."""
    if axis == "num_samples":
        shared = {"slope": slope, "constant": constant, "fit": "independent"}
        return [Curve.of(metric, axis, len(sizes), **shared) for metric in metrics]
    shared = {"style": "tuning", "by": "num_samples", "slope": slope}
    return [Curve.of(metric, axis, numbers, held=n, **shared) for metric in metrics for n in sizes]


def case(label="a", **changes):
    metrics = ["regularized_gap" if changes.get("solver", "gane") == "gane" else "nash_gap"]
    told = {name: changes[name] for name in ("slope", "constant") if name in changes}
    return {
        "family": 0,
        "label": label,
        "panel": label,
        "solver": "gane",
        "temperature": 0.5,
        "concentrability": None,
        "scale": None,
        "num_games": 1,
        "num_seeds": len(SPREAD),
        "num_samples": list(N),
        "num_rounds": [],
        "slope": -1.0,
        "constant": 2.0,
        "remark": None,
        "metrics": metrics,
        "curves": curves(metrics, **told),
        **changes,
    }


def rows(number, n, errors, *, status=0, floor=1e-20, metric="regularized_gap", unvisited=0, **tuning):
    """One shard. Columns that the summary must not use are full of a number that would show."""
    size = len(errors)
    names = ("regularized_gap", "regularized_gap_max", "nash_gap", "regularized_cce_gap", "cce_gap", "bound")
    values = {name: np.full(size, 77.0) for name in names}
    values[metric] = np.asarray(errors, dtype=float)
    return pa.table(
        {
            "case": pa.array(np.full(size, number, dtype=np.int32)),
            **{name: pa.array(np.full(size, tuning.get(name, np.nan))) for name in Tuning._fields},
            "num_samples": pa.array(np.full(size, n, dtype=np.int64)),
            "seed": pa.array(np.arange(size, dtype=np.int32)),
            **{name: pa.array(column) for name, column in values.items()},
            "solver_gap": pa.array(np.broadcast_to(np.asarray(floor, dtype=float), size)),
            "status": pa.array(np.broadcast_to(np.asarray(status, dtype=np.int32), size)),
            "num_steps": pa.array(np.full(size, 7, dtype=np.int32)),
            "num_rounds": pa.nulls(size, pa.int32()),
            **{name: pa.nulls(size, pa.float64()) for name in UNUSED},
            **{name: pa.nulls(size, pa.int32()) for name in ("exceeded", "num_queries", "first_gap", "first_kl")},
            "unvisited": pa.array(np.broadcast_to(np.asarray(unvisited, dtype=np.int32), size)),
        }
    )


def make(folder, cases, tables):
    store = Store(folder)
    store.open({"seed": 4})
    store.write_plan(Plan(cases=tuple(Case(**case) for case in cases), files={}))
    for index, table in enumerate(tables):
        sink = io.BytesIO()
        pq.write_table(table, sink, write_page_checksum=True)
        store.write_shard(f"{index:03d}", sink.getvalue(), table.num_rows, Origin())
    return store


def law(constant, slope, number=0, **arguments):
    return [rows(number, n, constant * float(n) ** slope * SPREAD, **arguments) for n in N]


def test_a_pure_law(tmp_path):
    [found] = summarize(make(tmp_path, [case()], law(2.0, -1.0)))
    assert found.metric == "regularized_gap"
    assert found.sizes.tolist() == list(N)
    np.testing.assert_allclose(found.means, 2.0 / np.array(N), rtol=1e-14)
    np.testing.assert_allclose(found.scaled, 2.0, rtol=1e-14)
    np.testing.assert_allclose(found.ratios, 1.0, rtol=1e-14)
    assert found.rate is not None and abs(found.rate.slope + 1) < 1e-12
    assert found.rate.low < -1 < found.rate.high
    np.testing.assert_allclose(math.exp(found.rate.intercept), 2.0, rtol=1e-9)
    assert (found.solves, found.failures, found.unvisited) == (32, 0, 0)
    # Sample variance of SPREAD: 2 (0.75^2 + 0.5^2 + 0.25^2) / 7 = 0.25.
    np.testing.assert_allclose(found.standard_errors, 2.0 / np.array(N) * (0.25 / 8) ** 0.5, rtol=1e-12)
    low, high = found.band
    assert (low < found.means).all() and (found.means < high).all()
    # A mean of eight with standard error 0.177: its 95 % band is about 1 -+ 0.33.
    np.testing.assert_allclose([low / found.means, high / found.means], [[0.67] * 4, [1.33] * 4], atol=0.08)
    np.testing.assert_allclose(found.spread[0] / found.means, 0.3375, rtol=1e-12)


def test_errors_against_concentrability(tmp_path):
    """A family shown against C has a curve for each sample size; its cases are the points."""
    values, sizes = (3.0, 30.0, math.inf), [100, 1000]
    metrics = ["regularized_gap", "nash_gap"]
    told = curves(metrics, sizes=sizes, axis="concentrability", numbers=3)
    shared = {"num_samples": sizes, "metrics": metrics, "curves": told}
    cases = [case(concentrability=value, **shared) for value in values]
    tables = [
        rows(number, n, (number + 1) / n * SPREAD, concentrability=value)
        for number, value in enumerate(values)
        for n in sizes
    ]
    found = summarize(make(tmp_path, cases, tables))
    assert [(entry.metric, entry.held) for entry in found] == [
        (metric, n) for metric in ("regularized_gap", "nash_gap") for n in sizes
    ]
    assert found[0].sizes.tolist() == list(values) and found[0].rate is None and found[0].predicted is None
    np.testing.assert_allclose(found[1].means, np.array([1, 2, 3]) / 1000)
    np.testing.assert_allclose(found[2].means, 77.0)
    lines = format_table(found).splitlines()
    assert lines[1].startswith("a (τ=0.5), n = 1e3, regularised gap") and "C=inf: 0.003 ±" in lines[1]
    figure = draw(found)
    assert [axes.get_xlabel() for axes in figure.axes] == ["concentrability $C$"] * 2
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["$10^{1}$", r"$\infty$"]


def test_another_law(tmp_path):
    """An unregularised solver is summarised by its Nash gap, and scaled by the slope that its case expects."""
    expected = case(solver="exact", temperature=None, slope=-0.5, constant=1.5)
    [found] = summarize(make(tmp_path, [expected], law(3.0, -0.5, metric="nash_gap")))
    assert found.metric == "nash_gap"
    assert found.rate is not None and abs(found.rate.slope + 0.5) < 1e-12
    np.testing.assert_allclose(found.scaled, 3.0, rtol=1e-12)
    np.testing.assert_allclose(found.ratios, 2.0, rtol=1e-12)


def test_no_prediction(tmp_path):
    [found] = summarize(make(tmp_path, [case(constant=None)], law(2.0, -1.0)))
    assert found.ratios is None
    assert format_table([found]).splitlines()[1].count("none") == 2


def test_seeds_over_several_shards(tmp_path):
    halves = [rows(0, n, 2.0 / n * part) for n in N for part in (SPREAD[::2], SPREAD[1::2])]
    [found] = summarize(make(tmp_path, [case()], halves))
    np.testing.assert_allclose(found.means, 2.0 / np.array(N), rtol=1e-14)
    assert found.solves == 32


def test_failures_are_counted_and_left_out(tmp_path):
    """A failed solve has an absurd error, which must not enter means, bands, floors or slopes."""
    tables = law(2.0, -1.0)
    tables += [rows(0, N[1], [1e6, 1e6], status=[3, 1], floor=1e3), rows(0, N[3], [np.nan], status=4, floor=np.nan)]
    [found] = summarize(make(tmp_path, [case()], tables))
    assert (found.solves, found.failures) == (35, 3)
    np.testing.assert_allclose(found.means, 2.0 / np.array(N), rtol=1e-14)
    assert found.spread.max() < 0.1 and found.floor.max() < 1e-15
    assert found.rate is not None and abs(found.rate.slope + 1) < 1e-12
    assert format_table([found]).splitlines()[1].endswith("3 of 35")


def test_a_point_where_all_failed(tmp_path):
    tables = [*law(2.0, -1.0)[:3], rows(0, N[3], SPREAD, status=2)]
    [found] = summarize(make(tmp_path, [case()], tables))
    assert found.sizes.tolist() == list(N[:3])
    assert (found.solves, found.failures) == (32, 8)
    assert found.rate is not None and abs(found.rate.slope + 1) < 1e-12
    save_figure([found], tmp_path)


def test_a_point_where_one_is_left(tmp_path):
    """One seed has no spread of its own: it cannot be resampled, but the others can."""
    tables = [*law(2.0, -1.0)[:3], rows(0, N[3], [2.0 / N[3] * 5, *SPREAD[1:]], status=[0, *[3] * 7])]
    [found] = summarize(make(tmp_path, [case()], tables))
    assert (found.solves, found.failures) == (32, 7)
    assert found.rate is not None and abs(found.rate.slope + 1) < 1e-12


def test_a_case_where_all_failed(tmp_path):
    """Failures must show, all the more where there is nothing else."""
    tables = [*law(2.0, -1.0), *law(2.0, -1.0, number=1, status=3)]
    summaries = summarize(make(tmp_path, [case("good"), case("bad")], tables))
    table = format_table(summaries)
    assert "good" in table and "bad" in table and "32 of 32" in table
    save_figure(summaries, tmp_path)


def test_a_panel_with_a_case_where_all_failed(tmp_path):
    """A case without a single mean may share its panel with one that has them."""
    tables = [*law(2.0, -1.0, status=3), *law(2.0, -1.0, number=1)]
    cases = [case("bad") | {"panel": "both"}, case("good") | {"panel": "both"}]
    assert len(save_figure(summarize(make(tmp_path, cases, tables)), tmp_path)) == 3


def test_nothing_but_failures(tmp_path):
    summaries = summarize(make(tmp_path, [case()], law(2.0, -1.0, status=3)))
    assert "32 of 32" in format_table(summaries)
    assert len(save_figure(summaries, tmp_path)) == 3


def test_points_near_the_floor_are_not_fitted(tmp_path):
    """The last two means are at 9.9 times the solver's own gap; fitted, they would spoil the slope."""
    tables = law(2.0, -1.0)[:2] + [rows(0, n, 1e-3 * SPREAD, floor=1e-3 / 9.9) for n in N[2:]]
    [found] = summarize(make(tmp_path, [case()], tables))
    np.testing.assert_allclose(found.means[2:], 1e-3, rtol=1e-12)
    np.testing.assert_allclose(found.floor, [1e-20, 1e-20, 1e-3 / 9.9, 1e-3 / 9.9], rtol=1e-12)
    assert found.rate is not None and abs(found.rate.slope + 1) < 1e-12


def test_points_above_the_floor_are_fitted(tmp_path):
    """At 10.1 times the floor they count, and show in the slope: log10 means -1.7, -2.7, -3, -3 against 2 to 5."""
    tables = law(2.0, -1.0)[:2] + [rows(0, n, 1e-3 * SPREAD, floor=1e-3 / 10.1) for n in N[2:]]
    [found] = summarize(make(tmp_path, [case()], tables))
    means = np.log10([0.02, 0.002, 1e-3, 1e-3])
    assert found.rate is not None
    np.testing.assert_allclose(found.rate.slope, np.dot([-1.5, -0.5, 0.5, 1.5], means) / 5, rtol=1e-12)


@pytest.mark.parametrize("kept", [0, 1])
def test_too_few_points_above_the_floor(tmp_path, kept):
    tables = law(2.0, -1.0)[:kept] + [rows(0, n, 1e-9 * SPREAD, floor=1e-9) for n in N[kept:]]
    [found] = summarize(make(tmp_path, [case()], tables))
    assert found.rate is None
    assert "too few points" in format_table([found])
    save_figure([found], tmp_path)


def test_errors_of_zero(tmp_path):
    """Half of the seeds, or all of them, may be exact; the figure must still show what there is."""
    half = [rows(0, n, [0.0, 0.0, 0.0, 0.0, *(2.0 / n * SPREAD[4:])]) for n in N]
    none = [rows(1, n, np.zeros(8), floor=0.0) for n in N]
    summaries = summarize(make(tmp_path, [case("half"), case("none", constant=None)], half + none))
    first, second = summaries
    assert first.rate is not None and abs(first.rate.slope + 1) < 1e-12
    assert second.rate is None
    axes = draw(summaries[:1]).axes[0]
    assert axes.get_ylim()[0] > 1e-9
    save_figure(summaries, tmp_path)


def test_unvisited(tmp_path):
    tables = [rows(0, n, 2.0 / n * SPREAD, unvisited=[3, 0, 0, 1, 0, 0, 0, 0] if n == 100 else 0) for n in N]
    [found] = summarize(make(tmp_path, [case()], tables))
    assert found.unvisited == 2


def test_cases_are_told_apart(tmp_path):
    tables = [*law(2.0, -1.0, number=0), *law(5.0, -0.5, number=1)]
    cases = [case(), case(temperature=0.25), case("never ran")]
    first, second = summarize(make(tmp_path, cases, tables))
    assert first.rate is not None and abs(first.rate.slope + 1) < 1e-12
    assert second.rate is not None and abs(second.rate.slope + 0.5) < 1e-12
    header, *lines = format_table([first, second]).splitlines()
    assert header.startswith("game") and header.endswith("failed")
    assert lines[0].startswith("a (τ=0.5)") and "-1.0000 [" in lines[0] and "1.000 1.000 1.000" in lines[0]
    assert lines[1].startswith("a (τ=0.25)") and "-0.5000 [" in lines[1]
    assert all("8 x 4" in line and line.endswith("0 of 32") for line in lines[:2])


def test_summaries_are_the_same_again(tmp_path):
    store = make(tmp_path, [case()], law(2.0, -1.0))
    one, other = summarize(store)[0], summarize(store)[0]
    np.testing.assert_array_equal(one.band, other.band)
    assert one.rate == other.rate


def png_size(path):
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n" and content[12:16] == b"IHDR"
    return struct.unpack(">II", content[16:24])


@pytest.mark.parametrize(("panels", "size"), [(1, (650, 520)), (2, (1300, 520)), (3, (1300, 1040))])
def test_figure_files(tmp_path, panels, size):
    """Two panels to a row, each one column of a paper wide, at 200 dots per inch."""
    cases = [case(f"panel {index}") for index in range(panels)]
    tables = [table for index in range(panels) for table in law(2.0, -1.0, number=index)]
    summaries = summarize(make(tmp_path / "run", cases, tables))
    paths = save_figure(summaries, tmp_path)
    assert [path.name for path in paths] == ["figure.pdf", "figure.svg", "figure.png"]
    assert paths[0].read_bytes().startswith(b"%PDF")
    assert png_size(paths[2]) == size
    assert 5_000 < paths[2].stat().st_size < 1_000_000
    svg = paths[1].read_text()
    assert all(f"panel {index} (τ=0.5)" in svg for index in range(panels))
    assert "slope -1.000" in svg or "slope −1.000" in svg  # noqa: RUF001


def test_figure_is_the_same_again(tmp_path):
    summaries = summarize(make(tmp_path / "run", [case()], law(2.0, -1.0)))
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    for one, other in zip(save_figure(summaries, tmp_path / "one"), save_figure(summaries, tmp_path / "other")):  # noqa: B905
        assert one.read_bytes() == other.read_bytes(), one.name


def test_families_of_a_panel_share_axes(tmp_path):
    cases = [case("one", panel="both"), case("other", panel="both")]
    tables = [*law(2.0, -1.0, number=0), *law(5.0, -1.0, number=1)]
    [axes] = draw(summarize(make(tmp_path, cases, tables))).axes
    assert axes.get_title() == "both"
    labels = " ".join(text.get_text() for text in axes.get_legend().get_texts())
    assert "one (τ=0.5)" in labels and "other (τ=0.5)" in labels
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_figure_shows_points_and_prediction(tmp_path):
    """The points are the means; the line is the predicted law, not a fit."""
    [axes] = draw(summarize(make(tmp_path, [case(constant=3.0)], law(2.0, -1.0)))).axes
    lines = {str(line.get_label()): line for line in axes.get_lines()}
    [points] = [line for label, line in lines.items() if "slope" in label]
    np.testing.assert_allclose(points.get_ydata(), 2.0 / np.array(N), rtol=1e-12)
    [predicted] = [line for label, line in lines.items() if "predicted" in label]
    np.testing.assert_allclose(predicted.get_ydata(), 3.0 / np.array(N), rtol=1e-12)


def test_figure_tells_of_failures(tmp_path):
    tables = [*law(2.0, -1.0), rows(0, N[0], [1.0], status=3)]
    [axes] = draw(summarize(make(tmp_path, [case()], tables))).axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "1 of 33 solves failed" in labels


@pytest.mark.parametrize("panels", [1, 2])
def test_nothing_sticks_out_of_the_figure(tmp_path, panels):
    """Whether there is one panel or two."""
    cases = [case(f"panel {index}") for index in range(panels)]
    tables = [table for index in range(panels) for table in law(2.0, -1.0, number=index)]
    with matplotlib.rc_context(STYLE):
        figure = draw(summarize(make(tmp_path, cases, tables)))
        figure.draw_without_rendering()
    width, height = figure.get_size_inches()
    drawn = figure.get_tightbbox()
    assert drawn.x0 >= 0 and drawn.y0 >= 0 and drawn.x1 <= width and drawn.y1 <= height


@pytest.mark.parametrize(("floor", "drawn"), [(1e-20, False), (1e-5, True)])
def test_figure_tells_of_the_floor(tmp_path, floor, drawn):
    [axes] = draw(summarize(make(tmp_path, [case()], law(2.0, -1.0, floor=floor)))).axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert ("solver's floor" in labels) == drawn
    assert any("solver's floor below $10^{-20}$" in label for label in labels) == (not drawn)
    if drawn:
        assert axes.get_ylim()[0] < floor


def test_play_of_which_nothing_is_left(tmp_path):
    """The figure of rounds is drawn where all solves failed, too."""
    told = [Curve.of("regularized_gap", "num_rounds", len(N), slope=-1.0)]
    save_figure(summarize(make(tmp_path, [case(curves=told)], law(2.0, -1.0, status=3))), tmp_path)
