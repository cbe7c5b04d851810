"""The report page: what it holds, what it must not hold, and what a real browser makes of it."""

import re
import shutil
import subprocess
import tomllib
from html.parser import HTMLParser

import matplotlib
import matplotlib.image
import numpy as np
import pytest
from test_export import LABELS, ORIGIN, SEEDS, SIZES, WIDTH, config, damage, make_run, plan, run

from gamekl.experiment.run.origin import Origin
from gamekl.experiment.run.plan import make_chunks
from gamekl.experiment.run.store import Store
from gamekl.experiment.schema.cases import Plan
from gamekl.experiment.schema.load import config_toml, parse_config
from gamekl.experiment.show.html import inline_svg, write_report
from gamekl.experiment.show.plot import COLOURS, STYLE, draw
from gamekl.experiment.show.report import summarize
from gamekl.experiment.show.table import HEADER, rate_cells
from gamekl.solvers.solution import Status

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
VOID = {"meta", "link", "br", "img"}
LOADING = {"src", "srcset", "data", "poster", "action", "formaction", "background", "cite", "ping"}
# Relative to the page's own text size: what the Web Content Accessibility Guidelines (AA) ask of small text.
CONTRAST = 4.5


class Page(HTMLParser):
    """The page as a browser's parser sees it, less what browsers forgive: every tag must be closed in its turn."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.texts, self.tables = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.texts.append((self.open[-1] if self.open else "", text))
        if {"th", "td"} & set(self.open):
            self.tables[-1][-1][-1] += text

    def text(self, tag=None):
        return " ".join(text for inside, text in self.texts if tag in (None, inside))

    def attributes(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def report(store, out):
    write_report(store, out)
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A complete run with some failures and missed joint actions; tests must not change it."""
    statuses = {(1, 0): int(Status.not_converged), (1, 1): int(Status.max_steps), (2, 2): 77}
    return make_run(tmp_path_factory.mktemp("whole") / "run", statuses=statuses, unvisited={(0, 0): 3, (0, 1): 1})


@pytest.fixture(scope="module")
def text(whole):
    return report(whole, whole.root / "report.html")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_page_is_well_formed(text, page):
    assert text.startswith("<!DOCTYPE html>\n<html lang=")
    assert page.text("title").startswith("nasty")
    assert [page.attributes(tag) != [] for tag in ("header", "main", "footer", "h1", "figure", "svg", "table")] == [
        True
    ] * 7
    assert "$" not in text.replace("$name", "").replace("$x_1$", "")  # of the template; labels may have it


def test_nothing_is_loaded(text, page):
    assert {"script", "iframe", "object", "embed", "img", "base", "form", "image"} & {
        tag for tag, _ in page.tags
    } == set()
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name in LOADING or name.startswith("on")], (tag, attributes)
        href = attributes.get("href") or attributes.get("xlink:href") or "#"
        assert href.startswith("#") or (tag, href) == ("link", "data:,")
    assert "://" not in text and "@import" not in text and "xmlns" not in text
    assert set(re.findall(r"url\((.)", text)) == {"#"}
    [policy] = [entry["content"] for entry in page.attributes("meta") if "http-equiv" in entry]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_labels_are_there_and_harmless(text, page):
    assert all(label in page.text() for label in LABELS)
    assert "<script" not in text and "&lt;script&gt;" in text
    drawn = " ".join(entry["aria-label"] for entry in page.attributes("svg"))
    assert all(label in drawn for label in LABELS)
    assert all(label in page.text("h3") for label in LABELS)  # above the figures


def test_letters_that_no_page_can_hold(tmp_path):
    r"""A config may say \\u0007; no part of the page may."""
    first, *others = plan().cases
    named = first.model_copy(update={"label": "bell \x07\x00 end", "panel": others[0].panel})
    planned = Plan(cases=(named, *others), files={})
    text = report(make_run(tmp_path / "run", planned=planned), tmp_path / "report.html")
    page = Page(text)
    assert all("bell \ufffd\ufffd end" in page.text(tag) for tag in ("th", "text")) and "\x07" not in text


@pytest.mark.filterwarnings("error")
def test_long_names_leave_room_for_the_curves(tmp_path):
    cases = [
        case.model_copy(update={"label": f"{number} is " + "long " * 15, "panel": "one panel"})
        for number, case in enumerate(plan().cases)
    ]
    planned = Plan(cases=tuple(cases), files={})
    with matplotlib.rc_context(STYLE):
        figure = draw(summarize(make_run(tmp_path / "run", planned=planned)))
        figure.draw_without_rendering()
    place = figure.axes[0].get_position()
    assert place.width > 0.6 and place.height > 0.3


def test_equal_runs_have_equal_reports(tmp_path):
    for name in ("one", "other"):
        make_run(tmp_path / name, shards=7)
        write_report(Store(tmp_path / name), tmp_path / f"{name}.html")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "other.html").read_bytes()


def test_references_within_the_page(text, page):
    """Several figures share a page: ids differ, and whatever is referred to is there."""
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    used = {
        entry[name][1:] for _, entry in page.tags for name in ("href", "xlink:href") if entry.get(name, "")[:1] == "#"
    }
    used |= set(re.findall(r"url\(#([^)]+)\)", text))
    used |= {attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes}
    assert used and used <= set(ids)


def test_figures_and_tables_have_names(page):
    assert len(page.attributes("svg")) == len(LABELS)
    for entry in page.attributes("svg"):
        assert entry["role"] == "img" and "regularised gap against rows of data" in entry["aria-label"]
    assert {entry.get("scope") for entry in page.attributes("th")} == {"col", "row"}
    assert all(entry["aria-label"] for entry in page.attributes("table"))
    assert all(entry["tabindex"] == "0" for entry in page.attributes("div") if entry.get("class") == "scroll")


def test_curves(whole, page):
    """The numbers are those of the printed table."""
    assert page.tables[0] == [list(HEADER), *map(rate_cells, summarize(whole))]


def test_failures_and_coverage(page):
    table = page.tables[1]
    assert table[0] == ["case", "solves", "failed", "datasets that miss joint actions"]
    assert [row[1:] for row in table[1:]] == [
        ["24", "none", "66.7 %, up to n = 1,000; 3 missed at most"],
        ["24", "8 max_steps, 8 not_converged", "none"],
        ["24", "8 status 77", "none"],
    ]
    told = page.text("dd")
    assert Status.max_steps.message in told and Status.not_converged.message in told and "not known to this" in told
    assert Status.path_failed.message not in told
    assert "Every solve converged" not in page.text()


def test_what_was_asked(page):
    table = page.tables[2]
    assert [row[0] for row in table[1:]] == [f"{label} (τ=0.5)" for label in LABELS]
    assert table[1][1:] == ["gane", "1", "100 to 10,000 (3 sizes)", "none", "2 n^-1"]
    assert parse_config(tomllib.loads(page.text("pre"))) == config()


def test_versions_and_devices(whole, page):
    told = ["not recorded" if fact is None else str(fact) for fact in ORIGIN]
    assert page.tables[3] == [["run", "shards", *Origin._fields], ["1", "18", *told]]


def test_runs_of_several_versions(tmp_path, capsys):
    """The page says so before any number, and how many shards are of which."""
    store = make_run(tmp_path / "run", shards=10)
    other = ORIGIN._replace(jax="0.12.0.1", scipy="1.18.1", python="3.12")
    make_run(tmp_path / "run", origin=other)
    later, again = Store(store.root), make_chunks(plan())[3].name
    later.plan()
    later.write_shard(again, store.shard_path(again).read_bytes(), WIDTH, ORIGIN._replace(pyarrow="26.0.1"))
    status, _, err = run(capsys, "report", store.root)
    kinds = "17 by jax 0.12.0.1, scipy 1.18.1; 1 by jax 0.10.1, scipy not recorded"
    assert (status, err) == (0, f"mixed: shards of several versions or devices, so last digits may differ: {kinds}\n")
    text = (store.root / "report.html").read_text()
    page = Page(text)
    assert kinds in page.text("p") and text.index(kinds) < text.index("<main>")
    assert '<p class="state complete">' in text and 'class="notice mixed"' in text
    assert [row[:4] for row in page.tables[3][1:]] == [["1", "17", "0.1.0", "0.12.0.1"], ["2", "1", "0.1.0", "0.10.1"]]


@pytest.mark.parametrize(
    "family",
    [
        {"game": {"kind": "zero_sum", "num_actions": [3, 3], "num_games": 2}, "concentrability": [30.0, np.inf]},
        {"game": {"kind": "markov", "num_actions": [2, 2], "parameters": {"horizon": 3, "odd key": 1e-7}}},
        {"game": {"kind": "file", "path": 'C:\\games\\"x"\t\x7f\u0001ü.nfg'}, "noise": "bernoulli"},
        {"game": {"kind": "shapley"}, "reference": [[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]], "num_samples": {"first": 100}},
    ],
)
def test_the_config_can_be_run_again(family):
    asked = config(family=[{"label": "a \\ \"b\" 'c'", "temperatures": [0.1], **family}])
    assert parse_config(tomllib.loads(config_toml(asked))) == asked


def test_a_complete_run(text, page):
    assert '<p class="state complete">complete</p>' in text
    assert 'class="notice' not in text
    assert f"{len(LABELS) * len(SIZES) * SEEDS}" in page.text("dd") and "18 of 18" in page.text("dd")


def test_an_unfinished_run(tmp_path, capsys):
    store = make_run(tmp_path / "run", shards=8)
    status, out, err = run(capsys, "report", store.root)
    assert (status, out) == (0, f"report: {store.root / 'report.html'}\n")
    assert err.startswith("unfinished: 8 of 18 planned shards are there") and err.count("\n") == 1
    text = (store.root / "report.html").read_text()
    page = Page(text)
    assert '<p class="state unfinished">' in text
    assert "8 of 18 planned shards are there" in page.text("p")
    assert text.index("8 of 18") < text.index("<main>")  # before any number
    assert [row[1] for row in page.tables[1][1:]] == ["24", "8", "0"]  # solves of each case
    assert all(label in page.text() for label in LABELS)


def test_a_damaged_run(tmp_path, capsys):
    """The other shards are shown, and the damaged ones named."""
    store = make_run(tmp_path / "run")
    names = [damage(store, 0), damage(store, 17)]
    status, _, err = run(capsys, "report", store.root, "--out", tmp_path / "page.html")
    assert status == 0 and err.startswith("damaged: 2 shards are damaged or gone")
    text = (tmp_path / "page.html").read_text()
    page = Page(text)
    assert '<p class="state damaged">' in text and 'class="notice damaged"' in text
    assert all(name in page.text("p") for name in names) and "16 of 18 planned shards" in page.text("p")
    assert [row[1] for row in page.tables[1][1:]] == ["20", "24", "20"]


def test_a_run_whose_shards_are_all_damaged(tmp_path):
    store = make_run(tmp_path / "run", shards=6)
    for index in range(6):
        damage(store, index)
    page = Page(report(store, tmp_path / "report.html"))
    assert "6 shards are damaged or gone" in page.text("p") and ", ..." in page.text("p")
    assert "0 of 18" in page.text("dd") and page.attributes("svg") == []


def test_a_run_that_has_just_begun(tmp_path):
    """Without a plan there are no cases yet; what was asked for is shown."""
    store = Store(tmp_path / "run")
    store.open(config().canonical())
    page = Page(report(store, tmp_path / "report.html"))
    assert "0 of an unknown number of planned shards" in page.text("p")
    assert parse_config(tomllib.loads(page.text("pre"))) == config()
    assert "None is recorded" in page.text("p")


@pytest.mark.parametrize("name", ["config.json", "plan.json"])
def test_a_run_with_a_damaged_file(tmp_path, name):
    store = make_run(tmp_path / "run")
    (store.root / name).write_text("{")
    text = report(store, tmp_path / "report.html")
    page = Page(text)
    assert '<p class="state damaged">' in text and f"{name} is damaged" in page.text("p")
    assert "18 of ?" in page.text("dd") and "cannot be read" not in page.text("p")
    assert len(page.attributes("svg")) == (len(LABELS) if name == "config.json" else 0)


def test_a_run_of_which_only_shards_are_left(tmp_path):
    store = make_run(tmp_path / "run")
    for name in ("config.json", "plan.json"):
        (store.root / name).write_text("{")
    page = Page(report(store, tmp_path / "report.html"))
    assert "config.json is damaged" in page.text("p") and "plan.json is damaged" in page.text("p")
    assert "It cannot be read." in page.text("p") and page.tables[0][0][0] == "run"


def test_files_that_are_refused(whole, capsys):
    message = "gamekl report: out: got page.pdf, takes a file that ends in .html or .htm\n"
    assert run(capsys, "report", whole.root, "--out", "page.pdf") == (2, "", message)


def test_inline_svg():
    """Colours that a page may change, ids of its own, nothing of where it came from."""
    svg = (
        '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        'width="9pt" viewBox="0 0 9 9"><metadata>then</metadata><defs><style>*{}</style><path id="a"/></defs>'
        '<use xlink:href="#a" clip-path="url(#a)" style="fill: #0072b2; stroke: none"/><text>fill: #0072b2</text></svg>'
    )
    assert inline_svg(svg, "f1-", "it's <it>") == (
        '<svg viewBox="0 0 9 9" role="img" aria-label="it\'s &lt;it&gt;"><defs><path id="f1-a" /></defs>'
        '<use href="#f1-a" clip-path="url(#f1-a)" style="fill: var(--c-0072b2, #0072b2); stroke: none" />'
        "<text>fill: #0072b2</text></svg>"
    )


def palettes(text):
    """The variables of the page in light, and in dark."""
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", part)) for part in text.partition("@media")[::2])
    return {"light": light, "dark": light | dark}


def contrast(one, other):
    """By the definition of WCAG 2."""

    def luminance(colour):
        channels = np.array([int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)])
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    high, low = sorted([luminance(one), luminance(other)], reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_can_be_read(text, mode):
    colours = palettes(text)[mode]
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    backs = [colours[name] for name in ("page", "card", "head")]
    for name in ("text", "muted", "accent", "c-666666", "c-808080"):
        assert min(contrast(colours[name], back) for back in backs) >= CONTRAST, name
    for name in ("good", "warn", "bad"):
        assert contrast(colours[name], colours[f"{name}-back"]) >= CONTRAST, name


def test_every_colour_of_a_figure_has_a_dark_one(text):
    dark = palettes(text)["dark"]
    used = set(re.findall(r"var\(--c-([0-9a-f]{6})", text)) | {colour[1:].lower() for colour in COLOURS}
    assert {f"c-{colour}" for colour in used} <= set(dark)
    assert dark["c-ffffff"] == dark["card"] and dark["c-000000"] == dark["text"]
    assert all(contrast(dark[f"c-{colour[1:].lower()}"], dark["card"]) > 5 for colour in COLOURS)


def browse(path, shot, mode, width):
    """A screenshot, and what the browser logs; it cannot resolve any host."""
    profile = shot.parent / f"{shot.stem}-profile"
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", f"--user-data-dir={profile}"]
    command += [f"--blink-settings=preferredColorScheme={int(mode == 'light')}", f"--window-size={width},1400"]
    done = subprocess.run(
        [*command, f"--screenshot={shot}", path.as_uri()], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return np.round(matplotlib.image.imread(shot)[..., :3] * 255).astype(int), done.stderr


def colour(text):
    return np.array([int(text[index : index + 2], 16) for index in (1, 3, 5)])


def share(pixels, wanted):
    return np.mean(np.all(pixels == colour(wanted), axis=-1))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
@pytest.mark.parametrize(("mode", "width"), [("light", 1200), ("dark", 1200), ("dark", 390)])
def test_a_browser_shows_it(whole, text, tmp_path, mode, width):
    pixels, log = browse(whole.root / "report.html", tmp_path / "shot.png", mode, width)
    assert pixels.shape == (1400, width, 3)
    assert "CONSOLE" not in log and "net_error" not in log
    colours = palettes(text)[mode]
    curve = colours.get("c-0072b2", "#0072b2")
    assert 0.1 < share(pixels, colours["page"]) < 0.9 and share(pixels, colours["card"]) > 0.1
    assert share(pixels, curve) > 1e-4  # the points of the figures
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 200
    assert share(pixels[:, -8:], colours["page"]) == 1  # nothing is wider than the window


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_the_page_lets_nothing_in(whole, text, tmp_path):
    """The browser refuses and logs what somebody adds to the page; so the test above would have seen it."""
    path = tmp_path / "page.html"
    path.write_text(text.replace("</main>", '<img src="http://localhost/x.png"><script>let x = 1</script></main>'))
    _, log = browse(path, tmp_path / "shot.png", "light", 800)
    assert log.count("CONSOLE") >= 2 and "Content Security Policy" in log
