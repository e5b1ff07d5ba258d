"""Read the findings that a project documents, so that the page can lead from a departure to its finding.

A finding is a section of a Markdown document, or a whole document, that links to a script. Its paragraphs, its script
and the addresses of public issues are taken over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import basename

SECOND = re.compile(r"^## +(?P<title>.+)$", re.MULTILINE)
SCRIPT = re.compile(r"\]\((?P<path>[^)\s:]*?[\w-]+\.(?:py|mjs|js|sh))\)")
PUBLIC = "Public issue"  # begins the paragraph with the addresses
REQUIREMENT = re.compile(r"`([A-Z][A-Z0-9]*(?:-[A-Z0-9]+)+)`")


@dataclass(frozen=True)
class DocumentedFinding:
    """One documented finding."""

    slug: str
    title: str
    text: str
    """Markdown without the heading."""
    document: Path
    """The document's file."""
    scripts: tuple[Path, ...]
    """The files of its scripts."""
    public_issue: str
    """The paragraph on public issues; empty without one."""
    requirements: tuple[str, ...]


@dataclass(frozen=True)
class Findings:
    """All documented findings, by their scripts."""

    every: tuple[DocumentedFinding, ...] = ()
    by_script: dict[str, list[DocumentedFinding]] = field(default_factory=dict)

    def of(self, script: str, requirements: Sequence[str]) -> DocumentedFinding | None:
        """Return the finding of a script; among several the one that names most of the requirements, then the first."""
        found = self.by_script.get(basename(script), []) if script else []
        return max(found, key=lambda one: len(set(one.requirements) & set(requirements)), default=None)


def read_findings(paths: Iterable[Path]) -> Findings:
    """Read the findings of Markdown documents. Raises OSError and UnicodeDecodeError."""
    every: list[DocumentedFinding] = []
    slugs: dict[str, int] = {}
    for path in paths:
        for title, text in _sections(path.read_text("utf-8")):
            scripts = tuple(dict.fromkeys(path.parent / match["path"] for match in SCRIPT.finditer(text)))
            if not scripts:
                continue
            slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
            slugs[slug] = slugs.get(slug, 0) + 1
            own = slug if slugs[slug] == 1 else f"{slug}-{slugs[slug]}"
            issue = text[text.find(PUBLIC) :].partition("\n## ")[0] if PUBLIC in text else ""
            ids = tuple(dict.fromkeys(REQUIREMENT.findall(text)))
            every.append(DocumentedFinding(own, title, text.strip(), path, scripts, issue, ids))
    by_script: dict[str, list[DocumentedFinding]] = {}
    for one in every:
        for script in one.scripts:
            by_script.setdefault(script.name, []).append(one)
    return Findings(tuple(every), by_script)


def _sections(text: str) -> list[tuple[str, str]]:
    """Return (title, text) of each section under a second heading, or of the whole document if it is one finding."""
    first = re.search(r"^# +(.+)$", text, re.MULTILINE)
    seconds = list(SECOND.finditer(text))
    ends = [one.start() for one in seconds[1:]] + [len(text)]
    sections = [(one["title"].strip(), text[one.end() : end]) for one, end in zip(seconds, ends, strict=True)]
    with_script = sum(bool(SCRIPT.search(part)) for _, part in sections)
    if first and (with_script == 0 or (with_script == 1 and len(sections) > 1)):
        return [(first[1].strip(), text[first.end() :])]
    return sections
