"""Build the site from the repository's own files, so that a link works on a repository host and in the site alike.

``README.md`` and some others outside ``docs/`` become pages (``PAGES``). A source file that a page links to becomes a
page that shows it; a report is copied. The page of results is the committed one.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "RELEASING.md": "releasing.md",
    "SECURITY.md": "security.md",
    "cases/README.md": "replay.md",
}
SOURCES = {page: source for source, page in PAGES.items()}
LANGUAGES = {".py": "python", ".mjs": "javascript", ".toml": "toml", ".yml": "yaml", ".json": "json", ".md": "markdown"}
WIDE = "---\nhide:\n  - navigation\n---\n"  # the start page is a section without other pages
MAX_SHOWN_BYTES = 200_000
OF_THE_CATALOGUE = {
    "requirements.md",
    "requirements-onnx.md",
    "kill-matrix.md",
    "kill-matrix-operators.md",
}  # its statements have (T, N, D*O) and __init__ in plain text
FENCED = re.compile(r"^(?P<fence>```+|~~~+).*?^(?P=fence)\s*$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<=\]\()(?P<path>[^)\s#:]+)(?P<fragment>#[^)\s]*)?(?=\))")


def on_files(files: Files, *, config) -> Files:
    """Add the pages of files outside docs/, of the sources that pages link to, and of the results."""
    for source, page in PAGES.items():
        text = outside_fences((ROOT / source).read_text("utf-8"), nested_by_four)
        files.append(File.generated(config, page, content=WIDE + text if page == "index.md" else text))
    for file in list(results(files, config=config)):
        files.append(file)
    linked = {
        target
        for file in files.documentation_pages()
        for target in targets(file.content_string, source_of(file.src_uri))
        if target not in PAGES and not (ROOT / "docs" in (ROOT / target).parents and is_copied(target))
    }
    for folder in sorted(target for target in linked if (ROOT / target).is_dir()):
        inside = {f"{folder}/{path.name}" for path in (ROOT / folder).iterdir() if path.is_file()}
        linked |= inside
        files.append(File.generated(config, page_of(folder), content=listing(folder, inside)))
    for target in sorted(linked):
        if (ROOT / target).is_file():
            files.append(shown(config, target))
    return files


def on_page_markdown(markdown: str, *, page, config, files: Files) -> str:
    """Point every relative link of a page at the page that shows its target."""
    source = source_of(page.file.src_uri)
    if source is None:
        return markdown

    def rewritten(match: re.Match[str]) -> str:
        target = page_of(resolved(match["path"], source))
        if files.get_file_from_path(target) is None:
            return match[0]  # MkDocs warns of it, and strict builds fail
        return posixpath.relpath(target, posixpath.dirname(page.file.src_uri)) + (match["fragment"] or "")

    markdown = outside_fences(markdown, lambda text: LINK.sub(rewritten, text))
    return unmarked(markdown) if page.file.src_uri in OF_THE_CATALOGUE else markdown


def source_of(page: str) -> str | None:
    """Return the path in the repository of a page's Markdown, None for a generated page."""
    if page in SOURCES:
        return SOURCES[page]
    return None if page.startswith("source/") else f"docs/{page}"


def page_of(source: str) -> str:
    """Return the path in the site of a file of the repository."""
    if source in PAGES:
        return PAGES[source]
    if source.startswith("docs/") and is_copied(source):
        return source.removeprefix("docs/")
    if (ROOT / source).is_dir():
        return f"source/{source}/index.md"
    return f"source/{source}.md" if is_shown(source) else f"source/{source}"


def is_copied(source: str) -> bool:
    """Tell whether MkDocs itself puts a file below docs/ into the site."""
    return not source.startswith("docs/reproducers/")


def is_shown(source: str) -> bool:
    """Tell whether a file becomes a page that shows its text; large ones are copied."""
    path = ROOT / source
    return path.suffix in LANGUAGES and path.is_file() and path.stat().st_size < MAX_SHOWN_BYTES


def shown(config, source: str) -> File:
    """Return the page that shows a source file, or a copy of a file that is too large to show."""
    if not is_shown(source):
        return File.generated(config, page_of(source), abs_src_path=str(ROOT / source))
    text = (ROOT / source).read_text("utf-8")
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", text)), 3)
    language = LANGUAGES[Path(source).suffix]
    content = f"---\nsearch:\n  exclude: true\n---\n# {source}\n\n{fence}{language}\n{text}{fence}\n"
    return File.generated(config, page_of(source), content=content)


def listing(folder: str, inside: Iterable[str]) -> str:
    """Return the Markdown of a folder's page: links to the pages of its files."""
    here = posixpath.dirname(page_of(folder))
    links = (f"- [{posixpath.basename(f)}]({posixpath.relpath(page_of(f), here)})" for f in sorted(inside))
    return "\n".join([f"# {folder}", "", *links, ""])


def targets(markdown: str, source: str | None) -> Iterator[str]:
    """Yield the paths in the repository that a page links to."""
    if source is None:
        return
    for match in LINK.finditer(FENCED.sub("", markdown)):
        yield resolved(match["path"], source)


def resolved(link: str, source: str) -> str:
    """Return the path in the repository of a link that is relative to its source."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def outside_fences(markdown: str, change: Callable[[str], str]) -> str:
    """Apply ``change`` to everything but fenced code."""
    parts, end = [], 0
    for match in FENCED.finditer(markdown):
        parts += [change(markdown[end : match.start()]), match[0]]
        end = match.end()
    return "".join([*parts, change(markdown[end:])])


def unmarked(markdown: str) -> str:
    """Escape what Markdown would read as emphasis in the rows of tables, outside code."""
    escaped = re.compile(r"(`[^`]*`)|(?<!\\)([*_])")
    lines = markdown.split("\n")
    return "\n".join(
        escaped.sub(lambda m: m[1] or f"\\{m[2]}", line) if line.startswith("|") else line for line in lines
    )


def nested_by_four(markdown: str) -> str:
    """Indent blocks inside a numbered list by four spaces and separate its items, as Python-Markdown needs it."""
    markdown = re.sub(r"^ {3}(?=\S)", "    ", markdown, flags=re.MULTILINE)
    return re.sub(r"(?<!\n)\n(?=\d+\. )", "\n\n", markdown)


def results(files: Files, *, config) -> Iterator[File]:
    """Yield the page of results and its data as they are committed; a link leads back to the documentation.

    The project's tests keep them up to date. A script that they link to is shown by a page of its own in the site.
    """
    for path in sorted((ROOT / "docs" / "site").glob("**/*.*")):
        text = path.read_text("utf-8")
        text = re.sub(r"\.\./(reproducers/[\w.-]+\.py)(?=\\?\")", r"../source/docs/\1/", text)
        text = re.sub(r"\.\./(findings/[\w-]+)\.md(?=\\?\")", r"../\1/", text)
        if path.name == "index.html":
            start, heading, end = text.partition("<h1")
            assert heading, "the page of results has no heading to set the link to the documentation above"
            text = f'{start}<p><a href="../index.html">Documentation</a></p>{heading}{end}'
        uri = path.relative_to(ROOT / "docs").as_posix()
        if (committed := files.get_file_from_path(uri)) is not None:
            files.remove(committed)
        yield File.generated(config, uri, content=text)
