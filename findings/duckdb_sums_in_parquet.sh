#!/usr/bin/env bash
# A sum of integers that DuckDB computes exactly arrives rounded in Parquet, and exactly in CSV.
#
# DuckDB's sum() of BIGINT has the type HUGEINT, of 128 bits. Parquet has decimals and bytes of that width, and files of
# polars' with such integers use the latter; DuckDB 2.0.1 writes the column as DOUBLE, without a word. So a log that was
# aggregated by it, with counts or identifiers that were summed, has floating-point numbers in Parquet and whole ones in
# CSV, and from 2^53 on other numbers: two groups that differ by 1 are one.
#
# Seen: type HUGEINT; Parquet column double; 2^53 and 2^53 + 1 both read as 2^53; CSV has 9007199254740992 and
# 9007199254740993.
#
# Fails if that changes. Takes Python 3.11 or newer (set PYTHON to choose one).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > sums.py <<'P'
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

base = duckdb.connect()
base.execute("create table plays as select * from (values ('x', 9007199254740992), ('y', 9007199254740993)) p(who, n)")
sums = "select who, sum(n::bigint) as n from plays group by who order by who"
base.execute(f"copy ({sums}) to 'sums.parquet' (format parquet)")
base.execute(f"copy ({sums}) to 'sums.csv' (header)")
kind = str(base.sql(sums).types[1])
column = pq.read_table("sums.parquet").column("n")
lines = open("sums.csv").read().split()
print("duckdb", duckdb.__version__, "pyarrow", pa.__version__, kind, column.type, column.to_pylist(), lines[1:])
assert kind == "HUGEINT"
assert column.type == pa.float64() and column.to_pylist() == [2.0**53, 2.0**53]
assert lines[1:] == ["x,9007199254740992", "y,9007199254740993"]
P
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check duckdb==2.0.1 pyarrow==26.0.1
env/bin/python sums.py
echo "as described"
