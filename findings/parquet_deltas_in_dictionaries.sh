#!/usr/bin/env bash
# pyarrow reads a column of texts that is stored as differences (Parquet's DELTA_BYTE_ARRAY and DELTA_LENGTH_BYTE_ARRAY)
# plain, but not as dictionaries.
#
# `read_dictionary` is documented as a choice of how a column is held in memory, so one would expect it to work for every
# encoding, or to fall back. With pyarrow 26.0.1 it does so for PLAIN and RLE_DICTIONARY; for the encodings of Parquet's
# second version, which other writers choose by themselves, the same file raises
#     OSError: Not yet implemented: DecodeArrow of DictAccumulator for DeltaByteArrayDecoder.
# An OSError reads as if the file were damaged, which it is not: without `read_dictionary` all rows are there.
#
# Seen: PLAIN read and read, DELTA_LENGTH_BYTE_ARRAY read and refused, DELTA_BYTE_ARRAY read and refused.
#
# Fails if that changes. Takes Python 3.11 or newer (set PYTHON to choose one).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > read.py <<'P'
import pyarrow as pa
import pyarrow.parquet as pq

table = pa.table({"action": ["rock", "paper"] * 50})
found = []
for encoding in ("PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"):
    pq.write_table(table, "log.parquet", use_dictionary=False, column_encoding={"action": encoding})
    outcome = [encoding]
    for columns in ([], ["action"]):
        try:
            rows = pq.ParquetFile("log.parquet", read_dictionary=columns).read()
            outcome.append("read" if rows.column("action").to_pylist() == table.column("action").to_pylist() else "wrong")
        except OSError as error:
            outcome.append("refused" if "Not yet implemented" in str(error) else str(error))
    found.append(tuple(outcome))
    print("pyarrow", pa.__version__, *outcome)
expected = [
    ("PLAIN", "read", "read"),
    ("DELTA_LENGTH_BYTE_ARRAY", "read", "refused"),
    ("DELTA_BYTE_ARRAY", "read", "refused"),
]
raise SystemExit(found != expected)
P
"${PYTHON:-python3}" -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check pyarrow==26.0.1
env/bin/python read.py
echo "as described"
