"""From who won to how far the first player's action is preferred: 1, 0, or 1/2. Loads no jax."""

import numpy as np

from gamekl.offline.logs.columns import Batch, Labels
from gamekl.offline.logs.labels import canonical
from gamekl.offline.logs.schema import TIES, LogSchema


def _means(schema: LogSchema, player: int) -> list[str]:
    """What an outcome may call a player in any row: its name, and the column of its actions where it has its own."""
    entry = schema.player[player]
    own = [entry.action] if schema.layout == "wide" else []
    return own if entry.name is None else [*own, entry.name]


def preferences(batch: Batch, schema: LogSchema) -> np.ndarray:
    """How far each row's outcome says that the first player's action is preferred.

    Raises:
        ValueError: an outcome is none that the schema and the row's actions allow, or may mean two things; or the
            numbers of several columns do not add up to 1.
    """
    return _of_names(batch, schema) if isinstance(schema.outcome, str) else _of_numbers(batch, schema)


def _of_numbers(batch: Batch, schema: LogSchema) -> np.ndarray:
    """The preferences that columns of 0 and 1 tell: the first player won, the second did, or it was a tie."""
    found = np.array([batch.columns[f"outcome.{index}"] for index in range(len(schema.outcome or ()))])
    good = np.isclose(found.sum(axis=0), 1)
    if not good.all():
        row = int(np.argmin(good))
        shown = ", ".join(f"{value:g}" for value in found[:, row])
        raise batch.error("outcome.0", f"{shown} of {list(schema.outcome or ())}", "numbers that add up to 1", row)
    return found[0] + 0.5 * found[2] if len(found) > 2 else found[0]


def _of_names(batch: Batch, schema: LogSchema) -> np.ndarray:
    codes: dict[str, int] = {}

    def numbered(texts: list[str]) -> np.ndarray:
        return np.array([codes.setdefault(canonical(text), len(codes)) for text in texts], dtype=np.int64)

    def column(field: str) -> np.ndarray:
        found: Labels = batch.columns[field]
        return numbered(found.texts.to_pylist())[found.indices]

    outcomes = column("outcome")
    wins = [
        (outcomes == column(f"player.{player}.action")) | np.isin(outcomes, numbered(_means(schema, player)))
        for player in range(2)
    ]
    listed = [str(label) for label in (TIES if schema.ties is None else schema.ties)]
    ties = np.isin(outcomes, numbered(listed))
    times = np.sum([*wins, ties], axis=0)
    if np.any(times != 1):
        row = int(np.argmax(times != 1))
        got, played = (
            repr(batch.text("outcome", row)),
            [batch.text(f"player.{player}.action", row) for player in range(2)],
        )
        names = [name for player in range(2) for name in _means(schema, player)]
        if times[row]:
            got += f", which may mean two things beside the actions {', '.join(map(repr, played))},"
        takes = ", ".join(map(repr, names if times[row] else [*played, *names]))
        raise batch.error("outcome", got, f"{takes}, or one of the ties {', '.join(map(repr, listed))}", row)
    return wins[0] + 0.5 * ties
