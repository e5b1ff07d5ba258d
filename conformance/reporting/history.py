"""Keep one report for each backend and version: ``python -m conformance keep``, and the reports of such a folder.

The newest report of a backend is ``FOLDER/NAME.json``, as it was before there was a history. Its former reports are
``FOLDER/history/NAME/VERSION.catalogue-CATALOGUE.json``.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from conformance.engine.whole_files import write_whole
from conformance.reporting.reading import BadReport, Report, read
from conformance.reporting.report import text_of

HISTORY = "history"


def reports_in(folder: Path) -> list[Path]:
    """Return the files of a folder of results: former reports first, then each backend's newest."""
    return [*sorted(folder.glob(f"{HISTORY}/*/*.json")), *sorted(folder.glob("*.json"))]


def former(report: Report) -> Path:
    """Return the path of a report once a newer one has its place, below the folder of results."""
    version = f"{report.version}.catalogue-{report.suite.get('catalogue', 'none')}"
    return Path(HISTORY, slug(report.name), f"{slug(version)}.json")


def slug(text: str) -> str:
    """Return a text as the name of a file: runs of other characters than letters, digits and ``.+-_`` are one ``-``."""
    return re.sub(r"[^\w.+-]+", "-", text, flags=re.ASCII).strip("-.") or "unnamed"


def keep(path: Path, folder: Path) -> list[Path]:
    """Put the reports of a file into a folder of results; return the written paths.

    A report of the same backend, version and catalogue is replaced. A newest report of another version or catalogue
    goes into the history. A killed process or a full disk leaves each file as it was. Raises BadReport if a file is
    no report, and OSError if one cannot be written.
    """
    found = read(path)
    data = json.loads(path.read_text("utf-8"))
    written = []
    for report, one in zip(found, data if isinstance(data, list) else [data], strict=True):
        place = folder / f"{slug(report.name)}.json"
        if place.exists():
            (present,) = read(place)
            if former(present) != former(report):
                moved = folder / former(present)
                moved.parent.mkdir(parents=True, exist_ok=True)
                write_whole(moved, place.read_bytes())  # a copy, so that the newest report is there all the time
                written.append(moved)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(place, text_of(without_places(one)) + "\n")
        written.append(place)
    return written


def without_places(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report whose scripts are named by their folder and file alone, not by a machine's directories."""

    def named(row: dict[str, Any]) -> dict[str, Any]:
        path = row.get("reproducer")
        return row if path is None else row | {"reproducer": "/".join(Path(path).parts[-2:])}

    return report | {"requirements": [named(row) for row in report["requirements"]]}


def add_to(commands: Any) -> None:
    """Add the command ``keep`` to the subparsers of the command line."""
    parser = commands.add_parser(
        "keep",
        help="put a report into a folder of results, with those of earlier versions",
        description="Put reports into a folder of results. The newest report of a backend is FOLDER/NAME.json. That of "
        "another version or catalogue, which was there before, moves to FOLDER/history/NAME.",
    )
    parser.add_argument("reports", nargs="+", metavar="REPORT.json", help="what --conformance-report wrote")
    parser.add_argument("--in", dest="folder", default="results", metavar="FOLDER", help="the folder (results)")
    parser.set_defaults(run=lambda arguments: run(parser, arguments))


def run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Run the command. Exit with status 2 and one sentence if a report cannot be read or kept."""
    try:
        for path in arguments.reports:
            for written in keep(Path(path), Path(arguments.folder)):
                print(f"written {written}")
    except BadReport as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    except OSError as error:
        parser.exit(2, f"{parser.prog}: {error.filename} cannot be written ({error.strerror}).\n")
