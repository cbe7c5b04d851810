"""Which functions of the package are jitted, public or reached."""

import ast
import importlib
import types
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import equinox as eqx
import jax

MAKERS = ("jit", "filter_jit")
NAMESPACES = ("", "games", "offline", "evaluate", "learning", "preference", "rules", "stackelberg")


def _makes(node: ast.AST) -> bool:
    """Whether it is ``jax.jit``, ``eqx.filter_jit`` or the bare name of one."""
    return getattr(node, "attr", getattr(node, "id", None)) in MAKERS


def jitted(source: str, module: str) -> Iterator[str]:
    """Every function that a module's text jits, at any depth, by its module and ``__qualname__``.

    Of what else is said of jitting, the line, which is no function's name.
    """

    def walk(node: ast.AST, scope: str, known: dict[str, str]) -> Iterator[str]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            for decorator in node.decorator_list:
                if any(map(_makes, ast.walk(decorator))):
                    yield f"{scope}.{node.name}"
            inside = f"{scope}.{node.name}"
            if isinstance(node, ast.FunctionDef):
                inside += ".<locals>"
                own = [child.name for child in node.body if isinstance(child, ast.FunctionDef)]
                known = known | {name: f"{inside}.{name}" for name in own}
            for child in node.body:
                yield from walk(child, inside, known)
        elif isinstance(node, ast.Call) and _makes(node.func) and node.args and isinstance(node.args[0], ast.Name):
            name = node.args[0].id
            yield known.get(name, f"{module}.{name}")
        elif isinstance(node, ast.Call) and _makes(node.func) and node.args and isinstance(node.args[0], ast.Lambda):
            yield f"{scope}.<lambda>"
        elif _makes(node):
            yield f"{module}, line {node.lineno}"  # pyright: ignore[reportAttributeAccessIssue]
        else:
            for child in ast.iter_child_nodes(node):
                yield from walk(child, scope, known)

    yield from walk(ast.parse(source), module, {})


def all_jitted(package: Path) -> set[str]:
    """Those of a package."""
    found = set()
    for path in package.rglob("*.py"):
        module = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        found.update(jitted(path.read_text(encoding="utf-8"), module))
    return found


def public() -> dict[str, Any]:
    """Every public function, and every rule, by the first dotted name that it has."""
    found: dict[int, tuple[str, Any]] = {}
    for namespace in NAMESPACES:
        module = importlib.import_module(f"gamekl.{namespace}".rstrip("."))
        for name in module.__all__:
            value = getattr(module, name)
            if not isinstance(value, types.ModuleType) and (namespace == "rules" or not isinstance(value, type)):
                found.setdefault(id(value), (f"{namespace}.{name}".lstrip("."), value))
    return dict(found.values())


reached: set[str] = set()


def note_what_is_traced() -> None:
    """Have every function that is jitted from now on put its name into `reached` when it is traced."""

    def noting(make: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(make)
        def noted(function: Callable[..., Any], **options: Any) -> Any:
            name = f"{function.__module__}.{getattr(function, '__qualname__', '')}"

            @wraps(function)
            def traced(*arguments: Any, **keywords: Any) -> Any:
                reached.add(name)
                return function(*arguments, **keywords)

            return make(traced if name.startswith("gamekl.") else function, **options)

        return noted

    jax.jit, eqx.filter_jit = noting(jax.jit), noting(eqx.filter_jit)
