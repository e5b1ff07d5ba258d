"""Hand-made reports with every status, for the tests of pages, summaries and comparisons."""

from __future__ import annotations

from collections import Counter

HOSTILE = "</script><script>document.title='taken'</script> | *x* `y` <img src=x> & ]]"


def row(id_, kind="lstm", dtype="float32", status="passed", **found):
    """Return a row of a report."""
    return {
        "id": id_,
        "area": "numerics",
        "statement": f"What {id_} states.",
        "source": "torch.nn.RNN, LSTM, GRU: the formulas",
        "kind": kind,
        "dtype": dtype,
        "status": status,
        "examples": 0 if status in ("blocked", "not_claimed") else 50,
        "margin": None,
        "diagnosis": [],
        "message": "",
        "reproducer": None,
    } | found


def report(name, rows, version="1.0", complete=True, **suite):
    """Return a report of these rows; its summary counts them."""
    counted = Counter(one["status"] for one in rows)
    return {
        "schema": 1,
        "suite": {"version": "0.1.0", "profile": "standard", "seed": 0} | suite,
        "backend": {"name": name, "version": version, "features": {}},
        "summary": {
            "conformant": complete and not counted["failed"] + counted["blocked"],
            "complete": complete,
            "passed": counted["passed"],
            "failed": counted["failed"],
            "blocked": counted["blocked"],
            "known_failures": counted["known_failure"],
            "not_claimed": counted["not_claimed"],
        },
        "requirements": rows,
    }


def right(name="right"):
    """Return the report of a backend that passes."""
    return report(
        name,
        [
            row("SHAPE-H-N", area="shapes"),
            row("STATE-ARGUMENTS-UNTOUCHED", area="state"),
            row("LSTM-EQUATION", margin=0.25, steps=[0.01, 0.02, 0.25, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]),
            row("GRU-EQUATION", "gru", margin=0.4),
            row("GRU-EQUATION", "gru", "float64", margin=0.5),
            row("CASE-ONE", area="cases", source="https://example.org/case", margin=0.0),
        ],
    )


def wrong(name="wrong"):
    """Return a report with every status, and with text that breaks unescaped markup."""
    fault = {"fault": "gru-reset-unused", "explanation": "a GRU without a reset gate"}
    return report(
        name,
        [
            row("SHAPE-H-N", area="shapes"),
            row("STATE-ARGUMENTS-UNTOUCHED", area="state"),
            row("LSTM-EQUATION", status="not_claimed"),
            row("GRU-EQUATION", "gru", margin=0.5),
            row(
                "GRU-EQUATION",
                "gru",
                "float64",
                "failed",
                margin=2.5e5,
                examples=3,
                diagnosis=[fault],
                message="output[0, 0, 0]: got 0.2, expected 0.1\n  smallest failing call: gru layer",
                reproducer="report-reproducers/gru-equation.py",
                steps=[1.0, 10.0, 100.0, 2.5e5, 1.0, 1.0, 1.0, 1.0],
            ),
            row("GRU-LAW", "gru", status="blocked", message="not run: it builds on GRU-EQUATION, which failed"),
            row("KNOWN", "gru", status="known_failure", examples=1, message="the kernel is short (issue 7)\nmore"),
            row("HOSTILE", status="failed", area="elsewhere", statement=HOSTILE, message=HOSTILE, margin=1.7e308),
        ],
    )
