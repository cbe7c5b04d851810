"""Schemas of logs: every fault has its key."""

import re
import textwrap
import tomllib

import pytest
from log_helpers import schema

import gamekl as gk
from gamekl.offline.logs import schema as module

ONE = '[[player]]\naction = "a"\nreward = "r"\n'
TWO = ONE + '[[player]]\naction = "b"\nreward = "s"\n'
BAD_SCHEMAS = {
    "no player": ("", "player: got nothing, takes a value"),
    "no action": ('[[player]]\nreward = "r"\n', "player.0.action: got nothing, takes a value"),
    "no reward": (TWO + '[[player]]\naction = "c"\n', "player.2.reward: got nothing, takes a column .or preference"),
    "unknown key": (f'contxt = "x"\n{TWO}', "contxt: got an unknown key; did you mean 'context'. takes player, group"),
    "unknown key of a player": (TWO + 'rewrad = "s"', "player.1.rewrad: got an unknown key; did you mean 'reward'"),
    "empty name": (TWO.replace('"a"', '""'), "player.0.action: got '', takes a string of 1 or more letters"),
    "repeated labels": (ONE + 'actions = ["x", "y", "x"]', "player.0.actions: got the label 'x' more than once"),
    "labels of two kinds": (
        ONE + 'actions = ["x", 1]',
        "player.0.actions: got 1 among them, takes strings or integers",
    ),
    "float labels": (ONE + "actions = [0.5, 1.5]", "player.0.actions: got 0.5 among them, takes strings or integers"),
    "bool labels": (ONE + "actions = [true, false]", "player.0.actions: got True among them, takes strings or"),
    "no labels": (ONE + "actions = []", "player.0.actions: got .., takes a list of labels"),
    "one column twice": (ONE + ONE, "player.1.action: got 'a' a second time, takes a column for each player"),
    "one name twice": (
        ONE + 'name = "n"\n[[player]]\nname = "n"\naction = "b"\nreward = "r"',
        "player.1.name: got 'n' a second time, takes names that differ",
    ),
    "reward is action": (TWO.replace('"s"', '"b"'), "player.1.reward: got 'b', which is player.1.action already"),
    "preference and reward": (f'preference = "p"\n{TWO}', "player.0.reward: got 'r' beside preference, takes one or"),
    "preference of three": (
        'preference = "p"\n' + "".join(f'[[player]]\naction = "{name}"\n' for name in "abc"),
        "preference: got one for 3 players, takes it for two",
    ),
    "contexts without context": (f'contexts = ["x"]\n{TWO}', "contexts: got labels without context, takes the column"),
    "context is a number": (f"context = 3\n{TWO}", "context: got 3, takes a string"),
}


@pytest.mark.parametrize("case", BAD_SCHEMAS)
def test_bad_schemas(tmp_path, case):
    text, message = BAD_SCHEMAS[case]
    with pytest.raises(ValueError, match=rf"^\S*log\.toml: schema:\n  {message}"):
        schema(tmp_path, text)


def test_schema_of_python():
    columns = {"action": "a", "reward": "r", "actions": [2, 1]}
    table = gk.offline.LogSchema(player=[columns])
    assert table.player[0].actions == (2, 1) and table.names == ("player 1",)
    with pytest.raises(ValueError, match="schema:\n  player: got nothing, takes a value\n  groups: got an unknown key"):
        gk.offline.LogSchema(groups="g")


def test_no_toml(tmp_path):
    (tmp_path / "log.toml").write_text("player = [")
    with pytest.raises(ValueError, match=r"schema: got .*log.toml, takes a TOML file"):
        gk.offline.load_log_schema(tmp_path / "log.toml")
    with pytest.raises(ValueError, match=r"schema: got .*none\.toml"):
        gk.offline.load_log_schema(tmp_path / "none.toml")


def test_the_examples_of_the_docstring():
    """Each is a schema, the one in the middle with two players in place of theirs."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", module.__doc__, re.MULTILINE)
    wide, scores, long = (tomllib.loads(textwrap.dedent(block)) for block in blocks)
    assert gk.offline.LogSchema(**wide).names == ("row", "player 2")
    assert gk.offline.LogSchema(**long).names == ("north", "south")
    players = [{"action": "a"}, {"action": "b"}]
    assert gk.offline.LogSchema(player=players, preference=scores.pop("preference")).columns["preference"] == "won"
    assert gk.offline.LogSchema(player=players, **scores).ties == ("tie", "draw")
    known = {*wide, *long, "preference", "outcome", "ties"}
    assert known == set(gk.offline.LogSchema.model_fields)


UNFIT = {
    "symmetric is no truth": (f'symmetric = "yes"\n{TWO}', "symmetric: got 'yes', takes true or false"),
    "symmetric of one": (f"symmetric = true\n{ONE}", "symmetric: got true for 1 players, takes it for two"),
    "symmetric with two lists": (
        f'symmetric = true\n{ONE}actions = ["x"]\n{TWO[len(ONE) :]}actions = ["y"]',
        "player.1.actions: got other labels than player.0.actions, takes the same in a symmetric game",
    ),
    "outcome and reward": (f'outcome = "w"\n{TWO}', "player.0.reward: got 'r' beside outcome, takes one or the other"),
    "outcome and preference": (
        f'outcome = "w"\npreference = "p"\n{TWO}',
        "outcome: got one beside preference, takes one",
    ),
    "ties alone": (f'ties = ["tie"]\n{TWO}', "ties: got outcomes without outcome, takes the column that has them, too"),
    "weight is action": (
        f'weight = "b"\n{TWO}',
        "weight: got 'b', which is player.1.action already, takes a column of its",
    ),
    "match in the wide layout": (
        f'match = "m"\n{TWO}',
        "match: got 'm' in the wide layout, takes it with layout = .long.",
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_keys_that_do_not_fit(tmp_path, case):
    text, message = UNFIT[case]
    with pytest.raises(ValueError, match=rf"^\S*log\.toml: schema:\n  {message}"):
        schema(tmp_path, text)
