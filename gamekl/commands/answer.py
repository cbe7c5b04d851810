"""What `gamekl solve` prints of a game: an equilibrium of the asked kind, its gaps and its status."""

import math
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from gamekl.commands.programs import call
from gamekl.core.names import Names, numbered, printed_names
from gamekl.core.status import Status
from gamekl.games.files.table import Table
from gamekl.solvers.notes import path_notes

# What the short names of correlated equilibria stand for: the concept, and what is to be best.
CORRELATED = {
    "ce": ("ce", "entropy"),
    "mece": ("ce", "entropy"),
    "mecce": ("cce", "entropy"),
    "mgce": ("ce", "gini"),
    "mgcce": ("cce", "gini"),
    "mwce": ("ce", "welfare"),
    "mwcce": ("cce", "welfare"),
}
# Tables of more joint actions are not printed.
LARGEST_PRINTED = 10_000
# One game is solved in milliseconds, so it is compilation that counts.
SOON = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_parallel_codegen_split_count": 1,
    "xla_cpu_use_fusion_emitters": False,  # gone since jax 0.11
}
# Of more actions than these, only the probabilities are printed.
MOST_NAMED = 1000


def _text(values: Any) -> str:
    """An array as the text that is printed."""
    with np.printoptions(precision=8, suppress=True, floatmode="fixed", linewidth=120):
        return str(np.asarray(values))


def player_names(game: Table) -> tuple[str, ...]:
    """The names of players, as they are to be printed."""
    if game.names is None:
        return tuple(f"player {number}" for number in numbered(len(game.payoffs)))
    return printed_names(game.names.players)


def action_names(game: Table) -> list[tuple[str, ...] | None]:
    """Each player's names of actions; None where they are but numbers, or too many to print."""
    if game.names is None:
        return [None] * len(game.payoffs)
    own = [printed_names(names) if len(names) <= MOST_NAMED else None for names in game.names.actions]
    return [None if names is None or names == numbered(len(names)) else names for names in own]


def _policy_lines(game: Table, policies: Sequence[Any], when: str = "") -> Iterator[str]:
    """Each player's probabilities: a line for each action that has a name, else one for all."""
    for player, actions, policy in zip(player_names(game), action_names(game), policies, strict=True):
        if actions is None:
            yield f"{player}{when}: {_text(policy)}"
            continue
        yield f"{player}{when}:"
        width = max(map(len, actions))
        yield from (f"  {name:<{width}}  {share:.8f}" for name, share in zip(actions, np.asarray(policy), strict=True))


def _joint_lines(game: Table, joint: Any) -> Iterator[str]:
    """The probabilities of joint actions, and what the axes of their table are."""
    yield "joint policy:"
    for axis, (player, actions) in enumerate(zip(player_names(game), action_names(game), strict=True)):
        if actions is not None:
            yield f"  axis {axis + 1}, {player}: {', '.join(actions)}"
    yield _text(joint)


def _numbers(values: Any) -> str:
    return " ".join(f"{float(value):.3e}" for value in np.atleast_1d(values))


def _report(lines: dict[str, Any], status: Any, effort: str) -> bool:
    ended = Status(int(status))
    width = max(map(len, lines)) + 1
    for name, values in lines.items():
        print(f"{name + ':':<{width}} {_numbers(values)}")
    print(f"{'status:':<{width}} {ended.name}: {ended.message} ({effort})")
    return ended == Status.converged


def _compute(
    name: str, *arguments: Any, usual: bool, place: Path | None = None, options: Any = None, **static: Any
) -> dict[str, Any]:
    """What a function of `commands.computing` finds; not in one program where the arguments are to be looked at."""
    if usual:
        given = [None if entry is None else np.asarray(entry) for entry in arguments]
        return call(place, name, *given, options=options or {}, **static)
    return getattr(import_module("gamekl.commands.computing"), name)(*arguments, **static)


def _positive(*values: float | None) -> bool:
    """Whether all numbers that there are are usual ones."""
    return all(value is None or 0 < value < math.inf for value in values)


def answer(
    game: Table,
    concept: str,
    temperature: float | None,
    tol: float | None,
    num_rounds: int,
    epsilon: float | int,
    save: Path | None,
    initial: Path | None = None,
    programs: Path | None = None,
    welfare: Sequence[float] = (),
) -> bool:
    """Solve a game with uniform references, print what was found, and tell whether it converged.

    Args:
        game: its payoffs, in the dtype in which it is to be solved, and names.
        concept: "nash" and "cce" (by GAMD), which are regularised and take a temperature, or one of `CORRELATED`.
        temperature: payoff units per nat; None for an exact Nash equilibrium, where `solve_nash_exact` finds one.
        tol: of the solver; its default if None.
        num_rounds: of GAMD.
        epsilon: what a deviation from one of `CORRELATED` may gain, payoff units.
        save: where to write the solution and the names in the game as ``.npz``, or None.
        initial: a saved solution to start from, of "nash", or None.
        programs: where compiled programs are kept; None to keep none.
        welfare: weights of the players' payoffs for the equilibrium of most welfare; none for 1 each.

    Raises:
        ValueError: an argument is bad, or missing.
    """
    if initial is not None and (concept != "nash" or temperature is None):
        got = f"concept {concept!r}" if concept != "nash" else "no temperature"
        raise ValueError(f"initial: got {initial} with {got}, takes it for nash at a temperature")
    if welfare and CORRELATED.get(concept, ("", ""))[1] != "welfare":
        raise ValueError(f"welfare: got weights with concept {concept!r}, takes them for 'mwce' and 'mwcce'")
    if concept in CORRELATED:
        return _correlated(game, *CORRELATED[concept], tol, epsilon, save, programs, welfare)
    if temperature is None:
        return _exact(game, concept, tol, save)
    usual = _positive(temperature, tol)
    if concept == "cce":
        usual &= num_rounds >= 1
        found = _compute("joint", game.payoffs, temperature, num_rounds, tol, usual=usual, place=programs)
        return _joint(game, found, _at(temperature), save)
    more = {} if initial is None else {"initial": initial}
    usual &= initial is None
    found = _compute("nash", game.payoffs, temperature, tol, usual=usual, place=programs, options=SOON, **more)
    return _nash(game, found, _at(temperature), save)


def _at(temperature: float) -> str:
    return f"temperature {temperature:g} payoff units per nat (lambda = 1 / temperature = {1 / temperature:.6g})"


def _exact(game: Table, concept: str, tol: float | None, save: Path | None) -> bool:
    """Answer without a temperature: print an exact Nash equilibrium, and tell whether it converged."""
    size = float(np.ptp(game.payoffs)) / 10 or 0.1
    takes = f"takes a number > 0, payoff units per nat (1 / lambda), such as --temperature {size:.2g}"
    if concept != "nash":
        raise ValueError(f"temperature: got none, {takes}, for --concept {concept}")
    if tol is not None:
        raise ValueError(f"tol: got {tol:g} without a temperature, where the equilibrium is exact; takes none")
    found = _compute("exact", game.payoffs, takes, usual=False)
    zero_sum, enumerable = found.pop("zero_sum"), found.pop("enumerable")
    which = "of several the first of least support" if enumerable else "of several one, by Lemke and Howson"
    which = "a zero-sum game" if zero_sum else which
    return _nash(game, found, f"no temperature: an exact Nash equilibrium ({which})", save)


def answer_all(game: Table, save: Path | None) -> None:
    """Print all equilibria without a temperature, and save them; of two players the extreme ones.

    Raises:
        ValueError: too large a game.
    """
    import jax.numpy as jnp

    from gamekl.core.games import NormalFormGame
    from gamekl.solvers.exact.extreme.enumeration import enumerate_nash
    from gamekl.solvers.exact.extreme.equilibria import NashEquilibria

    found = enumerate_nash(NormalFormGame(jnp.asarray(game.payoffs)))
    actions = (own or numbered(size) for own, size in zip(action_names(game), game.payoffs[0].shape, strict=True))
    print(f"no temperature: {'all ' * found.complete}Nash equilibria, {found.headline()}")
    print(found.listing(Names(player_names(game), tuple(actions))))
    if isinstance(found, NashEquilibria):
        facts = {"component": np.array(found.components), "in_subset": found.in_subset}
    else:
        facts = {name: getattr(found, name) for name in ("epsilon", "error", "regular")}
    policies = {f"policy_{player}": entry for player, entry in enumerate(found.policy)}
    _save(save, game, policies | {"values": found.values} | facts)


def _nash(game: Table, found: dict[str, Any], told: str, save: Path | None) -> bool:
    print(told)
    policies = [np.exp(found[f"log_policy_{player}"]) for player in range(len(game.payoffs))]
    notes = path_notes(found["path_folds"], found["path_bifurcations"], found.get("path_left"))
    for line in (*_policy_lines(game, policies), *notes):
        print(line)
    gaps = {"Nash gap": found.pop("nash_gap")}
    _save(save, game, found)
    if "differentiable" in found:  # of a regularised solver
        gaps = {"regularised gap": found["gap"]} | gaps
    return _report({**gaps, "residual": found["residual"]}, found["status"], f"{found['num_steps']} steps")


def _joint(game: Table, found: dict[str, Any], told: str, save: Path | None) -> bool:
    print(told)
    marginals = [found[f"marginal_{player}"] for player in range(len(game.payoffs))]
    print("\n".join(_policy_lines(game, marginals, ", on average")))
    if game.payoffs[0].size <= LARGEST_PRINTED:
        print("\n".join(_joint_lines(game, found["joint_policy"])))
    if save is not None and "joint_policy" not in found:
        raise ValueError(f"save: got {save} for {game.payoffs[0].size:,} joint actions, of which no table is made")
    _save(save, game, found, ("joint_policy", "cce_gap", "ce_gap", "num_rounds", "status"))
    lines = {
        "regularised CCE gap": found["regularized_cce_gap"],
        "bound": found["bound"],
        "CCE gap": found["cce_gap"],
        "CE gap": found["ce_gap"],
    }
    return _report(lines, found["status"], f"{found['num_rounds']} rounds")


def _correlated(
    game: Table,
    concept: str,
    objective: str,
    tol: float | None,
    epsilon: float | int,
    save: Path | None,
    programs: Path | None,
    welfare: Sequence[float],
) -> bool:
    usual = objective != "welfare" and 0 <= epsilon < math.inf and _positive(tol)
    static = {"concept": concept, "objective": objective}
    more = {"welfare": welfare} if welfare else {}
    found = _compute("correlated", game.payoffs, epsilon, tol, usual=usual, place=programs, **static, **more)
    worth = np.tensordot(welfare or np.ones(len(game.payoffs)), game.payoffs, 1)
    print("\n".join(_joint_lines(game, found["joint_policy"])))
    _save(save, game, found, ("joint_policy", "cce_gap", "ce_gap", "num_steps", "status"))
    lines = {
        "CCE gap": found["cce_gap"],
        "CE gap": found["ce_gap"],
        "welfare": np.sum(worth * np.asarray(found["joint_policy"])),
        "duality gap": found["duality_gap"],
        "violation": found["violation"],
    }
    return _report(lines, found["status"], f"{found['num_steps']} steps")


def _save(path: Path | None, game: Table, found: dict[str, Any], names: Sequence[str] | None = None) -> None:
    """Write what was found, or what is named of it, and the names in the game."""
    if path is None:
        return
    arrays = {name: np.asarray(found[name]) for name in (found if names is None else names)}
    told: dict[str, Any] = {} if game.names is None else game.names.arrays()
    with open(path, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays, **told)
