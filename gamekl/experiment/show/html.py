"""A run as one HTML file that loads nothing else: figures are inline SVG, and there is no script."""

import re
from collections.abc import Sequence
from html import escape
from importlib import resources
from itertools import groupby
from pathlib import Path
from string import Template
from typing import Any
from xml.etree import ElementTree

import gamekl
from gamekl.experiment.run.origin import Origin, Run
from gamekl.experiment.run.store import Store
from gamekl.experiment.schema.cases import SYMBOLS, Case
from gamekl.experiment.schema.load import config_toml
from gamekl.experiment.show.export import Stock, check_paths, read_shards, take_stock, write_file
from gamekl.experiment.show.panels import Panel, group_panels
from gamekl.experiment.show.plot import caption, panel_svg
from gamekl.experiment.show.report import Summary, summarize_table
from gamekl.experiment.show.table import (
    FOLLOWED_HEADER,
    HEADER,
    LEGEND,
    followed_cells,
    full_name,
    point_cells,
    printable,
    rate_cells,
    split_tables,
)
from gamekl.experiment.show.tally import Tally, tally
from gamekl.solvers.solution import Status

AXIS_WORDS = {
    "num_samples": "rows of data",
    "num_rounds": "rounds",
    "num_queries": "queries",
    "temperature": "the temperature",
    "concentrability": "the concentrability",
    "scale": "the scale of the bonus",
}
LONG, LONG_CELL = 60, ' class="long"'  # letters of a cell that may be broken into lines


def _text(value: Any) -> str:
    return escape(printable(str(value)))


def _table(label: str, header: list[str] | tuple[str, ...], rows: list[list[str]]) -> str:
    """The first cell of each row is its header."""
    heads = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in header)
    lines: list[str] = []
    for first, *rest in rows:
        cells = "".join(f"<td{LONG_CELL * (len(cell) > LONG)}>{_text(cell)}</td>" for cell in rest)
        lines.append(f'<tr><th scope="row">{_text(first)}</th>{cells}</tr>')
    title, body = _text(label), "\n".join(lines)
    return (
        f'<h3>{title}</h3>\n<div class="scroll" role="region" tabindex="0" aria-label="{title}">'
        f'<table aria-label="{title}">\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )


def _section(name: str, title: str, *parts: str) -> str:
    body = "\n".join(parts)
    return f'<section aria-labelledby="{name}">\n<h2 id="{name}">{title}</h2>\n{body}\n</section>'


def inline_svg(svg: str, prefix: str, label: str) -> str:
    """An SVG file as part of a page: ids begin with `prefix`, colours can be changed by the page, nothing is external.

    A colour ``#0072b2`` becomes ``var(--c-0072b2, #0072b2)``.
    """
    root = ElementTree.fromstring(svg)  # noqa: S314 (our own)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        for name, value in list(element.attrib.items()):
            del element.attrib[name]
            name = name.rpartition("}")[2]
            if name == "id":
                value = prefix + value
            elif name == "href":
                value = value.replace("#", f"#{prefix}", 1)
            elif name == "style":
                value = re.sub(r"(?<=: )#([0-9a-f]{6})", r"var(--c-\1, #\1)", value)
            element.set(name, value.replace("url(#", f"url(#{prefix}"))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in ("metadata", "style"):
                parent.remove(child)
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": label}
    return ElementTree.tostring(root, encoding="unicode")


def _describe(panel: Panel) -> str:
    metrics = dict.fromkeys(entry.curve.title for entry in panel.summaries)
    curves = "; ".join(dict.fromkeys(full_name(entry) for entry in panel.summaries))
    return printable(f"{panel.title}: {' and '.join(metrics)} against {AXIS_WORDS[panel.axis]}. Curves: {curves}.")


def _figures(summaries: list[Summary]) -> str:
    panels = group_panels(summaries)
    drawn = [
        f"<div><h3>{_text(panel.title)}</h3>\n{inline_svg(panel_svg(panel), f'f{number}-', _describe(panel))}</div>"
        for number, panel in enumerate(panels, 1)
    ]
    told = caption(panels)
    return _section(
        "figures",
        "Figures",
        '<figure>\n<div class="panels">',
        *drawn,
        f"</div>\n<figcaption>{_text(told[0].upper() + told[1:])}.</figcaption>\n</figure>",
    )


def _curves(summaries: list[Summary]) -> str:
    rates, others, followed = split_tables(summaries)
    parts: list[str] = []
    if rates:
        rows = [rate_cells(entry) for entry in rates]
        parts += [_table("Slopes and constants", HEADER, rows), f'<p class="note">{_text(LEGEND)}</p>']
    for (panel, axis), group in groupby(others, key=lambda entry: (entry.case.panel, entry.axis)):
        cells = [(entry, point_cells(entry)) for entry in group]
        places = sorted({place for _, points in cells for place in points})
        rows = [
            [full_name(entry), f"{entry.failures} of {entry.solves}", *(points.get(place, "none") for place in places)]
            for entry, points in cells
        ]
        header = ["game", "failed", *(f"{SYMBOLS[axis]} = {place:g}" for place in places)]
        parts.append(_table(f"{panel}: mean gap ± standard error against {AXIS_WORDS[axis]}", header, rows))
    if followed:
        parts.append(_table("Rules", FOLLOWED_HEADER, [followed_cells(entry) for entry in followed]))
    return _section("curves", "Curves", *parts)


def _status(number: int) -> tuple[str, str]:
    try:
        return Status(number).name, Status(number).message
    except ValueError:
        return f"status {number}", "not known to this version of gamekl"


def _share(entry: Tally) -> str:
    if not entry.up_to:
        return "none"
    return f"{100 * entry.missing:.3g} %, up to n = {entry.up_to:,}; {entry.most:,} missed at most"


def _solves(tallies: list[Tally]) -> str:
    rows: list[list[str]] = []
    ends = sorted({status for entry in tallies for status in entry.statuses if status})
    for entry in tallies:
        failed = [f"{entry.statuses[end]:,} {_status(end)[0]}" for end in ends if end in entry.statuses]
        rows.append([entry.case.name, f"{entry.solves:,}", ", ".join(failed) or "none", _share(entry)])
    header = ["case", "solves", "failed", "datasets that miss joint actions"]
    meaning = "".join(f"<dt>{name}</dt><dd>{_text(message)}</dd>" for name, message in map(_status, ends))
    told = f'<dl class="meaning">{meaning}</dl>' if ends else "<p>Every solve converged.</p>"
    note = "Failed solves are left out of the means. A joint action counts once for each context, or step and state."
    return _section(
        "solves",
        "Failures and coverage",
        told,
        _table("How the solves of each case ended, and what its data miss", header, rows),
        f'<p class="note">{note}</p>',
    )


def _expected(case: Case) -> str:
    if case.constant is not None:
        return f"{case.constant:.4g} n^{case.slope:g}"
    return f"not known: {case.remark}" if case.remark else "not known"


def _range(sizes: Sequence[int]) -> str:
    return f"{sizes[0]:,} to {sizes[-1]:,} ({len(sizes)} sizes)" if sizes and sizes[-1] else "none"


def _asked(stock: Stock) -> str:
    parts: list[str] = []
    if stock.plan is not None:
        rows = [
            [
                case.name,
                case.solver,
                f"{case.num_games:,}",
                _range(case.num_samples),
                _range(case.num_rounds),
                _expected(case),
            ]
            for case in stock.plan.cases
        ]
        header = ["case", "solver", "games", "rows of data n", "rounds T", "expected gap"]
        parts.append(_table("Cases", header, rows))
    if stock.config is not None:
        toml = _text(config_toml(stock.config))
        summary = "<summary>The config, with all defaults filled in</summary>"
        parts.append(f'<details open>{summary}\n<pre tabindex="0">{toml}</pre></details>')
    return _section("asked", "What was asked", *(parts or ["<p>It cannot be read.</p>"]))


def _runs(runs: list[Run]) -> str:
    rows = [
        [str(number), f"{run.shards:,}", *("not recorded" if fact is None else str(fact) for fact in run.origin)]
        for number, run in enumerate(runs, 1)
    ]
    header = ["run", "shards", *Origin._fields]
    parts = [_table("Runs that added shards", header, rows)] if rows else ["<p>None is recorded.</p>"]
    return _section("runs", "Versions and devices", *parts)


def _notice(text: str) -> str:
    kind, _, rest = text.partition(": ")
    return f'<p class="notice {kind}" role="note"><strong>{kind.capitalize()}:</strong> {_text(rest)}</p>'


def _facts(stock: Stock, tallies: list[Tally]) -> str:
    facts = {
        "cases": "unknown" if stock.plan is None else f"{len(stock.plan.cases):,}",
        "solves": f"{sum(entry.solves for entry in tallies):,}",
        "failed": f"{sum(entry.failures for entry in tallies):,}",
        "shards": f"{len(stock.whole):,} of {'?' if stock.planned is None else f'{stock.planned:,}'}",
    }
    if stock.config is not None:
        facts |= {
            "seeds a point": f"{stock.config.num_seeds:,}",
            "random seed": str(stock.config.seed),
            "dtype": stock.config.dtype,
        }
    entries = "".join(f"<div><dt>{name}</dt><dd>{_text(value)}</dd></div>" for name, value in facts.items())
    return f'<dl class="facts">{entries}</dl>'


def _page(store: Store, stock: Stock) -> str:
    cases = stock.plan.cases if stock.plan is not None else ()
    sections: list[str] = []
    tallies: list[Tally] = []
    if stock.whole and cases:
        table = read_shards(store, stock.whole)
        summaries = summarize_table(table, cases, 0 if stock.config is None else stock.config.seed)
        tallies = tally(table, cases)
        sections += [_figures(summaries), _curves(summaries), _solves(tallies)]
    sections += [_asked(stock), _runs(stock.runs)]
    head = [f'<p class="state {stock.state}">{stock.state}</p>', *map(_notice, stock.notices), _facts(stock, tallies)]
    page = resources.files("gamekl.experiment").joinpath("report_page.html").read_text(encoding="utf-8")
    return Template(page).substitute(
        name="a run" if stock.config is None else _text(stock.config.name),
        version=gamekl.__version__,
        head="\n".join(head),
        sections="\n".join(sections),
    )


def write_report(store: Store, out: Path) -> Stock:
    """Write the report of a run, whole or not, into one HTML file; the same bytes again for the same run.

    Args:
        store: of the run.
        out: a file that ends in ``.html`` or ``.htm``.

    Returns:
        What there is of the run.

    Raises:
        StoreError: the run is no folder, or its config or plan cannot be read, and no shard either; or the file cannot
            be written.
        ValueError: a file that ends otherwise, or in no folder that is there.
    """
    check_paths(store, out, ".html", ".htm")
    stock = take_stock(store)
    page = _page(store, stock)
    write_file(out, page.encode())
    return stock
