"""Broken .nfg files of all kinds are read or refused."""

import numpy as np
import pytest
from fuzz_helpers import names, never_dies, numbers
from hypothesis import strategies as st

import gamekl as gk


@st.composite
def game_files(draw):
    """The tokens of a valid file, in either variant."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    players, cells = len(sizes), int(np.prod(sizes))
    tokens = ["NFG", "1", "R", draw(names), "{", *(draw(names) for _ in sizes), "}", "{"]
    for size in sizes:
        tokens += ["{", *(draw(names) for _ in range(size)), "}"] if draw(st.booleans()) else [str(size)]
    tokens.append("}")
    if draw(st.booleans()):
        tokens.append(draw(names))
    if draw(st.booleans()):
        return tokens + [draw(numbers) for _ in range(players * cells)]
    outcomes = draw(st.integers(0, 3))
    tokens.append("{")
    for _ in range(outcomes):
        tokens += ["{", draw(names), *(draw(numbers) for _ in sizes), "}"]
    return [*tokens, "}", *(str(draw(st.integers(0, outcomes))) for _ in range(cells))]


test_broken_files = never_dies(game_files(), gk.games.parse_nfg, ["nfg: "], 500)
test_ten_thousand_broken_files = pytest.mark.slow(never_dies(game_files(), gk.games.parse_nfg, ["nfg: "], 10_000))
