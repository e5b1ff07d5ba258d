"""Make the page: an HTML file with the first screen, and files of data beside it, which it loads when needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from conformance.reporting.changes import Comparison, compare
from conformance.reporting.reading import Report, margin_text
from conformance.reporting.report import counted
from conformance.reporting.site import data, overview
from conformance.reporting.site.findings import Findings
from conformance.reporting.site.matrix import runs_of
from conformance.reporting.site.overview import Links

SCRIPTS = ("base.js", "shares.js", "front.js", "requirements.js", "backend.js", "compare.js", "start.js")
INDEX, FOLDER = "index.html", "data"


def site(
    reports: Sequence[Report],
    comparisons: Sequence[Comparison] = (),
    findings: Findings | None = None,
    links: Links | None = None,
    remarks: Sequence[str] = (),
) -> dict[str, str]:
    """Return the texts of the page's files by their path below the page's folder.

    ``reports`` may hold several of a backend: the last one is shown, all of them are its history. The page lists
    ``comparisons`` after its own comparisons of the last two runs of a backend, and ``remarks`` below the legend.
    """
    findings, links = findings or Findings(), links or Links()
    runs = runs_of(reports)
    newest = [of_backend[-1] for of_backend in runs]
    subjects = data.subjects_of(reports)
    names = overview.slugs([report.name for report in newest])
    files = {
        f"{FOLDER}/requirements.js": data.as_script("requirements", data.matrix_data(newest, subjects)),
        f"{FOLDER}/findings.js": data.as_script("findings", data.findings_data(findings, links)),
    }
    for of_backend in runs:
        name = f"backend-{names[of_backend[-1].name]}"
        files[f"{FOLDER}/{name}.js"] = data.as_script(name, data.backend_data(of_backend, subjects, findings, links))
    return {INDEX: page(runs, comparisons, findings, links, remarks)} | files


def page(
    runs: Sequence[Sequence[Report]],
    comparisons: Sequence[Comparison] = (),
    findings: Findings | None = None,
    links: Links | None = None,
    remarks: Sequence[str] = (),
) -> str:
    """Return the text of the page itself; ``runs`` holds the runs of each backend, the oldest first."""
    subjects = data.subjects_of(report for of_backend in runs for report in of_backend)
    environment = Environment(
        loader=PackageLoader("conformance.reporting.site"),
        autoescape=lambda name: name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "counted": counted,
        "margin": margin_text,
        "level": overview.level,
        "short_percent": overview.short_percent,
        "places": lambda cause: overview.places(cause, subjects),
    }
    newest = [of_backend[-1] for of_backend in runs]
    chapters = overview.chapters(newest, findings or Findings())
    slugs = overview.slugs([report.name for report in newest])
    return environment.get_template("page.html").render(
        reports=newest,
        chapters=chapters,
        comparisons=[*(compare(run[-2], run[-1]) for run in runs if len(run) > 1), *comparisons],
        links=links or Links(),
        remarks=remarks,
        core=core(runs, chapters, slugs),
        scripts=SCRIPTS,
        former={of_backend[-1].name: len(of_backend) - 1 for of_backend in runs},
    )


def core(
    runs: Sequence[Sequence[Report]], chapters: Sequence[overview.Chapter], slugs: dict[str, str]
) -> dict[str, Any]:
    """Return the data that the page itself holds: names, figures and settings, nothing of single requirements."""
    every = [report for of_backend in runs for report in of_backend]
    return {
        "subjects": data.subjects_of(every),
        "letters": {letter: status for status, letter in data.LETTERS.items()},
        "specifications": [{"name": chapter.name, "areas": chapter.areas} for chapter in chapters],
        "backends": [
            data.run_data(of_backend[-1])
            | {
                "name": of_backend[-1].name,
                "file": f"backend-{slugs[of_backend[-1].name]}",
                "runs": overview.keys(of_backend),
                "verdict": of_backend[-1].verdict,
                "areas": {
                    chapter.name: [data.share_data(shares) for shares in bar.areas.values()]
                    for chapter in chapters
                    for bar in chapter.bars
                    if bar.report.name == of_backend[-1].name
                },
            }
            for of_backend in runs
        ],
    }
