"""What a game's file calls its players and actions, where `gamekl solve` prints and saves what they do."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gamekl.core.games import NormalFormGame
from gamekl.core.names import distinct, numbered

# Of more actions than these, only the probabilities are printed.
MOST_NAMED = 1000


def table(values: Any) -> str:
    """An array as the text that is printed."""
    with np.printoptions(precision=8, suppress=True, floatmode="fixed", linewidth=120):
        return str(np.asarray(values))


def _printed(names: Sequence[str]) -> tuple[str, ...]:
    """The names on one line each, and still all different."""
    return distinct(name if name.isprintable() else name.encode("unicode_escape").decode() for name in names)


def _players(game: NormalFormGame) -> tuple[str, ...]:
    if game.names is None:
        return tuple(f"player {number}" for number in numbered(game.num_players))
    return _printed(game.names.players)


def _actions(game: NormalFormGame) -> list[tuple[str, ...] | None]:
    """Each player's names of actions; None where they are but numbers, or too many to print."""
    if game.names is None:
        return [None] * game.num_players
    own = [_printed(names) if len(names) <= MOST_NAMED else None for names in game.names.actions]
    return [None if names is None or names == numbered(len(names)) else names for names in own]


def policy_lines(game: NormalFormGame, policies: Sequence[Any], when: str = "") -> Iterator[str]:
    """Each player's probabilities: a line for each action that has a name, else one for all."""
    for player, actions, policy in zip(_players(game), _actions(game), policies, strict=True):
        if actions is None:
            yield f"{player}{when}: {table(policy)}"
            continue
        yield f"{player}{when}:"
        width = max(map(len, actions))
        yield from (f"  {name:<{width}}  {share:.8f}" for name, share in zip(actions, np.asarray(policy), strict=True))


def joint_lines(game: NormalFormGame, joint: Any) -> Iterator[str]:
    """The probabilities of joint actions, and what the axes of their table are."""
    yield "joint policy:"
    for axis, (player, actions) in enumerate(zip(_players(game), _actions(game), strict=True)):
        if actions is not None:
            yield f"  axis {axis + 1}, {player}: {', '.join(actions)}"
    yield table(joint)


def name_arrays(game: NormalFormGame) -> dict[str, np.ndarray]:
    """The names as arrays of strings, to be saved: ``players``, ``actions_0``, ...; none if the game has none."""
    if game.names is None:
        return {}
    actions = {f"actions_{player}": np.array(names) for player, names in enumerate(game.names.actions)}
    return {"players": np.array(game.names.players), **actions}
