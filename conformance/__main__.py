"""``python -m conformance``: the catalogue as a page, reports to look at, compare and merge, cases, dumps."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

try:
    Path.cwd()
except OSError:  # in which Hypothesis cannot be imported
    sys.stderr.write("python -m conformance: the working folder is gone; change to another one.\n")
    sys.exit(2)

import reference
from conformance import specifications
from conformance.cases import command as cases
from conformance.dumps import command as dumps
from conformance.engine.specification import Specification
from conformance.reporting import baseline, history
from conformance.reporting.issue import command as issue
from conformance.reporting.site import command
from conformance.runs import shards
from conformance.specifications.torch_nn import TORCH_NN
from conformance.start import check, init

ROOT = Path(reference.__file__).parents[1]


def requirements_page(specification: Specification = TORCH_NN) -> Iterator[str]:
    """Yield the lines of docs/requirements.md, or of docs/requirements-onnx.md."""
    catalogue = specification.catalogue
    others, path = specification is not TORCH_NN, catalogue.path
    file = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
    option, cases = (
        (f" {specification.name}", "") if others else ("", " Each case of `cases/` is one more requirement.")
    )
    yield f"# Requirements of {specification.name}" if others else "# Requirements"
    yield ""
    yield (
        f"The {len(catalogue)} entries of `{file}`, version {catalogue.version}, "
        f"written by `python -m conformance requirements{option}`.{cases} *Needs* are the features "
        "without which an entry is not claimed; *dtypes* says whether it is checked in every claimed dtype or in one."
    )
    for area in specification.areas:
        mine = [entry for entry in catalogue.values() if entry.area == area]
        if not mine:
            continue
        yield from ("", f"## {area.capitalize()}", "", "| id | statement | source | kinds | needs | dtypes |")
        yield "| --- | --- | --- | --- | --- | --- |"
        for entry in mine:
            kinds = "all" if set(entry.kinds) == set(specification.kinds) else ", ".join(entry.kinds)
            ruling = f" *Ruling:* {entry.ruling}" if entry.ruling else ""
            cells = (
                f"`{entry.id}`",
                entry.statement + ruling,
                entry.source,
                kinds,
                ", ".join(sorted(entry.needs)),
                "every" if entry.every_dtype else "one",
            )
            yield "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def operator_vectors(directory: Path) -> Iterator[object]:
    """Write the vectors of ONNX's operators into a folder."""
    from conformance.specifications.onnx_operators.vectors import export  # needs onnx

    return export(directory)


def print_requirements(arguments: argparse.Namespace) -> None:
    """Run the command ``requirements``."""
    for line in requirements_page(specifications.named(arguments.specification)):
        print(line)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m conformance", description="conformance of recurrent layers")
    commands = parser.add_subparsers(required=True)
    requirements = commands.add_parser("requirements", help="print the catalogue of requirements as Markdown")
    names = list(specifications.every())
    requirements.add_argument("specification", nargs="?", default=names[0], choices=names, help=f"default: {names[0]}")
    requirements.set_defaults(run=print_requirements)
    command.add_to(commands)
    baseline.add_to(commands)
    issue.add_to(commands)
    history.add_to(commands)
    shards.add_to(commands)
    cases.add_to(commands, TORCH_NN.catalogue, {"onnx": operator_vectors})
    check.add_to(commands)
    dumps.add_to(commands)
    init.add_to(commands)
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, head say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except PermissionError as error:
        if error.filename is None:
            raise
        denied = f"no permission for {error.filename}: change its rights or choose another."
        parser.exit(2, f"{parser.prog} {sys.argv[1]}: {denied}\n")


if __name__ == "__main__":
    main()
