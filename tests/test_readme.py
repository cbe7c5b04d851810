"""The README and the pages of docs: what they show runs and prints what they say, and what they name is there.

A block ``python`` or ``sh`` is run, and what it prints is the block ``text`` after it. The blocks of one page run in
order, in one folder: a shell may go on with the files of an example before it. Blocks of no language are shown only.
"""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import pytest

import gamekl as gk
from gamekl.experiment.schema.load import parse_config

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = [*PAGES, *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md"))]
MOST_LINES = {"python": 16, "sh": 18}


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        kind: its language, "" if none is named.
        text: what is within.
        line: where it begins, counted from 1.
    """

    kind: str
    text: str
    line: int


def name(page):
    return str(page.relative_to(ROOT))


def blocks_of(text):
    return [
        Block(found[1], found[2], text[: found.start()].count("\n") + 1)
        for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ]


def examples_of(page):
    """Pairs of a block that runs and what it prints."""
    blocks = blocks_of(page.read_text(encoding="utf-8"))
    pairs = []
    for place, block in enumerate(blocks):
        if block.kind in MOST_LINES:
            after = blocks[place + 1] if place + 1 < len(blocks) else None
            assert after is not None and after.kind == "text", f"line {block.line}: what does it print?"
            pairs.append((block, after.text))
    texts = sum(block.kind == "text" for block in blocks)
    assert len(pairs) == texts, f"{texts} blocks of text after {len(pairs)} that run"
    return pairs


def prose_of(page):
    """The page without its blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors_of(page):
    """What a link may go to, as GitHub names it: headings in small letters, without signs, joined by hyphens."""
    headings = re.findall(r"^#+ +(.*?)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture
def shell(tmp_path):
    """Variables with a folder on PATH where ``gamekl`` is this Python's."""
    command = tmp_path / "bin" / "gamekl"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gamekl "$@"\n')
    command.chmod(0o755)
    return os.environ | {"PATH": os.pathsep.join([str(command.parent), os.environ.get("PATH", os.defpath)])}


@pytest.mark.parametrize("page", [page for page in PAGES if examples_of(page)], ids=name)
def test_examples_print_what_they_say(page, shell, tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    skipped = []
    for block, printed in examples_of(page):
        assert len(block.text.strip().splitlines()) <= MOST_LINES[block.kind]
        if "pyspiel" in block.text and importlib.util.find_spec("pyspiel") is None:
            skipped.append(block.line)
            continue
        command = [sys.executable, "-c"] if block.kind == "python" else ["bash", "-euc"]
        ran = subprocess.run([*command, block.text], cwd=folder, env=shell, capture_output=True, text=True)
        assert ran.returncode == 0, f"line {block.line}: {ran.stderr}"
        assert ran.stdout == printed, f"line {block.line}"
    if skipped:
        pytest.skip(f"no pyspiel for the examples in lines {skipped}; the others ran")


def test_the_readme_is_a_front_door():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 160


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_is_short_and_its_lines_are(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= (1_000 if page.name == "theory.md" else 200)  # where one looks up a section
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []


@pytest.mark.parametrize("page", TEXTS, ids=name)
def test_every_link_goes_somewhere(page):
    for link in re.findall(r"\]\(([^()\s]+)\)", prose_of(page)):
        if re.match("[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists() and target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors_of(target), link


def test_every_page_is_in_the_index():
    index = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in (ROOT / "README.md", ROOT / "docs" / "README.md")
        for link in re.findall(r"\]\(([^()\s]+)\)", prose_of(page))
    }
    assert [name(page) for page in PAGES if page not in index and page.name != "README.md"] == []
    assert ROOT / "docs" / "README.md" in index


def test_every_figure_is_shown():
    texts = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [
        name(figure) for figure in (ROOT / "docs" / "figures").iterdir() if f"figures/{figure.name}" not in texts
    ] == []


@pytest.mark.parametrize("page", TEXTS, ids=name)
def test_every_file_that_it_names_is_there(page):
    if page.name == "CHANGELOG.md":  # which names what was there before
        return
    folders = "benchmarks|configs|docs|examples|findings|gamekl|scripts|tests"
    for path in re.findall(rf"(?<![\w./-])(?:{folders})/[\w./-]+\w", page.read_text(encoding="utf-8")):
        assert "NAME" in path or (ROOT / path).exists() or (page.parent / path).exists(), path


def test_the_config_of_the_sweeps_page_fits():
    blocks = blocks_of((ROOT / "docs/sweeps.md").read_text(encoding="utf-8"))
    (config,) = (block.text for block in blocks if block.kind == "toml")
    assert len(parse_config(tomllib.loads(config)).family) == config.count("[[family]]")


def test_all_statuses_are_told():
    text = (ROOT / "docs/numerics.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)`", text, re.MULTILINE) == [status.name for status in gk.Status]


def test_blocks_and_anchors_are_read():
    assert blocks_of("a\n```python\nx\n```\n\n```\ny\n```\n") == [Block("python", "x\n", 2), Block("", "y\n", 6)]
    assert {"on-a-gpu"} == anchors_of(ROOT / "docs" / "gpu.md")
