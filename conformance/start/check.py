"""``python -m conformance check NAME``: try an adapter, in its own process, before the suite judges its numbers."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from conformance import specifications
from conformance.engine.text import printable
from conformance.isolation.host_process import Ended
from conformance.isolation.isolated_backend import IsolatedBackend
from conformance.isolation.system import available, default_memory
from conformance.registry import UnknownBackend
from conformance.specifications.torch_nn import TORCH_NN
from conformance.start.attempts import Attempt, attempts
from conformance.start.hand import Amiss, Tried
from reference.config import DTYPES, KINDS

TIMEOUT_SECONDS = 60.0
MAX_ENDS = 3  # of the adapter's process
MAX_NAMED = 3  # attempts that found the same
CANNOT_BE_HAD = 4  # the exit status, as pytest's for a wrong command line

Answer = tuple[Attempt, Tried, str]
"""An attempt, its findings, and the output of the adapter meanwhile."""


def add_to(commands: Any) -> None:
    """Add the command ``check`` to the subparsers of the command line."""
    parser = commands.add_parser(
        "check",
        help="try an adapter before the suite judges its numbers",
        description="Call an adapter in its own process, each feature once or twice, and say what is amiss: "
        "types, shapes, dtypes, memory, refusals. Exit status: 0 nothing, 1 something, 4 there is no such adapter.",
    )
    parser.add_argument("name", metavar="NAME", help="as after --backend: package.module:attribute, exec:COMMAND, ...")
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT_SECONDS, metavar="SECONDS", help="the limit of a call (60)"
    )
    parser.set_defaults(run=lambda arguments: run(parser, arguments))


def run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Run the command and exit with its status."""
    if not arguments.timeout > 0:
        parser.error("--timeout: give a number of seconds above 0.")
    try:
        with Asked(arguments.name, arguments.timeout) as asked:
            status = told(arguments.name, asked)
    except UnknownBackend as error:
        parser.exit(CANNOT_BE_HAD, f"{parser.prog}: {error}\n")
    parser.exit(status)


class Asked:
    """An adapter in another process, or in this one where the system has no isolation."""

    def __init__(self, name: str, seconds: float) -> None:
        self.isolated = IsolatedBackend(name, seconds, default_memory()) if available() else None
        self.backend: Any = None
        if self.isolated is not None:
            described: Any = self.isolated.description
            claims = described.claims
        else:
            self.backend = described = specifications.backend(name)
            spoken = specifications.spoken_by(described)
            claims = {s.name: specifications.adapted(described, s).features for s in spoken}
        self.name, self.version = described.name, described.version
        if TORCH_NN.name not in claims:
            self.__exit__()
            raise UnknownBackend(f"backend {self.name!r} has no layers of torch.nn to try: run it as it is.")
        self.features = claims[TORCH_NN.name]
        if self.backend is not None:
            self.backend = specifications.adapted(self.backend, TORCH_NN)

    def __enter__(self) -> Asked:
        return self

    def __exit__(self, *_: object) -> None:
        if self.isolated is not None:
            self.isolated.close()

    def answers(self) -> Iterator[Answer]:
        """Make every attempt, except those that would repeat the failure of the plain call of their kind.

        After a hang, MAX_ENDS ends of the process, or where it cannot be started again, there is no further one.
        """
        ends, broken = 0, set()
        for attempt in attempts(self.features):
            if attempt.form in broken and not attempt.method.startswith("unclaimed"):
                continue
            if self.isolated is None:
                found, printed = attempt.answer(self.backend, lambda what: nullcontext()), ""
            else:
                found, printed = self.isolated.ask(attempt)
            if isinstance(found, Ended):
                ends += 1
                last = found.hung or not found.by_itself or ends == MAX_ENDS
                found = ended(found, last)
            yield attempt, found, printed
            if ends and last:
                return
            if any(amiss.fatal for amiss in found.amiss) and attempt.method in ("plain", "cell"):
                broken.add(attempt.form)
            if found.accepted and self.isolated is not None:
                self.isolated.end_worker()  # a kernel that takes a wrong argument may have written out of bounds


def ended(found: Ended, last: bool) -> Tried:
    """Return the end of the adapter's process as a finding."""
    what = found.what or "outside of any call"
    more = ": correct that first, further calls were not made" if last else ""
    return Tried(1, [Amiss(f"process {found.why}", f"{what}: {found.end}{more}.", fatal=True)])


@dataclass
class Line:
    """One finding: its sentence, the adapter's output, and the attempts that made it."""

    sentence: str
    printed: str
    where: list[str]

    def __str__(self) -> str:
        first, *others = self.where
        lines = [f"- {self.sentence}" + (f" ({first})" if first not in self.sentence else "")]
        if others:
            more = ", ".join(others[:MAX_NAMED]) + (
                f" and {len(others) - MAX_NAMED} others" if others[MAX_NAMED:] else ""
            )
            lines.append(f"  the same in: {more}")
        if self.printed.strip():
            lines += ["  printed:", *(f"    {line}" for line in self.printed.splitlines())]
        return printable("\n".join(lines))


def told(name: str, asked: Asked) -> int:
    """Print the findings; return the exit status."""
    print(f"{asked.name} {asked.version}: claims {claims_of(asked.features)}", flush=True)
    calls, notes = 0, []
    seen: dict[str, Line] = {}
    for attempt, tried, printed in asked.answers():
        calls += tried.calls
        notes += tried.notes
        for amiss in tried.amiss:
            seen.setdefault(amiss.key, Line(amiss.sentence, printed, [])).where.append(attempt.what)
    for line in seen.values():
        print(line)
    for note in notes:
        print(f"  ({note})")
    if seen:
        count = f"{len(seen)} thing{'s' * (len(seen) > 1)}"
        print(f"{calls} calls, {count} amiss: correct the adapter, then check it again.")
        return 1
    command = f"pytest --pyargs conformance --backend {shlex.quote(name)} --hypothesis-profile quick"
    print(f"{calls} calls, nothing amiss: run {command}")
    return 0


def claims_of(features: Any) -> str:
    """Return the claims in a line."""
    kinds = ", ".join(kind for kind in KINDS if kind in features.kinds)
    return f"{kinds} in {', '.join(dtype for dtype in DTYPES if dtype in features.dtypes)}"
