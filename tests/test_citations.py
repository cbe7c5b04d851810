"""What docstrings, tests and pages cite as "theory A9.1" is a section of docs/theory.md, and none is there for nothing.

A citation is the word and one section or a list, "theory A4", "theory A2, A3 and I5"; there are no ranges.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/theory.md").read_text(encoding="utf-8")
FOLDERS = ("gamekl", "tests", "benchmarks", "docs", "configs")
KINDS = {".py", ".md", ".toml", ".txt", ".html"}
TEXTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*")))]
    if path.suffix in KINDS and path != Path(__file__)
}

NAME = r"[A-Z]\d*(?:\.\d+)*\b"
LIST = rf"{NAME}(?:(?:,\s+|\s+and\s+){NAME})*"
CITATION = re.compile(rf"\b[Tt]heory\s+({LIST})")
# A citation whose end would not be read, one in small letters, and the name by which the page was cited once.
MALFORMED = re.compile(
    rf"\b[Tt]heory\s+{LIST}(?:\s+(?:to|or)\s+|\s*[-/&]\s*){NAME}|\b[Tt]heory\s+[a-z]\d[\d.]*\b|\bMATH\b"
)
HEADING = re.compile(rf"^#+ (({NAME}) .+)$", re.MULTILINE)
LINK = re.compile(rf"\[({NAME})\](?!:)")
TARGET = re.compile(rf"^\[({NAME})\]: #(\S+)$", re.MULTILINE)


def citations(text):
    """The sections that a text cites."""
    return {name for found in CITATION.findall(text) for name in re.findall(NAME, found)}


def malformed(text):
    """What is meant as a citation, and is none."""
    return [found.group() for found in MALFORMED.finditer(text)]


def sections(page):
    """The body of each section of a page, under its name."""
    _, *parts = re.split(r"^(?=#+ )", page, flags=re.MULTILINE)
    return {found[2]: part for part in parts if (found := HEADING.match(part))}


def anchor(title):
    """What GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def mistakes(page, texts):
    """All that is wrong with a page and the texts that cite it, in words."""
    titles = {name: title for title, name in HEADING.findall(page)}
    bodies, targets = sections(page), dict(TARGET.findall(page))
    cited = {name: citations(text) for name, text in texts.items()}
    linked = {name: set(LINK.findall(body)) - {name} for name, body in bodies.items()}
    found = [f"{file}: {name} is no section" for file, names in cited.items() for name in sorted(names - set(titles))]
    found += [f"{file}: {wrong!r} is no citation" for file, text in texts.items() for wrong in malformed(text)]
    found += [
        f"{name} has two headings" for name in titles if len(re.findall(rf"^#+ {re.escape(name)} ", page, re.M)) > 1
    ]
    found += [f"{name} is linked and has no target" for name in sorted(set(LINK.findall(page)) - set(targets))]
    found += [
        f"the target {name} is no heading's" for name, to in targets.items() if to != anchor(titles.get(name, ""))
    ]
    used = set().union(*cited.values(), *linked.values())
    return found + [f"{name} is cited nowhere" for name in titles if name not in used]


def test_citations_and_sections_fit():
    assert len(sections(PAGE)) > 30
    assert mistakes(PAGE, TEXTS) == []


def test_there_are_citations_to_check():
    """So that a pattern that has come to match nothing does not pass."""
    assert sum(bool(citations(text)) for text in TEXTS.values()) > 40


def test_every_file_that_the_page_names_is_there():
    named = re.findall(r"`((?:gamekl|tests|benchmarks|configs|scripts)/[\w./-]+)`", PAGE)
    assert len(named) > 40
    assert [path for path in named if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("name", sections(PAGE))
def test_files_that_a_section_says_use_it_cite_it(name):
    listed = re.search(r"Used\s+by\s+([^*]*)\.\*$", sections(PAGE)[name], re.MULTILINE)
    users = re.findall(r"`(\S+)`", listed[1]) if listed else []
    assert [path for path in users if name not in citations(TEXTS[path])] == []


SMALL = "# Page\n\n[A1]\n\n## Part\n\n### A1 One\n\nSee [B].\n\n### A1.1 Two\n\n### B Three's\n\n"
SMALL += "[A1]: #a1-one\n[B]: #b-threes\n"
GOOD = '"""As theory A1 has it (derived, theory\nA1.1); in theory one may begin. Theory B, however, A and B."""'


def test_the_checker_lets_pass():
    assert mistakes(SMALL, {"a.py": GOOD}) == []
    assert citations(GOOD) == {"A1", "A1.1", "B"}
    assert citations("theory A1, B and C12.3, of which D") == {"A1", "B", "C12.3"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("theory A2", "A2 is no section"),
        ("theory A1.2", "A1.2 is no section"),
        ("theory A1, A3 and B", "A3 is no section"),
        ("theory A1 and\n    A3", "A3 is no section"),
        ("Theory C", "C is no section"),
        ("theory A1 to B", "'theory A1 to B' is no citation"),
        ("theory A1-B", "'theory A1-B' is no citation"),
        ("theory a1", "'theory a1' is no citation"),
        ("MATH A1", "'MATH' is no citation"),
    ],
)
def test_the_checker_catches_a_wrong_citation(text, expected):
    assert mistakes(SMALL, {"a.py": GOOD, "b.md": f"It is ({text})."}) == [f"b.md: {expected}"]


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (SMALL.replace("### A1.1 Two", "### A1.1 Two\n\n### A1.2 More"), "A1.2 is cited nowhere"),
        (SMALL.replace("### A1.1 Two", "### A1.1 Two\n\n### A1.2 More of [A1.2]\n\n[A1.2]"), "A1.2 is cited nowhere"),
        (SMALL.replace("[B]: #b-threes", "[B]: #b-three-s"), "the target B is no heading's"),
        (SMALL.replace("See [B].", "See [A1.1]."), "A1.1 is linked and has no target"),
        (SMALL.replace("### A1.1 Two", "### A1.1 Two\n\n### B Too"), "B has two headings"),
    ],
)
def test_the_checker_catches_a_wrong_page(page, expected):
    assert expected in mistakes(page, {"a.py": GOOD})


def test_a_section_that_another_one_links_is_not_dead():
    """But what the page's own beginning links, is: that is its table of contents."""
    text = {"a.py": "theory A1 and A1.1"}
    assert mistakes(SMALL, text) == []
    assert mistakes(SMALL.replace("See [B].", "").replace("[A1]\n", "[A1] [B]\n"), text) == ["B is cited nowhere"]
