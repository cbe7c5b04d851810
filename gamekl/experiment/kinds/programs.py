"""Which function computes a case, and on how many devices at once."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array

from gamekl.experiment.kinds import pipeline
from gamekl.experiment.kinds.followed import follow_batch
from gamekl.experiment.kinds.lead import lead_batch
from gamekl.experiment.kinds.online import Known, online_batch
from gamekl.experiment.kinds.pipeline import Data
from gamekl.experiment.kinds.settings import Setting, make_rule
from gamekl.experiment.schema.cases import Case
from gamekl.experiment.schema.config import PESSIMISTIC, FamilyConfig
from gamekl.experiment.schema.learners import OnlineConfig
from gamekl.learning.pessimistic import bellman_consistent, strategy_wise
from gamekl.online.mamex import Greed, Optimism

# Those that work on the host after the estimate.
ON_HOST = (pipeline.exact_batch, pipeline.pnvi_batch)


def program(family: FamilyConfig, case: Case, num_samples: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The function that computes a case's chunks at one sample size, and what it takes beside keys and settings."""
    if family.rule is not None:
        made = make_rule(family.rule, case.temperature)
        tols = jnp.asarray(family.rule.tol), jnp.asarray(family.rule.kl_tol)
        return follow_batch, (*made, tols, case.checkpoints, family.rule.num_queries)
    if family.lead is not None:
        logged = family.lead.rewards == "logged"
        noise = (family.noise if isinstance(family.noise, str) else jnp.asarray(family.noise)) if logged else None
        scale = None if case.scale is None else jnp.asarray(case.scale)
        return lead_batch, (jnp.asarray(float(num_samples)), noise, scale, jnp.asarray(family.lead.level))
    if family.online is not None:
        return online_batch, _online(family, case, num_samples)
    neural = family.estimator == "neural"
    data = Data(
        num_samples=jnp.asarray(float(num_samples)),
        noise="bernoulli" if family.noise == "bernoulli" else jnp.asarray(family.noise),
        penalty=jnp.asarray(family.penalty),
        estimator=family.estimator,
        linear=family.game.kind == "linear",
        num_rows=num_samples if neural else None,
    )
    if family.solver == "gane":
        return (pipeline.neural_batch if neural else pipeline.gane_batch), (data,)
    if family.solver == "exact":
        return pipeline.exact_batch, (data,)
    if family.solver in PESSIMISTIC:
        return _pessimistic(family, case, data)
    rounds = jnp.asarray(case.checkpoints, dtype=jnp.int32)
    if family.solver == "gamd":
        return pipeline.gamd_batch, (data, rounds, family.weighting)
    return pipeline.weights_batch, (data, rounds)


def _online(family: FamilyConfig, case: Case, num_rounds: int) -> tuple[Any, ...]:
    """What `online_batch` takes beside keys and settings."""
    config, noise = cast(OnlineConfig, family.online), cast(float, family.noise)
    known = Known(
        kind=config.hypotheses,
        noise=jnp.asarray(noise),
        payoff_range=jnp.asarray(family.payoff_range or (0.0, 1.0)),
        truth=config.truth if config.truth is not None else (config.num_models or 1) - 1,
    )
    if config.exploration is not None:
        rule = Greed(config.exploration)
    else:
        unit = config.eta or (1.0 if config.hypotheses == "models" else 1 / (2 * noise))
        rule = Optimism(unit / math.sqrt(num_rounds))
    return known, rule, config.concept, jnp.asarray(num_rounds), case.num_samples[-1]


def check_learners(family: FamilyConfig, case: Case, settings: list[Setting]) -> None:
    """Raise ``ValueError`` unless the games of a family that learns online can be learnt so."""
    known, rule, concept, *_ = _online(family, case, case.num_samples[0])
    for setting in settings:
        known.learner(setting, rule, concept)


def _pessimistic(family: FamilyConfig, case: Case, data: Data) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    scale = jnp.asarray(case.scale)
    if family.solver == "lcb":
        return pipeline.lower_confidence_batch, (data, scale)
    payoff_range = jnp.asarray(family.payoff_range)
    if family.solver == "pnvi":
        return pipeline.pnvi_batch, (data, scale, payoff_range)
    minimise = strategy_wise if family.solver == "strategy_wise" else bellman_consistent
    return pipeline.surrogate_batch, (data, scale, payoff_range, minimise)


def as_compiled(batch: Callable[..., Any], rest: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """The part of `program` that is compiled, jitted: all of it, or the estimate of those that work `ON_HOST`."""
    return (pipeline.estimate_batch, rest[:1]) if batch in ON_HOST else (batch, rest)


@cache
def on_devices(batch: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """A jitted batch function with its games spread over the devices of a mesh; nothing passes between them."""
    games, everywhere = PartitionSpec("games"), PartitionSpec()

    def spread(keys: Array, settings: Setting, *rest: Any) -> dict[str, Array]:
        arrays, static = eqx.partition(rest, eqx.is_array)

        def local(keys: Array, settings: Setting, arrays: Any) -> dict[str, Array]:
            return batch(keys, settings, *eqx.combine(arrays, static))

        specs = (games, games, everywhere)
        # Nothing to check: inside, each device works as if it were alone.
        return jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=games, check_vma=False)(keys, settings, arrays)

    return eqx.filter_jit(spread)


def compute(
    batch: Callable[..., Any], keys: Array, settings: Setting, rest: tuple[Any, ...], mesh: Mesh | None = None
) -> dict[str, Array]:
    """What the shards' columns of results are to hold, by name.

    Args:
        batch: of `program`.
        keys: ``[game, seed]``.
        settings: the case's, with a leading axis.
        rest: of `program`.
        mesh: devices over which to spread the work along its axis "games"; one device if None.

    Returns:
        Arrays ``[game, seed]``, or ``[game, seed, checkpoint]`` of families that play. Gaps are summed over players;
        those of a joint policy count where they are positive.
    """
    if mesh is None or batch in ON_HOST:
        return batch(keys, settings, *rest)
    games, seeds = keys.shape
    # So many parts of each game's seeds that every device gets the same number of rows.
    parts = mesh.size // math.gcd(games, mesh.size)
    width = -(-seeds // parts)
    padded = keys[:, jnp.arange(parts * width) % seeds].reshape(games * parts, width)
    repeated = jax.tree.map(lambda leaf: jnp.repeat(leaf, parts, axis=0), settings)
    found = on_devices(batch, mesh)(padded, repeated, *rest)
    return jax.tree.map(lambda leaf: leaf.reshape(games, parts * width, *leaf.shape[2:])[:, :seeds], found)
