"""Files of logs: how they may be called, and what is said of those that are damaged, or no log."""

import re

import numpy as np
import pytest
from log_helpers import TOML, changed, play, read_with, schema, write

import gamekl as gk

CSV = "mine,yours,my_score,your_score\nx,1,1,0.5\ny,2,2,0.5\n"
BAD_TEXTS = {
    "empty file": ("", "paths: got .*log.csv, takes a file that can be read to its end .Empty CSV file"),
    "header only": (CSV[:31], "paths: got .*log.csv without rows, takes at least one row"),
    "no header": (CSV[31:], "player.0.action: got 'mine', takes a column of .*log.csv, which has 'x', '1', '1', '0.5'"),
    "other separator": (CSV.replace(",", ";"), "paths: got .*log.csv with semicolons between columns, takes commas"),
    "doubled column": (CSV.replace("my_score", "mine"), "player.0.action: got 2 columns 'mine' in .*log.csv, takes"),
    "header again": (CSV + CSV, "player.0.reward: got 'my_score' .the header a second time.. in .* data row 3 of"),
    "number over two lines": (
        CSV + 'x,1,"1\n2",0\n',
        r"player.0.reward: got '1.n2' in column 'my_score', data row 3 of",
    ),
    "spaces in the header": (
        CSV.replace(",", ", "),
        "player.1.action: got 'yours' .which is not ' yours'., takes a column",
    ),
    "no number": (
        CSV + "x,1,one,0\n",
        "player.0.reward: got 'one' in column 'my_score', data row 3 of .*takes numbers",
    ),
    "NaN": (CSV + "x,1,nan,0\n", "player.0.reward: got nan in column 'my_score', data row 3 of .*takes finite numbers"),
    "infinity": (CSV + "x,1,-inf,0\n", "player.0.reward: got -inf in column 'my_score', data row 3 of"),
    "missing action": (CSV + ",1,1,0\n", "player.0.action: got nothing in column 'mine', data row 3 of"),
    "quoted emptiness": (CSV + '"",1,1,0\n', "player.0.action: got nothing in column 'mine', data row 3 of"),
    "R's NA": (CSV + "NA,1,1,0\n", "player.0.action: got nothing in column 'mine', data row 3 of"),
    "SQL's NULL": (CSV + "x,NULL,1,0\n", "player.1.action: got nothing in column 'yours', data row 3 of"),
    "SQL's \\N": (CSV + "\\N,1,1,0\n", "player.0.action: got nothing in column 'mine', data row 3 of"),
    "Python's None": (CSV + "None,1,1,0\n", "player.0.action: got nothing in column 'mine', data row 3 of"),
    "NA reward": (CSV + "x,1,NA,0\n", "player.0.reward: got nothing in column 'my_score', data row 3 of"),
    "missing reward": (CSV + "x,1,,0\n", "player.0.reward: got nothing in column 'my_score', data row 3 of"),
    "short row": (CSV + "x,1\n", "paths: got .*log.csv, takes .*Expected 4 columns, got 2: x,1"),
    "long row": (CSV + "x,1,1,1,1\n", "paths: got .*log.csv, takes .*Expected 4 columns, got 5: x,1,1,1,1"),
    "float labels": (
        CSV.replace("\nx", "\n0.5").replace("\ny", "\n1.5"),
        "player.0.action: got '0.5' in column 'mine'",
    ),
    "labels with NaN": (CSV.replace("x", "nan"), "player.0.action: got 'nan' in column 'mine', takes strings or"),
    "no text": (b"mine,yours,my_score,your_score\n\xff,1,1,1\n", "paths: got .*log.csv, takes .*invalid UTF8"),
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_bad_csv(tmp_path, case):
    content, message = BAD_TEXTS[case]
    (tmp_path / "log.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=f"^{message}"):
        gk.offline.read_log(tmp_path / "log.csv", schema(tmp_path))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"garbage" * 100, b"PAR1" + bytes(100) + b"PAR1"])
@pytest.mark.parametrize("name", ["log.parquet", "log.csv.gz"])
def test_garbage(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"^paths: got .*{name}, takes a file that can be read to its end"):
        gk.offline.read_log(tmp_path / name, schema(tmp_path))


@pytest.mark.parametrize("suffix", [".parquet", ".csv.gz"])
def test_damage_is_noticed_or_harmless(tmp_path, suffix):
    """Truncated or with one bit flipped: one message, or, where checksums do not reach, a log; never anything else."""
    columns = play(60)
    path = write(tmp_path / f"log{suffix}", columns, **({"write_page_checksum": True} if suffix == ".parquet" else {}))
    content, rng = path.read_bytes(), np.random.default_rng(0)
    whole, refused = gk.offline.read_log(path, schema(tmp_path)).statistics, 0
    for trial in range(150):
        damaged = bytearray(content)
        if trial < 30:
            del damaged[rng.integers(len(content)) :]
        else:
            damaged[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found = gk.offline.read_log(path, schema(tmp_path)).statistics
        except ValueError as error:
            assert re.match(r"(paths|player\.\d\.\w+): got ", str(error)), error
            refused += 1
            continue
        if found.counts.shape == whole.counts.shape:
            np.testing.assert_array_equal(found.counts.sum(), 60)
    assert refused > 60


def test_bad_paths(tmp_path):
    good = write(tmp_path / "good.parquet", changed())
    table = schema(tmp_path)
    with pytest.raises(ValueError, match="paths: got none, takes at least one file"):
        gk.offline.read_log([], table)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="paths: got the folder .*empty, takes one that has .parquet, .csv or .csv.gz"):
        gk.offline.read_log(tmp_path / "empty", table)
    with pytest.raises(FileNotFoundError, match="paths: got .*none.parquet, takes a file that is there"):
        gk.offline.read_log([good, tmp_path / "none.parquet"], table)
    with pytest.raises(ValueError, match=r"paths: got .*log.toml, takes a file that ends in .parquet, .csv or .csv.gz"):
        gk.offline.read_log(tmp_path / "log.toml", table)
    with pytest.raises(ValueError, match="paths: got .*good.parquet twice, takes each file once"):
        gk.offline.read_log([good, str(good)], table)
    with pytest.raises(TypeError, match="schema: got dict, takes a LogSchema"):
        gk.offline.read_log(good, {})


@pytest.mark.parametrize("name", ["LOG.PARQUET", "Log.CSV", "log.csv.GZ", "LOG.CSV.GZ"])
def test_names_in_capitals(tmp_path, name):
    columns = play()
    small = write(tmp_path / f"small{name[3:].lower()}", columns)
    found = gk.offline.read_log(small.rename(tmp_path / name), schema(tmp_path))
    np.testing.assert_array_equal(found.statistics.counts, read_with(tmp_path, columns).statistics.counts)


def test_quoted_words_for_nothing_are_labels(tmp_path):
    """Namibia is NA."""
    (tmp_path / "log.csv").write_text(CSV + '"NA",1,1,0\n"None",2,0,1\n')
    log = gk.offline.read_log(tmp_path / "log.csv", schema(tmp_path))
    assert log.actions[0] == ("NA", "None", "x", "y")


def test_listed_words_for_nothing_are_labels(tmp_path):
    (tmp_path / "log.csv").write_text(CSV + "NA,1,1,0\n")
    text = TOML.replace('action = "mine"', 'action = "mine"\nactions = ["x", "y", "NA"]')
    log = gk.offline.read_log(tmp_path / "log.csv", schema(tmp_path, text))
    assert log.actions[0] == ("x", "y", "NA")
    assert log.num_rows == 3


def test_groups_and_contexts_without_a_value_are_refused(tmp_path):
    for column, field in (("map", "context"), ("match", "group")):
        (tmp_path / "log.csv").write_text(f"{column},{CSV[:31]}\nm,x,1,1,0.5\nNA,y,2,2,0.5\n")
        with pytest.raises(ValueError, match=f"^{field}: got nothing in column '{column}', data row 2 of"):
            gk.offline.read_log(tmp_path / "log.csv", schema(tmp_path, f'{field} = "{column}"\n{TOML}'))


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_one_file_by_two_names_is_read_once(tmp_path, link):
    path = write(tmp_path / "log.parquet", play(20))
    other = tmp_path / "other.parquet"
    getattr(other, link)(path)
    with pytest.raises(
        ValueError, match="paths: got .*log.parquet and .*other.parquet, which are one file, takes each"
    ):
        gk.offline.read_log([path, other], schema(tmp_path))
    assert gk.offline.read_log(other, schema(tmp_path)).num_rows == 20


def test_what_was_read_is_estimated(tmp_path):
    log = read_with(tmp_path, play(200))
    ours, theirs = gk.offline.estimate(log), gk.offline.estimate(log.statistics)
    np.testing.assert_array_equal(ours.game.payoffs, theirs.game.payoffs)
