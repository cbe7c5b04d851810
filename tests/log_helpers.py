"""Logs that tests write and read, and what they add up to, one row at a time."""

import gzip
import io

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

import gamekl as gk

TOML = """
[[player]]
name = "row"
action = "mine"
reward = "my_score"

[[player]]
action = "yours"
reward = "your_score"
"""
PREFERENCE = 'preference = "won"\n[[player]]\naction = "mine"\n[[player]]\naction = "yours"\n'


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


def read_with(tmp_path, columns, suffix=".parquet", text=TOML, options=None, **arguments):
    path = write(tmp_path / f"log{suffix}", columns, **(options or {}))
    return gk.offline.read_log(path, schema(tmp_path, text), **arguments)


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


def changed(**changes):
    """A good log of three rows with other columns."""
    columns = {"mine": ["x", "y", "x"], "yours": [1, 2, 1], "my_score": [1.0, 2.0, 3.0], "your_score": [0.5, 0.5, 0.5]}
    return {name: values for name, values in (columns | changes).items() if values is not None}


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


# Logs that are drawn from a game.

PLAYERS = [{"action": "a", "reward": "r"}, {"action": "b", "reward": "s"}]
PLAIN = gk.offline.LogSchema(player=PLAYERS)
MATCHES = gk.offline.LogSchema(player=PLAYERS, group="match")
CONTEXTS = gk.offline.LogSchema(player=PLAYERS, context="x", contexts=[0, 1])


def columns_of(dataset):
    """The columns of drawn rows."""
    found = {
        "a": dataset.actions[:, 0],
        "b": dataset.actions[:, 1],
        "r": dataset.rewards[:, 0],
        "s": dataset.rewards[:, 1],
    }
    if isinstance(dataset, gk.offline.ContextualDataset):
        found["x"] = dataset.contexts
    return {name: np.asarray(values) for name, values in found.items()}


def read(tmp_path, columns, schema=PLAIN, **options):
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    return gk.offline.read_log(tmp_path / "log.parquet", schema, **options)


GAME = gk.NormalFormGame(np.array([[[1.0, 0.2], [0.1, 0.7]], [[0.3, 0.9], [0.8, 0.1]]]))
BEHAVIOR = np.array([[0.4, 0.2], [0.15, 0.25]])


def anchor_of(game, temperature):
    references = [
        jnp.broadcast_to(jnp.log(jnp.array(entry)), (*game.stage_shape, 2)) for entry in ([0.3, 0.7], [0.5, 0.5])
    ]
    return gk.Regularizer(references, jnp.asarray(temperature))
