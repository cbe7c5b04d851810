"""What every file of payoffs comes to: a table and the names in it. Loads no jax."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gamekl.core.names import Names

MAX_NUMBERS = 1 << 27


@dataclass(frozen=True)
class Table:
    """A game as it was read.

    Attributes:
        payoffs: ``[player, *actions]``.
        names: in the game; None where the file has none.
    """

    payoffs: np.ndarray
    names: Names | None = None

    def cast(self, dtype: Any) -> "Table":
        """The same table in another dtype, in which its payoffs must be finite, too."""
        with np.errstate(over="ignore"):
            payoffs = np.asarray(self.payoffs, dtype=dtype)
        if not np.all(np.isfinite(payoffs)):
            from gamekl.core.validation import check_finite  # which loads jax

            check_finite("payoffs", payoffs)
        return Table(payoffs, self.names)
