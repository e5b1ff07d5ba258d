"""``python -m conformance cases``: a linter of case files, and their export as ONNX test data."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

from conformance.cases.lint import lint
from conformance.cases.load import CaseError, default_directory, load_cases
from reference.catalogue import Catalogue

Vectors = Callable[[Path], Iterable[object]]
"""Writes vectors into a folder, one after the other."""


def add_to(commands, catalogue: Catalogue, vectors: Mapping[str, Vectors]) -> None:
    """Add the command to the subparsers of the command line; ``vectors`` write those of other specifications."""
    parser = commands.add_parser("cases", help="lint the cases, or export them as ONNX test data")
    actions = parser.add_subparsers(required=True)
    check = actions.add_parser("lint", help="say what is wrong with case files; exit status 1 if anything is")
    check.add_argument("directory", nargs="?", metavar="DIR", help="a folder of cases; the suite's own by default")
    check.set_defaults(run=lambda arguments: _lint(check, arguments, catalogue))
    write = actions.add_parser("export", help="write cases in the layout of ONNX's backend tests")
    write.add_argument("--onnx", required=True, metavar="DIR", help="the folder to write to")
    write.add_argument("--cases", metavar="DIR", help="a folder of cases; the suite's own by default")
    write.add_argument(
        "--specification", choices=["torch.nn", *vectors], default="torch.nn", help="whose: the cases are torch.nn's"
    )
    write.set_defaults(run=lambda arguments: _export(write, arguments, vectors))


def _folder(parser: argparse.ArgumentParser, named: str | None) -> Path:
    directory = default_directory() if named is None else Path(named)
    if not directory.is_dir():
        parser.exit(2, f"{parser.prog}: {directory} is no folder; name a folder with cases (.json files).\n")
    return directory


def _lint(parser: argparse.ArgumentParser, arguments: argparse.Namespace, catalogue: Catalogue) -> None:
    directory = _folder(parser, arguments.directory)
    count, faults = lint(directory, catalogue, whole=directory.resolve() == default_directory().resolve())
    for fault in faults:
        print(fault)
    if faults:
        parser.exit(1, f"{parser.prog}: {len(faults)} fault{'s' * (len(faults) != 1)} in {count} case files.\n")
    print(f"{count} case files, nothing wrong")


def _export(parser: argparse.ArgumentParser, arguments: argparse.Namespace, vectors: Mapping[str, Vectors]) -> None:
    if find_spec("onnx") is None:
        parser.exit(
            2, f"{parser.prog}: --onnx needs onnx, not installed here: pip install 'rnn-conformance[onnx-ops]'.\n"
        )
    from conformance.cases.onnx_export import export

    try:
        if arguments.specification in vectors:
            if arguments.cases is not None:
                parser.exit(2, f"{parser.prog}: --cases goes with torch.nn; leave it out.\n")
            count = sum(1 for _ in vectors[arguments.specification](Path(arguments.onnx)))
            print(f"{count} vectors written to {arguments.onnx}")
            return
        cases = load_cases(_folder(parser, arguments.cases))
        written, left_out = export(cases, Path(arguments.onnx))
    except CaseError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    except OSError as error:
        parser.exit(2, f"{parser.prog}: {arguments.onnx} cannot be written ({error.strerror}).\n")
    print(f"{len(written)} of {len(cases)} cases written to {arguments.onnx}")
    for reason, ids in sorted(left_out.items(), key=lambda item: -len(item[1])):
        print(f"{len(ids)} cannot be expressed by ONNX's operators: {reason}")
