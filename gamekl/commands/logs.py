"""What `gamekl data` and `gamekl solve --data` print of a user's log."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gamekl.commands.flags import Data, LogSolve
from gamekl.core.names import Label
from gamekl.core.regularizer import Regularizer
from gamekl.core.report.text import aligned
from gamekl.core.response import nash_gap
from gamekl.learning.bands import Band
from gamekl.learning.bootstrap import Bootstrap, bootstrap
from gamekl.offline.logs.log import Log
from gamekl.offline.logs.read import read_log
from gamekl.offline.logs.schema import load_log_schema
from gamekl.offline.logs.sides import check_orders, fault, unseen_mean
from gamekl.offline.logs.sums import MOST_VALUES
from gamekl.solvers.solution import Solution, Status

# Labels of a player, and unseen cells, that are named; and actions over all contexts that are printed.
MOST_NAMED = 10
MOST_PRINTED = 1_000


def _some(labels: Sequence[Any], size: int | None = None) -> str:
    """The first labels, and how many more there are."""
    size = len(labels) if size is None else size
    named = ", ".join(map(str, labels[:MOST_NAMED]))
    return named + (f" and {size - MOST_NAMED} more" if size > MOST_NAMED else "")


def _cell(log: Log, index: np.ndarray) -> str:
    """A cell by its labels, such as (rock, paper), or (rock, paper) in easy."""
    context, actions = "", index
    if log.contexts is not None:
        context, actions = f" in {log.contexts[index[0]]}", index[1:]
    labels = [str(labels[action]) for labels, action in zip(log.actions, actions, strict=True)]
    return f"({', '.join(labels)}){context}"


def _count(value: float) -> str:
    """A number of rows as text; weights may make it no whole number."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def _rows(log: Log) -> str:
    """How many rows, for how many plays they stand, and how many values of the column of groups."""
    found = f"{log.num_rows:,} rows"
    if log.weight is not None:
        found += f" that stand for {_count(log.num_plays)} plays"
    if log.symmetric:
        found += ", each in both orders"
    if log.num_values is None:
        return found
    more = " or more" if log.num_values == MOST_VALUES else ""
    return f"{found} with {log.num_values:,}{more} values of {log.group!r}"


def _unseen(log: Log, missing: np.ndarray) -> str:
    """How many cells have no rows, and the first of them."""
    cells = np.argwhere(missing)
    named = [_cell(log, index) for index in cells[:MOST_NAMED]]
    return f"cells never seen: {len(cells):,} of {missing.size:,}" + (f": {_some(named, len(cells))}" if named else "")


def describe(log: Log) -> str:
    """What a log has and what it covers, one finding a line."""
    found = log.coverage()
    lines = [_rows(log)]
    lines += [
        f"{name}: {len(labels)} actions: {_some(labels)}" for name, labels in zip(log.players, log.actions, strict=True)
    ]
    if log.contexts is not None:
        lines.append(f"contexts: {len(log.contexts)}: {_some(log.contexts)}")
    sizes = (found.fewest, found.median, found.most)
    if log.weight is None:
        sizes = map(float, map(round, sizes))  # also where the middle is between two
    lines.append("rows in a cell: least {}, median {}, most {}".format(*map(_count, sizes)))
    lines.append(_unseen(log, found.missing))
    noise = ", ".join(f"{name} {value:.4g}" for name, value in zip(log.players, log.noise.tolist(), strict=True))
    lines.append(f"standard deviation of rewards within cells: {noise}")
    lines.append("concentrability of unilateral deviations, inf where a cell that they reach was never seen:")
    lines.append(f"  from the behavior's marginals: {found.of_behavior:.4g}")
    lines.append(f"  from uniform play: {found.of_uniform:.4g}")
    if told := _refusal(log):
        lines.append(f"gamekl solve refuses this log: {told}")
    return "\n".join(lines)


def _refusal(log: Log) -> str | None:
    """Why a log is not to be solved, or None."""
    if told := fault(log):
        return told
    try:
        check_orders(log)
    except ValueError as error:
        return str(error)
    return None


def data(flags: Data) -> None:
    """Print what a log has and what it covers.

    Raises:
        ValueError: schema or log are not right.
    """
    print(describe(read_log(flags.logs, load_log_schema(flags.schema), num_groups=1)))


def _anchor(log: Log, reference: str, temperature: float) -> Regularizer:
    """References to what each player played in the log, in each context, or to uniform play."""
    if reference == "behavior":
        return Regularizer([jnp.log(jnp.asarray(entry)) for entry in log.marginals], temperature)
    return Regularizer([jnp.full(entry.shape, -np.log(entry.shape[-1])) for entry in log.marginals], temperature)


def solve_log(flags: LogSolve, temperature: float | None, tol: float | None, save: Path | None) -> bool:
    """Solve a log for its anchored equilibrium, print it with bands, and tell whether it converged.

    Args:
        flags: the log, its schema, the anchor, the bootstrap.
        temperature: payoff units per nat.
        tol: of the solver; its default if None.
        save: where to write labels, policies and bands as ``.npz``, or None.

    Raises:
        ValueError: an argument, the schema or the log is not right.
    """
    if flags.schema is None:
        raise ValueError("schema: got none, takes the TOML file that says what the columns of the log mean")
    if temperature is None:
        raise ValueError("temperature: got none, takes a number > 0, payoff units per nat (1 / lambda), for a log")
    if not 0 <= flags.seed < 2**63:
        raise ValueError(f"seed: got {flags.seed}, takes a whole number >= 0 and below 2^63")
    log = read_log(flags.data, load_log_schema(flags.schema))
    if told := _refusal(log):
        raise ValueError(told)
    regularizer = _anchor(log, flags.reference, temperature)
    key, unseen = jax.random.key(flags.seed), flags.prior_mean
    try:
        found = bootstrap(log, regularizer, key, num_resamples=flags.resamples, prior_mean=unseen, tol=tol)
    except ValueError as error:
        raise ValueError(str(error).replace("num_resamples:", "resamples:", 1)) from error
    if save is not None:
        _save(save, log, found)
    print("\n".join(_lines(log, found, regularizer, unseen_mean(log, flags.prior_mean))))
    return int(found.solution.status) == Status.converged


def _table(heads: tuple[str, ...], labels: Sequence[Label], bands: Sequence[Band], place: Any) -> Iterator[str]:
    """One line for each label, with a number and a band for each head but the first."""
    rows = [heads]
    for index, label in enumerate(labels):
        numbers = [[part[place][index] for part in (band.point, band.lower, band.upper)] for band in bands]
        rows.append((str(label), *("{:#.4g} [{:#.4g}, {:#.4g}]".format(*entry) for entry in numbers)))
    yield from aligned(rows)


def _lines(log: Log, found: Bootstrap, regularizer: Regularizer, prior_mean: float) -> Iterator[str]:
    solution = found.solution
    group = "some of the rows, by chance" if log.group is None else "all rows of one or more of these values"
    yield _rows(log)
    yield f"[bands] at level {found.level:g} from resamples of {found.num_groups} groups; a group is {group}"
    missing = np.asarray(found.estimate.counts) == 0
    if np.any(missing):
        yield f"{_unseen(log, missing)}; they are taken to pay {prior_mean:g}"
    printed = sum(np.size(band.point) for band in found.policy)
    if printed > MOST_PRINTED:
        yield f"policies: {printed:,} probabilities, not printed; --save writes them"
    else:
        for stage, context in [((), None)] if log.contexts is None else [((i,), c) for i, c in enumerate(log.contexts)]:
            for player, labels in enumerate(log.actions):
                name = log.players[player] + ("" if context is None else f" in {context}")
                bands = (found.policy[player], found.action_values[player])
                yield from ("", *_table((name, "policy", "earns"), labels, bands, stage))
    yield ""
    yield from _table(("player", "value", "regularised"), log.players, (found.value, found.regularized_value), ())
    yield ""
    gaps = {"regularised gap": solution.gap, "residual": solution.residual}
    # Where the anchor never plays an action, the log has nothing on it.
    gaps["Nash gap"] = nash_gap(found.estimate.game, solution.log_policy, regularizer=regularizer)
    for name, values in gaps.items():
        yield f"{name + ':':<17} {' '.join(f'{float(value):.3e}' for value in np.atleast_1d(np.asarray(values)))}"
    yield f"{'resamples:':<17} {found.num_resamples}, of which {found.num_failed} found no equilibrium"
    if isinstance(solution, Solution):
        yield from solution.path.notes()
    status = Status(int(solution.status))
    yield f"{'status:':<17} {status.name}: {status.message} ({int(solution.num_steps)} steps)"


def _as_array(labels: Sequence[Label]) -> np.ndarray:
    """Labels to be saved: integers where all fit in 64 bits, else texts."""
    if all(isinstance(label, int) and -(2**63) <= label < 2**63 for label in labels):
        return np.array(labels, np.int64)
    return np.array([str(label) for label in labels])


def _save(path: Path, log: Log, found: Bootstrap) -> None:
    arrays: dict[str, Any] = {"players": np.array(log.players)}
    arrays |= {} if log.contexts is None else {"contexts": _as_array(log.contexts)}
    bands = {"value": found.value, "regularized_value": found.regularized_value}
    for player, labels in enumerate(log.actions):
        arrays[f"actions_{player}"] = _as_array(labels)
        bands |= {f"policy_{player}": found.policy[player], f"action_values_{player}": found.action_values[player]}
    for name, band in bands.items():
        arrays |= {name: band.point, f"{name}_lower": band.lower, f"{name}_upper": band.upper}
    with open(path, "wb") as file:
        np.savez(file, allow_pickle=False, status=np.asarray(found.solution.status), **arrays)
