"""The command line: exit statuses, messages, report and known failures. Each run is a separate pytest process."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest

from conformance import Features
from conformance.runs.known_failures import BrokenFile, read
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.suite.test_cases import test_case as cases

ROOT = Path(__file__).parents[1]
QUICK = ("--hypothesis-profile", "quick", "-q")


def run(*arguments, cwd=ROOT):
    """Run the suite's pytest in a separate process; return exit status and output."""
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "conformance.plugin", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def backend(name):
    return "conformance", "--backend", f"conformance.faults:{name}"


def test_a_conforming_backend_exits_with_0_and_reports(tmp_path):
    file = tmp_path / "new" / "report.json"
    claims_little = "tests.test_function:make"
    status, printed = run("conformance", "--backend", claims_little, *QUICK, "--conformance-report", str(file))
    assert status == 0, printed
    assert "reference conforms in all that it claims." in printed
    report = json.loads(file.read_text())
    jsonschema.validate(report, REPORT_SCHEMA)
    assert report["summary"]["conformant"] is True
    assert report["summary"]["failed"] == 0
    assert report["suite"]["profile"] == "quick"
    assert {row["area"] for row in report["requirements"]} >= {"shapes", "state", "parameters", "numerics", "lengths"}
    assert all(row["examples"] > 0 for row in report["requirements"] if row["status"] == "passed")
    margins = [row["margin"] for row in report["requirements"] if row["margin"] is not None]
    assert 0 < max(margins) < 1


REPORT_SCHEMA = {
    "type": "object",
    "required": ["schema", "suite", "backend", "summary", "requirements"],
    "properties": {
        "schema": {"const": 1},
        "suite": {"required": ["version", "profile", "seed"]},
        "backend": {"required": ["name", "version", "features"]},
        "summary": {
            "required": ["conformant", "passed", "failed", "blocked", "known_failures", "not_claimed"],
            "properties": {"conformant": {"type": "boolean"}},
        },
        "requirements": {
            "type": "array",
            "items": {
                "required": [
                    *("id", "area", "statement", "source", "kind", "dtype"),
                    *("status", "examples", "margin", "diagnosis", "message", "reproducer"),
                ],
                "properties": {
                    "status": {"enum": ["passed", "failed", "blocked", "known_failure", "not_claimed"]},
                    "examples": {"type": "integer"},
                    "margin": {"type": ["number", "null"]},
                    "diagnosis": {"type": "array"},
                    "message": {"type": "string"},
                    "reproducer": {"type": ["string", "null"]},
                },
            },
        },
    },
}

# The requirement of each fault, and the words of its message for the mistake.
MESSAGES = {
    "lstm-gates-i-o-f-g": ("LSTM-GATE-ORDER", "the numbers of blocks ordered i|o|f|g; documented is i|f|g|o"),
    "bias-hh-dropped": ("FORWARD-EQUATION", "off by"),
    "reverse-state-from-last-step": ("STATE-BIDIRECTIONAL-END", "reverse direction"),
    "results-off-by-3e-5": ("FORWARD-EQUATION", "allowed"),
    "gru-update-inverted": ("GRU-UPDATE-GATE", "h_t = (1 - z_t) n_t + z_t h_{t-1}"),
    "lengths-ignored": ("LENGTHS-OUTPUT-ZERO", "expected 0: the sample ends after"),
    "initial-state-ignored": ("STATE-INITIAL", "states given"),
    "rows-direction-major": ("STATE-STACK", "layer 0"),
    "arguments-written": ("STATE-ARGUMENTS-UNTOUCHED", "the call wrote into x"),
    "raises-in-forward": ("SHAPE-OUTPUT", "forward raised RuntimeError: the kernel is missing"),
    "refuses-what-it-claims": ("BIDIRECTIONAL-EQUATION", "was refused though it is claimed: one direction only"),
    "results-in-float64": ("SHAPE-DTYPE", "got dtype float64, expected float32"),
    "last-output-only": ("SHAPE-OUTPUT", "expected shape"),
    "returns-lists": ("SHAPE-H-N", "output: got list, expected a NumPy array"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_wrong_backend_exits_with_1_and_says_what_is_wrong(name, tmp_path):
    requirement, said = MESSAGES[name]
    file = tmp_path / "report.json"
    asked = f"({requirement} or PARAM-SHAPES) and float32"
    status, printed = run(*backend(name), *QUICK, "-k", asked, "--conformance-report", file)
    assert status == 1, printed
    assert "Traceback" not in printed
    rows = [row for row in json.loads(file.read_text())["requirements"] if row["status"] == "failed"]
    messages = [row["message"] for row in rows if row["id"] == requirement]
    assert any(said in message for message in messages), messages
    assert f"FAILED {requirement}" in printed
    assert any(row["id"] == "PARAM-SHAPES" and row["status"] == "passed" for row in _rows(file)), "the run goes on"


def _rows(file):
    return json.loads(file.read_text())["requirements"]


def test_a_law_between_two_calls_tells_three_numbers_and_calls_none_of_its_own_expected(tmp_path):
    """The backend clears every sample except the first: the batch gives 0, the sample alone the right number."""
    file = tmp_path / "report.json"
    name = "tests.hostile:FirstSampleOnly"
    run("conformance", "--backend", name, *QUICK, "-k", "STATE-SAMPLE-ALONE", "--conformance-report", file)
    (row,) = [row for row in _rows(file) if row["status"] == "failed"]
    said = row["message"].splitlines()[0]
    own, alone, right = re.search(r"the call gives (\S+), the sample alone (\S+); right is (\S+);", said).groups()
    assert float(own) == 0
    assert float(alone) == pytest.approx(float(right), rel=1e-5)
    assert "expected" not in said
    assert "got" not in said


@pytest.mark.parametrize("name", ["bias-hh-dropped", "results-off-by-3e-5", "reverse-state-from-last-step"])
def test_a_numeric_failure_names_everything_one_needs(name, tmp_path):
    file = tmp_path / "report.json"
    run(*backend(name), *QUICK, "-k", "BIDIRECTIONAL-EQUATION and gru-float32", "--conformance-report", file)
    message = next(row["message"] for row in _rows(file) if row["status"] == "failed")
    for part in (
        *("BIDIRECTIONAL-EQUATION", "layer(input_size=", "hidden_size=", "layer 0", "direction", "unit"),
        *("got", "expected", "off by", "allowed", "documented in:", "again: pytest"),
    ):
        assert part in message


UNUSABLE = {
    "nonsense": "backend 'nonsense' is unknown: give one of reference, torch-cpu",
    "no_such_module:X": "module 'no_such_module' cannot be imported (ModuleNotFoundError",
    "json:Nothing": "module 'json' has no attribute 'Nothing'",
    "json:JSONDecoder": "is of type JSONDecoder, not a conformance.Backend",
    "json:__name__": "is of type str, not a conformance.Backend",
    "json:loads": "cannot be built (TypeError",
    "json:": "names no attribute: write package.module:attribute",
    "exec:no-adapter": "the command cannot be started",
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_backend_is_one_sentence_and_exit_status_4(name):
    status, printed = run("conformance", "--backend", name, *QUICK)
    assert status == 4, printed
    assert UNUSABLE[name] in printed
    assert "Traceback" not in printed
    assert len([line for line in printed.splitlines() if line.strip()]) == 1, printed


def test_a_broken_module_is_one_sentence(tmp_path):
    (tmp_path / "broken_adapter.py").write_text("def forward(:\n")
    (tmp_path / "failing_adapter.py").write_text("raise OSError('libkernel.so: cannot open')\n")
    for module, said in (("broken_adapter", "SyntaxError"), ("failing_adapter", "OSError: libkernel.so: cannot open")):
        status, printed = run("--pyargs", "conformance", "--backend", f"{module}:X", *QUICK, cwd=tmp_path)
        assert status == 4, printed
        assert said in printed
        assert "Traceback" not in printed


def test_a_backend_whose_features_raise_is_one_sentence(tmp_path):
    (tmp_path / "raising_adapter.py").write_text(
        "from conformance import Backend, Features\n"
        "class Raising(Backend):\n"
        "    @property\n"
        "    def features(self):\n"
        "        return Features(kinds={'lsmt'})\n"
        "class Unusual(Backend):\n"
        "    features = {'kinds': ['lstm']}\n"
    )
    for attribute, said in (
        ("Raising", "ValueError: kinds: expected some of rnn_tanh, rnn_relu, lstm, gru, got ['lsmt']"),
        ("Unusual", "its features are of type dict, not conformance.Features(...)"),
    ):
        command = ("--pyargs", "conformance", "--backend", f"raising_adapter:{attribute}", *QUICK)
        status, printed = run(*command, cwd=tmp_path)
        assert status == 4, printed
        assert said in printed
        assert "Traceback" not in printed


def test_an_unknown_profile_is_refused():
    status, printed = run("conformance", "--backend", "reference", "--hypothesis-profile", "default", "-q")
    assert status == 4
    assert "the suite has smoke, quick, standard, thorough" in printed


def test_the_same_run_gives_the_same_report(tmp_path):
    def once(name):
        file = tmp_path / name
        asked = ("-k", "lstm-float32 and (STATE or LSTM or LENGTHS)", "--diagnosis", "60", "--conformance-report", file)
        run(*backend("weight-hh-transposed"), *QUICK, *asked)
        report = json.loads(file.read_text())
        return [{**row, "seconds": 0, "reproducer": None} for row in report["requirements"]]

    assert once("a.json") == once("b.json")


def test_two_backends_give_a_list_of_reports(tmp_path):
    file = tmp_path / "report.json"
    status, printed = run(
        *("conformance", "--backend", "reference", "--backend", "conformance.faults:results-off-by-3e-5", *QUICK),
        *("-k", "float32 and (SHAPE-OUTPUT or STATE-LAST-OUTPUT or FORWARD-EQUATION)", "--conformance-report", file),
    )
    assert status == 1, printed
    first, second = json.loads(file.read_text())
    assert (first["backend"]["name"], second["backend"]["name"]) == ("reference", "results-off-by-3e-5")
    assert (first["summary"]["failed"], second["summary"]["failed"] > 0) == (0, True)


def known(tmp_path, *entries):
    file = tmp_path / "known.toml"
    lines = []
    for entry in entries:
        lines += ["[[known_failure]]", *(f"{key} = {json.dumps(value)}" for key, value in entry.items())]
    file.write_text("\n".join(lines) + "\n")
    return "--known-failures", str(file)


WHY = {"reason": "known to leak", "issue": "https://example.org/1"}


def test_a_known_failure_is_no_failure(tmp_path):
    file = tmp_path / "report.json"
    entry = {"requirement": "LENGTHS-PADDING-IGNORED", "backend": "padding-multiplied-by-zero"} | WHY
    faulty = backend("padding-multiplied-by-zero")
    status, printed = run(
        *faulty, *QUICK, "-k", "LENGTHS-P or FULL", *known(tmp_path, entry), "--conformance-report", file
    )
    assert status == 0, printed
    rows = [row for row in _rows(file) if row["status"] == "known_failure"]
    assert len(rows) == 4
    assert all("known to leak (https://example.org/1)" in row["message"] for row in rows)


def test_a_known_failure_of_one_kind_excuses_no_other(tmp_path):
    entry = {"requirement": "LENGTHS-PADDING-IGNORED", "kind": "lstm", "dtype": "float32"} | WHY
    few = ("-k", "LENGTHS-P or FULL")
    status, printed = run(*backend("padding-multiplied-by-zero"), *QUICK, *few, *known(tmp_path, entry))
    assert status == 1, printed
    assert "3 failed" in printed
    assert "1 xfailed" in printed


def test_a_case_of_a_known_failure_is_known_with_it(tmp_path):
    faulty, file = backend("gru-gates-r-z"), tmp_path / "report.json"
    these = ("-k", "CASE-GRU-NAN and not PADDING", "--conformance-report", str(file))
    assert run(*faulty, *QUICK, *these)[0] == 1
    assert {row["status"] for row in _rows(file) if row["id"] == "CASE-GRU-NAN"} == {"failed"}
    entry = {"requirement": "GRU-GATE-ORDER", "backend": _name(file), **WHY}
    run(*faulty, *QUICK, *these, *known(tmp_path, entry))
    rows = [row for row in _rows(file) if row["id"] == "CASE-GRU-NAN"]
    assert {row["status"] for row in rows} == {"known_failure"}
    assert all(row["message"].startswith("GRU-GATE-ORDER: known to leak (https://example.org/1)") for row in rows)


def _name(file):
    return json.loads(file.read_text())["backend"]["name"]


def test_a_known_failure_that_passes_fails(tmp_path):
    entry = {"requirement": "LENGTHS-FULL", "kind": "gru"} | WHY
    status, printed = run(*backend("padding-multiplied-by-zero"), *QUICK, "-k", "LENGTHS-FULL", *known(tmp_path, entry))
    assert status == 1, printed
    assert "known failure LENGTHS-FULL (gru) passes now" in printed


def test_a_known_failure_that_matches_nothing_fails(tmp_path):
    entry = {"requirement": "LENGTHS-FULL", "backend": "another"} | WHY
    status, printed = run("conformance", "--backend", "reference", *QUICK, "-k", "FULL", *known(tmp_path, entry))
    assert status == 1, printed
    assert "known failure LENGTHS-FULL (another) matches no requirement of this run" in printed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[known_failure]\n", "known.toml: line 1, column 16: this is no TOML"),
        ("[[known_failure]]\nrequirement = 'LENGTHS-FULL'\nissue = 'x'\n", "entry 1 (line 1): lacks 'reason'; add it"),
        ("[[known_failure]]\nrequirement = 'LENGTHS-FULL'\nreason = 'x'\n", "entry 1 (line 1): lacks 'issue'; add it"),
        ("# a remark\n[[known_failure]]\nrequirement = 'LENGTH'\nreason = 'x'\nissue = 'x'\n",
         "entry 1 (line 2): there is no requirement 'LENGTH'"),
        ("[[known_failure]]\nrequirement = 'LENGTHS-FULL'\nreason = ' '\nissue = 'x'\n",
         'entry 1 (line 1): reason: " " should be a text that is not empty'),
        ("[[known_failure]]\nrequirement = 3\nreason = 'x'\nissue = 'x'\n", "requirement: 3 should be a name"),
        ("[[known_failure]]\nrequirment = 'LENGTHS-FULL'\n", "holds 'requirment', which has no meaning here"),
        ("[[failure]]\n", "holds 'failure', which has no meaning here"),
    ],
)  # fmt: skip
def test_a_broken_file_of_known_failures_is_one_sentence(tmp_path, text, said):
    file = tmp_path / "known.toml"
    file.write_text(text)
    with pytest.raises(BrokenFile) as error:
        read(file, {"torch.nn": TORCH_NN})
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_run_with_a_broken_file_of_known_failures_ends_at_once(tmp_path):
    file = tmp_path / "known.toml"
    file.write_text("[[failure]]\n")
    status, printed = run("conformance", "--backend", "reference", *QUICK, "--known-failures", str(file))
    assert status == 4, printed
    assert "known.toml: holds 'failure'" in printed
    assert "Traceback" not in printed


def test_a_missing_file_of_known_failures_is_one_sentence(tmp_path):
    status, printed = run("conformance", "--backend", "reference", "--known-failures", str(tmp_path / "none.toml"))
    assert status == 4
    assert "cannot be read (No such file or directory)" in printed


ADAPTER = """
from conformance import Backend, Features, Layer, Result, Unsupported

class Nothing(Layer):
    def forward(self, x, h_0=None, c_0=None, lengths=None):
        raise SystemExit("giving up")

class Narrow(Backend):
    name = "narrow"
    features = Features(kinds={"gru"}, multilayer=False, bidirectional=False, no_bias=False, batch_first=False,
                        unbatched=False, projection=False, initial_state=False, lengths=False)
    def layer(self, config, parameters):
        return Nothing()

def make():
    return Narrow()
"""


def test_what_is_not_claimed_is_reported_and_an_exit_fails(tmp_path):
    (tmp_path / "narrow_adapter.py").write_text(ADAPTER)
    file = tmp_path / "report.json"
    command = ("--pyargs", "conformance", "--backend", "narrow_adapter:make", *QUICK, "--conformance-report", str(file))
    status, printed = run(*command, cwd=tmp_path)
    assert status == 1, printed
    report = json.loads(file.read_text())
    rows = report["requirements"]
    # This adapter ends the process for unclaimed features, which is no refusal; the base classes refuse these.
    passed = {row["id"] for row in rows if row["status"] == "passed"}
    refused = [
        "PARAMETERS",
        "INITIALIZATION",
        "CELLS",
        "GRADIENTS",
        "REVERSE-ALONE",
        "MASKS",
        "STATEFUL",
        "LAST-OUTPUT",
    ]
    assert passed == {f"UNCLAIMED-{name}" for name in refused}
    assert {row["kind"] for row in rows if row["status"] == "failed" and row["id"] != "UNCLAIMED-KIND"} == {"gru"}
    assert all("SystemExit: giving up" in row["message"] for row in rows if row["status"] == "failed")
    # Which cotangents are claimed is only asked of those who claim gradients.
    asked = [row for row in rows if row["id"].startswith("UNCLAIMED") and not row["id"].endswith("COTANGENTS")]
    assert not any(row["status"] == "not_claimed" for row in asked)
    assert all(row["examples"] == 0 for row in rows if row["status"] == "not_claimed")


def test_an_interrupted_run_does_not_conform(tmp_path):
    file = tmp_path / "report.json"
    status, _ = run("conformance", "--backend", "reference", *QUICK, "-k", "SHAPE", "--conformance-report", str(file))
    assert status == 0
    assert json.loads(file.read_text())["summary"]["conformant"] is False, "what was not run is not known to conform"


def test_kinds_and_dtypes_of_features_may_be_positional():
    from conformance import Features

    features = Features({"lstm"}, ("float32", "bfloat16"), lengths=False)
    assert features.as_json()["dtypes"] == ["float32", "bfloat16"]
    with pytest.raises(TypeError):
        Features({"lstm"}, {"float32"}, False)


def test_importing_and_helping_import_no_framework():
    code = "import sys, conformance, reference; print(sorted({'torch', 'onnx', 'onnxruntime'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    code = (
        "import sys, pytest; status = pytest.main(['--help']); "
        "print('imported', sorted({'torch', 'onnx', 'onnxruntime'} & set(sys.modules)), int(status))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--backend=NAME" in done.stdout
    assert "imported [] 0" in done.stdout


def test_collecting_without_a_framework_imports_none():
    code = (
        "import sys, pytest; status = pytest.main(['--collect-only', '-q', 'conformance', '--backend', 'reference']); "
        "print('imported', sorted({'torch', 'onnx', 'onnxruntime'} & set(sys.modules)), int(status))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "imported [] 0" in done.stdout


def test_the_plugin_is_silent_in_a_run_without_the_suite(tmp_path):
    (tmp_path / "test_other.py").write_text("def test_other():\n    assert True\n")
    status, printed = run("-q", cwd=tmp_path)
    assert status == 0, printed
    assert "conformance" not in printed


def test_the_version_is_the_distribution_s():
    import conformance

    data = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert data["project"]["version"] == conformance.__version__


def test_a_case_of_more_steps_than_can_be_asked_for_is_not_claimed():
    long = next(check.entry for check in cases.checks if check.requirement == "CASE-GRU-VERY-LONG")
    assert long.steps == 2000
    assert TORCH_NN.combinations(Features(most_steps=2000), long) == [("gru", "float32")]
    assert TORCH_NN.combinations(Features(most_steps=1999), long) == []
