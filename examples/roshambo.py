"""Which of 43 rock-paper-scissors programs survive: equilibria of a logged tournament, and new matches.

The logs are those of roshambo_play.py. In the meta-game each player chooses a program; anchored to the schedule of the
tournament it has one equilibrium (x, y) at each temperature, and as temperature falls, the programs that are of no use
there leave it. Their effective number is exp(entropy(x)). Rows and columns are alike, so the true value is 0.

Predicted and held-out: with A the row's mean scores in the log and B those in the held-out matches (0, a draw, for a
pair without a match), program i of the row is predicted to score (A y)_i against the log's equilibrium mixture, and
scored (B y)_i; column j: -(x'A)_j and -(x'B)_j. Bootstrap bands of both, the profile held fixed, are joined into one of
their difference. (The bands of the equilibrium itself, to the left of the figure, are wider: there each resample has
an equilibrium of its own.)

A program that nobody selected is predicted almost without bias. The best reply is selected: it is the largest of 43
predictions, and against a mixture that was chosen, by the same data, to leave nothing to gain.

That bands hold as often as they say is seen in many splits of all matches, at random, into a log and held-out ones:
rows are independent and of one law, so each split is as good as a log that was played for it. (They need matches of
nearly all pairs: in logs of 2,000, where half of the pairs have none, 95 % bands hold 90 to 93 % of the scores.)
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter
from roshambo_play import OUT, PARTS, schedule

import gamekl as gk
from gamekl.experiment.show.plot import COLOURS, STYLE
from gamekl.learning import Band

PLAYERS = ("row", "column")
TEMPERATURES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
SHOWN = 0.02  # temperature of the right half of the figure
SPLIT_TEMPERATURES = (0.1, 0.005)
NUM_SPLITS = 100
GAMD_ROUNDS = 5_000
HEADER = (
    "             programs           row's value          best reply            in their\n"
    "temperature  GANE  GAMD   predicted  held-out   predicted  held-out   95 % band   leading"
)


def log_schema(names: Sequence[Any] | None = None) -> gk.offline.LogSchema:
    """The columns of the logs; programs are those named, or those found."""
    players = [{"name": p, "action": f"{p}_program", "reward": f"{p}_score", "actions": names} for p in PLAYERS]
    return gk.offline.LogSchema(player=players)


def anchor(num_programs: int, temperature: float) -> gk.Regularizer:
    """To the schedule."""
    return gk.Regularizer([jnp.log(schedule(num_programs))] * len(PLAYERS), temperature)


def difference(first: Band, second: Band) -> Band:
    """The difference of independent numbers and its band: each side of theirs, added in quadrature.

    Source: Zou and Donner, "Construction of confidence limits about effect measures: a general approach", Statistics in
    Medicine 27 (2008).
    """

    def together(one: Any, other: Any) -> np.ndarray:
        return np.hypot(np.maximum(one, 0), np.maximum(other, 0))

    point = first.point - second.point
    below = together(first.point - first.lower, second.upper - second.point)
    above = together(first.upper - first.point, second.point - second.lower)
    return Band(point, point - below, point + above)


class Comparison(NamedTuple):
    """What a profile promises in the log, and how held-out matches differ; payoff units.

    Attributes:
        predicted: score of each program against the other player's mixture, shape ``[player, program]``.
        error: predicted less held-out, with its band.
        value: of each player, predicted, shape ``[player]``.
        value_error: predicted less held-out, with its band.
    """

    predicted: np.ndarray
    error: Band
    value: np.ndarray
    value_error: Band

    @property
    def inside(self) -> np.ndarray:
        """Which held-out scores are in the band around the prediction, shape ``[player, program]``."""
        return (self.error.lower <= 0) & (self.error.upper >= 0)

    @property
    def best(self) -> tuple[float, float]:
        """What the best reply is predicted to score, mean of both players, and by how much that is too high."""
        best = np.argmax(self.predicted, axis=1)[:, None]
        predicted, error = (np.take_along_axis(table, best, axis=1) for table in (self.predicted, self.error.point))
        return float(predicted.mean()), float(error.mean())


def compare(log: gk.offline.Log, heldout: gk.offline.Log, log_policy: Any, key: jax.Array) -> Comparison:
    """Bootstrap both with the profile held fixed."""
    parts = zip((log, heldout), jax.random.split(key), strict=True)
    found = [gk.learning.bootstrap_profile(part, log_policy, one) for part, one in parts]
    scores = [jax.tree.map(lambda *players: np.stack(players), *result.action_values) for result in found]
    values = [result.value for result in found]
    return Comparison(scores[0].point, difference(*scores), values[0].point, difference(*values))


class Level(NamedTuple):
    """One temperature.

    Attributes:
        temperature: of the anchor.
        found: the equilibrium of the log (GANE), with bands.
        played: what GAMD played.
        comparison: with held-out matches.
    """

    temperature: float
    found: gk.learning.Bootstrap
    played: gk.CorrelatedSolution
    comparison: Comparison


def solve(log: gk.offline.Log, heldout: gk.offline.Log, temperature: float, key: jax.Array) -> Level:
    """GANE and GAMD of the log, and what held-out matches say of them."""
    first, second = jax.random.split(key)
    regularizer = anchor(len(log.actions[0]), temperature)
    found = gk.learning.bootstrap(log, regularizer, first)
    played = gk.gamd(found.estimate.game, regularizer, num_rounds=GAMD_ROUNDS, weighting="linear")
    return Level(temperature, found, played, compare(log, heldout, found.solution.log_policy, second))


def _part(log: gk.offline.Log, groups: np.ndarray) -> gk.offline.Log:
    """Some of a log's groups."""
    kept = jax.tree.map(lambda leaf: leaf[groups], log.groups)
    return replace(log, groups=kept, num_rows=int(kept.counts.sum()))


def split(pool: gk.offline.Log, temperature: float, num_splits: int, key: jax.Array) -> list[Comparison]:
    """Comparisons of one half of all matches with the other."""
    regularizer, comparisons = anchor(len(pool.actions[0]), temperature), []
    for one in jax.random.split(key, num_splits):
        order = np.asarray(jax.random.permutation(one, pool.num_groups))
        log, heldout = (_part(pool, half) for half in np.array_split(order, 2))
        solution = gk.gane(gk.offline.estimate(log.statistics), regularizer)
        comparisons.append(compare(log, heldout, solution.log_policy, jax.random.fold_in(one, 0)))
    return comparisons


def effective_number(policy: Any) -> float:
    """exp(entropy)."""
    return float(jnp.exp(-jnp.sum(jax.scipy.special.xlogy(policy, policy))))


def _draw_support(programs: Any, number: Any, levels: Sequence[Level], names: Sequence[str]) -> None:
    temperatures = [level.temperature for level in levels]
    bands = jax.tree.map(lambda *parts: np.stack(parts), *(level.found.policy[0] for level in levels))
    order = np.argsort(-bands.point[-1])
    for program in order[len(COLOURS) :]:
        programs.plot(temperatures, bands.point[:, program], color="0.85", lw=0.5)
    for program, colour in zip(order, COLOURS, strict=False):
        programs.plot(temperatures, bands.point[:, program], "o-", ms=2.5, color=colour, label=names[program])
        band = bands.lower[:, program], bands.upper[:, program]
        programs.fill_between(temperatures, *band, color=colour, alpha=0.12, lw=0)
    programs.set(xscale="log", ylabel="probability in the equilibrium", title="Who survives as the anchor weakens")
    programs.legend(frameon=False, loc="upper left")
    solved = [effective_number(level.found.solution.policy[0]) for level in levels]
    played = [effective_number(level.played.marginals[0]) for level in levels]
    number.plot(temperatures, solved, color="0.2", label="GANE")
    number.plot(temperatures, played, "x", ms=4, color=COLOURS[1], label="GAMD")
    number.set(yscale="log", xlabel="temperature $\\tau$", ylabel="effective number", yticks=[5, 10, 20, 40])
    number.set_xlim(1.1, temperatures[-1] / 1.1)
    number.yaxis.set_major_formatter(ScalarFormatter())
    number.yaxis.set_minor_formatter(NullFormatter())
    number.legend(frameon=False)


def _draw_scores(scores: Any, errors: Any, shown: Level) -> None:
    found = shown.comparison
    for player, name in enumerate(PLAYERS):
        predicted, error = found.predicted[player], jax.tree.map(itemgetter(player), found.error)
        style: Any = {"ms": 2, "lw": 0.6, "color": COLOURS[player]}
        scores.plot(predicted, predicted - error.point, "o", **style, label=f"programs of the {name}")
        bars = [error.upper - error.point, error.point - error.lower]
        errors.errorbar(predicted, -error.point, bars, fmt="o", **style)
    scores.axline((0, 0), slope=1, color="0.6", lw=0.6, zorder=0)
    errors.axhline(0, color="0.6", lw=0.6, zorder=0)
    title = f"Scores against the equilibrium at $\\tau$ = {shown.temperature:g}"
    scores.set(ylabel="score in held-out matches", title=title)
    scores.legend(frameon=False)
    errors.set(xlabel="predicted score", ylabel="held-out $-$ predicted")
    counted = f"95 % bands: {found.inside.sum()} of {found.inside.size} reach 0"
    errors.annotate(counted, (0.98, 0.02), xycoords="axes fraction", ha="right", fontsize=6)


def draw(levels: Sequence[Level], names: Sequence[str]) -> Figure:
    """Support against temperature on the left, predicted and held-out scores on the right."""
    figure = Figure(figsize=(6.5, 4.4), layout="constrained")
    (programs, scores), (number, errors) = figure.subplots(2, 2, sharex="col", height_ratios=(1.7, 1))
    _draw_support(programs, number, levels, names)
    _draw_scores(scores, errors, next(level for level in levels if level.temperature == SHOWN))
    for axes in (programs, scores, number, errors):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def line(level: Level, names: Sequence[str]) -> str:
    """Of the table under `HEADER`."""
    policy, found = np.asarray(level.found.solution.policy[0]), level.comparison
    (best, excess), value, error = found.best, found.value[0], found.value_error.point[0]
    leading = ", ".join(f"{names[program]} {policy[program]:.2f}" for program in np.argsort(-policy)[:4])
    return (
        f"{level.temperature:11g}{effective_number(policy):6.1f}{effective_number(level.played.marginals[0]):6.1f}"
        f"{value:12.4f}{value - error:10.4f}{best:12.4f}{best - excess:10.4f}{found.inside.mean():12.1%}   {leading}"
    )


def with_error(values: Sequence[float]) -> str:
    """Their mean, with its standard error."""
    return f"{np.mean(values):.4f} +- {np.std(values) / np.sqrt(len(values)):.4f}"


def main() -> None:
    """Solve, compare, draw."""
    jax.config.update("jax_enable_x64", True)
    logging.getLogger("gamekl").setLevel(logging.ERROR)  # pairs without a match are counted here
    start = time.monotonic()
    paths = [OUT / f"{part}.parquet" for part in PARTS]
    pool = gk.offline.read_log(paths, log_schema(), num_groups=512)
    names = [str(name) for name in pool.actions[0]]
    log, heldout = (gk.offline.read_log(path, log_schema(names)) for path in paths)
    coverage = log.coverage()
    print(f"matches of a pair: {coverage.fewest:g} to {coverage.most:g}, {coverage.missing.sum()} pairs without one")
    keys = jax.random.split(jax.random.key(0), len(TEMPERATURES) + len(SPLIT_TEMPERATURES))
    print(HEADER)
    levels = []
    for temperature, key in zip(TEMPERATURES, keys, strict=False):
        levels.append(solve(log, heldout, temperature, key))
        print(line(levels[-1], names), flush=True)
    with matplotlib.rc_context(STYLE):
        figure = draw(levels, names)
        for suffix, dated in (("svg", "Date"), ("pdf", "CreationDate")):
            figure.savefig(OUT / f"roshambo.{suffix}", metadata={dated: None})
    for temperature, key in zip(SPLIT_TEMPERATURES, keys[len(TEMPERATURES) :], strict=True):
        found = split(pool, temperature, NUM_SPLITS, key)
        print(f"{NUM_SPLITS} splits of all matches, temperature {temperature:g}:")
        print(f"  held-out scores in their 95 % band    {with_error([one.inside.mean() for one in found])}")
        print(f"  too high by: prediction of a program  {with_error([one.error.point.mean() for one in found])}")
        print(f"               that of the best reply   {with_error([one.best[1] for one in found])}", flush=True)
    print(f"{time.monotonic() - start:.0f} s; the figure is {OUT}/roshambo.svg")


if __name__ == "__main__":
    main()
