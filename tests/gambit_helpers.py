"""pygambit 16.7 and 17 as oracles: what both say, in the words of either.

From 17 on tables and trees are classes of their own, and players, strategies and outcomes are labels (gambit#1096).
"""

from fractions import Fraction

import numpy as np
import pytest


def pygambit():
    return pytest.importorskip("pygambit")


def by_labels():
    """Whether this is 17 or later."""
    return hasattr(pygambit(), "StrategicGame")


def table(*payoffs):
    """Gambit's own game of one array for each player."""
    return getattr(pygambit(), "StrategicGame", pygambit().Game).from_arrays(*payoffs)


def sizes(theirs):
    """How many strategies each player has."""
    return [len(theirs.get_strategies(p) if by_labels() else p.strategies) for p in theirs.players]


def payoffs_of(theirs):
    """``[player, *strategies]``, each rational as the nearest float; a joint action without an outcome pays nothing."""
    payoffs = np.zeros((len(theirs.players), *sizes(theirs)))
    labels = [theirs.get_strategies(player) for player in theirs.players] if by_labels() else []
    for cell in np.ndindex(*payoffs.shape[1:]):
        if by_labels():
            pays = theirs.get_payoffs({p: own[a] for p, own, a in zip(theirs.players, labels, cell, strict=True)})
        else:
            pays = theirs[cell] or dict.fromkeys(theirs.players, 0)
        payoffs[(slice(None), *cell)] = [float(Fraction(pays[player])) for player in theirs.players]
    return payoffs


def remove_outcome(theirs, cell):
    """Of a table: nobody gets anything at that joint action."""
    if by_labels():
        theirs.make_outcome_null({p: theirs.get_strategies(p)[a] for p, a in zip(theirs.players, cell, strict=True)})
    else:
        theirs.delete_outcome(theirs[cell])


def rename(theirs, draw):
    """Other names for the players of any game, and for the strategies and outcomes of a table; all of them differ."""
    if by_labels():
        if isinstance(theirs, pygambit().StrategicGame):
            for player in theirs.players:
                theirs.relabel_strategies(player, {old: draw() for old in theirs.get_strategies(player)})
            theirs.relabel_outcomes({old: draw() for old in theirs.get_outcomes()})
        theirs.relabel_players({old: draw() for old in theirs.players})
        return
    named = list(theirs.players)
    if not theirs.is_tree:
        named += [*theirs.outcomes, *theirs.strategies]
    for entry in named:
        entry.label = draw()


def tree(moves, payoffs):
    """Players, the keys of `moves`, take an action each in turn and see nothing; `payoffs()` are those of an end."""
    players = list(moves)
    if by_labels():
        theirs, H = pygambit().ExtensiveGame(players=players), pygambit().H
        for player, actions in moves.items():
            theirs.append_move(H.plays, player, actions)
        for number, end in enumerate(theirs.get_histories(H.plays)):
            theirs.make_outcome(H.path(*end.actions), dict(zip(players, payoffs(), strict=True)), str(number))
        return theirs
    theirs = pygambit().Game.new_tree(players=players)
    for player, actions in moves.items():
        theirs.append_move([node for node in theirs.nodes if node.is_terminal], player, actions)
    for number, node in enumerate([node for node in theirs.nodes if node.is_terminal]):
        theirs.set_outcome(node, theirs.add_outcome(str(number), payoffs=payoffs()))
    return theirs


def chain(length):
    """A tree in which the only player may stop at each of `length` moves, and pays nothing."""
    if by_labels():
        theirs, root = pygambit().ExtensiveGame(players=["only"]), pygambit().H.path()
        theirs.append_move(root, "only", ["on", "stop"])
        for _ in range(length - 1):
            theirs.insert_move(root, "only", ["on", "stop"])
        return theirs
    theirs = pygambit().Game.new_tree(players=["only"])
    node = theirs.root
    for _ in range(length):
        theirs.append_move(node, "only", ["on", "stop"])
        node = node.children["on"]
    return theirs


def policies(theirs, profile):
    return [np.array([float(share) for _, share in profile[player]]) for player in theirs.players]


def logit(payoffs, temperature, reference=None):
    """Its point of the principal branch at lambda = 1 / temperature, with payoffs r_i + temperature log reference_i.

    So it is the regularised equilibrium (theory J13).
    """
    shifted = np.array(payoffs)
    for player, entry in enumerate(reference or ()):
        axes = [-1 if axis == player else 1 for axis in range(len(shifted))]
        shifted[player] += temperature * np.asarray(entry).reshape(axes)
    theirs = table(*shifted)
    (point,) = pygambit().qre.logit_solve_lambda(theirs, lam=1 / temperature)
    return policies(theirs, point.profile)
