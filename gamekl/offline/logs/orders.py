"""Whether a log has each pair of actions in one order only, as logs of symmetric games often do."""

import numpy as np

from gamekl.offline.logs.read import Log


def check_orders(log: Log) -> None:
    """Raise where a log has pairs of labels in one order only, and nothing says what that means.

    Of two players that share labels, each match is then logged once, as (a, b) or as (b, a), and half of the table is
    unknown; in a symmetric game one order tells of the other. That is so where no pair of labels that both players have
    was seen in both orders, though some were seen in one; or, as in a tournament in a fixed order, each pair of all
    labels in one order. A schema that says whether the game is `symmetric` is believed.

    Raises:
        ValueError: it is so; the message says what to do.
    """
    if len(log.actions) != 2 or log.symmetric is not None:
        return
    counts = np.asarray(log.statistics.counts)
    labels = list(dict.fromkeys((*log.actions[0], *log.actions[1])))
    places = [[labels.index(label) for label in found] for found in log.actions]
    seen = np.zeros((len(labels), len(labels)), bool)
    seen[np.ix_(*places)] = (counts if log.contexts is None else counts.sum(axis=0)) > 0
    np.fill_diagonal(seen, False)
    once, twice = seen & ~seen.T, seen & seen.T
    shared = np.ix_(*[[place for place in places[0] if place in places[1]]] * 2)
    tournament = len(labels) > 2 and len(shared[0]) and np.all(once | once.T | np.eye(len(labels), dtype=bool))
    if tournament or (once[shared].any() and not twice[shared].any()):
        first, second = (labels[place] for place in np.argwhere(once)[0])
        pairs = f"all {int(once.sum() + twice.sum() // 2)} pairs that it has"
        raise ValueError(
            f"symmetric: got a log with ({first}, {second}) and never ({second}, {first}), and so for {pairs}, "
            "takes true in the schema for a game in which one order tells of the other, or false"
        )
