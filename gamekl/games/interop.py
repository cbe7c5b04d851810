"""Games to and from other tools: OpenSpiel's `pyspiel` and Gambit's `pygambit`.

Neither tool is needed to import gamekl. Axis order is player order, here and there. Numpy needs no function of its own:
``NormalFormGame(payoffs)`` takes an array ``[player, *actions]`` and ``np.asarray(game.payoffs)`` gives it back.
"""

import importlib
import itertools
from collections.abc import Iterator
from math import log10
from typing import Any

import numpy as np

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.validation import validate
from gamekl.games import gambit
from gamekl.games.efg import efg_table
from gamekl.games.limits import MAX_HISTORIES, MAX_LOG, refuse
from gamekl.games.nfg import nfg_table
from gamekl.games.table import Table


def _tool(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{name}: got no such package, takes pip install 'gamekl[{extra}]'") from error


def to_pyspiel(game: NormalFormGame) -> Any:
    """The game as a ``pyspiel.MatrixGame`` (two players) or ``pyspiel.TensorGame`` (any other number), in float64.

    Raises:
        ImportError: OpenSpiel is not installed.
        TypeError: `game` is no `NormalFormGame`.
        ValueError: payoffs that are not finite.
    """
    pyspiel = _tool("pyspiel", "openspiel")
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
        ValueError: an unknown name; a game whose chance is sampled, or that has no information states; one of too many
            pure strategies, which are counted before any is made.
    """
    pyspiel = _tool("pyspiel", "openspiel")
    if isinstance(game, str):
        if game.partition("(")[0] not in pyspiel.registered_names():
            raise ValueError(
                f"game: got {game!r}, takes a name such as 'kuhn_poker', one of pyspiel.registered_names()"
            )
    elif not isinstance(game, pyspiel.Game):
        raise TypeError(f"game: got {type(game).__name__}, takes a pyspiel game or its name")
    try:
        loaded = pyspiel.load_game(game) if isinstance(game, str) else game
        return Table(_spiel_payoffs(pyspiel, loaded)).game(dtype)
    except pyspiel.SpielError as error:
        raise ValueError(f"game: got {game}, takes one that has a normal form ({error})") from error


def _spiel_payoffs(pyspiel: Any, game: Any) -> np.ndarray:
    """Payoffs ``[player, *actions]``."""
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
    actions = [root.legal_actions(player) for player in range(game.num_players())]
    sizes = [len(entry) for entry in actions]
    refuse("game", game, [log10(size) for size in sizes])
    ends = (_after(root, joint) for joint in itertools.product(*actions))
    return np.array([end.returns() for end in ends]).T.reshape(-1, *sizes)


def _after(state: Any, joint: tuple[int, ...]) -> Any:
    child = state.clone()
    child.apply_actions(joint)
    return child


def _children(state: Any, num_players: int) -> Iterator[Any]:
    if state.is_terminal():
        return iter(())
    if state.is_simultaneous_node():
        joint = itertools.product(*(state.legal_actions(player) for player in range(num_players)))
        return (_after(state, actions) for actions in joint)
    return (state.child(action) for action in state.legal_actions())


def _histories(game: Any) -> Iterator[Any]:
    """All states of the tree, one path of it in memory at a time."""
    stack = [iter([game.new_initial_state()])]
    while stack:
        state = next(stack[-1], None)
        if state is None:
            stack.pop()
        else:
            yield state
            stack.append(_children(state, game.num_players()))


def _check_strategies(game: Any) -> None:
    """Raise ``ValueError`` unless the tree and its normal form are small enough to walk for every joint strategy."""
    kind = game.get_type()
    if kind.chance_mode == kind.ChanceMode.SAMPLED_STOCHASTIC or kind.dynamics == kind.Dynamics.MEAN_FIELD:
        raise ValueError(f"game: got {game} with sampled chance or a mean field, takes one whose chances are known")
    seen: set[tuple[int, str]] = set()
    logs = [0.0] * game.num_players()
    histories = 0
    for state in _histories(game):
        histories += 1
        if histories > MAX_HISTORIES or sum(logs) > MAX_LOG:
            break
        if state.is_chance_node() or state.is_terminal():
            continue
        for player in range(game.num_players()) if state.is_simultaneous_node() else [state.current_player()]:
            place = (player, state.information_state_string(player))
            if place not in seen:
                seen.add(place)
                logs[player] += log10(len(state.legal_actions(player)))
    refuse("game", game, logs, histories)


def to_pygambit(game: NormalFormGame, *, title: str = "gamekl") -> Any:
    """The game as a ``pygambit.Game`` in strategic form.

    Payoffs become the shortest decimals that read as the same floats; only -0 becomes 0.

    Args:
        game: of at most 2^20 joint actions, as pygambit takes some 10 to 20 microseconds for each payoff.
        title: of the game, ASCII as pygambit 16.7 demands.

    Raises:
        ImportError: pygambit is not installed.
        TypeError: `game` is no `NormalFormGame`.
        ValueError: payoffs that are not finite, too many of them, or a title that is not ASCII.
    """
    pygambit = _tool("pygambit", "gambit")
    require_normal_form(game)
    validate(game)
    refuse("game", f"a game of shape {game.num_actions}", [log10(size) for size in game.num_actions])
    if not title.isascii():
        raise ValueError(f"title: got {title!r}, takes ASCII, as pygambit 16.7 demands")
    theirs = gambit.make_table(pygambit, np.asarray(game.payoffs, dtype=np.float64))
    theirs.title = title
    return theirs


def from_pygambit(game: Any, *, dtype: Any = None) -> NormalFormGame:
    """The strategic form of a Gambit game, each rational payoff as the nearest float.

    Of a game tree it is Gambit's reduced form: strategies of a player that differ only where the player's own moves
    never lead are one action. What merely pays the same stays apart; `merge_equivalent` merges that, too.

    Args:
        game: a ``pygambit.Game``, a table or a tree.
        dtype: of the payoffs; the default float if None.

    Raises:
        ImportError: pygambit is not installed.
        TypeError: `game` is no ``pygambit.Game``.
        ValueError: no players, a payoff beyond the largest float, a tree of more than 4,096 moves in a row, or too many
            strategies, which are counted before Gambit makes them.
    """
    pygambit = _tool("pygambit", "gambit")
    if not isinstance(game, pygambit.Game):
        raise TypeError(f"game: got {type(game).__name__}, takes a pygambit.Game")
    if not len(game.players):
        raise ValueError("game: got no players, takes at least one")
    if gambit.is_tree(pygambit, game):
        if gambit.reaches(pygambit, game, gambit.MAX_LEVELS + 1):
            raise ValueError(f"game: got a pygambit tree of more moves in a row, takes at most {gambit.MAX_LEVELS}")
        try:
            return efg_table(gambit.written(game.to_efg)).game(dtype)
        except ValueError as error:
            raise ValueError(f"game: got a pygambit tree that has no strategic form here: {error}") from error
    refuse("game", "a pygambit table", [log10(count) for count in gambit.count_table(game)])
    table = nfg_table(gambit.written(game.to_nfg))
    if not np.isfinite(table.payoffs).all():
        raise ValueError(f"payoffs: got one beyond {np.finfo(float).max:.3g}, takes finite numbers")
    return Table(table.payoffs + 0.0, table.names).game(dtype)  # a rational knows no -0
