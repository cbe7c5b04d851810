"""Where games come from: the classics, random families from a key, and payoff files."""

from gamekl.games.classic import (
    chicken,
    coordination,
    donation,
    matching_pennies,
    perturbed_rock_paper_scissors,
    prisoners_dilemma,
    rock_paper_scissors,
    shapley,
)
from gamekl.games.doors import doors
from gamekl.games.featured import Featured, context_linear, linear, smooth
from gamekl.games.files.efg import parse_efg
from gamekl.games.files.load import load_game, read_agg, read_bagg, read_csv, read_efg, read_nfg, read_npz
from gamekl.games.files.nfg import parse_nfg, write_nfg
from gamekl.games.gambit import from_pygambit, to_pygambit
from gamekl.games.hard_pair import hard_pair
from gamekl.games.openspiel import from_pyspiel, to_pyspiel
from gamekl.games.random import covariant, normal, polymatrix, potential, preference, uniform, zero_sum
from gamekl.games.reduction import MergedGame, merge_equivalent
from gamekl.games.staged import contextual, markov

__all__ = [
    "Featured",
    "MergedGame",
    "chicken",
    "context_linear",
    "contextual",
    "coordination",
    "covariant",
    "donation",
    "doors",
    "from_pygambit",
    "from_pyspiel",
    "hard_pair",
    "linear",
    "load_game",
    "markov",
    "matching_pennies",
    "merge_equivalent",
    "normal",
    "parse_efg",
    "parse_nfg",
    "perturbed_rock_paper_scissors",
    "polymatrix",
    "potential",
    "preference",
    "prisoners_dilemma",
    "read_agg",
    "read_bagg",
    "read_csv",
    "read_efg",
    "read_nfg",
    "read_npz",
    "rock_paper_scissors",
    "shapley",
    "smooth",
    "to_pygambit",
    "to_pyspiel",
    "uniform",
    "write_nfg",
    "zero_sum",
]
