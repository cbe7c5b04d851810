"""Simulated experiments: subjects who play three games with one rationality, many experiments side by side."""

import numpy as np

import gamekl as gk
from gamekl.estimation import LogitCurve, Play

# Asymmetric matching pennies, a game of three actions, and one in which one player has a dominant action.
GAMES = tuple(
    gk.NormalFormGame(np.array(table))
    for table in (
        [[[1.1141, 0], [0, 0.2785]], [[0, 1.1141], [1.1141, 0]]],
        [[[1.0, 0, 0.5], [0.5, 1, 0], [0, 0.5, 1]], [[0, 1.0, 0.5], [0.5, 0, 1], [1.5, 0.5, 0]]],
        [[[0.4, 0.0], [0.6, 0.3]], [[0.2, 0.5], [0.7, 0.3]]],
    )
)
SIZES = tuple(game.num_actions for game in GAMES)
SUBJECTS, ROUNDS = 60, 20


def equilibria(rationality: float) -> list[list[np.ndarray]]:
    """The policies of each game and player."""
    if rationality == 0:
        return [[np.full(size, 1 / size) for size in sizes] for sizes in SIZES]
    logs = [LogitCurve(game).at(np.array([rationality]), rationality) for game in GAMES]
    return [[np.exp(own[0, 0]) for own in game] for game in logs]


def draw_play(
    random: np.random.Generator, rationality: float, number: int, habit: float = 0.0, groups: int = 1
) -> Play:
    """The play of many experiments, each a group, or several.

    Half of the subjects have one role, half the other, and each plays each game `ROUNDS` times.

    Args:
        random: numpy's generator.
        rationality: of all.
        number: of experiments.
        habit: the chance with which a decision is the subject's own habit in this game, an action drawn once: decisions
            have the equilibrium's law all the same, and depend on each other.
        groups: into which the subjects of an experiment are split.
    """
    counts = np.zeros((number, SUBJECTS, sum(map(sum, SIZES))))
    start = 0
    for policies in equilibria(rationality):
        for role, policy in enumerate(policies):
            own, shares = slice(role, None, 2), policy / policy.sum()
            size = number, SUBJECTS // 2
            habits = random.multinomial(1, shares, size=size)
            kept = random.binomial(ROUNDS, habit, size=size)[..., None]
            drawn = random.multinomial(ROUNDS - kept[..., 0], shares)
            counts[:, own, start : start + len(policy)] = drawn + kept * habits
            start += len(policy)
    # Neighbours, which have different roles, are in one group.
    labels = [(one, subject // 2 % groups) for one in range(number) for subject in range(SUBJECTS)]
    subjects = tuple(range(number * SUBJECTS))
    return Play(SIZES, counts.reshape(-1, counts.shape[-1]), tuple(labels), subjects)
