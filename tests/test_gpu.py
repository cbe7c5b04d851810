"""On a GPU each family of kernels answers as on the CPU, keeps problems apart, and asks the host for nothing.

A family is a row of FAMILIES, or of DRIVEN where the host hands out the chunks. Its tests are marked `gpu`, and skipped
where jax has none.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits, mixed_batch, random_profile, rows, uniform_rows

import gamekl as gk

SIZE = 16
DTYPES = ("float64", "float32")
# In HLO: calls into Python, and what is sent and received while a program runs.
ASKS_HOST = re.compile(r'custom_call_target="[^"]*callback|= [^=]*\b(infeed|outfeed|send|recv)(-done)?\(')
# Of one batch, the first games of which are those of each smaller one; on a GPU each size has another number of lanes.
SIZES = (256, 4_096, 20_000)


@pytest.fixture
def device():
    try:
        return jax.devices("gpu")[0]
    except RuntimeError:
        pytest.skip("jax has no GPU here")


@pytest.fixture
def cpu():
    return jax.devices("cpu")[0]


class Family(NamedTuple):
    """One kind of kernels.

    Attributes:
        solve: of one problem, under ``jax.vmap``; or of a batch on ``devices``, where the host drives it.
        problem: one problem from a key, as arguments of `solve`; the floats of the first may be NaN.
        answers: what is compared between devices.
        float64: its tolerance.
        float32: its tolerance, in that dtype.
    """

    solve: Callable[..., Any]
    problem: Callable[[Any], tuple]
    answers: Callable[[Any], Any] = lambda found: found.policy
    float64: float = 1e-9
    float32: float = 1e-4


def anchored(game: Callable[[Any], Any], temperature: float = 0.2) -> Callable[[Any], tuple]:
    """A game, and a regularizer with references drawn from the simplex."""

    def problem(key):
        made = game(key)
        return made, gk.Regularizer(random_profile(jax.random.fold_in(key, 1), made), temperature)

    return problem


def uniform(*shape: int) -> Callable[[Any], Any]:
    return lambda key: gk.games.uniform(key, shape)


def symmetric(key):
    """A symmetric game, and one reference for all its players."""
    return gk.games.uniform_symmetric(key, 12, 4), gk.Regularizer([uniform_rows(key, (4,))], 0.2)


contextual = partial(gk.games.contextual, num_actions=(3, 2), num_contexts=3)
markov = partial(gk.games.markov, num_actions=(3, 2), num_states=2, horizon=2)


def logged(key):
    """Statistics of a random game."""
    game, regularizer = anchored(uniform(4, 3))(key)
    behavior = jnp.exp(uniform_rows(key, (12,))).reshape(4, 3)
    return gk.offline.sample_statistics(key, game, behavior, 1000, 0.5), regularizer


def drawn(key):
    """A game and a behavior, from which to draw statistics."""
    return gk.games.uniform(key, (4, 3)), jnp.exp(uniform_rows(key, (12,))).reshape(4, 3), key


def compared(key):
    """Wins among candidates."""
    return (gk.offline.Comparisons(1 + jnp.floor(9 * jax.random.uniform(key, (6, 6)))),)


def responded(key):
    """What a follower does, on average, to three policies of a leader."""
    game, regularizer = anchored(uniform(3, 4))(key)
    announced = 0.1 / 3 + 0.9 * jnp.eye(3)
    return (gk.stackelberg.expected_responses(game, regularizer, announced, jnp.full(3, 1 / 3), 1000.0),)


def judged(key):
    """A profile, and the game in which its gaps are measured."""
    game, regularizer = anchored(markov)(key)
    return game, regularizer, random_profile(jax.random.fold_in(key, 2), game)


def prompts(key):
    """Preferences among responses, and logarithms of their reference."""
    return gk.games.preference(key, (5, 5)).payoffs[0], uniform_rows(key, (5,))


solve = partial(gk.solve_nash, throw=False)
play = partial(gk.gamd, num_rounds=50, throw=False)
measured = ("regularized_cce_gap", "marginals", "last_log_policy")

FAMILIES = {
    "solve_nash": Family(solve, anchored(uniform(10, 10), 0.1)),
    "solve_nash, three players": Family(solve, anchored(uniform(4, 3, 2), 0.1)),
    "solve_nash, by LU": Family(solve, anchored(uniform(30, 30))),
    "solve_nash, symmetric": Family(solve, symmetric),
    "solve_nash, refined": Family(partial(solve, refine="float64"), anchored(uniform(5, 4), 0.1), float32=1e-9),
    "solve_nash, contexts": Family(solve, anchored(contextual)),
    "solve_nash, states": Family(solve, anchored(markov)),
    "trace": Family(
        partial(gk.trace, temperatures=[0.4, 0.2], at_branching="cross", max_points=64, throw=False),
        anchored(uniform(4, 3)),
    ),
    "find_equilibria": Family(
        lambda game, anchor: gk.find_equilibria(game, anchor, jax.random.key(0), num_starts=8, throw=False),
        anchored(uniform(4, 3), 0.5),
        lambda found: [entry[0] for entry in found.policy],
    ),
    "max_entropy_nash": Family(
        gk.max_entropy_nash,
        lambda key: (gk.games.zero_sum(key, (4, 3)),),
        float64=1e-5,
        float32=3e-2,
    ),
    "gane": Family(lambda log, anchor: gk.gane(gk.offline.estimate(log), anchor, throw=False), logged),
    "gamd": Family(play, anchored(uniform(4, 3, 2)), lambda found: [getattr(found, name) for name in measured]),
    "multiplicative_weights": Family(
        partial(gk.multiplicative_weights, num_rounds=50, throw=False),
        anchored(uniform(4, 3)),
        lambda found: [getattr(found, name) for name in measured],
    ),
    "follow": Family(
        lambda game, anchor: gk.follow(game, anchor, gk.rules.MMD(0.1), num_rounds=(3, 30), throw=False),
        anchored(uniform(4, 3)),
        lambda found: (found.log_policy, found.regularized_gap, found.average_nash_gap),
    ),
    "sos_md": Family(partial(gk.sos_md, num_rounds=500, tol=0.1, throw=False), anchored(uniform(4, 3))),
    # Its own tolerance is on the duality gap, of which the policy's error is the square root.
    "solve_correlated": Family(
        partial(gk.solve_correlated, throw=False),
        lambda key: (gk.games.uniform(key, (4, 3)),),
        lambda found: found.joint_policy,
        float64=1e-6,
        float32=2e-2,
    ),
    "quantal_stackelberg": Family(
        partial(gk.stackelberg.quantal_stackelberg, throw=False),
        anchored(uniform(3, 4)),
        lambda found: (found.policy, found.value),
        float32=1e-3,
    ),
    "fit_responses": Family(
        gk.stackelberg.fit_responses,
        responded,
        lambda found: (found.utilities, found.log_likelihood / 1000),
        1e-8,
        1e-3,
    ),
    "fit_bradley_terry": Family(gk.offline.fit_bradley_terry, compared, lambda found: found.rewards),
    "regularized_gap": Family(gk.regularized_gap, judged, lambda found: found),
    # In units of a row: sums of 1000 rows.
    "sample_statistics": Family(
        lambda game, joint, key: gk.offline.sample_statistics(key, game, joint, 1000, 0.5),
        drawn,
        lambda found: (found.counts, found.reward_sums / 1000),
    ),
}

DRIVEN = {
    "solve_nash_batch": Family(gk.solve_nash_batch, anchored(uniform(10, 10), 0.1)),
    "gamd_batch": Family(partial(gk.gamd_batch, num_rounds=50), anchored(uniform(4, 3)), FAMILIES["gamd"].answers),
    "nash_policies": Family(
        partial(gk.preference.nash_policies, temperature=0.1), prompts, lambda found: (found.policy, found.win_rate)
    ),
}


def batch_of(family: Family, dtype: str, cpu: Any) -> tuple:
    """The family's problems, in numpy."""
    with jax.default_device(cpu):
        batch = jax.vmap(family.problem)(jax.random.split(jax.random.key(0), SIZE))
    return cast(batch, jnp.floating, lambda leaf: np.asarray(leaf, dtype))


def cast(tree: Any, kind: Any, function: Callable[[Any], Any]) -> Any:
    """The function of the leaves of a kind; the others as they are."""
    return jax.tree.map(lambda leaf: function(leaf) if jnp.issubdtype(leaf.dtype, kind) else leaf, tree)


def poisoned(batch: tuple) -> tuple:
    """Every other problem with NaN in place of numbers."""

    def poison(leaf):
        leaf = np.array(leaf)
        leaf[1::2] = np.nan
        return leaf

    return (cast(batch[0], jnp.floating, poison), *batch[1:])


def check(family: Family, dtype: str, found: Any, alike: Any, theirs: Any) -> None:
    """Answers are those of the CPU and converged; what has bad neighbours has the bits of what has none."""
    assert np.all(np.asarray(getattr(found, "status", 0)) == gk.Status.converged)
    tolerance = family.float64 if dtype == "float64" else family.float32
    pairs = zip(*(jax.tree.leaves(family.answers(entry)) for entry in (found, theirs)), strict=True)
    for ours, other in pairs:
        assert np.all(np.isfinite(other))
        np.testing.assert_allclose(ours, other, rtol=0, atol=tolerance)
    good = slice(None, None, 2)
    assert_same_bits(rows(alike, good), rows(found, good))
    bad = np.concatenate([np.ravel(leaf[1::2]) for leaf in jax.tree.leaves(alike)])
    assert not np.array_equal(bad, np.concatenate([np.ravel(leaf[1::2]) for leaf in jax.tree.leaves(found)]))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_answers_as_on_the_cpu_keeps_to_itself_and_asks_the_host_for_nothing(name, dtype, device, cpu):
    """One program for the three of them: on a GPU each takes long to compile.

    The flags of loops, which XLA's runtime reads, are not calls of the host's in this sense.
    """
    family = FAMILIES[name]
    batch = batch_of(family, dtype, cpu)
    program = jax.jit(jax.vmap(family.solve))
    given, beside_bad = (jax.device_put(entry, device) for entry in (batch, poisoned(batch)))
    compiled = program.lower(*given).compile()
    assert not ASKS_HOST.search(compiled.as_text())
    with jax.transfer_guard("disallow"):
        found, alike = jax.block_until_ready((compiled(*given), compiled(*beside_bad)))
    assert all(leaf.devices() == {device} for leaf in jax.tree.leaves(found))
    check(family, dtype, found, alike, program(*jax.device_put(batch, cpu)))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", DRIVEN)
def test_a_driver_answers_as_on_the_cpu_and_keeps_problems_apart(name, dtype, device, cpu):
    family = DRIVEN[name]
    batch = batch_of(family, dtype, cpu)
    found, alike, theirs = (
        family.solve(*given, devices=[place])
        for given, place in ((batch, device), (poisoned(batch), device), (batch, cpu))
    )
    check(family, dtype, found, alike, theirs)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_solve_is_that_of_the_cpu(dtype, device, cpu):
    game, regularizer = rows(batch_of(FAMILIES["solve_nash"], dtype, cpu), 0)
    ours, theirs = (gk.solve_nash(*jax.device_put((game, regularizer), place)) for place in (device, cpu))
    assert ours.log_policy[0].devices() == {device}
    for mine, other in zip(ours.policy, theirs.policy, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-9 if dtype == "float64" else 1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_games_bits_do_not_depend_on_the_size_of_its_batch(dtype, device, cpu):
    """A promise that only hardware can keep: programs with other numbers of lanes have other kernels."""
    with jax.default_device(cpu):
        batch = cast(mixed_batch((10, 10), SIZES[-1], 0.1), jnp.floating, lambda leaf: np.asarray(leaf, dtype))
    largest = gk.solve_nash_batch(*batch, devices=[device])
    assert np.all(np.asarray(largest.status) == gk.Status.converged)
    for size in SIZES[:-1]:
        smaller = gk.solve_nash_batch(*rows(batch, slice(size)), devices=[device])
        assert_same_bits(smaller, rows(largest, slice(size)))


def test_calls_of_the_host_are_seen_in_a_program():
    """By the pattern that the other tests do not find."""

    def call(x):
        return jax.pure_callback(np.sin, x, x)

    x = jnp.zeros(3)
    assert ASKS_HOST.search(jax.jit(call).lower(x).compile().as_text())
    assert ASKS_HOST.search("%a = (f32[3]{0}, token[]) infeed(%b), infeed_config=")
    assert ASKS_HOST.search("%a = (f32[3]{0}, u32[], token[]) send(%b, %c), channel_id=1, is_host_transfer=true")
    assert not ASKS_HOST.search(jax.jit(jnp.sin).lower(x).compile().as_text())
