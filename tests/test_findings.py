"""The pages of the findings: every part is there, every known failure has a page, and the index has each page."""

import re
from dataclasses import replace

import pytest

from conformance import registry
from conformance.reporting.issue.script import read
from conformance.reporting.site.findings import read_findings
from tests import regenerate
from tests.findings_pages import (
    INDEX,
    NOT_RUN,
    PARTS,
    SCRIPTS,
    Page,
    index,
    known_failures,
    pages,
    printed,
    split,
    text_of,
)

EVERY = pages()


def lacking(page: Page, text: str) -> list[str]:
    """Return what a page lacks."""
    found = [name for name in PARTS if not page.fields.get(name, "").strip(" .")]
    if "https://" not in page.fields.get("Documented", "") and "contract" not in page.fields.get("Documented", ""):
        found.append("the address of the documentation")
    found += [f"the script {name}" for name in page.scripts if not (SCRIPTS / name).is_file()]
    found += [f"the backend {name}" for name in page.backends if name not in registry.BUILT_IN]
    if not page.scripts:
        found.append("a script")
    if not page.backends:
        found.append("a backend")
    for name in page.scripts:
        _, _, output = text.partition(f"## Output of {name}\n\n")
        if not output.startswith(("```text\n", f"{NOT_RUN} ")):
            found.append(f"the output of {name}")
    return found


def without_page(failures: dict[str, list[tuple[str, list[str]]]], every: list[Page]) -> list[str]:
    """Return the known failures that no page of their backend has."""
    return [
        f"{backend}: {requirement}"
        for backend, entries in failures.items()
        for requirement, scripts in entries
        if not any(set(scripts) & set(page.scripts) and backend in page.backends for page in every)
    ]


@pytest.mark.parametrize("page", EVERY, ids=lambda page: page.path.stem[:60])
def test_a_page_has_every_part(page):
    assert lacking(page, page.path.read_text("utf-8")) == []


@pytest.mark.parametrize("part", PARTS)
def test_a_page_that_lacks_a_part_is_told(part):
    page = EVERY[0]
    less = replace(page, fields={name: text for name, text in page.fields.items() if name != part})
    assert part in lacking(less, page.path.read_text("utf-8"))


def test_a_page_without_an_output_or_an_address_is_told():
    page = EVERY[0]
    told = lacking(replace(page, fields=page.fields | {"Documented": "somewhere"}), "")
    assert told == ["the address of the documentation", *(f"the output of {name}" for name in page.scripts)]
    assert lacking(replace(page, fields=page.fields | {"Script": "[a](../reproducers/gone.py)"}), "") == [
        "the script gone.py",
        "the output of gone.py",
    ]


def test_every_known_failure_has_a_page():
    assert without_page(known_failures(), EVERY) == []
    assert without_page({"keras": [("GRU-EQUATION", [])]}, EVERY) == ["keras: GRU-EQUATION"]
    assert without_page({"mlx": [("GRU-EQUATION", ["thinc_lstm.py"])]}, EVERY) == ["mlx: GRU-EQUATION"]


def test_the_index_has_every_page():
    text = INDEX.read_text("utf-8")
    assert text == index(EVERY)
    assert "\n## " not in text, "python -m tests.findings_pages gives each section a page"
    linked = set(re.findall(r"\]\(findings/([\w-]+\.md)\)", text))
    assert linked == {page.path.name for page in EVERY}
    assert len(EVERY) >= 40


def test_every_reproducer_has_a_page():
    named = {name for page in EVERY for name in page.scripts}
    assert {path.name for path in SCRIPTS.glob("*.py")} == named


def test_generated_parts_are_current():
    assert [str(path) for path, _ in regenerate.GENERATED["findings"].stale()] == []


def test_a_section_in_the_index_becomes_a_page(tmp_path, monkeypatch):
    section = (
        "# Findings\n\n## thinc: a layer is short\n\n- **What.** It is\n  short.\n- **Requirement.** `STATE-INITIAL`.\n"
        "- **Script.** [reproducers/thinc_lstm.py](reproducers/thinc_lstm.py).\n- **Public issue.** None known.\n"
    )
    (tmp_path / "findings.md").write_text(section)
    monkeypatch.setattr("tests.findings_pages.INDEX", tmp_path / "findings.md")
    monkeypatch.setattr("tests.findings_pages.PAGES", tmp_path / "findings")
    (path,) = split()
    (page,) = pages()
    assert path.name == "thinc-a-layer-is-short.md"
    assert lacking(page, path.read_text("utf-8")) == []
    assert page.backends == ["thinc"]
    assert page.fields["What"] == "It is short."
    assert "https://docs.pytorch.org" in page.fields["Documented"]
    (found,) = read_findings([path]).every
    assert (found.title, found.document) == ("thinc: a layer is short", path)
    assert text_of(page.title, page.fields) == path.read_text("utf-8")


def test_the_issue_of_a_script_reads_the_page():
    script = read(SCRIPTS / "thinc_lstm.py")
    assert {finding.title for finding in script.findings} == {
        page.title for page in EVERY if "thinc_lstm.py" in page.scripts
    }
    assert printed("thinc_lstm.py")
    assert printed("no_such_script.py") == ""
