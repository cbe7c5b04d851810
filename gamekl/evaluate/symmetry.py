"""Whether branches on which players differ have crossed a path on which all play alike.

In the logits of its m players the normal form of a symmetric game has, where all play alike, the derivative I - K on
changes that all players share, and I + K / (m - 1) on those that add up to none over the players, which are m - 1 times
as many (`core.symmetric.system`). The equations of one policy for all know the first block only.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core.kernels.system import to_logits
from gamekl.core.policies import Profile, check_profile
from gamekl.core.regularizer import Regularizer
from gamekl.core.symmetric.game import SymmetricGame
from gamekl.core.symmetric.system import single_equations
from gamekl.core.validation import check_regularizer


def symmetry_determinant(game: SymmetricGame, regularizer: Regularizer, log_policy: Profile) -> Float[Array, ""]:
    """det(I + K / (m - 1)) at a policy that all play: its sign tells whether players would rather differ.

    It is 1 at the reference and changes its sign where, on the path from there, a branch leaves on which players
    differ. So below 0 an odd number of such points lies behind, which the path of the normal form counts in
    ``path.bifurcations`` and that of the symmetric game cannot see; above 0 none does, or an even number.

    Args:
        game: the symmetric game.
        regularizer: one reference and a temperature.
        log_policy: one log-policy ``[actions]``, such as an equilibrium's.

    Returns:
        A scalar; 1 for one player.

    Raises:
        ValueError: the regularizer or the policy does not fit the game.
        TypeError: `game` is no `SymmetricGame`.
    """
    if not isinstance(game, SymmetricGame):
        raise TypeError(f"game: got {type(game).__name__}, takes a SymmetricGame")
    check_regularizer(game, regularizer)
    profile = check_profile("log_policy", log_policy, game.roles, log=True)
    regularizer = regularizer.astype(game.dtype)
    z = to_logits(tuple(entry.astype(game.dtype) for entry in profile), regularizer.masks)[:, None]
    linear = single_equations(game, regularizer).linearize(z, jnp.ones((1,), dtype=game.dtype))
    size = len(z)
    among = (jnp.eye(size, dtype=game.dtype) - linear.jacobian()[..., 0]) / max(game.num_players - 1, 1)
    return jnp.linalg.det(jnp.eye(size, dtype=game.dtype) + among)
