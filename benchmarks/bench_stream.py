"""A log of 10^8 rows streamed from Parquet into statistics: rows a second and memory, beside decoding alone.

Run: python benchmarks/bench_stream.py (1.1 GB in the temporary folder); --quick is a smoke test, --csv takes 3 million
rows of CSV (100 MB). The limit is pyarrow decoding the same four columns in the same batches and doing nothing with
them; the contenders take turns, each in a process of its own, and memory is the most that such a process has held,
libraries included. Medians of several passes.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import digits, facts, middle, peak_memory, table, worker
from pyarrow import csv

import gamekl as gk

ACTIONS, CHUNK, CHUNKS = 43, 2**20, 8
NAMES = [f"program_{index:02d}" for index in range(ACTIONS)]
SCHEMA = {"player": [{"action": "row", "reward": "row_score"}, {"action": "column", "reward": "column_score"}]}
TYPES = pa.schema(
    [
        ("row", pa.int8()),
        ("column", pa.dictionary(pa.int8(), pa.string())),
        ("row_score", pa.float32()),
        ("column_score", pa.float32()),
    ]
)


def chunks():
    """A few different tables, of which the file repeats itself."""
    rng = np.random.default_rng(0)
    for _ in range(CHUNKS):
        first, second = rng.integers(0, ACTIONS, (2, CHUNK), dtype=np.int8)
        scores = rng.standard_normal((2, CHUNK), dtype=np.float32)
        yield pa.table([first, pa.DictionaryArray.from_arrays(second, NAMES), *scores], schema=TYPES)


def write(path, rows, row_group):
    """The log, written as it is made."""
    tables = list(chunks())
    is_csv = path.suffix == ".csv"
    with csv.CSVWriter(path, TYPES) if is_csv else pq.ParquetWriter(path, TYPES) as writer:
        for index in range(-(-rows // CHUNK)):
            part = tables[index % CHUNKS].slice(0, min(CHUNK, rows - index * CHUNK))
            writer.write_table(part, row_group)


def nothing(path):
    """What a process holds that has loaded the libraries."""


def decode(path):
    """The limit: pyarrow alone."""
    if path.suffix == ".csv":
        text = pa.dictionary(pa.int32(), pa.string())
        types = {"row": text, "column": text, "row_score": pa.float64(), "column_score": pa.float64()}
        read = csv.ReadOptions(use_threads=False, block_size=2**23)
        for _ in csv.open_csv(path, read_options=read, convert_options=csv.ConvertOptions(column_types=types)):
            pass
        return
    file = pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20, read_dictionary=["column"])
    for _ in file.iter_batches(batch_size=2**17, columns=TYPES.names):
        pass


def stream(path):
    """Ours."""
    log = gk.offline.read_log(path, gk.offline.LogSchema(**SCHEMA))
    if not log.num_rows == log.statistics.counts.sum() == int(path.stem):
        raise RuntimeError("rows were lost")


def timed(function, path):
    """Seconds, seconds of processors, and the most bytes so far."""
    start, spent = time.perf_counter(), time.process_time()
    function(path)
    return time.perf_counter() - start, time.process_time() - spent, peak_memory()


def main():
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke test: two million rows")
    parser.add_argument("--csv", action="store_true", help="CSV in place of Parquet")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--row-group", type=int, default=2**20, help="rows in a row group of the file")
    options = parser.parse_args()
    rows = 2 * 10**6 if options.quick else 3 * 10**6 if options.csv else 10**8
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{rows}.{'csv' if options.csv else 'parquet'}"
        write(path, rows, options.row_group)
        print(f"{rows:,} rows, {ACTIONS} x {ACTIONS} cells, {path.stat().st_size / 1e6:,.0f} MB; {facts()}")
        contenders = {"libraries loaded": nothing, "pyarrow decodes": decode, "gamekl reads": stream}
        found = {name: [] for name in contenders}
        for _ in range(options.rounds):
            for name, function in contenders.items():
                with worker() as process:
                    found[name].append(process.submit(timed, function, path).result())
    lines = []
    for name, rounds in found.items():
        seconds, spent, peaks = zip(*rounds, strict=True)
        rates = ["", ""] if name == "libraries loaded" else [rows / middle(part) / 1e6 for part in (seconds, spent)]
        lines.append([name, *(digits(rate) if rate else "" for rate in rates), f"{max(peaks) / 1e6:.0f}"])
    print(table(["", "Mrow/s", "Mrow/s of processor time", "most MB"], lines))
    ratio = middle([one[0] for one in found["gamekl reads"]]) / middle([one[0] for one in found["pyarrow decodes"]])
    asked = "" if options.csv else "; asked for: 10 Mrow/s, 500 MB"
    print(f"gamekl takes {ratio:.1f} times the time of decoding alone{asked}")


if __name__ == "__main__":
    main()
