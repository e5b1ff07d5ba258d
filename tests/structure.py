"""Print the sizes, circles and upward imports of a checkout's two packages: ``python -m tests.structure [ROOT]``."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import grimp

PACKAGES = ("conformance", "reference")
MAX_LINES = 400
FLAT = ("faults", "suite")  # folders whose modules are lists of short functions, which may be longer


def long_modules(root: Path) -> dict[str, int]:
    """Return the modules of more than MAX_LINES lines, the longest first."""
    paths = [path for package in PACKAGES for path in (root / package).rglob("*.py")]
    lines = {str(path.relative_to(root)): len(path.read_text("utf-8").splitlines()) for path in paths}
    return {name: n for name, n in sorted(lines.items(), key=lambda item: -item[1]) if n > MAX_LINES}


def circles(graph: grimp.ImportGraph) -> list[list[str]]:
    """Return the sets of modules that import each other, directly or through others, lazily too."""
    found = {}
    for module in sorted(graph.modules):
        mutual = graph.find_upstream_modules(module) & graph.find_downstream_modules(module)
        if mutual:
            found[min(mutual | {module})] = sorted(mutual | {module})
    return list(found.values())


def floors() -> dict[str, int]:
    """Return the floor of each module and package directly below ``conformance``, as pyproject.toml declares it."""
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8")
    (contract,) = (c for c in tomllib.loads(text)["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    layers = [layer.replace("(", "").replace(")", "").split(":") for layer in contract["layers"]]
    return {f"conformance.{name.strip()}": -k for k, names in enumerate(layers) for name in names}


def upward(graph: grimp.ImportGraph) -> Iterator[tuple[str, str]]:
    """Yield (importer, imported) for imports from a higher floor; modules without a floor are left out."""
    floor = floors() | {"reference": -100}
    for importer in sorted(graph.modules):
        for imported in sorted(graph.find_modules_directly_imported_by(importer)):
            low, high = (
                floor.get(".".join(m.split(".")[:2]), floor.get(m.split(".")[0])) for m in (importer, imported)
            )
            if low is not None and high is not None and low < high:
                yield importer, imported


def main() -> None:
    """Print the figures."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    sys.path.insert(0, str(root))
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    packages = [m for m in graph.modules if graph.find_children(m)]
    cut = [import_ for p in packages for import_ in graph.nominate_cycle_breakers(p)]
    tables = {
        f"modules of more than {MAX_LINES} lines": [f"{n} {name}" for name, n in long_modules(root).items()],
        "circles between modules": [f"{len(circle)} modules: {', '.join(circle)}" for circle in circles(graph)],
        "imports to cut so that no circle is left between the parts of a package": _arrows(sorted(cut)),
        "imports upward between the floors of pyproject.toml": _arrows(upward(graph)),
    }
    print(f"{len(packages)} packages, {len(graph.modules)} modules, {graph.count_imports()} imports")
    for title, lines in tables.items():
        print(f"{title}: {len(lines)}", *lines, sep="\n  ")


def _arrows(imports: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{importer} -> {imported}" for importer, imported in imports]


if __name__ == "__main__":
    main()
