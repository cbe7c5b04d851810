"""One table of all shards, of stores made by hand, and what is told of runs that are not whole."""

import csv
import io

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from shell_helpers import refused, run

from gamekl.experiment.run.origin import Origin
from gamekl.experiment.run.plan import make_chunks
from gamekl.experiment.run.store import SCHEMA_VERSION, Store, StoreError
from gamekl.experiment.schema.cases import Case, Curve, Plan
from gamekl.experiment.schema.columns import PLACES, result_columns
from gamekl.experiment.schema.load import parse_config
from gamekl.experiment.show.export import export, take_stock

LABELS = (
    "<script>alert(1)</script>",
    """both "quotes" and 'apostrophes', & a comma""",
    "ünïcödé τ 囚人 $name $x_1$ {y}",
)
SIZES = (100, 1_000, 10_000)
SEEDS, WIDTH = 8, 4
# Columns that other kinds of families have.
UNUSED = ("average_nash_gap", "kl", "suboptimality", "follower_error", "coverage", "regret")
ORIGIN = Origin("0.1.0", "0.10.1", "0.10.1", "2.4.6", device="cpu <&>", devices=1)
COLUMNS = ("regularized_gap", "nash_gap", "regularized_cce_gap", "cce_gap", "residual")


def config(**changes):
    families = [{"label": label, "game": {"kind": "shapley"}, "temperatures": [0.5]} for label in LABELS]
    return parse_config({"name": "nasty", "num_seeds": SEEDS, "seeds_per_chunk": WIDTH, "family": families, **changes})


def plan(labels=LABELS):
    shared = {
        "metrics": ["regularized_gap"],
        "curves": [Curve.of("regularized_gap", "num_samples", len(SIZES), slope=-1.0, constant=2.0, fit="independent")],
        "solver": "gane",
        "temperature": 0.5,
        "concentrability": None,
        "scale": None,
        "num_games": 1,
        "num_seeds": SEEDS,
        "num_samples": list(SIZES),
        "num_rounds": [],
        "seeds_per_chunk": WIDTH,
        "slope": -1.0,
        "constant": 2.0,
        "remark": None,
    }
    return Plan(cases=tuple(Case(family=0, label=label, panel=label, **shared) for label in labels), files={})


def rows(case, chunk, n, status, unvisited):
    """One shard: errors of 2/n, times something in which seeds and cases differ."""
    size = chunk.num_seeds
    seeds = np.arange(chunk.first_seed, chunk.first_seed + size)
    gap = 2.0 / n * (1 + 0.1 * np.sin(seeds)) * (1 + chunk.case)
    return pa.table(
        {
            "case": pa.array(np.full(size, chunk.case, dtype=np.int32)),
            "label": pa.array([case.label] * size).dictionary_encode(),
            "temperature": pa.array(np.full(size, 0.5)),
            "concentrability": pa.nulls(size, pa.float64()),
            "scale": pa.nulls(size, pa.float64()),
            "num_samples": pa.array(np.full(size, n, dtype=np.int64)),
            "game": pa.array(np.zeros(size, dtype=np.int32)),
            "seed": pa.array(seeds.astype(np.int32)),
            **{name: pa.array(gap) for name in COLUMNS},
            "bound": pa.array(np.ones(size)),
            "solver_gap": pa.array(np.full(size, 1e-20)),
            "num_steps": pa.array(np.full(size, 7, dtype=np.int32)),
            "num_rounds": pa.nulls(size, pa.int32()),
            "status": pa.array(np.full(size, status, dtype=np.int32)),
            "unvisited": pa.array(np.full(size, unvisited, dtype=np.int32)),
            **{name: pa.nulls(size, pa.float64()) for name in UNUSED},
            **{name: pa.nulls(size, pa.int32()) for name in ("exceeded", "num_queries", "first_gap", "first_kl")},
        }
    )


def parquet(table, gamekl="0.1.0"):
    buffer = io.BytesIO()
    facts = {
        "gamekl_schema": str(SCHEMA_VERSION),
        "gamekl": gamekl,
        "config_sha256": config().digest(),
        "dtype": "float64",
    }
    pq.write_table(table.replace_schema_metadata(facts), buffer)
    return buffer.getvalue()


def make_run(folder, *, planned=None, shards=None, statuses=None, unvisited=None, origin=ORIGIN):
    """A run of all planned shards, or of the first so many; statuses and missed cells by (case, point)."""
    store = Store(folder)
    store.open(config().canonical())
    made = store.write_plan(planned or plan())
    for chunk in make_chunks(made)[:shards]:
        case, cell = made.cases[chunk.case], (chunk.case, chunk.point)
        table = rows(
            case, chunk, case.num_samples[chunk.point], (statuses or {}).get(cell, 0), (unvisited or {}).get(cell, 0)
        )
        store.write_shard(chunk.name, parquet(table), table.num_rows, origin)
    return store


def damage(store, index=0):
    path = sorted(store.shards.iterdir())[index]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path.stem


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A complete run; tests must not change it."""
    return make_run(tmp_path_factory.mktemp("whole") / "run")


def expected():
    """Every column of every row that the shards of a whole run have, in order."""
    made = plan()
    return pa.concat_tables(
        rows(made.cases[chunk.case], chunk, SIZES[chunk.point], 0, 0) for chunk in make_chunks(made)
    )


def test_parquet(whole, tmp_path):
    count, stock = export(whole, tmp_path / "table.parquet")
    assert (count, stock.state, stock.notices) == (len(LABELS) * len(SIZES) * SEEDS, "complete", [])
    found = pq.read_table(tmp_path / "table.parquet")
    assert found.to_pydict() == expected().to_pydict()
    assert found.schema.field("label").type == pa.string()
    assert {key.decode(): value.decode() for key, value in found.schema.metadata.items()} == {
        "gamekl_schema": str(SCHEMA_VERSION),
        "gamekl": "0.1.0",
        "config_sha256": config().digest(),
        "dtype": "float64",
    }


def test_csv(whole, tmp_path):
    """Numbers to the last digit, labels as they are, nothing where there is nothing."""
    export(whole, tmp_path / "table.csv")
    found = pyarrow.csv.read_csv(tmp_path / "table.csv").to_pydict()
    truth = expected().to_pydict()
    assert set(found) == set(truth)
    assert all(found[name] == truth[name] for name in truth)
    with open(tmp_path / "table.csv", encoding="utf-8") as file:
        first = next(csv.DictReader(file))
    assert (first["bound"], first["seed"], first["scale"]) == ("1.0", "0", "")  # no reader takes a column for integers


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_other_libraries_read_it(whole, tmp_path, library, suffix):
    module = pytest.importorskip(library)
    export(whole, tmp_path / f"table.{suffix}")
    frame = getattr(module, f"read_{suffix}")(tmp_path / f"table.{suffix}")
    truth = expected()
    assert list(frame["label"]) == truth["label"].to_pylist()
    np.testing.assert_array_equal(frame["regularized_gap"].to_numpy(), truth["regularized_gap"].to_numpy())
    means = frame[["num_samples", "nash_gap"]] if library == "pandas" else frame.select("num_samples", "nash_gap")
    assert means.shape == (truth.num_rows, 2)


def test_the_table_is_the_same_again(whole, tmp_path):
    for name in ("one.parquet", "other.parquet"):
        export(whole, tmp_path / name)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "other.parquet").read_bytes()


def test_versions_of_all_shards(tmp_path):
    """A run that another version went on with names both."""
    store = make_run(tmp_path / "run", shards=2)
    made = make_chunks(plan())[2]
    table = rows(plan().cases[0], made, 1_000, 0, 0)
    store.write_shard(made.name, parquet(table, gamekl="0.2.0"), table.num_rows, ORIGIN)
    export(store, tmp_path / "table.parquet")
    assert pq.read_schema(tmp_path / "table.parquet").metadata[b"gamekl"] == b"0.1.0, 0.2.0"


def test_stock_of_a_whole_run(whole):
    stock = take_stock(whole)
    names = [chunk.name for chunk in make_chunks(plan())]
    assert (stock.config, stock.whole, stock.damaged, stock.planned) == (config(), names, [], len(names))
    assert stock.faults == []


def test_stock_before_there_is_a_plan(tmp_path):
    store = Store(tmp_path)
    store.open(config().canonical())
    stock = take_stock(store)
    assert (stock.state, stock.planned, stock.plan) == ("unfinished", None, None)
    assert "0 of an unknown number of planned shards" in stock.notices[0]


def test_stock_without_a_plan_that_can_be_read(tmp_path):
    store = make_run(tmp_path / "run", shards=3)
    (store.root / "plan.json").write_text("{")
    stock = take_stock(store)
    assert (stock.state, stock.planned, len(stock.whole)) == ("damaged", None, 3)
    assert "plan.json is damaged" in stock.notices[0]
    count, _ = export(store, tmp_path / "table.parquet")  # the shards themselves are good
    assert count == 3 * WIDTH


def test_a_run_of_which_nothing_is_left(tmp_path):
    store = make_run(tmp_path / "run", shards=0)
    (store.root / "config.json").write_text('{"name": 3}')
    with pytest.raises(StoreError, match=r"family: got nothing, takes a value"):
        take_stock(store)


def test_command(whole, tmp_path, capsys):
    status, out, err = run(capsys, "results", whole.root, "--out", tmp_path / "table.csv")
    assert (status, err) == (0, "")
    assert out == f"72 rows of 18 shards: {tmp_path / 'table.csv'}\n"
    status, out, _ = run(capsys, "results", whole.root)
    assert status == 0 and pq.read_metadata(whole.root / "results.parquet").num_rows == 72
    (whole.root / "results.parquet").unlink()


def test_an_unfinished_run_says_so(tmp_path, capsys):
    store = make_run(tmp_path / "run", shards=5)
    status, out, err = run(capsys, "results", store.root)
    assert status == 0 and out.startswith("20 rows of 5 shards")
    assert err == (
        "unfinished: 5 of 18 planned shards are there, and all results rest on these alone; gamekl sweep with the same "
        "config and folder makes the rest\n"
    )


def test_a_damaged_run_is_refused(tmp_path, capsys):
    store = make_run(tmp_path / "run")
    name = damage(store)
    status, out, err = run(capsys, "results", store.root)
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert f"damaged: 1 shards are damaged or gone ({name}); gamekl sweep with the same config" in err
    assert not (store.root / "results.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "table.txt"], "out: got table.txt, takes a file that ends in .parquet or .csv"),
        (["--out", "."], "out: got ., takes a file that ends in .parquet or .csv"),
        (["--out", "no/where/table.csv"], "out: got no/where/table.csv, takes a file in a folder that is there"),
        (["--out", "/proc/table.csv"], "out: got /proc/table.csv, where gamekl cannot write ("),
    ],
)
def test_files_that_are_refused(whole, capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert refused(capsys, "results", whole.root, *arguments).startswith(f"gamekl results: {message}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["results", "report"])
@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_no_run(tmp_path, capsys, command, name):
    (tmp_path / "file").touch()
    message = f"run: got {tmp_path / name}, which is no folder; takes one made by gamekl sweep"
    assert run(capsys, command, tmp_path / name) == (2, "", f"gamekl {command}: {message}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("command", ["results", "report"])
def test_a_folder_without_a_run(tmp_path, capsys, command):
    message = f"run: got {tmp_path}, which has no config.json; takes a folder made by gamekl sweep"
    assert run(capsys, command, tmp_path) == (2, "", f"gamekl {command}: {message}\n")
    assert not list(tmp_path.iterdir())


def test_a_run_without_shards(tmp_path):
    store = make_run(tmp_path / "run", shards=0)
    with pytest.raises(StoreError, match="0 of 18 planned shards are there"):
        export(store, tmp_path / "table.csv")


def test_a_table_is_there_wholly_or_not_at_all(whole, tmp_path, monkeypatch):
    """A crash keeps the table that was there."""
    export(whole, tmp_path / "table.csv")
    before = (tmp_path / "table.csv").read_bytes()

    def crash(*_):
        raise OSError("power cut")

    monkeypatch.setattr("os.replace", crash)
    with pytest.raises(
        StoreError, match=r"where gamekl cannot write \(power cut\); takes a file in a folder with room"
    ):
        export(whole, tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_bytes() == before


def test_empty_columns_are_left_out_on_request(whole, tmp_path):
    export(whole, tmp_path / "all.parquet")
    export(whole, tmp_path / "some.parquet", drop_empty=True)
    every, some = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("all", "some"))
    empty = {"concentrability", "scale", *UNUSED, "num_rounds", "exceeded", "num_queries", "first_gap", "first_kl"}
    assert some.column_names == [name for name in every.column_names if name not in empty]
    assert some.schema.metadata == every.schema.metadata


def test_what_the_columns_are_is_told_without_a_run(capsys):
    status, out, err = run(capsys, "results", "--columns")
    assert (status, err) == (0, "")
    told = {line.split()[0]: line for line in out.splitlines() if line}
    assert set(expected().column_names) | {"ce_gap", "regularized_gap_max"} <= set(told)
    assert " payoff / nat " in told["temperature"] and "1 / lambda" in told["temperature"]
    assert max(map(len, out.splitlines())) <= 120
    assert refused(capsys, "results").startswith("gamekl results: run: got none, takes the results folder")


def test_the_table_of_columns_is_that_of_a_sweep(tmp_path, monkeypatch, capsys):
    """Names, order and types, and nothing that is not explained."""
    monkeypatch.chdir(tmp_path)
    family = '[[family]]\nlabel = "p"\nsolver = "exact"\ngame = { kind = "matching_pennies" }\n'
    sizes = "num_samples = { first = 100, decades = 1, points = 2 }"
    (tmp_path / "c.toml").write_text(f'name = "c"\nnum_seeds = 2\n{family}{sizes}')
    run(capsys, "sweep", "c.toml", "--out", "run")
    run(capsys, "results", "run", "--out", "c.parquet")
    schema = pq.read_table("c.parquet").schema
    told = [(column.name, column.dtype) for column in (*PLACES, *result_columns())]
    names = {"string": "text", "double": "float64"}
    assert told == [(field.name, names.get(str(field.type), str(field.type))) for field in schema]
    assert all(column.meaning for column in (*PLACES, *result_columns()))


def test_shards_from_before_a_metric_are_read(tmp_path):
    """The older ones have null there."""
    store = make_run(tmp_path / "run")
    name = sorted(store.verified()[0])[0]
    table = pq.read_table(store.shard_path(name))
    newer = table.append_column("fresh", pa.array(np.ones(table.num_rows)))
    store.write_shard(name, parquet(newer), newer.num_rows, ORIGIN)
    export(store, tmp_path / "all.parquet")
    fresh = pq.read_table(tmp_path / "all.parquet")["fresh"]
    assert fresh.null_count == len(fresh) - newer.num_rows > 0 and store.read().column_names[-1] == "fresh"
