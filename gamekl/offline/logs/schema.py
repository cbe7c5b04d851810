"""Which columns of a user's log mean what. Loads no jax.

As TOML:

    group = "match"              # optional: rows with one value of this column depend on each other
    context = "prompt"           # optional: what all players see before they act
    contexts = ["easy", "hard"]  # optional: its labels, in order
    weight = "n"                 # optional: how many plays a row stands for, a number >= 0
    symmetric = true             # optional, of two players with the same actions: a row (a, b) also tells of (b, a),
                                 # with rewards exchanged; false says that the game is not symmetric

    [[player]]
    name = "row"                 # optional
    action = "row_program"       # a column of labels, or one entry of a column of lists: "acts[0]"
    reward = "row_score"         # a column of numbers, or "rewards[0]"
    actions = ["a", "b"]         # optional: its labels, in order; if absent those found, sorted

    [[player]]
    action = "column_program"
    reward = "column_score"
    actions = ["a", "b"]

In place of rewards, of two players:

    preference = "won"           # how far the first one's action is preferred, a number in [0, 1] or true and false;
                                 # the rewards are then p and 1 - p
    outcome = "winner"           # or who won: the action, the name or the column of the player who did ("model_a"),
    ties = ["tie", "draw"]       # or one of these, half a win for each; this key is optional. Or columns of 0 and 1:
                                 # outcome = ["winner_model_a", "winner_model_b", "winner_tie"]

Where each player of a match has a row of its own:

    layout = "long"
    match = "game"               # rows with one value of it are one match, with each player once
    role = "seat"                # says which player a row is of, by name
    action = "move"
    reward = "score"

    [[player]]
    name = "north"               # as in the column of roles

    [[player]]
    name = "south"

Labels are texts or integers, however a file stores them: `gamekl.offline.logs.labels` has the rule.
"""

from collections import Counter
from collections.abc import Iterator
from os import PathLike
from typing import Annotated, Any, Literal, NamedTuple

import pydantic
from pydantic import BeforeValidator, Field, model_validator

from gamekl.core.names import Label
from gamekl.core.schema import ConfigError, config_error, read_toml

# Outcomes that are half a win for each, where the schema lists none; all but the last are Chatbot Arena's.
TIES: tuple[Label, ...] = ("tie", "tie (bothbad)", "tie (inconsistent)", "both_bad", "draw")
# Keys that say in the long layout what each player's table says in the wide one, or what only the long one has.
OF_MATCHES = ("match", "role", "action")


def _labels(values: Any) -> tuple[Label, ...]:
    """Strings or integers, all of one kind, each of them once."""
    if not isinstance(values, list | tuple) or not values:
        raise ValueError(f"got {values!r}, takes a list of labels, or no such key for those that the log has")
    kind = type(values[0]) if type(values[0]) in (int, str) else None
    odd = next((value for value in values if type(value) is not kind), None)
    if odd is not None:
        raise ValueError(f"got {odd!r} among them, takes strings or integers, all of one kind")
    again, times = Counter(values).most_common(1)[0]
    if times > 1:
        raise ValueError(f"got the label {again!r} more than once, takes labels that differ")
    return tuple(values)


Labels = Annotated[tuple[Label, ...], BeforeValidator(_labels)]
Name = Annotated[str, Field(min_length=1)]


class LabelColumn(NamedTuple):
    """A column that says which context or action it was.

    Attributes:
        field: of the schema, for messages.
        column: its name.
        labels: those that it may have, in order; None for those that are found.
    """

    field: str
    column: str
    labels: tuple[Label, ...] | None

    @property
    def key(self) -> str:
        """The key of the schema that lists labels."""
        return f"{self.field}s"


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")


class PlayerColumns(_Strict):
    """The columns of one player.

    Attributes:
        name: what the player is called; "player 1", ... if None.
        action: column of its actions; in the long layout that of the schema.
        reward: column of its rewards, payoff units; None where the log has preferences or outcomes.
        actions: the labels of its actions, in order; those found, sorted, if None.
    """

    name: Name | None = None
    action: Name
    reward: Name | None = None
    actions: Labels | None = None


class LogSchema(_Strict):
    """Which columns of a log mean what.

    Attributes:
        player: the columns of each player, in player order; plain dicts will do.
        group: column of labels; rows with one value of it are resampled together. In the long layout rows of one match
            are, without it.
        context: column of contexts, labels.
        contexts: the labels of the contexts, in order; those found, sorted, if None.
        preference: column of numbers in [0, 1] or true and false, in place of rewards.
        outcome: column that says which of two players won, in place of rewards; or two columns of numbers that are 1
            where the first one and the second one won, and perhaps a third where it was a tie.
        ties: the outcomes that are half a win for each; `TIES` if None.
        weight: column of numbers >= 0: a row counts as if it were there so many times, with the same rewards. (Where
            these are means over plays, their spread is hidden, and bands are too narrow.) Where weights are not whole,
            bands take a column of groups, too.
        symmetric: whether each row of two players also tells of the exchanged actions, with exchanged rewards. None is
            no, and `check_orders` may then ask; False is a certain no.
        layout: "wide", a row a play; or "long", a row for each player of a match.
        match: column of labels: the match that a row is of, in the long layout.
        role: column of the players' names there.
        action: column of actions there.
        reward: column of rewards there.

    Raises:
        ConfigError: one line for each fault.
    """

    player: Annotated[tuple[PlayerColumns, ...], Field(min_length=1)]
    group: Name | None = None
    context: Name | None = None
    contexts: Labels | None = None
    preference: Name | None = None
    outcome: Name | Annotated[tuple[Name, ...], Field(min_length=2, max_length=3)] | None = None
    ties: Labels | None = None
    weight: Name | None = None
    symmetric: pydantic.StrictBool | None = None
    layout: Literal["wide", "long"] = "wide"
    match: Name | None = None
    role: Name | None = None
    action: Name | None = None
    reward: Name | None = None

    def __init__(self, **values: Any) -> None:
        """Take what the TOML file has."""
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            raise config_error(error, type(self), values, "schema") from None

    @property
    def names(self) -> tuple[str, ...]:
        """What each player is called."""
        return tuple(player.name or f"player {index + 1}" for index, player in enumerate(self.player))

    @property
    def label_columns(self) -> tuple[LabelColumn, ...]:
        """The context, if there is one, and each player's action: the axes of the tables."""
        context = [] if self.context is None else [LabelColumn("context", self.context, self.contexts)]
        players = enumerate(self.player)
        return (*context, *(LabelColumn(f"player.{i}.action", entry.action, entry.actions) for i, entry in players))

    @property
    def reward_columns(self) -> dict[str, str]:
        """The columns of rewards by their field; none where preferences or outcomes take their place."""
        return {f"player.{i}.reward": entry.reward for i, entry in enumerate(self.player) if entry.reward is not None}

    @property
    def score(self) -> str | None:
        """The column that says how far the first action is preferred, the first one of several; None of rewards."""
        return self.preference or (self.outcome[0] if isinstance(self.outcome, tuple) else self.outcome)

    @property
    def shared_columns(self) -> dict[str, str]:
        """The columns, by field, that are of all players of a play together."""
        fields = {field: getattr(self, field) for field in ("group", "context", "preference", "weight")}
        if isinstance(self.outcome, tuple):
            fields |= {f"outcome.{index}": column for index, column in enumerate(self.outcome)}
        else:
            fields["outcome"] = self.outcome
        return {field: column for field, column in fields.items() if column is not None}

    @property
    def columns(self) -> dict[str, str]:
        """The columns that a file must have, by their field."""
        if self.layout == "long":
            fields = (*OF_MATCHES, *(() if self.reward is None else ("reward",)))
            return self.shared_columns | {field: getattr(self, field) for field in fields}
        return self.shared_columns | {entry.field: entry.column for entry in self.label_columns} | self.reward_columns

    @property
    def together(self) -> str | None:
        """The field of the column whose values keep rows together, if there is one."""
        return "group" if self.group is not None else "match" if self.layout == "long" else None

    @model_validator(mode="before")
    @classmethod
    def _share(cls, values: Any) -> Any:
        """In the long layout each player has the columns of the schema."""
        if not isinstance(values, dict) or values.get("layout") != "long":
            return values
        shared = {key: values[key] for key in ("action", "reward") if key in values}
        players = values.get("player", ())
        if not isinstance(players, list | tuple):
            return values
        return values | {"player": [shared | entry if isinstance(entry, dict) else entry for entry in players]}

    def _faults(self) -> Iterator[str]:
        scores = [field for field in ("preference", "outcome") if getattr(self, field) is not None]
        if len(scores) > 1:
            yield "outcome: got one beside preference, takes one or the other"
        for field in scores:
            if len(self.player) != 2:
                yield f"{field}: got one for {len(self.player)} players, takes it for two"
        for i, entry in enumerate(self.player):
            if not scores and entry.reward is None:
                instead = "or preference or outcome, of two players, in its place"
                yield f"player.{i}.reward: got nothing, takes a column ({instead})"
            if scores and entry.reward is not None:
                yield f"player.{i}.reward: got {entry.reward!r} beside {scores[0]}, takes one or the other"
            if self.names[i] in self.names[:i]:
                yield f"player.{i}.name: got {self.names[i]!r} a second time, takes names that differ"
        if self.contexts is not None and self.context is None:
            yield "contexts: got labels without context, takes the column that has them, too"
        if self.ties is not None and not isinstance(self.outcome, str):
            yield "ties: got outcomes without outcome, takes the column that has them, too"
        yield from self._faults_of_layout()
        if self.symmetric:
            lists = [entry.actions for entry in self.player]
            if len(lists) != 2:
                yield f"symmetric: got true for {len(lists)} players, takes it for two"
            elif lists[0] != lists[1]:
                yield "player.1.actions: got other labels than player.0.actions, takes the same in a symmetric game"
        taken = {entry.column: entry.field for entry in self.label_columns}
        for field, column in (self.reward_columns | self.shared_columns).items():
            if column in taken and field not in ("group", "context", "outcome"):
                yield f"{field}: got {column!r}, which is {taken[column]} already, takes a column of its own"

    def _faults_of_layout(self) -> Iterator[str]:
        if self.layout == "long":
            for key in OF_MATCHES:
                if getattr(self, key) is None:
                    yield f"{key}: got nothing, takes a column in the long layout"
            for i, entry in enumerate(self.player):
                if entry.name is None:
                    yield f"player.{i}.name: got nothing, takes what the column of roles calls the player"
                if (entry.action, entry.reward) != (self.action, self.reward):
                    yield f"player.{i}: got columns of its own, takes those of the schema in the long layout"
            return
        for key in (*OF_MATCHES, "reward"):
            if getattr(self, key) is not None:
                yield f'{key}: got {getattr(self, key)!r} in the wide layout, takes it with layout = "long"'
        for i, entry in enumerate(self.player):
            if entry.action in [other.action for other in self.player[:i]]:
                yield f"player.{i}.action: got {entry.action!r} a second time, takes a column for each player"

    @model_validator(mode="after")
    def _fits(self) -> "LogSchema":
        fault = next(self._faults(), None)
        if fault is not None:
            raise ValueError(fault)
        return self


def load_log_schema(path: str | PathLike[str]) -> LogSchema:
    """Read a schema from a TOML file.

    Args:
        path: of the file.

    Raises:
        ConfigError: the file cannot be read, is no TOML or does not fit; one line for each fault.
    """
    values = read_toml(path, "schema")
    try:
        return LogSchema(**values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
