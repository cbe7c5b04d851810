"""What a config comes to: its games, its sample sizes, its predicted rates, its chunks."""

import hashlib
import itertools
import math
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gamekl import games
from gamekl.core.games import NormalFormGame
from gamekl.core.policies import outer
from gamekl.core.regularizer import Regularizer
from gamekl.core.validation import check_noise, joint_behavior, validate
from gamekl.evaluate.certificates import uniqueness
from gamekl.evaluate.rates import first_sample_size, predicted_constant
from gamekl.experiment.config import FEATURED, RANDOM, REGULARIZED, STAGED, FamilyConfig, GameConfig, SweepConfig
from gamekl.games.featured import Featured
from gamekl.offline.behavior import behavior_with_concentrability
from gamekl.offline.draws import MAX_EXACT
from gamekl.offline.models import per_action
from gamekl.solvers.exact import check_enumerable
from gamekl.solvers.nash import solve_nash
from gamekl.solvers.solution import SolveError

# What a family may have several values of, in the order of its cases.
TUNING = ("temperature", "concentrability", "scale")
# What a solver makes small; the Nash gap, if nothing is said.
METRICS = {"gane": "regularized_gap", "lcb": "regularized_gap"}


class Setting(NamedTuple):
    """One true game with all that is needed to sample and solve it.

    Attributes:
        game: the true game.
        regularizer: at one temperature; at temperature 1 for unregularised solvers, which do not use it.
        behavior: joint distribution of the logged actions, ``[*stage, *actions]``.
        features: of contexts, or of contexts and joint actions; None where the estimate needs none.
    """

    game: Any
    regularizer: Regularizer
    behavior: Array
    features: Array | None


class Chunk(NamedTuple):
    """The work of one shard: one case at one sample size, a block of seeds.

    Attributes:
        name: of the shard.
        case: index into the plan's cases.
        point: index into the case's sample sizes.
        first_seed: of the block.
        num_seeds: how many there are.
    """

    name: str
    case: int
    point: int
    first_seed: int
    num_seeds: int


def family_key(config: SweepConfig, family: FamilyConfig) -> Array:
    """The family's own stream of random numbers, whatever stands beside it in the config."""
    digest = hashlib.sha256(family.label.encode()).digest()
    key = jax.random.key(config.seed)
    for start in range(0, 16, 4):
        key = jax.random.fold_in(key, int.from_bytes(digest[start : start + 4]))
    return key


def make_games(key: Array, config: GameConfig) -> list[Any]:
    """The games of a family, in float64; those with features as a `Featured`."""
    if config.kind == "file":
        return [games.load_game(str(config.path))]
    constructor = getattr(games, config.kind)
    parameters: dict[str, Any] = dict(config.parameters)
    if config.kind in STAGED and config.kind not in FEATURED:
        parameters["family"] = getattr(games, config.rewards or "uniform")
    try:
        if config.kind in (*RANDOM, *STAGED):
            keys = jax.random.split(key, config.num_games)
            return [constructor(entry, config.num_actions, **parameters) for entry in keys]
        return [constructor(**parameters)]
    except (TypeError, ValueError) as error:
        raise ValueError(f"game.parameters: got {config.parameters} for kind {config.kind!r} ({error})") from error


def make_settings(config: SweepConfig, family: FamilyConfig, case: dict[str, Any]) -> list[Setting]:
    """The family's games at one temperature and concentrability, in float64, checked."""
    settings, temperature = [], case["temperature"]
    key = jax.random.fold_in(family_key(config, family), 0)
    if family.game.seed is not None:
        key = jax.random.key(family.game.seed)
    for made in make_games(key, family.game):
        game, features = made if isinstance(made, Featured) else (made, None)
        regularizer = Regularizer.uniform(game, temperature or 1.0)
        if family.reference != "uniform":
            with np.errstate(divide="ignore"):
                references = [np.log(np.asarray(row)) for row in family.reference]
            regularizer = Regularizer(references, temperature or 1.0)
        validate(game, regularizer)
        check_noise(family.noise, game)
        if family.solver == "exact":
            check_enumerable(cast(NormalFormGame, game))
        if case["concentrability"] is not None:
            behavior = behavior_with_concentrability(
                game, regularizer.log_reference, case["concentrability"], regularizer=regularizer
            )
        elif not isinstance(family.behavior, str):
            behavior = joint_behavior(game, np.asarray(family.behavior))
        elif family.behavior == "reference":
            behavior = outer([jnp.exp(entry) for entry in regularizer.log_reference])
        else:
            behavior = jnp.full((*game.stage_shape, *game.num_actions), 1 / math.prod(game.num_actions))
        settings.append(Setting(game, regularizer, behavior, None if family.estimator == "tabular" else features))
    return settings


def _round_up(number: float | int) -> int:
    """To two significant digits."""
    unit = 10 ** max(math.floor(math.log10(number)) - 1, 0)
    return math.ceil(number / unit) * unit


class Prediction(NamedTuple):
    """What is known beforehand of a family's errors.

    Attributes:
        slope: of the mean error in n, on log-log axes.
        constant: mean error times n^-slope, or None.
        first: the n from which that may be expected.
        remark: why there is no prediction, or None.
    """

    slope: float
    constant: float | None
    first: int
    remark: str | None


def _predict(family: FamilyConfig, settings: list[Setting]) -> Prediction:
    """The rate of the equilibrium to which the family's solver comes, if it comes to one."""
    slope = -1.0 if family.solver in ("gane", "lcb") else -0.5
    if family.solver not in REGULARIZED:
        return Prediction(slope, None, 1, None)
    if family.estimator == "neural" or (family.estimator == "ridge" and family.game.kind == "smooth"):
        return Prediction(slope, None, 1, f"the constant of a {family.estimator} estimate of this game is not known")
    if family.solver == "gamd" and not all(
        uniqueness(entry.game, entry.regularizer).contraction < 1 for entry in settings
    ):
        return Prediction(slope, None, 1, "play may cycle: best responses are not known to contract")
    constants, first = [], 1
    try:
        for game, regularizer, behavior, features in settings:
            design = features
            if features is not None and family.game.kind != "linear":
                design = per_action(features, game.num_actions)
            solution = solve_nash(game, regularizer)
            found = predicted_constant(game, regularizer, solution, behavior, family.noise, features=design)
            constants.append(found)
            first = max(first, first_sample_size(game, found, regularizer, behavior, features=design))
    except (ValueError, SolveError) as error:
        return Prediction(slope, None, 1, str(error))
    return Prediction(-1.0, float(np.mean([entry.sum() for entry in constants])), _round_up(first), None)


def _case(config: SweepConfig, family: FamilyConfig, tuning: dict[str, float | None]) -> dict[str, Any]:
    settings = make_settings(config, family, tuning)
    slope, constant, first, remark = _predict(family, settings)
    if remark is not None and family.num_samples.first == "auto":
        raise ValueError(f"num_samples.first: got 'auto', takes a number for this family: {remark}")
    if family.expected is not None:
        slope, constant = family.expected.slope, family.expected.constant
    if family.num_samples.first != "auto":
        first = family.num_samples.first
    samples = family.num_samples
    sizes = [round(first * 10.0**exponent) for exponent in np.linspace(0, samples.decades, samples.points)]
    if len(set(sizes)) < len(sizes) or sizes[-1] > MAX_EXACT[jnp.dtype("float64")]:
        raise ValueError(f"num_samples: got sizes {sizes}, takes sizes that differ, up to 2^53")
    return {
        "label": family.label,
        "panel": family.panel or family.label,
        "axis": family.axis,
        "metrics": list(family.metrics) or [METRICS.get(family.solver, "nash_gap")],
        "solver": family.solver,
        **tuning,
        "num_games": len(settings),
        "num_samples": sizes,
        "num_steps": family.num_steps.numbers() if family.num_steps else None,
        "slope": slope,
        "constant": constant,
        "remark": remark,
    }


def tunings(family: FamilyConfig) -> list[dict[str, float | None]]:
    """Every temperature with every concentrability and scale; None for what a family does not have."""
    grid = itertools.product(
        family.temperatures or (None,), family.concentrabilities or (None,), family.scales or (None,)
    )
    return [dict(zip(TUNING, values, strict=True)) for values in grid]


def _hash(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def hash_files(config: SweepConfig) -> dict[str, str]:
    """The sha256 of each payoff file, by which a change is noticed."""
    paths = [str(family.game.path) for family in config.family if family.game.kind == "file"]
    return {path: _hash(path) for path in paths}


def check_files(files: dict[str, str]) -> None:
    """Raise ``ValueError`` unless this machine has the payoff files that the sweep was planned with."""
    for path, digest in files.items():
        try:
            there = _hash(path)
        except OSError as error:
            raise ValueError(
                f"game.path: got {path}, which {platform.node()} cannot read ({error.strerror}); takes a file that "
                "every worker has"
            ) from error
        if there != digest:
            raise ValueError(
                f"game.path: got {path}, which is not (on {platform.node()}) what the sweep was planned with; takes "
                "that file, or a new folder (--out)"
            )


def plan_cases(config: SweepConfig) -> Iterator[dict[str, Any]]:
    """The cases of a sweep as plain JSON values, one by one: family by tuning, with sample sizes and predicted rates.

    Raises:
        ValueError: a family whose games, behavior or sample sizes cannot be had; the message names it.
    """
    for index, family in enumerate(config.family):
        for tuning in tunings(family):
            try:
                yield {"family": index, **_case(config, family, tuning)}
            except (ValueError, OSError) as error:
                raise ValueError(f"family.{index} ({family.label}): {error}") from error


def make_plan(config: SweepConfig) -> dict[str, Any]:
    """All of `plan_cases`, and the hashes of payoff files."""
    return {"cases": list(plan_cases(config)), "files": hash_files(config)}


def make_chunks(config: SweepConfig, plan: dict[str, Any]) -> list[Chunk]:
    """The chunks of a plan whose cases have their ``seeds_per_chunk``, in order."""
    chunks = []
    for number, case in enumerate(plan["cases"]):
        slug = re.sub(r"[^a-z0-9]+", "-", case["label"].lower()).strip("-")
        width = case["seeds_per_chunk"]
        for point in range(len(case["num_samples"])):
            for block, first in enumerate(range(0, config.num_seeds, width)):
                name = f"{number:03d}-{slug}-n{point:03d}-b{block:04d}"
                chunks.append(Chunk(name, number, point, first, min(width, config.num_seeds - first)))
    return chunks


def check_part(part: tuple[int, int] | None) -> None:
    """Raise ``ValueError`` unless it is (k, n) with k from 1 to n, or None."""
    if part is not None and not 1 <= part[0] <= part[1]:
        raise ValueError(f"chunk: got {part[0]}/{part[1]}, takes K/N with K from 1 to N")


def part_of(chunks: list[Chunk], part: tuple[int, int] | None) -> list[Chunk]:
    """The k-th of n parts, as equal as can be, or all; neighbours stay together: a part has few shapes to compile."""
    k, n = part or (1, 1)
    return chunks[len(chunks) * (k - 1) // n : len(chunks) * k // n]
