"""Every kind of file that the suite reads, ways to damage one, and what reads it.

``python -m tests.broken_files 2000 [KIND...]`` damages each kind that often and prints what came of it.
"""

from __future__ import annotations

import base64
import io
import json
import random
import re
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import SkipTest

import numpy as np
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase

from conformance import Features, Unsupported
from conformance.backends.exec_protocol import AdapterError, CannotStart, Program, _features, decoded
from conformance.backends.oracle import OracleBackend
from conformance.campaign import journal
from conformance.cases.load import CaseError, default_directory, load_case
from conformance.dumps import BrokenDump, explain
from conformance.engine.drawing import hypothesis_run
from conformance.engine.finding import Finding, Status
from conformance.engine.serialization import entry
from conformance.engine.subject import Broken
from conformance.engine.text import MAX_SENTENCE_CHARACTERS, printable
from conformance.engine.verdict import Verdict
from conformance.reporting.baseline import baseline, judge
from conformance.reporting.changes import compare
from conformance.reporting.reading import BadReport, read
from conformance.reporting.report import as_text
from conformance.reporting.site.command import _site
from conformance.reporting.site.matrix import columns
from conformance.reporting.site.summary import badge, markdown
from conformance.reporting.terminal import summary
from conformance.runs import known_failures, shards
from conformance.runs.session import Session
from conformance.runs.settings import Settings
from conformance.specifications.torch_nn import TORCH_NN
from tests import sample_reports

HEAD = {"campaign": ["suite 0", "rare (1)"]}
SPECIFICATIONS = {"torch.nn": TORCH_NN}


@dataclass(frozen=True)
class Kind:
    """A kind of file: a sound one, how it is read, and the exceptions that reading a damaged one may raise."""

    name: str
    sound: Callable[[], bytes]
    use: Callable[[Path], object]
    raises: tuple[type[BaseException], ...] = ()


# --- sound files, and their readers --------------------------------------------------------------------


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


@cache
def _page_parts() -> None:
    import matplotlib

    matplotlib.use("Agg")


def use_report(path: Path) -> None:
    """Write everything that is made of reports, as texts."""
    reports, _ = columns(read(path))
    compared = [compare(report, reports[0]) for report in reports]
    "\n".join(markdown(reports, compared)).encode()
    json.dumps(badge(reports)).encode()


def use_page(path: Path) -> None:
    """Write the page and its data."""
    _page_parts()
    reports, _ = columns(read(path))
    for text in _site(reports, [compare(report, reports[0]) for report in reports], "site", ()).values():
        text.encode()


def use_baseline(path: Path) -> None:
    """Hold a run against the file."""
    old = baseline(str(path), "standard")
    "\n".join(judge(old, [read_sample()]).lines("report.json")).encode()


@cache
def read_sample() -> Any:
    """Return a sound report, read."""
    from conformance.reporting.reading import reports_of

    (found,) = reports_of(json.dumps(sample_reports.wrong("right")), "sample")
    return found


class One(OracleBackend):
    """The oracle with few claims, so that its reports are short."""

    name = "one"
    features = Features(kinds={"gru"}, multilayer=False, bidirectional=False, no_bias=False, batch_first=False,
                        unbatched=False, projection=False, initial_state=False, lengths=False)  # fmt: skip


@cache
def shard(number: int) -> bytes:
    """Return the report of one of two shards in which everything passed."""
    settings = Settings.of(
        {"profile": "smoke", "isolation": "none", "shard": f"{number}/2", "specification": "torch.nn"}
    )
    session = Session(settings, {"tests.broken_files:One": One()})
    found = {key: Finding.at(key, Status.PASSED, examples=1) for key in session.keys}
    session.close()
    return session.text(session.outcomes(found)).encode()


def use_shard(path: Path) -> None:
    """Merge the file with the other shard."""
    other = path.with_name("other.json")
    other.write_bytes(shard(2))
    outcomes, suite, made = shards.merge([str(path), str(other)])
    as_text(outcomes, suite, made).encode()
    "\n".join(summary(outcomes, "all.json")).encode()


PACKED = base64.b64encode(zlib.compress(np.zeros(3, "<f8").tobytes())).decode()
EXAMPLE = {
    "call": "layer",
    "config": {"kind": "gru", "input_size": 1, "hidden_size": 1, "dtype": "float32"},
    "parameters": {
        "weight_ih_l0": [[1.0], [0.5], [-1.0]],
        "weight_hh_l0": {"shape": [3, 1], "packed": PACKED},
        "bias_ih_l0": [0.0, 0.0, 0.0],
        "bias_hh_l0": [0.0, 0.0, 0.0],
    },
    "x": [[[0.5]], [[0.25]]],
    "values": "",
}
PLAN = {"plan": {"T": 3, "N": 2, "input_size": 2, "hidden_size": 2, "bidirectional": True, "seed": 5}}


def known() -> bytes:
    """Return a file of known failures: one entry with a call, one with a plan."""
    texts = [entry("GRU-EQUATION", "rare", "gru", "float32", one) for one in (EXAMPLE, PLAN, None)]
    return "\n".join(texts).replace('reason = ""', 'reason = "short"').replace('issue = ""', 'issue = "7"').encode()


def use_known(path: Path) -> None:
    """Read the entries."""
    for found in known_failures.read(path, SPECIFICATIONS):
        str(found).encode()


def use_example(path: Path) -> None:
    """Read an entry whose example is a file of its own."""
    place = path.with_name("known.toml")
    lines = ["[[known_failure]]", 'requirement = "GRU-EQUATION"', 'reason = "short"', 'issue = "7"']
    place.write_text("\n".join([*lines, f"example = {path.name!r}", 'kind = "gru"\n']))
    use_known(place)


def use_case(path: Path) -> None:
    """Load the case and run it on the oracle."""
    _ = load_case(path).oracle


def dump() -> dict[str, Any]:
    """Return a dump of a call."""
    rng = np.random.default_rng(0)
    made = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in (
        ("weight_ih_l0", (6, 2)), ("weight_hh_l0", (6, 2)), ("bias_ih_l0", (6,)), ("bias_hh_l0", (6,)),
        ("x", (3, 1, 2)), ("output", (3, 1, 2)), ("h_n", (1, 1, 2)))}  # fmt: skip
    return {"kind": "gru", **made}


def npz() -> bytes:
    """Return a dump as an .npz file."""
    file = io.BytesIO()
    np.savez(file, **dump())
    return file.getvalue()


def use_dump(path: Path) -> None:
    """Explain the dump."""
    str(explain(path, seconds=0.0)).encode()


def journal_lines() -> bytes:
    """Return a journal with a round, a passed check, a failure and a replay."""
    key = ["GRU-EQUATION", "rare", "gru", "float32", "torch.nn"]
    verdict = journal.kept(Verdict(examples=3, failure="wrong", margin=2.0))
    found = {"judged": key, "examples": 3, "seconds": 0.1, "margin": 2.0, "steps": [1.0, 2.0]}
    lines = [
        HEAD,
        {"round": 1, "seed": 5, "process": "here-0", "examples_each": 10},
        {"judged": ["SHAPE-OUTPUT", *key[1:]], "examples": 10, "seconds": 0.5},
        found | {"process": "here-0", "round": 1, "seed": 5, "verdict": verdict},
        {"done": 1},
        {"replayed": key, "fails_again": True},
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def use_journal(path: Path) -> None:
    """Merge the journals of the folder and use what they hold, as a campaign does."""
    sound = len([line for line in path.read_bytes().split(b"\n")[:-1] if line])
    record = journal.merged(path.parent, HEAD)
    said = [*record.lost]
    assert len(said) <= sound
    for sentence in said:
        require_sentence(sentence, path)
    for total in record.totals.values():
        if total.found is not None:
            Verdict(**total.found["verdict"]).failure.splitlines()
    assert record.examples >= 0
    json.dumps([record.rounds, {str(key): found for key, found in record.found.items()}], allow_nan=False).encode()


KEY = b"a-key"


def example_bytes() -> bytes:
    """Return an example as Hypothesis's database keeps it."""
    from hypothesis.database import choices_to_bytes

    return choices_to_bytes((3, 0.5, b"x", "text", True))


def use_database(path: Path) -> None:
    """Replay the file as an example of the database."""
    folder = DirectoryBasedExampleDatabase(path.parent / "examples")
    folder.save(KEY, path.read_bytes())
    strategy = st.tuples(st.integers(), st.floats(), st.binary(), st.text(), st.booleans())
    with suppress(SkipTest):  # nothing to replay
        hypothesis_run(lambda example: None, strategy, 0, [Phase.reuse], folder, KEY)


FORWARD = {"id": 1, "result": {
    "output": {"dtype": "float32", "shape": [1, 1, 2], "data": "AACAPwAAAEA="},
    "h_n": {"dtype": "float32", "shape": [1, 1, 2], "data": "AACAPwAAAEA="}, "c_n": None, "handle": 3,
}}  # fmt: skip
HELLO = {"id": 1, "result": {"protocol": 1, "name": "program", "version": "1", "features": {
    "kinds": ["lstm", "gru"], "dtypes": ["float32"], "lengths": False, "gradients": ["x", "h_0"], "most_steps": 40,
    "hidden_sizes": [2, 3], "by_kind": {"gru": {"lengths": True}}, "fixed_shapes": ["steps"],
}}}  # fmt: skip


def use_answer(path: Path) -> None:
    """Read the line of a program's answer, as the protocol does."""
    program = Program("true")
    program.number = 1
    result = program.answer(None, path.read_bytes().replace(b"\n", b" ") + b"\n")  # type: ignore[arg-type]
    for name in ("output", "h_n", "c_n"):
        try:
            decoded(result.get(name))
        except (ValueError, TypeError, RecursionError, OverflowError, MemoryError) as error:
            raise Broken(" ".join(str(error).split())) from None


def use_hello(path: Path) -> None:
    """Read the claims of a program's hello."""
    program = Program("true")
    program.number = 1
    result = program.answer(None, path.read_bytes().replace(b"\n", b" ") + b"\n")  # type: ignore[arg-type]
    json.dumps(_features(result.get("features")).as_json(), default=sorted)


ANSWERS = (Broken, AdapterError, CannotStart)
KINDS = {
    kind.name: kind
    for kind in (
        Kind("report", lambda: _json([sample_reports.wrong(), sample_reports.right()]), use_report, (BadReport,)),
        Kind("page", lambda: _json(sample_reports.wrong()), use_page, (BadReport,)),
        Kind("baseline", lambda: _json(sample_reports.right()), use_baseline, (BadReport,)),
        Kind("shard", lambda: shard(1), use_shard, (BadReport,)),
        Kind("known", known, use_known, (known_failures.BrokenFile,)),
        Kind("example", lambda: _json(EXAMPLE), use_example, (known_failures.BrokenFile,)),
        Kind("plan", lambda: _json(PLAN), use_example, (known_failures.BrokenFile,)),
        Kind("case", lambda: (default_directory() / "memory-exercise.json").read_bytes(), use_case, (CaseError,)),
        Kind("dump", lambda: _json({n: a if isinstance(a, str) else a.tolist() for n, a in dump().items()}), use_dump,
             (BrokenDump,)),
        Kind("npz", npz, use_dump, (BrokenDump,)),
        Kind("journal", journal_lines, use_journal, (journal.OfAnother,)),
        Kind("database", example_bytes, use_database),
        Kind("answer", lambda: _json(FORWARD), use_answer, ANSWERS),
        Kind("hello", lambda: _json(HELLO), use_hello, ANSWERS),
    )
}  # fmt: skip

# --- damage --------------------------------------------------------------------------------------------

OTHERS: tuple[bytes, ...] = (
    b"null", b"true", b"-1", b"0", b"3.5", b'""', b'"\\ud800\\u0000\\u001b[2J"', b"[]", b"{}", b"[[1], 2]",
    b"1" + b"0" * 30, b"1" * 5000, b"1e999", b"-1e308", b"1e-999", b"NaN", b"-Infinity", b"[" * 70 + b"]" * 70,
    b"[" * 100_000, b'{"a":' * 3000 + b"1" + b"}" * 3000, b'"' + b"x" * 100_000 + b'"', b"99999999",
    b'{"a": {}}', b"[" + b"9" * 15 + b"]",
    b'"1/2"', b'"gru"', b'"layer"', b"4294967296", b"nan", b"inf", b"1979-05-27", b"0x1F", b"1_000",
)  # fmt: skip


STRING = rb'"(?:[^"\\]|\\.)*"'
VALUES = (  # a key of JSON is in group 1
    re.compile(rb"(" + STRING + rb"\s*:)|" + STRING + rb'|(?<![\w."])-?\d[\d.eE+-]*|\btrue\b|\bfalse\b|\bnull\b'),
    re.compile(rb"()?\[[^\[\]{}]*\]"),
    re.compile(rb"()?\{[^\[\]{}]*\}"),
)


def cut(raw: bytes, at: int, how: int) -> bytes:
    """Cut off the end."""
    return raw[: at % (len(raw) + 1)]


def flip(raw: bytes, at: int, how: int) -> bytes:
    """Change a bit."""
    at %= max(1, len(raw))
    return raw[:at] + bytes(b ^ (1 << how % 8) for b in raw[at : at + 1]) + raw[at + 1 :]


def delete_line(raw: bytes, at: int, how: int) -> bytes:
    """Leave out a line."""
    lines = raw.splitlines(keepends=True)
    return b"".join(lines[: at % max(1, len(lines))] + lines[at % max(1, len(lines)) + 1 :])


def repeat_line(raw: bytes, at: int, how: int) -> bytes:
    """Write a line twice, or many times."""
    lines = raw.splitlines(keepends=True) or [b""]
    at %= len(lines)
    return b"".join([*lines[:at], lines[at] * (2, 3, 50)[how % 3], *lines[at + 1 :]])


def insert(raw: bytes, at: int, how: int) -> bytes:
    """Put bytes in that are no UTF-8, or that do not belong there."""
    junk = (b"\xff", b"\xed\xa0\x80", b"\x00", b"\x1b[2J", b",", b"]", b"}", b'"', b"\xef\xbb\xbf", b"\n", b"[" * 2000)
    at %= len(raw) + 1
    return raw[:at] + junk[how % len(junk)] + raw[at:]


def exchange(raw: bytes, at: int, how: int) -> bytes:
    """Put a value of another type in the place of one."""
    found = [one for values in VALUES for one in values.finditer(raw) if not one[1]]
    if not found:
        return raw
    one = found[at % len(found)]
    return raw[: one.start()] + OTHERS[how % len(OTHERS)] + raw[one.end() :]


def rename(raw: bytes, at: int, how: int) -> bytes:
    """Rename a key."""
    found = [*re.finditer(rb'"((?:[^"\\]|\\.)*)"\s*:|^(\w+)\s*=', raw, re.M)]
    if not found:
        return raw
    one = found[at % len(found)]
    place = one.span(1) if one[1] is not None else one.span(2)
    names = (b"other", b"schema", b"", b"x" * 5000, b"kind", b"shape", raw[slice(*found[how % len(found)].span(1))])
    return raw[: place[0]] + names[how % len(names)] + raw[place[1] :]


DAMAGES = (cut, flip, delete_line, repeat_line, insert, rename, *[exchange] * 10)
NUMBERS = st.integers(0, 10**6)
damages = st.lists(st.tuples(st.sampled_from(DAMAGES), NUMBERS, NUMBERS), min_size=1, max_size=3)


def damaged(raw: bytes, done: Any) -> bytes:
    """Return the bytes after each damage in turn."""
    for damage, at, how in done:
        raw = damage(raw, at, how)
    return raw


def require_sentence(sentence: str, path: Path | None) -> None:
    """Require one printable sentence of a bounded length that names the file."""
    assert "\n" not in sentence, sentence
    assert printable(sentence) == sentence
    assert len(sentence) <= 2 * MAX_SENTENCE_CHARACTERS, sentence[:300]
    if path is not None:
        assert path.name in sentence or "known.toml" in sentence, sentence


def told(kind: Kind, raw: bytes, folder: Path) -> str:
    """Read a damaged file; return the sentence that says so, or an empty one if it is read all the same."""
    path = folder / f"{kind.name}{'.jsonl' if kind.name == 'journal' else '.json'}"
    path.write_bytes(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            kind.use(path)
        except kind.raises as error:
            sentence = str(error)
            require_sentence(sentence, None if kind.raises is ANSWERS or kind.name == "journal" else path)
            return sentence
        except BaseException as error:
            if kind.raises is ANSWERS and isinstance(error, Unsupported):
                return str(error)
            raise
    return ""


def main() -> None:
    """Damage each kind of file and print the numbers."""
    count, names = int(sys.argv[1]), sys.argv[2:] or list(KINDS)
    for name in names:
        kind, random_ = KINDS[name], random.Random(0)
        raw, found, slowest, broken = kind.sound(), Counter(), 0.0, []
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(count):
                done = [(random_.choice(DAMAGES), random_.randrange(10**6), random_.randrange(10**6))
                        for _ in range(random_.choice((1, 1, 2, 3)))]  # fmt: skip
                started = time.perf_counter()
                try:
                    found["told" if told(kind, damaged(raw, done), Path(folder)) else "read"] += 1
                except BaseException as error:
                    if isinstance(error, KeyboardInterrupt):
                        raise
                    found["broken"] += 1
                    place = traceback.extract_tb(error.__traceback__)[-1]
                    broken.append(
                        (f"{type(error).__name__}: {str(error)[:200]}", f"{place.filename}:{place.lineno}", done)
                    )
                slowest = max(slowest, time.perf_counter() - started)
        print(f"{name}: {dict(found)}, slowest {slowest:.1f} s", flush=True)
        seen = Counter((what[:60], where) for what, where, _ in broken)
        for (what, where), number in seen.most_common(12):
            example = next(d for w, p, d in broken if (w[:60], p) == (what, where))
            print(f"  {number} {what} at {where}: {[(d.__name__, a, h) for d, a, h in example]}")


if __name__ == "__main__":
    main()
