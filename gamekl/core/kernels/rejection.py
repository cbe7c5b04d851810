"""Transformed rejection for binomial counts of large mean: candidates, and whether they are taken.

The candidates are those of Hörmann's BTRS (The generation of binomial random variates, J. Statist. Comput. Simul. 46,
1993). The probability with which they are taken is computed so that its digits last for counts up to 2^53.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gamekl.core.kernels.words import quick_uniform

# A candidate is judged in float32 where the two sides differ by more than this factor, which no rounding amounts to:
# six digits are left of deviances up to the second number.
MARGIN = np.float32(1 + 2**-13)
LARGEST_DEVIANCE = np.float32(16)
# What a quick uniform number must exceed for the bits that it lacks to be within that factor, too.
LEAST_QUICK = np.float32(2.0**-17)
# log k! - (k + 1/2) log k + k - log(2 pi) / 2 for k = 0 (where k log k is 0, and 2 pi k is taken as 1), 1, ..., 9.
STIRLING = (
    0.0,
    *(math.lgamma(k + 1) - (k + 0.5) * math.log(k) + k - 0.5 * math.log(2 * math.pi) for k in range(1, 10)),
)


def _hat(counts: Array, probs: Array) -> tuple[Array, Array, Array, Array]:
    """BTRS's a, b and alpha, and the mean; alpha for a mode of at most exp(1 / 24 npq) / sqrt(2 pi npq)."""
    mean = counts * probs
    variance = mean * (1 - probs)
    spread = jnp.sqrt(variance)
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * probs
    return a, b, (2.83 + 5.1 / b) * spread * jnp.exp(1 / (24 * variance)), mean


def candidate(word: Array, edge: Array, counts: Array, probs: Array) -> Array:
    """BTRS's candidate before it is rounded down, of the uniform number on (-1/2, 1/2) that lies `edge` off an end."""
    a, b, _, mean = _hat(counts, probs)
    side = jnp.where(word & np.uint32(1) == 0, edge - 0.5, 0.5 - edge)
    return (2 * a / edge + b) * side + mean + 0.5


def quick_candidate(word: Array, counts: Array, probs: Array) -> Array:
    """The candidate k >= 0; where more bits than the word's may change it, or it is negative, -1 - x.

    There x >= 0 lies between the candidate and the mode, and is no less probable.
    """
    a, b, _, mean = _hat(counts, probs)
    edge = 0.5 * quick_uniform(word, counts.dtype)
    place = candidate(word, edge, counts, probs)
    off = (a / (edge * edge) + b) * 2.0**-31  # four times what the missing bits amount to, by the derivative
    sure = (jnp.floor(place - off) == jnp.floor(place + off)) & (place >= 0)
    above, mode = jnp.maximum(place - off - 1, mean), mean + probs - 0.5  # where the gamma function's pmf is largest
    nearer = jnp.where(place > mean, above, jnp.minimum(place + off, mode))
    return jnp.where(sure, jnp.floor(place), -1 - jnp.maximum(nearer, 0))


def _near_deviance(excess: Array, ratio: Array) -> Array:
    """M ((1 + e) log(1 + e) - e) of an excess x - M and e = (x - M) / M from -4/5 to 2, by a series."""
    s = ratio / (2 + ratio)
    square = s * s
    series = jnp.zeros_like(s)
    for odd in range(33, 1, -2):
        series = series * square + 1 / odd
    return excess * ratio * ((1 - s) * (0.5 + 0.5 * (1 + s) * s * series))


def judge_quickly(word: Array, threshold: Array, candidates: Array, counts: Array, probs: Array) -> Array:
    """0 where a candidate is to be taken, 1 where it is to be refused, 2 where float32 does not tell.

    Candidates far from the mean, or not known, are compared with nearer ones, which are more probable.
    """
    sure, means = candidates >= 0, counts * probs
    candidates = jnp.where(sure, candidates, -1 - candidates)
    far, mean, rest, total = (
        entry.astype(jnp.float32) for entry in (candidates - means, means, counts - means, counts)
    )
    excess = jnp.clip(far, -0.8 * mean, jnp.minimum(2 * mean, 0.8 * rest))
    a, b, alpha, _ = _hat(total, probs.astype(jnp.float32))
    edge, threshold = 0.5 * quick_uniform(word, total.dtype), quick_uniform(threshold, total.dtype)
    ratios = excess / mean, -excess / rest
    deviance = _near_deviance(excess, ratios[0]) + _near_deviance(-excess, ratios[1])
    more, less = 1 + ratios[0], 1 + ratios[1]

    def stirling(inverse: Array) -> Array:
        return inverse * (1 / 12 - inverse * inverse * (1 / 360 - inverse * inverse / 1260))

    correction = stirling(1 / total) - stirling(1 / (mean * more)) - stirling(1 / (rest * less))
    ours = threshold * alpha * edge * edge * jnp.sqrt(more * less)
    most = (a + b * edge * edge) * jnp.exp(correction - jnp.minimum(deviance, LARGEST_DEVIANCE))
    fine = jnp.minimum(edge, threshold) > LEAST_QUICK
    taken = sure & fine & (ours * MARGIN < most) & (excess == far) & (deviance < LARGEST_DEVIANCE)
    return jnp.where(taken, 0, jnp.where(fine & (ours > most * MARGIN), 1, 2)).astype(jnp.uint8)


def _stirling(k: Array) -> Array:
    """What Stirling's formula lacks, log k! - (k + 1/2) log k + k - log(2 pi) / 2."""
    inverse = 1 / jnp.maximum(k, len(STIRLING) - 1)
    square = inverse * inverse
    series = jnp.zeros_like(k)
    for term in (-691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12):
        series = series * square + term
    series = series * inverse
    for small, value in enumerate(STIRLING):
        series = jnp.where(k == small, value, series)
    return series


def _deviance(excess: Array, mean: Array) -> Array:
    ratio = excess / mean
    return mean * jnp.where(ratio > -1, (1 + ratio) * jnp.log1p(ratio) - ratio, 1.0)


def take(edge: Array, threshold: Array, candidates: Array, counts: Array, probs: Array) -> Array:
    """Whether BTRS takes its candidates.

    The probability of k is exp(S(n) - S(k) - S(n - k) - D) sqrt(n / (2 pi k (n - k))), S what Stirling's formula lacks
    and D = k log(k / np) + (n - k) log((n - k) / nq), in which the linear parts cancel: so the error is 1e-16 times
    the distance from the mean.

    Args:
        edge: half less the size of the uniform number on (-1/2, 1/2) that the candidate was made of.
        threshold: uniform on (0, 1).
        candidates: whole numbers.
        counts: n.
        probs: p <= 1/2, with np at least 10.
    """
    a, b, alpha, mean = _hat(counts, probs)
    k = jnp.clip(candidates, 0, counts)
    rest, excess, other = counts - mean, k - mean, counts - k
    inside = candidates == k
    deviance = _deviance(excess, mean) + _deviance(-excess, rest)
    correction = _stirling(counts) - _stirling(k) - _stirling(other)
    none = 1 / (2 * math.pi)
    sizes = jnp.where(k > 0, k, none) / mean * (jnp.where(other > 0, other, none) / rest)
    ours = threshold * alpha * edge * edge * jnp.sqrt(sizes)
    return inside & (ours <= (a + b * edge * edge) * jnp.exp(correction - deviance))
