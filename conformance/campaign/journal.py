"""The journals of a campaign: a folder with one file for each process, one line of JSON for each verdict.

A process locks its journal while it runs. The journal of a killed process, its last line perhaps broken, goes to the
next process that starts. All journals of a folder together are the campaign.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from conformance.engine.files import Damaged, json_data, require_schema
from conformance.engine.key import Key
from conformance.engine.text import cut
from conformance.engine.verdict import Verdict

Line = dict[str, Any]
SCHEMA = Path(__file__).with_name("journal.schema.json")
MAX_FLOAT = sys.float_info.max
MAX_FORMS = 10_000  # that are kept
MAX_CAMPAIGN_CHARACTERS = 300  # of a campaign's backends in a message


class OfAnother(ValueError):
    """A folder with another campaign's journals; the message is one sentence."""


@dataclass
class Total:
    """The results of a campaign for one key. ``found``: process, round, seed and verdict of its failure."""

    examples: int = 0
    margin: float | None = None
    steps: list[float] | None = None
    note: str = ""
    seconds: float = 0.0
    found: Line | None = None

    def add(self, line: Line) -> None:
        """Add a line on the key."""
        self.examples += line["examples"]
        self.seconds += line["seconds"]
        margin = line.get("margin")
        if margin is not None and (self.margin is None or margin > self.margin):
            self.margin, self.steps = margin, line.get("steps")
        self.note = self.note or line.get("note", "")
        if self.found is None and "verdict" in line:
            self.found = {name: line[name] for name in ("process", "round", "seed", "verdict")}


@dataclass
class Record:
    """The content of journals: totals by key, the rounds, and the state of the last round.

    ``judged`` holds the keys that the last round has judged, ``replayed`` whether a replayed failure failed again.
    """

    totals: dict[Key, Total] = field(default_factory=dict)
    rounds: list[Line] = field(default_factory=list)
    judged: set[Key] = field(default_factory=set)
    replayed: dict[Key, bool] = field(default_factory=dict)
    done: bool = True
    last: int = 0
    """The number of the last round."""
    lost: list[str] = field(default_factory=list)
    """A sentence for each broken line, which is left out."""

    @property
    def examples(self) -> int:
        return sum(total.examples for total in self.totals.values())

    @property
    def found(self) -> dict[Key, Line]:
        return {key: total.found for key, total in self.totals.items() if total.found is not None}

    def read(self, path: Path, folder: Path, head: Line) -> None:
        """Add the lines of a journal. Raises OfAnother if it is of another campaign."""
        for line in lines(path, self.lost):
            if "campaign" in line:
                _expect(folder, line, head)
            else:
                self.add(line)

    def add(self, line: Line) -> None:
        """Add a line."""
        if "judged" in line:
            key = Key(*line["judged"])
            self.totals.setdefault(key, Total()).add(line)
            self.judged.add(key)
            if self.rounds:  # the line of the first round may be lost
                self.rounds[-1]["examples"] += line["examples"]
        elif "replayed" in line:
            self.replayed[Key(*line["replayed"])] = line["fails_again"]
        elif "done" in line:
            self.done, self.last = True, max(self.last, line["done"])
        elif "round" in line:
            self.rounds.append(line | {"examples": 0})
            self.last = max(self.last, line["round"])
            self.judged, self.done = set(), False


def lines(path: Path, lost: list[str] | None = None) -> Iterator[Line]:
    """Yield the complete lines of a journal. Each broken one adds a sentence to ``lost`` and is left out."""
    for number, text in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            line = json_data(text)
            if damage := _damage(_form(line), line):
                raise damage
        except Damaged as error:
            if lost is not None:
                lost.append(f"{path}, line {number}: {error}; this line alone is left out")
            continue
        yield line


_damages: dict[Any, Damaged | None] = {}


def _damage(form: Any, line: Any) -> Damaged | None:
    """Return how a line departs from the schema, None if it does not; lines of one form need one look."""
    if form not in _damages:
        if len(_damages) >= MAX_FORMS:
            _damages.clear()
        try:
            require_schema(SCHEMA, line)
            _damages[form] = None
        except Damaged as error:
            _damages[form] = error
    return _damages[form]


def _form(value: Any) -> Any:
    """Return what the schema looks at: names, types, signs, and whether texts and lists are short."""
    if isinstance(value, dict):
        return tuple((name, _form(part)) for name, part in value.items())
    if isinstance(value, list):
        return min(len(value), 6), frozenset(map(_form, value))
    if isinstance(value, (int, float)):
        return type(value), value < 0
    return type(value), bool(value)


def merged(folder: Path, head: Line) -> Record:
    """Merge all journals of a folder; its ``lost`` tells broken lines. Raises OfAnother."""
    record = Record()
    for path in sorted(folder.glob("*.jsonl")):
        record.read(path, folder, head)
    return record


def _expect(folder: Path, line: Line, head: Line) -> None:
    if line["campaign"] != head["campaign"]:
        theirs, ours = (cut("; ".join(map(str, h["campaign"])), MAX_CAMPAIGN_CHARACTERS) for h in (line, head))
        raise OfAnother(f"{folder} holds a campaign of {theirs}, and this is one of {ours}: give another folder.")


class Journal:
    """The journal of this process: an unlocked one of the folder, or a new one. Raises OfAnother, OSError."""

    def __init__(self, folder: Path, head: Line) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = self._claimed(folder)
        self.process = self.path.stem
        whole = self.path.read_bytes().rpartition(b"\n")
        os.ftruncate(self._descriptor, len(whole[0]) + len(whole[1]))  # the last line may be broken
        self.record = Record()
        if not any(whole[:2]):
            self.write(head)
        self.record.read(self.path, folder, head)

    def _claimed(self, folder: Path) -> Path:
        mine = (folder / f"{socket.gethostname()}-{number}.jsonl" for number in count())
        for path in _chained(sorted(folder.glob("*.jsonl")), mine):
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return path
            except OSError:
                os.close(self._descriptor)
        raise AssertionError("numbers do not end")

    def write(self, line: Line) -> None:
        """Append a line in one write, so that a killed process breaks at most its last line."""
        os.write(self._descriptor, json.dumps(_with_finite_margins(line), ensure_ascii=False).encode() + b"\n")


def kept(verdict: Verdict) -> dict[str, Any]:
    """Return the data of a verdict that a journal keeps: not its pattern, which explains failures of one round."""
    return {name: value for name, value in asdict(verdict).items() if name != "pattern"}


def _with_finite_margins(line: Line) -> Line:
    """Return a line whose infinite margins, of differences with no allowed error, are the largest float, as in reports.

    JSON has no infinity, and a reader leaves a line out that has one.
    """
    made = dict(line)
    if made.get("margin") is not None:
        made["margin"] = min(made["margin"], MAX_FLOAT)
    if made.get("steps") is not None:
        made["steps"] = [min(margin, MAX_FLOAT) for margin in made["steps"]]
    if "verdict" in made:
        made["verdict"] = _with_finite_margins(made["verdict"])
    return made


def _chained(*parts: Iterable[Path]) -> Iterator[Path]:
    for part in parts:
        yield from part
