"""What a GPU would be asked to do in one step of each solver, counted where there is none.

    JAX_PLATFORMS=cpu python benchmarks/bench_kernels.py [--quick] [--out FOLDER]

jax's CUDA plugin (``pip install "gamekl[cuda]"``) compiles to the end for a GPU that is only described; nothing is run.
Counted is the optimised program of batches under ``jax.vmap``: kernels and library calls in one turn of its innermost
loop that does most (*a step*) and in one turn of the others, the bytes that a step's kernels read and write, and the
memory that the program takes beside its arguments and results. The roofline is what the device's datasheet says of
those bytes, beside what launching the kernels takes.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from common import digits, parser_with_out, table
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

import gamekl as gk
from gamekl.preference import policies

# NVIDIA's datasheet of the H200 SXM, and what CUDA says of its compute capability.
DEVICE = "NVIDIA H200"
BYTES_A_SECOND = 4.8e12
TARGET = f"""
platform_name: "CUDA" device_description_str: "{DEVICE}"
dnn_version_info {{ major: 9 minor: 12 }} runtime_version {{ major: 13 }}
gpu_device_info {{
  cuda_compute_capability {{ major: 9 }} core_count: 132 fpus_per_core: 128 threads_per_warp: 32
  threads_per_block_limit: 1024 threads_per_core_limit: 2048 shared_memory_per_block: 49152
  shared_memory_per_core: 233472 shared_memory_per_block_optin: 232448 registers_per_core_limit: 65536
  registers_per_block_limit: 65536 block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  clock_rate_ghz: 1.98 memory_bandwidth: {int(BYTES_A_SECOND)} l2_cache_size: 52428800
  device_memory_size: 141000000000
}}
"""
# Seconds from one kernel of a stream to the next, assumed: the order of magnitude.
LAUNCH = 2e-6
# Operations of the optimised program that move or compute nothing by themselves.
FREE = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "while", "conditional", "after-all"),
    *("copy-done", "opt-barrier", "iota"),
}
SIZES = {"pred": 1, "s8": 1, "u8": 1, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}
LINE = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\(([^)]*)\)")


class Instruction(NamedTuple):
    """A line of the optimised program."""

    name: str
    shape: str
    operation: str
    operands: list[str]
    text: str


class Turn(NamedTuple):
    """One turn of a loop.

    Attributes:
        depth: how many loops it is in.
        kernels: launches, library calls among them.
        calls: library calls.
        moved: bytes that all of them read and write, at most: a kernel may read a part of an operand.
    """

    depth: int
    kernels: int
    calls: list[str]
    moved: int


def num_bytes(shape: str) -> int:
    """Of an array, or of all arrays of a tuple."""
    arrays = re.findall(r"(\w+)\[([\d,]*)\]", shape)
    return sum(SIZES[kind] * prod(int(size) for size in sizes.split(",") if size) for kind, sizes in arrays)


def computations(text: str) -> dict[str, list[Instruction]]:
    """The instructions of every computation of an optimised program."""
    found: dict[str, list[Instruction]] = {}
    for line in text.splitlines():
        if begun := re.match(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{$", line):
            current = found[begun[1]] = []
        elif match := LINE.match(line):
            operands = re.findall(r"%([\w.\-]+)", match[4])
            current.append(Instruction(match[1], match[2], match[3], operands, line))
    return found


def loops(text: str) -> Iterator[Turn]:
    """Every loop of an optimised program."""
    bodies = computations(text)
    entry = next(re.match(r"^ENTRY %?([\w.\-]+)", line)[1] for line in text.splitlines() if line.startswith("ENTRY"))

    def visit(name: str, depth: int) -> Iterator[Turn]:
        for instruction in bodies[name]:
            if instruction.operation == "while":
                body = re.search(r"body=%?([\w.\-]+)", instruction.text)[1]
                yield measure(bodies[body], depth)
                yield from visit(body, depth + 1)

    return visit(entry, 0)


def measure(body: list[Instruction], depth: int) -> Turn:
    shapes = {instruction.name: instruction.shape for instruction in body}
    kernels = [instruction for instruction in body if instruction.operation not in FREE]
    calls = [
        re.search(r'custom_call_target="([^"]+)"', one.text)[1] for one in kernels if one.operation == "custom-call"
    ]
    moved = sum(num_bytes(shapes[name]) for one in kernels for name in (one.name, *one.operands) if name in shapes)
    return Turn(depth, len(kernels), calls, moved)


class Case(NamedTuple):
    """A kernel as people call it.

    Attributes:
        name: of the public function.
        size: of the games, or of the prompts' tables.
        batch: how many of them.
        dtype: of the payoffs.
        function: of the batch.
        shapes: of its arguments.
    """

    name: str
    size: tuple[int, ...]
    batch: int
    dtype: str
    function: Callable[..., Any]
    shapes: Any


def of_games(name: str, size: tuple[int, ...], batch: int, function: Callable[..., Any]) -> Iterator[Case]:
    """A function of a game and its anchor, in both dtypes."""

    def draw(dtype: str) -> Any:
        keys = jax.random.split(jax.random.key(0), batch)
        games = jax.vmap(lambda key: gk.games.uniform(key, size, dtype=dtype))(keys)
        return games, jax.vmap(lambda game: gk.Regularizer.uniform(game, 0.1))(games)

    for dtype in ("float64", "float32"):
        yield Case(name, size, batch, dtype, jax.vmap(function), jax.eval_shape(partial(draw, dtype)))


def of_prompts(size: int, batch: int) -> Iterator[Case]:
    """`gk.preference.nash_policies`, which always works in float64."""
    floats = partial(jax.ShapeDtypeStruct, dtype=jnp.float64)
    table, row, one = floats((batch, size, size)), floats((batch, size)), floats((batch,))
    limits = jax.ShapeDtypeStruct((batch,), jnp.int32)
    yield Case(
        "nash_policies",
        (size, size),
        batch,
        "float64",
        policies._by_newton,
        [policies._Prompts(table, row, one, one, limits)],
    )


def cases(quick: bool) -> Iterator[Case]:
    solve = partial(gk.solve_nash, throw=False)
    yield from of_games("solve_nash", (10, 10), 2**14, solve)
    if quick:
        return
    for size, batch in [((10, 10), 256), ((2, 2), 2**14), ((3, 3), 2**14), ((5, 5, 5), 2**14), ((30, 30), 256)]:
        yield from of_games("solve_nash", size, batch, solve)
    yield from of_games("gamd", (10, 10), 2**14, lambda game, anchor: gk.gamd(game, anchor, num_rounds=1000))
    certified = {"num_rounds": 500, "tol": 0.1, "throw": False}
    yield from of_games("sos_md", (10, 10), 2**14, lambda game, anchor: gk.sos_md(game, anchor, **certified))
    rule = gk.rules.EGPO(0.3)
    yield from of_games(
        "follow", (10, 10), 2**14, lambda game, anchor: gk.follow(game, anchor, rule, num_rounds=100, throw=False)
    )
    yield from of_games("solve_correlated", (4, 4), 256, lambda game, _: gk.solve_correlated(game, throw=False))
    yield from of_prompts(16, 2**14)


def row(case: Case, place: SingleDeviceSharding) -> list[str]:
    """Compile, and count."""
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), case.shapes)
    compiled = jax.jit(case.function, out_shardings=place).lower(*shapes).compile()
    turns = list(loops(compiled.as_text()))
    step = max(turns, key=lambda turn: (turn.depth, turn.moved))
    others = [str(turn.kernels) for turn in turns if turn is not step]
    memory = compiled.memory_analysis().temp_size_in_bytes
    return [
        case.name,
        " x ".join(map(str, case.size)),
        f"{case.batch:,}",
        case.dtype,
        str(step.kernels),
        ", ".join(f"{name} {step.calls.count(name)}" for name in dict.fromkeys(step.calls)) or "none",
        digits(step.moved / 1e6),
        digits(step.moved / BYTES_A_SECOND * 1e6),
        digits(step.kernels * LAUNCH * 1e6),
        ", ".join(others),
        digits(memory / 1e6),
    ]


HEADER = (
    *("kernel", "size", "batch", "dtype", "kernels a step", "library calls a step", "MB a step"),
    *("us to move them", "us to launch", "kernels in a turn of other loops", "MB of memory"),
)


def main() -> None:
    options = parser_with_out(__doc__, quick="one kernel only").parse_args()
    jax.config.update("jax_enable_x64", True)
    one = "1 x 1 x 1"  # slices, hosts, devices
    device = topologies.get_topology_desc(one, platform="cuda", target_config=TARGET, topology=one).devices[0]
    rows = [row(case, SingleDeviceSharding(device)) for case in cases(options.quick)]
    text = "\n\n".join(
        [
            "# What a GPU is asked to do",
            f"gamekl {gk.__version__}, jax {jax.__version__}, compiled for an {device.device_kind} and not run: "
            f"{BYTES_A_SECOND / 1e12} TB/s by its datasheet, {LAUNCH * 1e6:.0f} us a launch assumed.",
            table(HEADER, rows),
        ]
    )
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench_kernels.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
