"""Logs on disk: what is read is what is there, however it is written; what cannot be read is refused with its place."""

import gzip
import io
import itertools
import re
from decimal import Decimal

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import gamekl as gk
from gamekl.offline import logs

TOML = """
[[player]]
name = "row"
action = "mine"
reward = "my_score"

[[player]]
action = "yours"
reward = "your_score"
"""


def write(path, columns, **options):
    """A table as Parquet or CSV, by the path's suffix."""
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    if path.suffix == ".parquet":
        pq.write_table(table, path, **options)
        return path
    buffer = io.BytesIO()
    pa.csv.write_csv(table, buffer)
    path.write_bytes(gzip.compress(buffer.getvalue()) if path.suffix == ".gz" else buffer.getvalue())
    return path


def schema(tmp_path, text=TOML):
    (tmp_path / "log.toml").write_text(text)
    return gk.offline.load_log_schema(tmp_path / "log.toml")


def play(num_rows=500, seed=0):
    """A log of two players: strings and integers, of which 10 comes after 9."""
    rng = np.random.default_rng(seed)
    mine = rng.choice(["rock", "paper", "a,b", "Ünïc\nöde"], num_rows, p=[0.6, 0.2, 0.15, 0.05])
    yours = rng.choice([9, 10, -3], num_rows)
    return {
        "mine": mine,
        "yours": yours,
        "my_score": rng.normal(size=num_rows),
        "your_score": rng.normal(size=num_rows),
    }


def group_by(keys, rewards, labels):
    """Counts and reward sums of the cells of `labels`, added up one row at a time."""
    counts = np.zeros([len(entry) for entry in labels])
    sums = np.zeros((len(rewards), *counts.shape))
    for index, row in enumerate(zip(*keys, strict=True)):
        cell = tuple(found.index(label) for found, label in zip(labels, row, strict=True))
        counts[cell] += 1
        for player, reward in enumerate(rewards):
            sums[(player, *cell)] += reward[index]
    return counts, sums


def assert_same(ours, theirs):
    for mine, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert mine.dtype == np.float64
        np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".csv.gz"])
def test_statistics_are_those_of_a_group_by(tmp_path, suffix):
    columns = play()
    log = gk.offline.read_log(write(tmp_path / f"log{suffix}", columns), schema(tmp_path))
    assert log.actions == (("a,b", "paper", "rock", "Ünïc\nöde"), (-3, 9, 10))
    assert log.players == ("row", "player 2") and log.contexts is None and log.num_rows == 500
    rewards = (columns["my_score"], columns["your_score"])
    expected = group_by((columns["mine"], columns["yours"]), rewards, log.actions)
    assert isinstance(log.statistics, gk.offline.Statistics)
    assert_same(log.statistics, expected)
    np.testing.assert_allclose(log.behavior, expected[0] / 500)
    np.testing.assert_allclose(log.marginals[0], expected[0].sum(axis=1) / 500)
    np.testing.assert_allclose(log.marginals[1], expected[0].sum(axis=0) / 500)


def test_contexts_and_three_players(tmp_path):
    """Labels that the schema lists have its order, and cells that never occurred."""
    rng = np.random.default_rng(1)
    size = (3, 2, 3, 2)
    codes = [rng.integers(0, entry, 400) for entry in size]
    codes[0] = np.minimum(codes[0], 1)  # the third context never occurs
    columns = {"x": np.array(["late", "early", "never"])[codes[0]]}
    columns |= {f"a{player}": code for player, code in enumerate(codes[1:])} | {"r": rng.normal(size=400)}
    players = "".join(f'[[player]]\naction = "a{player}"\nreward = "r"\n' for player in range(3))
    text = f'context = "x"\ncontexts = ["late", "early", "never"]\n{players}actions = [1, 0]\n'
    log = gk.offline.read_log(write(tmp_path / "log.parquet", columns), schema(tmp_path, text))
    assert log.contexts == ("late", "early", "never") and log.actions == ((0, 1), (0, 1, 2), (1, 0))
    labels = [list(log.contexts), *map(list, log.actions)]
    counts, sums = group_by([columns["x"], *codes[1:]], [columns["r"]] * 3, labels)
    assert isinstance(log.statistics, gk.offline.ContextualStatistics)
    assert_same(log.statistics, (counts, np.moveaxis(sums, 0, 1)))
    np.testing.assert_allclose(log.behavior[2], 1 / 12)  # of a context without rows nothing is known
    np.testing.assert_allclose(log.behavior.sum(axis=(1, 2, 3)), 1)
    np.testing.assert_allclose(log.marginals[1][0], counts[0].sum(axis=(0, 2)) / counts[0].sum())
    with pytest.raises(
        ValueError, match=r"log_reference: got references of actions .*, takes .*\(3, 2\), \(3, 3\), \(3, 2\)"
    ):
        gk.offline.estimate(log.statistics, regularizer=gk.Regularizer.uniform(gk.games.chicken(), 1.0))
    assert gk.offline.estimate(log.statistics).game.payoffs.shape == (3, 3, 2, 3, 2)


def test_one_player(tmp_path):
    columns = {"arm": [2, 1, 2], "pay": [1.0, 5.0, 3.0]}
    text = '[[player]]\naction = "arm"\nreward = "pay"\n'
    log = gk.offline.read_log(write(tmp_path / "log.csv", columns), schema(tmp_path, text))
    assert_same(log.statistics, (np.array([1.0, 2.0]), np.array([[5.0, 4.0]])))


def read_with(tmp_path, columns, suffix=".parquet", text=TOML, options=None, **arguments):
    path = write(tmp_path / f"log{suffix}", columns, **(options or {}))
    return gk.offline.read_log(path, schema(tmp_path, text), **arguments)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_batches_do_not_matter(tmp_path, suffix):
    """CSV is read in blocks of 64 kB at least, Parquet in batches of any size, and row groups cut it again."""
    columns = play(6_000)
    whole = read_with(tmp_path, columns)
    options = {"row_group_size": 700} if suffix == ".parquet" else {}
    for batch_rows in (999, 7, 6_000):
        found = read_with(tmp_path, columns, suffix, options=options, batch_rows=batch_rows)
        assert_same(found.groups, whole.groups)
        np.testing.assert_allclose(found.noise, whole.noise, rtol=1e-12)
        assert found.actions == whole.actions


def test_the_order_of_rows_does_not_matter(tmp_path):
    columns = play()
    order = np.random.default_rng(2).permutation(500)
    found = read_with(tmp_path, {name: values[order] for name, values in columns.items()})
    whole = read_with(tmp_path, columns)
    assert found.actions == whole.actions
    assert_same(found.statistics, whole.statistics)
    np.testing.assert_allclose(found.noise, whole.noise, rtol=1e-12)


def test_several_files_are_one_log(tmp_path):
    """Of any kind: what CSV cannot tell of its labels, Parquet does."""
    columns = play()
    cut = {
        "a.parquet": slice(0, 100),
        "b.csv": slice(100, 101),
        "c.csv.gz": slice(101, 350),
        "d.parquet": slice(350, 500),
    }
    paths = [
        write(tmp_path / name, {key: values[part] for key, values in columns.items()}) for name, part in cut.items()
    ]
    found = gk.offline.read_log(list(map(str, paths)), schema(tmp_path))
    assert_same(found.groups, read_with(tmp_path, columns).groups)


@pytest.mark.parametrize("contexts", [None, 3])
def test_a_dataset_comes_back(tmp_path, contexts):
    """Rows drawn by us, written, and read again, against the sums that jax makes of them."""
    shape = (3, 4)
    if contexts is None:
        game = gk.games.uniform(jax.random.key(0), shape)
        behavior = jnp.full(shape, 1 / 12)
    else:
        game = gk.games.contextual(jax.random.key(0), shape, num_contexts=contexts)
        behavior = jnp.full((contexts, *shape), 1 / 12)
    drawn = gk.offline.sample_dataset(jax.random.key(1), game, behavior, 3_000, 0.3)
    columns = {f"a{player}": np.asarray(drawn.actions[:, player]) for player in range(2)}
    columns |= {f"r{player}": np.asarray(drawn.rewards[:, player]) for player in range(2)}
    text = "".join(f'[[player]]\naction = "a{player}"\nreward = "r{player}"\n' for player in range(2))
    if contexts is not None:
        columns["x"] = np.asarray(drawn.contexts)
        text = f'context = "x"\n{text}'
    log = read_with(tmp_path, columns, text=text)
    assert log.actions == ((0, 1, 2), (0, 1, 2, 3))
    assert_same(log.statistics, gk.offline.statistics_from_dataset(drawn))
    means = gk.offline.estimate(drawn).game.table
    cells = (drawn.contexts, slice(None)) if contexts is not None else (slice(None),)
    residuals = drawn.rewards - (
        means[(*cells, *drawn.actions.T)] if contexts is not None else means[(*cells, *drawn.actions.T)].T
    )
    freedom = 3_000 - 12 * (contexts or 1)
    np.testing.assert_allclose(log.noise, jnp.sqrt(jnp.sum(residuals**2, axis=0) / freedom), rtol=1e-10)


def test_noise_keeps_its_digits_far_from_zero(tmp_path):
    columns = play(2_000)
    near = read_with(tmp_path, columns).noise
    far = read_with(tmp_path, columns | {"my_score": columns["my_score"] + 2.0**30}).noise
    np.testing.assert_allclose(far, near, rtol=1e-6)
    alone = {name: values[:1] for name, values in columns.items()}
    assert np.all(np.isnan(read_with(tmp_path, alone).noise))


PREFERENCE = 'preference = "won"\n[[player]]\naction = "mine"\n[[player]]\naction = "yours"\n'


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("won", [[1.0, 0.25, 0.5], [True, False, True], [1, 0, 1]])
def test_preferences(tmp_path, suffix, won):
    columns = {"mine": ["a", "b", "a"], "yours": ["c", "c", "c"], "won": won}
    log = read_with(tmp_path, columns, suffix, PREFERENCE)
    first, second, third = map(float, won)
    np.testing.assert_allclose(
        log.statistics.reward_sums[:, :, 0], [[first + third, second], [2 - first - third, 1 - second]]
    )
    np.testing.assert_allclose(log.noise, [abs(first - third) / 2**0.5] * 2)


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.uint16(), pa.int64(), pa.uint64(), pa.dictionary(pa.int8(), pa.int32())]
)
@pytest.mark.parametrize("text", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int16(), pa.large_string())])
def test_types_of_labels(tmp_path, kind, text):
    columns = {"mine": pa.array(["x", "y", "x"]).cast(text) if not pa.types.is_dictionary(text) else None}
    if columns["mine"] is None:  # with an entry that no row has, and one twice
        columns["mine"] = pa.DictionaryArray.from_arrays(
            pa.array([1, 2, 3], pa.int16()), pa.array(["z", "x", "y", "x"])
        )
    whole = pa.array([7, 30, 7])
    columns["yours"] = whole.cast(pa.int32()).dictionary_encode() if pa.types.is_dictionary(kind) else whole.cast(kind)
    columns |= {"my_score": [1.0, 2.0, 4.0], "your_score": [0.0, 0.0, 0.0]}
    log = read_with(tmp_path, columns)
    assert log.actions == (("x", "y"), (7, 30))
    assert_same(log.statistics.reward_sums[0], np.array([[5.0, 0.0], [0.0, 2.0]]))


@pytest.mark.parametrize(
    "scores",
    [
        pa.array([1, 2, 4], pa.int8()),
        pa.array([1, 2, 4], pa.uint64()),
        pa.array(np.array([1, 2, 4], np.float16)),
        pa.array([1, 2, 4], pa.float32()),
        pa.array([Decimal("1.00"), Decimal("2.00"), Decimal("4.00")]),
        pa.array([1.0, 2.0, 4.0]).dictionary_encode(),
    ],
    ids=lambda scores: str(scores.type),
)
def test_types_of_rewards(tmp_path, scores):
    columns = {"mine": ["x", "y", "x"], "yours": [7, 30, 7], "my_score": scores, "your_score": [True, False, True]}
    log = read_with(tmp_path, columns)
    np.testing.assert_array_equal(log.statistics.reward_sums, [[[5, 0], [0, 2]], [[2, 0], [0, 0]]])


def test_labels_of_csv(tmp_path):
    """Integers where all are; as they are written where the schema lists strings."""
    columns = {"mine": ["1", "02", "x"], "yours": ["1", "2", "2"], "my_score": [1, 1, 1], "your_score": [0, 0, 0]}
    listed = TOML.replace('"my_score"', '"my_score"\nactions = ["x", "1", "02"]')
    log = read_with(tmp_path, columns, ".csv", listed)
    assert log.actions == (("x", "1", "02"), (1, 2))
    np.testing.assert_array_equal(log.statistics.counts, [[0, 1], [1, 0], [0, 1]])
    quoted = tmp_path / "quoted.csv"
    quoted.write_text('\ufeffmine,yours,my_score,your_score,more\r\n"NA","null",1e0,-2.5,?\r\n')
    assert gk.offline.read_log(quoted, schema(tmp_path)).actions == (("NA",), ("null",))


def test_float64_whatever_the_mode(tmp_path):
    """2^24 + 1 is no float32."""
    columns = {"mine": ["x"], "yours": ["y"], "my_score": [2.0**24 + 1], "your_score": [0.1]}
    with jax.enable_x64(False):
        log = read_with(tmp_path, columns)
        assert_same(log.statistics, (np.ones((1, 1)), np.array([[[2.0**24 + 1]], [[0.1]]])))
        assert log.behavior.dtype == np.float64 and log.coverage().of_uniform == 1
        assert gk.offline.estimate(log.statistics).game.dtype == jnp.float32
    assert gk.offline.estimate(log.statistics).game.dtype == jnp.float64


# Groups.


def splitmix(value):
    """The finaliser of splitmix64, with Python's integers."""
    value = (value + 0x9E3779B97F4A7C15) % 2**64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) % 2**64
    return value ^ (value >> 31)


def hash_of(text):
    """Its length, then its bytes by eights, with Python's integers."""
    content = text.encode()
    found = splitmix(len(content))
    for start in range(0, len(content), 8):
        found = splitmix(found ^ int.from_bytes(content[start : start + 8], "little"))
    return found


def by_group(columns, groups, labels):
    """Counts and sums of each group that has rows, ``[group, ...]``."""
    parts = [{name: values[groups == group] for name, values in columns.items()} for group in np.unique(groups)]
    found = [group_by((p["mine"], p["yours"]), (p["my_score"], p["your_score"]), labels) for p in parts]
    return tuple(np.stack(entry) for entry in zip(*found, strict=True))


def test_rows_go_to_groups_by_a_hash_of_their_number(tmp_path):
    columns = play()
    log = read_with(tmp_path, columns, num_groups=16)
    groups = np.array([splitmix(row) % 16 for row in range(500)])
    assert log.num_groups == 16
    assert_same(log.groups, by_group(columns, groups, log.actions))


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("names", [["", "ü", "a long name of a match"], [3, -12, 123_456_789_012]])
def test_rows_of_one_match_stay_together(tmp_path, suffix, names):
    """Integers and their texts are one and the same."""
    if suffix == ".csv" and "" in names:
        names = [*names[1:], "b"]  # nothing between two commas is a missing value
    columns = play()
    match = np.array(names)[np.random.default_rng(3).integers(0, 3, 500)]
    log = read_with(tmp_path, columns | {"match": match}, suffix, f'group = "match"\n{TOML}', num_groups=4)
    groups = np.array([hash_of(str(entry)) % 4 for entry in match])
    assert_same(log.groups, by_group(columns, groups, log.actions))
    assert_same(log.statistics, read_with(tmp_path, columns).statistics)


def test_fewer_groups_where_tables_would_be_large(tmp_path, monkeypatch, caplog):
    """Halves are joined, as if the smaller number had been asked for, whenever labels turn up."""
    columns = play(300)
    for name in columns:
        columns[name] = np.sort(columns[name])  # late labels
    wanted = read_with(tmp_path, columns, num_groups=64)
    assert not caplog.records
    monkeypatch.setattr(logs, "MOST_ENTRIES", 3 * 12 * 64 + 11)
    found = read_with(tmp_path, columns, num_groups=1024, batch_rows=10)
    assert_same(found.groups, wanted.groups)
    assert "1024 groups of these cells are too large, kept 64" in caplog.text


# Coverage.


def worst_ratio(counts, profile, support):
    """max over players i, and cells a of the support, of prod_{j != i} pi_j(a_j) / (N(a) / n)."""
    worst = 0.0
    for cell in itertools.product(*map(range, counts.shape)):
        if not all(entry[action] for entry, action in zip(support, cell, strict=True)):
            continue
        for player in range(counts.ndim):
            reached = np.prod([entry[a] for j, (entry, a) in enumerate(zip(profile, cell, strict=True)) if j != player])
            if reached > 0:
                seen = counts[cell] / counts.sum()
                worst = max(worst, reached / seen if seen else np.inf)
    return worst


@pytest.mark.parametrize("drop", [False, True])
def test_coverage(tmp_path, drop):
    columns = play(400)
    if drop:
        keep = ~((columns["mine"] == "rock") & (columns["yours"] == 9))
        columns = {name: values[keep] for name, values in columns.items()}
    log = read_with(tmp_path, columns)
    counts, found = log.statistics.counts, log.coverage()
    assert (found.fewest, found.median, found.most) == (counts.min(), np.median(counts), counts.max())
    np.testing.assert_array_equal(found.missing, counts == 0)
    played = [entry > 0 for entry in log.marginals]
    assert found.of_behavior == pytest.approx(worst_ratio(counts, log.marginals, played))
    uniform = [np.full(len(entry), 1 / len(entry)) for entry in log.marginals]
    assert found.of_uniform == pytest.approx(worst_ratio(counts, uniform, played))
    assert (found.of_uniform == np.inf) == drop


def test_coverage_of_actions_that_were_never_played(tmp_path):
    """The behavior's own deviations do not go there, those of uniform play do."""
    listed = TOML.replace('"your_score"', '"your_score"\nactions = [9, 10, -3, 77]')
    found = read_with(tmp_path, play(), text=listed).coverage()
    assert np.isfinite(found.of_behavior) and found.of_uniform == np.inf and found.missing[:, 3].all()


def test_coverage_of_contexts_is_that_of_the_worst(tmp_path):
    columns = play(400)
    columns["x"] = np.random.default_rng(4).choice(["p", "q"], 400, p=[0.7, 0.3])
    found = read_with(tmp_path, columns, text=f'context = "x"\n{TOML}').coverage()
    ratios = []
    for context in "pq":
        counts, _ = group_by(
            [columns[name][columns["x"] == context] for name in ("mine", "yours")],
            [],
            [["a,b", "paper", "rock", "Ünïc\nöde"], [-3, 9, 10]],
        )
        profile = [counts.sum(axis=1) / counts.sum(), counts.sum(axis=0) / counts.sum()]
        ratios.append(worst_ratio(counts, profile, [entry > 0 for entry in profile]))
    assert found.of_behavior == pytest.approx(max(ratios))


# Bad input.


def changed(**changes):
    """A good log of three rows with other columns."""
    columns = {"mine": ["x", "y", "x"], "yours": [1, 2, 1], "my_score": [1.0, 2.0, 3.0], "your_score": [0.5, 0.5, 0.5]}
    return {name: values for name, values in (columns | changes).items() if values is not None}


NESTED = pa.array([[1], [2], [3]])
BAD_COLUMNS = {
    "missing column": (changed(mine=None), "player.0.action: got 'mine', takes a column of .*, which has 'yours', "),
    "float actions": (changed(mine=[0.5, 1, 2]), "player.0.action: got values of type double in column 'mine'"),
    "bool actions": (changed(mine=[True, False, True]), "player.0.action: got values of type bool"),
    "nested action": (changed(yours=NESTED), "player.1.action: got nested values .*takes strings or integers, one"),
    "nested reward": (changed(my_score=NESTED), "player.0.reward: got nested values .*takes numbers, one in each row"),
    "strings for rewards": (changed(my_score=["a", "b", "c"]), "player.0.reward: got values of type string"),
    "dates for rewards": (changed(my_score=np.array([1, 2, 3], "M8[s]")), "player.0.reward: got values of type time"),
    "nothing but nulls": (changed(mine=pa.nulls(3)), "player.0.action: got values of type null in column 'mine'"),
    "null action": (changed(mine=["x", None, "y"]), "player.0.action: got nothing in column 'mine', data row 2 of"),
    "null in a dictionary": (
        changed(mine=pa.array(["x", "y", None]).dictionary_encode()),
        "player.0.action: got nothing in column 'mine', data row 3 of .*, takes a value in each row",
    ),
    "null reward": (
        changed(your_score=[1, 2, None]),
        "player.1.reward: got nothing in column 'your_score', data row 3",
    ),
    "NaN reward": (changed(my_score=[1, np.nan, 2]), "player.0.reward: got nan .*data row 2 .*takes finite numbers"),
    "infinite reward": (changed(my_score=[np.inf, 1, 2]), "player.0.reward: got inf in column 'my_score', data row 1"),
    "overflow of a sum": (changed(my_score=[1e308, 1, 1e308]), "reward: got numbers whose sums or squares overflow"),
    "overflow of a square": (changed(my_score=[0, 1e200, 1]), "reward: got numbers whose sums or squares overflow"),
}


@pytest.mark.parametrize("case", BAD_COLUMNS)
def test_bad_columns(tmp_path, case):
    columns, message = BAD_COLUMNS[case]
    with pytest.raises(ValueError, match=f"^{message}"):
        read_with(tmp_path, columns)


CSV = "mine,yours,my_score,your_score\nx,1,1,0.5\ny,2,2,0.5\n"
BAD_TEXTS = {
    "empty file": ("", "paths: got .*log.csv, takes a file that can be read to its end .Empty CSV file"),
    "header only": (CSV[:31], "paths: got .*log.csv without rows, takes at least one row"),
    "no header": (CSV[31:], "player.0.action: got 'mine', takes a column of .*log.csv, which has 'x', '1', '1', '0.5'"),
    "other separator": (CSV.replace(",", ";"), "player.0.action: got 'mine', takes .* which has 'mine;yours;"),
    "doubled column": (CSV.replace("my_score", "mine"), "player.0.action: got 2 columns 'mine' in .*log.csv, takes"),
    "header again": (CSV + CSV, "player.0.reward: got 'my_score' .the header a second time.. in .* data row 3 of"),
    "no number": (
        CSV + "x,1,one,0\n",
        "player.0.reward: got 'one' in column 'my_score', data row 3 of .*takes numbers",
    ),
    "NaN": (CSV + "x,1,nan,0\n", "player.0.reward: got nan in column 'my_score', data row 3 of .*takes finite numbers"),
    "infinity": (CSV + "x,1,-inf,0\n", "player.0.reward: got -inf in column 'my_score', data row 3 of"),
    "missing action": (CSV + ",1,1,0\n", "player.0.action: got nothing in column 'mine', data row 3 of"),
    "missing reward": (CSV + "x,1,,0\n", "player.0.reward: got nothing in column 'my_score', data row 3 of"),
    "short row": (CSV + "x,1\n", "paths: got .*log.csv, takes .*Expected 4 columns, got 2: x,1"),
    "long row": (CSV + "x,1,1,1,1\n", "paths: got .*log.csv, takes .*Expected 4 columns, got 5: x,1,1,1,1"),
    "mixed labels": (CSV + "x,one,1,0\n", "player.1.action: got 'one' beside '1' in column 'yours', takes strings or "),
    "float labels": (
        CSV.replace("\nx", "\n0.5").replace("\ny", "\n1.5"),
        "player.0.action: got '0.5' in column 'mine'",
    ),
    "labels with NaN": (CSV.replace("x", "nan"), "player.0.action: got 'nan' in column 'mine', takes strings or"),
    "no text": (b"mine,yours,my_score,your_score\n\xff,1,1,1\n", "paths: got .*log.csv, takes .*invalid UTF8"),
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_bad_csv(tmp_path, case):
    content, message = BAD_TEXTS[case]
    (tmp_path / "log.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=f"^{message}"):
        gk.offline.read_log(tmp_path / "log.csv", schema(tmp_path))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"garbage" * 100, b"PAR1" + bytes(100) + b"PAR1"])
@pytest.mark.parametrize("name", ["log.parquet", "log.csv.gz"])
def test_garbage(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"^paths: got .*{name}, takes a file that can be read to its end"):
        gk.offline.read_log(tmp_path / name, schema(tmp_path))


@pytest.mark.parametrize("suffix", [".parquet", ".csv.gz"])
def test_damage_is_noticed_or_harmless(tmp_path, suffix):
    """Truncated or with one bit flipped: one message, or, where checksums do not reach, a log; never anything else."""
    columns = play(60)
    path = write(tmp_path / f"log{suffix}", columns, **({"write_page_checksum": True} if suffix == ".parquet" else {}))
    content, rng = path.read_bytes(), np.random.default_rng(0)
    whole, refused = gk.offline.read_log(path, schema(tmp_path)).statistics, 0
    for trial in range(150):
        damaged = bytearray(content)
        if trial < 30:
            del damaged[rng.integers(len(content)) :]
        else:
            damaged[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found = gk.offline.read_log(path, schema(tmp_path)).statistics
        except ValueError as error:
            assert re.match(r"(paths|player\.\d\.\w+): got ", str(error)), error
            refused += 1
            continue
        if found.counts.shape == whole.counts.shape:
            np.testing.assert_array_equal(found.counts.sum(), 60)
    assert refused > 60


def test_bad_paths(tmp_path):
    good = write(tmp_path / "good.parquet", changed())
    table = schema(tmp_path)
    with pytest.raises(ValueError, match="paths: got none, takes at least one file"):
        gk.offline.read_log([], table)
    with pytest.raises(ValueError, match="paths: got the folder .*, takes files"):
        gk.offline.read_log(tmp_path, table)
    with pytest.raises(FileNotFoundError, match="paths: got .*none.parquet, takes a file that is there"):
        gk.offline.read_log([good, tmp_path / "none.parquet"], table)
    with pytest.raises(ValueError, match=r"paths: got .*log.toml, takes a file that ends in .parquet, .csv or .csv.gz"):
        gk.offline.read_log(tmp_path / "log.toml", table)
    with pytest.raises(ValueError, match="paths: got .*good.parquet twice, takes each file once"):
        gk.offline.read_log([good, str(good)], table)
    with pytest.raises(TypeError, match="schema: got dict, takes a LogSchema"):
        gk.offline.read_log(good, {})


def test_doubled_column_of_parquet(tmp_path):
    table = pa.table(changed())
    doubled = table.append_column("mine", pa.array([1, 2, 3]))
    with pytest.raises(ValueError, match="player.0.action: got 2 columns 'mine' in .*, takes names that differ"):
        read_with(tmp_path, doubled)


def test_files_that_differ(tmp_path):
    table = schema(tmp_path)
    good = write(tmp_path / "good.parquet", changed())
    less = write(tmp_path / "less.parquet", changed(your_score=None))
    with pytest.raises(ValueError, match=r"player.1.reward: got 'your_score', takes a column of .*less\.parquet"):
        gk.offline.read_log([good, less], table)
    other = write(tmp_path / "other.parquet", changed(yours=["1", "2", "1"]))
    with pytest.raises(
        ValueError, match=r"player.1.action: got strings .*other.parquet, takes integers, as .*good\.par"
    ):
        gk.offline.read_log([good, other], table)
    beside = write(tmp_path / "beside.csv", changed(yours=["a", "b", "c"]))
    with pytest.raises(ValueError, match="player.1.action: got 'a' beside '1' in column 'yours', takes strings or"):
        gk.offline.read_log([good, beside], table)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (
            '["y"]',
            "player.0.action: got the unknown label 'x' in column 'mine', data row 1 of .*player.0.actions .*: 'y'",
        ),
        ('["x"]', "player.0.action: got the unknown label 'y' in column 'mine', data row 2 of"),
        (
            "[1, 2]",
            "player.0.action: got strings in column 'mine', .*takes integers, as player.0.actions in the schema",
        ),
    ],
)
def test_unknown_labels(tmp_path, actions, message):
    text = TOML.replace('"my_score"', f'"my_score"\nactions = {actions}')
    with pytest.raises(ValueError, match=f"^{message}"):
        read_with(tmp_path, changed(), text=text)


def test_strings_in_the_schema_and_integers_in_the_log(tmp_path):
    text = TOML.replace('"your_score"', '"your_score"\nactions = ["1", "2"]')
    with pytest.raises(ValueError, match="player.1.action: got integers .*takes strings, as player.1.actions in the"):
        read_with(tmp_path, changed(), text=text)


def test_the_first_unknown_label_is_named_in_its_row(tmp_path):
    columns = play(1_000)
    columns["mine"] = columns["mine"].astype(object)
    columns["mine"][[777, 900]] = "late", "later"
    text = TOML.replace('"my_score"', '"my_score"\nactions = ["rock", "paper", "a,b", "Ünïc\\nöde"]')
    with pytest.raises(ValueError, match="the unknown label 'late' in column 'mine', data row 778 of"):
        read_with(tmp_path, columns, text=text, batch_rows=50)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize(
    ("won", "got"), [([1, 1.5, 0], "1.5"), ([1, -0.1, 0], "-0.1"), ([1, np.nan, 0], "nan"), ([1, np.inf, 0], "inf")]
)
def test_bad_preferences(tmp_path, suffix, won, got):
    columns = {"mine": ["x", "y", "x"], "yours": [1, 2, 1], "won": won}
    with pytest.raises(ValueError, match=f"^preference: got {got} in column 'won', data row 2 of .*from 0 to 1"):
        read_with(tmp_path, columns, suffix, PREFERENCE)


def test_too_many_labels(tmp_path):
    """Such as a column of numbers in place of actions; with fewer groups there is room for more."""
    rng = np.random.default_rng(0)
    columns = {"mine": rng.integers(0, 10**9, 60_000), "yours": rng.integers(0, 9, 60_000)}
    columns |= {"my_score": rng.normal(size=60_000), "your_score": rng.normal(size=60_000)}
    with pytest.raises(ValueError, match=r"player.0.action: got \d+ labels .such as '\d+', .*takes at most \d+ cells"):
        read_with(tmp_path, columns)
    assert read_with(tmp_path, columns, num_groups=1).statistics.counts.sum() == 60_000


@pytest.mark.parametrize("match", [[0.5, 1.5, 2.5], [NESTED[0]] * 3, [None, "a", "b"]])
def test_bad_groups(tmp_path, match):
    with pytest.raises(ValueError, match="^group: got (values of type double|nested values|nothing) "):
        read_with(tmp_path, changed(match=pa.array(match)), text=f'group = "match"\n{TOML}')


@pytest.mark.parametrize("number", [0, -4, 48, 2**17, True])
def test_bad_numbers_of_groups(tmp_path, number):
    with pytest.raises(ValueError, match=f"num_groups: got {number}, takes a (power of two|whole number)"):
        read_with(tmp_path, changed(), num_groups=number)


# Bad schemas.

ONE = '[[player]]\naction = "a"\nreward = "r"\n'
TWO = ONE + '[[player]]\naction = "b"\nreward = "s"\n'
BAD_SCHEMAS = {
    "no player": ("", "player: got nothing, takes a value"),
    "no action": ('[[player]]\nreward = "r"\n', "player.0.action: got nothing, takes a value"),
    "no reward": (TWO + '[[player]]\naction = "c"\n', "player.2.reward: got nothing, takes a column .or preference"),
    "unknown key": (f'contxt = "x"\n{TWO}', "contxt: got an unknown key; did you mean 'context'. takes player, group"),
    "unknown key of a player": (TWO + 'rewrad = "s"', "player.1.rewrad: got an unknown key; did you mean 'reward'"),
    "empty name": (TWO.replace('"a"', '""'), "player.0.action: got '', takes: String should have at least 1"),
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
    "context is a number": (f"context = 3\n{TWO}", "context: got 3, takes: Input should be a valid string"),
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
