"""Which columns of a user's log mean what. Loads no jax.

As TOML:

    group = "match"              # optional: rows with one value of this column depend on each other
    context = "prompt"           # optional: what all players see before they act
    contexts = ["easy", "hard"]  # optional: its labels, in order
    preference = "won"           # optional, of two players and in place of rewards: how far the first one's action is
                                 # preferred, a number in [0, 1] or true and false; the rewards are then p and 1 - p

    [[player]]
    name = "row"                 # optional
    action = "row_program"       # a column of strings or integers
    reward = "row_score"         # a column of numbers
    actions = ["a", "b"]         # optional: its labels, in order; if absent those found, sorted
"""

from collections import Counter
from collections.abc import Iterator
from os import PathLike
from typing import Annotated, Any, NamedTuple

import pydantic
from pydantic import BeforeValidator, Field, model_validator

from gamekl.core.schema import ConfigError, config_error, read_toml

Label = int | str


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
        action: column of its actions, strings or integers.
        reward: column of its rewards, payoff units; None where the log has preferences.
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
        group: column of strings or integers; rows with one value of it are resampled together.
        context: column of contexts, strings or integers.
        contexts: the labels of the contexts, in order; those found, sorted, if None.
        preference: column of numbers in [0, 1] or true and false, in place of rewards.

    Raises:
        ConfigError: one line for each fault.
    """

    player: Annotated[tuple[PlayerColumns, ...], Field(min_length=1)]
    group: Name | None = None
    context: Name | None = None
    contexts: Labels | None = None
    preference: Name | None = None

    def __init__(self, **values: Any) -> None:
        """Take what the TOML file has."""
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            raise config_error(error, type(self), "schema") from None

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
    def number_columns(self) -> dict[str, str]:
        """The columns of rewards, or that of preferences, by their field."""
        if self.preference is not None:
            return {"preference": self.preference}
        return {f"player.{i}.reward": entry.reward for i, entry in enumerate(self.player) if entry.reward is not None}

    def _faults(self) -> Iterator[str]:
        if self.preference is not None and len(self.player) != 2:
            yield f"preference: got one for {len(self.player)} players, takes it for two"
        for i, entry in enumerate(self.player):
            if self.preference is None and entry.reward is None:
                yield f"player.{i}.reward: got nothing, takes a column (or preference, of two players, in its place)"
            if self.preference is not None and entry.reward is not None:
                yield f"player.{i}.reward: got {entry.reward!r} beside preference, takes one or the other"
            if entry.action in [other.action for other in self.player[:i]]:
                yield f"player.{i}.action: got {entry.action!r} a second time, takes a column for each player"
            if self.names[i] in self.names[:i]:
                yield f"player.{i}.name: got {self.names[i]!r} a second time, takes names that differ"
        if self.contexts is not None and self.context is None:
            yield "contexts: got labels without context, takes the column that has them, too"
        taken = {entry.column: entry.field for entry in self.label_columns}
        for field, column in self.number_columns.items():
            if column in taken:
                yield f"{field}: got {column!r}, which is {taken[column]} already, takes a column of numbers"

    @model_validator(mode="after")
    def _fits(self) -> "LogSchema":
        fault = next(self._faults(), None)
        if fault is not None:
            raise ValueError(fault)
        return self


def load_log_schema(path: str | PathLike[str]) -> LogSchema:
    """Read a schema from a TOML file.

    Raises:
        ConfigError: the file cannot be read, is no TOML or does not fit; one line for each fault.
    """
    values = read_toml(path, "schema")
    try:
        return LogSchema(**values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
