"""Write files in full or not at all, even if the process is killed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file beside its place and rename it. Raises OSError with the path as its ``filename``."""
    data = content if isinstance(content, bytes) else content.encode()
    if path.exists() and not path.is_file():  # a device or a pipe
        path.write_bytes(data)
        return
    target = path.resolve()  # a link stays
    part = part_of(target)
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except OSError as error:
        error.filename = str(path)  # a full disk names no file
        with suppress(OSError):
            part.unlink()
        raise


def part_of(path: Path) -> Path:
    """Return the file that is written beside a path until it is whole."""
    return path.with_name(f".{path.name}.part")
