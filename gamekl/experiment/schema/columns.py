"""The columns of a sweep's results, in order: what shards hold and `gamekl results` writes. Loads no jax.

A row is one game, one dataset (seed) and one sample size, of families that play also one number of rounds. Gaps are
measured in the true game and summed over its players unless said otherwise; a column that a family has no use for is
null. The units: "payoff" is payoff units, "nat" natural logarithms, a name in brackets the numbers of an enumeration.
"""

import textwrap
from typing import NamedTuple

from gamekl.experiment.schema.metrics import METRICS


class Column(NamedTuple):
    """One column.

    Attributes:
        name: in the file.
        dtype: as numpy names it, or "text".
        unit: of its numbers; empty where there is none.
        meaning: in a sentence.
    """

    name: str
    dtype: str
    unit: str
    meaning: str


PLACES = (
    Column("case", "int32", "", "number of the case in plan.json: a family at one temperature, C and scale"),
    Column("label", "text", "", "the family's label"),
    Column("temperature", "float64", "payoff / nat", "of the anchor, 1 / lambda of a logit equilibrium"),
    Column("concentrability", "float64", "", "C that the behavior was made to have; null where it was not"),
    Column("scale", "float64", "std deviations", "of the bonus of pessimistic solvers"),
    Column("num_samples", "int64", "rows", "sample size n: rows, episodes or comparisons; of 'online' rounds"),
    Column("game", "int32", "", "number of the game in its family, from 0"),
    Column("seed", "int32", "", "number of the dataset, from 0: with the config it makes the same random numbers"),
)
# Of results, those that are no metrics.
FACTS = (
    Column("regularized_gap_max", "float64", "payoff", "the regularised gap of the player who has most of it"),
    Column("ce_gap", "float64", "payoff", "of a joint policy: an action for each recommended one, if > 0"),
    Column("bound", "float64", "payoff or nat", "proven bound on solver_gap (of 'gamd' and its like) or kl ('follow')"),
    Column("residual", "float64", "", "sup |policy - best response| in the estimated game; of exact gap over range"),
    Column("num_steps", "int32", "", "corrections of the solver; pivots of exact"),
    Column("num_rounds", "int32", "", "of families that play: rounds that were played"),
    Column("num_queries", "int32", "", "of 'follow': comparisons that were asked for"),
    Column("status", "int32", "[gamekl.Status]", "0 where the solve converged, else why it did not"),
    Column("unvisited", "int32", "cells", "joint actions (of 'lead' follower's actions) that the data never saw"),
    Column("exceeded", "int32", "", "1 where the bound was exceeded, else 0"),
    Column("first_gap", "int32", "rounds", "of 'follow': first round whose regularised gap is within tol; -1 if none"),
    Column("first_kl", "int32", "rounds", "of 'follow': first round whose KL is within kl_tol; -1 if none"),
)


def result_columns() -> tuple[Column, ...]:
    """What a kind of sweep may compute: the metrics, those of plugins too, and facts about the solve."""
    metrics = (Column(entry.name, "float64", entry.unit, entry.meaning) for entry in METRICS.values())
    return (*metrics, *FACTS)


def columns_text() -> str:
    """A line for each column: name, unit, meaning; and first what a row is."""
    preface = " ".join((__doc__ or "").partition("\n\n")[2].split())
    columns = (*PLACES, *result_columns())
    widths = [max(len(column[part]) for column in columns) for part in (0, 2)]
    lines = [f"{name:<{widths[0]}}  {unit:<{widths[1]}}  {meaning}" for name, _, unit, meaning in columns]
    return "\n".join([textwrap.fill(preface, 120), "", *lines])
