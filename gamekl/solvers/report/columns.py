"""Columns of tables: what players and actions are called, and their numbers. Loads no jax."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gamekl.core.names import Names, distinct

Columns = Mapping[str, Sequence[Any]]


def joined(*parts: Columns | Sequence[tuple[str, Sequence[Any]]]) -> dict[str, Sequence[Any]]:
    """The columns of all parts in a row; where names are the same, they get numbers."""
    pairs = [pair for part in parts for pair in (part.items() if isinstance(part, Mapping) else part)]
    return dict(zip(distinct(name for name, _ in pairs), (column for _, column in pairs), strict=True))


def of_players(name: str, values: Any, names: Names) -> list[tuple[str, Sequence[Any]]]:
    """A column ``name:player`` for each player of an array ``[row, player]``."""
    own = zip(names.players, np.asarray(values).T, strict=True)
    return [(f"{name}:{player}", column.tolist()) for player, column in own]


def of_policies(policies: Sequence[Any], names: Names) -> list[tuple[str, Sequence[Any]]]:
    """A column ``player:action`` for each action, of arrays ``[row, actions_i]`` for each player."""
    return [
        (f"{player}:{action}", column)
        for player, actions, policy in zip(names.players, names.actions, policies, strict=True)
        for action, column in zip(actions, np.asarray(policy).T.tolist(), strict=True)
    ]


def by_action(names: Names) -> Iterator[tuple[int, int, str, str]]:
    """The number of each player and of each of its actions, and what they are called."""
    for player, actions in enumerate(names.actions):
        for action, name in enumerate(actions):
            yield player, action, names.players[player], name


def by_joint_action(names: Names) -> dict[str, list[str]]:
    """What each player does in each joint action, of which the last player's runs fastest."""
    actions = np.indices(tuple(map(len, names.actions))).reshape(len(names.actions), -1)
    own = zip(names.players, names.actions, actions.tolist(), strict=True)
    return {player: [known[action] for action in column] for player, known, column in own}
