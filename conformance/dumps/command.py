"""``python -m conformance explain``: the verdict on a dump, and the mistake that gives its numbers."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from conformance.dumps.explanation import SCHEMA, explain
from conformance.dumps.files import BrokenDump
from conformance.dumps.search import SECONDS
from conformance.engine.text import printable


def add_to(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    parser = commands.add_parser(
        "explain",
        help="say whether recorded numbers are right, and which known mistake gives them",
        description="Exit status 0: the numbers are the documented ones; 1: they are not; 2: the file is broken.",
    )
    parser.add_argument("file", metavar="FILE", help="a dump, .npz or .json: kind, parameters, x, output and so on")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="text by default")
    parser.add_argument("--seconds", type=_seconds, default=SECONDS, metavar="S",
                        help=f"the time to search for the mistake; {SECONDS:.0f} by default")  # fmt: skip
    parser.set_defaults(run=lambda arguments: _run(parser, arguments))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, 0 or more")
    return seconds


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    try:
        found = explain(arguments.file, seconds=arguments.seconds)
    except BrokenDump as error:
        message = printable(" ".join(str(error).split()))
        if arguments.format == "json":
            print(json.dumps({"schema": SCHEMA, "verdict": "broken", "message": message}, indent=1))
        parser.exit(2, f"{parser.prog}: {message}\n")
    if arguments.format == "json":
        print(json.dumps(found.as_json(), indent=1, allow_nan=False))
    else:
        print(printable(str(found)))
    if not found.right:
        sys.exit(1)
