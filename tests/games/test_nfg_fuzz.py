"""Broken .nfg files of all kinds are read or refused."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gamekl as gk

names = st.text(max_size=3).map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
numbers = st.one_of(
    st.integers().map(str),
    st.floats().map(repr),
    st.fractions().map(str),
    st.decimals().map(str),
    st.sampled_from(["1e400", "9" * 400 + "/" + "7" * 400, "1/0", ".5", "5.", "+1", "0x1", "1_0", "\u0661"]),
)
junk = st.one_of(
    names,
    numbers,
    st.sampled_from(
        ["{", "}", ",", '"', "\\", "\x00", "\r\n", "\ufeff", "\ud800", "{ {", "999999999", "NFG", "R", '" "']
    ),
    st.text(max_size=4),
)


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


@st.composite
def broken_files(draw):
    """Valid files in which tokens are dropped, doubled, swapped and replaced, and then the text is cut or patched."""
    tokens = draw(game_files())
    for _ in range(draw(st.integers(0, 3))):
        place, other = (draw(st.integers(0, len(tokens) - 1)) for _ in range(2))
        swapped = [*tokens[:place], tokens[other], *tokens[place + 1 :]]
        tokens = draw(
            st.sampled_from(
                [swapped, tokens[:place] + tokens[place + 1 :] or ["x"], tokens[:other] + tokens[place:] or ["x"]]
            )
        )
        tokens.insert(place, draw(junk)) if draw(st.booleans()) else None
    text = draw(st.sampled_from([" ", "\n", ", ", "\r\n\t", ""])).join(tokens)
    start = draw(st.integers(0, len(text)))
    end = start + draw(st.sampled_from([0, 0, 0, 1, 5, 1000]))
    return text[:start] + draw(junk) + text[end:] if draw(st.booleans()) else text


def is_read_or_refused(text):
    """A valid game comes out, or a ValueError of ours, within 2 s."""
    start = time.process_time()
    try:
        gk.validate(gk.games.parse_nfg(text))
    except ValueError as error:
        assert str(error).startswith(("nfg: ", "payoffs["))
        assert len(str(error)) < 1000
    assert time.process_time() - start < 2


test_broken_files = settings(max_examples=500, deadline=None)(given(broken_files())(is_read_or_refused))
test_ten_thousand_broken_files = pytest.mark.slow(
    settings(max_examples=10_000, deadline=None)(given(broken_files())(is_read_or_refused))
)
