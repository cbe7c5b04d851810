"""The README's example runs as printed."""

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_example_prints_what_it_says(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (printed,) = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
    assert len(code.strip().splitlines()) <= 12
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout == printed


def test_every_file_that_it_names_is_there():
    root = Path(__file__).parents[1]
    for path in re.findall(r"(?:configs|scripts|gamekl)/[\w./-]+\w", README):
        assert (root / path).exists(), path
