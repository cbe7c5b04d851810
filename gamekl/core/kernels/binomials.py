"""Binomial counts, exactly in law, of many sizes and probabilities side by side.

Where the mean of the rarer outcome is small, the distribution function is inverted; otherwise candidates of Hörmann's
BTRS (The generation of binomial random variates, J. Statist. Comput. Simul. 46, 1993, transformed rejection) are taken
with the probability that makes their law binomial. That probability is first computed in float32, with a margin above
all its roundings, and so is the distribution function: one element in a thousand remains to be judged in the full
dtype, with more bits. Five of six are done with their first candidate; the others share a few lanes, and who is done
gives its lane to the next.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gamekl.core.kernels.batching import joining_batches
from gamekl.core.kernels.lanes import materialize
from gamekl.core.kernels.platforms import CPU, Platform, by_platform
from gamekl.core.kernels.rejection import candidate, judge_quickly, quick_candidate, take
from gamekl.core.kernels.words import quick_uniform, spread_key, threefry, uniform

# BTRS is made for means of the rarer outcome from here on.
LEAST_REJECTED = 10.0
# Terms of a distribution function in one pass over the elements.
TERMS = 8
# So many terms in float32 are enough, but for one draw in a hundred thousand, up to these means.
TIERS = ((8, 1.0), (16, 4.0), (32, LEAST_REJECTED))
# More than a distribution function in float32 is off by.
SLACK = np.float32(2.0**-15)
# Elements that are drawn again side by side, where a kernel's launch costs little.
LANES = 256
# Of very many elements so many are drawn at a time on a CPU: what passes from kernel to kernel stays in a core's cache.
BLOCK, VERY_MANY = 2**13, 2**17


class _Draws(NamedTuple):
    """Elements to be drawn: counts of at least 0 and probabilities of at most 1/2, and what their bits are made of."""

    keys: tuple[Array, Array]
    numbers: Array
    counts: Array
    probs: Array


def _words(draws: _Draws, turn: Array) -> tuple[Array, Array]:
    """The words of an element's `turn`; a candidate has two turns."""
    return materialize(lambda *given: threefry(given[:2], given[2:]), *draws.keys, draws.numbers, turn)


def _invert(draws: _Draws) -> Array:
    """How many values of the distribution function lie below a uniform number; for small means."""
    counts, probs = draws.counts, draws.probs
    place = uniform(_words(draws, jnp.zeros_like(draws.numbers)), counts.dtype)
    odds = probs / (1 - probs)
    least = jnp.finfo(counts.dtype).epsneg  # of a term, all of which are larger before the mean

    def going(state: tuple[Array, ...]) -> Array:
        _, term, below, _ = state
        return jnp.any((place > below) & (term > least))

    def step(state: tuple[Array, ...]) -> tuple[Array, ...]:
        start, term, below, drawn = state
        for index in range(TERMS):
            drawn = drawn + jnp.where(place > below, 1.0, 0.0).astype(drawn.dtype)
            term = term * (counts - (start + index)) * (odds * (1 / (start + (index + 1))))
            below = below + term
        return start + TERMS, term, below, drawn

    first = jnp.exp(counts * jnp.log1p(-probs))
    start = jnp.zeros((), counts.dtype)
    drawn = jax.lax.while_loop(going, step, (start, first, first, jnp.zeros_like(counts)))[-1]
    return jnp.minimum(drawn, counts)  # where rounding leaves the whole sum below


def _invert_quickly(word: Array, counts: Array, probs: Array) -> Array:
    """The same in float32, -1 where a step of the distribution function is as near as its roundings."""
    counts, probs = counts.astype(jnp.float32), probs.astype(jnp.float32)
    place = quick_uniform(word, counts.dtype)
    odds, first = probs / (1 - probs), jnp.exp(counts * jnp.log1p(-probs))

    def count(terms: int, place: Array, more: Array, odds: Array, term: Array) -> Array:
        below, least, most = term, jnp.zeros_like(term), jnp.zeros_like(term)
        for index in range(terms):
            least = least + jnp.where(place - SLACK > below, 1.0, 0.0).astype(jnp.float32)
            most = most + jnp.where(place + SLACK > below, 1.0, 0.0).astype(jnp.float32)
            term = term * (more * np.float32(1 / (index + 1)) - odds)
            below = below + term
        return jnp.where((least == most) & (most < terms), least, -1)

    mean = jnp.max(counts * probs)
    tier = sum((mean > bound).astype(jnp.int32) for _, bound in TIERS[:-1])
    return jax.lax.switch(tier, [partial(count, terms) for terms, _ in TIERS], place, (counts + 1) * odds, odds, first)


def _judged(draws: _Draws, words: tuple[Array, Array]) -> tuple[Array, Array]:
    """Candidates of a turn's words, and what float32 tells of them."""
    candidates = materialize(quick_candidate, words[0], draws.counts, draws.probs)
    return candidates, materialize(judge_quickly, *words, candidates, draws.counts, draws.probs)


def _attempt(draws: _Draws, turn: Array) -> tuple[Array, Array]:
    """Candidates of a turn, and whether they are taken."""
    words = _words(draws, 2 * turn)
    quick, verdict = _judged(draws, words)

    def judge(draws: _Draws, turn: Array, words: tuple[Array, Array], quick: Array) -> tuple[Array, Array]:
        more = _words(draws, 2 * turn + 1)
        pairs = zip(words, more, strict=True)
        edge, threshold = materialize(lambda *pairs: [uniform(pair, quick.dtype) for pair in pairs], *pairs)
        candidates = materialize(
            lambda *given: jnp.floor(candidate(*given)), words[0], 0.5 * edge, draws.counts, draws.probs
        )
        taken = take(0.5 * edge, threshold, candidates, draws.counts, draws.probs)
        unsure = verdict == 2
        return jnp.where(unsure, candidates, quick), jnp.where(unsure, taken, verdict == 0)

    def skip(draws: _Draws, turn: Array, words: tuple[Array, Array], quick: Array) -> tuple[Array, Array]:
        return quick, verdict == 0

    return jax.lax.cond(jnp.any(verdict == 2), judge, skip, draws, turn, words, quick)


def _positions(marked: Array) -> tuple[Array, Array]:
    """The indices of the marked elements, in order, then zeros; and how many there are."""
    width, size = 16, marked.shape[0]
    rows = jnp.pad(marked, (0, -size % width)).reshape(-1, width).astype(jnp.int32)
    sums, shift = rows, 1
    while shift < width:
        sums = sums + jnp.pad(sums, ((0, 0), (shift, 0)))[:, :width]
        shift *= 2
    ends = jnp.cumsum(sums[:, -1])
    ranks = (sums - rows + (ends - sums[:, -1])[:, None]).reshape(-1)[:size]
    order = jnp.zeros(size, jnp.int32)
    places = jnp.where(marked, ranks, size)
    return order.at[places].set(jnp.arange(size, dtype=jnp.int32), mode="drop", unique_indices=True), ends[-1]


def _split_by_mean(draws: _Draws) -> tuple[Array, _Draws, _Draws]:
    """Where the mean is large; the elements with others in place of those that are not, or of those that are."""
    many = draws.counts * draws.probs >= LEAST_REJECTED
    large = draws._replace(counts=jnp.where(many, draws.counts, 100), probs=jnp.where(many, draws.probs, 0.5))
    return many, large, draws._replace(counts=jnp.where(many, 0, draws.counts))


def _draw_again(platform: Platform, draws: _Draws, drawn: Array, turns: Array, undone: Array) -> Array:
    """Draw what is undone, from each element's turn on, in lanes that take the next element when they are done."""
    size = drawn.shape[0]
    lanes = LANES if platform is CPU else max(LANES, size // 8)
    waiting, total = _positions(undone)

    def element(place: Array) -> Array:
        return jnp.where(place < total, waiting[jnp.minimum(place, size - 1)], size)

    def step(state: tuple[Array, ...]) -> tuple[Array, ...]:
        elements, turn, taken, drawn = state
        at = jnp.minimum(elements, size - 1)
        many, large, small = _split_by_mean(jax.tree.map(lambda leaf: leaf[at], draws))
        candidates, found = _attempt(large, turn)
        idle = elements == size
        few = jax.lax.cond(jnp.all(many | idle), lambda small: small.counts, _invert, small)
        found = found | ~many
        places = jnp.where(found, elements, size)
        drawn = drawn.at[places].set(jnp.where(many, candidates, few), mode="drop", unique_indices=True)
        free = found | idle
        ranks = taken + jnp.cumsum(free.astype(jnp.int32))
        elements = jnp.where(free, element(ranks - 1), elements)
        return elements, jnp.where(free, turns[jnp.minimum(elements, size - 1)], turn + 1), ranks[-1], drawn

    elements = element(jnp.arange(lanes, dtype=jnp.int32))
    state = (elements, turns[jnp.minimum(elements, size - 1)], jnp.int32(lanes), drawn)
    return jax.lax.while_loop(lambda state: jnp.any(state[0] < size), step, state)[-1]


def _draw_once(draws: _Draws) -> tuple[Array, Array, Array]:
    """First draws, the turns from which on those that are undone are to be drawn again, and which these are."""
    many, large, small = _split_by_mean(draws)
    words = _words(draws, jnp.zeros_like(draws.numbers))

    def none(large: _Draws, words: tuple[Array, Array]) -> tuple[Array, Array]:
        return jnp.zeros_like(large.counts), jnp.zeros(large.counts.shape, jnp.uint8)

    candidates, verdict = jax.lax.cond(jnp.any(many), _judged, none, large, words)
    few = jax.lax.cond(
        jnp.any(small.counts * small.probs > 0),
        lambda small, word: _invert_quickly(word, small.counts, small.probs),
        lambda small, word: jnp.zeros(word.shape, jnp.float32),
        small,
        words[0],
    )
    drawn = jnp.where(many, candidates, few.astype(candidates.dtype))
    unknown = jnp.isnan(draws.counts * draws.probs)
    undone = jnp.where(many, verdict > 0, few < 0) & ~unknown
    return jnp.where(unknown, jnp.nan, drawn), (verdict == 1).astype(draws.numbers.dtype), undone


def _draw(platform: Platform, draws: _Draws) -> Array:
    """Draws of elements on one axis."""
    size = draws.counts.shape[0]
    if platform is CPU and size >= VERY_MANY:
        blocks = jax.tree.map(lambda leaf: jnp.pad(leaf, (0, -size % BLOCK)).reshape(-1, BLOCK), draws)
        first = jax.tree.map(lambda leaf: leaf.ravel()[:size], jax.lax.map(_draw_once, blocks))
    else:
        first = _draw_once(draws)
    return _draw_again(platform, draws, *first)


_draw_joined = joining_batches(partial(by_platform, _draw))


def draw_binomials(key: Array, counts: Float[Array, "*shape"], probs: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Draw from binomial(counts, probs), independently.

    Args:
        key: a jax random key.
        counts: whole numbers >= 0, up to 2^53 in float64 and 2^17 in float32; NaN gives NaN.
        probs: at most 1/2, in the counts' dtype.
    """
    numbers = jnp.arange(counts.size, dtype=jnp.uint32)
    draws = _Draws(spread_key(key, counts.size), numbers, counts.ravel(), probs.ravel())
    return _draw_joined(draws).reshape(counts.shape)
