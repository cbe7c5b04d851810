"""All of gamekl lowers for GPUs and TPUs from a machine without either, with the kernels that are meant for them."""

import re
from functools import cache

import jax
import pytest
from lowering.inputs import anchors, made, many
from lowering.jitted import all_jitted, jitted, public
from lowering.process import PACKAGE, lower
from lowering.programs import CALLERS, ON_HOST, PROBES, PROGRAMS

import gamekl as gk
from gamekl.core.kernels import calls as marks

# What jax brings along for NVIDIA's libraries, and what XLA's compiler for TPUs knows.
KNOWN = {
    "cuda": {
        "cusolver_getrf_ffi",
        "cu_lu_pivots_to_permutation",
        "cusolver_potrf_ffi",
        "cusolver_syevd_ffi",
        "cusolver_gesvdj_ffi",
    },
    "tpu": {"LuDecomposition", "Eigh", "Qr", "ProductOfElementaryHouseholderReflectors"},
}


# In float32 the same kernels are called; a program of it takes as long.
DTYPES = [pytest.param(dtype, marks=pytest.mark.slow) if dtype == "float32" else dtype for dtype in PROGRAMS]
EVERY = [
    pytest.param(dtype, name, marks=[pytest.mark.slow] if dtype == "float32" else [], id=f"{dtype} {name}")
    for dtype, programs in PROGRAMS.items()
    for name in programs
]

lowered = cache(lower)


@pytest.mark.parametrize(("dtype", "name"), EVERY)
def test_it_lowers_and_calls_only_what_the_machine_has(dtype, name):
    found = lowered(dtype)
    assert name not in found.errors, found.errors[name]
    for platform, known in KNOWN.items():
        assert found.calls[name][platform].keys() <= known


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_known_call_is_made_somewhere(dtype):
    for platform, known in KNOWN.items():
        assert set().union(*(calls[platform] for calls in lowered(dtype).calls.values())) == known


def test_every_jitted_function_is_in_a_program():
    found = all_jitted(PACKAGE)
    assert len(found) > 60
    for_older_jax = {"_in_conditional": marks.KEEPS_BARRIERS, "_call": marks.JOINS_LOOPS}
    idle = {f"{marks.__name__}.{name}.<locals>.<lambda>" for name, is_newer in for_older_jax.items() if is_newer}
    assert found - set(lowered("float64").reached) == set(PROBES) | set(CALLERS) | idle


def test_a_new_jitted_function_is_found(tmp_path):
    new = tmp_path / "gamekl" / "solvers" / "new.py"
    new.parent.mkdir(parents=True)
    new.write_text("import jax\n\n@jax.jit\ndef solve(game):\n    return game\n", encoding="utf-8")
    assert all_jitted(tmp_path / "gamekl") - set(lowered("float64").reached) == {"gamekl.solvers.new.solve"}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("@jax.jit\ndef f(): pass", ["m.f"]),
        ("@partial(jax.jit, static_argnames='n')\ndef f(n): pass", ["m.f"]),
        ("@eqx.filter_jit\ndef f(): pass", ["m.f"]),
        ("@jit\ndef f(): pass", ["m.f"]),
        ("class C:\n    @jax.jit\n    def f(self): pass", ["m.C.f"]),
        ("def f(): pass\ng = jax.jit(f, static_argnames='n')", ["m.f"]),
        ("def f():\n    def g(): pass\n    return eqx.filter_jit(g)", ["m.f.<locals>.g"]),
        ("def f(): pass\ndef g():\n    return jax.jit(f)", ["m.f"]),
        ("def f():\n    return jax.jit(lambda x: x)", ["m.f.<locals>.<lambda>"]),
        ("\nmake = jax.jit", ["m, line 2"]),
        ("def f(): pass\njax.vmap(f)\njitter = 0", []),
    ],
)
def test_what_is_jitted_is_found_in_the_text(source, found):
    names = list(jitted(source, "m"))
    assert names == found


NAMES = {name.split(",")[0] for name in PROGRAMS["float64"]}


def without_program():
    return set(public()) - NAMES - set(ON_HOST)


def test_every_public_function_has_a_program_or_a_reason():
    assert without_program() == set()
    assert set(ON_HOST) <= set(public()) - NAMES


def test_a_new_public_function_is_found(monkeypatch):
    monkeypatch.setattr(gk.offline, "fresh", lambda: None, raising=False)
    monkeypatch.setattr(gk.offline, "__all__", [*gk.offline.__all__, "fresh"])
    assert without_program() == {"offline.fresh"}


def text_of(size, number, platform):
    """The program of ``vmap(solve_nash)`` for so many games with two players and so many actions each."""
    game = made(lambda: gk.games.uniform(jax.random.key(0), (size, size)))
    solve = jax.jit(jax.vmap(lambda game, anchor: gk.solve_nash(game, anchor, throw=False)))
    shapes = many(game, number)(), many(anchors(game), number)()
    text = jax.export.export(solve, platforms=[platform])(*shapes).mlir_module()
    return re.sub(r" loc\(.*\)$|^#loc.*$", "", text, flags=re.MULTILINE)  # without the lines that traced it


def widths(text, size):
    """Lanes of what has one entry for each action of both players."""
    return {int(width) for width in re.findall(rf"tensor<{2 * size}x(\d+)xf64>", text)}


def test_an_accelerator_has_lanes_of_its_own_number():
    """One for games of a size, whatever the batch, so that their bits do not follow it."""
    for number in (100, 20_000):
        text = text_of(10, number, "cuda")
        assert widths(text, 10) == {8192}
        assert "custom_call" not in text
    assert widths(text_of(10, 4096, "cpu"), 10) == {64}


def test_large_games_are_factored_all_at_once():
    """Those that are in lanes; whereas LAPACK is called for one after another."""
    for platform, calls in (("cuda", "cusolver_getrf_ffi"), ("cpu", "lapack_dgetrf_ffi")):
        factored = re.findall(rf"custom_call @{calls}\(.*-> \(tensor<([\dx]+)xf64>", text_of(30, 256, platform))
        assert len(factored) == 1
        assert factored[0].split("x")[:-2] == {"cuda": ["1024"], "cpu": []}[platform]


def test_the_program_is_the_platforms_and_not_the_hosts(monkeypatch):
    expected = text_of(4, 100, "cuda")
    jax.clear_caches()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert text_of(4, 100, "cuda") == expected
