"""How large a game may be that becomes a table of joint strategies: they are counted before any is made."""

from collections.abc import Sequence
from math import log10
from typing import Any

MAX_STRATEGIES = 1 << 20
MAX_HISTORIES = 200_000
MAX_VISITS = 10**9
MAX_LEVELS = 1 << 12  # what tools do with a tree takes stack that grows with its depth, some 1.5 kB a level
MAX_LOG = 1000  # where counting stops: 10^1000 joint strategies


def refuse(field: str, what: Any, logs: Sequence[float], histories: int = 1) -> None:
    """Raise ``ValueError`` if ``10**logs`` strategies of each player, or the walks through the tree, are too many."""
    if sum(logs) <= log10(MAX_STRATEGIES) + 1e-9 and histories <= min(MAX_HISTORIES, MAX_VISITS / 10 ** sum(logs)):
        return
    counts = " x ".join(str(round(10**log)) if log < 12 else f"10^{log:.1f}" for log in logs)
    least = "at least " if histories > MAX_HISTORIES or sum(logs) > MAX_LOG else ""
    tree = f" and {least}{histories} histories" if histories > 1 else ""
    raise ValueError(
        f"{field}: got {what} with {least}{counts} pure strategies{tree}, takes at most {MAX_STRATEGIES} joint "
        f"strategies, {MAX_HISTORIES} histories, and {MAX_VISITS:.0e} of the one times the other"
    )
