"""Gambit's game trees, ``.efg``, in their reduced strategic form.

The parser is our own and walks the file once: what it keeps of the tree is what each player may do, and what the ends
pay. Trees may be as deep as they like. Format: https://gambitproject.readthedocs.io, "The extensive game (.efg) file
format".
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from gamekl.core.names import Names, distinct
from gamekl.games.files.limits import MAX_HISTORIES
from gamekl.games.files.table import Table
from gamekl.games.files.text import Reader, checked_bits, exact
from gamekl.games.files.trees import Moves, strategic_form

_WHOLE = re.compile("[+-]?[0-9]{1,9}")


@dataclass(frozen=True)
class _Set:
    """An information set, of a player or of chance, as it is described where it first appears."""

    name: str
    actions: list[str]
    chances: list[Fraction]
    index: int


@dataclass(frozen=True)
class _Outcome:
    name: str
    payoffs: list[Fraction]


@dataclass(frozen=True)
class _Path:
    """What led to a node: each player's own history, the chance of it, and what outcomes on the way paid."""

    histories: tuple[int, ...]
    chance: Fraction
    paid: tuple[Fraction, ...]


class Tree:
    """A tree as it was read.

    Attributes:
        title: of the game.
        players: their names.
        movers: what each player may do.
        leaves: what the ends pay (see `strategic_form`).
        nodes: how many there are.
    """

    def __init__(self, content: str) -> None:
        """Read the text of an ``.efg`` file."""
        reader = Reader("efg", content)
        self.title, self.players = reader.prologue("2")
        reader.comment()
        players = len(self.players)
        self.movers = [Moves() for _ in range(players)]
        self.leaves: dict[tuple[int, ...], list[Fraction]] = {}
        self.nodes = 0
        self._reader = reader
        self._sets: dict[tuple[int, int], _Set] = {}  # by player and number; chance is player 0
        self._outcomes: dict[int, _Outcome] = {}
        pending = [_Path((0,) * players, Fraction(1), (Fraction(0),) * players)]
        while pending:
            pending += reversed(self._node(pending.pop(), len(pending) + 1))
        if reader.head is not None:
            raise reader.refusal(reader.head, "nothing after the last node of the tree")

    def _node(self, path: _Path, missing: int) -> list[_Path]:
        """Read a node; what leads to its children."""
        self.nodes += 1
        if self.nodes > MAX_HISTORIES:
            raise ValueError(f"efg: got a tree of more than {MAX_HISTORIES} nodes, takes at most that")
        kind = self._reader.take(f"a node (p, c or t), of {missing} that are missing,")
        if kind not in ("p", "c", "t"):
            raise self._reader.refusal(kind, "a node: p, c or t")
        self._reader.string("a node's name")
        player = 0
        if kind == "p":
            player = self._whole("the number of a player")
            if not 1 <= player <= len(self.movers):
                raise self._reader.refusal(str(player), f"the number of a player, 1 to {len(self.movers)}")
        place = None if kind == "t" else self._set(player)
        path = self._paid(path)
        if place is None:
            values = self.leaves.setdefault(path.histories, [Fraction(0)] * len(self.movers))
            for other, paid in enumerate(path.paid):
                if paid:
                    values[other] = checked_bits("efg", values[other] + checked_bits("efg", path.chance * paid))
            return []
        if kind == "c":
            chances = (checked_bits("efg", path.chance * chance) for chance in place.chances)
            return [_Path(path.histories, chance, path.paid) for chance in chances]
        before, own, after = path.histories[: player - 1], path.histories[player - 1], path.histories[player:]
        histories = self.movers[player - 1].visit(own, place.index)
        return [_Path((*before, history, *after), path.chance, path.paid) for history in histories]

    def _whole(self, what: str) -> int:
        token = self._reader.take(what)
        if not _WHOLE.fullmatch(token):
            raise self._reader.refusal(token, what)
        return int(token)

    def _described(self, what: str) -> bool:
        """Whether a string follows, with which a description begins, and a number where one is left out."""
        if self._reader.head is None:
            self._reader.take(what)
        return str(self._reader.head).startswith('"')

    def _set(self, player: int) -> _Set:
        """An information set by its number, described or not."""
        number = self._whole("the number of an information set")
        known = self._sets.get((player, number))
        where = f"information set {number} of {f'player {player}' if player else 'chance'}"
        if not self._described("an information set or an outcome"):
            if known is None:
                raise ValueError(f"efg: got {where} before it is described, takes its name and actions")
            return known
        name = self._reader.string("the name of an information set")
        self._reader.literal("{")
        actions, chances = [], []
        while self._reader.head != "}":
            actions.append(self._reader.string("an action's name"))
            if not player:
                chances.append(exact("efg", self._reader.take("the chance of an action")))
        self._reader.literal("}")
        if not actions:
            raise ValueError(f"efg: got no actions in {where}, takes at least one")
        if not player and (min(chances) < 0 or sum(chances) != 1):
            spelled = " ".join(str(chance)[:20] for chance in chances[:9])
            raise ValueError(f"efg: got chances {spelled} in {where}, takes numbers >= 0 that sum to exactly one")
        if known is None:
            sets = self.movers[player - 1].sets if player else []
            known = self._sets[player, number] = _Set(name, actions, chances, len(sets))
            sets.append(distinct(actions))
        elif (known.name, known.actions, known.chances) != (name, actions, chances):
            raise ValueError(f"efg: got {where} described anew and otherwise, takes the same again")
        return known

    def _paid(self, path: _Path) -> _Path:
        """The path with what the outcome that follows pays."""
        number = self._whole("the number of an outcome")
        known = self._outcomes.get(number)
        if self._reader.head is not None and self._described("an outcome"):
            if not number:
                raise ValueError("efg: got outcome 0 with a name, takes it bare, as it pays nothing")
            name = self._reader.string("an outcome's name")
            self._reader.literal("{")
            payoffs = [exact("efg", token) for token in self._reader.group("a payoff")]
            if len(payoffs) != len(self.movers):
                raise ValueError(f"efg: got {len(payoffs)} payoffs in outcome {number}, takes {len(self.movers)}")
            if known not in (None, _Outcome(name, payoffs)):
                raise ValueError(f"efg: got outcome {number} described anew and otherwise, takes the same again")
            known = self._outcomes[number] = _Outcome(name, payoffs)
        elif number and known is None:
            raise ValueError(f"efg: got outcome {number} before it is described, takes its name and payoffs")
        if known is None:
            return path
        paid = (checked_bits("efg", mine + more) for mine, more in zip(path.paid, known.payoffs, strict=True))
        return _Path(path.histories, path.chance, tuple(paid))


def efg_table(content: str) -> Table:
    """The reduced strategic form of the tree in the text of an ``.efg`` file (errors: `game_text.parse_efg`)."""
    tree = Tree(content)
    payoffs, strategies = strategic_form(tree.movers, tree.leaves, tree.nodes)
    return Table(payoffs, Names(distinct(tree.players), tuple(map(distinct, strategies)), tree.title))
