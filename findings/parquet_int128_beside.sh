#!/usr/bin/env bash
# One Int128 column of polars' makes every other column of a Parquet file unreadable to pyarrow.
#
# polars writes 128-bit integers as 16 bytes, which Parquet has a type for, and notes what they are in the Arrow schema
# that such files carry in their metadata. Other columns of the file are plain, and reading some columns only is what the
# format is for. With polars 2.1.0 and pyarrow 26.0.1, `read_table(path, columns=["action"])` raises
#     ArrowNotImplementedError: Integers with more than 64 bits not implemented
# as does opening the file for its schema: the note is parsed whole before any column is chosen. Without the note the
# same bytes are read, the column itself as fixed_size_binary[16].
#
# Seen: written by polars, refused; written by polars without the column, read.
#
# Fails if that changes. Takes Python 3.11 or newer (set PYTHON to choose one).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > read.py <<'P'
import polars
import pyarrow as pa
import pyarrow.parquet as pq

table = polars.DataFrame({"action": ["rock", "paper"], "id": [1, 2]})
found = []
for name, written in (("with Int128", table.with_columns(id=polars.col("id").cast(polars.Int128))), ("without", table)):
    written.write_parquet("log.parquet")
    try:
        rows = pq.read_table("log.parquet", columns=["action"])
        outcome = "read" if rows.column("action").to_pylist() == ["rock", "paper"] else "wrong"
    except pa.ArrowNotImplementedError as error:
        outcome = "refused" if "more than 64 bits" in str(error) else str(error)
    found.append((name, outcome))
    print("polars", polars.__version__, "pyarrow", pa.__version__, name, outcome)
raise SystemExit(found != [("with Int128", "refused"), ("without", "read")])
P
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check pyarrow==26.0.1 polars==2.1.0
env/bin/python read.py
echo "as described"
