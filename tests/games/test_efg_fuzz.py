"""Broken .efg files of all kinds are read or refused."""

import pytest
from fuzz_helpers import names, never_dies, numbers
from hypothesis import strategies as st

import gamekl as gk

CHANCES = {1: ["1"], 2: ["1/3", "2/3"], 3: ["0.25", "0", "75e-2"]}


@st.composite
def game_files(draw):
    """The tokens of a tree of up to three players; sets and outcomes may return, described again or not."""
    players = draw(st.integers(1, 3))
    tokens = ["EFG", "2", "R", draw(names), "{", *(draw(names) for _ in range(players)), "}"]
    if draw(st.booleans()):
        tokens.append(draw(names))
    known: dict[tuple[str, ...], list[str]] = {}

    def described(key, description):
        """A set or outcome by its number, which is that of its kind."""
        tokens.extend(key)
        if key not in known or draw(st.booleans()):
            tokens.extend(known.setdefault(key, description))

    pending = [draw(st.integers(0, 4))]
    while pending:
        level = pending.pop()
        kind = "t" if level == 0 else draw(st.sampled_from("ppct"))
        tokens += [kind, draw(names)]
        count = draw(st.integers(1, 3))
        if kind == "p":
            player = draw(st.integers(1, players))
            actions = [draw(names) for _ in range(count)]
            described((str(player), str(draw(st.integers(0, 2)) * 10 + count)), [draw(names), "{", *actions, "}"])
        elif kind == "c":
            actions = [token for chance in CHANCES[count] for token in (draw(names), chance)]
            described((str(count),), [draw(names), "{", *actions, "}"])
        outcome = draw(st.integers(0, 3))
        pays = [draw(numbers) for _ in range(players)]
        if outcome:
            described((str(outcome), ""), [draw(names), "{", *pays, "}"])
        else:
            tokens.append("0")
        pending += [max(level - 1, 0)] * (0 if kind == "t" else count)
    return [token for token in tokens if token]


test_broken_files = never_dies(game_files(), gk.games.parse_efg, ["efg: "], 300)
test_ten_thousand_broken_files = pytest.mark.slow(never_dies(game_files(), gk.games.parse_efg, ["efg: "], 10_000))
