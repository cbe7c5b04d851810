"""Where games come from: the classics, random families from a key, and payoff files. They load on first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from gamekl.games.door_game import doors
    from gamekl.games.featured import Featured, context_linear, linear, smooth
    from gamekl.games.files.game_text import parse_efg, parse_nfg, write_nfg, write_npz
    from gamekl.games.files.load import load_game, read_agg, read_bagg, read_csv, read_efg, read_nfg, read_npz
    from gamekl.games.gambit import from_pygambit, to_pygambit
    from gamekl.games.hard_games import hard_pair
    from gamekl.games.openspiel import from_pyspiel, to_pyspiel
    from gamekl.games.random import covariant, normal, polymatrix, potential, preference, uniform, zero_sum
    from gamekl.games.reduction import MergedGame, merge_equivalent
    from gamekl.games.staged import contextual, markov
    from gamekl.games.symmetric import opponent_counts, uniform_symmetric

_HOMES = {
    "Featured": "featured",
    "MergedGame": "reduction",
    "chicken": "classic",
    "context_linear": "featured",
    "contextual": "staged",
    "coordination": "classic",
    "covariant": "random",
    "donation": "classic",
    "doors": "door_game",
    "from_pygambit": "gambit",
    "from_pyspiel": "openspiel",
    "hard_pair": "hard_games",
    "linear": "featured",
    "load_game": "files.load",
    "markov": "staged",
    "matching_pennies": "classic",
    "merge_equivalent": "reduction",
    "normal": "random",
    "opponent_counts": "symmetric",
    "parse_efg": "files.game_text",
    "parse_nfg": "files.game_text",
    "perturbed_rock_paper_scissors": "classic",
    "polymatrix": "random",
    "potential": "random",
    "preference": "random",
    "prisoners_dilemma": "classic",
    "read_agg": "files.load",
    "read_bagg": "files.load",
    "read_csv": "files.load",
    "read_efg": "files.load",
    "read_nfg": "files.load",
    "read_npz": "files.load",
    "rock_paper_scissors": "classic",
    "shapley": "classic",
    "smooth": "featured",
    "to_pygambit": "gambit",
    "to_pyspiel": "openspiel",
    "uniform": "random",
    "uniform_symmetric": "symmetric",
    "write_nfg": "files.game_text",
    "write_npz": "files.game_text",
    "zero_sum": "random",
}

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
    "opponent_counts",
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
    "uniform_symmetric",
    "write_nfg",
    "write_npz",
    "zero_sum",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gamekl.games' has no attribute {name!r}")
    value = getattr(import_module(f"gamekl.games.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
