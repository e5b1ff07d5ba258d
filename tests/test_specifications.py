"""A second specification is new files alone: a toy one, in one folder, goes through everything that the suite has."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_plugin import ROOT

TOY = ROOT / "tests" / "toy_specification"
QUICK = ("--hypothesis-profile", "quick")
KNOWN = """[[known_failure]]
requirement = "SCALE-EQUATION"
specification = "toy.scale"
reason = "b is left out"
issue = "https://example.org/1"
"""


def python(folder, *arguments):
    """Run Python in a folder where the toy specification is installed; return exit status and output."""
    path = os.pathsep.join([str(TOY), str(ROOT)])
    command = [sys.executable, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def suite(folder, backend, *arguments):
    """Run the toy's suite by the plugin in another folder; return exit status, output and report."""
    report = Path(folder) / "report.json"
    plugin = ("-p", "conformance.plugin", "-q", "-p", "no:cacheprovider")
    arguments = (*plugin, "--pyargs", "toy_scale.suite", "--backend", backend, *QUICK, *arguments)
    status, printed = python(folder, "-m", "pytest", *arguments, "--conformance-report", report)
    return status, printed, json.loads(report.read_text()) if report.exists() else {}


def rows(report, status):
    return [(row["id"], row["kind"], row["dtype"]) for row in report["requirements"] if row["status"] == status]


@pytest.mark.parametrize("isolation", ["process", "none"])
def test_the_plugin_puts_a_right_backend_to_it(isolation, tmp_path):
    status, printed, report = suite(tmp_path, "toy_scale.backends:Right", "--conformance-isolation", isolation)
    assert status == 0, printed
    assert {row["specification"] for row in report["requirements"]} == {"toy.scale"}
    assert report["suite"]["catalogue"] == "0.1"
    assert report["backend"]["claims"] == {"toy.scale": {"kinds": ["scale"], "dtypes": ["float32", "float64"]}}
    shape, *equation = [
        ("SCALE-SHAPE", "scale", "float32"),
        *(("SCALE-EQUATION", "scale", d) for d in ("float32", "float64")),
    ]
    assert rows(report, "passed") == [shape, *equation]
    assert "shapes" in printed
    assert "numerics" in printed
    assert "right conforms in all that it claims." in printed


def test_a_wrong_backend_is_diagnosed_and_leaves_a_script(tmp_path):
    status, printed, report = suite(tmp_path, "toy_scale.faults:NoShift")
    assert status == 1, printed
    failed = [row for row in report["requirements"] if row["status"] == "failed"]
    assert [row["id"] for row in failed] == ["SCALE-EQUATION", "SCALE-EQUATION"]
    assert [fault["fault"] for fault in failed[0]["diagnosis"]] == ["scale-no-shift"]
    assert "row 0, column 0: got" in failed[0]["message"]
    status, printed = python(tmp_path, failed[0]["reproducer"])
    assert status == 1
    assert "elements are wrong" in printed
    assert python(tmp_path, failed[0]["reproducer"], "toy_scale.backends:Right")[0] == 0


def test_what_builds_on_a_failure_is_blocked(tmp_path):
    status, printed, report = suite(tmp_path, "toy_scale.faults:FirstRowOnly")
    assert status == 1, printed
    assert rows(report, "failed") == [("SCALE-SHAPE", "scale", "float32")]
    assert len(rows(report, "blocked")) == 2
    (failed,) = [row for row in report["requirements"] if row["status"] == "failed"]
    assert [fault["fault"] for fault in failed["diagnosis"]] == ["scale-first-row"]


def test_known_failures_speak_of_it(tmp_path):
    (tmp_path / "known.toml").write_text(KNOWN)
    status, printed, report = suite(tmp_path, "toy_scale.faults:NoShift", "--known-failures", tmp_path / "known.toml")
    assert status == 0, printed
    assert len(rows(report, "known_failure")) == 2
    status, printed, _ = suite(tmp_path, "toy_scale.backends:Right", "--known-failures", tmp_path / "known.toml")
    assert status == 1
    assert "passes now" in printed
    (tmp_path / "known.toml").write_text(KNOWN.replace("toy.scale", "toy.shear"))
    status, printed, _ = suite(tmp_path, "toy_scale.backends:Right", "--known-failures", tmp_path / "known.toml")
    assert status == 4
    assert "there is no specification 'toy.shear'; the known ones are torch.nn, onnx, toy.scale." in printed


def test_it_can_be_chosen_and_left_out(tmp_path):
    assert suite(tmp_path, "toy_scale.backends:Right", "--specification", "toy.scale")[0] == 0
    status, printed, _ = suite(tmp_path, "toy_scale.backends:Right", "--specification", "torch.nn")
    assert status == 4
    assert "backend 'right' speaks none of the specifications that are asked for (torch.nn)." in printed
    status, printed, _ = suite(tmp_path, "toy_scale.backends:Right", "--specification", "toy.shear")
    assert status == 4
    assert "specification 'toy.shear' is unknown: give one of torch.nn, onnx, toy.scale." in printed


def test_shards_are_merged(tmp_path):
    whole = suite(tmp_path, "toy_scale.faults:NoShift")[2]["requirements"]
    for index in (1, 2):
        status, printed, _ = suite(tmp_path, "toy_scale.faults:NoShift", "--shard", f"{index}/2")
        assert (tmp_path / "report.json").rename(tmp_path / f"{index}.json").exists(), printed
    status, printed = python(tmp_path, "-m", "conformance", "merge", "1.json", "2.json", "-o", "merged.json")
    assert status == 1, printed
    merged = json.loads((tmp_path / "merged.json").read_text())["requirements"]
    compared = ("id", "kind", "dtype", "status", "examples", "margin", "specification", "diagnosis")
    assert [[row[name] for name in compared] for row in merged] == [[row[name] for name in compared] for row in whole]


def test_the_page_and_the_comparison_show_it(tmp_path):
    suite(tmp_path, "toy_scale.faults:NoShift")
    status, printed = python(
        tmp_path, "-m", "conformance", "report", "report.json", "--html", "page", "--markdown", "s.md"
    )
    assert status == 0, printed
    data = "".join(path.read_text() for path in (tmp_path / "page" / "data").glob("*.js"))
    assert "SCALE-EQUATION" in data
    assert '"kinds": ["scale"]' in data or '"kinds":["scale"]' in data
    assert "toy.scale" in (tmp_path / "page" / "index.html").read_text()
    assert "SCALE-EQUATION" in (tmp_path / "s.md").read_text()
    status, printed = python(tmp_path, "-m", "conformance", "compare", "report.json", "report.json")
    assert status == 0, printed


FUNCTION = """
import conformance

right = conformance.run("toy_scale.backends:Right", profile="quick")
wrong = conformance.run("toy_scale.faults:NoShift", profile="quick", specification="toy.scale")
print(right.conformant, wrong.conformant, [finding.specification for finding in wrong.failures])
"""


def test_the_function_puts_backends_to_it(tmp_path):
    (tmp_path / "function.py").write_text(FUNCTION)
    status, printed = python(tmp_path, tmp_path / "function.py")
    assert status == 0, printed
    assert "True False ['toy.scale', 'toy.scale']" in printed


def test_a_registration_that_cannot_be_imported_is_one_sentence(tmp_path):
    (tmp_path / "broken-1.0.dist-info").mkdir()
    (tmp_path / "broken-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    points = "[rnn_conformance.specifications]\nbroken = no_such_package:SPECIFICATION\n"
    (tmp_path / "broken-1.0.dist-info" / "entry_points.txt").write_text(points)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import conformance; conformance.run('reference')"
    status, printed = python(tmp_path, "-c", code)
    assert status == 1
    assert "specification 'broken' cannot be imported from no_such_package:SPECIFICATION" in printed.splitlines()[-1]
