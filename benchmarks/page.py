"""docs/performance.md, from docs/performance.json."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

HEAD = """# Performance

Written by `python -m benchmarks` (`tox -e benchmarks`), one thread for each process, on 2 cores that did other work
besides. `performance.json` has beside each figure the milliseconds that a fixed piece of NumPy's work took then;
`python -m benchmarks --check` measures again and tells what takes more than 1.5 times as many of these.
"""


def page(data: dict[str, list[dict[str, Any]]]) -> str:
    """The page of these figures."""
    lines = [HEAD.rstrip()]
    for section, write in SECTIONS.items():
        if rows := data.get(section):
            lines += ["", *write(rows)]
    return "\n".join(lines) + "\n"


def table(names: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    names = list(names)
    yield "| " + " | ".join(names) + " |"
    yield "| " + " | ".join("---" for _ in names) + " |"
    for row in rows:
        yield "| " + " | ".join(f"{v:.3g}" if isinstance(v, float) else str(v) for v in row) + " |"


def of_runs(rows):
    yield "## Time to a verdict"
    yield ""
    yield "From the command to its end, with imports. Useful: the share of backend and oracle in the sum of the parts."
    yield ""
    names = ("backend", "profile", "at a time", "wall s", "processor s", "checks", "examples", "examples/s", "useful",
             "harness ms an example", "largest process MiB")  # fmt: skip
    yield from table(names, ([r["backend"], r["profile"], r["processes"], r["wall"], r["processor"], r["checks"],
        r["examples"], r["examples"] / r["wall"], f"{r['useful']:.0%}", r["harness_ms_per_example"],
        round(r["memory_mib"])] for r in rows))  # fmt: skip
    yield ""
    yield "Where the time of the processes goes, in seconds:"
    yield ""
    parts = list(dict.fromkeys(name for r in rows for name in r["parts"]))
    yield from table(
        ("backend", "profile", "at a time", *parts),
        ([r["backend"], r["profile"], r["processes"], *(r["parts"].get(p, 0.0) for p in parts)] for r in rows),
    )


def of_imports(rows):
    yield "## Imports"
    yield ""
    found = {name: value for name, value in rows[0].items() if name != "yardstick"}
    yield from table((f"{name}, s" for name in found), [found.values()])


def of_oracle(rows):
    yield "## The oracle and torch"
    yield ""
    yield "Milliseconds, one thread; torch's gradients as the adapter computes them."
    yield ""
    names = ("oracle forward", "torch float64 forward", "torch float32 forward",
             "oracle gradient", "torch float64 gradient", "torch float32 gradient")  # fmt: skip
    yield from table(("kind", "T, N, I, H, L, D", *names), (
        [r["kind"], f"{r['T']}, {r['N']}, {r['input_size']}, {r['hidden_size']}, {r['num_layers']}, "
         f"{1 + r['bidirectional']}", *(r[n] for n in names)] for r in rows))  # fmt: skip


def of_growth(rows):
    yield "## How cost grows"
    yield ""
    yield "Milliseconds of a forward pass of T 8, N 4, I 8, H 8, one layer, but for one size."
    yield ""
    yield from table(("kind", "size", "value", "oracle", "tolerance"),
        ([r["kind"], r["axis"], r["value"], r["oracle"], r["tolerance"]] for r in rows))  # fmt: skip


def of_faults(rows):
    yield "## Seconds to the first failure"
    yield ""
    r = rows[0]
    yield f"Of {r['faults']} faults of the bank `quick` finds {r['found']}; processor seconds of checking until then:"
    yield ""
    yield from table(r["seconds"].keys(), [r["seconds"].values()])


def of_peers(rows):
    yield "## Others"
    yield ""
    r = rows[0]
    yield (
        f"ONNX's {r['tests']} node tests of RNN, LSTM and GRU under onnxruntime: {r['processor']:.3g} s of processor, "
        f"{r['inside']:.3g} s of it in the tests, the rest start-up."
    )


SECTIONS = {"runs": of_runs, "imports": of_imports, "oracle": of_oracle, "growth": of_growth, "faults": of_faults,
            "peers": of_peers}  # fmt: skip
