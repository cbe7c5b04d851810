"""Kuhn poker from logged play: estimated equilibria at falling temperature against the known value, -1/18.

A pure strategy says what a player does in each of its six situations, so both players have 64. The log has n games of
players who draw theirs uniformly: two strategies, and what the cards that were dealt made of them. Strategies of the
first player that differ only where its own moves never lead pay the same against everything, and are merged: 27 are
left, of 64 (of the second player all). The reference is the players' own play, so a merged strategy has the
probability of all that it stands for.

With A the true payoffs of the first player, v = -1/18 and gaps g_1 = max_x x'A y - x'A y, g_2 = x'A y - min_y x'A y of
a profile (x, y): exploitability is (g_1 + g_2) / 2, and v - g_1 <= x'A y <= v + g_2. At the regularised equilibrium of
A itself, g_i <= temperature * max_a log(1 / reference_i(a)): the column "bound".
"""

import itertools
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pyspiel

import gamekl as gk

VALUE = -1 / 18
TEMPERATURES = (1.0, 0.3, 0.1, 0.03, 0.01)


class Row(NamedTuple):
    """The estimated equilibrium at one temperature; payoff units.

    Attributes:
        temperature: of the anchor.
        predicted: the first player's value in the estimated game.
        value: the same profile's in the true game.
        exploitability: of that profile, in the true game.
        exact: exploitability of the true game's own regularised equilibrium.
        bound: of `exact`.
    """

    temperature: float
    predicted: float
    value: float
    exploitability: float
    exact: float
    bound: float


def payoffs_by_deal(game: Any) -> np.ndarray:
    """The first player's payoff, shape ``[deal, strategy, strategy]``; strategies are numbered as by `from_pyspiel`."""
    first = game.new_initial_state()
    deals = [
        first.child(card).child(other) for card in first.legal_actions() for other in first.child(card).legal_actions()
    ]
    situations: list[set[str]] = [set(), set()]
    stack = list(deals)
    while stack:
        state = stack.pop()
        if not state.is_terminal():
            situations[state.current_player()].add(state.information_state_string())
            stack.extend(state.child(action) for action in state.legal_actions())
    places = [{name: place for place, name in enumerate(sorted(names))} for names in situations]

    def play(state: Any, strategies: tuple[int, ...]) -> float:
        while not state.is_terminal():
            player = state.current_player()
            state = state.child(strategies[player] >> places[player][state.information_state_string()] & 1)
        return state.player_return(0)

    joint = list(itertools.product(*(range(2 ** len(names)) for names in situations)))
    shape = [2 ** len(names) for names in situations]
    return np.array([[play(deal, strategies) for strategies in joint] for deal in deals]).reshape(-1, *shape)


def sample_log(key: jax.Array, by_deal: np.ndarray, maps: tuple[Any, ...], num_games: int) -> gk.offline.Dataset:
    """Games of uniformly drawn strategies and cards; actions are those of the merged game."""
    sizes = [int(entry.max()) + 1 for entry in maps]
    drawn = np.asarray(jax.random.randint(key, (3, num_games), 0, np.array(by_deal.shape)[:, None]))
    rewards = by_deal[tuple(drawn)]
    actions = np.stack([np.asarray(entry)[strategies] for entry, strategies in zip(maps, drawn[1:], strict=True)], 1)
    return gk.offline.Dataset(actions, np.stack([rewards, -rewards], axis=1), sizes)


def run(key: jax.Array, num_games: int) -> tuple[gk.games.MergedGame, list[Row]]:
    """The merged game, and a row for each temperature."""
    poker = pyspiel.load_game("kuhn_poker")
    merged = gk.games.merge_equivalent(gk.games.from_pyspiel(poker))
    truth, maps = merged.game, merged.maps
    behavior = [jnp.bincount(entry) / len(entry) for entry in maps]
    estimate = gk.offline.estimate(sample_log(key, payoffs_by_deal(poker), maps, num_games))
    rows = []
    for temperature in TEMPERATURES:
        anchor = gk.Regularizer([jnp.log(entry) for entry in behavior], temperature)
        found, exact = gk.gane(estimate, anchor), gk.solve_nash(truth, anchor)
        x, y = found.policy
        rows.append(
            Row(
                temperature,
                predicted=float(x @ estimate.game.payoffs[0] @ y),
                value=float(x @ truth.payoffs[0] @ y),
                exploitability=float(gk.exploitability(truth, found.log_policy)),
                exact=float(gk.exploitability(truth, exact.log_policy)),
                bound=temperature * float(np.mean([-entry.min() for entry in anchor.log_reference])),
            )
        )
    return merged, rows


def main() -> None:
    """Print the table."""
    jax.config.update("jax_enable_x64", True)
    num_games = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    merged, rows = run(jax.random.key(0), num_games)
    sizes = " x ".join(map(str, merged.game.num_actions))
    print(f"Kuhn poker, {sizes} strategies, {num_games:,} games under uniform play; the value is {VALUE:.4f}")
    print("temperature  value: predicted     true   exploitability: from data   of exact payoffs    bound")
    for row in rows:
        print("{:11g}{:18.4f}{:9.4f}{:28.4f}{:19.4f}{:9.4f}".format(*row))


if __name__ == "__main__":
    main()
