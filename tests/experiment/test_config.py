"""What a config may say, and how its faults are told."""

import copy
import json
import subprocess
import sys
import zlib

import jax
import pytest

from gamekl.experiment.kinds.setting import family_key
from gamekl.experiment.schema.load import ConfigError, load_config, parse_config

TOML = """
name = "tiny"
seed = 3
num_seeds = 20
seeds_per_chunk = 5

[[family]]
label = "pennies"
game = { kind = "matching_pennies" }
temperatures = [0.5, 1]
reference = [[0.9, 0.1], [0.3, 0.7]]

[[family]]
label = "random"
panel = "three players"
game = { kind = "covariant", num_actions = [2, 3, 2], num_games = 4, parameters = { correlation = 0.5 } }
temperatures = [0.3]
noise = "bernoulli"
concentrability = 20
num_samples = { first = 100, decades = 2, points = 5 }

[[family]]
label = "exact"
solver = "exact"
game = { kind = "donation", parameters = { num_players = 2 } }
num_samples = { first = 100 }
expected = { slope = -0.5, constant = 1.5 }
"""
MINIMAL = {
    "name": "tiny",
    "num_seeds": 10,
    "seeds_per_chunk": 5,
    "family": [
        {"label": "a", "game": {"kind": "matching_pennies"}, "temperatures": [1.0]},
        {"label": "b", "game": {"kind": "uniform", "num_actions": [2, 2]}, "temperatures": [1.0]},
    ],
}


def changed(**changes):
    """The minimal config with values set at key paths such as ``family__0__noise``."""
    values = copy.deepcopy(MINIMAL)
    for path, value in changes.items():
        *keys, last = [int(key) if key.isdigit() else key for key in path.split("__")]
        table = values
        for key in keys:
            table = table[key]
        table[last] = value
    return values


def faults(**changes):
    """The lines of the error, one for each fault."""
    with pytest.raises(ConfigError) as caught:
        parse_config(changed(**changes))
    first, *lines = str(caught.value).split("\n")
    assert first == "config:"
    return [line.strip() for line in lines]


def write(folder, text):
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_load(tmp_path):
    config = load_config(write(tmp_path, TOML))
    assert (config.name, config.seed, config.num_seeds, config.seeds_per_chunk) == ("tiny", 3, 20, 5)
    assert config.dtype == "float64"
    pennies, random, exact = config.family
    assert pennies.temperatures == (0.5, 1.0)
    assert pennies.reference == ((0.9, 0.1), (0.3, 0.7))
    assert pennies.num_samples.first == "auto"
    assert pennies.noise == 1.0
    assert random.game.num_actions == (2, 3, 2)
    assert random.game.num_games == 4
    assert random.game.parameters == {"correlation": 0.5}
    assert random.noise == "bernoulli"
    assert (random.num_samples.first, random.num_samples.decades, random.num_samples.points) == (100, 2, 5)
    assert exact.expected.slope == -0.5
    assert type(exact.game.parameters["num_players"]) is int  # a float is no number of players


def test_the_configs_in_the_repository_are_valid(request):
    paths = sorted((request.config.rootpath / "configs").glob("*.toml"))
    assert paths
    for path in paths:
        assert load_config(path).name == path.stem


@pytest.mark.parametrize(
    ("path", "value", "key", "close", "known"),
    [
        ("num_sed", 3, "num_sed", "num_seeds", "name, seed, dtype, num_seeds, seeds_per_chunk, plugins, family"),
        ("family__0__temprature", [1.0], "family.0.temprature", "temperatures", "label, panel, game, solver"),
        ("family__1__game__num_action", [2], "family.1.game.num_action", "num_actions", "kind, num_actions, num_games"),
        ("family__1__num_samples", {"frist": 3}, "family.1.num_samples.frist", "first", "first, decades, points"),
        (
            "family__0__expected",
            {"slop": -1, "slope": -1, "constant": 1},
            "family.0.expected.slop",
            "slope",
            "slope, constant",
        ),
    ],
)
def test_misspelt_key(path, value, key, close, known):
    """The error names the key's path, the key that was probably meant, and all that are known there."""
    [line] = faults(**{path: value})
    assert line.startswith(f"{key}: got an unknown key; did you mean {close!r}? takes {known}")


def test_key_like_no_other():
    [line] = faults(family__0__zzz=1)
    assert line.startswith("family.0.zzz: got an unknown key, takes label, ")
    assert "did you mean" not in line


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("num_seeds", "ten"),
        ("num_seeds", 10.5),
        ("num_seeds", 1),
        ("seed", -1),
        ("seed", 2**32),
        ("seed", None),
        ("dtype", "float16"),
        ("name", "a/b"),
        ("name", "../up"),
        ("name", ""),
        ("name", 3),
        ("seeds_per_chunk", 0),
        ("family", []),
        ("family", "uniform"),
        ("family__0__label", ""),
        ("family__0__panel", 3),
        ("family__0__solver", "gone"),
        ("family__0__temperatures", 1.0),
        ("family__0__temperatures", "1"),
        ("family__0__behavior", "optimal"),
        ("family__0__concentrability", 0.5),
        ("family__0__concentrability", float("nan")),
        ("family__1__game", "uniform"),
        ("family__1__game__kind", "unifrom"),
        ("family__1__game__num_games", 0),
        ("family__1__game__num_games", 1.5),
        ("family__0__num_samples", 100),
        ("family__0__num_samples", {"points": 1}),
        ("family__0__num_samples", {"decades": 0}),
        ("family__0__num_samples", {"decades": float("nan")}),
        ("family__0__expected", {"slope": 0.5, "constant": 1}),
        ("family__0__expected", {"slope": -0.5, "constant": 0}),
    ],
)
def test_bad_value(path, value):
    """One fault gives one line, which starts with the key's path and says what was got and what is taken."""
    [line] = faults(**{path: value})
    inner = next(iter(value)) if isinstance(value, dict) else None
    expected = ".".join([*path.split("__"), *([inner] if inner in ("points", "decades") else [])])
    assert line.startswith(expected)
    assert "got " in line and "takes" in line


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("family__0__temperatures", [1.0, 0.0], "family.0.temperatures.1: got 0.0"),
        ("family__0__temperatures", [-0.1], "family.0.temperatures.0: got -0.1"),
        ("family__0__temperatures", [float("nan")], "family.0.temperatures.0: got nan"),
        ("family__0__temperatures", [float("inf")], "family.0.temperatures.0: got inf"),
        ("family__0__temperatures", ["warm"], "family.0.temperatures.0: got 'warm'"),
        ("family__1__game__num_actions", [2, 0], "family.1.game.num_actions.1: got 0"),
        ("family__0__noise", -1.0, "family.0.noise: got -1.0"),
        ("family__0__noise", float("nan"), "family.0.noise: got nan"),
        ("family__0__noise", "bernouli", "family.0.noise: got 'bernouli'"),
        ("family__0__num_samples", {"first": 0}, "family.0.num_samples.first: got 0"),
        ("family__0__num_samples", {"first": "aut"}, "family.0.num_samples.first: got 'aut'"),
        ("family__0__reference", "unifrom", "family.0.reference: got 'unifrom'"),
        ("family__0__reference", [[1.5, 0.5], [0.5, 0.5]], "family.0.reference.0.0: got 1.5"),
        ("family__0__reference", [[0.5, float("nan")], [0.5, 0.5]], "family.0.reference.0.1: got nan"),
    ],
)
def test_bad_value_inside(path, value, where):
    """One line, of the innermost value that is at fault."""
    [line] = faults(**{path: value})
    assert line.startswith(f"{where}, takes ")


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("family__0__temperatures", 0.5, "got 0.5, takes a list of numbers, such as [0.5]"),
        ("family__0__temperatures", "1", "got '1', takes a list of numbers"),
        ("family__0__temperatures", {"a": 1}, "got a table, takes a list of numbers"),
        ("family__1__game__num_actions", 3, "got 3, takes a list of integers, such as [3]"),
        ("family__0__metrics", "nash_gap", "got 'nash_gap', takes a list of strings, such as ['nash_gap']"),
        ("family__0__reference", 0.5, "got 0.5, takes 'uniform' or 'normal' or a list of lists"),
        ("family__0__noise", "bern", "got 'bern', takes a number or 'bernoulli'"),
        ("family__0__noise", -0.5, "got -0.5, takes a number >= 0 or 'bernoulli'"),
        ("family__0__concentrability", 0.5, "got 0.5, takes a number >= 1 or a list of numbers"),
        ("family__0__num_samples", 100, "got 100, takes a table of first, decades, points"),
        ("family__0__label", "", "got '', takes a string of 1 or more letters"),
        ("family", {"label": "a"}, "got a table, takes a list of tables, each under [[family]]"),
        ("family", [], "got [], takes a list of 1 or more"),
        ("dtype", "float16", "got 'float16', takes 'float64' or 'float32'"),
        ("seed", 2**32, "got 4294967296, takes a number < 4294967296"),
        ("num_seeds", "ten", "got 'ten', takes an integer"),
    ],
)
def test_what_is_taken(path, value, line):
    """In one sentence, in the words of a TOML file."""
    assert faults(**{path: value}) == [f"{path.replace('__', '.')}: {line}"]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (1.0, "got 1.0, takes a list of 2 numbers"),
        ([0, 1, 2], "got [0, 1, 2], takes a list of up to 2"),
        (["a", 1], "got 'a', takes a number"),
    ],
)
def test_what_a_kind_of_its_own_takes(value, line):
    """Where a family's solver has fields that others lack."""
    [found] = faults(family__0__solver="pnvi", family__0__payoff_range=value)
    assert found.removeprefix("family.0.payoff_range").lstrip(".0") == f": {line}"


@pytest.mark.parametrize(
    ("path", "value", "close"),
    [
        ("family__0__game__kind", "matchin_pennies", "matching_pennies"),
        ("family__0__game__kind", "chickn", "chicken"),
        ("family__1__game__kind", "Uniform", "uniform"),
        ("family__0__solver", "GANE", "gane"),
        ("family__0__axis", "temperatur", "temperature"),
    ],
)
def test_misspelt_name(path, value, close):
    [line] = faults(**{path: value})
    assert line.startswith(f"{path.replace('__', '.')}: got {value!r}; did you mean {close!r}? takes '")


def test_no_line_about_what_is_right():
    """A fault inside a family must not come with a second line which says that there is no family."""
    for changes in ({"family__0__temperatures": [0.0]}, {"family__1__typo": 1, "family__0__typo": 1}):
        assert not [line for line in faults(**changes) if line.startswith("family:")]


@pytest.mark.parametrize(("row", "total"), [([0.5, 0.4], "0.9"), ([0.5, 0.6], "1.1"), ([1.0, 1e-6], "1.000001")])
def test_reference_must_sum_to_one(row, total):
    [line] = faults(family__0__reference=[[0.5, 0.5], row])
    assert line.startswith("family.0") and f"reference.1: got a sum of {total}" in line


def test_reference_may_round():
    third = 1 / 3
    config = parse_config(changed(family__0__reference=[[third, third, third], [0.1] * 10]))
    assert config.family[0].reference[0] == (third, third, third)


def test_duplicate_labels():
    assert faults(family__1__label="a") == ["family.label: got ['a'] more than once, takes unique labels"]


def test_labels_with_one_checksum():
    """These two words have the same CRC-32; two families must never draw the same random numbers."""
    assert zlib.crc32(b"plumless") == zlib.crc32(b"buckeroo")
    try:
        config = parse_config(changed(family__0__label="plumless", family__1__label="buckeroo"))
    except ConfigError:
        return
    first, second = (jax.random.key_data(family_key(config, family)) for family in config.family)
    assert (first != second).any()


def test_duplicate_temperatures():
    """A temperature given twice would get the same datasets twice, which are then not independent."""
    assert any("temperatures" in line for line in faults(family__0__temperatures=[1.0, 0.5, 1.0]))


@pytest.mark.parametrize(
    ("index", "game", "message"),
    [
        (1, {"kind": "uniform"}, "num_actions: got none, takes the actions of each player for kind 'uniform'"),
        (1, {"kind": "uniform", "num_actions": []}, "num_actions: got none"),
        (0, {"kind": "chicken", "num_actions": [2, 2]}, "for kind 'chicken', takes them for"),
        (0, {"kind": "chicken", "num_games": 2}, "for kind 'chicken', takes them for"),
        (0, {"kind": "file"}, "path: got None for kind 'file'"),
        (0, {"kind": "chicken", "path": "a.nfg"}, "path: got 'a.nfg' for kind 'chicken'"),
        (1, {"kind": "uniform", "num_actions": [2], "path": "a.nfg"}, "path: got 'a.nfg' for kind 'uniform'"),
    ],
)
def test_kind_mismatch(index, game, message):
    [line] = faults(**{f"family__{index}__game": game})
    assert line.startswith(f"family.{index}.game") and message in line


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperatures": []}, "temperatures: got none, takes at least one number > 0 for solver 'gane'"),
        ({"solver": "exact", "num_samples": {"first": 10}}, "temperatures: got a value for solver 'exact', takes none"),
        (
            {"solver": "lcb", "num_samples": {"first": 10}},
            "scales: got none for solver 'lcb', takes at least one number >= 0",
        ),
        ({"scales": [1.0]}, "scales: got a value for solver 'gane', takes none"),
        ({"axis": "temperature"}, "axis: got 'temperature' and num_samples.first 'auto', takes a number"),
        (
            {"solver": "multiplicative_weights", "temperatures": [], "num_rounds": {}},
            "num_samples.first: got 'auto' for solver",
        ),
        ({"solver": "gamd"}, "num_rounds: got nothing, takes a table of first, decades, points"),
    ],
)
def test_solver_mismatch(changes, message):
    [line] = faults(**{f"family__0__{key}": value for key, value in changes.items()})
    assert line.startswith("family.0") and message in line


def test_every_fault_at_once():
    lines = faults(
        num_seeds=0, seed="x", typo=1, family__0__temperatures=[0.0], family__0__typo=1, family__1__game__kind="none"
    )
    starts = ["num_seeds:", "seed:", "typo:", "family.0.temperatures.0:", "family.0.typo:", "family.1.game.kind:"]
    assert all(any(line.startswith(start) for line in lines) for start in starts)
    assert len(lines) == len(starts)


def test_missing_values():
    values = changed()
    del values["name"], values["family"][1]["label"]
    with pytest.raises(ConfigError) as caught:
        parse_config(values)
    assert "\n  name: got nothing, takes a value" in str(caught.value)
    assert "\n  family.1.label: got nothing, takes a value" in str(caught.value)


@pytest.mark.parametrize("content", [b"name = ", b"{}", b"name = 'a'\nname = 'b'", b"\xff\xfe", b'name = "\xe9"'])
def test_not_toml(tmp_path, content):
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"config: got .*config\.toml, takes a TOML file"):
        load_config(path)


def test_no_such_file(tmp_path):
    with pytest.raises(ConfigError, match=r"got .*none.toml, takes a TOML file \(.*No such file"):
        load_config(tmp_path / "none.toml")


def test_overrides(tmp_path):
    path = write(tmp_path, TOML)
    config = load_config(path, seed=9, num_seeds=30, dtype="float32", name=None)
    assert (config.seed, config.num_seeds, config.dtype, config.name) == (9, 30, "float32", "tiny")
    with pytest.raises(ConfigError, match="sed: got an unknown key; did you mean 'seed'"):
        load_config(path, sed=1)


def test_zero_is_an_override(tmp_path):
    assert load_config(write(tmp_path, TOML), seed=0).seed == 0


def test_frozen():
    with pytest.raises(ValueError, match="frozen"):
        parse_config(MINIMAL).seed = 4


def test_digest_is_stable(tmp_path):
    """Neither the order of keys, defaults written out, nor the process change it."""
    path = write(tmp_path, TOML)
    digest = load_config(path).digest()
    head, *families = TOML.split("[[family]]")
    head = "\n".join(reversed(head.strip().splitlines()))
    again = "\n[[family]]".join([head + '\ndtype = "float64"\n', *families]).replace(
        'label = "pennies"\n', 'noise = 1\nsolver = "gane"\nnum_samples = { points = 10 }\nlabel = "pennies"\n'
    )
    assert again != TOML
    assert load_config(write(tmp_path, again)).digest() == digest
    code = f"from gamekl.experiment.schema.load import load_config; print(load_config({str(path)!r}).digest())"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == digest


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "other"),
        ("seed", 1),
        ("dtype", "float32"),
        ("num_seeds", 20),
        ("seeds_per_chunk", 2),
        ("family__0__label", "c"),
        ("family__0__panel", "c"),
        ("family__0__game__kind", "chicken"),
        ("family__0__game__parameters", {"benefit": 1.0}),
        ("family__0__temperatures", [1.0 + 2**-52]),
        ("family__0__reference", [[0.5, 0.5], [0.5, 0.5]]),
        ("family__0__behavior", "reference"),
        ("family__0__concentrability", 5.0),
        ("family__0__concentrability", float("inf")),
        ("family__0__noise", 0.0),
        ("family__0__noise", "bernoulli"),
        ("family__0__num_samples", {"first": 1}),
        ("family__0__expected", {"slope": -1.0, "constant": 1.0}),
        ("family__1__game__num_actions", [2, 3]),
        ("family__1__game__num_games", 2),
    ],
)
def test_digest_sees_every_key(path, value):
    assert parse_config(changed(**{path: value})).digest() != parse_config(MINIMAL).digest()


def test_a_behavior_beside_one_that_is_made_is_refused():
    [line] = faults(family__0__behavior="reference", family__0__concentrability=5.0)
    assert line.startswith("family.0: behavior: got one beside concentrability, takes one of the two")


def test_digest_sees_the_order_of_families():
    values = changed()
    values["family"].reverse()
    assert parse_config(values).digest() != parse_config(MINIMAL).digest()


def test_canonical_is_plain_json():
    config = parse_config(MINIMAL)
    assert json.loads(json.dumps(config.canonical())) == config.canonical()
    assert parse_config(config.canonical()) == config


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (
            "family__0__reference",
            [[[0.5, 0.5]] * 3] * 2,
            "reference.0.0: got [0.5, 0.5] (6 such entries), takes a numb",
        ),
        ("family__0__reference", [0.5] * 4, "reference.0: got 0.5 (4 such entries), takes a list of numbers"),
        (
            "family__0__temperatures",
            [1.0, *[-1.0] * 30],
            "temperatures.1: got -1.0 (30 such entries), takes a number > 0",
        ),
        (
            "family__1__game__num_actions",
            [[2, 2], [2, 2]],
            "game.num_actions.0: got [2, 2] (2 such entries), takes an int",
        ),
    ],
)
def test_a_list_gives_one_line(path, value, line):
    """However many of its entries are wrong in the same way."""
    [found] = faults(**{path: value})
    assert line in found


def test_lists_of_families_give_a_line_each():
    found = faults(family__0__temperatures=[], family__1__temperatures=[])
    assert [line.split(":")[0] for line in found] == ["family.0", "family.1"]
