"""What a config comes to: its cases with sample sizes and predicted rates, its chunks."""

import hashlib
import itertools
import math
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from gamekl.evaluate.certificates import uniqueness
from gamekl.evaluate.rates import first_sample_size, predicted_constant
from gamekl.experiment.kinds.programs import check_learners
from gamekl.experiment.kinds.settings import Setting, make_settings
from gamekl.experiment.schema.cases import Case, Plan, Reach, Tuning
from gamekl.experiment.schema.config import REGULARIZED, FamilyConfig, SweepConfig
from gamekl.experiment.schema.parts import ANCHORED
from gamekl.offline.draws import MAX_EXACT
from gamekl.offline.models import per_action
from gamekl.preference.rates import predicted_preference_constant
from gamekl.solvers.nash.solve import solve_nash
from gamekl.solvers.solution import SolveError
from gamekl.stackelberg.learn.rates import predicted_constant as predicted_lead_constant

# What a solver, or a rule that is followed, makes small; the Nash gap, if nothing is said.
MADE_SMALL = {
    "gane": "regularized_gap",
    "lcb": "regularized_gap",
    **dict.fromkeys(ANCHORED, "regularized_gap"),
    "lead": "suboptimality",
    "online": "regret",
}
SLOPES = {"gane": -1.0, "lcb": -1.0, "lead": -1.0, "online": 0.5}


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


def _round_up(number: float | int) -> int:
    """To two significant digits."""
    unit = 10 ** max(math.floor(math.log10(number)) - 1, 0)
    return math.ceil(number / unit) * unit


class Prediction(NamedTuple):
    """What is known beforehand of a family's errors.

    Attributes:
        slope: of the mean error in n, on log-log axes; 0 where that is no line.
        constant: mean error times n^-slope, or None.
        first: the n from which that may be expected.
        remark: why there is no prediction, or None.
    """

    slope: float
    constant: float | None
    first: int
    remark: str | None


def _predict_lead(family: FamilyConfig, settings: list[Setting], scale: float | None) -> Prediction:
    """The rate at which a leader's policy becomes the best one, if that is interior."""
    noise = family.noise if family.lead is not None and family.lead.rewards == "logged" else None
    try:
        constants = [
            predicted_lead_constant(
                entry.game,
                entry.regularizer,
                entry.behavior,
                np.full(len(entry.behavior), 1 / len(entry.behavior)),
                noise,
                scale=scale or 0.0,
            )
            for entry in settings
        ]
    except (ValueError, SolveError) as error:
        return Prediction(-1.0, None, 1, str(error))
    mean = float(np.mean(constants))
    if mean > np.finfo(float).eps:
        return Prediction(-1.0, mean, 1, None)
    return Prediction(0.0, None, 1, "the best policy is a vertex: what is lost falls faster than any power of n")


def _predict(family: FamilyConfig, settings: list[Setting], scale: float | None) -> Prediction:
    """The rate of the equilibrium to which the family's solver comes, if it comes to one."""
    slope = SLOPES.get(family.solver, -0.5)
    if family.lead is not None:
        return _predict_lead(family, settings, scale)
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
        for game, regularizer, behavior, features, _ in settings:
            design = features
            if features is not None and family.game.kind != "linear":
                design = per_action(features, game.num_actions)
            solution = solve_nash(game, regularizer)
            if family.estimator == "preferences":
                constants.append(predicted_preference_constant(game, regularizer, solution, behavior))
                continue
            found = predicted_constant(game, regularizer, solution, behavior, family.noise, features=design)
            constants.append(found)
            first = max(first, first_sample_size(game, found, regularizer, behavior, features=design))
    except (ValueError, SolveError) as error:
        return Prediction(slope, None, 1, str(error))
    return Prediction(-1.0, float(np.mean([entry.sum() for entry in constants])), _round_up(first), None)


def _case(config: SweepConfig, number: int, family: FamilyConfig, tuning: Tuning) -> Case:
    settings = make_settings(config, family, tuning)
    slope, constant, first, remark = _predict(family, settings, tuning.scale)
    if remark is not None and family.num_samples.first == "auto":
        raise ValueError(f"num_samples.first: got 'auto', takes a number for this family: {remark}")
    if family.expected is not None:
        slope, constant = family.expected.slope, family.expected.constant
    if family.num_samples.first != "auto":
        first = family.num_samples.first
    samples, rule = family.num_samples, family.rule
    sizes = [round(first * 10.0**exponent) for exponent in np.linspace(0, samples.decades, samples.points)]
    if rule is not None:
        sizes = [0]  # it has no data
    if len(set(sizes)) < len(sizes) or sizes[-1] > MAX_EXACT[jnp.dtype("float64")]:
        raise ValueError(f"num_samples: got sizes {sizes}, takes sizes that differ, up to 2^53")
    case = Case(
        family=number,
        label=family.label,
        panel=family.panel or family.label,
        axis=family.axis,
        metrics=family.metrics or (MADE_SMALL.get(rule.name if rule else family.solver, "nash_gap"),),
        solver=family.solver,
        **tuning._asdict(),
        num_games=len(settings),
        num_seeds=config.num_seeds if family.is_random else 1,
        num_samples=tuple(sizes),
        num_rounds=tuple(sizes) if family.online else None,
        num_steps=tuple(family.num_steps.numbers()) if family.num_steps else None,
        reach=Reach(regularized_gap=rule.tol, kl=rule.kl_tol) if rule else None,
        level=family.lead.level if family.lead else None,
        slope=slope,
        constant=constant,
        remark=remark,
    )
    if family.online is not None:
        check_learners(family, case, settings)
    return case


def tunings(family: FamilyConfig) -> list[Tuning]:
    """Every temperature with every concentrability and scale; None for what a family does not have."""
    grid = itertools.product(
        family.temperatures or (None,), family.concentrabilities or (None,), family.scales or (None,)
    )
    return [Tuning(*values) for values in grid]


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


def plan_cases(config: SweepConfig) -> Iterator[Case]:
    """The cases of a sweep, one by one: family by tuning, with sample sizes and predicted rates.

    Raises:
        ValueError: a family whose games, behavior or sample sizes cannot be had; the message names it.
    """
    for index, family in enumerate(config.family):
        for tuning in tunings(family):
            try:
                yield _case(config, index, family, tuning)
            except (ValueError, OSError) as error:
                raise ValueError(f"family.{index} ({family.label}): {error}") from error


def make_plan(config: SweepConfig) -> Plan:
    """All of `plan_cases`, and the hashes of payoff files."""
    return Plan(cases=tuple(plan_cases(config)), files=hash_files(config))


def make_chunks(plan: Plan) -> list[Chunk]:
    """The chunks of a plan, in order."""
    chunks = []
    for number, case in enumerate(plan.cases):
        slug = re.sub(r"[^a-z0-9]+", "-", case.label.lower()).strip("-")
        width = case.width
        for point in range(len(case.num_samples)):
            for block, first in enumerate(range(0, case.num_seeds, width)):
                name = f"{number:03d}-{slug}-n{point:03d}-b{block:04d}"
                chunks.append(Chunk(name, number, point, first, min(width, case.num_seeds - first)))
    return chunks


def check_part(part: tuple[int, int] | None) -> None:
    """Raise ``ValueError`` unless it is (k, n) with k from 1 to n, or None."""
    if part is not None and not 1 <= part[0] <= part[1]:
        raise ValueError(f"chunk: got {part[0]}/{part[1]}, takes K/N with K from 1 to N")


def part_of(chunks: list[Chunk], part: tuple[int, int] | None) -> list[Chunk]:
    """The k-th of n parts, as equal as can be, or all; neighbours stay together: a part has few shapes to compile."""
    k, n = part or (1, 1)
    return chunks[len(chunks) * (k - 1) // n : len(chunks) * k // n]
