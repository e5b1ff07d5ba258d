"""Measure how much of the project's prose is in the old manner: ``python -m tests.prose [--list] [PATHS]``.

``DOCSTRING_PATTERNS`` and ``PATTERNS`` list the manner, each entry with an example. A docstring or a line of a document
counts once if any pattern matches it. The script reads the docstrings of all Python files of the project, and the
hand-written Markdown files without their code fences. It measures comments too, and strings that describe attributes.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import io
import re
import tokenize
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = ("conformance", "reference", "cases", "benchmarks", "tests", "examples", "conftest.py")
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "RELEASING.md", "docs/*.md", "docs/*/*.md")
GENERATED = {
    f"docs/{name}.md"
    for name in (
        "requirements",
        "requirements-onnx",
        "kill-matrix",
        "kill-matrix-operators",
        "adapters-results",
        "performance",
    )
}
ISSUES = "docs/reproducers/"  # ``python -m conformance issue`` writes these, of scripts and pages that are read here

START = r"(?:\A|(?<=[.!?:;])\s+|(?<=[.!?:;]\))\s+|\n\n\s*|\n *[-*] +|\| +)"
"""The start of a sentence, a paragraph, an item of a list or a cell of a table."""

IMPERATIVES = frozenset(
    """
    abandon abort accept accumulate acquire act activate adapt add adjust advance aggregate alias align allocate
    allow analyse analyze annotate announce answer append apply approximate arrange ask assemble assert assign
    assume attach attempt attribute avoid await balance become begin bind block bound bracket break bring broadcast
    browse build bundle cache call cancel capture carry cast catch change check choose circumvent cite claim clamp
    classify clean clear click clip clobber clone close coerce collect combine compare compile complete compose
    compress compute concatenate condense configure confirm connect consider construct consume contain continue
    convert copy correct count cover crash create crop cross cut deal decide declare decode decompress deduce defer
    define delay delegate delete delimit deliver demand demonstrate depend deprecate derive describe deserialize
    destroy detach detect determine detour diagnose differentiate disable discard disconnect dispatch display
    disturb divide do double download draw drive drop duplicate embed emit empty emulate enable encode end enforce
    enlist enqueue ensure enter enumerate equip erase escape establish estimate evaluate examine exchange exclude
    execute exempt exercise exhaust exit expand expect expire explain explore export expose express extend extract
    fail fake fall feed fetch fill filter find finish fit fix flag flatten flip flood flush fold follow forbid force
    forget fork form format forward free freeze gather generalize generate get give greet group grow guard guess
    halve hand handle hang hash hide highlight hold identify ignore imitate implement import impose include increase
    indent index infer inherit initialize inject insert inspect install instrument integrate interleave interpolate
    interpret interrupt intersect introduce invalidate invent invert invoke isolate issue iterate join judge keep
    kill knock label launch lay lead leak leave lend let lie lift limit link lint list listen load locate lock log
    look loosen lower make map mark mask match materialize measure meet memoize merge migrate minimize mirror
    misread mix mock modify monitor move multiply mutate name narrow negate nest normalize note notice notify nudge
    number obey observe obtain offer omit open order outlive overlap override overwrite pack pad paint pair
    parametrize parse partition pass paste patch pause pay peek perform permute perturb pick pin pipe place plan
    play plot poison poke poll pop populate post postpone prefer prefix prepare prepend prescribe present preserve
    press pretend prevent prime print probe process produce profile project promise promote prompt propagate propose
    protect prove provide prune publish pull punctuate push put quantize query queue quit quote raise rank raze
    reach read realize rearrange rebase rebuild recall receive recognise recognize recompute reconstruct record
    recover redirect reduce refer refresh refuse register reindex reject relay release reload remember remove rename
    render reopen reorder repair repeat replace replay reply report represent reproduce request require rerun
    reserve reset reshape resolve respect restart restore restrict resume retain retry return reuse reveal reverse
    revert reword rewrite roll rotate round route run sample satisfy saturate save scale scan scatter schedule score
    scramble search segment select send separate serialize serve set settle sever shadow shape share shift shorten
    show shrink shuffle shut sign signal simplify simulate skip sleep slice slow smooth snap sniff solve sort spare
    spawn specify spell split spoil spread squeeze stack stall stamp stand start state steal step stop store stream
    strengthen stretch strip stub style subclass submit substitute subtract suggest sum summarize summon supply
    suppress surround survive suspend swallow swap switch synchronize tabulate take tally target tear tell temper
    terminate test thread throw tie tighten tile time toggle total touch trace track train transcribe transfer
    transform translate transpose trap treat trigger trim truncate try turn type unbatch undo unfold unify uninstall
    unpack unroll untangle unwrap update upload use validate vary verify visit vote wait wake walk warn watch weaken
    weigh widen wire withdraw work wrap write yield zero zip zoom
    """.split()  # noqa: SIM905  six hundred quoted words would not be read
)
"""Verbs that a docstring may begin with. Extend it where a verb is missing."""

HEADLESS_START = re.compile(
    r"(What|Whether|How|Where|Which|Why|Who|Whoever|Whatever|That|Those|These|This|It|Nothing|None)\b"
)
PREPOSITION = re.compile(r"(By|Of|On|In|From|To|At|Along|As|For|Around|Without|With|Through|Not)\b")


@dataclass(frozen=True)
class Text:
    """Prose with its place: one docstring, one comment, or one paragraph of a document."""

    file: str
    text: str
    lines: tuple[tuple[int, int], ...]
    """(offset in ``text``, line of the file), ascending by offset."""
    kind: str
    """function, property, test, class, module, comment (of a line of code or an attribute), or line (of a document)."""

    def line(self, offset: int) -> int:
        """Return the file's line for an offset in ``text``."""
        return self.lines[bisect_right(self.lines, offset, key=lambda pair: pair[0]) - 1][1]


@dataclass(frozen=True)
class Pattern:
    """One habit of the old manner."""

    name: str
    example: str
    expression: str = ""
    finds: Callable[[Text], Iterable[int]] | None = field(default=None, repr=False)
    """Instead of an expression: return the offsets of the hits."""

    def offsets(self, text: Text) -> Iterator[int]:
        """Yield the offset of every hit in a text. Code between backquotes is not searched."""
        if self.finds is not None:
            yield from self.finds(text)
            return
        prose = re.sub(r"`[^`]*`|\"[^\"\n]*\"", lambda code: "~" * len(code[0]), text.text)
        for match in re.finditer(self.expression, prose):
            yield match.start() + len(match[0]) - len(match[0].lstrip())


def not_imperative(text: Text) -> Iterator[int]:
    """Yield 0 for a function's docstring that does not begin with a capitalised verb in the imperative.

    As in pydocstyle's D401, properties, which read as attributes, and tests are exempt.
    """
    words = text.text.split(maxsplit=2)
    first = words[0].rstrip(".,:;") if words else ""
    is_verb = first[:1].isupper() and first.lower() in IMPERATIVES
    is_noun = len(words) > 1 and words[1] in {"of", "is", "are", "between"}
    if text.kind == "function" and (not is_verb or (is_noun and first not in {"Dispose", "Return", "Yield"})):
        yield 0


def headless_opening(text: Text) -> Iterator[int]:
    """Yield 0 for a docstring of a module, class, property or test that opens without a noun or a subject."""
    is_headless = HEADLESS_START.match(text.text) and text.kind in {"module", "class", "property", "test"}
    of_a_value = text.kind == "property" and text.text.startswith("Whether")
    is_fragment = PREPOSITION.match(text.text) and text.kind in {"module", "class"}
    if (is_headless and not of_a_value) or is_fragment:
        yield 0


def headless_whether(text: Text) -> Iterator[int]:
    """Yield the offset of every sentence that begins with "Whether", except where it describes a boolean value."""
    if text.kind not in {"property", "comment"}:
        for match in re.finditer(START + r"Whether\b(?![^.]*\?)", text.text):
            yield match.end() - len("Whether")


BEFORE_WHAT = r"(?:of|from|by|for|in|on|with|to|than|into|past|about|as|and|or|but|is|are|was|were|be|all|just)"

DOCSTRING_PATTERNS = (
    Pattern("function not imperative", "The lines of docs/requirements.md.", finds=not_imperative),
    Pattern("headless opening", "Where a new number comes from.", finds=headless_opening),
)
"""Patterns of docstrings alone."""

PATTERNS = (
    Pattern(
        "headless sentence",
        "What the adapter claims it must not refuse.",
        START + r"(?:What|Whoever|Whatever|Whichever|Wherever)\b(?![^.]*\?)",
    ),
    Pattern("headless 'that' at the start", "That it checks no argument is its design.", START + r"That\b(?![^.]*\?)"),
    Pattern("headless table cell", "| what it runs |", r"(?:^|\n)?\| +(?:what|which|whether|that|those)\b(?![^|]*\?)"),
    Pattern("headless 'whether'", "Whether it holds is said first.", finds=headless_whether),
    Pattern("headless 'those'", "those of a worker", r"\b[Tt]hose (?:of|that|which|who|whose|with|in|from|there|it)\b"),
    Pattern("headless 'that'", "that of a worker", r"\b[Tt]hat (?:of|which)\b"),
    Pattern("headless 'what' inside", "of what it may be asked", rf"(?:\b{BEFORE_WHAT}|[,(:;]) +what\b"),
    Pattern(
        "what is", "what is checked about memory", r"\b[Ww]hat (?:is|are|was|were|came|comes|there|else)\b(?![^.]*\?)"
    ),
    Pattern(
        "one that is not there", "every option that there is", r"\b(?:that|what|which|than) there (?:is|are|was|were)\b"
    ),
    Pattern(
        "told, asked",
        "is told what came",
        r"\b(?:is|are|was|were|be|been|being|gets?|not|as|when|if) (?:then |also |never |only |not )?"
        r"(?:told|asked|heard|meant|owed)\b|\btold\b",
    ),
    Pattern("tells", "tells its name", r"\b[Tt]ells?\b(?! (?:pytest|Hypothesis|the user))|\bto tell\b"),
    Pattern("agentless known, said", "That is said.", r"\b(?:is|are|was|were|be|been) (?:said|known)\b"),
    Pattern("whichever, whatever", "an error, whichever", r"\b(?:whichever|whatever|whoever|whosoever|Whoever)\b"),
    Pattern("anew", "is imported anew", r"\banew\b"),
    Pattern("besides", "and the rounding besides", r"\b[Bb]esides\b"),
    Pattern("mend", "once it is mended", r"\bmend(?:s|ed|ing)?\b"),
    Pattern("dear", "a dear check", r"\bdear(?:er|est)?\b"),
    Pattern("hang on", "hangs on the machine", r"\b(?:hang|hangs|hung|hanging) (?:up)?on\b"),
    Pattern("owe", "a seed that it owes", r"\b(?:owe|owes|owed|owing)\b(?! to)"),
    Pattern("there is not", "There is none.", r"\b[Tt]here (?:is|are|was|were) (?:not|none)\b"),
    Pattern("none is", "none is left", r"\b[Nn]one (?:is|are|was|were|has|does|goes|comes|came|left)\b"),
    Pattern("of its own", "processes of its own", r"\bof (?:its|their|his|her|one's|my|your|our|pytest's) own\b"),
    Pattern("as X has it", "as pytest has them", r"\b[Aa]s (?:[\w.'`~]+ ){1,5}(?:has|have|had) (?:it|them)\b"),
    Pattern("comes to", "comes to the same", r"\b(?:comes?|came|coming) to\b"),
    Pattern("come of", "what comes of it", r"\b(?:comes?|came|coming) of\b"),
    Pattern("for X to", "it is for the user to say", r"\b(?:is|are|was) for (?:[\w']+ ){1,3}to\b"),
    Pattern("so many", "of so many steps", r"\bso many\b|\bas many as (?:there|it|they)\b"),
    Pattern("but for", "equal but for seconds", r"\b(?:but|save) for\b"),
    Pattern("nothing but, no other", "nothing but NumPy", r"\b(?:[Nn]othing but|no others|and no other)\b"),
    Pattern("be it", "be it within an array", r"\b(?:be it|be they|as it were|, say[,.]| say\))"),
    Pattern(
        "lest, till, apiece", "farther, thereby", r"\b(?:lest|apiece|farther|thereof|therein|whence|thence|wherein)\b"
    ),
    Pattern("such as", "such as fit x", r"\b(?:such as|as such) (?:is|are|fit|fits|have|has|do|does|that)\b"),
    Pattern("is none", "an array that is none", r"\b(?:is|are|was|were|has|have|finds?|gives?|gets?) none\b"),
    Pattern(
        "however it comes", "wherever they are", r"\b(?:[Hh]owever|[Ww]herever|[Ww]henever) (?:it|they|he|one|a|the)\b"
    ),
    Pattern("is to be", "is to be answered", r"\b(?:is|are|was|were) to (?:be|have|end|go|do|come)\b"),
    Pattern("opening with 'Of'", "Of each backend two processes run.", START + r"(?:Of|By) (?!default\b)"),
    Pattern("of which", "7 s, of which the imports are most", r"[,;(] (?:of|from|by) (?:which|whom)\b"),
    Pattern(
        "'for' as because",
        "larger, for a bias may start it",
        r", for (?:it|he|they|there|this|what|nobody|nothing|an? \w+ (?:may|can|is|has))\b",
    ),
    Pattern("headless 'the same'", "The same of an RNN.", r"\b[Tt]he same (?:of|by|for|with|without|where|again)\b"),
    Pattern("genitive without a noun", "a layer of the program's", r"(?:'s|'s own|s')(?:[.,;:)]+\s|[.,;:)]*\Z)"),
    Pattern(
        "be that as it may",
        "if need be",
        r"\b(?:if need be|at need|without a word|as it comes|as they come|by name's)\b",
    ),
    Pattern("the like", "and the like", r"\b(?:and|or) the like\b"),
    Pattern("stays, goes", "so that it stays", r"\b(?:that|and|it|they) stays?\b(?:[.,;]|\Z)"),
    Pattern(
        "inverted",
        "Put through standard is",
        START + r"(?:Put|Taken|Given|Left|Seen|Measured|Drawn) [\w ]+ (?:is|are)\b",
    ),
    Pattern(
        "first come",
        "First come the common ones.",
        START + r"(?:First|Then|Here|There) (?:comes?|goes?|stands?|lies?)\b",
    ),
)
"""Patterns of all prose."""


def texts_of_code(root: Path, path: Path) -> Iterator[Text]:
    """Yield every docstring and every comment of a Python file; a string below an attribute is a comment."""
    source, name = path.read_text("utf-8"), path.relative_to(root).as_posix()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef):
            yield from _texts_of_attributes(name, node.body)
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        docstring = ast.get_docstring(node)
        if docstring:
            yield Text(name, docstring, _numbered(docstring, node.body[0].lineno), _kind(node))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith(("#!", "# type:", "# fmt:", "# noqa")):
            yield Text(name, token.string.lstrip("# "), ((0, token.start[0]),), "comment")


def _texts_of_attributes(name: str, body: list[ast.stmt]) -> Iterator[Text]:
    for before, node in pairwise(body):
        if isinstance(before, ast.Assign | ast.AnnAssign) and isinstance(node, ast.Expr):
            value = node.value.value if isinstance(node.value, ast.Constant) else None
            if isinstance(value, str):
                text = inspect.cleandoc(value)
                yield Text(name, text, _numbered(text, node.lineno), "comment")


def texts_of_document(root: Path, path: Path) -> Iterator[Text]:
    """Yield every paragraph of a Markdown file outside code fences."""
    name, fenced = path.relative_to(root).as_posix(), False
    paragraph: list[tuple[int, str]] = []
    for number, line in enumerate([*path.read_text("utf-8").splitlines(), ""], 1):
        fence = line.lstrip().startswith("```")
        if paragraph and (fence or fenced or not line.strip() or line.startswith("#")):
            first = paragraph[0][0]
            joined = "\n".join(text for _, text in paragraph)
            yield Text(name, joined, _numbered(joined, first), "line")
            paragraph = []
        fenced ^= fence
        if line.strip() and not fence and not fenced and not re.fullmatch(r"[|\s:-]+", line):
            paragraph.append((number, line))


def _numbered(text: str, first: int) -> tuple[tuple[int, int], ...]:
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    return tuple((start, first + k) for k, start in enumerate(starts))


def _kind(node: ast.AST) -> str:
    if isinstance(node, ast.Module):
        return "module"
    if isinstance(node, ast.ClassDef):
        return "class"
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    decorators = {ast.unparse(decorator).split(".")[-1] for decorator in node.decorator_list}
    if decorators & {"property", "cached_property"}:
        return "property"
    return "test" if node.name.startswith("test_") else "function"


def files(root: Path, paths: Iterable[str] = ()) -> Iterator[Path]:
    """Yield the project's Python files and documents, or of them only the files at or below some paths."""
    chosen = [(root / path).resolve() for path in paths]
    found = [
        f for name in CODE for f in ([root / name] if name.endswith(".py") else sorted((root / name).rglob("*.py")))
    ]
    found += sorted({f for pattern in DOCUMENTS for f in root.glob(pattern)})
    for file in found:
        hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
        path = file.relative_to(root).as_posix()
        if not file.exists() or hidden or path in GENERATED or (path.startswith(ISSUES) and file.suffix == ".md"):
            continue
        if not chosen or any(file.resolve().is_relative_to(path) for path in chosen):
            yield file


@dataclass
class Share:
    """The number of units of prose, and of the units that a pattern finds something in."""

    total: int = 0
    old: int = 0

    @property
    def percent(self) -> float:
        """The share of the old manner in percent; 0 without units."""
        return 100 * self.old / self.total if self.total else 0.0


@dataclass(frozen=True)
class Hit:
    """One finding of one pattern."""

    file: str
    line: int
    pattern: str
    excerpt: str
    group: str


@dataclass
class Measure:
    """Shares by (group, package), where group is ``docstrings``, ``comments`` or ``document lines``, and all hits."""

    shares: dict[tuple[str, str], Share]
    hits: list[Hit]
    units_by_pattern: Counter[tuple[str, str]]
    """The number of units by (group, pattern)."""

    def share(self, group: str) -> Share:
        """Add up a group's shares over all packages."""
        found = [share for (name, _), share in self.shares.items() if name == group]
        return Share(sum(share.total for share in found), sum(share.old for share in found))


def measure(root: Path = ROOT, paths: Iterable[str] = ()) -> Measure:
    """Measure all prose below ``root``, or only the prose of some files and folders."""
    result = Measure({}, [], Counter())
    for file in files(root, paths):
        document = file.suffix == ".md"
        for text in texts_of_document(root, file) if document else texts_of_code(root, file):
            group = {"line": "document lines", "comment": "comments"}.get(text.kind, "docstrings")
            package = text.file if document else text.file.split("/")[0]
            share = result.shares.setdefault((group, package), Share())
            patterns = PATTERNS if group != "docstrings" else DOCSTRING_PATTERNS + PATTERNS
            found = [(pattern.name, offset) for pattern in patterns for offset in pattern.offsets(text)]
            lines = {text.line(offset) for _, offset in found}
            share.total += len(text.lines) if document else 1
            share.old += len(lines) if document else bool(found)
            units = {(name, text.line(offset) if document else 0) for name, offset in found}
            result.units_by_pattern.update((group, name) for name, _ in units)
            result.hits += [Hit(text.file, text.line(at), name, _excerpt(text.text, at), group) for name, at in found]
    return result


def _excerpt(text: str, offset: int, width: int = 70) -> str:
    start = max(0, offset - 20)
    return " ".join(text[start : offset + width].split())


def main(arguments: list[str] | None = None) -> None:
    """Print the shares by package and by pattern; with ``--list`` every hit instead."""
    parser = argparse.ArgumentParser(prog="python -m tests.prose", description=__doc__)
    parser.add_argument("paths", nargs="*", help="files and folders, relative to the root; all if there are none")
    parser.add_argument("--list", action="store_true", help="print every hit as file:line: pattern: excerpt")
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout to measure")
    options = parser.parse_args(arguments)
    measured = measure(options.root.resolve(), options.paths)
    if options.list:
        for hit in sorted(measured.hits, key=lambda hit: (hit.file, hit.line)):
            print(f"{hit.file}:{hit.line}: {hit.pattern}: {hit.excerpt}")
        return
    print("| prose | package or document | units | old manner | share |\n| --- | --- | ---: | ---: | ---: |")
    for group in ("docstrings", "comments", "document lines"):
        rows = [(package, share) for (name, package), share in measured.shares.items() if name == group]
        for package, share in [*rows, ("total", measured.share(group))]:
            print(f"| {group} | {package} | {share.total} | {share.old} | {share.percent:.1f} % |")
    print("\n| pattern | example | docstrings | comments | document lines |\n| --- | --- | ---: | ---: | ---: |")
    for pattern in DOCSTRING_PATTERNS + PATTERNS:
        counts = [
            measured.units_by_pattern[group, pattern.name] for group in ("docstrings", "comments", "document lines")
        ]
        print(f"| {pattern.name} | {pattern.example} | " + " | ".join(map(str, counts)) + " |")


if __name__ == "__main__":
    main()
