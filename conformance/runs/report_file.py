"""The file of a report: tried at the start of a run, whole at its end, with a journal until then."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from conformance.engine.whole_files import part_of, write_whole

TRIAL_BYTES = 1 << 20  # written and removed at the start; a report of a backend takes less
EMPTY = bytes(TRIAL_BYTES)


class CannotWrite(Exception):
    """A report that cannot be written; the message is one sentence that names the file and the reason."""


class ReportFile:
    """The file of a run's report, and its journal: one line of JSON for each finding, kept until the report is there.

    Making the object tries the file out. Raises CannotWrite.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self.journal = self.path.with_name(f"{self.path.name}.journal")
        self._descriptor: int | None = None
        try:
            if self.path.is_dir():
                raise IsADirectoryError(0, "it is a folder")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.path.exists() or self.path.is_file():
                beside = part_of(self.path.resolve())
                write_whole(beside, EMPTY)
                beside.unlink()
        except OSError as error:
            raise self._problem(error) from None

    def note(self, finding: dict[str, Any] | str) -> None:
        """Add a finding, JSON data or their text, to the journal; do nothing where there can be none."""
        with suppress(OSError):  # the report itself tells at the end
            if self._descriptor is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
                self._descriptor = os.open(self.journal, flags, 0o666)
            line = finding if isinstance(finding, str) else json.dumps(finding)
            os.write(self._descriptor, line.encode() + b"\n")

    def write(self, text: str) -> None:
        """Write the report and remove the journal. Raises CannotWrite."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, text)
        except OSError as error:
            raise self._problem(error) from None
        if self._descriptor is not None:
            self.close()
            with suppress(OSError):
                self.journal.unlink()

    def close(self) -> None:
        """Close the journal."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _problem(self, error: OSError) -> CannotWrite:
        kept = f"; the findings are in {self.journal}" if self._descriptor is not None else ""
        return CannotWrite(f"the report {self.path} cannot be written ({error.strerror}){kept}.")
