"""Broken files of all kinds are read or refused."""

import time

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
def broken(draw, files):
    """Files whose tokens are dropped, doubled, swapped and replaced, and then the text is cut or patched."""
    tokens = draw(files)
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


def never_dies(files, parse, prefixes, examples):
    """A test that every broken file gives a valid game or a ValueError with one of these prefixes, within 2 s."""

    @settings(max_examples=examples, deadline=None)
    @given(broken(files))
    def is_read_or_refused(text):
        start = time.process_time()
        try:
            gk.validate(parse(text))
        except ValueError as error:
            assert str(error).startswith((*prefixes, "payoffs"))
            assert len(str(error)) < 1000
        assert time.process_time() - start < 2

    return is_read_or_refused
