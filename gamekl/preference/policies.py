"""Which of K responses to a prompt to prefer: the regularised Nash policy over them, for many prompts at once.

With P_ij the probability that response i is preferred to j (P + P^T = 1), a reference pi0 over the responses, and tau,

    solution      pi* = argmax_p [p^T P pi* - tau KL(p || pi0)] = softmax(log pi0 + P pi* / tau), which is unique
    gap of pi     max_p [p^T P pi - tau KL(p || pi0)] - [1/2 - tau KL(pi || pi0)]
                    = tau KL(pi || softmax(log pi0 + P pi / tau)) >= tau KL(pi || pi*)     (derived, theory A3 and I5)
    Nash gap      max_i (P pi)_i - 1/2
    win rate      pi^T P pi0

Newton's method (`newton`) finds it by products alone; what it has not settled after some steps, the tracer
of paths behind `solve_nash` does.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from gamekl.core.arrays import refuse_masked
from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.batching import fitting_lanes, in_lanes
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.one_shot import player_gap
from gamekl.core.policies import normalize, support
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import Shown
from gamekl.core.validation import refuse
from gamekl.preference.newton import solve_drift
from gamekl.solvers.driver import Device, in_chunks
from gamekl.solvers.nash.ladder import Options, solve_problems
from gamekl.solvers.nash.prepare import NashProblem, make_nash_problem
from gamekl.solvers.nash.solve import MAX_STEPS as MAX_CORRECTIONS
from gamekl.solvers.solution import Status, raise_unless_all_converged

# Steps after which the tracer takes over. Few prompts need as many, at any temperature.
MAX_STEPS = 200
# How far P + P^T may be from 1.
SLACK = 1e-5

Anything = Array | np.ndarray


class NashPolicies(Shown):
    """The regularised Nash policies over the candidates of prompts, and what they are worth; numpy arrays, in float64.

    Attributes:
        log_policy: shape ``[prompt, candidate]``; -inf where masked.
        win_rate: the probability that a response of the policy is preferred to one of the reference, ``[prompt]``.
        gap: what a response to the policy could still gain, less its KL, ``[prompt]``, in units of preference.
        nash_gap: the same without regularisation, ``[prompt]``.
        residual: sup |policy - best response|, ``[prompt]``.
        chosen: the candidate that the policy plays most, ``[prompt]``.
        num_steps: steps tried, and corrections of the tracer where it was used, ``[prompt]``.
        status: a `Status` value, ``[prompt]``. Where it is `Status.nonfinite_input`, the policy is the reference.
    """

    log_policy: Float[Anything, "*prompt candidate"]
    win_rate: Float[Anything, "*prompt"]
    gap: Float[Anything, "*prompt"]
    nash_gap: Float[Anything, "*prompt"]
    residual: Float[Anything, "*prompt"]
    chosen: Int[Anything, "*prompt"]
    num_steps: Int[Anything, "*prompt"]
    status: Int[Anything, "*prompt"]
    status_type: ClassVar = Status

    @property
    def policy(self) -> Float[np.ndarray, "*prompt candidate"]:
        """The policies as probabilities, shape ``[prompt, candidate]``."""
        return np.exp(self.log_policy)


class _Prompts(NamedTuple):
    """What is to be solved; every leaf has a leading axis.

    Attributes:
        preferences: P; what it says of masked candidates does not count.
        log_reference: up to a number; -inf where masked.
        temperature: preference per nat.
        tol: bound on the gap.
        max_steps: most steps of Newton's method.
    """

    preferences: Any
    log_reference: Any
    temperature: Any
    tol: Any
    max_steps: Any


class _Prompt(NamedTuple):
    """One prompt in float64.

    Attributes:
        advantage: P - 1/2, of which the antisymmetric part; 0 where a candidate is masked.
        log_reference: normalised.
        temperature: preference per nat.
        tol: bound on the gap.
        finite: whether the advantages are numbers.
        refused: whether preferences are no probabilities, or those of a pair do not sum to 1.
    """

    advantage: Any
    log_reference: Any
    temperature: Any
    tol: Any
    finite: Any
    refused: Any


def _wrong(table: Any, kept: Any) -> tuple[Any, Any]:
    """What P, and P + P^T, may not be, in tables ``[..., candidate, candidate]`` of numpy or jax, with the support."""
    both = kept[..., None, :] & kept[..., None]
    return both & ((table < 0) | (table > 1)), both & (abs(table + table.mT - 1) > SLACK)


def _exact(prompt: _Prompts) -> _Prompt:
    table, reference = prompt.preferences.astype(float), prompt.log_reference.astype(float)
    mask = support(reference)
    advantage = jnp.where(mask & mask[:, None], (table - table.T) / 2, 0)
    improbable, unequal = _wrong(table, mask)
    return _Prompt(
        advantage=advantage,
        log_reference=normalize(reference),
        temperature=prompt.temperature,
        tol=prompt.tol,
        finite=jnp.all(jnp.isfinite(advantage)),
        refused=jnp.any(improbable | unequal),
    )


def _certify(prompt: _Prompt, log_policy: Float[Array, " candidate"], num_steps: Int[Array, ""]) -> NashPolicies:
    """What a policy is worth, for one prompt."""
    reference, policy = prompt.log_reference, jnp.exp(log_policy)
    values = jnp.matmul(prompt.advantage, policy, precision=PRECISION)  # on average 0, for who plays the policy
    gap = player_gap(log_policy, reference, values, prompt.temperature)
    response = normalize(reference + values / prompt.temperature)
    missed = jnp.where(prompt.finite, Status.not_converged, Status.nonfinite_input)
    return NashPolicies(
        log_policy=log_policy,
        win_rate=0.5 - jnp.sum(jnp.exp(reference) * values),
        gap=gap,
        nash_gap=jnp.max(jnp.where(support(reference), values, -jnp.inf)),
        residual=jnp.max(jnp.abs(policy - jnp.exp(response))),
        chosen=jnp.argmax(log_policy),
        num_steps=num_steps,
        status=jnp.where(gap <= prompt.tol, Status.converged, missed).astype(jnp.int32),
    )


def _solve_block(prompts: _Prompts) -> tuple[NashPolicies, Bool[Array, " prompt"]]:
    exact = jax.lax.optimization_barrier(jax.vmap(_exact)(prompts))
    limit = jnp.where(exact.finite, prompts.max_steps, 0)
    given = exact.advantage, exact.log_reference, exact.temperature, exact.tol
    drift, num_steps = jax.vmap(solve_drift)(*given, limit)
    log_policy = normalize(exact.log_reference + drift)
    return jax.vmap(_certify)(exact, log_policy, num_steps), exact.refused


def _by_newton(prompts: _Prompts) -> tuple[NashPolicies, Bool[Array, " prompt"]]:
    return in_lanes(_solve_block, [prompts.preferences], prompts)


def _two_players(prompt: _Prompt, guess: Float[Array, " candidate"]) -> NashProblem:
    game = NormalFormGame(jnp.stack([prompt.advantage, prompt.advantage.T]))
    return make_nash_problem(game, Regularizer([prompt.log_reference] * 2, prompt.temperature), (guess, guess), None)


def _by_path(prompts: _Prompts, guess: Float[Array, "prompt candidate"]) -> NashPolicies:
    exact = jax.vmap(_exact)(prompts)
    solution = solve_problems(jax.vmap(_two_players)(exact, guess), Options(MAX_CORRECTIONS))
    found = exact, solution.log_policy[0], solution.num_steps
    return in_lanes(jax.vmap(_certify), [prompts.preferences], *found)


def _as_floats(field: str, values: Any) -> np.ndarray:
    refuse_masked(field, values)
    found = np.asarray(values)
    if found.dtype.kind not in "fiu":
        raise ValueError(f"{field}: got dtype {found.dtype}, takes real numbers")
    return found if found.dtype in (np.float32, np.float64) else found.astype(np.float64)


def _check(preferences: Any, log_reference: Any, temperature: Any, mask: Any, tol: Any, max_steps: Any) -> _Prompts:
    table, reference = _as_floats("preferences", preferences), _as_floats("log_reference", log_reference)
    tau = _as_floats("temperature", temperature)
    if table.ndim != 3 or not table.shape[1] == table.shape[2] > 0:
        raise ValueError(f"preferences: got shape {table.shape}, takes [prompt, candidate, candidate]")
    rows = table.shape[:2]
    size, takes = len(table), f"[prompt, candidate] = {rows}"
    if reference.shape != rows:
        raise ValueError(f"log_reference: got shape {reference.shape}, takes {takes}")
    if tau.shape not in ((), (size,)):
        raise ValueError(f"temperature: got shape {tau.shape}, takes a number or [prompt] = ({size},)")
    allowed = np.ones(rows, dtype=bool) if mask is None else np.asarray(mask)
    if allowed.shape != rows or allowed.dtype != bool:
        raise ValueError(f"mask: got {allowed.dtype} of shape {allowed.shape}, takes booleans {takes}")
    if not isinstance(tol, int | float | np.number) or not tol >= 0:
        raise ValueError(f"tol: got {tol!r}, takes a number >= 0")
    if not isinstance(max_steps, int | np.integer) or not 0 <= max_steps < 2**31 - 1:
        raise ValueError(f"max_steps: got {max_steps!r}, takes a whole number from 0 to 2^31 - 2")
    tau = tau.reshape(-1)
    refuse("temperature", tau, ~((tau > 0) & (tau < np.inf)), "numbers > 0")
    wrong = allowed & (np.isnan(reference) | np.isposinf(reference))
    refuse("log_reference", reference, wrong, "logarithms of probabilities")
    reference = np.where(allowed, reference, -np.inf)
    kept = np.isfinite(reference)
    field = "log_reference" if mask is None else "mask"
    refuse(field, kept.sum(axis=1), ~kept.any(axis=1), "one candidate or more, of positive probability")
    return _Prompts(
        preferences=table,
        log_reference=reference,
        temperature=np.broadcast_to(tau.astype(np.float64), (size,)),
        tol=np.full(size, tol, dtype=np.float64),
        max_steps=np.full(size, max_steps, dtype=np.int32),
    )


def _refuse(prompts: _Prompts, first: int) -> None:
    """Say what is wrong with the preferences of a prompt."""
    table = prompts.preferences[first : first + 1].astype(float)
    improbable, unequal = _wrong(table, np.isfinite(prompts.log_reference[first : first + 1]))
    refuse("preferences", table, improbable, "probabilities", first)
    refuse("(P + P^T)", table + table.mT, unequal, f"1 within {SLACK} of preferences P", first)


def nash_policies(
    preferences: ArrayLike | Sequence[Any],
    log_reference: ArrayLike | Sequence[Any],
    temperature: ArrayLike | Sequence[Any],
    *,
    mask: ArrayLike | Sequence[Any] | None = None,
    tol: float | int = 1e-6,
    max_steps: int = MAX_STEPS,
    devices: Sequence[Device] | None = None,
    throw: bool = False,
) -> NashPolicies:
    """Solve each prompt for the regularised Nash policy over its K responses, on every processor or on several devices.

    It works on concrete arrays, from the host, and in float64 whatever their dtype and jax's settings are.

    Args:
        preferences: P_ij, the probability that response i is preferred to j, shape ``[prompt, candidate, candidate]``,
            with P + P^T = 1 within 1e-5, of which the antisymmetric part counts; `estimate_preferences` makes them of
            comparisons. A prompt with NaN gets `Status.nonfinite_input`, and stays alone with it.
        log_reference: log pi0, shape ``[prompt, candidate]``, up to a number for each prompt: the reference is
            normalised over the candidates. Zeros, if candidates were drawn from the reference and are to count alike.
        temperature: tau, units of preference per nat, a number > 0 or ``[prompt]``.
        mask: which candidates there are, booleans ``[prompt, candidate]``; all if None. Those with a log-probability of
            -inf are masked, too.
        tol: bound on the gap, in units of preference, whose formula is good to about 1e-31 / tau.
        max_steps: of Newton's method; the tracer of paths solves what these have not. 0 leaves all to the tracer.
        devices: where to work; all local devices of jax's default backend if None.
        throw: raise a `SolveError` if a prompt is not solved. Otherwise `status` tells, for each prompt.

    Returns:
        The policies with their certificates, as numpy arrays.

    Raises:
        ValueError: shapes do not fit each other, or a value or an option is bad; the message names field and prompt.
        SolveError: (``throw``) a prompt is not solved.

    Source: the problem is that of Munos et al. (arXiv 2312.00886), which first-order methods such as mirror prox
    (`gamekl.rules.NashMP`) solve too; the method is derived in `newton`.
    """
    prompts = _check(preferences, log_reference, temperature, mask, tol, max_steps)

    def solve(method: Any, *batch: Any) -> Any:
        found = in_chunks(method, batch, lambda platform: fitting_lanes(platform, batch[0].preferences), devices, True)
        return jax.tree.map(np.array, found)

    found, refused = solve(_by_newton, prompts)
    if refused.any():
        _refuse(prompts, int(np.flatnonzero(refused)[0]))
    left = np.flatnonzero(found.status == Status.not_converged)
    if len(left):
        again = solve(_by_path, *jax.tree.map(lambda leaf: leaf[left], (prompts, found.log_policy)))
        again = eqx.tree_at(lambda new: new.num_steps, again, again.num_steps + found.num_steps[left])
        for leaf, new in zip(jax.tree.leaves(found), jax.tree.leaves(again), strict=True):
            leaf[left] = new
    if throw:
        raise_unless_all_converged(found, "prompt")
    return found
