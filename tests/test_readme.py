"""The README's example runs as printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


CODE, PRINTED = (re.findall(rf"```{kind}\n(.*?)```", README, re.DOTALL) for kind in ("python", "text"))


@pytest.mark.parametrize(("code", "printed"), list(zip(CODE, PRINTED, strict=True)))
def test_the_examples_print_what_they_say(code, printed, tmp_path):
    assert len(code.strip().splitlines()) <= 16
    if "pyspiel" in code:
        pytest.importorskip("pyspiel")
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout == printed


def test_every_file_that_it_names_is_there():
    root = Path(__file__).parents[1]
    for path in re.findall(r"(?:configs|scripts|gamekl)/[\w./-]+\w", README):
        assert (root / path).exists(), path
