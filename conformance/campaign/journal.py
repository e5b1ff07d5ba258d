"""The journals of a campaign: a folder with one file for each process, one line of JSON for each verdict.

A process locks its journal while it runs. The journal of a killed process, its last line perhaps broken, goes to the
next process that starts. All journals of a folder together are the campaign.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from conformance.engine.key import Key

Line = dict[str, Any]


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

    @property
    def examples(self) -> int:
        return sum(total.examples for total in self.totals.values())

    @property
    def found(self) -> dict[Key, Line]:
        return {key: total.found for key, total in self.totals.items() if total.found is not None}

    def add(self, line: Line) -> None:
        """Add a line."""
        if "judged" in line:
            key = Key(*line["judged"])
            self.totals.setdefault(key, Total()).add(line)
            self.judged.add(key)
            self.rounds[-1]["examples"] += line["examples"]
        elif "replayed" in line:
            self.replayed[Key(*line["replayed"])] = line["fails_again"]
        elif "done" in line:
            self.done = True
        elif "seed" in line:
            self.rounds.append(line | {"examples": 0})
            self.judged, self.done = set(), False


def lines(path: Path) -> Iterator[Line]:
    """Yield the complete lines of a journal."""
    for text in path.read_bytes().split(b"\n")[:-1]:
        yield json.loads(text)


def merged(folder: Path, head: Line) -> Record:
    """Merge all journals of a folder. Raises OfAnother."""
    record = Record()
    for path in sorted(folder.glob("*.jsonl")):
        for line in lines(path):
            if "campaign" in line:
                _expect(folder, line, head)
            else:
                record.add(line)
    return record


def _expect(folder: Path, line: Line, head: Line) -> None:
    if line["campaign"] != head["campaign"]:
        theirs, ours = ("; ".join(map(str, h["campaign"])) for h in (line, head))
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
        before = list(lines(self.path))
        if not before:
            self.write(head)
        for line in before:
            if "campaign" in line:
                _expect(folder, line, head)
            else:
                self.record.add(line)

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
        os.write(self._descriptor, json.dumps(line, ensure_ascii=False).encode() + b"\n")


def _chained(*parts: Iterable[Path]) -> Iterator[Path]:
    for part in parts:
        yield from part
