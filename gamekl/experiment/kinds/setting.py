"""The true games of a family, with all that is needed to sample, solve or play them."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gamekl import games
from gamekl.core.regularizer import Regularizer
from gamekl.experiment.schema.config import SweepConfig
from gamekl.experiment.schema.family import FamilyConfig, Referenced
from gamekl.experiment.schema.parts import DRAWN, GameConfig
from gamekl.games.featured import Featured

# Of keys: a seed means the same numbers whatever jax's default is, or is set to.
RANDOM = "threefry2x32"

T = TypeVar("T")


class Setting(NamedTuple):
    """One true game with all that is needed to sample and solve it.

    Attributes:
        game: the true game.
        regularizer: at one temperature; at temperature 1 for unregularised solvers, which do not use it.
        behavior: joint distribution of the logged actions, ``[*stage, *actions]``; of pairs of them that are compared,
            ``[*actions, *actions]``, where the estimate is from preferences; of a leader the policies that it
            announced, ``[strategy, leader]``.
        features: of contexts, or of contexts and joint actions; None where the estimate needs none.
        extra: arrays of a kind's own, or None.
    """

    game: Any
    regularizer: Regularizer
    behavior: Array
    features: Array | None
    extra: Any = None


def family_key(config: SweepConfig, family: FamilyConfig) -> Array:
    """The family's own stream of random numbers, whatever stands beside it in the config."""
    digest = hashlib.sha256(family.label.encode()).digest()
    key = jax.random.key(config.seed, impl=RANDOM)
    for start in range(0, 16, 4):
        key = jax.random.fold_in(key, int.from_bytes(digest[start : start + 4]))
    return key


def make_games(key: Array, config: GameConfig) -> list[Any]:
    """The games of a family, in float64; those with features as a `Featured`."""
    if config.kind == "file":
        return [games.load_game(str(config.path))]
    constructor = getattr(games, config.kind)
    parameters: dict[str, Any] = dict(config.parameters)
    if config.kind in ("contextual", "markov"):
        parameters["family"] = getattr(games, config.rewards or "uniform")
    try:
        if config.kind in DRAWN:
            keys = jax.random.split(key, config.num_games)
            return [constructor(entry, config.num_actions, **parameters) for entry in keys]
        return [constructor(**parameters)]
    except (TypeError, ValueError) as error:
        if not config.parameters:
            raise ValueError(f"game: got what makes no game of kind {config.kind!r} ({error})") from error
        raise ValueError(f"game.parameters: got {config.parameters} for kind {config.kind!r} ({error})") from error


class Drawn(NamedTuple):
    """A game of a family.

    Attributes:
        game: the game, of kind "doors" the list of all.
        features: of contexts, or of contexts and joint actions, or None.
        key: for whatever else is drawn of it.
    """

    game: Any
    features: Array | None
    key: Array


def games_key(config: SweepConfig, family: FamilyConfig) -> Array:
    """What draws the games: the family's own, or that of the seed which families share."""
    if family.game.seed is not None:
        return jax.random.key(family.game.seed, impl=RANDOM)
    return jax.random.fold_in(family_key(config, family), 0)


def drawn_games(key: Array, config: GameConfig) -> Iterator[Drawn]:
    """The games, each with a key of its own."""
    for number, made in enumerate(make_games(key, config)):
        game, features = made if isinstance(made, Featured) else (made, None)
        yield Drawn(game, features, jax.random.fold_in(jax.random.fold_in(key, config.num_games), number))


def make_regularizer(family: Referenced, drawn: Drawn, temperature: Any) -> Regularizer:
    """The family's references for a game."""
    game, reference = drawn.game, family.reference
    if reference == "uniform":
        return Regularizer.uniform(game, temperature)
    if reference == "normal":
        keys = jax.random.split(drawn.key, game.num_players)
        if family.game.kind == "preference":  # one policy plays against itself
            keys = keys[jnp.zeros(2, int)]
        sizes = zip(keys, game.num_actions, strict=True)
        return Regularizer(
            [jax.nn.log_softmax(jax.random.normal(entry, (size,))) for entry, size in sizes], temperature
        )
    with np.errstate(divide="ignore"):
        return Regularizer([np.log(np.asarray(row)) for row in reference], temperature)


def map_arrays(function: Callable[[Array], Array], tree: T) -> T:
    """The tree with each of its arrays replaced by what the function makes of it."""
    return jax.tree.map(function, tree)


def for_games_and_seeds(function: Callable[..., Any]) -> Callable[..., Any]:
    """Map over the games of a family (keys and settings), then over seeds (keys alone)."""
    return jax.vmap(jax.vmap(function, in_axes=(0, None)), in_axes=(0, 0))
