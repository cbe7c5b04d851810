"""The schema of a sweep. Loads no jax."""

import hashlib
import importlib
import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import ValidationError

from gamekl.core.schema import Chosen
from gamekl.experiment.kinds import KINDS
from gamekl.experiment.schema.family import FamilyConfig
from gamekl.experiment.schema.parts import Strict
from gamekl.experiment.schema.plain import is_table

DEFAULT = "gane"


def _kind_of(values: Any) -> type[FamilyConfig]:
    """The kind of a family, by its solver."""
    if not is_table(values):
        return FamilyConfig  # which says what is wrong
    solver = values.get("solver", DEFAULT)
    if not isinstance(solver, str) or solver not in KINDS:
        raise _unknown(solver)
    kind = KINDS[solver]
    others = {name for other in KINDS.values() for name in other.model_fields} - kind.model_fields.keys()
    if given := [name for name in values if name in others]:
        raise ValueError(f"{', '.join(given)}: got a value for solver {solver!r}, takes none")
    return kind


def _unknown(solver: Any) -> ValidationError:
    """The fault of a solver that there is not."""
    *names, last = map(repr, KINDS)
    expected = {"expected": f"{', '.join(names)} or {last}"}
    fault: Any = {"type": "literal_error", "loc": ("solver",), "input": solver, "ctx": expected}
    return ValidationError.from_exception_data("family", [fault])


def _import(plugins: tuple[str, ...]) -> tuple[str, ...]:
    """Modules add what they have to the registries when they are imported."""
    for name in plugins:
        try:
            importlib.import_module(name)
        except Exception as error:
            raise ValueError(
                f"got {name!r}, which cannot be imported ({type(error).__name__}: {error}); takes Python modules that "
                "every worker has, such as a file beside which the sweep is started, with PYTHONPATH=."
            ) from error
    return plugins


AnyFamily = Annotated[FamilyConfig, Chosen(_kind_of)]


class SweepConfig(Strict):
    """A whole sweep.

    Attributes:
        name: of the run; its folder is ``runs/<name>`` unless said otherwise.
        seed: of all random numbers.
        dtype: of the games and the solver.
        num_seeds: independent datasets for each game, temperature and sample size, at least 2; for rules that are
            followed independent queries, of which there are none where values are told, so that one seed says all.
        seeds_per_chunk: how many of them one shard holds, the last of a case maybe fewer. If not given, as many as the
            memory for a chunk has room for, up to 1000.
        plugins: Python modules that register kinds, metrics, estimators or rules of others; each is imported where the
            sweep is read or run.
        family: the families.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    dtype: Literal["float64", "float32"] = "float64"
    num_seeds: Annotated[int, Field(ge=1)]
    seeds_per_chunk: Annotated[int, Field(ge=1)] | None = None
    plugins: Annotated[tuple[str, ...], AfterValidator(_import)] = ()
    family: Annotated[tuple[AnyFamily, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _enough_seeds(self) -> "SweepConfig":
        random = [entry.label for entry in self.family if entry.is_random]
        if self.num_seeds < 2 and random:
            raise ValueError(f"num_seeds: got {self.num_seeds}, takes at least 2 for {random}")
        return self

    @model_validator(mode="after")
    def _labels_differ(self) -> "SweepConfig":
        labels = [family.label for family in self.family]
        doubled = sorted({label for label in labels if labels.count(label) > 1})
        if doubled:
            raise ValueError(f"family.label: got {doubled} more than once, takes unique labels")
        return self

    def canonical(self) -> dict[str, Any]:
        """The config with all defaults filled in, as plain JSON values."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """A hash of the canonical config."""
        return hashlib.sha256(json.dumps(self.canonical(), sort_keys=True).encode()).hexdigest()
