"""The long layout: a row for each player of a match."""

import numpy as np
import pytest
from log_helpers import assert_same, play, write

import gamekl as gk
from gamekl.offline.logs import matches

WIDE = gk.offline.LogSchema(
    group="game",
    player=[
        {"name": "me", "action": "mine", "reward": "my_score"},
        {"name": "you", "action": "yours", "reward": "your_score"},
    ],
)
LONG = {"layout": "long", "match": "game", "role": "seat", "action": "move", "reward": "score"}
SCHEMA = gk.offline.LogSchema(**LONG, player=[{"name": "me"}, {"name": "you"}])


def both(num_rows=500, names=str):
    """A log in both layouts; in the long one the rows of a match are in the order in which they were made."""
    wide = play(num_rows) | {"game": [names(row) for row in range(num_rows)]}
    wide["yours"] = np.array([str(entry) for entry in wide["yours"]])
    long = {
        "game": [match for match in wide["game"] for _ in range(2)],
        "seat": ["me", "you"] * num_rows,
        "move": np.stack([wide["mine"].astype(object), wide["yours"]], axis=1).ravel(),
        "score": np.stack([wide["my_score"], wide["your_score"]], axis=1).ravel(),
    }
    return wide, long


def shuffled(columns, seed=0):
    order = np.random.default_rng(seed).permutation(len(columns["game"]))
    return {name: [values[row] for row in order] for name, values in columns.items()}


def read(path, columns, schema=SCHEMA, **options):
    return gk.offline.read_log(write(path, columns), schema, **options)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("order", [lambda columns: columns, shuffled])
@pytest.mark.parametrize("batch_rows", [7, 2**17])
def test_both_layouts_are_one_log(tmp_path, suffix, order, batch_rows):
    """In any order of rows, and however they are cut; bootstraps take whole matches."""
    wide, long = both()
    found = read(tmp_path / f"long{suffix}", order(long), batch_rows=batch_rows)
    expected = read(tmp_path / f"wide{suffix}", wide, WIDE)
    assert found.actions == expected.actions and found.players == ("me", "you")
    assert (found.num_rows, found.group, found.num_values) == (500, "game", 500)
    assert_same(found.groups, expected.groups)
    np.testing.assert_allclose(found.noise, expected.noise)


def test_a_match_may_be_in_two_files(tmp_path):
    wide, long = both(40)
    halves = [{name: values[part::2] for name, values in long.items()} for part in range(2)]  # one of each player
    paths = [write(tmp_path / f"{part}.parquet", half) for part, half in enumerate(halves)]
    assert_same(gk.offline.read_log(paths, SCHEMA).groups, read(tmp_path / "wide.csv", wide, WIDE).groups)


def test_what_a_match_shares(tmp_path):
    """Groups, contexts, weights and outcomes are those of all its rows."""
    _, long = both(30)
    more = {"day": [entry // 20 for entry in range(60)], "n": [1 + entry // 30 for entry in range(60)]}
    more |= {"map": ["big" if entry // 2 % 3 else "small" for entry in range(60)]}
    more |= {"won": [["me", "you", "tie"][entry // 2 % 3] for entry in range(60)]}
    columns = {key: value for key, value in LONG.items() if key != "reward"}
    options = {"group": "day", "context": "map", "weight": "n", "outcome": "won"}
    schema = gk.offline.LogSchema(**columns, **options, player=[{"name": "me"}, {"name": "you"}])
    log = read(tmp_path / "log.csv", shuffled(long | more), schema)
    assert (log.num_rows, log.num_plays, log.contexts, log.num_values) == (30, 45, ("big", "small"), 3)
    assert log.statistics.reward_sums[:, 0].sum() == sum([1, 0, 0.5][game % 3] * (1 + game // 15) for game in range(30))
    more["map"][7] = "odd"
    with pytest.raises(
        ValueError, match="context: got another value than before for match '3' in column 'map', data row"
    ):
        read(tmp_path / "log.csv", long | more, schema)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("kind", [int, float, str])
def test_three_players(tmp_path, suffix, kind):
    """Who are numbers, in any writing."""
    columns = {
        "game": [1, 1, 2, 2, 1, 2],
        "seat": list(map(kind, [3, 1, 1, 2, 2, 3])),
        "move": list("abcdef"),
        "score": range(6),
    }
    schema = gk.offline.LogSchema(**LONG, player=[{"name": str(seat)} for seat in (1, 2, 3)])
    log = read(tmp_path / f"log{suffix}", columns, schema)
    assert log.actions == (("b", "c"), ("d", "e"), ("a", "f"))
    assert log.statistics.reward_sums[:, 0, 1, 0].tolist() == [1, 4, 0]
    assert log.statistics.reward_sums[:, 1, 0, 1].tolist() == [2, 3, 5]


BAD = {
    "missing": (
        lambda rows: rows[:-1],
        "match: got a match 'g1' with 'me' alone .*data row 3 of .*players 'me', 'you'",
    ),
    "twice": (lambda rows: [*rows, rows[1]], "match: got player 'you' a second time in match 'g0' .*data row 5 of"),
    "twice at once": (
        lambda rows: [rows[0], *rows],
        "match: got player 'me' a second time in match 'g0' .*data row 2 of",
    ),
    "unknown": (
        lambda rows: [*rows, ("g2", "her", "x", 1)],
        "role: got the unknown player 'her' .*data row 5 of .*'me', 'yo",
    ),
    "unnamed": (lambda rows: [*rows, (None, "me", "x", 1)], "match: got nothing in column 'game', data row 5 of"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("batch_rows", [1, 100])
def test_each_match_has_each_player_once(tmp_path, case, batch_rows):
    change, message = BAD[case]
    rows = change([("g0", "me", "x", 1), ("g0", "you", "p", 0), ("g1", "me", "y", 0), ("g1", "you", "q", 1)])
    columns = dict(zip(("game", "seat", "move", "score"), map(list, zip(*rows, strict=True)), strict=True))
    with pytest.raises(ValueError, match=f"^{message}"):
        read(tmp_path / "log.parquet", columns, batch_rows=batch_rows)


def test_matches_that_are_complete_do_not_come_back(tmp_path):
    """Such as where each file counts its matches anew."""
    _, long = both(50)
    paths = [write(tmp_path / f"{part}.parquet", long) for part in range(2)]
    with pytest.raises(
        ValueError, match=r"match: got player 'me' a second time in match '0' .*data row 1 of .*1\.parquet"
    ):
        gk.offline.read_log(paths, SCHEMA, batch_rows=10)


def test_few_matches_may_be_open(tmp_path, monkeypatch):
    monkeypatch.setattr(matches, "MOST_OPEN", 100)
    _, long = both(200)
    read(tmp_path / "log.parquet", long, batch_rows=9)
    apart = {name: [*values[::2], *values[1::2]] for name, values in long.items()}
    with pytest.raises(
        ValueError, match="match: got 10. rows of matches that lack a player, such as '0', .*closer together"
    ):
        read(tmp_path / "log.parquet", apart, batch_rows=9)


LACKING = {
    "no match": ({"match": None}, "match: got nothing, takes a column in the long layout"),
    "no action": ({"action": None}, "player.0.action: got nothing, takes a value"),
    "no name": (
        {"player": [{"name": "me"}, {}]},
        "player.1.name: got nothing, takes what the column of roles calls the",
    ),
    "a column of its own": (
        {"player": [{"name": "me", "action": "x"}, {"name": "you"}]},
        "player.0: got columns of its own, takes those of the schema in the long layout",
    ),
    "wide": (
        {"layout": "wide", "player": WIDE.player},
        "match: got 'game' in the wide layout, takes it with layout = \"l",
    ),
    "tall": ({"layout": "tall", "player": WIDE.player}, "layout: got 'tall', takes 'wide' or 'long'"),
    "no rewards": ({"reward": None}, "player.0.reward: got nothing, takes a column"),
}


@pytest.mark.parametrize("case", LACKING)
def test_schemas_of_the_long_layout(case):
    changes, message = LACKING[case]
    values = LONG | {"player": [{"name": "me"}, {"name": "you"}]} | changes
    with pytest.raises(ValueError, match=rf"^schema:\n  {message}"):
        gk.offline.LogSchema(**{key: value for key, value in values.items() if value is not None})
