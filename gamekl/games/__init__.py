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
from gamekl.games.featured import Featured, context_linear, linear, smooth
from gamekl.games.files import load_game, parse_nfg, read_nfg, read_npz, write_nfg
from gamekl.games.hard_pair import hard_pair
from gamekl.games.random import covariant, normal, polymatrix, potential, uniform, zero_sum
from gamekl.games.staged import contextual, markov

__all__ = [
    "Featured",
    "chicken",
    "context_linear",
    "contextual",
    "coordination",
    "covariant",
    "donation",
    "hard_pair",
    "linear",
    "load_game",
    "markov",
    "matching_pennies",
    "normal",
    "parse_nfg",
    "perturbed_rock_paper_scissors",
    "polymatrix",
    "potential",
    "prisoners_dilemma",
    "read_nfg",
    "read_npz",
    "rock_paper_scissors",
    "shapley",
    "smooth",
    "uniform",
    "write_nfg",
    "zero_sum",
]
