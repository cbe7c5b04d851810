"""Checks of values, on concrete arrays: what the drivers call before they start."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.games import (
    ContextualGame,
    EstimatedMarkovGame,
    Game,
    MarkovGame,
    NormalFormGame,
    PolymatrixGame,
    StagedGame,
    as_float_array,
    require_normal_form,
)
from gamekl.core.policies import check_profile, is_concrete, outer
from gamekl.core.regularizer import Regularizer
from gamekl.core.symmetric.game import SymmetricGame


def show_place(index: np.ndarray) -> str:
    """An index as text, such as [2, 0, 1]; nothing of a scalar."""
    return f"[{', '.join(map(str, index))}]" if len(index) else ""


def refuse(field: str, values: np.ndarray, bad: ArrayLike, takes: str, first: int = 0) -> None:
    """Raise ``ValueError`` that names the first of the bad entries, if there is one; row 0 is called `first`."""
    found = np.argwhere(bad)
    if len(found):
        place = found[0] + first * (np.arange(found.shape[1]) == 0)
        raise ValueError(f"{field}{show_place(place)}: got {values[tuple(found[0])]}, takes {takes}")


def check_finite(field: str, values: np.ndarray) -> None:
    """Raise unless every entry is finite."""
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        value = values[tuple(bad[0])]
        raise ValueError(f"{field}{show_place(bad[0])}: got {value} ({len(bad)} such entries), takes finite numbers")


def check_preferences(field: str, preferences: np.ndarray) -> None:
    """Raise ``ValueError`` unless they are probabilities ``[*prompt, candidate, candidate]`` with P + P^T = 1."""
    shape = preferences.shape
    if len(shape) < 2 or shape[-1] != shape[-2] or shape[-1] < 2:
        raise ValueError(f"{field}: got shape {shape}, takes [*prompt, candidate, candidate], at least two candidates")
    check_finite(field, preferences)
    refuse(field, preferences, (preferences < 0) | (preferences > 1), "probabilities")
    excess = np.abs(preferences + np.swapaxes(preferences, -1, -2) - 1)
    refuse(field, preferences, excess > 16 * np.finfo(preferences.dtype).eps, "P with P + P^T = 1")


def check_distribution(field: str, probs: np.ndarray, axes: tuple[int, ...]) -> None:
    """Raise unless the entries are >= 0 and sum to one over `axes`."""
    check_finite(field, probs)
    negative = np.argwhere(probs < 0)
    if len(negative):
        raise ValueError(f"{field}{show_place(negative[0])}: got {probs[tuple(negative[0])]}, takes probabilities >= 0")
    totals = np.asarray(probs.sum(axis=axes, dtype=np.float64))
    # The rounding of a sum of numbers stored in their dtype.
    slack = 16 * np.finfo(probs.dtype).eps * max(1, np.prod([probs.shape[axis] for axis in axes])) ** 0.5
    wrong = np.argwhere(np.abs(totals - 1) > max(slack, 1e-9))
    if len(wrong):
        raise ValueError(
            f"{field}{show_place(wrong[0])}: got a sum of {totals[tuple(wrong[0])]}, takes probabilities that sum to 1"
        )


def check_transitions(transitions: np.ndarray) -> None:
    """Raise unless each row is a distribution of next states, or 0 where the episode ends."""
    ends = ~transitions.any(axis=-1, keepdims=True)
    check_distribution("transitions", np.where(ends, 1 / transitions.shape[-1], transitions), (-1,))


def check_whole(**numbers: Any) -> None:
    """Raise ``ValueError`` unless each is a whole number of at least 1."""
    for name, value in numbers.items():
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name}: got {value!r}, takes a whole number >= 1")


def check_key(key: Any) -> None:
    """Raise ``TypeError`` unless `key` is a jax random key, of either kind."""
    dtype = getattr(key, "dtype", None)
    if dtype is None or not (jnp.issubdtype(dtype, jax.dtypes.prng_key) or (dtype == np.uint32 and np.ndim(key))):
        raise TypeError(f"key: got {key!r}, takes a jax random key, such as jax.random.key(0)")


def check_nonnegative(**numbers: ArrayLike) -> None:
    """Raise ``ValueError`` unless each is a number, and where concrete finite and >= 0."""
    for name, value in numbers.items():
        known = is_concrete(value)
        if isinstance(value, str) or np.shape(value) or (known and not 0 <= np.asarray(value, dtype=float) < np.inf):
            raise ValueError(f"{name}: got {value!r}, takes a finite number >= 0")


def check_regularizer(game: Game | SymmetricGame, regularizer: Regularizer) -> None:
    """Raise ``ValueError`` unless the regularizer fits the game and, where concrete, its values are right.

    Temperatures must be positive and references sum to one.
    """
    regularizer.check_fits(game)
    if not is_concrete(regularizer):
        return
    temperature = np.asarray(regularizer.temperature)
    check_finite("temperature", temperature)
    if np.any(temperature <= 0):
        raise ValueError(f"temperature: got {temperature.tolist()}, takes numbers > 0")
    for index, entry in enumerate(regularizer.log_reference):
        values = np.asarray(entry)
        if np.any(np.isnan(values)) or np.any(np.isposinf(values)):
            raise ValueError(f"log_reference[{index}]: got NaN or +inf, takes logarithms of probabilities")
        if np.any(values > 1e-6):
            raise ValueError(
                f"log_reference[{index}]: got {values.max()}, takes logarithms of probabilities, not above 0"
            )
        check_distribution(f"exp(log_reference[{index}])", np.exp(values), (-1,))


def check_noise(noise: ArrayLike | str, game: Game) -> None:
    """Raise ``ValueError`` unless the noise is a standard deviation >= 0, or "bernoulli" with payoffs in [0, 1]."""
    if isinstance(noise, str):
        if noise != "bernoulli":
            raise ValueError(f"noise: got {noise!r}, takes a standard deviation >= 0 or 'bernoulli'")
        if not is_concrete(game):
            return
        payoffs = np.asarray(game.table)
        low, high = payoffs.min(), payoffs.max()
        if low < 0 or high > 1:
            raise ValueError(f"payoffs: got {low} to {high}, takes values in [0, 1] where noise is 'bernoulli'")
    elif is_concrete(noise) and not (np.ndim(noise) == 0 and 0 <= np.asarray(noise, dtype=float) < np.inf):
        raise ValueError(f"noise: got {noise!r}, takes a standard deviation >= 0 or 'bernoulli'")


Behavior = ArrayLike | Sequence[Any]


def joint_behavior(
    game: NormalFormGame | StagedGame, behavior: Behavior, field: str = "behavior"
) -> Float[Array, "*stage_and_actions"]:
    """The behavior as joint distributions ``[*stage, *actions]``, checked for shape, and for values where concrete.

    Args:
        game: a normal-form, contextual or Markov game, which gives players, actions and stages.
        behavior: a joint distribution ``[*stage, *actions]``, or one policy (probabilities) ``[*stage, actions_i]`` for
            each player.
        field: what errors call it.

    Returns:
        Probabilities, shape ``[*stage, *actions]``.

    Raises:
        ValueError: wrong shape, negative mass, or mass that does not sum to one, also of a Markov game's transitions.
        TypeError: `game` is of another kind.
    """
    if not isinstance(game, ContextualGame | MarkovGame):
        require_normal_form(game)
    if isinstance(game, MarkovGame) and is_concrete(game):  # to be played, it must have chances
        check_transitions(np.asarray(game.transitions))
        check_distribution("initial_probs", np.asarray(game.initial_probs), (0,))
    stage, actions = game.stage_shape, game.num_actions
    if isinstance(behavior, tuple | list) and not _is_table(behavior, stage, actions):
        behavior = outer(check_profile(field, behavior, actions, log=False, stage=stage))
    joint = as_float_array(field, behavior)
    if joint.shape != (*stage, *actions):
        axes = "[*stage, *actions]" if stage else "[*actions]"
        raise ValueError(
            f"{field}: got shape {joint.shape}, takes {axes} = {(*stage, *actions)} or one policy for each player"
        )
    if is_concrete(joint):
        check_distribution(field, np.asarray(joint), tuple(range(-len(actions), 0)))
    return joint.astype(float)


def _is_table(behavior: Sequence[Any], stage: tuple[int, ...], actions: tuple[int, ...]) -> bool:
    """Whether nested sequences are a joint distribution, and not one policy for each player."""
    shapes = [np.shape(entry) for entry in behavior]
    if [len(shape) for shape in shapes] != [len(stage) + 1] * len(actions):
        return True
    whole = (*stage, *actions)
    if shapes != [whole[1:]] * whole[0] or not is_concrete(behavior):
        return False
    totals = np.sum(np.stack([np.asarray(entry) for entry in behavior]), axis=tuple(range(-len(actions), 0)))
    return bool(np.all(np.abs(totals - 1) < 1e-6))


def validate(game: Game | SymmetricGame, regularizer: Regularizer | None = None) -> None:
    """Check the values of a game, and of a regularizer for it, on concrete arrays.

    Shapes are checked by the constructors; this checks that payoffs are finite, distributions are distributions,
    temperatures are positive, and that the regularizer has the game's players, actions and stages.

    Args:
        game: a normal-form, symmetric, polymatrix, contextual or Markov game.
        regularizer: references and temperatures to check against it; none if None.

    Raises:
        ValueError: names the field, what it got and what it takes.
        TypeError: `game` is not a game.
    """
    match game:
        case NormalFormGame() | SymmetricGame():
            check_finite("payoffs", np.asarray(game.payoffs))
        case PolymatrixGame():
            payoffs = np.asarray(game.payoffs)
            check_finite("payoffs", payoffs)
            own = np.einsum("iiab->iab", payoffs)
            if np.any(own):
                player = int(np.argwhere(own)[0][0])
                raise ValueError(f"payoffs[{player}, {player}]: got entries that are not 0, takes pairs of two players")
        case ContextualGame():
            check_finite("payoffs", np.asarray(game.payoffs))
            check_distribution("context_probs", np.asarray(game.context_probs), (0,))
        case MarkovGame():
            check_finite("rewards", np.asarray(game.rewards))
            transitions = np.asarray(game.transitions)
            if isinstance(game, EstimatedMarkovGame):
                check_finite("transitions", transitions)
            else:
                check_transitions(transitions)
            check_distribution("initial_probs", np.asarray(game.initial_probs), (0,))
        case _:
            takes = "a NormalFormGame, SymmetricGame, PolymatrixGame, ContextualGame or MarkovGame"
            raise TypeError(f"game: got {type(game).__name__}, takes {takes}")
    if regularizer is not None:
        check_regularizer(game, regularizer)
