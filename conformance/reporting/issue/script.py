"""Read a reproducer: its docstring, its imports, and the findings that link it."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from conformance.engine.files import Damaged, read_text
from conformance.engine.text import OneSentence, one_line

HEAD = re.compile(r"(?P<id>[A-Z][A-Z0-9-]+) fails on (?P<backend>\S+) (?P<version>.*): (?P<kind>\S+), (?P<dtype>\w+)\.")
REQUIREMENT = re.compile(r"`([A-Z][A-Z0-9]*(?:-[A-Z0-9]+)+)`")
FIELD = re.compile(r"^- \*\*(?P<name>[^*]+?)\.\*\* ", re.MULTILINE)
CAUSE = re.compile(r"These are the numbers of |This is the behaviour of ")
OWN = ("conformance", "reference")


class NoIssue(OneSentence):
    """A script of which no issue can be written. The message is one sentence that says what to correct."""


@dataclass(frozen=True)
class Finding:
    """A section of the findings: its title and its fields by name (What, Requirement, Documented, ...)."""

    title: str
    fields: dict[str, str]


@dataclass(frozen=True)
class Reproducer:
    """A script and the parts of its docstring."""

    path: Path
    text: str
    title: str
    paragraphs: tuple[str, ...]
    """The docstring's description of the failure, without how to run the script."""
    needs: str
    """The docstring's sentences on the packages to install and on the exit status."""
    head: dict[str, str]
    """The requirement's id, backend, version, kind and dtype if the suite wrote the script; else empty."""
    required: str
    """The documented statement, if the docstring has one after ``Required:``."""
    documented: str
    """Where it is documented, if the docstring says ``Documented in:``."""
    imports: tuple[str, ...]
    """The packages that the script imports, the standard library left out, in the script's order."""
    findings: tuple[Finding, ...]

    @property
    def adapter(self) -> bool:
        """Return whether the script calls the library through this suite."""
        return any(name in OWN for name in self.imports)

    def said(self, field: str) -> str:
        """Return the texts of a field of all findings, as one."""
        return "\n\n".join(finding.fields[field] for finding in self.findings if field in finding.fields)

    @property
    def requirements(self) -> tuple[str, ...]:
        """Return the ids of the requirements that the script or its findings name, each once."""
        named = (self.head["id"],) if self.head else REQUIREMENT.findall(self.said("Requirement"))
        return tuple(dict.fromkeys(named))


def read(path: Path) -> Reproducer:
    """Read a reproducer and the findings that link it. Raises NoIssue."""
    try:
        text = read_text(path)
        tree = ast.parse(text)
    except OSError as error:
        raise NoIssue(
            f"{path} cannot be read ({error.strerror or one_line(error)}): give the path of a script."
        ) from None
    except Damaged as error:
        raise NoIssue(f"{path}: {error}.") from None
    except (SyntaxError, ValueError) as error:
        raise NoIssue(f"{path} is no Python ({one_line(error)}): give the script of a failure.") from None
    docstring = ast.get_docstring(tree)
    if not docstring:
        raise NoIssue(f"{path} has no docstring: begin the script with one that says what is wrong.")
    return _reproducer(path, text, docstring, _imports(tree))


def _reproducer(path: Path, text: str, docstring: str, imports: tuple[str, ...]) -> Reproducer:
    parts = docstring.split("\n\n")
    required, documented, needs, rest = "", "", "", []
    for part in parts[1:]:
        line, _, after = f" {' '.join(part.split())}".partition(" Needs ")
        needs, line = f"Needs {after}" if after else needs, line.strip()
        if line.startswith(("Required: ", "Documented in: ")):
            required, _, documented = line.removeprefix("Required: ").partition("Documented in: ")
        elif line:
            rest.append(line)
    title = " ".join(parts[0].split())
    head = HEAD.fullmatch(title)
    if head:
        shown = next((said for said in rest if CAUSE.match(said)), rest[0] if rest else "fails")
        title = f"{head['kind'].partition('_')[0].upper()} in {head['dtype']}: {_first_clause(shown)}"
    return Reproducer(
        path, text, title.rstrip("."), tuple(rest), needs, head.groupdict() if head else {}, required.strip(),
        documented.strip(), imports, tuple(_findings(path)),
    )  # fmt: skip


def _first_clause(text: str) -> str:
    """Return the beginning of a diagnosis or failure, to serve as a title."""
    return re.split(r"[;.:](?= |$)", CAUSE.sub("the result is that of ", text))[0]


def _imports(tree: ast.Module) -> tuple[str, ...]:
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append(node.module)
    names = dict.fromkeys(name.partition(".")[0] for name in found)
    return tuple(name for name in names if name not in sys.stdlib_module_names)


def _findings(path: Path) -> list[Finding]:
    """Return the findings that link the script: sections of findings.md in the folder above, pages of findings/."""
    folder, found = path.resolve().parents[1], []
    link = re.compile(rf"\((?:\.\./)?{re.escape(path.resolve().parent.name)}/{re.escape(path.name)}\)")
    for page in (folder / "findings.md", *sorted((folder / "findings").glob("*.md"))):
        try:
            text = read_text(page)
        except (OSError, Damaged):
            continue
        sections = re.split(r"^## ", text, flags=re.MULTILINE)
        whole = re.sub(r"\A\s*# ", "", sections[0])  # a page is one finding, with its parts before any section
        for section in sections[1:] if page.parent == folder else [whole]:
            title, _, body = section.partition("\n")
            if link.search(body) and FIELD.search(body):
                found.append(Finding(title.strip(), _fields(body)))
    return found


def _fields(body: str) -> dict[str, str]:
    names = [match["name"] for match in FIELD.finditer(body)]
    texts = FIELD.split(body)[2::2]
    return {name: " ".join(text.split()) for name, text in zip(names, texts, strict=True)}
