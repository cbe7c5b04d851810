"""Logs on disk: what is read is what is there, however it is written."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from log_helpers import assert_same, group_by, play, read_with, schema, write

import gamekl as gk


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


def test_float64_whatever_the_mode(tmp_path):
    """2^24 + 1 is no float32."""
    columns = {"mine": ["x"], "yours": ["y"], "my_score": [2.0**24 + 1], "your_score": [0.1]}
    with jax.enable_x64(False):
        log = read_with(tmp_path, columns)
        assert_same(log.statistics, (np.ones((1, 1)), np.array([[[2.0**24 + 1]], [[0.1]]])))
        assert log.behavior.dtype == np.float64 and log.coverage().of_uniform == 1
        assert gk.offline.estimate(log.statistics).game.dtype == jnp.float32
    assert gk.offline.estimate(log.statistics).game.dtype == jnp.float64


@pytest.mark.parametrize("encoding", ["DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"])
def test_texts_that_are_stored_as_differences(tmp_path, encoding):
    """As DuckDB writes Parquet's second version; pyarrow 26 does not read them into dictionaries."""
    columns = play(300)
    plain = read_with(tmp_path, columns)
    found = read_with(tmp_path, columns, options={"use_dictionary": False, "column_encoding": {"mine": encoding}})
    assert found.actions == plain.actions
    np.testing.assert_array_equal(found.statistics.counts, plain.statistics.counts)
