"""The ladder by which a regularised Nash equilibrium is found (theory I2), for one problem or for a batch.

From the short road to the one that always works:

1. A guess: Newton's method from there.
2. Where the payoffs prove that the equilibrium is unique, because best responses contract or the game is monotone:
   Newton's method from the reference, as any road leads there.
3. The logit path from the reference to its first crossing of the temperature (`path`).
4. The path once more, with tolerances ten times smaller.

Where the path is to be certified, `proof` goes it alone, and its end is the guess.

Where a batch is traced in float32 first, that counts only for games whose path is plain: of which no step was taken
back and no other branch is near. Their answers are corrected in full precision; the others start from step 1.

Each road ends in Newton's method at the temperature itself, and each is left for the next when it loses its way.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from gamekl.core.kernels.batching import in_blocks
from gamekl.core.kernels.lanes import lanes_first, lanes_last, writes_out
from gamekl.core.kernels.platforms import Platform, by_platform
from gamekl.core.kernels.system import LogitSystem, to_log_policy
from gamekl.core.symmetric.game import SymmetricGame
from gamekl.solvers.nash import path
from gamekl.solvers.nash.conclude import POLISHING, certified, conclude
from gamekl.solvers.nash.prepare import NashProblem, make_tasks
from gamekl.solvers.nash.proof import Proof, prove
from gamekl.solvers.nash.queue import Task, Traced, num_lanes, sizes_of, solve_alone, solve_tasks
from gamekl.solvers.solution import Solution, Status

# Most steps of a proof for each Newton correction that is allowed.
PROOF_STEPS = 100
# Games for each lane that are solved again at a time, of those whose paths are not plain.
AGAIN = 16


class Options(NamedTuple):
    """The options of a solve, which are static.

    Attributes:
        max_steps: most Newton corrections for a game.
        refine: whether to trace in float32 first.
        certify: whether to prove the path.
    """

    max_steps: int
    refine: bool = False
    certify: bool = False

    @property
    def refines(self) -> bool:
        """Whether so few steps leave any to float32."""
        return self.refine and not self.certify and self.max_steps > POLISHING


def _log_policy(problem: NashProblem, z: Array) -> tuple[Array, ...]:
    return to_log_policy(z, problem.regularizer.masks)


class Solver(NamedTuple):
    """How a batch of problems is solved; all leaves of what the methods take and return have a leading axis.

    Attributes:
        each: maps a function of a batch over the blocks of one.
        trace: solves tasks, with so many corrections at most.
        options: the options.
        width: how many problems are worked on side by side.
    """

    each: Callable[..., Any]
    trace: Callable[[Task, int], Traced]
    options: Options
    width: int = 1

    def _find(self, problems: NashProblem, wanted: Bool[Array, " problem"] | bool = True) -> Traced:
        tasks = self.each(partial(make_tasks, dtype=problems.tol.dtype), problems)
        return self.trace(tasks._replace(usable=tasks.usable & wanted), self.options.max_steps)

    def _solve(self, problems: NashProblem, wanted: Bool[Array, " problem"] | bool = True) -> Solution:
        return self.each(conclude, problems, self._find(problems, wanted))

    def solve_plain(self, problems: NashProblem) -> tuple[Solution, Bool[Array, " problem"]]:
        """Solve those with plain paths, traced in float32; and which problems these are."""
        tasks = self.each(partial(make_tasks, dtype=jnp.float32), problems)
        traced = self.trace(tasks, self.options.max_steps - POLISHING)
        solution = self.each(partial(conclude, polish=True), problems, traced)
        return solution, traced.plain & (solution.status == Status.converged)

    def _refine(self, problems: NashProblem) -> Solution:
        """Solve those with plain paths, and then the others, gathered, so that they cost what so few cost."""
        solution, solved = self.solve_plain(problems)
        size = len(solved)
        block = self.width * min(AGAIN, -(-size // self.width))
        (others,) = jnp.nonzero(~solved, size=-(-size // block) * block, fill_value=size)

        def solve_block(state: tuple[Array, Solution]) -> tuple[Array, Solution]:
            start, solution = state
            rows = jax.lax.dynamic_slice(others, (start,), (block,))
            some = jax.tree.map(lambda leaf: leaf[jnp.minimum(rows, size - 1)], problems)
            found = self._solve(some, rows < size)
            return start + block, jax.tree.map(lambda all_, few: all_.at[rows].set(few, mode="drop"), solution, found)

        count = size - jnp.sum(solved)
        return jax.lax.while_loop(lambda state: state[0] < count, solve_block, (jnp.zeros_like(count), solution))[1]

    def _certify(self, problems: NashProblem) -> Solution:
        """Prove the paths, and solve from where the proofs end."""
        proof = self.each(partial(_prove, max_steps=self.options.max_steps * PROOF_STEPS), problems)
        guess = self.each(jax.vmap(_log_policy), problems, proof.trial.z)
        traced = self._find(problems._replace(guess=guess, guessed=proof.phase == path.FOUND))
        solution = self.each(conclude, problems, traced)
        return self.each(jax.vmap(certified), problems, solution, traced, proof)

    def solve(self, problems: NashProblem) -> Solution:
        """Solve from the guess, or up the ladder; the answer has no derivatives."""
        if self.options.certify:
            return self._certify(problems)
        return self._refine(problems) if self.options.refines else self._solve(problems)


def _prove(problems: NashProblem, max_steps: int) -> Proof:
    """Proofs for a block of problems, each in a lane."""
    usable = make_tasks(problems, problems.tol.dtype).usable
    systems = jax.vmap(lambda problem: LogitSystem.of(problem.game, problem.regularizer))(problems)
    return lanes_first(prove(lanes_last(systems), usable, max_steps))


def alone(options: Options) -> Solver:
    """How one problem is solved, as a batch of one."""
    return Solver(each=lambda function, *batch: function(*batch), trace=solve_alone, options=options)


def solve_problem(problem: NashProblem, options: Options) -> Solution:
    """Solve one problem by the ladder; the answer has no derivatives."""
    solution = alone(options).solve(jax.tree.map(lambda leaf: leaf[None], problem))
    return jax.tree.map(lambda leaf: leaf[0], solution)


def in_batches(platform: Platform, problems: NashProblem, options: Options) -> Solver:
    """How a batch of problems like these is solved."""
    width = num_lanes(platform, problems.game)
    # A pass over all counts is so long that XLA may share it out among processors.
    joined = writes_out(sizes_of(problems.game)) and not isinstance(problems.game, SymmetricGame)
    return Solver(
        each=lambda function, *batch: in_blocks(function, width, *batch),
        trace=partial(solve_tasks, width=width, joined=joined),
        options=options,
        width=width,
    )


def solve_problems(problems: NashProblem, options: Options) -> Solution:
    """Solve a batch of problems; every leaf of problems and solution has a leading axis."""
    return by_platform(lambda platform, given: in_batches(platform, given, options).solve(given), problems)


def solve_plain_problems(problems: NashProblem, options: Options) -> tuple[Solution, Bool[Array, " problem"]]:
    """Solve those of a batch with plain paths, traced in float32; and which problems these are."""
    return by_platform(lambda platform, given: in_batches(platform, given, options).solve_plain(given), problems)
