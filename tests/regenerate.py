"""Rewrite all generated files, or the named ones: ``python -m tests.regenerate [--check] [NAME ...]``.

``--check`` writes nothing, lists stale files and exits with 1 if there are any. Measurements are not generated files:
only the commands that measure rewrite the reports in ``results/``, ``docs/*.json`` and ``cases/data/``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from operator import eq
from pathlib import Path

from conformance.registry import BUILT_IN

ROOT = Path(__file__).parents[1]
DOCS, CASES = ROOT / "docs", ROOT / "cases"
Files = Iterator[tuple[Path, str]]


@dataclass(frozen=True)
class Generated:
    """Files that one function makes from the repository's code and data."""

    make: Callable[[], Files]
    same: Callable[[str, str], bool] = eq
    """Whether the present text counts as equal to the generated text."""
    others: str = ""
    """A glob: a matching file that is neither generated nor named in ``by_hand`` is stale."""
    by_hand: str = ""

    def stale(self) -> Iterator[tuple[Path, str | None]]:
        """Yield each stale path with the text that belongs there; None for a file that nothing generates."""
        made = set()
        for path, text in self.make():
            made.add(path)
            if not path.exists() or not self.same(path.read_text("utf-8"), text):
                yield path, text
        for path in sorted(set(ROOT.glob(self.others)) - made) if self.others else ():
            if path.name != self.by_hand:
                yield path, None


def requirements() -> Files:
    """Make the pages of the catalogues."""
    from conformance.__main__ import requirements_page
    from conformance.specifications.onnx_operators import ONNX

    yield DOCS / "requirements.md", _lines(requirements_page())
    yield DOCS / "requirements-onnx.md", _lines(requirements_page(ONNX))


def adapters_results() -> Files:
    """Make the page of the adapters, with the table of the committed reports."""
    from tests import adapter_results

    yield adapter_results.PAGE, adapter_results.written(adapter_results.PAGE.read_text("utf-8"))


def figures() -> Files:
    """Make the documents whose figures come from reports, catalogues and banks."""
    from tests import figures

    yield from figures.documents()


def hostile() -> Files:
    """Make the page of the hostile backends."""
    from tests import hostile_kinds

    yield hostile_kinds.PAGE, hostile_kinds.page(hostile_kinds.every())


def kill_matrix() -> Files:
    """Make the pages of the kill matrices from their measurements."""
    from tests import kill_matrix, onnx_kill_matrix

    yield kill_matrix.PAGE, _lines(kill_matrix.page(_read(kill_matrix.MATRIX)))
    yield onnx_kill_matrix.PAGE, _lines(onnx_kill_matrix.page(_read(onnx_kill_matrix.MATRIX)))


def cases() -> Files:
    """Make the cases from real use."""
    from cases import generate

    for document in generate.documents():
        yield CASES / f"{document['id']}.json", generate.text(document)


def generated_cases() -> Files:
    """Make the cases chosen from the pool, with their stored tolerances."""
    from cases import generate

    for document in generate.generated():
        yield CASES / "generated" / f"{document['id']}.json", generate.text(document)


def page_of_cases() -> Files:
    """Make the page of the generated cases."""
    from tests import case_kills

    size = sum(path.stat().st_size for path in (CASES / "generated").glob("*.json"))
    yield case_kills.PAGE, _lines(case_kills.page(_read(case_kills.KILLS), _read(case_kills.ONNX), size))


def performance() -> Files:
    """Make the page of the benchmarks from their measurements."""
    from benchmarks import __main__, page

    yield __main__.PAGE, page.page(_read(__main__.FILE))


def findings() -> Files:
    """Make the index of the findings, and the outputs and commands on their pages."""
    from tests import findings_pages as of

    every = of.pages()
    yield of.INDEX, of.index(every)
    for page in every:
        yield page.path, of.text_of(page.title, page.fields)


def not_run(reported: Collection[str]) -> list[str]:
    """Say which built-in backends have no result, and that no GPU was to be had."""
    missing = [name for name in BUILT_IN if name not in reported and name not in ("reference", "onnx-oracle")]
    cuda = [name for name in missing if name.startswith("torch-cuda")]
    others = [name for name in missing if name not in cuda]
    said = [f"{', '.join(cuda)}: not run, because no GPU was to be had."] if cuda else []
    return said + ([f"{', '.join(others)}: no result yet."] if others else [])


def site() -> Files:
    """Make the page of the committed reports."""
    from conformance.reporting.history import reports_in
    from conformance.reporting.reading import read_all
    from conformance.reporting.site.findings import read_findings
    from conformance.reporting.site.overview import Links
    from conformance.reporting.site.page import site

    findings = read_findings(sorted((DOCS / "findings").glob("*.md")))
    reports = read_all(reports_in(ROOT / "results"))
    remarks = not_run({report.name for report in reports})
    for path, text in site(reports, (), findings, Links(ROOT, DOCS / "site"), remarks).items():
        yield DOCS / "site" / path, text


def same_case(present: str, made: str) -> bool:
    """Compare cases: another machine's tanh and matrix product may differ in the last bits, the layout may not."""
    from cases.generate import same_but_last_bits, text

    if present == made:
        return True
    try:
        document = json.loads(present)
    except ValueError:
        return False
    return text(document) == present and same_but_last_bits(document, json.loads(made))


def same_but_pictures(present: str, made: str) -> bool:
    """Compare pages: the pictures depend on matplotlib's version, and their numbers stand in the page's data too."""
    one, other = (re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL) for page in (present, made))
    return one == other


# In this order: a page that counts other generated files comes after them.
GENERATED = {
    "requirements": Generated(requirements),
    "cases": Generated(cases, same_case, "cases/*.json", by_hand="schema.json"),
    "generated-cases": Generated(generated_cases, same_case, "cases/generated/*"),
    "page-of-cases": Generated(page_of_cases),
    "kill-matrix": Generated(kill_matrix),
    "adapters-results": Generated(adapters_results),
    "hostile": Generated(hostile),
    "performance": Generated(performance),
    "figures": Generated(figures),
    "findings": Generated(findings),
    "site": Generated(site, same_but_pictures, "docs/site/**/*.*"),
}


def _lines(lines: Iterator[str]) -> str:
    return "\n".join(lines) + "\n"


def _read(path: Path):
    return json.loads(path.read_text("utf-8"))


def main() -> int:
    """Rewrite or check; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.regenerate", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(GENERATED)}")
    parser.add_argument("--check", action="store_true", help="write nothing; list what is stale")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(GENERATED):
        parser.error(f"nothing is called {', '.join(sorted(unknown))}: choose from {', '.join(GENERATED)}.")
    left = 0
    for name in arguments.names or GENERATED:
        print(f"{name} ...", file=sys.stderr, flush=True)
        for path, text in GENERATED[name].stale():
            shown = path.relative_to(ROOT)
            if text is None:
                print(f"UNKNOWN {shown}: nothing generates it; remove it")
            elif arguments.check:
                print(f"STALE   {shown}")
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
                print(f"written {shown}")
            left += text is None or arguments.check
    return int(left > 0)


if __name__ == "__main__":
    sys.exit(main())
