"""A single zero-sum game by two linear programmes of HiGHS, on the host."""

import numpy as np
import scipy.optimize


def optimal_on_host(row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Optimal policies of a zero-sum game, by two linear programmes: max v with x^T R >= v, and min w with R y <= w."""
    row = row - np.median(row)
    sizes = np.abs(row[row != 0])
    row = row / np.median(sizes) if sizes.size else row

    def optimal(payoffs: np.ndarray) -> np.ndarray:
        actions, opponent = payoffs.shape
        solved = scipy.optimize.linprog(
            c=np.append(np.zeros(actions), -1.0),
            A_ub=np.column_stack([-payoffs.T, np.ones(opponent)]),
            b_ub=np.zeros(opponent),
            A_eq=np.append(np.ones(actions), 0.0)[None],
            b_eq=[1.0],
            bounds=[(0, None)] * actions + [(None, None)],
            method="highs",
        )
        policy = np.maximum(solved.x[:-1], 0) if solved.success else np.full(actions, 1 / actions)
        return policy / policy.sum()

    return optimal(row), optimal(-row.T)
