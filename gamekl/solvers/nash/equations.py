"""What the path tracer asks of the equations that it follows: those of `core.kernels.system`, or any others like them.

The tracer follows the solutions of F(z, beta) = 0 from the anchor, which solves F(., 0) = 0, to beta = 1, in many
problems at once, each in a lane. F(z, beta) = z - anchor - beta q(z) / temperature, where z are logits and q is what
actions are worth when all play the policies that z stands for. Whoever gives the residual, the slope dF/dbeta and
solutions of linear systems with dF/dz can be traced: a normal form, a game in which all play alike, a tree.
"""

from typing import Protocol, runtime_checkable

from jaxtyping import Array, Float

from gamekl.core.kernels.lanes import Determinant
from gamekl.core.kernels.system import Vector

Lane = Float[Array, " lane"]
Columns = Float[Array, "logits r lane"]


@runtime_checkable
class Linearized(Protocol):
    """The equations and their derivatives at one point of each lane."""

    @property
    def residual(self) -> Vector:
        """The residual F, up to what `level` takes away."""
        ...

    @property
    def slope(self) -> Vector:
        """The slope dF/dbeta, up to what `level` takes away."""
        ...

    def level(self, joined: Columns) -> Columns:
        """The same columns without what changes no policy: the tracer measures what this returns."""
        ...

    def solve(self, right: Columns, weight: Lane) -> tuple[Columns, Determinant, Lane]:
        """Solve dF/dz x = right for levelled columns; x levelled, det dF/dz, and the weight for a matrix like this.

        Args:
            right: columns.
            weight: what was returned for a matrix nearby, or 1: about the square of the size of the entries of
                dF/dz - 1, by which a solver may scale what it adds to directions that change no policy.
        """
        ...


@runtime_checkable
class Equations(Protocol):
    """A system for each lane; a pytree of arrays whose last axis is that of lanes."""

    @property
    def anchor(self) -> Vector:
        """The solution at beta = 0, log-policies."""
        ...

    @property
    def scale(self) -> Lane:
        """kappa: how far beta = 1 can drive the logits from the anchor, in nats; 0 where nothing does."""
        ...

    @property
    def pace(self) -> Lane:
        """1 / kappa, or 1 where kappa is 0: the tracer counts beta in nats, s = kappa beta."""
        ...

    @property
    def first_step(self) -> float:
        """A change of s within which no other branch can be met."""
        ...

    def normalized(self, z: Vector) -> tuple[Vector, Vector]:
        """The logits z as log-policies, and the policies; both 0 where an action is masked."""
        ...

    def linearize_at(self, z: Vector, policy: Vector, beta: Lane) -> Linearized:
        """F and its derivatives at normalized logits and their policies."""
        ...
