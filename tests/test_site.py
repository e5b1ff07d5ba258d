"""Pages and summaries of reports: reading, folding, comparing, writing. test_site_browser.py opens the page."""

import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conformance import __main__ as command_line
from conformance import registry
from conformance.engine.compare import Failed
from conformance.engine.drawing import Plans
from conformance.engine.finding import Finding, Status
from conformance.engine.subject import Subject
from conformance.engine.trial import trial_of
from conformance.reporting import terminal
from conformance.reporting.changes import compare, direction, pairs
from conformance.reporting.reading import BadReport, read, reports_of
from conformance.reporting.report import Outcome, Row
from conformance.reporting.shares import Shares
from conformance.reporting.site.matrix import Cell, columns, documented_at, matrix, runs_of
from conformance.reporting.site.page import site
from conformance.reporting.site.summary import badge, markdown
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.faults import BANK
from conformance.specifications.torch_nn.strategies import layers
from reference.precision import REPLICAS_ON_FAILURE
from tests.harness import QUICK, all_checks, verdict_of
from tests.sample_reports import report, right, row, wrong

ROOT = Path(__file__).parents[1]
RESULTS = sorted((ROOT / "results").glob("*.json"))


def written(folder, *reports, name="report.json"):
    file = folder / name
    file.write_text(json.dumps(list(reports) if len(reports) > 1 else reports[0]), "utf-8")
    return file


def loaded(folder, *reports):
    return read(written(folder, *reports))


def run(monkeypatch, capsys, *arguments):
    """Run ``python -m conformance report``; return exit status and standard error."""
    monkeypatch.setattr(sys, "argv", ["conformance", "report", *map(str, arguments)])
    status = 0
    try:
        command_line.main()
    except SystemExit as ended:
        status = ended.code
    return status, capsys.readouterr().err


# Reading


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.stem)
def test_what_runs_wrote_is_read(file):
    (one,) = read(file)
    raw = json.loads(file.read_text("utf-8"))
    assert [found.id for found in one.rows] == [found["id"] for found in raw["requirements"]]
    assert one.conformant == raw["summary"]["conformant"]


def test_keys_that_are_not_known_are_no_error(tmp_path):
    extended = right() | {"host": "x"}
    extended["requirements"][0]["colour"] = "red"
    assert loaded(tmp_path, extended)[0].rows[0].id == "SHAPE-H-N"


def changed(**changes):
    return right() | changes


BAD = {
    "text": ("not json {", "line 1, column 1: this is no JSON"),
    "nan": ('{"schema": NaN}', "NaN is no JSON number; write a finite one"),
    "number": ("3", "is not a conformance report: it has no schema number"),
    "other object": ('{"name": "x"}', "is not a conformance report: it has no schema number"),
    "other schema": (json.dumps(changed(schema=2)), "has schema 2; this version reads schema 1"),
    "true for a schema": (json.dumps(changed(schema=True)), "has schema true; this version reads schema 1"),
    "nothing else": ('{"schema": 1}', "lacks 'suite', 'backend', 'summary', 'requirements'; add it"),
    "status": (
        json.dumps(changed(requirements=[row("A", status="fine")])),
        'requirements[0].status: "fine" should be one of passed',
    ),
    "margin": (json.dumps(changed(requirements=[row("A", margin="small")])), 'requirements[0].margin: "small" should'),
    "twice": (json.dumps(changed(requirements=[row("A"), row("A")])), "it has A lstm float32 twice"),
    "empty list": ("[]", "is an empty list: it holds no report"),
    "second of two": (json.dumps([right(), {"schema": 7}]), "report 2 has schema 7"),
    "latin-1": ("\xe4".encode("latin-1"), "line 1, byte 0: this is no UTF-8"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_exit_status_2(name, tmp_path, monkeypatch, capsys):
    content, said = BAD[name]
    file = tmp_path / "bad.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    status, told = run(monkeypatch, capsys, file, "--badge", tmp_path / "badge.json")
    assert status == 2
    assert said in told
    assert len(told.strip().splitlines()) == 1, told
    assert "bad.json" in told
    assert not (tmp_path / "badge.json").exists()


def test_a_wrong_command_line_is_told_in_one_sentence(tmp_path, monkeypatch, capsys):
    file = written(tmp_path, right())
    for arguments, said in (
        ([tmp_path / "none.json", "--badge", tmp_path / "b"], "none.json cannot be read (No such file or directory)."),
        ([tmp_path, "--badge", tmp_path / "b"], "cannot be read (Is a directory)."),
        ([file], "nothing to write: add --html DIR, --markdown FILE or --badge FILE."),
        (["--badge", tmp_path / "b"], "no report was named"),
        ([file, "--badge", file / "b"], "cannot be written"),
    ):
        status, told = run(monkeypatch, capsys, *arguments)
        assert status == 2, arguments
        assert said in told.strip().splitlines()[-1]


def test_the_command_works_as_it_is_documented(tmp_path):
    written(tmp_path, wrong())
    done = subprocess.run(
        [sys.executable, "-m", "conformance", "report", tmp_path / "report.json", "--markdown", tmp_path / "new/s.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "GRU-EQUATION" in (tmp_path / "new/s.md").read_text("utf-8")


def test_without_its_libraries_the_page_says_what_to_install_and_the_rest_is_written(tmp_path, monkeypatch, capsys):
    file = written(tmp_path, right())
    for module in ("jinja2", "matplotlib"):
        monkeypatch.setitem(sys.modules, module, None)
    for name in [
        name
        for name in sys.modules
        if name.startswith(("conformance.reporting.site.page", "conformance.reporting.site.pict"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    status, told = run(monkeypatch, capsys, file, "--html", tmp_path / "site")
    assert status == 2
    assert "pip install 'rnn-conformance[report]'" in told
    assert len(told.strip().splitlines()) == 1
    assert run(monkeypatch, capsys, file, "--markdown", tmp_path / "s.md", "--badge", tmp_path / "b.json") == (0, "")


# Folding


def test_a_cell_shows_its_worst_row(tmp_path):
    rows = {found.status: found for found in loaded(tmp_path, wrong())[0].rows}
    worst_first = ["failed", "blocked", "known_failure", "passed", "not_claimed"]
    for place, status in enumerate(worst_first):
        cell = Cell(tuple(rows[other] for other in reversed(worst_first[place:])))
        assert cell.status == status
        assert cell.part == (f"1/{5 - place}" if place < 4 else "")
    assert Cell(()).status is None


def test_the_matrix_has_a_line_for_every_requirement_in_the_catalogues_order(tmp_path):
    areas = matrix(loaded(tmp_path, wrong(), right()))
    assert [area.name for area in areas] == ["shapes", "state", "numerics", "cases", "elsewhere"]
    lines = {line.id: line for area in areas for line in area.lines}
    assert set(lines) == {found["id"] for one in (wrong(), right()) for found in one["requirements"]}
    assert [cell.status for cell in lines["GRU-EQUATION"].cells] == ["failed", "passed"]
    assert [cell.status for cell in lines["CASE-ONE"].cells] == [None, "passed"]
    assert lines["STATE-ARGUMENTS-UNTOUCHED"].ruling.startswith("The documentation names outputs")
    numerics = next(area for area in areas if area.name == "numerics")
    assert numerics.counts(0) == [("failed", 1), ("blocked", 1), ("known_failure", 1), ("not_claimed", 1)]


def test_the_pages_that_a_source_names():
    def named(*arguments):
        return [name for name, _ in documented_at(*arguments)]

    assert named("torch.nn.RNN, LSTM, GRU: Inputs, h_0") == ["torch.nn.RNN", "torch.nn.LSTM", "torch.nn.GRU"]
    assert named("torch.nn.LSTMCell: Outputs; torch.nn.utils.rnn.pack_padded_sequence: lengths") == [
        "torch.nn.LSTMCell",
        "torch.nn.utils.rnn.pack_padded_sequence",
    ]
    assert named("https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html") == []
    assert documented_at("RNN, GRU: Inputs, sequence_lens", "onnx") == [
        ("RNN", "https://onnx.ai/onnx/operators/onnx__RNN.html"),
        ("GRU", "https://onnx.ai/onnx/operators/onnx__GRU.html"),
    ]


# Comparing two runs


@pytest.mark.parametrize(
    ("was", "now", "is_"),
    [
        ("failed", "passed", "better"),
        ("blocked", "passed", "better"),
        ("known_failure", "passed", "better"),
        ("not_claimed", "passed", "better"),
        ("passed", "failed", "worse"),
        ("passed", "blocked", "worse"),
        ("passed", "known_failure", "worse"),
        ("passed", "not_claimed", "worse"),
        ("passed", None, "worse"),
        ("not_claimed", "failed", "worse"),
        ("known_failure", "failed", "worse"),
        (None, "failed", "worse"),
        (None, "passed", "other"),
        ("failed", "blocked", "other"),
        ("failed", "known_failure", "other"),
        ("failed", "not_claimed", "worse"),
        ("known_failure", None, "worse"),
        ("not_claimed", None, "other"),
    ],
)
def test_what_is_better_and_what_is_worse(was, now, is_):
    assert direction(was, now) == is_


def test_two_runs_are_compared_row_by_row(tmp_path):
    old = [row("A"), row("A", "gru"), row("B", status="failed"), row("C"), row("D", margin=0.2), row("E", margin=0.2)]
    new = [
        *(row("A", status="failed"), row("A", "gru", status="failed"), row("B"), row("C", examples=12)),
        *(row("D", margin=0.4), row("E", margin=0.21)),
    ]
    found = compare(*loaded(tmp_path, report("x", old), report("x", new, profile="quick")))
    told = {
        name: [(change.id, change.before, change.after, change.where) for change in getattr(found, name)]
        for name in ("worse", "better", "other", "margins")
    }
    assert told == {
        "worse": [
            ("A", "passed", "failed", ("lstm float32", "gru float32")),
            ("C", "passed 50 examples", "passed 12", ("lstm float32",)),
        ],
        "better": [("B", "failed", "passed", ("lstm float32",))],
        "other": [],
        "margins": [("D", "20%", "40%", ("lstm float32",))],
    }
    assert found.caution.startswith("The runs differ: suite 0.1.0, profile standard")
    same = compare(*loaded(tmp_path, report("x", old), report("x", old)))
    assert (same.caution, [changes for _, changes in same.parts if changes]) == ("", [])


def test_a_backend_that_comes_twice_is_a_column_and_a_comparison(tmp_path):
    old, new, other = loaded(tmp_path, wrong("x"), right("x"), right("y"))
    assert columns([old, other, new]) == ([new, other], [(old, new)])
    dated = [replace(new, made={"date": f"2026-11-{day}T10:00:00Z"}) for day in ("21", "03")]
    assert runs_of([*dated, other]) == [[*reversed(dated)], [other]], "by date"
    assert runs_of([*dated, old]) == [[*dated, old]], "as they are given, if one has no date"
    catalogues = [
        replace(one, suite={"catalogue": c}) for one, c in zip([*dated, old], ("10.0", "9.2", ""), strict=True)
    ]
    assert runs_of(catalogues) == [catalogues[::-1]], "by catalogue first"
    assert pairs([old], [other]) == [(old, other)]
    assert pairs([other, old], [new]) == [(old, new)]
    with pytest.raises(BadReport, match="nothing to compare: x before, y, y after"):
        pairs([old], [other, other])


# Markdown and badge


def test_the_summary_says_verdict_areas_failures_and_known_failures(tmp_path):
    text = "\n".join(markdown(loaded(tmp_path, wrong(), right())))
    assert "- ✗ **wrong** (1.0) does not conform: 2 requirements failed." in text
    assert "- ✓ **right** (1.0) conforms in all that it claims." in text
    assert "| numerics | ✗ 1 failed, ◌ 1 blocked, △ 1 known failure | ✓ 2 passed |" in text
    assert "- **GRU-EQUATION** (gru float64): What GRU-EQUATION states." in text
    assert "  - Diagnosis: these are the numbers of a GRU without a reset gate" in text
    assert "  - Reproducer: report-reproducers/gru-equation.py" in text
    assert "<details><summary>Known failures: wrong, 1 requirement</summary>" in text
    assert text.index("## Failed: wrong") < text.index("Known failures: wrong")


def test_text_from_a_report_is_no_markup_in_the_summary(tmp_path):
    text = "\n".join(markdown(loaded(tmp_path, wrong())))
    assert re.findall(r"(?<!\\)<\w+", text) == ["<details", "<summary"]
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {3}


def test_the_summary_stays_short(tmp_path):
    rows = [row(f"R-{n}", status="failed", message="word " * 10_000 + f"\n{n}") for n in range(300)]
    text = "\n".join(markdown(loaded(tmp_path, report("x", rows))))
    assert "- and 280 more" in text
    assert len(text.encode()) < 2**16  # a step summary holds 2**20


def test_the_summary_tells_what_changed(tmp_path):
    old, new = loaded(tmp_path, right("x"), wrong("x"))
    text = "\n".join(markdown([new], [compare(old, new)]))
    assert "## Compared: x (1.0)" in text
    assert "  - **GRU-EQUATION** (gru float64): passed → failed" in text
    assert "Nothing changed." in "\n".join(markdown([new], [compare(new, new)]))


def shared(name, passed, known=0, failed=0, unclaimed=0, **suite):
    """Return a report with these numbers of rows."""
    statuses = {"passed": passed, "known_failure": known, "failed": failed, "not_claimed": unclaimed}
    rows = [row(f"R-{s}-{n}", status=s, message="m") for s, number in statuses.items() for n in range(number)]
    return report(name, rows, **suite)


def also_onnx(one):
    one["requirements"].append(row("ONNX-Y", "LSTM", specification="onnx"))
    return one


@pytest.mark.parametrize(
    ("reports", "message", "color"),
    [
        ([right()], "torch.nn: 100 % of 6", "brightgreen"),
        ([shared("x", 1583, known=21)], "torch.nn: 98.6 % of 1,604", "yellowgreen"),
        ([shared("x", 9999, known=1)], "torch.nn: 99.9 % of 10,000", "yellowgreen"),
        ([shared("x", 8, known=2, unclaimed=90)], "torch.nn: 80.0 % of 10", "yellow"),
        ([shared("x", 1, known=1)], "torch.nn: 50.0 % of 2", "orange"),
        ([shared("x", 9, failed=1)], "torch.nn: 90.0 % of 10", "red"),
        ([shared("x", 0, unclaimed=3)], "torch.nn: nothing claimed", "orange"),
        ([report("x", [row("A")], complete=False)], "torch.nn: 100 % of 1, incomplete", "lightgrey"),
        ([also_onnx(shared("x", 3, known=1))], "torch.nn: 75.0 % of 4; onnx: 100 % of 1", "orange"),
        ([right("a"), right("b")], "2 backends, torch.nn: 100 %", "brightgreen"),
        ([right("a"), shared("b", 1, known=2)], "2 backends, torch.nn: 33.3 % to 100 %", "orange"),
    ],
)
def test_the_badge_is_that_of_shields(reports, message, color, tmp_path):
    assert badge(loaded(tmp_path, *reports)) == {
        "schemaVersion": 1,
        "label": "rnn-conformance",
        "message": message,
        "color": color,
    }


# Data of a run for the pictures


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_comparison_leaves_its_margin_and_that_of_each_step(batch_first):
    backend = registry.backend("reference")
    plans = Plans(0).block(TORCH_NN, layers, backend.features, 0)
    calls = (plan.build("gru", "float32") for plan in plans)
    call = next(
        c for c in calls if c.config.batch_first == batch_first and not c.unbatched and c.N != c.T > 2 and not c.lengths
    )
    trial = trial_of(Subject(TORCH_NN, backend, "gru", "float32"), call)
    trial.agrees()
    assert len(trial.steps) == call.T
    assert max(trial.steps) <= trial.margin < 1

    growing = 0.2 * (1 + np.arange(call.T)).reshape((1, -1, 1) if batch_first else (-1, 1, 1))
    wrong = trial.want.output + growing * trial.allowed(REPLICAS_ON_FAILURE[-1]).output
    with pytest.raises(Failed) as failed:
        trial.agrees(trial.got._replace(output=wrong))
    assert failed.value.margin == pytest.approx(0.2 * call.T)
    assert trial.steps == pytest.approx(growing.ravel())


def test_the_report_of_a_failure_has_its_margin_by_step():
    (check,) = (check for check in all_checks() if check.requirement == "GRU-RESET-GATE")
    verdict = verdict_of(check, BANK["gru-reset-unused"].build(), "gru", profile=QUICK)
    assert not verdict.passed
    assert verdict.margin > 1
    assert max(verdict.steps) == pytest.approx(verdict.margin)
    steps = (*verdict.steps, float("inf"))
    place = (check.requirement, "wrong", "gru", "float32", "torch.nn")
    finding = Finding(*place, status=Status.FAILED, margin=verdict.margin, steps=steps)
    found = Row.of(check.entry, finding)
    assert found.as_json()["steps"][-1] > 1e308
    assert len(found.as_json()["steps"]) == len(verdict.steps) + 1


@pytest.mark.parametrize("made", [right, wrong, lambda: also_onnx(shared("known", 5, known=2, unclaimed=3))])
def test_terminal_page_badge_and_summary_tell_the_same_numbers(made):
    (found,) = reports_of(json.dumps(made()), "sample")
    outcome = Outcome(found.name, found.version, {}, list(found.rows), found.complete, {}, areas=("numerics",))
    said = terminal.verdict(outcome)
    assert said == found.verdict
    printed, summary = "\n".join(terminal.table(outcome, None)), "\n".join(markdown([found]))
    told = site([found])["index.html"]
    assert f"{said}." in summary
    assert badge([found])["message"] == found.share_text
    for name, shares in found.shares.items():
        counts = Counter(one.status for one in found.rows if one.specification == name)
        assert (shares.fulfilled, shares.departures) == (counts["passed"], counts["failed"] + counts["known_failure"])
        assert f"{name}: {shares.sentence}" in printed
        assert f"{name}: {shares.sentence}" in summary
        assert f'aria-label="{found.name}, {name}: {shares.sentence}"' in told
        assert f'<b class="percent">{shares.percent}</b>' in told


def test_a_share_is_never_rounded_up():
    """A figure of 100 % stands for every statement."""
    assert [Shares(n, known=1000 - n).percent for n in (0, 1, 999, 1000)] == ["0.0 %", "0.1 %", "99.9 %", "100 %"]
    assert Shares(19999, known=1).percent == "99.9 %"
    assert Shares(not_claimed=4).sentence == "nothing claimed; 4 not claimed"
    assert Shares(2, 1, 2, 3, 4).sentence == (
        "25.0 % of 8 fulfilled; 3 departures, 2 of them known; 3 blocked; 4 not claimed"
    )
    assert Shares(1, known=1).sentence == "50.0 % of 2 fulfilled; 1 departure, all known"
