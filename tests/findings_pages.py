"""The pages of the findings, docs/findings/NAME.md, and their index: ``python -m tests.findings_pages``.

A page is kept by hand. Its parts are those of ``PARTS``; a known failure belongs to a page by the script that its
reason names. ``python -m tests.regenerate findings`` writes the index, docs/findings.md, and on each page the commands
and the outputs of its scripts, which the issues beside them have. This module's own command gives each section that
stands in the index a page of its own: a draft, to be completed by hand.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from conformance import registry
from conformance.reporting.issue.command import statements
from conformance.reporting.issue.script import read

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "docs" / "reproducers"
INDEX, PAGES = ROOT / "docs" / "findings.md", ROOT / "docs" / "findings"
BACKENDS = ROOT / "conformance" / "backends"
LIBRARIES = {
    "torch.onnx.export, dynamo=True": ("onnxruntime",),
    "torch.onnx.export": ("onnxruntime", "onnxruntime-torchscript"),
    "torch.jit.script": ("torch-script",),
    "torch.compile": ("torch-compile",),
    "torch.export": ("torch-export",),
    "OpenVINO": ("onnx-ops-openvino",),
    "Paddle": ("paddle",),
    "Keras on torch": ("keras",),
    "Flax nnx": ("flax-nnx",),
    "torchrl": ("torchrl",),
    "Haiku": ("haiku",),
    "BrainState": ("brainstate",),
}
"""The backends of a finding that no known failure names, by the beginning of its title."""
PARTS = (
    "What",
    "Who is wrong",
    "Documented",
    "Backends",
    "Requirement",
    "Found",
    "Script",
    "Issue text",
    "Public issue",
)
"""The fields of a page, in its order; after them come the outputs of the scripts."""
FIELD = re.compile(r"^- \*\*(?P<name>[^*]+?)\.\*\* ", re.MULTILINE)
SCRIPT = re.compile(r"reproducers/(?P<name>\w+\.(?:py|mjs))")
NOT_RUN = "Not run here:"  # begins the reason why a page has no output of a script
HEAD = """# Findings

Departures from the documentation in real backends, each on a page of its own: what, who is wrong by which sentence, the
requirement that decides it, the script with its output, the text of an issue, and whether a public issue is known.
Where a requirement decides a departure, it is a known failure beside the adapter (`conformance/backends/*.toml`).
`python -m tests.regenerate findings` writes this index.

| backend | findings | what |
| --- | --- | --- |
"""


@dataclass(frozen=True)
class Page:
    """A page: its path, its title and its fields by name."""

    path: Path
    title: str
    fields: dict[str, str]

    @property
    def scripts(self) -> list[str]:
        """The file names of its scripts."""
        return list(dict.fromkeys(SCRIPT.findall(self.fields.get("Script", ""))))

    @property
    def backends(self) -> list[str]:
        """The names of the backends that have the finding."""
        return re.findall(r"`([\w-]+)`", self.fields.get("Backends", ""))


def page_of(path: Path) -> Page:
    """Read a page."""
    text = path.read_text("utf-8")
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    return Page(path, title[1].strip() if title else "", fields_of(text.partition("\n## ")[0]))


def fields_of(body: str) -> dict[str, str]:
    """Return the fields of a finding by name, each in one line."""
    names = [match["name"] for match in FIELD.finditer(body)]
    return {name: " ".join(text.split()) for name, text in zip(names, FIELD.split(body)[2::2], strict=True)}


def pages() -> list[Page]:
    """Return every page, in the order of the names."""
    return [page_of(path) for path in sorted(PAGES.glob("*.md"))]


def known_failures() -> dict[str, list[tuple[str, list[str]]]]:
    """Return by backend the requirement of each known failure and the scripts that its reason names."""
    found = {}
    for path in sorted(BACKENDS.glob("*.toml")):
        entries = tomllib.loads(path.read_text("utf-8")).get("known_failure", [])
        found[path.stem] = [(entry["requirement"], SCRIPT.findall(entry["reason"])) for entry in entries]
    return found


def index(every: list[Page]) -> str:
    """Return the index: a row for each backend, with links to its findings."""
    by_backend: dict[str, list[Page]] = {}
    for page in every:
        for name in page.backends:
            by_backend.setdefault(name, []).append(page)
    rows = []
    for name in [*registry.BUILT_IN]:
        if mine := by_backend.get(name):
            links = "; ".join(f"[{page.title}](findings/{page.path.name})" for page in mine)
            rows.append(f"| `{name}` | {len(mine)} | {links} |")
    return (
        HEAD
        + "\n".join(rows)
        + f"\n\n{len(every)} findings in all; one that several backends have is in several rows.\n"
    )


def slug(title: str) -> str:
    """Return the file's name of a title, without its ending."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower().replace("'", "")).strip("-")


def split() -> list[Path]:
    """Give each section of the old form in the index a page; return the new pages."""
    PAGES.mkdir(exist_ok=True)
    made = []
    for section in re.split(r"^## ", INDEX.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        fields = fields_of(body)
        if "Script" not in fields:
            continue
        path = PAGES / f"{slug(title)}.md"
        path.write_text(text_of(title.strip(), completed(title.strip(), fields)), "utf-8")
        made.append(path)
    return made


def completed(title: str, fields: dict[str, str]) -> dict[str, str]:
    """Return the fields of a page made of those of a section of the old form."""
    scripts = SCRIPT.findall(fields["Script"])
    library = title.partition(":")[0]
    none = fields["Requirement"].startswith("None")
    told = re.search(r"[Ff]ound in `(\w+)`", " ".join(fields.values()))
    where = "by the author of the adapter; no requirement decides it" if none else "in the committed run of `standard`"
    said = list(statements(read(SCRIPTS / scripts[0]))) if "Documented" not in fields else []
    own = {
        "Who is wrong": f"{library}: it departs from the documented sentence.",
        "Documented": " ".join(said[:2]),
        "Backends": ", ".join(f"`{name}`" for name in backends_of(fields, scripts) or LIBRARIES.get(library, ())) + ".",
        "Found": f"in `{told[1]}`." if told else f"{where}.",
    }
    return {name: fields.get(name) or own.get(name, "") for name in PARTS}


def backends_of(fields: dict[str, str], scripts: list[str]) -> list[str]:
    """Return the backends whose known failures name these scripts and a requirement of the finding."""
    named = fields["Requirement"]
    found = []
    for backend, entries in known_failures().items():
        if any(set(its) & set(scripts) and requirement in named for requirement, its in entries):
            found.append(backend)
    return found


def text_of(title: str, fields: dict[str, str]) -> str:
    """Return the Markdown of a page with the outputs of its scripts, which the issues beside them have."""
    scripts = list(dict.fromkeys(SCRIPT.findall(fields["Script"])))
    issues = [f"[{Path(name).stem}.md](../reproducers/{Path(name).stem}.md)" for name in scripts if printed(name)]
    commands = [f"`python -m conformance issue docs/reproducers/{name}`" for name in scripts]
    fields = fields | {"Issue text": f"{', '.join(issues) or 'not written yet'}, by {', '.join(commands)}."}
    order = [name for name in PARTS if name in fields] + [name for name in fields if name not in PARTS]
    lines = [f"# {title}", "", *(f"- **{name}.** {linked(fields[name])}" for name in order)]
    for name in scripts:
        shown = printed(name)
        what = f"```text\n{shown}\n```" if shown else f"{NOT_RUN} {read(SCRIPTS / name).needs.partition('.')[0]}."
        lines += ["", f"## Output of {name}", "", what]
    return "\n".join(lines) + "\n"


def printed(script: str) -> str:
    """Return what a script prints, from the issue beside it; empty without one."""
    path = SCRIPTS / f"{Path(script).stem}.md"
    found = (
        re.search(
            r"^## What it prints.*?\n(?P<fence>`{3,})text\n(.*?)\n(?P=fence)", path.read_text("utf-8"), re.S | re.M
        )
        if path.is_file()
        else None
    )
    return found[2] if found else ""


def linked(text: str) -> str:
    """Return a text with its links to reproducers as they are from the folder of the pages."""
    return re.sub(r"\]\((?:\.\./)?reproducers/", "](../reproducers/", text)


if __name__ == "__main__":
    print("\n".join(str(path.relative_to(ROOT)) for path in split()))
