"""What a log can tell of a profile before anything is solved: which deviations it shows, and what it leaves open.

A deviation of player i from a profile pi to action b changes the probability of a cell by

    c(a) = 1[a_i = b] pi_-i(a_-i) - pi(a),

and the player's gap is max_b sum_a c(a) r_i(a). Of a game that agrees with the estimate r_hat on the cells that the log
has seen, and pays between low and high on the others, it can be as large as

    undetermined_gap_i = max_b [ sum_seen c(a) r_hat_i(a) + sum_unseen (c(a)^+ high_i - c(a)^- low_i) ],

attained by the game that pays high where c > 0 and low elsewhere (derived). What the log has not seen cannot bring it
down, whatever the method and however many rows of the same cells there are.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.kernels.jit import jit
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.one_shot import expected_payoffs
from gamekl.core.policies import Profile, check_profile, is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import Shown
from gamekl.offline.behavior import concentrability, envelope
from gamekl.offline.dataset import Dataset
from gamekl.offline.pessimism import as_range, check_estimate
from gamekl.offline.regression import Estimate, estimate
from gamekl.offline.statistics import Statistics

MOST_NAMED = 10


class Coverage(Shown):
    """How well a log covers the deviations from a profile; ``print`` says it in words.

    Attributes:
        unvisited: how many joint actions the log never saw.
        missing: those of them that some unilateral deviation from the profile (or the profile itself) reaches, shape
            ``[*actions]``. From a profile of full support that is all of them.
        concentrability: C of the profile under the log's frequencies counts / n, dimensionless; infinite where
            anything is missing.
        undetermined_gap: the largest Nash gap of each player in any game that the log allows, shape ``[player]``,
            payoff units.
    """

    unvisited: Int[Array, ""]
    missing: Bool[Array, "*actions"]
    concentrability: Float[Array, ""]
    undetermined_gap: Float[Array, " player"]

    def __str__(self) -> str:
        """The report, one finding a line; at most ten missing cells are named."""
        cells = [tuple(cell.tolist()) for cell in np.argwhere(np.asarray(self.missing))]
        lines = [f"The log never saw {int(self.unvisited)} of {self.missing.size} joint actions."]
        if cells:
            named = ", ".join(map(str, cells[:MOST_NAMED]))
            more = f" and {len(cells) - MOST_NAMED} more" if len(cells) > MOST_NAMED else ""
            lines.append(f"Deviations from this profile reach {len(cells)} of them: {named}{more}.")
        else:
            lines.append("Every unilateral deviation from this profile stays on cells that it saw.")
        lines.append(f"Unilateral concentrability under the log's frequencies: {float(self.concentrability):.4g}.")
        gaps = ", ".join(f"{gap:.4g}" for gap in np.asarray(self.undetermined_gap).tolist())
        lines.append(f"In a game that agrees with the log on what it saw, the players' gaps may be as large as {gaps}.")
        return "\n".join(lines)


def coverage(
    data_or_estimate: Estimate | Statistics | Dataset,
    log_policy: Profile,
    *,
    regularizer: Regularizer | None = None,
    payoff_range: Any = None,
) -> Coverage:
    """Measure how well a log covers the unilateral deviations from a profile, in a normal-form game.

    Args:
        data_or_estimate: an `Estimate`, or the log itself.
        log_policy: the profile, one log-policy ``[actions_i]`` for each player.
        regularizer: where given, deviations stay on its references' support.
        payoff_range: (low, high) of what may be paid on cells that the log never saw, each a number or one for each
            player, payoff units. None sets no bounds: then `Coverage.undetermined_gap` is infinite where a deviation
            changes the probability of such a cell.

    Returns:
        A `Coverage`: the joint actions that the log lacks, the profile's concentrability, and how large its Nash gap
        may be in games that the log allows (derived, in `offline.coverage`).

    Raises:
        TypeError: neither data nor an estimate, or of another kind of game.
        ValueError: no rows, a profile or regularizer that does not fit, or a bad range.
    """
    data = data_or_estimate
    if isinstance(data, Statistics | Dataset):
        data = estimate(data)
    if not isinstance(data, Estimate):
        raise TypeError(f"data_or_estimate: got {type(data).__name__}, takes an Estimate, Statistics or a Dataset")
    check_estimate(data)
    require_normal_form(data.game, "data_or_estimate.game")
    game, total = data.game, data.counts.sum()
    if is_concrete(total) and not float(total) > 0:
        raise ValueError(f"counts: got {float(total):g} rows, takes at least one row")
    log_policy = tuple(
        entry.astype(game.dtype) for entry in check_profile("log_policy", log_policy, game.num_actions, log=True)
    )
    if regularizer is not None:
        regularizer.check_fits(game)
    ends = None if payoff_range is None else as_range(payoff_range, game)
    return _measure(data, log_policy, regularizer, ends)


@jit
def _measure(data: Estimate, log_policy: tuple[Array, ...], regularizer: Regularizer | None, ends: Any) -> Coverage:
    game, unseen = data.game, data.counts == 0
    frequencies = data.counts / data.counts.sum()
    return Coverage(
        unvisited=jnp.sum(unseen),
        missing=unseen & (envelope(game, log_policy, regularizer) > 0),
        concentrability=concentrability(game, frequencies, log_policy, regularizer=regularizer),
        undetermined_gap=_undetermined_gap(game, unseen, log_policy, regularizer, ends),
    )


def _undetermined_gap(
    game: NormalFormGame,
    unseen: Bool[Array, "*actions"],
    log_policy: tuple[Array, ...],
    regularizer: Regularizer | None,
    ends: tuple[Array, Array] | None,
) -> Float[Array, " player"]:
    """The formula of the module; c is split by sign: a_i = b has c >= 0, all other cells c <= 0."""
    policy = [jnp.exp(entry) for entry in log_policy]
    nothing = jnp.zeros(game.num_players, game.dtype)
    low, high = (nothing, nothing) if ends is None else ends
    found = []
    for player, own in enumerate(policy):
        others = 1 - jnp.eye(len(own), dtype=game.dtype)

        def given_up(values: Array, own: Array = own, others: Array = others) -> Array:
            """What the actions but b earn, for each b."""
            return jnp.matmul(others, own * values, precision=PRECISION)

        def at_most(payoffs: Array, player: int = player) -> Array:
            return expected_payoffs(payoffs, policy, (player,))

        estimated = game.payoffs[player]
        best = given_up(jnp.ones_like(own)) * at_most(jnp.where(unseen, high[player], estimated))
        gains = best - given_up(at_most(jnp.where(unseen, low[player], estimated)))
        if ends is None:
            chance = at_most(unseen.astype(game.dtype))
            touched = (given_up(jnp.ones_like(own)) * chance > 0) | (given_up(chance) > 0)
            gains = jnp.where(touched, jnp.inf, gains)
        if regularizer is not None:
            gains = jnp.where(regularizer.masks[player], gains, -jnp.inf)
        found.append(jnp.max(gains))
    return jnp.stack(found)
