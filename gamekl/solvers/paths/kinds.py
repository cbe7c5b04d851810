"""What lies on a logit path. Loads no jax."""

from gamekl.core.status import Code


class PointKind(Code):
    """What a point of a path is.

    At a `fold` the temperature turns. At the three others of their kind another branch crosses the path: to both sides
    alike (`pitchfork`), from one side to the other (`transcritical`), or several branches at once (`multiple`). At a
    `turn_off`, which repeats such a point, the path leaves for the other branch: its tangent is that branch's.
    """

    place = 0
    fold = 1
    pitchfork = 2
    transcritical = 3
    multiple = 4
    turn_off = 5


# Where other branches cross the path.
BRANCHINGS = (PointKind.pitchfork, PointKind.transcritical, PointKind.multiple)
