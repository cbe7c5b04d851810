"""Logit responses in games in normal form by rationality: to each other's, along the path, or to given policies."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.kernels.curves import Turns
from gamekl.core.regularizer import Regularizer
from gamekl.core.validation import validate
from gamekl.solvers.paths.batch import trace_batch
from gamekl.solvers.paths.kinds import PointKind
from gamekl.solvers.paths.logit_path import LogitPath
from gamekl.solvers.solution import Status

# So many rationalities are asked for at a time, that one program serves all; and room for crossings at first.
AT_A_TIME = 256
FEW = 5


class _Ray:
    """Logit responses along a ray of temperatures: player i's is 1 / (lambda weight_i)."""

    def __init__(self, game: NormalFormGame, log_reference: Any, weights: Sequence[float] | None) -> None:
        require_normal_form(game)
        self._weights = np.ones(game.num_players) if weights is None else np.asarray(weights, dtype=float)
        if self._weights.shape != (game.num_players,) or not np.all((self._weights > 0) & np.isfinite(self._weights)):
            raise ValueError(
                f"weights: got {weights!r}, takes a positive number for each of {game.num_players} players"
            )
        temperatures = (1 / self._weights).astype(game.dtype)
        uniform = Regularizer.uniform(game, temperatures)
        self._ray = uniform if log_reference is None else Regularizer(list(log_reference), temperatures)
        self._ray.check_fits(game)
        validate(game, self._ray)
        self._game = game
        payoffs = np.asarray(game.payoffs, dtype=float).reshape(game.num_players, -1)
        self._scale = float(np.max(np.ptp(payoffs, axis=1) * self._weights))

    @property
    def scale(self) -> float:
        """The largest range of a player's payoffs times its weight."""
        return self._scale

    @property
    def log_start(self) -> tuple[Float[np.ndarray, " _"], ...]:
        """The references."""
        return tuple(np.asarray(entry, dtype=float) for entry in self._ray.log_reference)

    def _responses(self, rationalities: np.ndarray, policies: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        """The best responses to these policies, whose logarithms are exact where an action is hardly played, too."""
        payoffs = np.asarray(self._game.payoffs, dtype=float)
        players = len(policies)
        found = []
        for player, entry in enumerate(self.log_start):
            others = [other for other in range(players) if other != player]
            given = [part for other in others for part in (policies[other], [players, players + 1, other])]
            axes = [players, players + 1, player]
            if others:
                value = np.einsum(payoffs[player], [*range(players)], *given, axes, optimize=True)
            else:
                value = np.where(np.isfinite(policies[0]), payoffs[0], np.nan)
            logits = entry + value * rationalities[:, None, None] * self._weights[player]
            with np.errstate(invalid="ignore"):  # where there is no crossing
                found.append(logits - np.logaddexp.reduce(logits, axis=2, keepdims=True))
        return tuple(found)


class LogitCurve(_Ray):
    """The equilibria on a game's path from its references, by rationality lambda.

    The path is traced along a ray: player i's temperature is 1 / (lambda weight_i).
    """

    def __init__(
        self,
        game: NormalFormGame,
        log_reference: Any = None,
        *,
        weights: Sequence[float] | None = None,
        at_branching: str = "stay",
    ) -> None:
        """Take a concrete game.

        Args:
            game: the game.
            log_reference: of each player; uniform if None.
            weights: rationality of each player over lambda; 1 if None.
            at_branching: as `trace` takes it.

        Raises:
            TypeError: another kind of game.
            ValueError: bad payoffs, or references or weights that do not fit.
        """
        super().__init__(game, log_reference, weights)
        self._at_branching = at_branching

    def turns(self, end: float) -> Turns:
        """Folds of the path, and where it leaves for another branch."""
        path = self._trace(np.full(AT_A_TIME, end), end, FEW)
        points = path.points
        kinds = points.kind[: int(points.count)]
        rationalities = 1 / (points.temperature[: int(points.count), 0] * self._weights[0])
        turning = np.isin(kinds, (PointKind.fold, PointKind.turn_off))
        if int(path.status) == Status.converged:
            return Turns(rationalities[turning], end, "")
        reached = float(1 / (path.path.temperature[0] * self._weights[0]))
        return Turns(rationalities[turning], reached, Status(int(path.status)).message)

    def at(
        self, rationalities: Float[np.ndarray, " point"], end: float
    ) -> tuple[Float[np.ndarray, "point crossing _"], ...]:
        """The equilibria at rationalities above 0, each time that the path to `end` comes to them."""
        missing = -len(rationalities) % AT_A_TIME
        filled = np.concatenate([rationalities, np.full(missing, rationalities[-1])]).reshape(-1, AT_A_TIME)
        paths = [self._trace(part, end, FEW) for part in filled]
        most = max(int(path.crossings.count.max()) for path in paths)
        if most > FEW:
            paths = [self._trace(part, end, most) for part in filled]
        size = len(rationalities)
        solved = np.concatenate([path.crossings.status for path in paths])[:size, :, None] == Status.converged
        parts = zip(*(path.crossings.log_policy for path in paths), strict=True)
        found = [np.where(solved, np.exp(np.concatenate(part)[:size].astype(float)), np.nan) for part in parts]
        return self._responses(np.asarray(rationalities, dtype=float), found)

    def _trace(self, rationalities: Float[np.ndarray, " point"], end: float, room: int) -> LogitPath:
        """The path, in numpy's arrays."""
        temperatures = 1 / (np.asarray(rationalities)[:, None] * self._weights)
        last = (1 / (end * self._weights)).astype(self._game.dtype)
        regularizer = Regularizer(self._ray.log_reference, last).astype(self._game.dtype)
        batch = jax.tree.map(lambda leaf: np.asarray(leaf)[None], (self._game, regularizer))
        found = trace_batch(
            *batch, temperatures=temperatures[None], at_branching=self._at_branching, max_crossings=room
        )
        return jax.tree.map(lambda leaf: np.asarray(leaf)[0], found)


class ResponseCurve(_Ray):
    """Logit responses to given policies, by rationality lambda: to what was seen, or is believed.

    Fitted to the play that it responds to, it is the fit by "empirical payoffs": no equilibrium is solved for, and the
    frequencies are taken as if they were known without an error.
    """

    def __init__(
        self,
        game: NormalFormGame,
        play: Sequence[Any],
        log_reference: Any = None,
        *,
        weights: Sequence[float] | None = None,
    ) -> None:
        """Take a concrete game, and what to respond to.

        Args:
            game: the game.
            play: of each player counts or probabilities of its actions, ``[actions_i]``, which are scaled to 1.
            log_reference: of each player; uniform if None.
            weights: rationality of each player over lambda; 1 if None.

        Raises:
            TypeError: another kind of game.
            ValueError: bad payoffs, or play, references or weights that do not fit.
        """
        super().__init__(game, log_reference, weights)
        if len(play) != game.num_players:
            raise ValueError(f"play: got that of {len(play)} players, takes {game.num_players}")
        self._policies = []
        for player, (entry, size) in enumerate(zip(play, game.num_actions, strict=True)):
            given = np.asarray(entry, dtype=float)
            if given.shape != (size,) or not np.all((given >= 0) & np.isfinite(given)) or not given.sum() > 0:
                raise ValueError(f"play[{player}]: got {entry!r}, takes {size} numbers >= 0, not all of them 0")
            self._policies.append(given / given.sum())

    def turns(self, end: float) -> Turns:
        """Nowhere: responses are smooth."""
        return Turns(np.zeros(0), end, "")

    def at(
        self, rationalities: Float[np.ndarray, " point"], end: float
    ) -> tuple[Float[np.ndarray, "point crossing _"], ...]:
        """The responses, one at each rationality."""
        size = len(rationalities)
        given = [np.broadcast_to(policy, (size, 1, len(policy))) for policy in self._policies]
        return self._responses(np.asarray(rationalities, dtype=float), given)
