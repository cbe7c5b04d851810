"""Whether a log has each pair of actions in one order only, as logs of symmetric games often do."""

from itertools import combinations

import numpy as np

from gamekl.offline.log_schema import Label
from gamekl.offline.logs import Log


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
    seen = counts.sum(axis=0) > 0 if log.contexts is not None else counts > 0
    places = [{label: place for place, label in enumerate(labels)} for labels in log.actions]

    def was_seen(first: Label, second: Label) -> bool:
        return first in places[0] and second in places[1] and bool(seen[places[0][first], places[1][second]])

    labels = [*log.actions[0], *(label for label in log.actions[1] if label not in places[0])]
    shared = [label for label in labels if label in places[0] and label in places[1]]
    if not shared:
        return
    times = {pair: was_seen(*pair) + was_seen(*pair[::-1]) for pair in combinations(labels, 2)}
    of_both = [times[pair] for pair in combinations(shared, 2)]
    tournament = len(labels) > 2 and all(count == 1 for count in times.values())
    if tournament or (any(of_both) and max(of_both) == 1):
        pair = next(pair for pair, count in times.items() if count == 1)
        first, second = pair if was_seen(*pair) else pair[::-1]
        pairs = f"all {sum(map(bool, times.values()))} pairs that it has"
        raise ValueError(
            f"symmetric: got a log with ({first}, {second}) and never ({second}, {first}), and so for {pairs}, "
            "takes true in the schema for a game in which one order tells of the other, or false"
        )
