"""Data of a sweep, and what is estimated from them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from gamekl.experiment.kinds.computing import named
from gamekl.experiment.kinds.estimated.estimators import ESTIMATORS
from gamekl.experiment.kinds.setting import Setting
from gamekl.offline.models import ActionRidge, Ridge
from gamekl.offline.neural import Neural
from gamekl.offline.regression import Estimate, estimate
from gamekl.offline.rows import sample_dataset
from gamekl.offline.statistics import sample_statistics
from gamekl.preference.joint_comparisons import estimate_payoffs, sample_joint_comparisons


class Data(eqx.Module):
    """How a dataset is drawn and what is made of it.

    Attributes:
        num_samples: rows, episodes or comparisons.
        noise: standard deviation, or "bernoulli".
        penalty: of a ridge estimate.
        estimator: of `ESTIMATORS`.
        num_rows: `num_samples` where one dataset is estimated after another, else None.
        measures: the metrics that measure any profile, of those that are asked for.
    """

    num_samples: Array
    noise: Array | str
    penalty: Array
    estimator: str = eqx.field(static=True)
    num_rows: int | None = eqx.field(static=True, default=None)
    measures: tuple[str, ...] = eqx.field(static=True, default=())

    @property
    def spread(self) -> Array:
        """The standard deviation of a reward, or what it is at most."""
        return jnp.asarray(0.5) if isinstance(self.noise, str) else self.noise

    def statistics(self, key: Array, setting: Setting) -> Any:
        """Counts and sums of a dataset's rewards, of any size at no more cost (`gamekl.offline.sample_statistics`)."""
        return sample_statistics(key, setting.game, setting.behavior, self.num_samples, self.noise)

    def rows(self, key: Array, setting: Setting) -> Any:
        """The dataset row by row (`gamekl.offline.sample_dataset`), of estimators that are for one after another."""
        if self.num_rows is None:
            raise ValueError(f"estimator: got rows for {self.estimator!r}, takes them where it is `alone`")
        return sample_dataset(key, setting.game, setting.behavior, self.num_rows, self.noise)

    def estimate(self, key: Array, setting: Setting) -> Estimate:
        """From data of its own."""
        return named(ESTIMATORS[self.estimator].makes)(key, setting, self)


def tabular(key: Array, setting: Setting, data: Data) -> Estimate:
    """Means of the rewards of each joint action."""
    return estimate(data.statistics(key, setting))


def ridge(key: Array, setting: Setting, data: Data) -> Estimate:
    """Linear in the features, of contexts and joint actions or of contexts alone."""
    features: Any = setting.features
    kind = ActionRidge if features.ndim == 2 else Ridge
    return estimate(data.statistics(key, setting), model=kind(features, data.penalty))


def neural(key: Array, setting: Setting, data: Data) -> Estimate:
    """A network of the contexts' features."""
    data_key, net_key = jax.random.split(key)
    rows = data.rows(data_key, setting)
    return estimate(rows, model=Neural(net_key, setting.features))


def preferences(key: Array, setting: Setting, data: Data) -> Estimate:
    """Payoffs by maximum likelihood from comparisons of joint actions."""
    return estimate_payoffs(sample_joint_comparisons(key, setting.game, setting.behavior, data.num_samples))
