"""The house is kept: no file holds two things, and no folder more than one can take in."""

from pathlib import Path

import gamekl as gk

PACKAGE = Path(gk.__file__).parent
MOST_LINES, MOST_MODULES = 300, 14


def too_many(folder):
    """Files of more lines, and folders of more modules, than there may be; the package's root may have more modules."""
    files = sorted(folder.rglob("*.py"))
    long = [file for file in files if len(file.read_text(encoding="utf-8").splitlines()) > MOST_LINES]
    folders = {file.parent for file in files} - {folder}
    return long + sorted(entry for entry in folders if len(list(entry.glob("*.py"))) > MOST_MODULES)


def test_no_file_and_no_folder_is_too_large():
    assert too_many(PACKAGE) == []


def test_the_count_would_tell(tmp_path):
    (tmp_path / "inner").mkdir()
    for number in range(MOST_MODULES + 1):
        (tmp_path / "inner" / f"module{number}.py").write_text("")
    (tmp_path / "long.py").write_text("\n" * (MOST_LINES + 1))
    assert too_many(tmp_path) == [tmp_path / "long.py", tmp_path / "inner"]
