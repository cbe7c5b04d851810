"""What `fit_qre` returns: rationalities with errors, intervals and the policies that belong to them."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import scipy.stats
from jaxtyping import Float

from gamekl.core.report.result_table import ResultTable
from gamekl.core.status import FitStatus
from gamekl.estimation.likelihood import Likelihood, Maxima
from gamekl.estimation.play import Play

ErrorKind = Literal["information", "sandwich", "clustered"]


def check_level(level: float) -> None:
    """Raise ``ValueError`` unless it may be a level of confidence."""
    if not 0 < level < 1:
        raise ValueError(f"level: got {level!r}, takes a number between 0 and 1")


class GroupFit(NamedTuple):
    """The fit of one group's rationality; it is told as `QreFit` says."""

    label: Hashable
    rows: Float[np.ndarray, "row cell"]
    status: FitStatus
    peaks: Maxima

    @property
    def counts(self) -> Float[np.ndarray, " cell"]:
        """Of all of its subjects."""
        return self.rows.sum(axis=0)


@dataclass(frozen=True, repr=False)
class QreFit:
    """Rationalities, lambda = 1 / temperature, of the groups of an experiment, by maximum likelihood.

    ``print`` shows the table of it. Arrays have an entry for each group, in the order of ``labels``.

    Attributes:
        play: what was fitted to.
        likelihood: along the games' curves.
        groups: the fits.
    """

    play: Play
    likelihood: Likelihood
    groups: tuple[GroupFit, ...]

    @property
    def labels(self) -> tuple[Hashable, ...]:
        """The labels of the groups."""
        return tuple(group.label for group in self.groups)

    @property
    def status(self) -> tuple[FitStatus, ...]:
        """How each fit ended.

        `no_maximizer` where the likelihood rises to the end of the path, `not_identified` where it is flat.
        """
        return tuple(group.status for group in self.groups)

    @property
    def rationality(self) -> Float[np.ndarray, " group"]:
        """The estimates, 1 / payoff unit: infinite without a maximiser, NaN where nothing is identified."""
        special = {FitStatus.no_maximizer: np.inf, FitStatus.not_identified: np.nan}
        return np.array([special.get(group.status, float(group.peaks.rationality[0])) for group in self.groups])

    @property
    def temperature(self) -> Float[np.ndarray, " group"]:
        """1 / rationality, payoff units."""
        with np.errstate(divide="ignore"):
            return 1 / self.rationality

    @property
    def log_likelihood(self) -> Float[np.ndarray, " group"]:
        """The largest log-likelihood, without the multinomial coefficient."""
        return np.array([float(group.peaks.value[0]) for group in self.groups])

    @property
    def uniform_log_likelihood(self) -> Float[np.ndarray, " group"]:
        """That of rationality 0: play as the references have it."""
        first = next(segment for segment in self.likelihood.segments.segments if segment.piece.low == 0)
        return np.array([float(group.counts @ first.log_policies(-1.0)) for group in self.groups])

    @property
    def policies(self) -> tuple[tuple[tuple[Float[np.ndarray, " _"], ...], ...], ...]:
        """The policies fitted, of each group, game and player, ``[group][game][player]``, arrays ``[actions_i]``."""
        segments = self.likelihood.segments.segments
        found = []
        for group in self.groups:
            logs = segments[group.peaks.segment[0]].log_policies(float(group.peaks.u[0]))
            found.append(self._by_player(np.exp(logs)))
        return tuple(found)

    @property
    def frequencies(self) -> tuple[tuple[tuple[Float[np.ndarray, " _"], ...], ...], ...]:
        """The shares of actions that were observed, likewise; NaN of roles without play."""
        with np.errstate(invalid="ignore"):
            shares = [self._by_player(group.counts) for group in self.groups]
            return tuple(tuple(tuple(own / own.sum() for own in game) for game in group) for group in shares)

    def _by_player(self, cells: Float[np.ndarray, " cell"]) -> tuple[tuple[Float[np.ndarray, " _"], ...], ...]:
        sizes = [size for game in self.play.sizes for size in game]
        parts = iter(np.split(cells, np.cumsum(sizes)[:-1]))
        return tuple(tuple(next(parts) for _ in game) for game in self.play.sizes)

    def std_error(self, kind: ErrorKind = "information") -> Float[np.ndarray, " group"]:
        """Standard errors of log(rationality).

        Args:
            kind: "information": from the curvature of the log-likelihood at its maximum, right where the model is.
                "sandwich": also where the model is not, if decisions are independent; with the factor n / (n - 1).
                "clustered": also where a subject's decisions depend on each other, if subjects are independent; with
                the factors G / (G - 1) and (n - 1) / n, of G subjects.

        Returns:
            Shape ``[group]``; NaN where there is no maximum inside of a stretch of the path.

        Raises:
            ValueError: an unknown kind, or "clustered" without subjects.

        Source: MacKinnon and Webb, "Cluster-robust inference" (2023), for the factors.
        """
        if kind not in ("information", "sandwich", "clustered"):
            raise ValueError(f"kind: got {kind!r}, takes 'information', 'sandwich' or 'clustered'")
        if kind == "clustered":
            self.play.require_subjects()
        return np.array([self._std_error(group, kind) for group in self.groups])

    def _std_error(self, group: GroupFit, kind: ErrorKind) -> float:
        if group.status != FitStatus.converged or group.peaks.rationality[0] == 0:
            return np.nan
        place = int(group.peaks.segment[0]), float(group.peaks.u[0])
        information = -self.likelihood.slopes(group.counts, *place).second
        if not information > 0:
            return np.nan
        if kind == "information":
            return float(information**-0.5)
        scores, number = self.likelihood.scores(*place), group.counts.sum()
        if kind == "sandwich":
            spread = group.counts @ scores**2 * number / (number - 1)
        else:
            size = len(group.rows)
            spread = np.sum((group.rows @ scores) ** 2) * (size / (size - 1) if size > 1 else np.nan)
            spread *= (number - 1) / number
        return float(np.sqrt(spread) / information)

    def interval(
        self, level: float = 0.95, kind: Literal["profile"] | ErrorKind = "profile"
    ) -> tuple[list[tuple[float, float]], ...]:
        """Confidence intervals of rationality, 1 / payoff unit; of a folded path maybe of several parts.

        Args:
            level: of confidence.
            kind: "profile": the rationalities that a likelihood ratio test does not reject, along all stretches of the
                path; one-sided where the estimate is 0 or infinite. Or from a standard error of log(rationality).

        Returns:
            For each group its parts, lowest first; none where nothing is identified.

        Raises:
            ValueError: a level outside of 0 to 1, or an unknown kind.
        """
        check_level(level)
        if kind == "profile":
            return tuple(self._profile(group, level) for group in self.groups)
        width = scipy.stats.norm.ppf((1 + level) / 2) * self.std_error(kind)
        pairs = zip(self.rationality, width, strict=True)
        return tuple([(float(at * np.exp(-by)), float(at * np.exp(by)))] if by > 0 else [] for at, by in pairs)

    def _profile(self, group: GroupFit, level: float) -> list[tuple[float, float]]:
        if group.status == FitStatus.not_identified:
            return []
        one_sided = group.status == FitStatus.no_maximizer or group.peaks.rationality[0] == 0
        # One side of it has the whole of the error's chance.
        drop = float(scipy.stats.chi2.ppf(2 * level - 1 if one_sided and level > 0.5 else level, 1)) / 2
        found = self.likelihood.above(group.counts, float(group.peaks.value[0]) - drop)
        last = self.likelihood.segments.is_end(np.array([high for _, high in found]))
        return [(low, np.inf if at_end else high) for (low, high), at_end in zip(found, last, strict=True)]

    def table(self, level: float = 0.95) -> ResultTable:
        """A row for each group: estimate, standard error, interval, log-likelihood."""
        told = [" and ".join(f"{low:.6g} to {high:.6g}" for low, high in parts) for parts in self.interval(level)]
        columns = {
            "group": list(map(str, self.labels)),
            "rationality": self.rationality.tolist(),
            "error of log": self.std_error().tolist(),
            f"{level:.0%} interval": told,
            "log-likelihood": self.log_likelihood.tolist(),
            "uniform": self.uniform_log_likelihood.tolist(),
            "decisions": [float(group.counts.sum()) for group in self.groups],
            "status": [status.name for status in self.status],
        }
        return ResultTable(columns, "quantal response equilibria, rationality in 1 / payoff unit")

    def __repr__(self) -> str:
        """The table, and what else there is to know."""
        lines = [repr(self.table())]
        segments = self.likelihood.segments
        if len(segments.turns):
            lines.append(f"paths turn at rationality {', '.join(f'{turn:.6g}' for turn in segments.turns)}")
        for group in self.groups:
            others = group.peaks.rationality[1:4]
            if len(others):
                told = ", ".join(f"{at:.6g}" for at in others)
                lines.append(f"group {group.label}: smaller maxima of the likelihood at {told}")
        if segments.reason:
            lines.append(f"the paths end at rationality {segments.end:.6g}: {segments.reason}")
        return "\n".join(lines)
