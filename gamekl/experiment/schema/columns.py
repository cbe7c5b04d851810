"""The columns of a sweep's results, in order: what shards hold and `gamekl results` writes. Loads no jax.

A row is one game, one dataset (seed) and one sample size, of families that play also one number of rounds. Gaps are
measured in the true game and summed over its players unless said otherwise; a column that a family has no use for is
null. The units: "payoff" is payoff units, "nat" natural logarithms, a name in brackets the numbers of an enumeration.
"""

import textwrap
from typing import NamedTuple


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
RESULTS = (
    Column("regularized_gap", "float64", "payoff", "regularised Nash gap: what deviations gain, less their KL costs"),
    Column("regularized_gap_max", "float64", "payoff", "the same of the player who has most of it"),
    Column("nash_gap", "float64", "payoff", "Nash gap without regularisation, on the references' support"),
    Column("regularized_cce_gap", "float64", "payoff", "of a joint policy: one policy for all rounds, KL paid; if > 0"),
    Column("cce_gap", "float64", "payoff", "of a joint policy: what one action for all rounds gains, if > 0"),
    Column("ce_gap", "float64", "payoff", "of a joint policy: an action for each recommended one, if > 0"),
    Column("average_nash_gap", "float64", "payoff", "of 'follow': Nash gap of the policies' averages over rounds"),
    Column("kl", "float64", "nat", "of 'follow': KL from the anchored equilibrium"),
    Column("suboptimality", "float64", "payoff", "of 'lead': what the leader loses beside the best policy"),
    Column("follower_error", "float64", "payoff", "of 'lead': root mean square error of the follower's payoffs"),
    Column("coverage", "float64", "", "of 'lead': 1 where the band has the true value of the leader's policy, else 0"),
    Column("regret", "float64", "payoff", "of 'online': over all rounds"),
    Column("solver_gap", "float64", "payoff", "the gap in the estimated game, that the solver made small"),
    Column("bound", "float64", "payoff or nat", "proven bound on solver_gap (of 'gamd' and its like) or kl ('follow')"),
    Column("residual", "float64", "", "sup |policy - best response| in the estimated game; of exact gap over range"),
    Column("num_steps", "int32", "", "steps of the solver; rounds of families that play"),
    Column("num_queries", "int32", "", "of 'follow': comparisons that were asked for"),
    Column("status", "int32", "[gamekl.Status]", "0 where the solve converged, else why it did not"),
    Column("unvisited", "int32", "cells", "joint actions (of 'lead' follower's actions) that the data never saw"),
    Column("exceeded", "int32", "", "1 where the bound was exceeded, else 0"),
    Column("first_gap", "int32", "rounds", "of 'follow': first round whose regularised gap is within tol; -1 if none"),
    Column("first_kl", "int32", "rounds", "of 'follow': first round whose KL is within kl_tol; -1 if none"),
)
COLUMNS = (*PLACES, *RESULTS)


def columns_text() -> str:
    """A line for each column: name, unit, meaning; and first what a row is."""
    preface = " ".join((__doc__ or "").partition("\n\n")[2].split())
    widths = [max(len(column[part]) for column in COLUMNS) for part in (0, 2)]
    lines = [f"{name:<{widths[0]}}  {unit:<{widths[1]}}  {meaning}" for name, _, unit, meaning in COLUMNS]
    return "\n".join([textwrap.fill(preface, 120), "", *lines])
