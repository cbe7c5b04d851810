"""Games on which the principal branch is hard to keep to, or that have several like branches, and ordinary ones."""

from collections.abc import Callable

import numpy as np

Family = Callable[[np.random.Generator, int], np.ndarray]  # payoffs [game, player, *actions]

NOISES = (1e-6, 0.5)


def _diagonal(size: int, players: int = 2) -> np.ndarray:
    table = np.zeros((size,) * players)
    table[(np.arange(size),) * players] = 1
    return np.stack([table] * players)


def _noise(rng: np.random.Generator, number: int) -> np.ndarray:
    """Levels of noise, a game each, log-uniform over `NOISES`."""
    low, high = np.log(NOISES)
    return np.exp(rng.uniform(low, high, number))


def _disturbed(base: Callable[[np.random.Generator, int], np.ndarray]) -> Family:
    def draw(rng: np.random.Generator, number: int) -> np.ndarray:
        payoffs = base(rng, number)
        level = _noise(rng, number).reshape(-1, *(1,) * (payoffs.ndim - 1))
        return payoffs + level * rng.standard_normal(payoffs.shape)

    return draw


def _alike(table: np.ndarray) -> Family:
    return _disturbed(lambda rng, number: np.broadcast_to(table, (number, *table.shape)))


def _permuted(size: int) -> Family:
    def base(rng: np.random.Generator, number: int) -> np.ndarray:
        tables = np.stack([np.eye(size)[rng.permutation(size)] for _ in range(number)])
        return np.stack([tables, tables], axis=1)

    return _disturbed(base)


def _common(*sizes: int) -> Family:
    return lambda rng, number: np.stack([rng.random((number, *sizes))] * len(sizes), axis=1)


def _integer(*sizes: int) -> Family:
    return lambda rng, number: rng.integers(0, 4, (number, len(sizes), *sizes)) / 3.0


def _random(*sizes: int) -> Family:
    return lambda rng, number: rng.random((number, len(sizes), *sizes))


def _circulant(size: int, disturbed: bool) -> Family:
    turns = np.subtract.outer(np.arange(size), np.arange(size)) % size

    def base(rng: np.random.Generator, number: int) -> np.ndarray:
        row = rng.random((number, size))[:, turns]
        return np.stack([row, np.swapaxes(row, 1, 2)], axis=1)

    return _disturbed(base) if disturbed else base


def _near_duplicates(size: int) -> Family:
    def draw(rng: np.random.Generator, number: int) -> np.ndarray:
        payoffs = rng.random((number, 2, size, size))
        level = _noise(rng, number)[:, None, None]
        payoffs[:, :, -1] = payoffs[:, :, 0] + level * rng.standard_normal((number, 2, size))
        return payoffs

    return draw


def _at_once(first: Family, second: Family) -> Family:
    """Two independent games played at once."""

    def draw(rng: np.random.Generator, number: int) -> np.ndarray:
        one, other = first(rng, number), second(rng, number)
        both = one[:, :, :, None, :, None] + other[:, :, None, :, None, :]
        rows, columns = both.shape[2] * both.shape[3], both.shape[4] * both.shape[5]
        return both.reshape(number, 2, rows, columns)

    return draw


def _one_worth_more(size: int) -> Family:
    """Several places to meet; one is worth more to player 1."""

    def draw(rng: np.random.Generator, number: int) -> np.ndarray:
        payoffs = np.broadcast_to(2 * _diagonal(size), (number, 2, size, size)).copy()
        payoffs[:, 0, 0, 0] += _noise(rng, number)
        return payoffs

    return draw


FAMILIES: dict[str, Family] = {
    **{f"coordination {n} x {n}": _alike(_diagonal(n)) for n in range(2, 7)},
    **{f"anti-coordination {n} x {n}": _alike(-_diagonal(n)) for n in range(2, 7)},
    **{f"coordination, {n} x {n} x {n}": _alike(_diagonal(n, 3)) for n in (2, 3)},
    **{f"permuted coordination {n} x {n}": _permuted(n) for n in (3, 5)},
    **{f"one place worth more, {n} x {n}": _one_worth_more(n) for n in (3, 4)},
    **{f"common interest {' x '.join(map(str, n))}": _common(*n) for n in ((3, 3), (5, 5), (3, 3, 3))},
    "two games at once, random 2 x 2": _at_once(_random(2, 2), _random(2, 2)),
    "two games at once, coordination 2 x 2": _at_once(_alike(_diagonal(2)), _alike(_diagonal(2))),
    **{f"circulant {n} x {n}": _circulant(n, disturbed=False) for n in (3, 5)},
    **{f"near circulant {n} x {n}": _circulant(n, disturbed=True) for n in (3, 4, 5)},
    **{f"integer payoffs {' x '.join(map(str, n))}": _integer(*n) for n in ((2, 2), (4, 4), (3, 3, 3))},
    **{f"near-duplicate actions {n} x {n}": _near_duplicates(n) for n in (3, 5)},
    **{f"random {' x '.join(map(str, n))}": _random(*n) for n in ((2, 2), (5, 5), (3, 3, 3))},
}
