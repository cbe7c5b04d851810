"""Games to and from OpenSpiel's `pyspiel`. Axis order is player order, here and there.

What has moves in turn is walked level by level, and its children are counted before any of them is made: neither a tree
that is wide nor one that never ends takes memory.
"""

import itertools
from collections.abc import Iterator, Sequence
from math import log10, prod
from typing import Any

import numpy as np

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.validation import validate
from gamekl.games.files.game_text import make_game
from gamekl.games.files.limits import MAX_HISTORIES, MAX_LEVELS, MAX_LOG, refuse
from gamekl.games.files.table import Table
from gamekl.games.tools import tool


def to_pyspiel(game: NormalFormGame) -> Any:
    """The game as a ``pyspiel.MatrixGame`` (two players) or ``pyspiel.TensorGame`` (any other number), in float64.

    Args:
        game: the game, concrete.

    Raises:
        ImportError: OpenSpiel is not installed.
        TypeError: `game` is no `NormalFormGame`.
        ValueError: payoffs that are not finite.
    """
    pyspiel = tool("pyspiel", "openspiel")
    require_normal_form(game)
    validate(game)
    payoffs = np.asarray(game.payoffs, dtype=np.float64)
    return pyspiel.create_matrix_game(*payoffs) if len(payoffs) == 2 else pyspiel.create_tensor_game(list(payoffs))


def from_pyspiel(game: Any, *, dtype: Any = None) -> NormalFormGame:
    """The normal form of an OpenSpiel game.

    An action of a game in normal form stays one action. An extensive game goes through
    ``pyspiel.extensive_to_tensor_game``: an action is then a pure strategy, that is a legal action for every
    information state, also for those that the strategy's own moves exclude (`merge_equivalent` merges what pays the
    same). Strategies run through the information states in the order of their strings, the first fastest.

    Args:
        game: a ``pyspiel`` game, or the name of one with its parameters, as ``"kuhn_poker(players=2)"``.
        dtype: of the payoffs; the default float if None.

    Raises:
        ImportError: OpenSpiel is not installed.
        TypeError: `game` is neither.
        ValueError: an unknown name, or a file in it that OpenSpiel cannot read; a game whose chance is sampled, that
            has no information states, or that does not tell actions apart; one of too many pure strategies or
            histories, or of more than 4,096 moves in a row, which are counted before any is made.
    """
    pyspiel = tool("pyspiel", "openspiel")
    if isinstance(game, str):
        if game.partition("(")[0] not in pyspiel.registered_names():
            raise ValueError(
                f"game: got {game!r}, takes a name such as 'kuhn_poker', one of pyspiel.registered_names()"
            )
    elif not isinstance(game, pyspiel.Game):
        raise TypeError(f"game: got {type(game).__name__}, takes a pyspiel game or its name")
    try:
        loaded = pyspiel.load_game(game) if isinstance(game, str) else game
        return make_game(Table(_payoffs(pyspiel, loaded)), dtype)
    except (pyspiel.SpielError, RuntimeError, LookupError) as error:  # a damaged file is an index out of range
        raise ValueError(f"game: got {game}, takes one that has a normal form ({error})") from error


def _payoffs(pyspiel: Any, game: Any) -> np.ndarray:
    """The payoffs ``[player, *actions]`` of a ``pyspiel`` game."""
    kind = game.get_type()
    if isinstance(game, pyspiel.MatrixGame | pyspiel.TensorGame):
        tensor = game
    elif kind.information == kind.Information.ONE_SHOT:
        return _one_shot_payoffs(game)
    else:
        _check_strategies(game)
        tensor = pyspiel.extensive_to_tensor_game(game)
    return np.stack([tensor.player_utilities(player) for player in range(game.num_players())])


def _one_shot_payoffs(game: Any) -> np.ndarray:
    root = game.new_initial_state()
    actions = _moves(game, root)
    sizes = [len(entry) for entry in actions]
    refuse("game", game, [log10(size) for size in sizes])
    ends = (_after(root, joint) for joint in itertools.product(*actions))
    return np.array([end.returns() for end in ends]).T.reshape(-1, *sizes)


def _after(state: Any, joint: tuple[int, ...]) -> Any:
    child = state.clone()
    child.apply_actions(joint)
    return child


def _movers(game: Any, state: Any) -> Sequence[int]:
    """Who moves in a state that is no end, chance among them."""
    return range(game.num_players()) if state.is_simultaneous_node() else [state.current_player()]


def _moves(game: Any, state: Any) -> list[list[int]]:
    """What each of those who move may do: OpenSpiel knows actions by numbers, which must differ."""
    moves = [state.legal_actions(player) for player in _movers(game, state)]
    for actions in moves:
        if len(set(actions)) < len(actions):
            where = " ".join(str(state).split())[:200]
            raise ValueError(
                f"game: got {game}, in whose state {where!r} one number stands for several actions ({actions[:20]}), "
                "takes actions that OpenSpiel tells apart, as by labels that differ"
            )
    return moves


def _children(state: Any, moves: list[list[int]]) -> Iterator[Any]:
    if state.is_simultaneous_node():
        return (_after(state, joint) for joint in itertools.product(*moves))
    return (state.child(action) for action in moves[0])


def _check_strategies(game: Any) -> None:
    """Raise ``ValueError`` unless the tree and its normal form are small enough to walk for every joint strategy."""
    kind = game.get_type()
    if kind.chance_mode == kind.ChanceMode.SAMPLED_STOCHASTIC or kind.dynamics == kind.Dynamics.MEAN_FIELD:
        raise ValueError(f"game: got {game} with sampled chance or a mean field, takes one whose chances are known")
    seen: set[tuple[int, str]] = set()
    logs = [0.0] * game.num_players()
    histories, level = 1, iter([game.new_initial_state()])
    for _ in range(MAX_LEVELS):
        parents = []
        for state in level:
            if state.is_terminal():
                continue
            moves = _moves(game, state)
            histories += prod(map(len, moves))
            for player, actions in zip(_movers(game, state), moves, strict=True):
                place = None if state.is_chance_node() else (player, state.information_state_string(player))
                if place is not None and len(actions) > 1 and place not in seen:
                    seen.add(place)
                    logs[player] += log10(len(actions))
            if histories > MAX_HISTORIES or sum(logs) > MAX_LOG:
                refuse("game", game, logs, histories)
            parents.append((state, moves))
        if not parents:
            return refuse("game", game, logs, histories)
        level = (child for state, moves in parents for child in _children(state, moves))
    raise ValueError(f"game: got {game} with {histories} histories of {MAX_LEVELS} moves and more, takes shorter ones")
