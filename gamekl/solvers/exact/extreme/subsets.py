"""Which extreme equilibria belong together: maximal Nash subsets, and the components of the set of equilibria.

Vertices x of the row player and y of the column player are equilibria or are not, and so are joined or not: a bipartite
graph. All mixtures of some x, with all mixtures of some y, are equilibria if each of these x is joined to each of these
y. The largest such sets, maximal bicliques, are the maximal Nash subsets: their union is the set of all equilibria, and
its connected components are those of the graph.

Source: Winkels, "An algorithm to determine all equilibrium points of a bimatrix game" (1979); Avis, Rosenberg, Savani
and von Stengel, "Enumeration of Nash equilibria for two-player games" (2010), section 7.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool

from gamekl.solvers.exact.extreme.polyhedra import keys, pairs_in_parts, require_few, words

Pairs = list[tuple[int, int]]
Biclique = tuple[tuple[int, ...], tuple[int, ...]]


def labelled(first: Bool[np.ndarray, "x label"], second: Bool[np.ndarray, "y label"], own: int, most: int) -> Pairs:
    """The pairs of vertices that have all labels together, which are the extreme equilibria.

    Args:
        first: labels of the row player's vertices: actions of the row player, then of the column player.
        second: those of the column player's, in the same order.
        own: how many actions the row player has.
        most: pairs that there may be.

    Raises:
        TooLargeError: there are more than that.
    """
    missing, there = words(~first), words(second)
    # Where neither vertex has a label to spare, what one lacks is just what the other one has.
    simple_x, simple_y = first.sum(axis=1) == own, second.sum(axis=1) == second.shape[1] - own
    x, y = np.flatnonzero(simple_x), np.flatnonzero(simple_y)
    _, at, to = np.intersect1d(keys(missing[x]), keys(there[y]), return_indices=True)
    found = list(zip(x[at].tolist(), y[to].tolist(), strict=True))
    for xs, ys in ((np.flatnonzero(~simple_x), np.arange(len(second))), (x, np.flatnonzero(~simple_y))):
        for one, other in pairs_in_parts(xs, ys):
            row, column = np.nonzero(np.all(missing[one] & there[other] == missing[one], axis=2))
            found += zip(one[row, 0].tolist(), other[0, column].tolist(), strict=True)
            require_few(len(found), most, "extreme equilibria")
    return found


def components(pairs: Pairs) -> Iterator[Pairs]:
    """The pairs of each connected component, in the order of their first pairs."""
    by_end: tuple[dict[int, Pairs], dict[int, Pairs]] = {}, {}
    for pair in pairs:
        for end, table in zip(pair, by_end, strict=True):
            table.setdefault(end, []).append(pair)
    seen: set[tuple[int, int]] = set()
    for start in pairs:
        if start in seen:
            continue
        seen.add(start)
        reached = [start]
        for pair in reached:
            for end, table in zip(pair, by_end, strict=True):
                fresh = [entry for entry in table.pop(end, ()) if entry not in seen]
                seen.update(fresh)
                reached += fresh
        yield sorted(reached)


def bicliques(pairs: Pairs, most: int) -> list[Biclique]:
    """The maximal bicliques of a graph without lone vertices, by its edges.

    The second parts are all intersections, if not empty, of what the first ends are joined to.

    Raises:
        TooLargeError: there are more than allowed.
    """
    ends = [sorted({pair[side] for pair in pairs}) for side in (0, 1)]
    if len(pairs) == len(ends[0]) * len(ends[1]):
        return [(tuple(ends[0]), tuple(ends[1]))]
    small, large = (0, 1) if len(ends[0]) <= len(ends[1]) else (1, 0)
    bits = {end: 1 << place for place, end in enumerate(ends[large])}
    joined = dict.fromkeys(ends[small], 0)
    for pair in pairs:
        joined[pair[small]] |= bits[pair[large]]
    closed: set[int] = set()
    for others in set(joined.values()):
        closed |= {others & more for more in closed} | {others}
        closed.discard(0)
        require_few(len(closed), most, "maximal Nash subsets")
    found = []
    for others in closed:
        few = tuple(end for end, more in joined.items() if others & more == others)
        many = tuple(end for end, bit in bits.items() if others & bit)
        found.append((many, few) if small else (few, many))
    return sorted(found)
