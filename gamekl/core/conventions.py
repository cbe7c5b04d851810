"""Other orders of a payoff array's axes, where its shape shows them; QuantEcon's are told how to become ours."""

from collections.abc import Sequence
from typing import Any


def players_last(field: str, shape: Sequence[int], axis: int) -> str:
    """What to say of a shape that fits ``[*actions, player]`` after `axis` other axes; nothing if it does not fit."""
    if len(shape) < axis + 2 or shape[-1] != len(shape) - axis - 1:
        return ""
    return f"; if the players' axis is the last, as in QuantEcon: numpy.moveaxis({field}, -1, {axis})"


def own_actions_first(arrays: Any) -> str:
    """What to say of an array for each player whose axes begin with the player's own, then go round; else nothing."""
    shapes = [getattr(entry, "shape", ()) for entry in arrays] if isinstance(arrays, list | tuple) else []
    rolled = [(*shapes[0][player:], *shapes[0][:player]) for player in range(len(shapes))]
    if not shapes or shapes != rolled or len(shapes[0]) != len(shapes):
        return ""
    turned = "numpy.transpose(a, [(k - i) % len(arrays) for k in range(len(arrays))])"
    return f"; if each begins with the player's own actions, as in QuantEcon: [{turned} for i, a in enumerate(arrays)]"
