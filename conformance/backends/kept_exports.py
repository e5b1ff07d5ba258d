"""Exported models that later runs take from a folder instead of exporting again."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

VARIABLE = "CONFORMANCE_EXPORTS"


class KeptExports:
    """Models in the folder that the environment variable CONFORMANCE_EXPORTS names; without it nothing is kept.

    A model is found by its key, the versions of Python and of ``packages``, and the source of ``modules``, the code
    that exports. After any change of these it is exported again, and so is a file that is damaged.
    """

    def __init__(self, packages: Iterable[str], modules: Iterable[ModuleType]) -> None:
        """Make the folder if it does not exist. Raises OSError if that is not possible."""
        folder = os.environ.get(VARIABLE, "")
        self.folder = Path(folder).absolute() if folder else None
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(sys.version.encode())
        for package in packages:
            digest.update(f"{package} {_version(package)}\n".encode())
        for module in modules:
            digest.update(Path(str(module.__file__)).read_bytes())
        self.exporter = digest.hexdigest()

    def __call__(self, key: object, export: Callable[[], bytes]) -> bytes:
        """Return the model of a key, whose ``repr`` no other key has. Passes on the exceptions of ``export``."""
        if self.folder is None:
            return export()
        path = self.folder / f"{hashlib.sha256(f'{self.exporter} {key!r}'.encode()).hexdigest()}.onnx"
        if (kept := _read(path)) is not None:
            return kept
        model = export()
        with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
            file.write(hashlib.sha256(model).digest() + model)
        os.replace(file.name, path)
        return model


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _read(path: Path) -> bytes | None:
    """Return a kept model, or None if it is missing or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, model = content[:32], content[32:]
    return model if hashlib.sha256(model).digest() == digest else None
