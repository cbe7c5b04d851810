"""The layers: core <- games, offline, solvers, evaluate <- learning <- wings <- experiment <- commands <- cli.

Wings never import each other.
"""

import ast
from pathlib import Path

import pytest

import gamekl as gk

PACKAGE = Path(gk.__file__).parent
MIDDLE = ("games", "offline", "solvers", "evaluate")
TRUNK = {"core", *MIDDLE, "learning"}
WINGS = ("preference", "stackelberg", "online", "estimation")
BELOW = {
    "core": {"core"},
    **{folder: {folder, "core"} for folder in MIDDLE},
    "learning": TRUNK,
    "rules": {"core", "solvers"},
    **{wing: {wing, *TRUNK} for wing in WINGS},
    "experiment": {"experiment", "rules", "gamekl", *WINGS, *TRUNK},
    "commands": {"commands", "experiment", "gamekl", *WINGS, *TRUNK},
    "cli": {"cli", "commands", "experiment", "gamekl", *WINGS, *TRUNK},
    "__main__": {"cli"},
    "gamekl": {"rules", *WINGS, *TRUNK},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def layer_of(module):
    """The layer of a dotted module name; "gamekl" for the package's own `__init__` and the names it hands on."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in BELOW else "gamekl"


def module_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(source, package):
    """Every gamekl module that the source text imports, at any depth of the text."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "gamekl")
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: 1 - node.level or None]
                base = ".".join([*above, base] if base else above)
            if base == "gamekl":  # what is named may be a layer or a public name
                yield from (f"gamekl.{alias.name}" for alias in node.names)
            elif base.startswith("gamekl."):
                yield base


def violations(source, module, *, is_package=False):
    """The imports that a module may not have."""
    package = module if is_package else module.rpartition(".")[0]
    allowed = BELOW[layer_of(module)]
    return [name for name in imported(source, package) if layer_of(name) not in allowed]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    assert violations(path.read_text(encoding="utf-8"), module_of(path), is_package=path.name == "__init__.py") == []


def test_every_file_has_a_layer():
    folders = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES}
    assert folders - {"__init__"} <= set(BELOW) - {"gamekl"}
    assert {"core", *MIDDLE, *WINGS, "experiment", "commands", "cli"} <= folders


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("gamekl.core.games", "from gamekl.games import uniform"),
        ("gamekl.core.games", "import gamekl.offline.behavior"),
        ("gamekl.core.games", "import gamekl as gk"),
        ("gamekl.core.games", "from gamekl import Solution"),
        ("gamekl.offline.behavior", "from gamekl.solvers.nash.solve import gane"),
        ("gamekl.offline.behavior", "from gamekl import solvers"),
        ("gamekl.offline.behavior", "from ..solvers import nash"),
        ("gamekl.offline.behavior", "from .. import evaluate"),
        ("gamekl.evaluate.rates", "def late():\n    from gamekl.solvers.nash.solve import solve_nash"),
        (
            "gamekl.evaluate.rates",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import gamekl.games.files.load",
        ),
        ("gamekl.games.random", "from gamekl.experiment.schema.config import RANDOM"),
        ("gamekl.solvers.nash.solve", "import jax, gamekl.offline"),
        ("gamekl.experiment.run.store", "from gamekl.cli import main"),
        ("gamekl.experiment.run.store", "from gamekl.commands.answer import answer"),
        ("gamekl.preference.policies", "from gamekl.stackelberg.follower import respond"),
        ("gamekl.online.mamex", "import gamekl.preference"),
        ("gamekl.learning.markov", "from gamekl import online"),
        ("gamekl.experiment.run.store", "from gamekl import cli"),
    ],
)
def test_checker_catches(module, source):
    assert len(violations(source, module)) == 1


def test_checker_catches_in_a_package():
    assert violations("from ..solvers import nash", "gamekl.offline", is_package=True) == ["gamekl.solvers"]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("gamekl.core.games", "import jax\nfrom gamekl.core.policies import kl"),
        ("gamekl.core.games", "from .policies import kl"),
        ("gamekl.offline.behavior", "from ..core import policies"),
        (
            "gamekl.experiment.run.sweep",
            "import gamekl\nfrom gamekl import games\nfrom gamekl.solvers.nash.solve import gane",
        ),
        ("gamekl.cli", "import gamekl as gk\nfrom gamekl.experiment.show.plot import save_figure"),
        ("gamekl.core.games", "import gamekl_elsewhere"),
    ],
)
def test_checker_lets_pass(module, source):
    assert violations(source, module) == []
