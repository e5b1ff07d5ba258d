"""A failure as a standalone script, and as an example that is replayed.

Where the failing call's own numbers are wrong, the script holds them: the layer in round numbers, what should
come and what is allowed. It runs the layer with the backend's public library alone where the adapter has a
``snippet`` of that, and with the adapter otherwise. Every other failure, a refusal, an exception, a law of
several calls, is the suite's check run on that one call. Either way the script exits with 1 while the fault
is there and with 0 when it is mended.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from conformance import registry
from conformance.backends.oracle import OracleBackend
from conformance.engine.compare import Failed, margin
from conformance.engine.serialization import (
    BrokenExample,
    Example,
    array_data,
    call_of,
    config_data,
    example_of,
    form_of,
    python,
)
from conformance.engine.subject import Subject, Trial, trial_of
from conformance.specifications.torch_nn import suite
from reference.precision import REPLICAS_ON_FAILURE

CLEAR = 100.0  # times what is allowed: simpler numbers are not to make an error smaller than this, if it was not
WIDTH = 100


# --- simpler values -----------------------------------------------------------------------------------


def simplified(check, subject: Subject, call, attempts: int, seconds: float):
    """The call with its numbers rounded, zeroed and made equal as long as the check fails, and the failure.

    Only numbers with which the oracle passes are taken, so that the check still means what it says.
    """
    until = time.monotonic() + seconds
    right = OracleBackend()
    right.features = subject.backend.features  # laws ask what is claimed
    oracle = Subject(right, subject.kind, subject.dtype)
    found = failure_of(check, trial_of(subject, call))
    if found is None:
        return call, None
    at_least = min(error_of(trial_of(subject, call)), CLEAR)
    for change in changes(call):
        if attempts <= 0 or time.monotonic() > until:
            break
        other = change(call)
        if other is None:
            continue
        attempts -= 1
        trial = trial_of(subject, other)
        failure = failure_of(check, trial) if check.applies(other) else None
        if failure is None or error_of(trial) < at_least:
            continue
        if failure_of(check, trial_of(oracle, other)) is None:
            call, found = other, failure
    return call, found


def failure_of(check, trial: Trial) -> Failed | None:
    """How the trial fails the check."""
    try:
        check.law(trial)
    except Failed as failure:
        return failure
    return None


def error_of(trial: Trial) -> float:
    """The largest error of the call's own numbers, in units of what is allowed; 0 where there are no numbers."""
    try:
        got, want, limits = (trial.named(r) for r in (trial.got, trial.want, trial.allowed()))
    except Failed:
        return 0.0
    largest, worst = trial.subject.arithmetic.largest, 0.0
    for name, expected in want.items():
        if (expected is None) != (got[name] is None):
            return 0.0
        if expected is not None:
            worst = max(worst, np.max(margin(got[name].astype(float), expected, limits[name], largest), initial=0.0))
    return float(worst)


def changes(call) -> Iterator[Callable[[Any], Any]]:
    """Ways to simpler numbers, the boldest first: of all arrays together, then one by one, then by element."""
    arguments = [name for name, a in call.arguments.items() if isinstance(a, np.ndarray) and name != "x"]
    arrays = [*arguments, *(n for n in call.parameters if "bias" in n), "x"]
    arrays += [name for name in call.parameters if "bias" not in name]
    for simpler in (_whole, _one_digit, _two_digits):
        yield lambda c, simpler=simpler: _changed(c, arrays, simpler)
    for name in arrays:
        for simpler in (np.zeros_like, np.ones_like, _equal, _whole, _one_digit, _two_digits):
            yield lambda c, name=name, simpler=simpler: _changed(c, [name], simpler)
    for name in arrays:
        for k in range(min(_array(call, name).size, 16)):
            yield lambda c, name=name, k=k: _changed(c, [name], lambda a, k=k: _without(a, k))
    for name in arrays:
        for simpler in (_equal_nonzero, _whole, _one_digit):
            yield lambda c, name=name, simpler=simpler: _changed(c, [name], simpler)


def _array(call, name: str) -> np.ndarray:
    return call.parameters[name] if name in call.parameters else getattr(call, name)


def _changed(call, names: list[str], simpler: Callable[[np.ndarray], np.ndarray]):
    """The call with some arrays changed; None where that changes nothing, or makes a simple array less so."""
    new = {name: np.asarray(simpler(a := _array(call, name)), a.dtype) for name in names}
    differ = {name for name, a in new.items() if a.tobytes() != _array(call, name).tobytes()}
    if not differ or any(_simplicity(new[name]) >= _simplicity(_array(call, name)) for name in differ):
        return None
    parameters = call.parameters | {name: new[name] for name in differ if name in call.parameters}
    others = {name: new[name] for name in differ if name not in call.parameters}
    return call.replace(parameters=parameters, **others, values=re.sub(r", seed \d+", ", simplified", call.values))


def _simplicity(array: np.ndarray) -> tuple[int, int, int]:
    """Smaller is simpler: digits after the point, then different numbers, then numbers that are not zero."""
    values = np.nan_to_num(array.astype(np.float64)).ravel()
    digits = next((d for d in (0, 1, 2) if np.array_equal(values, np.round(values, d))), 9)
    return digits, len(np.unique(values)), int(np.count_nonzero(values))


def _rounded(array: np.ndarray, digits: int) -> np.ndarray:
    return np.round(array.astype(np.float64), digits)


def _whole(array):
    return _rounded(array, 0)


def _one_digit(array):
    return _rounded(array, 1)


def _two_digits(array):
    return _rounded(array, 2)


def _equal(array):
    values = array.astype(np.float64)
    return np.full(array.shape, _rounded(values.flat[np.argmax(np.abs(values))], 1) if array.size else 0)


def _equal_nonzero(array):
    return (array != 0).astype(np.float64)


def _without(array: np.ndarray, k: int) -> np.ndarray:
    simpler = array.copy()
    if k < simpler.size:
        simpler.flat[k] = 0
    return simpler


# --- scripts ------------------------------------------------------------------------------------------

ARRAY = '''
def array(data):
    """Nested lists, or compressed numbers of a shape, as an array."""
    if isinstance(data, dict):
        import base64
        import zlib

        return np.frombuffer(zlib.decompress(base64.b64decode(data["packed"]))).reshape(data["shape"])
    return np.array(data)
'''

ADAPTER = """
def compute():
    from conformance import {config_class}
    from conformance.registry import backend
    from reference.config import numpy_dtype

    dtype = numpy_dtype(config["dtype"])
    loaded = {{name: array(value).astype(dtype) for name, value in parameters.items()}}
    given = {{n: a if a is None or n == "lengths" else array(a).astype(dtype) for n, a in arguments.items()}}
    {built} = backend(BACKEND).{built}({config_class}(**config), loaded)
    {use}
"""
USES = {
    "layer": "result = layer.forward(**given)\n"
    '    return {"output": result.output, "h_n": result.h_n, "c_n": getattr(result, "c_n", None)}',
    "gradients": "return layer.gradients(**given)",
    "cell": 'return dict(zip(("h", "c"), cell.step(*given.values())))',
}

COMPARE = """
got, wrong = compute(), 0
for name, want in expected.items():
    want, allowed = array(want), array(tolerance[name])
    came = np.asarray(got[name], np.float64)
    print(f"{name}: got\\n{came}\\nexpected\\n{want}\\nwithin\\n{allowed}")
    if came.shape != want.shape:
        print(f"wrong: shape {came.shape}, expected {want.shape}\\n")
        wrong += 1
        continue
    with np.errstate(invalid="ignore"):
        right = (came == want) | (np.abs(came - want) <= allowed) | (np.isnan(came) & np.isnan(want))
    print(f"{np.sum(~right)} of {right.size} elements are wrong\\n")
    wrong += np.sum(~right)
sys.exit(1 if wrong else 0)
"""

ASKED = """
# An adapter may lie in the folder one works in. Another backend's name as argument tries that one.
sys.path.insert(0, "")
BACKEND = sys.argv[1] if len(sys.argv) > 1 else {name!r}
"""

REPLAY = """
from conformance.reproducer import replay  # noqa: E402  after the path is set

sys.exit(replay(BACKEND, {requirement!r}, {kind!r}, {dtype!r}, {example}))
"""


def name_of(subject: Subject) -> str:
    """The backend's name as it is asked for on the command line."""
    return subject.backend.asked_as or subject.backend.name


def script(
    subject: Subject, entry, failure: str, call=None, told: list[str] | None = None, numbers: bool = True
) -> str:
    """The reproducer of a failure of a requirement, on a call if there is one; ``told`` is the diagnosis.

    ``numbers``: that of the call's own numbers, if they are wrong.
    """
    numeric = _written_numbers(trial_of(subject, call)) if numbers and call is not None else None
    snippet = subject.backend.snippet(call) if numeric else None
    body = ["import sys"]
    if numeric:
        expected, tolerance = numeric
        form, data = form_of(call), example_of(call)
        arguments = {name: data.get(name) for name in call.arguments}
        packed = "'packed'" in repr((data, expected))
        body += ["", "import numpy as np", ""] + (
            ["from numpy import inf, nan", ""] if _special(data, expected) else []
        )
        body += [ARRAY.strip("\n"), ""] if packed else ["array = np.array"]
        if snippet is None:
            body.append(ASKED.format(name=name_of(subject)))
        body += [*python("config", config_data(call.config)), *python("parameters", data["parameters"])]
        body += [*python("arguments", arguments), *python("expected", expected), *python("tolerance", tolerance)]
        built = "cell" if form == "cell" else "layer"
        adapter = ADAPTER.format(config_class=type(call.config).__name__, built=built, use=USES[form])
        body += [f"\n{(snippet or adapter).strip()}\n", COMPARE]
        needs = "NumPy and the packages that it imports" if snippet else "NumPy, the suite and the backend's adapter"
    else:
        example = None if call is None else example_of(call)
        body.append(ASKED.format(name=name_of(subject)))
        if example is not None and _special(example):
            body.append("from numpy import inf, nan\n")
        if example is not None:
            body += [*python("example", example), ""]
        where = {"requirement": entry.id, "kind": subject.kind, "dtype": subject.dtype}
        body.append(REPLAY.format(**where, example=None if example is None else "example").strip("\n"))
        needs = "the suite and the backend's adapter"
    head = [
        f"{entry.id} fails on {subject.backend.name} {subject.backend.version}: {subject.kind}, {subject.dtype}.",
        f"Required: {entry.statement}\nDocumented in: {entry.source}",
        f"{failure}{'.' * (failure[-1:] not in '.!?')}",
        *(f"{line[:1].upper()}{line[1:]}." for line in told or []),
        f"Needs {needs}. Exits with 1 while the fault is there, with 0 when it is mended.",
    ]
    wrapped = "\n\n".join("\n".join(map(_wrapped, part.splitlines())) for part in head)
    quoted = wrapped.replace("\\", "\\\\").replace('"""', "'''")
    return f'"""{quoted}\n"""\n\n' + "\n".join(body).rstrip("\n") + "\n"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _special(*data) -> bool:
    """Whether NaN or infinity occur, which Python writes as names."""
    return re.search(r"\b(nan|inf)\b", repr(data)) is not None


def _written_numbers(trial: Trial) -> tuple[Example, Example] | None:
    """What is expected of the call and what is allowed, as data; None where its own numbers are right."""
    if error_of(trial) <= 1:
        return None
    limits = trial.named(trial.allowed(REPLICAS_ON_FAILURE[-1]))
    got = trial.named(trial.got)
    expected, tolerance = {}, {}
    for name, want in trial.named(trial.want).items():
        if want is not None:
            if np.any(np.abs(want) + limits[name] > trial.subject.arithmetic.largest):
                return None  # infinity may be right there: that is for the suite to say
            expected[name], tolerance[name] = array_data(want), array_data(limits[name])
    wrong = any(
        np.any(margin(got[n].astype(float), w, limits[n], np.inf) > 1)
        for n, w in trial.named(trial.want).items()
        if w is not None
    )
    return (expected, tolerance) if wrong else None


# --- replaying ----------------------------------------------------------------------------------------


def checks_of(requirement: str) -> list:
    """The checks that decide a requirement."""
    found = []
    for module in pkgutil.iter_modules(suite.__path__):
        if module.name.startswith("test_"):
            content = vars(importlib.import_module(f"{suite.__name__}.{module.name}"))
            found += [c for law in content.values() for c in getattr(law, "checks", ()) if c.requirement == requirement]
    return list({id(check): check for check in found}.values())


def replay(name: str, requirement: str, kind: str, dtype: str, example: Example | None = None) -> int:
    """Put a backend to one requirement's check, on the example if there is one; print what came.

    Returns 1 where it fails, 0 where it passes, 2 where it cannot be run.
    """
    from conformance.engine.check import PROFILES, Plans  # which reproduce what fails

    try:
        backend = registry.backend(name)
        call = None if example is None else call_of(example, kind, dtype)
    except (registry.UnknownBackend, BrokenExample) as error:
        print(error)
        return 2
    subject = Subject(backend, kind, dtype)
    failures = []
    for check in checks_of(requirement):
        if call is None:
            verdict = check.run(subject, Plans(0), {}, replace(PROFILES["quick"], shrink_attempts=0))
            failures += [verdict.failure] if verdict.failure else []
        elif check.applies(call):
            failure = failure_of(check, trial_of(subject, call))
            failures += [str(failure)] if failure else []
    print(f"{requirement}, {call or f'{kind}, {dtype}'}")
    print("\n".join(failures) or "passes")
    return 1 if failures else 0
