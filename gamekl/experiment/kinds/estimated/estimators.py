"""What estimates a game from data, by the name that a config has for it. Loads no jax.

`ESTIMATORS` is the one list; `register_estimator` adds to it, from a module that a config names under `plugins`.
"""

from typing import NamedTuple

from gamekl.experiment.schema.parts import FEATURED, register


class Estimator(NamedTuple):
    """One of them.

    Attributes:
        name: in a config.
        makes: "module:function" of a key, a `Setting` and its `Data`, which is an estimate (`gamekl.offline.Estimate`)
            from data of its own; `Data.statistics` and `Data.rows` draw them.
        games: the kinds of games that it is for; none are all.
        stages: whether games in stages are among all.
        any_solver: whether it is for all solvers, not "gane" alone.
        noisy: whether rewards have noise.
        compares: whether its data are comparisons of joint actions, `pairs` of the behavior.
        auto: whether the first sample size may follow from the prediction.
        alone: whether one dataset is estimated after another, and each sample size is a program of its own.
        known: whether the constant of its rate may be predicted.
        penalized: whether it has a `penalty`.
    """

    name: str
    makes: str
    games: tuple[str, ...] = ()
    stages: bool = True
    any_solver: bool = True
    noisy: bool = True
    compares: bool = False
    auto: bool = True
    alone: bool = False
    known: bool = False
    penalized: bool = False


ESTIMATORS: dict[str, Estimator] = {}


def register_estimator(estimator: Estimator) -> Estimator:
    """Add an estimator.

    Raises:
        ValueError: another one has its name.
    """
    return register(ESTIMATORS, estimator.name, estimator, "estimator")


_HERE = "gamekl.experiment.kinds.estimated.estimates"
for _estimator in (
    Estimator("tabular", f"{_HERE}:tabular", known=True),
    Estimator("ridge", f"{_HERE}:ridge", games=FEATURED, any_solver=False, known=True, penalized=True),
    Estimator(
        "neural", f"{_HERE}:neural", games=FEATURED[1:], any_solver=False, alone=True
    ),  # a network needs features of contexts
    Estimator(
        "preferences",
        f"{_HERE}:preferences",
        stages=False,
        any_solver=False,
        noisy=False,
        compares=True,
        auto=False,
        known=True,
    ),
):
    register_estimator(_estimator)
