"""What several tests need: random regularizers and the definitions, written out in numpy."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp

import gamekl as gk


def uniform_rows(key, shape, dtype=float):
    """Logarithms of policies drawn uniformly from the simplex; jax's own sampler takes a second to compile."""
    return jax.nn.log_softmax(jnp.log(jax.random.exponential(key, shape, dtype)))


@jax.jit
def dirichlet_regularizer(key, game, temperature):
    """References drawn uniformly from the simplex."""
    keys = jax.random.split(key, game.num_players)
    references = [uniform_rows(k, (size,), game.dtype) for k, size in zip(keys, game.num_actions, strict=True)]
    return gk.Regularizer(references, temperature)


def dirichlet_policy(key, game):
    """A log-policy for each player, drawn uniformly from the simplex."""
    return dirichlet_regularizer(key, game, 1.0).log_reference


def gains_by_definition(game, concept):
    """The gains of every deviation, as rows over joint actions, by loops."""
    payoffs, rows = np.asarray(game.payoffs), []
    cells = list(np.ndindex(*game.num_actions))
    for player, size in enumerate(game.num_actions):
        for here in range(size) if concept == "ce" else [None]:
            for there in range(size):
                row = []
                for cell in cells:
                    moved = (*cell[:player], there, *cell[player + 1 :])
                    follows = here is None or cell[player] == here
                    row.append((payoffs[(player, *moved)] - payoffs[(player, *cell)]) * follows)
                rows.append(row)
    return np.array(rows)


def action_values_by_definition(payoffs, policy):
    """q_i(a_i) as a sum over all joint actions."""
    payoffs, policy = np.asarray(payoffs), [np.asarray(entry) for entry in policy]
    values = [np.zeros(len(entry)) for entry in policy]
    for actions in itertools.product(*(range(len(entry)) for entry in policy)):
        for player in range(len(policy)):
            others = [policy[j][a] for j, a in enumerate(actions) if j != player]
            values[player][actions[player]] += payoffs[(player, *actions)] * np.prod(others)
    return values


def log(*rows):
    """Log-policies of probabilities."""
    with np.errstate(divide="ignore"):
        return tuple(jnp.asarray(np.log(np.asarray(row, dtype=float))) for row in rows)


def expectation(payoffs, policy, keep):
    """One player's payoffs, averaged over the actions of all players but those in `keep`, whose axes they keep."""
    operands = [payoffs, list(range(payoffs.ndim))]
    for player, probs in enumerate(policy):
        if player not in keep:
            operands += [probs, [player]]
    return np.einsum(*operands, list(keep))


class LogitPath:
    """An independent tracer of the logit path: slow, with small steps, in numpy, and with other unknowns.

    The unknowns are y_i(a) = log pi_i(a) / pi_i(0) for a >= 1, and t = beta kappa; the equations, of which the rank is
    full, are y_i(a) = y_i(a) at the reference + beta (q_i(a) - q_i(0)) / tau_i.
    """

    def __init__(self, game, regularizer):
        temperatures = np.asarray(regularizer.temperatures)
        self.payoffs = [np.asarray(r) / tau for r, tau in zip(game.payoffs, temperatures, strict=True)]
        self.sizes = game.num_actions
        self.cuts = np.cumsum([size - 1 for size in self.sizes])
        self.kappa = max(np.ptp(r) for r in self.payoffs)
        self.anchor = np.concatenate([np.asarray(entry[1:] - entry[0]) for entry in regularizer.log_reference])

    def policy(self, y):
        logits = [np.concatenate([[0.0], part]) for part in np.split(y, self.cuts[:-1])]
        weights = [np.exp(part - part.max()) for part in logits]
        return [part / part.sum() for part in weights]

    def equations(self, y, t):
        """What is to vanish, and its derivatives by y and t."""
        policy, players = self.policy(y), range(len(self.sizes))
        above = [expectation(self.payoffs[i], policy, [i]) for i in players]
        above = np.concatenate([values[1:] - values[0] for values in above])
        blocks = [[np.zeros((n - 1, k - 1)) for k in self.sizes] for n in self.sizes]
        for i in players:
            for j in players:
                if i != j:
                    pairs = expectation(self.payoffs[i], policy, [i, j])
                    pairs = (pairs[1:] - pairs[0]) * policy[j]
                    blocks[i][j] = (pairs - pairs.sum(axis=1, keepdims=True) * policy[j])[:, 1:]
        jacobian = np.eye(y.size) - t / self.kappa * np.block(blocks)
        return y - self.anchor - t / self.kappa * above, np.column_stack([jacobian, -above / self.kappa])

    def correct(self, w, normal, largest):
        """Newton's method in the hyperplane through w; None unless the first correction is small and they converge."""
        start = w
        for _ in range(8):
            values, jacobian = self.equations(w[:-1], w[-1])
            change = np.linalg.solve(np.vstack([jacobian, normal]), np.append(-values, normal @ (start - w)))
            if np.abs(change).max() > largest:
                return None
            w = w + change
            if np.abs(change).max() < 1e-11:
                return w
        return None

    def tangent(self, w, before):
        """The unit vector along the path that does not turn back."""
        vector = np.linalg.svd(self.equations(w[:-1], w[-1])[1])[2][-1]
        return vector * np.sign(vector @ before)

    def improve(self, policy):
        """Newton's method at beta = 1 from a policy near there; None unless it converges."""
        y = np.concatenate([np.log(entry[1:] / entry[0]) for entry in policy])
        found = self.correct(np.append(y, self.kappa), np.append(np.zeros_like(y), 1.0), 1.0)
        return None if found is None else self.policy(found[:-1])

    def first_crossing(self, longest=0.1):
        """The policies where beta = 1 is met for the first time, and how many turning points were passed."""
        up = np.append(np.zeros_like(self.anchor), 1.0)
        w, step, folds = np.append(self.anchor, 0.0), 1e-3, 0
        along = self.tangent(w, up)
        while step > 1e-10:
            ahead = self.correct(w + step * along, along, 2e-3)
            turned = None if ahead is None else self.tangent(ahead, along)
            if turned is None or turned @ along < 0.995:
                step /= 2
            elif ahead[-1] >= self.kappa and step > 1e-3:  # draw near before the last step
                step /= 2
            elif ahead[-1] >= self.kappa:
                share = (self.kappa - w[-1]) / (ahead[-1] - w[-1])
                return self.policy(self.correct(w + share * (ahead - w), up, 1e-3)[:-1]), folds
            else:
                folds += int(turned[-1] * along[-1] < 0)
                w, along, step = ahead, turned, min(1.5 * step, longest)
        raise AssertionError("the path has a singular point")


@partial(jax.jit, static_argnames=("shape", "size", "coldest"))
def mixed_batch(shape, size, coldest=0.02):
    """Random games and references, temperatures of `coldest` to 1 for each player; every fifth game masks an action."""

    def one(key, index):
        keys = jax.random.split(key, len(shape) + 2)
        first, *others = (uniform_rows(k, (n,)) for k, n in zip(keys[2:], shape, strict=True))
        masked = jax.nn.log_softmax(first.at[0].set(-jnp.inf))
        references = [jnp.where(index % 5 == 4, masked, first), *others]
        temperatures = coldest ** jax.random.uniform(keys[1], (len(shape),))
        return gk.games.uniform(keys[0], shape), gk.Regularizer(references, temperatures)

    return jax.vmap(one)(jax.random.split(jax.random.key(0), size), jnp.arange(size))


def rows(batch, index):
    return jax.tree.map(lambda leaf: leaf[index], batch)


def assert_same_bits(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def assert_solved(game, regularizer, solution, atol=1e-9):
    """A fixed point by the definition of the response, in numpy; nothing that the solver says of itself is used."""
    assert solution.status == gk.Status.converged
    policy = [np.asarray(entry) for entry in solution.policy]
    values = action_values_by_definition(game.payoffs, policy)
    for mine, value, reference, tau in zip(
        policy, values, regularizer.log_reference, regularizer.temperatures, strict=True
    ):
        logits = np.asarray(reference) + (value - value.max()) / float(tau)
        np.testing.assert_allclose(mine, np.exp(logits - logsumexp(logits)), atol=atol)


def assert_policies(ours, theirs, atol=1e-9):
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, atol=atol)


@partial(jax.jit, static_argnames="mask")
def random_profile(key, game, mask=False):
    """A log-policy for each player at each stage; `mask` takes away the first player's first action."""
    keys = jax.random.split(key, game.num_players)
    rows = [uniform_rows(k, (*game.stage_shape, n)) for k, n in zip(keys, game.num_actions, strict=True)]
    if mask:
        rows[0] = jax.nn.log_softmax(rows[0].at[..., 0].set(-jnp.inf))
    return tuple(rows)


def led_game():
    """A leader with 2 actions and a follower with 3, in 2 states and steps; next states are nearly certain."""
    rng = np.random.default_rng(0)
    moves = rng.dirichlet(np.full(2, 0.3), size=(2, 2, 2, 3))
    return gk.MarkovGame(rng.uniform(size=(2, 2, 2, 2, 3)), moves, np.array([0.6, 0.4]))


def announced(count):
    """Policies of its leader, ``[horizon, state, strategy, leader]``."""
    return np.random.default_rng(1).dirichlet(np.ones(2), size=(2, 2, count))


def stage_payoffs(game, h, s, ahead):
    """Rewards and what is expected of the next states, ``[player, *actions]``, in numpy."""
    rewards, transitions = np.asarray(game.rewards[h, s]), np.asarray(game.transitions[h, s])
    return np.stack([rewards[i] + transitions @ ahead[:, i] for i in range(len(rewards))])
