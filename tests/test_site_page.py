"""The page of reports and its files of data: contents, order, size. test_site_browser.py opens them."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from conformance.reporting.changes import compare
from conformance.reporting.history import reports_in
from conformance.reporting.reading import MAX_FINITE_MARGIN, Report, read, read_all
from conformance.reporting.report import Row
from conformance.reporting.shares import Shares
from conformance.reporting.site import data, overview
from conformance.reporting.site.departures import addresses, departures, split_issue
from conformance.reporting.site.findings import Findings, read_findings
from conformance.reporting.site.overview import Links
from conformance.reporting.site.page import page, site
from conformance.reporting.site.picture import longest_worst, margins, margins_picture
from tests import adapter_results
from tests.sample_reports import HOSTILE, report, right, row, wrong
from tests.test_site import RESULTS, ROOT, loaded

SITE = ROOT / "docs" / "site"
MAX_FIRST_SCREEN_BYTES = 300_000
VOID = {"meta", "link", "br", "img", "input", "base", "embed", "source"}
FINDINGS = """# Findings

What was found.

## A kernel: it is short

- **What.** The kernel is short, for `GRU-LAW`.
- **Script.** [scripts/short.py](scripts/short.py), [gone](scripts/gone.py).
- **Public issue.** [x/y#7](https://github.com/x/y/issues/7).

## Another

- **Script.** [scripts/short.py](scripts/short.py). [older](https://github.com/x/y/issues/1) is about `OTHER-ONE`.
"""


class Parsed(HTMLParser):
    """A parsed page: its elements, its external resources, and errors of nesting and ids."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.problems, self.loads, self.content = [], [], [], [], {}
        self.feed(text)
        self.problems += [f"{tag} is not closed" for tag in self.open]
        ids = [attributes["id"] for _, attributes in self.elements if "id" in attributes]
        self.problems += [f"{id_} is no id of its own" for id_ in set(ids) if ids.count(id_) > 1]
        style = " ".join(self.content.get("style", []) + [a.get("style", "") for _, a in self.elements])
        self.loads += re.findall(r"@import[^;]*|url\((?!#)[^)]*\)", style)

    def handle_starttag(self, tag, attributes):
        attributes = {name: value or "" for name, value in attributes}
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        for name in ("src", "srcset", "data", "poster", "action", "background", *(["href"] if tag != "a" else [])):
            if name in attributes and not attributes[name].startswith(("#", "data:")):
                self.loads.append(f"{tag} {name}={attributes[name]}")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing, line {self.getpos()[0]}")

    def handle_data(self, text):
        self.content.setdefault(self.open[-1] if self.open else "", []).append(text)

    def all(self, tag, **wanted):
        return [a for t, a in self.elements if t == tag and all(a.get(k) == v for k, v in wanted.items())]


def test_the_parser_sees_what_is_wrong():
    parsed = Parsed("<p id=a><b id=a></p><img src='https://x.org/y'><style>a{background:url(z.png)}</style>")
    assert parsed.loads == ["img src=https://x.org/y", "url(z.png)"]
    assert "</p> closes nothing, line 1" in parsed.problems
    assert "a is no id of its own" in parsed.problems


def data_of(text):
    """Return the name and the value that a file of data hands over."""
    match = re.fullmatch(r"conformanceData\((\"[^\"]+\"),(.*)\);\n", text, re.DOTALL)
    return json.loads(match[1]), json.loads(match[2])


def also_onnx(one):
    """Add a specification to a report; it has an area of the same name."""
    rows = [row("ONNX-Y", "LSTM", specification="onnx", area="refusals"), row("REFUSE-A", area="refusals")]
    found = row("ONNX-X", "GRU", specification="onnx", status="failed", message="got 1, expected 2", area="refusals")
    return one | {"requirements": [*one["requirements"], *rows, found]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Write the page of three backends, one with an older run; return the reports, the files and the parsed page."""
    folder = tmp_path_factory.mktemp("reports")
    new = right("right") | {"suite": right()["suite"] | {"catalogue": "1.0"}}
    reports = loaded(folder, wrong(), right("right"), also_onnx(new), right("other"))
    files = site(reports)
    return reports, files, Parsed(files["index.html"])


# The first screen


def test_the_page_is_whole_html_and_loads_nothing_by_itself(made):
    _, files, parsed = made
    assert parsed.problems == []
    assert parsed.loads == []
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|import|eval)\s*\(", files["index.html"])
    (policy,) = parsed.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none';")


def test_the_page_can_be_read_without_seeing_it(made):
    _, _, parsed = made
    assert all("scope" in a for a in parsed.all("th"))
    assert parsed.all("html") == [{"lang": "en"}]
    bars = [a for a in parsed.all("div") if a.get("class") == "bar"]
    assert len(bars) == 4
    assert all(a["role"] == "img" and "%" in a["aria-label"] for a in bars)
    assert all(a.get("aria-label") for a in parsed.all("form"))


def test_the_most_departures_come_first_and_known_ones_count():
    def backend(name, **counts):
        rows = [Row(f"R-{s}-{n}", "a", "", "", "k", "d", s) for s, number in counts.items() for n in range(number)]
        return Report(name, "1", {}, {}, {}, tuple(rows), {"conformant": True})

    reports = [
        backend("none", passed=9),
        backend("one", passed=9, failed=1),
        backend("known", passed=9, known_failure=3),
        backend("also", passed=1, known_failure=1, failed=1, blocked=1),
        backend("unclaimed", not_claimed=8),
    ]
    (chapter,) = overview.chapters(reports, Findings())
    assert [bar.report.name for bar in chapter.bars] == ["also", "known", "one", "none", "unclaimed"]
    assert [bar.shares.departures for bar in chapter.bars] == [2, 3, 1, 0, 0]
    assert dict(chapter.bars[0].widths) == {"fulfilled": 25, "failed": 25, "known": 25, "blocked": 25}
    assert dict(chapter.bars[-1].widths) == {"not_claimed": 100}


def test_each_specification_has_a_chapter_and_areas_of_its_own(made):
    reports, files, parsed = made
    chapters = overview.chapters([reports[0], reports[2], reports[3]], Findings())
    assert [(chapter.name, len(chapter.bars)) for chapter in chapters] == [("torch.nn", 3), ("onnx", 1)]
    of_right = {c.name: next(bar for bar in c.bars if bar.report.name == "right") for c in chapters}
    assert of_right["torch.nn"].areas["refusals"] == Shares(1)
    assert of_right["onnx"].areas["refusals"] == Shares(1, failed=1)
    assert len(parsed.all("section", **{"data-specification": "onnx"})) == 2
    _, matrix = data_of(files["data/requirements.js"])
    assert matrix["requirements"]["ONNX-Y"]["specification"] == "onnx"


def test_a_cell_is_green_only_if_everything_is_fulfilled():
    assert [overview.level(Shares(n, known=100 - n)) for n in (100, 99, 94, 79, 49, 0)] == [
        *("all", "most", "many", "half", "few", "few"),
    ]
    assert overview.level(Shares(not_claimed=3)) == "none"
    assert [overview.short_percent(s) for s in (Shares(999, known=1), Shares(3), Shares(not_claimed=1))] == [
        *("99", "100", "–"),
    ]


def test_the_first_screen_stays_small_with_many_backends():
    """Try forty-five backends; a third of them speaks a second specification."""
    several = [
        replace(r, rows=tuple(row for row in r.rows if row.specification == "torch.nn")) for r in read_all(RESULTS)
    ]
    many = [replace(one, name=f"{one.name}-{n}") for n in range(3) for one in several][:45]
    for place in range(0, len(many), 3):
        rows = many[place].rows
        more = tuple(replace(r, id=f"ONNX-{r.id}", specification="onnx") for r in rows[:400])
        many[place] = replace(many[place], rows=rows + more)
    assert len(many) == 45
    text = page([[one] for one in many])
    assert text.count('<li class="backend"') == 60
    assert len(text.encode()) < MAX_FIRST_SCREEN_BYTES


def test_the_committed_page_is_small_whole_and_loads_nothing_by_itself():
    text = (SITE / "index.html").read_text("utf-8")
    assert len(text.encode()) < MAX_FIRST_SCREEN_BYTES
    parsed = Parsed(text)
    assert (parsed.problems, parsed.loads) == ([], [])
    names = {read(path)[0].name for path in RESULTS}
    assert {a["data-backend"] for a in parsed.all("li") if "data-backend" in a} == names
    for address in [a["href"] for a in parsed.all("a") if not a["href"].startswith(("#", "https://"))]:
        assert (SITE / address).is_file(), f"{address} leads nowhere"


def test_what_changed_since_the_run_before_is_told(made):
    reports, files, _ = made
    old, new = reports[1], reports[2]
    told = " ".join(files["index.html"].split())
    assert f"{compare(old, new).title}: worse 1, neither better nor worse 2" in told
    assert '<a href="#backend=right&amp;part=history">1 earlier run</a>' in told


def test_a_comparison_of_two_backends_is_told(made):
    reports, _, _ = made
    text = page([[reports[0]], [reports[3]]], [compare(reports[3], reports[0])])
    assert '<a href="#compare=other&amp;with=wrong">' in text


# Departures in words


def rows_of(*rows):
    return [Row(**one) for one in rows]


def known(id_, reason, **more):
    return row(id_, status="known_failure", message=f"{reason}\nwhat came: got 1, expected 2", **more)


def test_departures_of_one_reason_are_one_cause_and_the_gravest_comes_first():
    lost = "NaN is lost; reproducer: docs/reproducers/nan.py (https://github.com/x/y/issues/3 (open))"
    found = departures(
        rows_of(
            row("PASSES"),
            known("REFUSE-A", "takes it; reproducer: a/b.py (none known)", area="refusals"),
            known("NUMBER-B", lost, margin=3.0),
            known("NUMBER-A", lost, margin=2e5),
            known("NUMBER-C", f"NUMBER-A: {lost}", margin=4.0),
            row("GROSS", status="failed", margin=1.7e308, message="got 3", kind="gru"),
        ),
        Findings(),
    )
    told = [(one.words, one.requirements, one.script, one.issues, one.status) for one in found]
    assert told == [
        ("got 3", ["GROSS"], "", (), "failed"),
        (
            "NaN is lost",
            ["NUMBER-A", "NUMBER-C", "NUMBER-B"],
            "docs/reproducers/nan.py",
            ("https://github.com/x/y/issues/3",),
            "known_failure",
        ),
        ("takes it", ["REFUSE-A"], "a/b.py", (), "known_failure"),
    ]


def test_an_end_of_the_process_is_the_gravest_of_the_refusals():
    crash = known("REFUSE-B", "it ends (none known)", area="refusals")
    crash["message"] = "it ends (none known)\nx: the backend's process ended by signal 11 (SIGSEGV)"
    accepted = [known(f"REFUSE-{n}", "it is taken (none known)", area="refusals") for n in range(3)]
    assert [one.words for one in departures(rows_of(*accepted, crash), Findings())] == ["it ends", "it is taken"]


def test_what_came_decides_the_gravity_of_a_known_failure():
    """An exception may be a combination that is not supported, so wrong numbers are graver, however few."""
    raising = [known(f"RAISES-{n}", "it is not built (none known)") for n in range(3)]
    for one in raising:
        one["message"] = "it is not built (none known)\na call raised ValueError: no"
    found = departures(rows_of(*raising, known("WRONG", "it is wrong (none known)")), Findings())
    assert [one.words for one in found] == ["it is wrong", "it is not built"]


def test_a_diagnosis_is_the_words_of_a_failure():
    (failed,) = [one for one in wrong()["requirements"] if one["id"] == "GRU-EQUATION" and one["status"] == "failed"]
    (found,) = departures(rows_of(failed), Findings())
    assert found.words == "these are the numbers of a GRU without a reset gate"
    assert found.script == "report-reproducers/gru-equation.py"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("why (none known)", ("why", "none known")),
        ("why (so) it is (x (open))", ("why (so) it is", "x (open)")),
        ("no issue", ("no issue", "")),
        ("unbalanced)", ("unbalanced)", "")),
    ],
)
def test_the_issue_stands_last_in_parentheses(text, parts):
    assert split_issue(text) == parts


@pytest.fixture
def documented(tmp_path):
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "short.py").write_text("pass\n")
    (tmp_path / "findings.md").write_text(FINDINGS)
    return tmp_path


def test_findings_are_found_by_the_script_and_the_requirement(documented):
    findings = read_findings([documented / "findings.md"])
    assert [one.slug for one in findings.every] == ["a-kernel-it-is-short", "another"]
    assert findings.of("docs/scripts/short.py", ["GRU-LAW"]).title == "A kernel: it is short"
    assert findings.of("short.py", ["OTHER-ONE", "NO-LAW"]).title == "Another"
    assert findings.of("long.py", []) is None
    assert findings.of("", []) is None
    assert addresses(findings.every[0].public_issue) == (["https://github.com/x/y/issues/7"], [])
    assert findings.every[1].public_issue == ""


def test_an_issue_that_is_only_related_is_told_as_that(tmp_path):
    assert addresses("none known; related: https://github.com/x/y/issues/3") == (
        [],
        ["https://github.com/x/y/issues/3"],
    )
    one = report("x", [known("A", "it is short (none known; related: https://github.com/x/y/issues/3)")])
    files = site(loaded(tmp_path, one))
    assert 'rel="noreferrer">related issue</a>' in files["index.html"]
    assert 'rel="noreferrer">issue</a>' not in files["index.html"]
    _, inside = data_of(files["data/backend-x.js"])
    assert (inside["departures"][0]["issues"], len(inside["departures"][0]["related"])) == ([], 1)


def test_a_document_of_one_finding_is_that_finding(tmp_path):
    parts = "# Title of it\n\n## What\n\nIt is.\n\n## Script\n\n[one.py](../one.py)\n"
    (tmp_path / "one.md").write_text(parts)
    (found,) = read_findings([tmp_path / "one.md"]).every
    assert (found.title, found.slug) == ("Title of it", "title-of-it")
    assert "It is." in found.text


def test_a_departure_leads_to_its_finding_its_script_and_its_issue(documented, tmp_path):
    findings = read_findings([documented / "findings.md"])
    one = report("x", [known("KNOWN", "the kernel is short; reproducer: scripts/short.py (none known)")])
    files = site(loaded(tmp_path, one), (), findings, Links(documented, documented / "out" / "site"))
    for part in (
        *('<a href="#finding=a-kernel-it-is-short">finding</a>', '<a href="../../scripts/short.py">script</a>'),
        '<a href="https://github.com/x/y/issues/7" rel="noreferrer">issue</a>',
    ):
        assert part in files["index.html"]
    _, told = data_of(files["data/findings.js"])
    assert told["a-kernel-it-is-short"]["scripts"] == [["short.py", "../../scripts/short.py"], ["gone.py", ""]]
    plain = site(loaded(tmp_path, one))["index.html"]
    assert "the kernel is short" in plain
    assert ">script</a>" not in plain, "without the project's folder a path is no address"


# The files of data


def test_every_row_of_a_report_is_behind_its_cell(made):
    reports, files, _ = made
    subjects = data.subjects_of(reports)
    _, matrix = data_of(files["data/requirements.js"])
    letters = {letter: status for status, letter in data.LETTERS.items()}
    for one in (reports[0], reports[2], reports[3]):
        _, inside = data_of(files[f"data/backend-{one.name}.js"])
        for found in one.rows:
            place = subjects.index((found.specification, found.kind, found.dtype))
            examples, margin, *rest = next(cell for cell in inside["rows"][found.id] if cell[0] == place)[1:]
            assert letters[matrix["cells"][one.name][found.id][place]] == found.status
            assert examples == found.examples
            assert margin == found.margin or min(margin, found.margin) > MAX_FINITE_MARGIN
            text, faults, reproducer = rest + [0, [], 0][len(rest) :]
            assert inside["texts"][text] == found.message
            assert [inside["faults"][fault][0] for fault in faults] == [fault["fault"] for fault in found.diagnosis]
            assert inside["texts"][reproducer] == (found.reproducer or "")


def test_a_requirement_has_the_faults_that_it_catches(made):
    _, files, _ = made
    _, matrix = data_of(files["data/requirements.js"])
    caught = {id_: [fault[0] for fault in one["faults"]] for id_, one in matrix["requirements"].items()}
    assert "c-n-is-h-n" in caught["LSTM-EQUATION"]
    assert caught["HOSTILE"] == []
    assert matrix["requirements"]["STATE-ARGUMENTS-UNTOUCHED"]["ruling"].startswith("The documentation names outputs")


def test_the_history_has_every_run_and_what_changed(made):
    _, files, _ = made
    _, inside = data_of(files["data/backend-right.js"])
    old, new = inside["history"]
    assert (old["catalogue"], new["catalogue"]) == ("", "1.0")
    assert [old["key"], new["key"]] == ["1.0.catalogue-none", "1.0.catalogue-1.0"]
    assert old["shares"] == {"torch.nn": [6, 0, 0, 0, 0]}
    assert new["shares"]["onnx"] == [1, 1, 0, 0, 0]
    assert old["cells"]["SHAPE-H-N"].strip(".") == "p"
    assert new["cells"] is None, "the newest run's cells are those of all backends"
    assert dict(new["changes"]["parts"])["Worse"] == [["ONNX-X", "not in the report", "failed", ["GRU float32"]]]


def test_runs_of_the_same_version_have_keys_of_their_own(tmp_path):
    (one,) = loaded(tmp_path, right())
    assert overview.keys([one, one, one]) == ["1.0.catalogue-none", "1.0.catalogue-none~2", "1.0.catalogue-none~3"]


def test_backends_have_files_of_their_own():
    assert overview.slugs(["a/b", "a-b", "A-b", "../x", "é"]) == {
        "a/b": "a-b",
        "a-b": "a-b_",
        "A-b": "A-b__",
        "../x": "x",
        "é": "unnamed",
    }


def test_text_from_a_report_is_no_markup(made):
    _, files, parsed = made
    assert len(parsed.all("script")) == 2
    assert parsed.all("img") == []
    name, inside = data_of(files["data/backend-wrong.js"])
    assert name == "backend-wrong"
    assert HOSTILE in inside["texts"]
    assert all("<" not in text for path, text in files.items() if path.endswith(".js"))


def test_the_pictures_show_what_is_beyond_the_tolerance(made):
    reports, files, _ = made
    drawn = {one.name: margins_picture(margins(one), "m") for one in reports}
    assert "2.5e+05 x" in drawn["wrong"]
    assert "infinite" in drawn["wrong"]
    assert " x<" not in drawn["other"]
    assert "http" not in drawn["other"]
    assert [found.id for found in longest_worst(reports[0])] == ["GRU-EQUATION"]
    assert longest_worst(reports[3])[0].steps[2] == 0.25
    _, inside = data_of(files["data/backend-wrong.js"])
    assert inside["margins"]["picture"] == drawn["wrong"]
    assert ["lstm", "float32", 1, "infinite", "infinite", "HOSTILE"] in inside["margins"]["rows"]


def test_the_table_of_the_adapters_is_that_of_the_committed_results():
    page_ = adapter_results.PAGE.read_text("utf-8")
    lines = list(adapter_results.rows())
    reports = read_all(RESULTS)
    assert len(lines) == sum(len(one.shares) for one in reports), "every report and specification has a line"
    for one in reports:
        for name, shares in one.shares.items():
            (line,) = [line for line in lines if line.startswith(f"| `{one.name}` | `{name}` |")]
            assert f"| {shares.fulfilled:,} | {shares.departures:,}" in line
            assert f"| {shares.percent} |" in line
    assert adapter_results.written(page_.replace("[results/keras.json]", "[results/other.json]")) == page_


def test_former_reports_come_before_the_newest():
    found = reports_in(ROOT / "results")
    assert [path for path in found if path.parent.name == "results"] == found[-len(RESULTS) :]
    assert isinstance(found[0], Path)


def test_the_page_says_what_was_not_run(tmp_path):
    from tests.regenerate import not_run

    (cuda, others) = not_run({"torch-cpu", "keras"})
    assert cuda == "torch-cuda, torch-cuda-tf32, torch-cuda-native: not run, because no GPU was to be had."
    assert "flax" in others
    assert "keras," not in others
    assert others.endswith(": no result yet.")
    text = (ROOT / "docs" / "site" / "index.html").read_text("utf-8")
    assert f'<p class="note remark">{cuda}</p>' in text
