"""The figure of a logit path from Python: that of `gamekl path`, and what it refuses."""

import jax
import numpy as np
import pytest
from shell_helpers import run

import gamekl as gk

FOLDING = np.array([[[4.0, 0, 0], [1, 1, 5]], [[5, 5, 0], [3, 4, 5]]])
NAMES = gk.Names(("Ann", "Bob"), (("up", "down"), ("l", "m", "r")))
GAME = gk.NormalFormGame(FOLDING).with_names(NAMES)


@pytest.fixture(scope="module")
def path():
    return gk.trace(GAME, gk.Regularizer.uniform(GAME, 0.1))


def lines(axes):
    return {line.get_label(): np.array(line.get_data()) for line in axes.lines if line.get_gid() is None}


def test_curves_go_through_the_points_and_have_names(path):
    figure = gk.plot_path(path, GAME)
    assert [axes.get_title() for axes in figure.axes] == ["Ann", "Bob"]
    count = int(path.points.count)
    for player, axes in enumerate(figure.axes):
        drawn = lines(axes)
        assert set(drawn) == set(NAMES.actions[player])
        for action, name in enumerate(NAMES.actions[player]):
            rates = 1 / np.asarray(path.points.temperature)[1:count, player]
            shares = np.exp(np.asarray(path.points.log_policy[player])[1:count, action])
            places = np.stack([rates, shares])[:, :, None] - drawn[name][:, None, :]
            assert np.abs(places).max(axis=0).min(axis=1).max() < 1e-9
    assert [axes.get_title() for axes in gk.plot_path(path).axes] == ["player 1", "player 2"]


def test_it_is_the_figure_of_the_shell(capsys, tmp_path, path):
    gk.games.write_nfg(GAME, tmp_path / "game.nfg")
    status, _, err = run(
        capsys, "path", tmp_path / "game.nfg", "--temperature", ".1", "--figure", tmp_path / "shell.png"
    )
    assert (status, err) == (0, "")
    gk.plot_path(path, GAME).savefig(tmp_path / "here.png", dpi=200)
    assert (tmp_path / "here.png").read_bytes() == (tmp_path / "shell.png").read_bytes()


def test_a_path_that_did_not_come_to_its_end_is_drawn_as_far_as_it_went():
    path = gk.trace(GAME, gk.Regularizer.uniform(GAME, 0.1), max_points=4, throw=False)
    assert int(path.status) != gk.Status.converged
    (_, last), _ = (axes.get_xlim() for axes in gk.plot_path(path).axes)
    np.testing.assert_allclose(last, 1 / np.asarray(path.points.temperature)[3, 0])


def test_bad_input(path):
    with pytest.raises(TypeError, match="path: got NormalFormGame, takes a LogitPath"):
        gk.plot_path(GAME)
    batch = jax.tree.map(lambda leaf: leaf[None], path)
    with pytest.raises(ValueError, match=r"path: got a batch of shape \(1,\), takes one path"):
        gk.plot_path(batch)
    with pytest.raises(ValueError, match=r"names: got 2 players of \[1, 3\] actions, takes \[2, 3\]"):
        gk.plot_path(path, gk.Names(("a", "b"), (("x",), ("y", "z", "w"))))
    with pytest.raises(TypeError, match="path: got traced arrays, takes concrete ones"):
        jax.jit(lambda path: gk.plot_path(path) and 0.0)(path)
