"""The representation of every public type is for reading: a few lines, whatever is in it."""

import dataclasses
import inspect
from types import UnionType
from typing import Union, get_args, get_origin

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl.core.show import COLUMNS, LINES, Shown, show

PLACES = (gk, gk.offline, gk.learning, gk.evaluate, gk.preference, gk.stackelberg, gk.rules, gk.games)


def is_record(kind):
    records = isinstance(kind, type) and (issubclass(kind, eqx.Module) or hasattr(kind, "_fields"))
    return records and not inspect.isabstract(kind)


def public_types():
    found = [getattr(place, name) for place in PLACES for name in getattr(place, "__all__", dir(place))]
    return sorted({kind for kind in found if is_record(kind)}, key=lambda kind: f"{kind.__module__}.{kind.__name__}")


def example(annotation, array):
    """Something of that type, and a lot of it."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "dim_str"):
        shape = [7 if name.startswith("*") else 9 for name in annotation.dim_str.split()]
        found = array(shape, annotation.dtypes[0] if annotation.dtypes else "float64")
        return np.asarray(found) if annotation.array_type is np.ndarray else found
    if origin in (Union, UnionType):
        return example(parts[0], array)
    if origin is tuple:
        many = 3 if is_record(parts[0]) or hasattr(parts[0], "dim_str") else 100
        return (
            tuple(example(parts[0], array) for _ in range(many))
            if Ellipsis in parts
            else tuple(example(part, array) for part in parts)
        )
    if is_record(annotation):
        return filled(annotation, array)
    return {int: 10**18, float: 1 / 3, bool: True, str: "long " * 5}.get(annotation, array([9, 9, 9], "float64"))


def filled(kind, array):
    """An object with something in each of its fields, made by no constructor."""
    if hasattr(kind, "_fields"):
        return kind(**{name: example(kind.__annotations__[name], array) for name in kind._fields})
    made = object.__new__(kind)
    for field in dataclasses.fields(kind):
        object.__setattr__(made, field.name, example(field.type, array))
    return made


def concrete(shape, dtype):
    values = np.random.default_rng(0).normal(size=shape)
    number = values > 0 if "bool" in dtype else (values > 1).astype("int32") if "int" in dtype else -np.abs(values)
    return jnp.asarray(number)


def assert_short(text):
    lines = text.split("\n")
    assert len(lines) <= LINES and max(map(len, lines)) <= COLUMNS, text


@pytest.mark.parametrize("kind", public_types(), ids=lambda kind: kind.__name__)
def test_no_type_shows_pages(kind):
    made = filled(kind, concrete)
    assert_short(repr(made))
    jax.eval_shape(lambda made: assert_short(repr(made)), eqx.filter(made, eqx.is_array))


def test_the_types_are_found():
    """So that those above are not of an empty list."""
    assert {gk.NormalFormGame, gk.Solution, gk.offline.Log, gk.stackelberg.ValueBand} <= set(public_types())
    assert len([kind for kind in public_types() if issubclass(kind, Shown)]) > 35


@pytest.fixture(scope="module")
def solved():
    game = gk.NormalFormGame(np.stack([np.eye(2), [[0.0, 3.0], [1.0, 0.0]]]))
    anchor = gk.Regularizer([np.log([0.25, 0.75]), np.log([0.5, 0.5])], 0.5)
    return game, anchor, gk.solve_nash(game, anchor)


def test_a_game_an_anchor_and_a_solution(solved):
    game, anchor, solution = solved
    assert repr(game) == ("NormalFormGame: 2 players, 2 x 2 actions\n  payoffs  [[[1 0] [0 1]] [[0 3] [1 0]]]")
    assert repr(anchor) == "Regularizer\n  reference[0]  0.25 0.75\n  reference[1]  0.5 0.5\n  temperature 0.5"
    first, second, third, *_ = repr(solution).split("\n")
    assert first == "Solution: converged (what was asked for was found)"
    for line, name, policy in [(second, "policy[0]", solution.policy[0]), (third, "policy[1]", solution.policy[1])]:
        assert line.split() == [name, *(f"{chance:.4g}" for chance in policy)]
    assert "\n  path       temperature 0.5 0.5, folds 0, bifurcations 0, crossings 1\n" in repr(solution)


def test_a_batch_counts_how_its_games_ended(solved):
    game, anchor, _ = solved
    bad = gk.NormalFormGame(game.payoffs.at[0, 0, 0].set(jnp.nan))
    batch = gk.stack([game, bad, game, game]), gk.stack([anchor] * 4)
    assert repr(gk.solve_nash_batch(*batch)).startswith("Solution: batch [4]: 3 converged, 1 nonfinite_input\n")
    assert repr(batch[0]).startswith("NormalFormGame: batch [4] of games of 2 players, 2 x 2 actions\n")
    assert repr(batch[0]).endswith("[player, *actions] = [4, 2, 2, 2] from 0 to 3 (1 NaN)")


def test_within_transformations_there_are_shapes(solved):
    game, anchor, _ = solved
    shown = []

    def solve(payoffs):
        solution = gk.solve_nash(gk.NormalFormGame(payoffs), anchor, throw=False)
        shown.append(repr(solution))
        return solution.gap

    jax.vmap(solve)(jnp.stack([game.payoffs] * 3))
    jax.jit(solve)(game.payoffs)
    for text in shown:
        assert text.startswith("Solution\n") and "float64[2]" in text and "status int32[]" in text


@pytest.mark.parametrize("leaf", [None, 0, "axis", object()])
def test_trees_with_other_leaves_are_shown_too(solved, leaf):
    """Such as axes for vmap, or shapes."""
    for thing in solved:
        assert_short(repr(jax.tree.map(lambda _: leaf, thing)))
    assert_short(repr(eqx.filter(solved[2], eqx.is_inexact_array)))


def test_what_was_given_away_is_shown_by_its_shape():
    game = gk.NormalFormGame(jnp.zeros((2, 5, 5)))
    game.payoffs.delete()
    assert repr(game) == "NormalFormGame: 2 players, 5 x 5 actions\n  payoffs  float64[2, 5, 5]"


def test_games_in_stages(solved):
    game = gk.games.markov(jax.random.key(0), (2, 3), num_states=4, horizon=5)
    assert repr(game).startswith("MarkovGame: 2 players, 2 x 3 actions, 5 steps, 4 states\n")
    found = gk.solve_nash(game, gk.Regularizer.uniform(game, 0.3))
    assert "stage_status  stage [5, 4]: 20 converged" in repr(found)
    assert repr(gk.games.polymatrix(jax.random.key(0), (3, 3))).startswith("NormalFormGame: 2 players")


def test_named_tuples():
    featured = gk.games.smooth(jax.random.key(0), (3, 3), num_contexts=300, num_features=8)
    assert show(featured).startswith("Featured\n  game      ContextualGame: 2 players, 3 x 3 actions, 300 contexts\n")
    assert repr(featured) == show(featured)
