"""Write every case file in this folder: python cases/generate.py [--check]

With --check, write nothing and report, also by the exit status, whether the files are up to date. The expected numbers
come from the oracle. On another machine tanh or a matrix product may differ in the last bits: a file that differs by no
more than that counts as up to date and stays unchanged.

This needs NumPy only; the weights of the digits model come from data/digits.json, which train_digits.py writes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # the checkout need not be installed

# ruff: noqa: E402 the path is set first
from cases.cell_loops import cell_example, cells_and_layer, narrowing_cells
from cases.drafts import document_of, same_but_last_bits, text, with_allowed
from cases.memory import MEMORY_GATES, MEMORY_INPUTS, memory_exercise, memory_mismatch_document  # noqa: F401
from cases.models import digits, embedded_batch, tagger, windows
from cases.single_layers import (
    bidirectional,
    from_zeros,
    given_states,
    packed,
    projected_both_ways,
    steps_and_whole,
)
from cases.terms import TAUGHT, TUTORIAL
from cases.vectors import pool


def documents() -> Iterator[dict]:
    """Yield every handwritten case in the form of its file, in the order in which people meet them."""
    drafts = [
        steps_and_whole("lstm", TUTORIAL),
        steps_and_whole("gru", TAUGHT),
        *(given_states(kind) for kind in ("rnn_tanh", "rnn_relu", "lstm", "gru")),
        *(from_zeros(kind, layers) for kind in ("rnn_tanh", "lstm", "gru") for layers in (1, 4)),
        *(bidirectional(kind, layers) for kind in ("lstm", "gru") for layers in (1, 4)),
        cell_example("rnn_tanh", 6),
        cell_example("lstm", 2),
        cell_example("gru", 6),
        cells_and_layer("rnn_tanh", 20, 1),
        cells_and_layer("rnn_tanh", 80, 3),
        cells_and_layer("lstm", 80, 3),
        narrowing_cells("rnn_tanh"),
        narrowing_cells("lstm"),
        tagger(),
        embedded_batch(),
        windows(two=False),
        windows(two=True),
        given_states("lstm", proj_size=5),
        projected_both_ways(),
        packed("lstm", False, [4, 7, 2]),
        packed("gru", True, [3, 1, 6, 4], num_layers=2, batch_first=True),
        digits(),
        memory_exercise(),
    ]
    yield from (with_allowed(document_of(draft)) for draft in drafts)
    yield memory_mismatch_document()


def generated() -> Iterator[dict]:
    """Yield every generated case in the form of its file: the vectors in data/chosen.json."""
    chosen = json.loads((HERE / "data" / "chosen.json").read_text("utf-8"))
    for vector in pool():
        if vector.id in chosen:
            yield with_allowed(vector.document | {"requirements": chosen[vector.id]})


# Writing


def _is_written(path: Path, document: dict) -> bool:
    if not path.exists():
        return False
    present = path.read_text("utf-8")
    if present == text(document):
        return True
    try:
        return same_but_last_bits(json.loads(present), document) and text(json.loads(present)) == present
    except ValueError:
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; say whether the files are up to date")
    check = parser.parse_args().check
    stale, paths = [], {HERE / "schema.json"}
    (HERE / "generated").mkdir(exist_ok=True)
    made = [(HERE, documents()), (HERE / "generated", generated())]
    for path, document in ((folder / f"{d['id']}.json", d) for folder, those in made for d in those):
        paths.add(path)
        if _is_written(path, document):
            word = "unchanged"
        else:
            stale.append(path.name)
            word = "STALE" if check else "written"
            if not check:
                path.write_text(text(document), "utf-8")
        print(f"{word:9} {path.name}", flush=True)
    for path in sorted([*HERE.glob("*.json"), *(HERE / "generated").glob("*.json")]):
        if path not in paths:
            stale.append(path.name)
            print(f"UNKNOWN   {path.name}: no case of this script; remove it", flush=True)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
