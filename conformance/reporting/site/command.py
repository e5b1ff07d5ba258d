"""``python -m conformance report``: read reports, write the page, the summary and the badge."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conformance.reporting.changes import Comparison, compare, pairs
from conformance.reporting.reading import BadReport, Report, read, read_all
from conformance.reporting.site.matrix import columns
from conformance.reporting.site.summary import badge, markdown


def add_to(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    parser = commands.add_parser(
        "report",
        help="turn reports into a page, a summary and a badge",
        description="Turn the JSON reports of runs into a page, a summary and a badge. Where a backend comes twice, "
        "its later report is shown and compared with its earlier one.",
    )
    parser.add_argument("reports", nargs="*", metavar="REPORT.json", help="what --conformance-report wrote")
    parser.add_argument(
        "--compare", nargs=2, metavar=("OLD.json", "NEW.json"), help="say what got better or worse between these two"
    )
    parser.add_argument("--html", metavar="DIR", help="write the page to DIR/index.html and its data beside it")
    parser.add_argument(
        "--findings",
        nargs="+",
        default=(),
        metavar="FILE.md",
        help="lead from a departure to its finding in these documents, by the script that both name",
    )
    parser.add_argument("--markdown", metavar="FILE", help="write the summary for a CI step")
    parser.add_argument("--badge", metavar="FILE", help="write the badge, in the format of shields' endpoint")
    parser.set_defaults(run=lambda arguments: run(parser, arguments))


def run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Run the command. Exit with status 2 and one sentence if an argument or a report cannot be used."""
    if not (arguments.html or arguments.markdown or arguments.badge):
        parser.error("nothing to write: add --html DIR, --markdown FILE or --badge FILE.")
    if not (arguments.reports or arguments.compare):
        parser.error("no report was named: add the JSON file of a run, or --compare OLD.json NEW.json.")
    try:
        every = read_all(arguments.reports)
        reports, twice = columns(every)
        if arguments.compare:
            old, new = (read(path) for path in arguments.compare)
            twice += pairs(old, new)
            reports = reports or columns(new)[0]
            every = every or [*old, *new]
        comparisons = [compare(*pair) for pair in twice]
        others = [one for one in comparisons if one.old.name != one.new.name]
        if arguments.html:
            for path, text in _site(every, others, arguments.html, arguments.findings).items():
                write(Path(arguments.html, path), text)
        if arguments.markdown:
            write(Path(arguments.markdown), "\n".join(markdown(reports, comparisons)) + "\n")
        if arguments.badge:
            write(Path(arguments.badge), json.dumps(badge(reports)) + "\n")
    except BadReport as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


def _site(
    reports: Sequence[Report], comparisons: Sequence[Comparison], folder: str, documents: Sequence[str]
) -> dict[str, str]:
    try:
        from conformance.reporting.site.findings import read_findings
        from conformance.reporting.site.overview import Links
        from conformance.reporting.site.page import site
    except ModuleNotFoundError as error:
        raise BadReport(
            f"--html needs {error.name}, which is not installed: pip install 'rnn-conformance[report]'."
        ) from None
    try:
        findings = read_findings(Path(name) for name in documents)
    except OSError as error:
        raise BadReport(f"{error.filename} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise BadReport("a document after --findings is no UTF-8.") from None
    return site(reports, comparisons, findings, Links(Path.cwd(), Path(folder).resolve()))


def write(path: Path, text: str) -> None:
    """Write a file and make its folders. Raises BadReport if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise BadReport(f"{path} cannot be written ({error.strerror}).") from None
