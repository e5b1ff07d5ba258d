"""Compose the text of an issue and write it beside its reproducer: ``python -m conformance issue``."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conformance import specifications
from conformance.engine.text import cut
from conformance.reporting.issue.outcome import Outcome, observe, versions
from conformance.reporting.issue.script import NoIssue, Reproducer, read
from conformance.reporting.issue.upstream import TRACKERS, address, package, tracker
from conformance.version import __version__
from reference.catalogue import Requirement

MAX_TITLE_CHARACTERS = 120
MAX_CHARACTERS = 60_000  # trackers take 65,536
MAX_STATEMENTS = 5
SECONDS = 600.0
NONE_KNOWN = "None known"
LINK = re.compile(r"\[([^]]+)\]\((?!https?://)[^)]+\)")


def statements(script: Reproducer) -> Iterator[str]:
    """Yield what the documentation says, with the address; nothing if neither script nor findings say it."""
    said = [finding.fields["Documented"] for finding in script.findings if "Documented" in finding.fields]
    yield from said
    if script.required:
        entry, specification = _entry(script.head.get("id", ""))
        yield _measure(script) + _statement(
            script.required, script.documented, specification, script.head.get("kind", ""), entry
        )
        return
    if script.documented:
        yield script.documented
    for id_ in script.requirements[: 0 if said else MAX_STATEMENTS]:
        entry, specification = _entry(id_)
        if entry:
            yield _measure(script) + _statement(entry.statement, entry.source, specification, "", entry)


def _measure(script: Reproducer) -> str:
    """Return the words before a statement of PyTorch's that measures a library that is not PyTorch."""
    named = package(script)
    return "" if named in ("", "torch") or "onnx" in script.text else "The suite measures by PyTorch's page: "


def _entry(id_: str) -> tuple[Requirement | None, str]:
    for name in specifications.every():
        if id_ in (catalogue := specifications.named(name).catalogue):
            return catalogue[id_], name
    return None, ""


def _statement(text: str, source: str, specification: str, kind: str, entry: Requirement | None) -> str:
    place = address(source, specification, kind)
    ruling = f" (The page leaves this open; the suite reads it so: {entry.ruling})" if entry and entry.ruling else ""
    return f"{text} — {source}{f', <{place}>' if place else ''}{ruling}"


def denials(script: Reproducer, outcome: Outcome) -> Iterator[str]:
    """Yield what the failure is not, each a fact of the script or of its runs."""
    if outcome.repeated:
        yield "It is not chance: two runs of the script printed the same."
    else:
        yield "Two runs of the script printed different text, so the numbers above may differ from yours."
    if "allowed" in " ".join(script.paragraphs) and "times as much" in " ".join(script.paragraphs):
        yield (
            "It is not rounding: each number has a tolerance, printed beside it, computed from the equations in the "
            "call's own precision, and the difference exceeds it."
        )
    if not script.adapter:
        yield "It does not come from a wrapper: the script calls the library's public interface alone."
    elif script.head:
        yield (
            f"The script calls the library through the adapter `{script.head['backend']}` of the test suite "
            "`rnn-conformance`, whose oracle, NumPy in the documentation's equations, passes the same call."
        )
    for field in ("Who is wrong", "What it is not"):
        yield from (finding.fields[field] for finding in script.findings if field in finding.fields)


def compose(script: Reproducer, outcome: Outcome) -> str:
    """Return the issue as Markdown. Raises NoIssue without a documented sentence."""
    documented = list(dict.fromkeys(statements(script)))
    if not documented:
        raise NoIssue(
            f"{script.path.name}: nothing says what is documented; write a paragraph "
            '"Documented in: ADDRESS: SENTENCE" into its docstring.'
        )
    name, known = package(script), script.said("Public issue")
    parts = [f"# {cut(script.title, MAX_TITLE_CHARACTERS)}", *_description(script)]
    parts += ["## Versions", "\n".join(f"- {line}" for line in dict.fromkeys(versions(script)))]
    parts += [
        "## Script",
        f"Save it as `{script.path.name}` and run `python {script.path.name}`. {script.needs}".strip(),
    ]
    code = _fenced(script.text.strip("\n"), "python")
    parts += [code if len(code) < MAX_CHARACTERS // 2 else f"The script is attached as `{script.path.name}`."]
    parts += ["## What it prints: the numbers that came, and the right ones", _fenced(outcome.output, "text")]
    parts += [outcome.ended, "## What the documentation says", "\n".join(f"- {line}" for line in documented)]
    parts += ["## What it is not", "\n".join(f"- {line}" for line in denials(script, outcome)), "## Related"]
    parts += [known if known and not known.startswith(NONE_KNOWN) else "I know of no earlier report of this."]
    found = f" by the requirement `{script.requirements[0]}`" if script.requirements else ""
    thanks = TRACKERS[name].rpartition("/")[2] if name else "this project"
    parts += [
        f"Found with `rnn-conformance` {__version__}, a test suite for recurrent layers{found}. If the behaviour is "
        "intended, a sentence in the documentation would settle it. I am glad to run the script again on a change. "
        f"Thank you for {thanks}."
    ]
    return LINK.sub(r"\1", "\n\n".join(parts)) + "\n"


def _description(script: Reproducer) -> list[str]:
    said = script.said("What")
    if script.head:
        return list(script.paragraphs)
    return [said] if said else list(script.paragraphs) or [f"{script.title}."]


def _fenced(text: str, language: str) -> str:
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def add_to(commands: Any) -> None:
    """Add the command ``issue`` to the subparsers of the command line."""
    parser = commands.add_parser(
        "issue",
        help="write a reproducer as an issue for the upstream project",
        description="Run a reproducer twice and write REPRODUCER.md beside it: an issue for the upstream project. Exit "
        "status: 0 if it is written, 1 if the script shows no fault or cannot be used.",
    )
    parser.add_argument(
        "reproducer", metavar="REPRODUCER", type=Path, help="a script that the suite wrote, or one like it"
    )
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=float, default=SECONDS, help=f"of a run; default {SECONDS:g}"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a text that is there already")
    parser.set_defaults(run=lambda arguments: run(parser, arguments))


def run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Run the command and exit with its status."""
    path: Path = arguments.reproducer
    target = path.with_suffix(".md")
    try:
        script = read(path)
        if target == path:
            raise NoIssue(f"{path} has the name of the text that would be written: end the script's in .py.")
        if target.exists() and not arguments.overwrite:
            raise NoIssue(f"{target} exists: move it, or give --overwrite to replace it.")
        text = compose(script, observe(script, arguments.timeout))
        try:
            target.write_text(text, "utf-8")
        except OSError as error:
            raise NoIssue(
                f"{target} cannot be written ({error.strerror}): copy the script to another folder."
            ) from None
    except NoIssue as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    print(f"{target}: read it before you file it.")
    known = script.said("Public issue")
    if known and not known.startswith(NONE_KNOWN):
        print("A public issue is known, named under Related: add to it rather than file another.")
    elif place := tracker(package(script)):
        print(f"File it at {place}, with the first line as title; search the tracker for the same fault before.")
