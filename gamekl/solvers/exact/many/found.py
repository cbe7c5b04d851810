"""What is found of the equilibria of three and more players, and how it is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float

from gamekl.core.names import Names, numbered

# Equilibria that are shown one by one, each in at most so many letters; digits of those that are not rational.
FEW, WIDE, DIGITS = 12, 84, 6
# Policies of all players.
Fractions = tuple[tuple[Fraction, ...], ...]


@dataclass(frozen=True, repr=False)
class FoundEquilibria:
    """Nash equilibria of a game of three or more players without regularisation.

    Attributes:
        policy: one array ``[equilibrium, actions_i]`` for each player, in descending lexicographic order.
        fractions: for each the policies as rational numbers where they are an equilibrium exactly; else None.
        epsilon: what a player could gain at most by another policy, of the policies as they are here, payoff units,
            rounded up; 0 of those that are exact. Shape ``[equilibrium]``.
        error: no farther, in any share, is the equilibrium that this stands for; infinite where that is not proven.
            Shape ``[equilibrium]``.
        regular: whether it is proven that there is just one equilibrium as near as `error`, which stays while payoffs
            change a little: it solves its support's equations with a regular derivative, and other actions are worse.
            Where that is not proven it is an equilibrium to `epsilon`. Shape ``[equilibrium]``.
        values: what each player earns, shape ``[equilibrium, player]``, payoff units.
        num_supports: profiles of supports in which no action is conditionally dominated.
        unsettled: those of which it is not known what other equilibria they have.
        complete: whether it is proven that each equilibrium of the game is within `error` of one of these.
    """

    policy: tuple[Float[np.ndarray, "equilibrium _"], ...]
    fractions: tuple[Fractions | None, ...]
    epsilon: Float[np.ndarray, " equilibrium"]
    error: Float[np.ndarray, " equilibrium"]
    regular: Bool[np.ndarray, " equilibrium"]
    values: Float[np.ndarray, "equilibrium player"]
    num_supports: int
    unsettled: tuple[tuple[tuple[int, ...], ...], ...]

    @property
    def complete(self) -> bool:
        """Whether it is proven that each equilibrium of the game is within `error` of one of these."""
        return not self.unsettled

    def __len__(self) -> int:
        """How many were found."""
        return len(self.fractions)

    def __repr__(self) -> str:
        """How many there are, and the first of them."""
        shape = " x ".join(str(own.shape[1]) for own in self.policy)
        lines = [f"FoundEquilibria: {shape} actions, {self.headline()}"]
        for number in range(min(FEW, len(self))):
            told = " | ".join(" ".join(shares) for shares in self._shares(number))
            lines.append(f"  {told if len(told) <= WIDE else told[: WIDE - 4] + ' ...'}")
        return "\n".join(lines + ([f"  and {len(self) - FEW} more"] if len(self) > FEW else []))

    def _shares(self, number: int) -> Sequence[Sequence[str]]:
        """Each player's probabilities in one of them, as text."""
        exact = self.fractions[number]
        if exact is not None:
            return [[str(share) for share in own] for own in exact]
        return [
            [f"{share:.{DIGITS}f}" if 0 < share < 1 else f"{share:g}" for share in own[number]] for own in self.policy
        ]

    def headline(self) -> str:
        """How many there are, and whether these are all."""
        noun = "equilibrium" if len(self) == 1 else "equilibria"
        regular = int(np.sum(self.regular))
        some = "all regular" if regular == len(self) else f"{regular:,} of them proven to be regular"
        if self.complete:
            return f"{len(self):,} {noun}, {some}, and there are no others"
        left = f"{len(self.unsettled):,} of {self.num_supports:,} profiles of supports may have more"
        return f"{len(self):,} {noun} found, {some}; {left}"

    def listing(self, names: Names | None = None) -> str:
        """All of it as text: the policies, what they earn, and how sure it is.

        Args:
            names: what the players and their actions are called.
        """
        lines = []
        for number in range(len(self)):
            kind = "regular" if self.regular[number] else "an equilibrium" if not self.epsilon[number] else "candidate"
            earned = ", ".join(f"{value:.6g}" for value in self.values[number])
            lines.append(f"equilibrium {number + 1}: {kind}, earns {earned}, epsilon {self.epsilon[number]:.1e}")
            for player, shares in enumerate(self._shares(number)):
                told = " ".join(shares)
                if names is not None and names.actions[player] != numbered(len(shares)):
                    named = zip(names.actions[player], shares, strict=True)
                    told = ", ".join(f"{name} {share}" for name, share in named if share != "0")
                lines.append(f"  {f'player {player + 1}' if names is None else names.players[player]}: {told}")
        return "\n".join(lines)
