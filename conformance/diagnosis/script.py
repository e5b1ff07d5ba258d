"""Write a failure as a standalone script.

If the numbers of the failing call are wrong, the script holds the layer in round numbers, the expected results and the
tolerance. It runs the layer with the backend's public library alone if the adapter has a ``snippet`` for it, otherwise
with the adapter. For any other failure (a refusal, an exception, a law of several calls) the script runs the suite's
check on the failing call. The script exits with 1 while the fault is there and with 0 once it is fixed.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from conformance import backend
from conformance.engine.compare import margin
from conformance.engine.serialization import Example, array_data, config_data, entry, example_of, python
from conformance.engine.subject import Subject
from conformance.engine.text import printable
from conformance.engine.trial import trial_of
from conformance.engine.wrong_elements import error_of
from reference.catalogue import Requirement
from reference.precision import REPLICAS_ON_FAILURE

MAX_COLUMNS = 100  # of the docstring
DEFAULT_SPECIFICATION = "torch.nn"  # of ``replay``

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
    from {module} import {config_class}
    from {registry}
    from reference.config import numpy_dtype

    dtype = numpy_dtype(config["dtype"])
    loaded = {{name: array(value).astype(dtype) for name, value in parameters.items()}}
    given = {{n: a if a is None or n in {integers!r} else array(a).astype(dtype) for n, a in arguments.items()}}
    {built} = {backend}.{built}({config_class}(**config), loaded)
    {use}
"""
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

sys.exit(replay({arguments}))
"""


def asked_name(subject: Subject) -> str:
    """Return the backend's NAME on the command line."""
    return subject.backend.asked_as or subject.backend.name


def known_failure_entry(requirement: str, subject: Subject, call: Any = None) -> str:
    """Write the entry of a known failure, with the failing call, if any, as its example."""
    example = None if call is None else example_of(subject.specification.form_of(call), call)
    return entry(requirement, subject.backend.name, subject.kind, subject.dtype, example)


def script(
    subject: Subject,
    requirement: Requirement,
    failure: str,
    call: Any = None,
    diagnosis: Sequence[str] = (),
    numbers: bool = True,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """Write the reproducer of a requirement's failure on a call, or on drawn calls without one.

    ``diagnosis`` is a list of sentences. With ``numbers`` the script holds the call's own numbers, if they are wrong.
    ``options`` are further arguments of ``replay``.
    """
    numeric = _written_numbers(trial_of(subject, call)) if numbers and call is not None else None
    body = ["import sys"]
    if numeric:
        lines, needs = _numeric_body(subject, call, *numeric)
    else:
        lines, needs = _replaying_body(subject, requirement, call, options), "the suite and the backend's adapter"
    body += lines
    head = [
        f"{requirement.id} fails on {subject.backend.name} {subject.backend.version}: {subject.kind}, {subject.dtype}.",
        f"Required: {requirement.statement}\nDocumented in: {requirement.source}",
        f"{failure}{'.' * (failure[-1:] not in '.!?')}",
        *(f"{line[:1].upper()}{line[1:]}." for line in diagnosis),
        f"Needs {needs}. Exits with 1 while the fault is there, with 0 once it is fixed.",
    ]
    wrapped = printable("\n\n".join("\n".join(map(_wrapped, part.splitlines())) for part in head))
    quoted = wrapped.replace("\\", "\\\\").replace('"""', "'''")
    return f'"""{quoted}\n"""\n\n' + "\n".join(body).rstrip("\n") + "\n"


def _numeric_body(subject: Subject, call: Any, expected: Example, tolerance: Example) -> tuple[list[str], str]:
    """Return the lines that make the call and compare its numbers, and the packages that they need, in words."""
    form, snippet = subject.specification.form_of(call), subject.backend.snippet(call)
    data = example_of(form, call)
    arguments = {name: data.get(name) for name in call.arguments}
    body = ["", "import numpy as np", ""]
    if _special(data, expected):
        body += ["from numpy import inf, nan", ""]
    body += [ARRAY.strip("\n"), ""] if "'packed'" in repr((data, expected)) else ["array = np.array"]
    if snippet is None:
        body.append(ASKED.format(name=asked_name(subject)))
    body += [*python("config", config_data(call.config)), *python("parameters", data["parameters"])]
    body += [*python("arguments", arguments), *python("expected", expected), *python("tolerance", tolerance)]
    config_class = type(call.config)
    public = getattr(backend, config_class.__name__, None) is config_class
    module = "conformance" if public else config_class.__module__
    direct = subject.specification.name == DEFAULT_SPECIFICATION and not hasattr(subject.backend, "runtime")
    adapter = ADAPTER.format(
        module=module,
        registry="conformance.registry import backend" if direct else "conformance.specifications import view",
        backend="backend(BACKEND)" if direct else f"view(BACKEND, {subject.specification.name!r})",
        config_class=config_class.__name__,
        integers=form.integers,
        built=form.build,
        use=form.snippet,
    )
    body += [f"\n{(snippet or adapter).strip()}\n", COMPARE]
    return body, "NumPy and the packages that it imports" if snippet else "NumPy, the suite and the backend's adapter"


def _replaying_body(subject: Subject, requirement: Requirement, call: Any, options: Mapping[str, Any]) -> list[str]:
    """Return the lines that put the backend to the requirement's checks again, on the call or on drawn calls."""
    specification = subject.specification
    example = None if call is None else example_of(specification.form_of(call), call)
    body = [ASKED.format(name=asked_name(subject))]
    if example is not None:
        body += ["from numpy import inf, nan\n"] * _special(example)
        body += [*python("example", example), ""]
    given = ["BACKEND", repr(requirement.id), repr(subject.kind), repr(subject.dtype), "example" if example else "None"]
    given += [f"{name}={value!r}" for name, value in options.items()]
    if specification.name != DEFAULT_SPECIFICATION:
        given.append(f"specification={specification.name!r}")
    return [*body, REPLAY.format(arguments=", ".join(given)).strip("\n")]


def _wrapped(text: str) -> str:
    return textwrap.fill(text, MAX_COLUMNS, break_long_words=False, break_on_hyphens=False)


def _special(*data: Any) -> bool:
    """Return whether the data hold NaN or infinity, which ``repr`` writes as names."""
    return re.search(r"\b(nan|inf)\b", repr(data)) is not None


def _written_numbers(trial: Any) -> tuple[Example, Example] | None:
    """Return the expected numbers of a call and their tolerance as data; None if the call's numbers are right."""
    if error_of(trial) <= 1:
        return None
    limits = trial.named(trial.allowed(REPLICAS_ON_FAILURE[-1]))
    got = trial.named(trial.got)
    expected: Example = {}
    tolerance: Example = {}
    for name, want in trial.named(trial.want).items():
        if want is not None:
            if np.any(np.abs(want) + limits[name] > trial.subject.arithmetic.largest):
                return None  # infinity may be right: leave the comparison to the suite
            expected[name], tolerance[name] = array_data(want), array_data(limits[name])
    wrong = any(
        np.any(margin(got[n].astype(float), w, limits[n], np.inf) > 1)
        for n, w in trial.named(trial.want).items()
        if w is not None
    )
    return (expected, tolerance) if wrong else None
