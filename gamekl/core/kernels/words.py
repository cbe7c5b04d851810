"""Random words by counters, and uniform and normal numbers of them.

Bits are Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as 1, 2, 3, SC
2011), the generator behind jax's own keys, with an element's number as the counter. So its bits depend on no other
element, nor on the machine, and it may ask for more of them alone.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gamekl.core.kernels.lanes import materialize

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def threefry(keys: tuple[Array, Array], counters: tuple[Array, Array]) -> tuple[Array, Array]:
    """Two random words of 32 bits for each pair of counters, by Threefry-2x32 with 20 rounds."""
    left, right = counters[0] + keys[0], counters[1] + keys[1]
    schedule = (*keys, keys[0] ^ keys[1] ^ np.uint32(0x1BD11BDA))
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            left = left + right
            right = left ^ ((right << np.uint32(rotation)) | (right >> np.uint32(32 - rotation)))
        left = left + schedule[(group + 1) % 3]
        right = right + schedule[(group + 2) % 3] + np.uint32(group + 1)
    return left, right


def spread_key(key: Array, size: int) -> tuple[Array, Array]:
    """Two words of a jax key's stream, for each of `size` elements."""
    words = jax.random.bits(key, (2,), jnp.uint32)
    return jnp.broadcast_to(words[0], size), jnp.broadcast_to(words[1], size)


def uniform(words: tuple[Array, Array], dtype: jnp.dtype) -> Array:
    """Uniform on (0, 1), from all bits but the last of each word; never 0 nor 1."""
    high, low = ((word >> np.uint32(1)).astype(jnp.int32).astype(dtype) for word in words)
    return jnp.minimum(high * 2.0**-31 + (low + 0.5) * 2.0**-62, 1 - jnp.finfo(dtype).epsneg)


def quick_uniform(word: Array, dtype: jnp.dtype) -> Array:
    """The same of the first word alone: off by at most 2^-32."""
    return ((word >> np.uint32(1)).astype(jnp.int32).astype(dtype) + 0.5) * 2.0**-31


def draw_normals(key: Array, size: int, dtype: jnp.dtype) -> Float[Array, " {size}"]:
    """Draw independent standard normal numbers, by the inverse of their distribution function."""
    numbers = jnp.arange(size, dtype=jnp.uint32)
    pair = materialize(threefry, spread_key(key, size), (numbers, jnp.zeros_like(numbers)))

    def normal(pair: tuple[Array, Array]) -> Array:
        edge = uniform(pair, dtype)
        return jnp.sqrt(jnp.asarray(2, dtype)) * jax.lax.erf_inv(
            jnp.where(pair[0] & np.uint32(1) == 0, edge - 1, 1 - edge)
        )

    return materialize(normal, pair)
