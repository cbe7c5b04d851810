"""What `trace` returns: the logit path as data."""

from collections.abc import Iterator
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gamekl.core.show import Shown
from gamekl.core.status import Status
from gamekl.solvers.paths.kinds import PointKind
from gamekl.solvers.solution import PathSummary


class PathPoints(Shown):
    """The points of a path in order, from the reference; behind the first `count` they are padding (NaN, or 0).

    Attributes:
        log_policy: one array ``[point, actions_i]`` for each player.
        temperature: of each player, shape ``[point, player]``, payoff units; infinite at the reference.
        kind: a `PointKind`, shape ``[point]``.
        arclength: from the reference, in nats, shape ``[point]``: that of the logits that matter and of s = kappa beta,
            beta being the fraction of the inverse temperature in force and kappa the largest range of a player's
            payoffs over its temperature at the path's end.
        tangent: change of the log-policies by arclength, one array ``[point, actions_i]`` for each player.
        pace: change of s by arclength, shape ``[point]``, from -1 to 1: the temperature falls where it is positive.
        scale: kappa times each player's temperature at the path's end, shape ``[player]``, payoff units; 1 /
            temperature changes by pace / scale by arclength.
        index: the sign of the determinant of the equations' derivative, 1, -1, or 0 at singular points and where it
            could not be told, shape ``[point]``.
        count: how many points there are.
    """

    log_policy: tuple[Float[Array, "*batch point _"], ...]
    temperature: Float[Array, "*batch point player"]
    kind: Int[Array, "*batch point"]
    arclength: Float[Array, "*batch point"]
    tangent: tuple[Float[Array, "*batch point _"], ...]
    pace: Float[Array, "*batch point"]
    scale: Float[Array, "*batch player"]
    index: Float[Array, "*batch point"]
    count: Int[Array, "*batch"]


class PathCrossings(Shown):
    """Where a path meets the temperatures that were asked for, each in the order of the path.

    Attributes:
        temperature: of each player, shape ``[temperature, player]``, payoff units.
        log_policy: one array ``[temperature, crossing, actions_i]`` for each player; NaN where there is no crossing.
        gap: regularised gap of each player, shape ``[temperature, crossing, player]``, payoff units.
        residual: sup |policy - best response|, a probability, shape ``[temperature, crossing]``.
        index: the sign of the determinant of the equations' derivative, likewise.
        arclength: from the reference, in nats, likewise.
        status: a `Status` value, likewise; `Status.path_failed` where there is no such crossing.
        count: how many there are, shape ``[temperature]``; the crossing axis may have room for fewer.
    """

    temperature: Float[Array, "*batch temperature player"]
    log_policy: tuple[Float[Array, "*batch temperature crossing _"], ...]
    gap: Float[Array, "*batch temperature crossing player"]
    residual: Float[Array, "*batch temperature crossing"]
    index: Float[Array, "*batch temperature crossing"]
    arclength: Float[Array, "*batch temperature crossing"]
    status: Int[Array, "*batch temperature crossing"]
    count: Int[Array, "*batch temperature"]
    status_type: ClassVar = Status


class LogitPath(Shown):
    """The logit path of a game from its reference to a temperature.

    Attributes:
        points: what lies on it.
        crossings: where it meets the temperatures that were asked for.
        num_steps: Newton corrections that tracing took.
        status: a `Status` value: of the path, or else of the first temperature whose first crossing was not found.
        path: how far it went, in short.
    """

    points: PathPoints
    crossings: PathCrossings
    num_steps: Int[Array, "*batch"]
    status: Int[Array, "*batch"]
    path: PathSummary
    status_type: ClassVar = Status

    @property
    def log_policy(self) -> tuple[Float[Array, "*batch temperature _"], ...]:
        """The equilibria where the path first meets each temperature, ``[temperature, actions_i]`` for each player."""
        return tuple(entry[..., 0, :] for entry in self.crossings.log_policy)

    @property
    def policy(self) -> tuple[Float[Array, "*batch temperature _"], ...]:
        """The same as probabilities."""
        return tuple(jnp.exp(entry) for entry in self.log_policy)

    @property
    def residual(self) -> Float[Array, "*batch"]:
        """The largest residual of these equilibria, a probability."""
        return jnp.max(self.crossings.residual[..., 0], axis=-1)

    def notes(self) -> Iterator[str]:
        """Sentences on what happened on the path."""
        yield from self.reasons()
        turns = int(jnp.sum(self.points.kind == PointKind.turn_off))
        if turns:
            yield f"path: turned off {turns} time{'s' * (turns > 1)} where other branches cross it"
        else:
            yield from self.path.notes()

    def reasons(self) -> Iterator[str]:
        """Sentences on why the path did not come to its end, and how far it went."""
        if self.status.ndim:
            return
        if int(self.status) in (Status.max_steps, Status.path_failed):
            yield f"path: it went as far as temperature {float(self.path.temperature[0]):.6g}"
        if int(self.status) == Status.max_steps:
            counts = f"{int(self.points.count)} points and {int(self.path.folds)} folds"
            yield f"it has {counts}; max_points, max_folds and max_steps give it more room"
