"""Time to draw the statistics of many logs, beside numpy's multinomial on the same machine in the same run.

Run: python benchmarks/bench_statistics.py. Ours draws counts and the reward sums of two players; numpy's figure is for
the same. Compilation is reported apart; medians of several calls.
"""

import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

import gamekl as gk

DATASETS, SHAPE, REPEATS = 1_000, (10, 10), 9


def median_seconds(function):
    """Median time of a call, after one that is not counted."""
    function(0)
    times = []
    for repeat in range(1, REPEATS + 1):
        start = time.perf_counter()
        function(repeat)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main():
    """Print a table."""
    jax.config.update("jax_enable_x64", True)
    game = gk.games.uniform(jax.random.key(0), SHAPE)
    probs = np.full(SHAPE, 1 / np.prod(SHAPE))
    behavior = jnp.asarray(probs)
    means = np.asarray(game.payoffs).reshape(1, 2, -1)

    @jax.jit
    def draw(keys, num_samples):
        return jax.vmap(lambda key: gk.offline.sample_statistics(key, game, behavior, num_samples, 1.0))(keys)

    def ours(repeat, num_samples):
        jax.block_until_ready(draw(jax.random.split(jax.random.key(repeat), DATASETS), float(num_samples)))

    def theirs(repeat, num_samples):
        rng = np.random.default_rng(repeat)
        counts = rng.multinomial(num_samples, probs.ravel(), DATASETS)[:, None].astype(float)
        return counts * means + np.sqrt(counts) * rng.standard_normal((DATASETS, 2, probs.size))

    start = time.perf_counter()
    ours(0, 10)
    device = jax.devices()[0]
    print(f"{DATASETS} logs of {probs.size} cells, two players; jax {jax.__version__}, {device.device_kind}, float64")
    print(f"compilation: {time.perf_counter() - start:.2f} s")
    print(f"{'rows':>8}  {'gamekl':>9}  {'numpy':>9}  ratio numpy / gamekl")
    for num_samples in (10**3, 10**6, 10**9, 10**12):
        mine = median_seconds(lambda repeat, n=num_samples: ours(repeat, n))
        other = median_seconds(lambda repeat, n=num_samples: theirs(repeat, n))
        print(f"{num_samples:8.0e}  {mine * 1e3:6.1f} ms  {other * 1e3:6.1f} ms  {other / mine:.2f}")


if __name__ == "__main__":
    main()
