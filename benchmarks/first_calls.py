"""The first call of one public function in a process of its own; prints what it took as JSON.

    python benchmarks/first_calls.py "solve_nash, 10 x 10"     # or without a name: a line for each case

It must run under earlier commits of gamekl too, so it uses nothing else of the benchmarks, and looks for functions
under the names that they had there as well. Seconds are the processors', of all threads.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from inspect import signature
from typing import Any

import numpy as np

Call = Callable[[], Any]
RNG = np.random.default_rng(0)
COMPILED = "/jax/core/compile/backend_compile_duration"


def _find(*paths: str) -> Any:
    """The first of these attributes of gamekl that there is, and all that is loaded with it."""
    for path in paths:
        found = import_module("gamekl")
        try:
            for part in path.split("."):
                found = getattr(found, part)
        except AttributeError:
            continue
        return found
    raise AttributeError(f"gamekl has none of {', '.join(paths)}")


def _pair(*shape: int, temperature: float | list[float] = 0.1) -> tuple[Any, Any]:
    game = _find("NormalFormGame")(RNG.uniform(size=(len(shape), *shape)))
    return game, _find("Regularizer.uniform")(game, temperature)


def _batch(games: int, *shape: int) -> tuple[Any, Any]:
    pairs = [_pair(*shape)] * games
    return tuple(_find("stack")(list(entries)) for entries in zip(*pairs, strict=True))


def _nash(*shape: int) -> Callable[[Any], Call]:
    def make(solve: Any) -> Call:
        pair = _pair(*shape)
        return lambda: solve(*pair)

    return make


def _grad(solve: Any) -> Call:
    import jax

    game, anchor = _pair(10, 10)
    make = _find("NormalFormGame")
    slope = jax.grad(lambda payoffs: solve(make(payoffs), anchor).log_policy[0][0])
    return lambda: slope(game.payoffs)


def _many(solve: Any) -> Call:
    pair = _batch(1024, 10, 10)
    return lambda: solve(*pair)


def _staged(horizon: int, states: int, temperatures: list[float]) -> Callable[[Any], Call]:
    def make(solve: Any) -> Call:
        stages = horizon, states
        chances = RNG.dirichlet(np.ones(states), size=(*stages, 3, 3))
        game = _find("MarkovGame")(RNG.uniform(size=(*stages, 2, 3, 3)), chances, np.full(states, 1 / states))
        anchor = _find("Regularizer.uniform")(game, temperatures)
        return lambda: solve(game, anchor)

    return make


def _contextual(solve: Any) -> Call:
    game = _find("ContextualGame")(RNG.uniform(size=(16, 2, 3, 3)), np.full(16, 1 / 16))
    anchor = _find("Regularizer.uniform")(game, 0.2)
    return lambda: solve(game, anchor)


def _correlated(concept: str, objective: str) -> Callable[[Any], Call]:
    def make(solve: Any) -> Call:
        game, _ = _pair(4, 4)
        return lambda: solve(game, concept=concept, objective=objective)

    return make


def _alone(solve: Any) -> Call:
    game, _ = _pair(4, 4)
    return lambda: solve(game)


def _rounds(function: Any) -> dict[str, int]:
    """How many rounds are played, under the name that this has."""
    name = "num_rounds" if "num_rounds" in signature(function).parameters else "num_steps"
    return {name: 100}


def _played(play: Any) -> Call:
    pair = _pair(10, 10)
    return lambda: play(*pair, throw=False, **_rounds(play))


def _many_played(play: Any) -> Call:
    pair = _batch(256, 10, 10)
    return lambda: play(*pair, **_rounds(play))


def _followed(follow: Any) -> Call:
    rule, pair = _find("rules.EGPO")(0.3), _pair(10, 10)
    return lambda: follow(*pair, rule, throw=False, **_rounds(follow))


def _leaders() -> tuple[Any, Any]:
    return _pair(4, 5, temperature=[0.2, 0.3])


def _committed(solve: Any) -> Call:
    pair = _leaders()
    return lambda: solve(*pair)


def _responses(game: Any, anchor: Any) -> Any:
    strategies = 0.7 * np.eye(4) + 0.075
    draws = [RNG.multinomial(500, np.full(5, 0.2)) for _ in strategies]
    return _find("stackelberg.Responses")(strategies, np.array(draws, dtype=float))


def _fitted(fit: Any) -> Call:
    game, anchor = _leaders()
    log = _responses(game, anchor)
    return lambda: fit(log, anchor, leader_payoffs=game.payoffs[0])


def _likelihood(solve: Any) -> Call:
    game, anchor = _leaders()
    log = _responses(game, anchor)
    estimate = _find("stackelberg.estimate_follower")(log, anchor, leader_payoffs=game.payoffs[0])
    return lambda: solve(log, estimate, anchor, 1.0)


def _led(lead: Any) -> Call:
    import jax

    pair, key = _leaders(), jax.random.key(0)
    return lambda: lead(key, *pair, 5, scale=1.0)


def _online(concept: str) -> Callable[[Any], Call]:
    def make(play: Any) -> Call:
        import jax

        parts = {}
        for name in ("TabularPayoffs", "Optimism", "Mamex"):
            parts[name] = _find(f"online.{name}", f"learning.{name}")
        hypotheses = parts["TabularPayoffs"](_pair(3, 3)[0], noise=0.3)
        learner, key = parts["Mamex"](hypotheses, parts["Optimism"](0.1), concept), jax.random.key(0)
        return lambda: play(key, learner, 20)

    return make


def _prompts(solve: Any) -> Call:
    below = np.tril(RNG.random((256, 16, 16)), -1)
    preferences = below + np.triu(1 - np.swapaxes(below, 1, 2), 1) + np.eye(16) / 2
    return lambda: solve(preferences, np.zeros((256, 16)), 0.1)


def _compared(fit: Any) -> Call:
    wins = RNG.integers(1, 20, size=(8, 8)) * (1 - np.eye(8))
    log = _find("preference.Comparisons", "offline.Comparisons")(wins[None])
    return lambda: fit(log)


def _statistics(draw: Any) -> Call:
    import jax

    game, key = _pair(10, 10)[0], jax.random.key(0)
    return lambda: draw(key, game, np.full((10, 10), 0.01), 10_000, 1.0)


def _estimated(estimate: Any) -> Call:
    import jax

    game = _pair(10, 10)[0]
    log = _find("offline.sample_statistics")(jax.random.key(0), game, np.full((10, 10), 0.01), 10_000, 1.0)
    return lambda: estimate(log)


def _told(tell: Any) -> Call:
    game, anchor = _pair(10, 10)
    return lambda: tell(game, anchor)


def _measured(measure: Any) -> Call:
    game, anchor = _pair(10, 10)
    return lambda: measure(game, anchor, anchor.log_reference)


def _joint(measure: Any) -> Call:
    game, _ = _pair(10, 10)
    return lambda: measure(game, np.full((10, 10), 0.01))


# What is called, under the names that it has or had, and how its arguments are made.
CASES: dict[str, tuple[tuple[str, ...], Callable[[Any], Call]]] = {
    "solve_nash, 2 x 2": (("solve_nash",), _nash(2, 2)),
    "solve_nash, 10 x 10": (("solve_nash",), _nash(10, 10)),
    "solve_nash, 3 x 3 x 3": (("solve_nash",), _nash(3, 3, 3)),
    "jax.grad of solve_nash, 10 x 10": (("solve_nash",), _grad),
    "solve_nash_batch, 10 x 10": (("solve_nash_batch",), _many),
    "solve_nash of a Markov game": (("solve_nash",), _staged(5, 10, [0.2, 0.2])),
    "solve_nash of a contextual game": (("solve_nash",), _contextual),
    "solve_nash_exact": (("solve_nash_exact",), _alone),
    "solve_correlated, CE, entropy": (("solve_correlated",), _correlated("ce", "entropy")),
    "solve_correlated, CE, gini": (("solve_correlated",), _correlated("ce", "gini")),
    "solve_correlated, CCE, entropy": (("solve_correlated",), _correlated("cce", "entropy")),
    "solve_correlated, CCE, gini": (("solve_correlated",), _correlated("cce", "gini")),
    "solve_welfare": (("solve_welfare",), _alone),
    "gamd": (("gamd",), _played),
    "gamd_batch": (("gamd_batch",), _many_played),
    "multiplicative_weights": (("multiplicative_weights",), _played),
    "sos_md": (("sos_md",), _played),
    "follow, EGPO": (("follow",), _followed),
    "quantal_stackelberg": (("stackelberg.quantal_stackelberg",), _committed),
    "strong_stackelberg": (("stackelberg.strong_stackelberg",), _alone),
    "farsighted_stackelberg": (("stackelberg.farsighted_stackelberg",), _staged(2, 3, [0.2, 0.3])),
    "estimate_follower": (("stackelberg.estimate_follower",), _fitted),
    "likelihood_commitment": (("stackelberg.likelihood_commitment",), _likelihood),
    "lead_online": (("stackelberg.lead_online",), _led),
    "play_online, Nash": (("online.play_online", "learning.play_online"), _online("nash")),
    "play_online, CE": (("online.play_online", "learning.play_online"), _online("ce")),
    "play_online, CCE": (("online.play_online", "learning.play_online"), _online("cce")),
    "nash_policies": (("preference.nash_policies",), _prompts),
    "fit_bradley_terry": (("offline.fit_bradley_terry", "preference.fit_bradley_terry"), _compared),
    "sample_statistics": (("offline.sample_statistics",), _statistics),
    "estimate": (("offline.estimate",), _estimated),
    "uniqueness": (("evaluate.uniqueness",), _told),
    "regularized_gap": (("regularized_gap",), _measured),
    "cce_gap": (("evaluate.cce_gap",), _joint),
}


class Clock:
    """Sums up what processors did up to the end of each of jax's steps towards a program."""

    def __init__(self) -> None:
        self.last, self.compiling, self.other, self.programs = time.process_time(), 0.0, 0.0, 0

    def tick(self, event: str, _: float, **__: Any) -> None:
        """At the end of such a step: all since the last one is counted to it."""
        if not event.startswith("/jax/core/compile/"):
            return
        now = time.process_time()
        if event == COMPILED:
            self.compiling += now - self.last
            self.programs += 1
        else:
            self.other += now - self.last
        self.last = now


def measure(name: str) -> dict[str, float]:
    """Seconds of imports and of the first call, those of the latter that went into tracing and compiling; programs."""
    paths, make = CASES[name]
    started = time.process_time()
    import jax

    jax.config.update("jax_enable_x64", True)
    function = _find(*paths)
    imported = time.process_time()
    call = make(function)
    clock = Clock()
    jax.monitoring.register_event_duration_secs_listener(clock.tick)
    begun = clock.last
    jax.block_until_ready(call())
    return {
        "imports": imported - started,
        "first call": time.process_time() - begun,
        "trace and lower": clock.other,
        "compile": clock.compiling,
        "programs": clock.programs,
    }


def main() -> None:
    for name in sys.argv[1:]:
        print(json.dumps(measure(name)), flush=True)
    if not sys.argv[1:]:
        print("\n".join(CASES))


if __name__ == "__main__":
    main()
