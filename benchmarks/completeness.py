"""What `find_equilibria` finds beside another method from very many starts, and its balls beside 50 digits.

    python benchmarks/completeness.py [--games 2000] [--starts 100000] [--quick] [--out benchmarks/results]

The other method is that of Levenberg and Marquardt, in float32, from random policies and logits, on equations written
down here once more. Where it ends far from all that was found, Newton's method in float64 tells whether there is an
equilibrium. Each equilibrium found is improved by Newton's method in 50 digits, which must not leave its ball.
"""

import itertools
import sys
from argparse import ArgumentParser
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
from common import RESULTS, facts, table

import gamekl as gk
from gamekl.core.kernels import lanes

SHAPES = (2, 2), (3, 3), (4, 4), (2, 2, 2), (3, 2, 2), (2, 2, 2, 2)
TEMPERATURES = 0.01, 0.3
FIND_STARTS, ROOM = 256, 64
# At once, and side by side; the most steps from each; it ends when no more than this share has not converged.
CHUNK, LANES, STEPS, REST = 5_120, 128, 60, 0.02
# In nats: where the other method has converged, and ends that are one.
CLOSE, APART = 1e-2, 1e-3
DIGITS = 50


def parts_of(z: Any, shape: tuple[int, ...]) -> list[Any]:
    ends = list(itertools.accumulate(shape))
    return [z[end - size : end] for end, size in zip(ends, shape, strict=True)]


def residual(z: jax.Array, payoffs: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """The logits less the action values in nats, with the starts last; references are uniform."""
    policies = [jnp.exp(part - part.max(axis=0)) for part in parts_of(z, shape)]
    policies = [part / part.sum(axis=0) for part in policies]
    values = []
    for player in range(len(shape)):
        value = jnp.moveaxis(payoffs[player], player, 0)[..., None]
        for other in reversed([other for other in range(len(shape)) if other != player]):
            value = (value * policies[other]).sum(axis=-2)
        values.append(value)
    return z - jnp.concatenate(values)


@partial(jax.jit, static_argnames="shape")
def other_ends(key: jax.Array, payoffs: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """Where the other method ends from a chunk of starts, and how large the residual is there."""
    keys = jax.random.split(key, CHUNK // LANES)
    return jax.lax.map(partial(_ends, payoffs=payoffs, shape=shape), keys)


def _ends(key: jax.Array, payoffs: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    size, starts = sum(shape), LANES
    first, second, third = jax.random.split(key, 3)
    kind = payoffs.dtype
    spread = jnp.max(jnp.abs(payoffs)) * jax.random.uniform(first, (starts,), kind)
    logits = spread * jax.random.uniform(second, (size, starts), kind, minval=-1)
    power = 5 * jax.random.uniform(third, (starts,), kind)
    shares = power * jnp.log(jax.random.exponential(second, (size, starts), kind))
    begin = jnp.where(jnp.arange(starts) % 2, logits, shares)
    function = partial(residual, payoffs=payoffs, shape=shape)

    def step(state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        z, here, damping, number = state
        units = jnp.broadcast_to(jnp.eye(size, dtype=kind)[:, :, None], (size, *z.shape))
        slope = jax.vmap(lambda unit: jax.jvp(function, (z,), (unit,))[1], out_axes=1)(units)
        normal = jnp.stack([(slope * slope[:, row, None]).sum(axis=0) for row in range(size)])
        damped = normal + jnp.eye(size, dtype=kind)[:, :, None] * damping
        right = -(slope * here[:, None]).sum(axis=0)
        change = lanes.solve(jnp.concatenate([damped, right[:, None]], axis=1))[0][:, 0]
        there = function(z + change)
        better = (there**2).sum(axis=0) < (here**2).sum(axis=0)
        damping = jnp.clip(jnp.where(better, damping / 8, damping * 4), 1e-7, 1e4)
        return jnp.where(better, z + change, z), jnp.where(better, there, here), damping, number + 1

    def goes_on(state: tuple[jax.Array, ...]) -> jax.Array:
        _, here, _, number = state
        return (number < STEPS) & (jnp.mean(jnp.abs(here).max(axis=0) > CLOSE, dtype=kind) > REST)

    first_state = begin, function(begin), jnp.full(starts, 0.1, kind), jnp.int32(0)
    z, here, _, _ = jax.lax.while_loop(goes_on, step, first_state)
    return z, jnp.abs(here).max(axis=0)


@partial(jax.jit, static_argnames="shape")
def slope_and_residual(z: jax.Array, payoffs: jax.Array, shape: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    def function(z: jax.Array) -> jax.Array:
        return residual(z[:, None], payoffs, shape)[:, 0]

    return jax.jacfwd(function)(z), function(z)


def newton(z: np.ndarray, payoffs: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, bool]:
    """Newton's method in float64, and whether it has converged."""
    for _ in range(30):
        step = np.linalg.solve(*map(np.asarray, slope_and_residual(z, payoffs, shape)))
        z = z - np.asarray(step)
        if np.abs(step).max() < 1e-11:
            return z, True
    return z, False


def centred(z: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.concatenate([part - part.mean(axis=0) for part in parts_of(z, shape)])


def root_of(z: np.ndarray, payoffs: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The root near centred logits, by Newton's method in 50 digits, in float64."""
    with mpmath.workdps(DIGITS):
        exact = [mpmath.mpf(float(entry)) for entry in z]
        cells = list(itertools.product(*map(range, shape)))
        worth = [[mpmath.mpf(float(table[cell])) for cell in cells] for table in payoffs]
        starts = [sum(shape[:player]) for player in range(len(shape))]
        for _ in range(6):
            policies = []
            for part in parts_of(exact, shape):
                weights = [mpmath.exp(entry) for entry in part]
                policies.append([entry / mpmath.fsum(weights) for entry in weights])
            value = mpmath.matrix(len(exact), 1)
            pair = mpmath.matrix(len(exact), len(exact))
            for player, table in enumerate(worth):
                for cell, payoff in zip(cells, table, strict=True):
                    others = [policies[other][cell[other]] for other in range(len(shape)) if other != player]
                    row = starts[player] + cell[player]
                    value[row] += payoff * mpmath.fprod(others)
                    for other in range(len(shape)):
                        if other != player:
                            thirds = [third for third in range(len(shape)) if third not in (player, other)]
                            rest = [policies[third][cell[third]] for third in thirds]
                            column = starts[other] + cell[other]
                            pair[row, column] += payoff * mpmath.fprod(rest) * policies[other][cell[other]]
            flat = [share for policy in policies for share in policy]
            slope, right = mpmath.eye(len(exact)), mpmath.matrix(len(exact), 1)
            for player, size in enumerate(shape):
                rows = range(starts[player], starts[player] + size)
                mean = mpmath.fsum(value[row] for row in rows) / size
                means = [mpmath.fsum(pair[row, column] for row in rows) / size for column in range(len(exact))]
                for row in rows:
                    right[row] = exact[row] - value[row] + mean
                    for other in range(len(shape)):
                        if other != player:
                            for column in range(starts[other], starts[other] + shape[other]):
                                shift = (value[row] - mean) * flat[column]
                                slope[row, column] -= pair[row, column] - means[column] - shift
            step = mpmath.lu_solve(slope, right)
            exact = [entry - change for entry, change in zip(exact, step, strict=True)]
        return np.array([float(entry) for entry in exact])


def study(shape: tuple[int, ...], games: int, starts: int, seed: int) -> list[str]:
    """A row: how many games and equilibria, what was missed, and how many roots lie in their balls."""
    random = np.random.default_rng(seed)
    payoffs = random.uniform(size=(games, len(shape), *shape))
    temperatures = np.exp(random.uniform(*np.log(TEMPERATURES), size=games))
    batch = jax.vmap(gk.NormalFormGame)(jnp.asarray(payoffs))
    anchors = jax.vmap(lambda game, tau: gk.Regularizer.uniform(game, tau))(batch, jnp.asarray(temperatures))
    key = jax.random.key(seed)
    found = gk.find_equilibria_batch(batch, anchors, key, num_starts=FIND_STARTS, max_equilibria=ROOM)
    found = jax.tree.map(np.asarray, found)
    missed, told, outside, ends = [], 0, 0, 0
    for game in range(games):
        nats = payoffs[game] / temperatures[game]
        number = int(found.number[game])
        mine = np.concatenate([entry[game, :number] for entry in found.log_policy], axis=1).T
        mine = np.concatenate([centred(mine[:, column], shape)[:, None] for column in range(number)], axis=1)
        for column in range(number):
            root = root_of(mine[:, column], nats, shape)
            away = np.abs(root - mine[:, column]).max()
            outside += not away <= max(found.error[game, column], 1e-13)
        single = jnp.asarray(nats, jnp.float32)
        strange = []
        for chunk in range(-(-starts // CHUNK)):
            z, off = map(np.asarray, other_ends(jax.random.fold_in(key, game * 1_000 + chunk), single, shape))
            z = centred(np.moveaxis(z, 1, 0)[:, off < CLOSE].astype(float), shape)
            ends += z.shape[1]
            nearest = np.min([np.abs(z - mine[:, column, None]).max(axis=0) for column in range(number)], axis=0)
            far = z[:, nearest > APART]
            strange += list(np.unique(np.round(far, 2), axis=1).T[:50])
        new: list[np.ndarray] = []
        for z in strange:
            end, solved = newton(z, nats, shape)
            end = centred(end, shape)
            known = [*mine.T, *new]
            if solved and min(np.abs(end - one).max() for one in known) > 1e-6:
                new.append(end)
        if new:
            missed.append(len(new))
            told += bool(found.incomplete[game])
    total = int(found.number.sum())
    name = " x ".join(map(str, shape))
    row = [name, games, total, int(found.number.max()), len(missed), sum(missed), told, outside, f"{ends / games:,.0f}"]
    print(*row, sep=" | ", flush=True)
    return list(map(str, row))


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--games", type=int, default=2_000)
    parser.add_argument("--starts", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true", help="a smoke test: few games and starts")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    games, starts = (12, 10_000) if options.quick else (options.games, options.starts)
    share = [games // len(SHAPES) + (place < games % len(SHAPES)) for place in range(len(SHAPES))]
    rows = [study(shape, share[seed], starts, seed) for seed, shape in enumerate(SHAPES)]
    header = ["games", "number", "equilibria", "most in a game", "games in which one was missed", "missed", "told so"]
    header += ["roots outside", "ends of the other method a game"]
    text = f"# What many starts find\n\n{facts()}; {FIND_STARTS} starts beside {starts:,} of the method of Levenberg "
    text += f"and Marquardt; temperatures from {TEMPERATURES[0]} to {TEMPERATURES[1]}, payoffs uniform on [0, 1]. "
    text += '"told so": `incomplete` was set.\n\n' + table(header, rows) + "\n"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "completeness.md").write_text(text)


if __name__ == "__main__":
    sys.exit(main())
