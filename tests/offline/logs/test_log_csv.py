"""CSV files: quotes, line breaks within them, and files that are nearly CSV."""

import gzip

import numpy as np
import pytest
from log_helpers import PLAIN

import gamekl as gk
from gamekl.offline.logs import csv_file

HEADER = "a,b,r,s,note\n"
ANSWERS = {
    "two lines": lambda rng: '"First answer.\nSecond: ' + "word " * rng.integers(5, 30) + '"',
    "a table within": lambda rng: '"' + "a" * rng.integers(9) + '\nlizard,paper,9,9,x\n"',
    "doubled quotes": lambda rng: '"he said ""\n""' + "x" * rng.integers(9) + '\r\n"""',
    "nothing": lambda rng: "",
    "a lone quote in a text without quotes": lambda rng: '5" disk',
}


def rows(num_rows, answer, seed=0):
    """Lines of a log, and the counts of its cells x, y by p, q."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2, (num_rows, 2))
    lines = [f"{'xy'[first]},{'pq'[second]},1,2,{ANSWERS[answer](rng)}\n" for first, second in codes]
    counts = np.zeros((2, 2))
    np.add.at(counts, tuple(codes.T), 1)
    return "".join(lines), counts


def read(path, **options):
    return gk.offline.read_log(path, PLAIN, **options)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_line_breaks_within_quotes(tmp_path, answer, suffix):
    """Blocks of 64 kB end anywhere in them."""
    body, counts = rows(6_000, answer)
    path = tmp_path / f"log{suffix}"
    content = (HEADER + body).encode()
    path.write_bytes(gzip.compress(content, 1) if suffix == ".csv.gz" else content)
    log = read(path, batch_rows=1)
    assert log.actions == (("x", "y"), ("p", "q"))
    np.testing.assert_array_equal(log.statistics.counts, counts)


@pytest.mark.parametrize("at", [0, 2_000, 3_999])
def test_a_row_longer_than_a_block(tmp_path, at):
    """Larger blocks are tried, and no row is counted twice."""
    body, counts = rows(4_000, "nothing")
    lines = body.splitlines(keepends=True)
    lines.insert(at, 'x,p,1,2,"' + "a long answer\n" * 100_000 + '"\n')
    (tmp_path / "log.csv").write_text(HEADER + "".join(lines))
    counts[0, 0] += 1
    log = read(tmp_path / "log.csv", batch_rows=1)
    np.testing.assert_array_equal(log.statistics.counts, counts)


UNMATCHED = {
    "a quote that is not closed": ('x,p,1,2,"never closed\n', 3, "such as are closed"),
    "two of them": ('x,p,1,2,"open\ny,p,1,2,\nx,q,1,2,"again\n', 3, "doubled quotes within quoted texts"),
    "escapes by backslashes": ('x,p,1,2,"say \\"so\nnow\\""\n', 3, "doubled quotes within quoted texts"),
    "escapes, and a comma": ('x,p,1,2,"say \\"so, now\\""\n', 3, "doubled quotes within quoted texts"),
}


@pytest.mark.parametrize("case", UNMATCHED)
@pytest.mark.parametrize("size", [3, 4, 2**22])
def test_quotes_that_do_not_match_are_refused(tmp_path, monkeypatch, case, size):
    """Each would swallow rows, and other readers would see other ones; wherever the bytes that are looked at end."""
    monkeypatch.setattr(csv_file, "SCANNED_AT_ONCE", size)
    bad, line, takes = UNMATCHED[case]
    (tmp_path / "log.csv").write_text(HEADER + 'x,p,1,2,""\n' + bad + "y,q,1,2,\n")
    message = f"paths: got .*log.csv whose quotes do not match in the row that begins in line {line}, takes {takes}"
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "log.csv")


@pytest.mark.parametrize("size", [3, 4, 5, 2**22])
@pytest.mark.parametrize("content", ['\ufeff"a",b\nx,""\n', 'a,b\r\n"x\r\n",""', 'a,b\n"x""","""y\n"\n"""",""""""\n'])
def test_quotes_that_match(tmp_path, monkeypatch, content, size):
    monkeypatch.setattr(csv_file, "SCANNED_AT_ONCE", size)
    (tmp_path / "log.csv").write_bytes(content.encode())
    assert csv_file._quotes_match(tmp_path / "log.csv")


NEARLY = {
    "semicolons": ("a;b;r;s\nx;y;1,5;0\n", "with semicolons between columns, takes commas .and points, not commas, in"),
    "tabs": ("a\tb\tr\ts\nx\ty\t1\t0\n", "with tabs between columns, takes commas"),
    "bars": ('"a"|"b"|"r"|"s"\nx|y|1|0\n', "with bars between columns, takes commas"),
    "a comment": ("# made by me\na,b,r,s\nx,y,1,0\n", "with '# made by me' before the columns' names, takes these in"),
    "Excel's line": ("sep=,\na,b,r,s\nx,y,1,0\n", "with 'sep=,' before the columns' names"),
    "UTF-16": ("a,b,r,s\nx,y,1,0\n".encode("utf-16"), "in UTF-16, takes UTF-8"),
    "UTF-16, big end": (b"\xfe\xff" + "a,b,r,s\n".encode("utf-16-be"), "in UTF-16, takes UTF-8"),
    "zero bytes": (b"a,b,r,s\nx\0,y,1,0\n", "takes a file that can be read to its end .a CSV file has no zero bytes"),
}


@pytest.mark.parametrize("case", NEARLY)
def test_files_that_are_nearly_csv(tmp_path, case):
    content, message = NEARLY[case]
    (tmp_path / "log.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=rf"^paths: got \S*log.csv,? {message}"):
        read(tmp_path / "log.csv")


def test_a_header_may_begin_with_a_sign(tmp_path):
    (tmp_path / "log.csv").write_text("\ufeff#,a,b,r,s\n1,x,y,1,0\n")
    assert read(tmp_path / "log.csv").num_rows == 1


def test_decimal_commas_and_results_by_name_are_told(tmp_path):
    (tmp_path / "log.csv").write_text('a,b,r,s\nx,y,"1,5",0\n')
    with pytest.raises(
        ValueError, match=r"player.0.reward: got '1,5' \(a decimal comma\?\) in column 'r', data row 1 of"
    ):
        read(tmp_path / "log.csv")
    (tmp_path / "log.csv").write_text("a,b,won\nx,y,model_a\n")
    columns = gk.offline.LogSchema(player=[{"action": "a"}, {"action": "b"}], preference="won")
    with pytest.raises(
        ValueError, match="preference: got 'model_a' in .*takes numbers .or, for results by name, outcome"
    ):
        gk.offline.read_log(tmp_path / "log.csv", columns)


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n\n"])
def test_the_last_line_may_end_anyhow(tmp_path, name, end):
    content = f"a,b,r,s\nx,y,1,0\nx,z,1,0{end}".encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert read(tmp_path / name).num_rows == 2


def test_memory_does_not_grow_with_quoted_line_breaks(tmp_path):
    """What is read at a time is a block, of a file of many."""
    body, _ = rows(20_000, "two lines")
    path = tmp_path / "log.csv"
    path.write_text(HEADER + body)
    file = csv_file.CsvFile(path, ["a"], set())
    sizes = [batch.num_rows for batch in file.batches(["a"], [], 1)]
    assert sum(sizes) == 20_000 and max(sizes) < 2_000


def test_numbers_have_their_place_behind_line_breaks(tmp_path):
    body, _ = rows(3_000, "two lines")
    (tmp_path / "log.csv").write_text(f"{HEADER}{body}x,p,one,2,\n")
    with pytest.raises(ValueError, match="player.0.reward: got 'one' in column 'r', data row 3001 of"):
        read(tmp_path / "log.csv", batch_rows=1)
