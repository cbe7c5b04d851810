"""A config's own behavior: one policy for each player or a joint table, of any number of players."""

import math
import tomllib
from functools import reduce

import jax.numpy as jnp
import numpy as np
import pytest

from gamekl.experiment.run.plan import make_settings
from gamekl.experiment.schema.cases import Tuning
from gamekl.experiment.schema.load import ConfigError, config_toml, parse_config

POLICIES = [[0.2, 0.8], [0.5, 0.25, 0.25], [0.1, 0.9]]
JOINT = reduce(np.multiply.outer, map(np.array, POLICIES))
CASE = Tuning(temperature=0.5)


def config(behavior, num_actions=(2, 3, 2), **family):
    game = {"kind": "uniform", "num_actions": list(num_actions)}
    family = {"label": "a", "game": game, "temperatures": [0.5], "behavior": behavior} | family
    return parse_config({"name": "own", "num_seeds": 2, "family": [family]})


def fault(behavior, num_actions=(2, 3, 2)):
    """The one line that a bad behavior gives."""
    with pytest.raises(ConfigError) as caught:
        config(behavior, num_actions)
    _, line = str(caught.value).split("\n")
    return line.strip()


@pytest.mark.parametrize(
    ("num_actions", "behavior", "joint"),
    [
        ((2, 3, 2), POLICIES, JOINT),
        ((2, 3, 2), JOINT.tolist(), JOINT),
        ((2, 3), POLICIES[:2], np.outer(*POLICIES[:2])),
        ((2, 2), [[0.1, 0.2], [0.3, 0.4]], [[0.1, 0.2], [0.3, 0.4]]),
        ((2, 2), [[0.1, 0.9], [0.7, 0.3]], [[0.07, 0.03], [0.63, 0.27]]),
        ((2, 2), [[1, 0], [0, 0]], [[1, 0], [0, 0]]),
        ((2, 2), [[1, 0], [0, 1]], [[0, 1], [0, 0]]),
        ((3,), [0.2, 0.3, 0.5], [0.2, 0.3, 0.5]),
        ((3,), [[0.2, 0.3, 0.5]], [0.2, 0.3, 0.5]),
        ((2, 1, 2, 2), [[0.5, 0.5], [1], [0.2, 0.8], [1, 0]], [[[[0.1, 0], [0.4, 0]]]] * 2),
        ((2, 2, 2), np.full((2, 2, 2), 1 / 8).tolist(), np.full((2, 2, 2), 1 / 8)),
    ],
)
def test_who_plays_what(num_actions, behavior, joint):
    """Rows that sum to 1 are policies; a table of two players sums to 1 as a whole."""
    swept = config(behavior, num_actions)
    [setting] = make_settings(swept, swept.family[0], CASE)
    np.testing.assert_allclose(setting.behavior, joint, atol=1e-15)
    assert setting.behavior.dtype == jnp.float64


def test_pairs_are_drawn_from_it():
    both = {"estimator": "preferences", "num_samples": {"first": 10}}
    swept = config(POLICIES, **both)
    [setting] = make_settings(swept, swept.family[0], CASE)
    assert setting.behavior.shape == (2, 3, 2) * 2 and math.isclose(setting.behavior.sum(), 1)


def test_it_is_part_of_the_digest_and_of_the_report():
    swept = config(JOINT.tolist())
    assert swept.digest() != config(POLICIES).digest()
    assert config(POLICIES).digest() == config(tuple(map(tuple, POLICIES))).digest()
    assert parse_config(tomllib.loads(config_toml(swept))) == swept


@pytest.mark.parametrize(
    ("behavior", "line"),
    [
        ("unifrm", "family.0.behavior: got 'unifrm'; did you mean 'uniform'? takes 'uniform', 'reference', one policy"),
        (3, "family.0.behavior: got 3, takes 'uniform', 'reference', one policy for each player"),
        ([], "family.0.behavior: got [], takes 'uniform'"),
        ({"a": 1}, "family.0.behavior: got {'a': 1}, takes 'uniform'"),
        ([[["a"] * 2] * 3] * 2, "family.0.behavior: got 'a' at 0.0.0 (12 such entries), takes probabilities from 0 to"),
        ([[0.5, 0.5], [True, 0]], "family.0.behavior: got True at 1.0, takes probabilities"),
        ([[0.5, 0.5], [1.5, -0.5]], "family.0.behavior: got 1.5 at 1.0 (2 such entries), takes probabilities"),
        ([[0.5, 0.5], [float("nan"), 1]], "family.0.behavior: got nan at 1.0, takes probabilities"),
        ([[[0.5], 0.5], 0.5], "family.0.behavior: got [[[0.5], 0.5], 0.5], lists of several lengths or depths, takes "),
        ([[0.5, 0.6], [0.5, 0.5]], "with a sum of 2.1, whose rows sum to 1.1, 1, takes 'uniform', 'reference', one"),
        (np.full((2, 3, 2), 0.1).tolist(), "with a sum of 1.2, whose rows sum to 0.6, 0.6, takes"),
        (POLICIES[:2], "family.0: behavior: got policies of [2, 3] actions, takes [2, 3, 2], one policy for each"),
        ([POLICIES[1], *POLICIES[:2]], "family.0: behavior: got policies of [3, 2, 3] actions, takes [2, 3, 2]"),
        (np.full((2, 2, 2), 1 / 8).tolist(), "family.0: behavior: got a table of shape [2, 2, 2], takes [2, 3, 2], or"),
        ([0.5, 0.5], "family.0: behavior: got a table of shape [2], takes [2, 3, 2], or one policy for each player"),
    ],
)
def test_one_line_says_what_is_wrong(behavior, line):
    assert line in fault(behavior)
