"""Every count in a document comes from the counted things, or is listed as a measurement."""

import re
from collections import Counter

import pytest

from tests import figures
from tests.figures import FIGURES, GENERATED, MAIN_JOB, MEASURED, ROOT, Figure, main_job, unaccounted

HAND_WRITTEN = [
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))
    if not GENERATED.fullmatch(path.name) and path != MAIN_JOB and path.name != "CHANGELOG.md"
]


def test_no_figure_is_stale():
    """``python -m tests.regenerate figures`` renews them."""
    stale = [path.name for path, text in figures.documents() if path.read_text("utf-8") != text]
    assert stale == []


@pytest.mark.parametrize("document", HAND_WRITTEN)
def test_no_count_is_told_without_its_source(document):
    assert unaccounted(document, (ROOT / document).read_text("utf-8")) == []


def test_a_count_without_a_source_is_found():
    assert unaccounted("docs/x.md", "It has 12 backends and 1,604 known failures, and float16 checks.") == [
        "12 backends",
        "1,604 known failures",
    ]
    assert unaccounted("docs/reports.md", "seen with 30 backends, then 31 backends") == ["31 backends"]
    figure = next(figure for figure in FIGURES if figure.document == "README.md")
    assert unaccounted("README.md", "more than 300 known mistakes, 17 known mistakes") == ["17 known mistakes"]
    assert figure.written("more than 1 known\nmistakes") != "more than 1 known\nmistakes"


def test_what_is_listed_as_measured_is_there():
    for document, text in MEASURED:
        assert text in " ".join((ROOT / document).read_text("utf-8").split()), (document, text)


def test_a_figure_has_one_place():
    for text in ("none", "more than 1 known mistakes, more than 2 known mistakes"):
        with pytest.raises(ValueError, match="places for the figure"):
            Figure("x.md", r"more than (\d+) known mistakes", lambda: "3").written(text)


def test_the_main_job_tells_what_its_reports_hold():
    text = MAIN_JOB.read_text("utf-8")
    for name in figures.DEFAULT:
        report = figures.committed(name)
        counts = Counter(row.status for row in report.rows)
        assert report.shares["torch.nn"].sentence in text
        assert report.shares["torch.nn"].fulfilled == counts["passed"] == report.summary["passed"]
        assert f"{name} {report.verdict}." in text
    changed = re.sub(r"(\d+) passed, ", "1 passed, ", text.replace("known failures.", "known failure."))
    assert changed != text
    assert main_job(changed) == text
