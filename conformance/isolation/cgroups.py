"""The memory that a container may use: the limits of control groups, in both versions of Linux's interface."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def memory_limits(process: Path = Path("/proc/self"), mounted: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """Return the limits of memory, bytes, of the control groups that a process is in; none on another system.

    ``process`` is the folder of /proc that describes the process, ``mounted`` the folder of the groups.
    """
    return [limit for file in _files(process, mounted) if (limit := _number(file)) is not None]


def _files(process: Path, mounted: Path) -> Iterator[Path]:
    """Yield the files with limits: of the process's groups and of all groups that these are in."""
    try:
        lines = (process / "cgroup").read_text("ascii", "replace").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, place = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            root, name = mounted, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = mounted / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = root / place.lstrip("/")  # in a container it may be a path of the host's, which is not there
        for folder in (group, *group.parents):
            yield folder / name
            if folder == root:
                break


def _number(file: Path) -> int | None:
    with suppress(OSError, ValueError):  # the limit may be "max"
        return int(file.read_text("ascii"))
    return None
