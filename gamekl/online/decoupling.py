"""How far optimism may be wrong before what was seen forbids it: the decoupling coefficient, numerically.

A coefficient d decouples a class for mu > 0 if for all sequences of hypotheses f^k and pure joint policies a^k

    sum_k V_{f^k}^{a^k} - V^{a^k} <= (1 / mu) sum_k sum_{s < k} l^s(f^k) + mu d,

l^s being the squared error of f^k at a^s (the multi-agent coefficient of arXiv 2310.06243 has this form for each
player and a term of lower order, by recall; it is left out here). For payoffs linear in features, and with
ridge |theta^k - theta|^2 added to the losses, the best f^k against the past is off along Lambda^-1 phi and gains
mu |phi|^2_{Lambda^-1} / 4, so that

    d = 1/4 sup over sequences of sum_k |phi_k|^2_{Lambda_k^-1},        Lambda_k = ridge + sum_{s<k} phi_s phi_s^T

(derived), at most (dim / 2) log(1 + K / (dim ridge)) where |phi|^2 <= 1 <= ridge (the elliptical potential). Tables are
features of one entry for each cell: then d = 1/4 sum over cells and visits of 1 / (ridge + N).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.arrays import as_float_array
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.policies import is_concrete
from gamekl.core.validation import check_finite, check_nonnegative, check_whole


def decoupling(features: ArrayLike, num_rounds: int, *, ridge: ArrayLike = 1.0) -> Float[Array, " round"]:
    """The decoupling coefficient of the sequence that plays in each round what is known least.

    That is d = 1/4 sum_k |phi_k|^2 in the metric (ridge + sum of phi phi^T before)^-1; mu d bounds, beside the summed
    squared errors over mu, by how much optimism overstates (derived). It is a lower bound of the supremum over
    sequences, and for tables (one entry for each cell) the supremum itself.

    Args:
        features: phi of each joint action, shape ``[*actions, feature]``.
        num_rounds: K; static.
        ridge: in Lambda; > 0.

    Returns:
        d after each round, shape ``[round]``.

    Raises:
        ValueError: features without entries, values that are not finite, or a bad number.
    """
    check_whole(num_rounds=num_rounds)
    check_nonnegative(ridge=ridge)
    if is_concrete(ridge) and not np.all(np.asarray(ridge) > 0):
        raise ValueError(f"ridge: got {ridge!r}, takes a number > 0")
    table = as_float_array("features", features)
    if table.ndim < 2 or not table.size:
        raise ValueError(f"features: got shape {table.shape}, takes [*actions, feature]")
    if is_concrete(table):
        check_finite("features", np.asarray(table))
    rows = table.reshape(-1, table.shape[-1])
    begin = jnp.eye(rows.shape[1], dtype=rows.dtype) / jnp.asarray(ridge, rows.dtype)

    def play(inverse: Array, _: None) -> tuple[Array, Array]:
        spread = jnp.sum(jnp.matmul(rows, inverse, precision=PRECISION) * rows, axis=1)
        least = jnp.argmax(spread)
        against = jnp.matmul(inverse, rows[least], precision=PRECISION)
        return inverse - against[:, None] * against / (1 + spread[least]), spread[least] / 4

    return jnp.cumsum(jax.lax.scan(play, begin, None, length=num_rounds)[1])
