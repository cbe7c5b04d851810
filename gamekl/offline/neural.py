"""Neural least squares: payoffs as functions of features of contexts.

Row k = 1..n has a context s_k with features x(s_k), a joint action a_k, and a reward r_ki of each player i. The
estimate is the mean of a few members, each of the form

    f_i(s, a) = theta_ia . (1, x(s)) + g_ia(x(s)),

where theta comes from ridge regression, for each player and joint action, and the network g, with an output for each,
starts at 0 and then reduces what is left of

    mean over rows k and players i of (f_i(s_k, a_k) - r_ki)^2                                        (theory A1).

A game that is linear in x is thus met by its ridge fit. Each member holds rows of its own out, at random. They choose
the ridge penalty, and when to stop: it is the network's average over its last steps (Polyak's) with the least loss on
them that counts. Features, and each player's rewards, are standardised; all arithmetic of the fit is in float32.

One step takes the contexts of a batch of rows, and all rows of these contexts by their mean rewards, which has the
gradient of the mean over rows as its expectation, and less noise than the rows of the batch alone (derived:
conditioning on the contexts).
"""

from functools import partial
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from gamekl.core.arrays import as_float_array
from gamekl.core.kernels.lanes import solve_positive
from gamekl.core.policies import is_concrete
from gamekl.core.show import Shown
from gamekl.core.status import FitStatus
from gamekl.core.validation import check_finite, check_whole
from gamekl.offline.dataset import ContextualDataset

PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)  # of standardised features, in rows
CONSTANT = 1e-3  # the share of the penalty that the constant pays
WARM_UP = 200  # steps until the learning rate is reached
CHECK_EVERY = 100  # steps
AVERAGED = 100  # steps, in the average network

Payoffs = Float[Array, "context player *actions"]


class NeuralFit(Shown):
    """What training came to: the estimated payoffs and each member's losses.

    Attributes:
        payoffs: the members' mean, shape ``[context, player, *actions]``.
        train_loss: mean square of each member's residuals in the rows that it trained on, over players too, payoff
            units squared, shape ``[member]``.
        validation_loss: the same in the rows that it held out (lower than for fresh rows, as it chose by them).
        num_steps: after how many steps each member was best, shape ``[member]``; 0 is the ridge fit.
        status: a `FitStatus` value of each member, shape ``[member]``; `FitStatus.max_steps` where the held-out loss
            may still have fallen.
    """

    payoffs: Payoffs
    train_loss: Float[Array, " member"]
    validation_loss: Float[Array, " member"]
    num_steps: Int[Array, " member"]
    status: Int[Array, " member"]
    status_type: ClassVar = FitStatus


class Neural(eqx.Module):
    """Least squares over neural networks of contexts' features; see the module for the method.

    The key alone decides what is random. ``jax.vmap`` over keys and data trains seeds side by side. Memory is several
    times that of the payoffs ``[context, player, *actions]``.

    Attributes:
        key: of the held-out rows, the networks' first weights and the batches.
        features: x(s), shape ``[context, feature]``; contexts without rows are estimated from theirs (and have
            probability 0 in the estimate). Where no two rows share a context, there is a context for each row.
        num_members: how many networks are trained, on different splits of the rows, and averaged.
        width: of the networks' hidden layers.
        depth: how many hidden layers there are.
        learning_rate: of Adam.
        batch_size: rows in a step.
        max_steps: of each member, rounded up to hundreds; reached only where the held-out loss still falls.
        patience: steps without a lower held-out loss until training stops; it is looked at every hundred.
        holdout: share of the rows that each member holds out.

    Raises:
        ValueError: a feature that is not finite, features of another shape, or an option out of range.
    """

    key: Array
    features: Float[Array, "context feature"] = eqx.field(converter=partial(as_float_array, "features"))
    num_members: int = eqx.field(static=True, kw_only=True, default=4)
    width: int = eqx.field(static=True, kw_only=True, default=128)
    depth: int = eqx.field(static=True, kw_only=True, default=2)
    learning_rate: float | int = eqx.field(static=True, kw_only=True, default=1e-3)
    batch_size: int = eqx.field(static=True, kw_only=True, default=256)
    max_steps: int = eqx.field(static=True, kw_only=True, default=8000)
    patience: int = eqx.field(static=True, kw_only=True, default=800)
    holdout: float = eqx.field(static=True, kw_only=True, default=0.1)

    def __check_init__(self) -> None:
        if self.features.ndim != 2 or 0 in self.features.shape:
            raise ValueError(
                f"features: got shape {self.features.shape}, takes [context, feature] with at least one of each"
            )
        names = ("num_members", "width", "depth", "batch_size", "max_steps", "patience")
        check_whole(**{name: getattr(self, name) for name in names})
        if not 0 < self.learning_rate < np.inf:
            raise ValueError(f"learning_rate: got {self.learning_rate}, takes a finite number > 0")
        if not 0 < self.holdout < 1:
            raise ValueError(f"holdout: got {self.holdout}, takes a share of the rows between 0 and 1")
        if is_concrete(self.features):
            check_finite("features", np.asarray(self.features))

    def fit(self, data: ContextualDataset) -> Payoffs:
        """The payoffs of all contexts, seen or not, in the dtype of the rewards.

        Joint actions without rows get each player's mean reward, in all contexts.

        Raises:
            ValueError: another number of contexts than the features have, or a single row.
        """
        return self.train(data).payoffs

    def train(self, data: ContextualDataset) -> NeuralFit:
        """Fit the payoffs of all contexts, as `fit` does, and return the losses too."""
        if data.num_contexts != self.features.shape[0]:
            raise ValueError(
                f"features: got {self.features.shape[0]} contexts, takes the data's num_contexts = {data.num_contexts}"
            )
        if data.contexts.shape[0] < 2:
            raise ValueError("contexts: got 1 row, takes at least 2: some to train on and some to hold out")
        return _train(self, data)


class _Rows(NamedTuple):
    contexts: Int[Array, " row"]
    cells: Int[Array, " row"]
    targets: Float[Array, "row player"]

    def take(self, index: Int[Array, " _"]) -> "_Rows":
        return _Rows(*(column[index] for column in self))


class _State(NamedTuple):
    params: Any
    optimizer: Any
    average: Any
    best: Any
    best_loss: Float[Array, ""]
    best_step: Int[Array, ""]
    step: Int[Array, ""]


def _moments(values: Float[Array, "row column"]) -> tuple[Float[Array, " column"], Float[Array, " column"]]:
    spread = values.std(axis=0)
    return values.mean(axis=0), jnp.where(spread > 0, spread, 1)


@eqx.filter_jit
def _train(model: Neural, data: ContextualDataset) -> NeuralFit:
    centre, spread = _moments(model.features)
    x = ((model.features - centre) / spread).astype(jnp.float32)
    x = jnp.concatenate([jnp.ones((len(x), 1), x.dtype), x], axis=1)
    mean, scale = _moments(data.rewards)
    cells = jnp.ravel_multi_index(tuple(data.actions.astype(jnp.int32).T), data.num_actions, mode="clip")
    rows = _Rows(data.contexts.astype(jnp.int32), cells, ((data.rewards - mean) / scale).astype(jnp.float32))
    train = partial(_train_member, model, x, rows, scale.astype(jnp.float32), int(np.prod(data.num_actions)))
    with jax.default_matmul_precision("highest"):
        tables, *results = jax.lax.map(train, jax.random.split(model.key, model.num_members))
    payoffs = tables.mean(axis=0).astype(mean.dtype) * scale[:, None] + mean[:, None]
    return NeuralFit(payoffs.reshape(*payoffs.shape[:2], *data.num_actions), *results)


def _ridge(
    x: Float[Array, "context input"],
    counts: Float[Array, "context cell"],
    sums: Float[Array, "context player cell"],
    held: _Rows,
) -> Float[Array, "input player cell"]:
    """Weights of the ridge regression for each player and joint action, at the penalty that held-out rows choose."""
    products = jnp.einsum("sc,si,sj->cij", counts, x, x)
    right = jnp.einsum("si,spc->cip", x, sums)
    penalized = jnp.eye(x.shape[1], dtype=x.dtype).at[0, 0].set(CONSTANT)

    def fit(penalty: Float[Array, ""]) -> tuple[Float[Array, "cell input player"], Float[Array, ""]]:
        weights = solve_positive(products + penalty * penalized, right)
        found = jnp.einsum("ki,kip->kp", x[held.contexts], weights[held.cells])
        return weights, jnp.mean((found - held.targets) ** 2)

    weights, losses = jax.lax.map(fit, jnp.asarray(PENALTIES, x.dtype))
    return jnp.moveaxis(weights[jnp.argmin(losses)], 0, -1)


def _train_member(
    model: Neural,
    x: Float[Array, "context input"],
    rows: _Rows,
    scale: Float[Array, " player"],
    num_cells: int,
    key: Array,
) -> tuple[Float[Array, "context player cell"], Float[Array, ""], Float[Array, ""], Int[Array, ""], Int[Array, ""]]:
    """The member's table of standardised payoffs, its losses in training and validation, its best step, its status."""
    split_key, net_key, batch_key = jax.random.split(key, 3)
    num_rows, num_players = rows.targets.shape
    num_held = min(max(1, round(model.holdout * num_rows)), num_rows - 1)
    order = jax.random.permutation(split_key, num_rows)
    held, kept = rows.take(order[:num_held]), rows.take(order[num_held:])

    counts = jnp.zeros((len(x), num_cells), x.dtype).at[kept.contexts, kept.cells].add(1)
    sums = jnp.zeros((len(x), num_players, num_cells), x.dtype).at[kept.contexts, :, kept.cells].add(kept.targets)
    means = sums / jnp.maximum(counts, 1)[:, None]
    shares = counts / jnp.maximum(counts.sum(axis=1, keepdims=True), 1)
    weights = _ridge(x, counts, sums, held)

    inputs, outputs = x.shape[1] - 1, num_players * num_cells
    net = eqx.nn.MLP(inputs, outputs, model.width, model.depth, jax.nn.gelu, dtype=x.dtype, key=net_key)
    last = net.layers[-1]
    net = eqx.tree_at(lambda net: net.layers[-1], net, jax.tree.map(jnp.zeros_like, last))
    params, static = eqx.partition(net, eqx.is_inexact_array)
    optimizer = optax.adam(optax.warmup_constant_schedule(0.0, model.learning_rate, WARM_UP))

    def predict(params: Any, contexts: Array) -> Float[Array, "_ player cell"]:
        inputs = x[contexts]
        bent = jax.vmap(eqx.combine(params, static))(inputs[:, 1:])
        return jnp.einsum("si,ipc->spc", inputs, weights) + bent.reshape(-1, num_players, num_cells)

    def residuals(params: Any, rows: _Rows) -> Float[Array, "row player"]:
        found = predict(params, rows.contexts)
        return jnp.take_along_axis(found, rows.cells[:, None, None], axis=2)[..., 0] - rows.targets

    def loss(params: Any, contexts: Int[Array, " batch"]) -> Float[Array, ""]:
        squares = (predict(params, contexts) - means[contexts]) ** 2
        return jnp.sum(shares[contexts, None] * squares) / (len(contexts) * num_players)

    def take_step(carry: tuple[Any, Any, Any], step: Array) -> tuple[tuple[Any, Any, Any], None]:
        params, moments, average = carry
        drawn = jax.random.randint(jax.random.fold_in(batch_key, step), (model.batch_size,), 0, num_rows - num_held)
        gradient = jax.grad(loss)(params, kept.contexts[drawn])
        with jax.numpy_dtype_promotion("standard"):  # optax takes floats to the power of its counter
            updates, moments = optimizer.update(gradient, moments, params)
        params = optax.apply_updates(params, updates)
        newest = jnp.maximum(1 / (step + 1).astype(x.dtype), 1 / AVERAGED)
        return (params, moments, optax.incremental_update(params, average, newest)), None

    def advance(state: _State) -> _State:
        carry = (state.params, state.optimizer, state.average)
        (params, moments, average), _ = jax.lax.scan(
            take_step, carry, state.step + jnp.arange(CHECK_EVERY, dtype=jnp.int32)
        )
        step, current = state.step + CHECK_EVERY, jnp.mean(residuals(average, held) ** 2)
        better = current < state.best_loss
        best, best_loss, best_step = jax.tree.map(
            partial(jnp.where, better), (average, current, step), (state.best, state.best_loss, state.best_step)
        )
        return _State(params, moments, average, best, best_loss, best_step, step)

    def goes_on(state: _State) -> Array:
        return (state.step < model.max_steps) & (state.step - state.best_step < model.patience)

    zero = jnp.zeros((), jnp.int32)
    first = _State(params, optimizer.init(params), params, params, jnp.mean(residuals(params, held) ** 2), zero, zero)
    final = jax.lax.while_loop(goes_on, advance, first)
    table = predict(final.best, jnp.arange(len(x)))

    def error(part: _Rows) -> Float[Array, ""]:
        return jnp.mean((scale * (table[part.contexts, :, part.cells] - part.targets)) ** 2)

    settled = final.step - final.best_step >= model.patience
    status = jnp.where(settled, FitStatus.converged, FitStatus.max_steps)
    status = jnp.where(jnp.isfinite(final.best_loss), status, FitStatus.nonfinite_input).astype(jnp.int32)
    return table, error(kept), error(held), final.best_step, status
