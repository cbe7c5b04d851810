"""What the examples take: shapes alone, in the default dtype."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import gamekl as gk

# Of a batch: no power of two, nor a number of actions.
SIZE = 7


def stacked(shapes: Any, size: int) -> Any:
    """With a leading axis."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape), leaf.dtype), shapes)


class Program(NamedTuple):
    """A call to be lowered; `arguments` are functions that make the shapes of what it takes."""

    call: Callable[..., Any]
    arguments: tuple[Callable[[], Any], ...]
    batched: bool = False

    def given(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """The call, under ``jax.vmap`` if it is `batched`, and its arguments."""
        arguments = tuple(make() for make in self.arguments)
        if not self.batched:
            return self.call, arguments
        return jax.vmap(self.call), stacked(arguments, SIZE)


def program(function: Callable[..., Any], *arguments: Callable[[], Any], **options: Any) -> Program:
    """A call of a function with shapes and, by name, all else."""
    return Program(lambda *arrays: function(*arrays, **options), arguments)


def batch(function: Callable[..., Any], *arguments: Callable[[], Any], **options: Any) -> Program:
    """The same, of many at once."""
    return program(function, *arguments, **options)._replace(batched=True)


def made(function: Callable[..., Any], *arguments: Callable[[], Any]) -> Callable[[], Any]:
    """The shapes of what a function returns."""
    return cache(lambda: jax.eval_shape(function, *(make() for make in arguments)))


def table(*shape: int) -> Callable[[], Any]:
    """Floats."""
    return made(lambda: jnp.zeros(shape))


def whole(*shape: int) -> Callable[[], Any]:
    """Integers."""
    return made(lambda: jnp.zeros(shape, jnp.int32))


def many(make: Callable[[], Any], size: int = SIZE) -> Callable[[], Any]:
    """The same with a leading axis."""
    return lambda: stacked(make(), size)


def anchors(make: Callable[[], Any]) -> Callable[[], Any]:
    """References and temperatures that fit a game."""
    return made(lambda game: gk.Regularizer.uniform(game, jnp.asarray(0.1)), make)


def policies(make: Callable[[], Any]) -> Callable[[], Any]:
    """A log-policy for each player of a game."""
    return made(lambda regularizer: regularizer.log_reference, anchors(make))


KEY = made(lambda: jax.random.key(0))
NUMBER = table()

SIZES = (2, 3)
GAME = made(lambda key: gk.games.uniform(key, SIZES), KEY)
THREE = made(lambda key: gk.games.uniform(key, (2, 3, 2)), KEY)
LARGE = made(lambda key: gk.games.uniform(key, (30, 30)), KEY)
PAIRWISE = made(lambda key: gk.games.polymatrix(key, (2, 3, 2)), KEY)
CONTEXTS = made(lambda key: gk.games.contextual(key, SIZES, num_contexts=3), KEY)
MARKOV = made(lambda key: gk.games.markov(key, SIZES, num_states=3, horizon=2), KEY)
SELF = made(lambda key: gk.games.preference(key, (3, 3)), KEY)
ALIKE = made(lambda key: gk.games.uniform_symmetric(key, 6, 4), KEY)
ANCHOR, POLICY, JOINT = anchors(GAME), policies(GAME), table(*SIZES)
STAGES = {"contexts": (CONTEXTS, (3,)), "markov": (MARKOV, (2, 3))}


def staged(name: str, solver: Callable[..., Any], **options: Any) -> dict[str, Program]:
    """A solver in each kind of game in stages."""
    return {f"{name}, {kind}": program(solver, make, anchors(make), **options) for kind, (make, _) in STAGES.items()}
