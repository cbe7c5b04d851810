"""Checks of values, on concrete arrays: what the drivers call before they start."""

import numpy as np

from gamekl.core.games import ContextualGame, Game, MarkovGame, NormalFormGame
from gamekl.core.regularizer import Regularizer


def _show(index: np.ndarray) -> str:
    return f"[{', '.join(map(str, index))}]" if len(index) else ""


def check_finite(field: str, values: np.ndarray) -> None:
    """Raise unless every entry is finite."""
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        value = values[tuple(bad[0])]
        raise ValueError(f"{field}{_show(bad[0])}: got {value} ({len(bad)} such entries), takes finite numbers")


def check_distribution(field: str, probs: np.ndarray, axes: tuple[int, ...]) -> None:
    """Raise unless the entries are >= 0 and sum to one over `axes`."""
    check_finite(field, probs)
    negative = np.argwhere(probs < 0)
    if len(negative):
        raise ValueError(f"{field}{_show(negative[0])}: got {probs[tuple(negative[0])]}, takes probabilities >= 0")
    totals = np.asarray(probs.sum(axis=axes, dtype=np.float64))
    # The rounding of a sum of numbers stored in their dtype.
    slack = 16 * np.finfo(probs.dtype).eps * max(1, np.prod([probs.shape[axis] for axis in axes])) ** 0.5
    wrong = np.argwhere(np.abs(totals - 1) > max(slack, 1e-9))
    if len(wrong):
        raise ValueError(
            f"{field}{_show(wrong[0])}: got a sum of {totals[tuple(wrong[0])]}, takes probabilities that sum to 1"
        )


def _check_regularizer(game: Game, regularizer: Regularizer) -> None:
    regularizer.check_fits(game)
    temperature = np.asarray(regularizer.temperature)
    check_finite("temperature", temperature)
    if np.any(temperature <= 0):
        raise ValueError(f"temperature: got {temperature.tolist()}, takes numbers > 0")
    for index, entry in enumerate(regularizer.log_reference):
        values = np.asarray(entry)
        if np.any(np.isnan(values)) or np.any(np.isposinf(values)):
            raise ValueError(f"log_reference[{index}]: got NaN or +inf, takes logarithms of probabilities")
        check_distribution(f"exp(log_reference[{index}])", np.exp(values), (-1,))


def validate(game: Game, regularizer: Regularizer | None = None) -> None:
    """Check the values of a game, and of a regularizer for it, on concrete arrays.

    Shapes are checked by the constructors; this checks that payoffs are finite, distributions are distributions,
    temperatures are positive, and that the regularizer has the game's players, actions and stages.

    Raises:
        ValueError: names the field, what it got and what it takes.
        TypeError: `game` is not a game.
    """
    match game:
        case NormalFormGame():
            check_finite("payoffs", np.asarray(game.payoffs))
        case ContextualGame():
            check_finite("payoffs", np.asarray(game.payoffs))
            check_distribution("context_probs", np.asarray(game.context_probs), (0,))
        case MarkovGame():
            check_finite("rewards", np.asarray(game.rewards))
            check_distribution("transitions", np.asarray(game.transitions), (-1,))
            check_distribution("initial_probs", np.asarray(game.initial_probs), (0,))
        case _:
            raise TypeError(f"game: got {type(game).__name__}, takes a NormalFormGame, ContextualGame or MarkovGame")
    if regularizer is not None:
        _check_regularizer(game, regularizer)
