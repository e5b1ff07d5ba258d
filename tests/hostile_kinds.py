"""What a hostile or careless backend is, for the modules that list them, and what must come of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance import Features, Layer
from conformance.backends.oracle import OracleBackend

PAGE = Path(__file__).parents[1] / "docs" / "hostile.md"
FAILED, PASSED, REFUSED = "fails", "passes", "ends the run at the start"


@dataclass(frozen=True)
class Hostile:
    """A backend that does what it should not, and the words with which the suite answers."""

    what: str
    """What it does, in words."""
    build: Callable[[], Any]
    said: str
    """A part of the message."""
    requirement: str = "SHAPE-OUTPUT"
    comes: str = FAILED


class Of(OracleBackend):
    """The oracle with one kind; ``answer(result, config)`` changes the result of every forward call."""

    features = Features(kinds={"gru"}, parameters=True)

    def __init__(self, answer: Callable[[Any], Any], read_back: Callable[[Any], Any] = dict) -> None:
        self.name, self.answer, self.read_back = "hostile", answer, read_back

    def layer(self, config, parameters):
        return Answering(super().layer(config, parameters), self.answer, self.read_back)


class Answering(Layer):
    """A layer that gives another answer than its oracle."""

    def __init__(self, layer, answer, read_back):
        self.layer, self.answer, self.read_back = layer, answer, read_back

    def forward(self, *arguments):
        return self.answer(self.layer.forward(*arguments))

    def parameters(self):
        return self.read_back(self.layer.parameters())


def output(change: Callable[[Any], Any]) -> Callable[[], Of]:
    """Return a function that makes a backend whose output is changed so."""
    return lambda: Of(lambda found: found._replace(output=change(found.output)))


def result(change: Callable[[Any], Any]) -> Callable[[], Of]:
    """Return a function that makes a backend whose whole result is changed so."""
    return lambda: Of(change)


def parameters(change: Callable[[Any], Any]) -> Callable[[], Of]:
    """Return a function that makes a backend whose parameters are read back so."""
    return lambda: Of(lambda found: found, change)


def page(banks: dict[str, tuple[Hostile, ...]]) -> str:
    """Return the text of docs/hostile.md."""
    count = sum(map(len, banks.values()))
    lines = [
        "# Hostile backends",
        "",
        f"{count} backends that do what they should not, by mistake or on purpose, and what the suite makes of each.",
        "`tests/test_hostile_bank.py` runs them all and compares this page.",
        "It is written by `python -m tests.regenerate hostile`.",
        "Backends that crash, hang or start processes are in [isolation.md](isolation.md).",
    ]
    for title, bank in banks.items():
        lines += ["", f"## {title}", "", "| the backend | it | with the words |", "| --- | --- | --- |"]
        lines += [f"| {one.what} | {one.comes} | {_cell(one.said)} |" for one in bank]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return "`" + text.replace("|", r"\|").replace("`", "'") + "`" if text else ""


def every() -> dict[str, tuple[Hostile, ...]]:
    """Return all of them by title."""
    from tests import hostile_programs, hostile_text, hostile_values

    return {
        "Results": hostile_values.BANK,
        "Text, names and claims": hostile_text.BANK,
        "Programs behind `exec:`": hostile_programs.BANK,
    }
