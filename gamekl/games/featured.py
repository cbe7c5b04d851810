"""Random contextual games with features, for estimators that share strength between contexts.

All have equally likely contexts s = 1..S and payoffs whose standard deviation is about .5 payoff units. The features
are phi(s, a) of contexts and joint actions in `linear`, and x(s) of contexts alone in `context_linear` and `smooth`;
every entry of phi and x is a standard normal of its own. The payoffs are

    linear          r_i(s, a) = theta_i . phi(s, a),            theta_i uniform on the sphere of radius 1/2;
    context_linear  r_i(s, a) = theta_ia . (1, x(s)),           theta_ia uniform on the sphere of radius 1/2;
    smooth          r_i(s, a) = theta_ia . cos(W x(s) + b),     theta_ia uniform on the sphere of radius sqrt(1/2),

where W has independent entries N(0, frequency^2 / features) and b is uniform on [0, 2 pi]: all payoffs are
combinations of the same few waves (random Fourier features: Rahimi & Recht 2007). Given x and y, their covariance over
games is exp(-frequency^2 |x - y|^2 / (2 features)) / 4. Where there are many features, polynomials in x of degree k
therefore make up a share exp(-frequency^2) frequency^(2 k) / k! of the mean square (derived: |x|^2 is near the number
of features, and the exponential of x . y expands by degree), so that the best linear fit leaves about 26 % of it at
frequency 1, 66 % at 1.5 and 91 % at 2.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core.games import ContextualGame
from gamekl.core.show import show
from gamekl.core.validation import check_whole
from gamekl.games.random import table_shape


class Featured(NamedTuple):
    """A contextual game and the features that its payoffs are a function of.

    Attributes:
        game: of equally likely contexts.
        features: shape ``[context, feature]``, or ``[context, *actions, feature]`` where they depend on the actions.
    """

    game: ContextualGame
    features: Float[Array, "context *actions feature"]
    __repr__ = show


def _on_sphere(key: Array, shape: tuple[int, ...], radius: float) -> Float[Array, "*batch weight"]:
    normals = jax.random.normal(key, shape, float)
    return radius * normals / jnp.linalg.norm(normals, axis=-1, keepdims=True)


def _featured(payoffs: Float[Array, "context player *actions"], features: Array) -> Featured:
    contexts = payoffs.shape[0]
    return Featured(ContextualGame(payoffs, jnp.full(contexts, 1 / contexts, payoffs.dtype)), features)


def linear(key: Array, num_actions: Sequence[int], *, num_contexts: int, num_features: int) -> Featured:
    """Payoffs linear in features of contexts and joint actions, with one vector of weights for each player.

    Args:
        key: of all that is drawn.
        num_actions: of each player.
        num_contexts: how many contexts there are.
        num_features: how many features each context and joint action has.

    Returns:
        A `Featured`: a `ContextualGame`, payoff units, and features ``[context, *actions, feature]``.

    Raises:
        ValueError: a number below 1.
    """
    check_whole(num_contexts=num_contexts, num_features=num_features)
    players, *actions = table_shape(num_actions)
    feature_key, weight_key = jax.random.split(key)
    features = jax.random.normal(feature_key, (num_contexts, *actions, num_features), float)
    weights = _on_sphere(weight_key, (players, num_features), 0.5)
    return _featured(jnp.einsum("s...k,ik->si...", features, weights), features)


def context_linear(key: Array, num_actions: Sequence[int], *, num_contexts: int, num_features: int) -> Featured:
    """Payoffs linear in features of contexts and a constant, with weights of their own for each joint action.

    Args:
        key: of all that is drawn.
        num_actions: of each player.
        num_contexts: how many contexts there are.
        num_features: how many features each context has.

    Returns:
        A `Featured`: a `ContextualGame`, payoff units, and features ``[context, feature]``.

    Raises:
        ValueError: a number below 1.
    """
    check_whole(num_contexts=num_contexts, num_features=num_features)
    feature_key, weight_key = jax.random.split(key)
    features = jax.random.normal(feature_key, (num_contexts, num_features), float)
    weights = _on_sphere(weight_key, (*table_shape(num_actions), num_features + 1), 0.5)
    design = jnp.concatenate([jnp.ones((num_contexts, 1), float), features], axis=1)
    return _featured(jnp.einsum("sk,...k->s...", design, weights), features)


def smooth(
    key: Array,
    num_actions: Sequence[int],
    *,
    num_contexts: int,
    num_features: int,
    frequency: float | int = 1.0,
    num_waves: int = 32,
) -> Featured:
    """Payoffs that are smooth nonlinear functions of features of contexts, another one for each joint action.

    Args:
        key: of all that is drawn.
        num_actions: of each player.
        num_contexts: how many contexts there are.
        num_features: how many features each context has.
        frequency: how fast payoffs change, > 0; near 0 they are constant.
        num_waves: how many waves the payoffs are combinations of; with many, those of any two players or joint actions
            are nearly independent.

    Returns:
        A `Featured`: a `ContextualGame`, payoff units, and features ``[context, feature]``.

    Raises:
        ValueError: a number below 1, or a frequency that is not above 0.

    Source: random Fourier features (Rahimi and Recht 2007).
    """
    check_whole(num_contexts=num_contexts, num_features=num_features, num_waves=num_waves)
    if not 0 < frequency < float("inf"):
        raise ValueError(f"frequency: got {frequency}, takes a finite number > 0")
    feature_key, wave_key, phase_key, weight_key = jax.random.split(key, 4)
    features = jax.random.normal(feature_key, (num_contexts, num_features), float)
    waves = frequency * num_features**-0.5 * jax.random.normal(wave_key, (num_features, num_waves), float)
    phases = jax.random.uniform(phase_key, (num_waves,), float, maxval=2 * jnp.pi)
    weights = _on_sphere(weight_key, (*table_shape(num_actions), num_waves), 0.5**0.5)
    return _featured(jnp.einsum("sk,...k->s...", jnp.cos(features @ waves + phases), weights), features)
