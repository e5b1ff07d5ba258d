"""The suite as a function, from another project's folder with its own strict settings and plugins."""

import json
import os
import re
import subprocess
import sys

import pytest

import conformance
from conformance import ConformanceError, check_backend, run
from conformance.backends.oracle import OracleBackend
from conformance.specifications.torch_nn.faults import BANK
from tests.test_plugin import ROOT

PLUGINS = ("coverage==7.17.5", "pytest-cov==7.1.0", "pytest-randomly==4.0.1", "pytest-timeout==2.4.0")
SETTINGS = """
[tool.pytest.ini_options]
addopts = ["--strict-markers", "--strict-config", "-p", "conformance.plugin"]
filterwarnings = ["error"]
xfail_strict = true
timeout = 300
"""
ADAPTER = """
import numpy as np

import reference
from conformance import Backend, Features, Layer, Result, Unsupported
from reference import check_inputs, check_parameters


class MyLayer(Layer):
    forget = 1.0

    def __init__(self, config, parameters):
        check_parameters(config, parameters)
        self.config, self.weights = config, parameters

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        check_inputs(self.config, x, h_0, c_0, lengths)
        found = reference.forward(self.config, self.weights, x, h_0, c_0, lengths)
        return Result(*(None if a is None else (a * self.forget).astype(x.dtype) for a in found))


class MyLibrary(Backend):
    name, version, layer_class = "my-library", "1.2", MyLayer
    features = Features(kinds={"gru"}, dtypes={"float32"}, multilayer=False, bidirectional=False, projection=False)

    def layer(self, config, parameters):
        config.validate()
        unclaimed = config.num_layers > 1 or config.bidirectional or config.proj_size
        if unclaimed or config.kind != "gru" or config.dtype != "float32":
            raise Unsupported("a GRU of one layer and one direction in float32")
        return self.layer_class(config, parameters)


class Forgetful(MyLibrary):
    name = "forgetful"

    class layer_class(MyLayer):
        forget = 0.5
"""
TESTS = """
import pytest

from conformance import ConformanceError, check_backend, parametrize_with_requirements, run
from my_gru import Forgetful, MyLibrary


@parametrize_with_requirements(MyLibrary, profile="smoke")
def test_my_gru(requirement):
    requirement.check()


@parametrize_with_requirements(Forgetful, profile="smoke", known_failures="known.toml")
def test_forgetful(requirement):
    requirement.check()


def test_the_function():
    report = run(MyLibrary, profile="smoke")
    assert report.conformant, report
    assert check_backend(MyLibrary, profile="smoke", isolation="none").conformant
    with pytest.raises(ConformanceError, match="FAILED"):
        check_backend(Forgetful, profile="smoke")
"""
KNOWN = """[[known_failure]]
requirement = "UNBATCHED-EQUATION"
backend = "nobody"
reason = "an entry of another backend"
issue = "https://example.org/1"
"""


@pytest.fixture(scope="session")
def plugins(tmp_path_factory):
    """Return a folder in which the plugins of the other project are installed."""
    if folder := os.environ.get("OTHER_PLUGINS"):
        return folder
    folder = tmp_path_factory.mktemp("plugins")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), *PLUGINS]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture
def project(tmp_path, plugins):
    """Make another project's folder; return a function that runs pytest in it and returns status and output."""
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    (tmp_path / "my_gru.py").write_text(ADAPTER)
    (tmp_path / "known.toml").write_text("")
    (tmp_path / "test_layers.py").write_text(TESTS)

    def tested(*arguments, **environment):
        path = os.pathsep.join([str(ROOT), str(plugins)])
        environment = {**os.environ, "PYTHONPATH": path, "PYTEST_ADDOPTS": "", **environment}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    tested.folder = tmp_path
    return tested


def failed(printed):
    return set(re.findall(r"FAILED test_layers.py::test_\w+\[([A-Z-]+)-\w", printed))


def test_each_requirement_is_an_item_in_any_order(project):
    status, printed = project("-k", "test_my_gru or test_the_function", "-p", "randomly", "-p", "no:xdist")
    assert status == 0, printed
    assert int(re.search(r"(\d+) passed", printed)[1]) > 140


def test_a_failure_is_told_once_and_what_builds_on_it_is_skipped(project):
    status, printed = project("-k", "test_forgetful", "-n", "2")
    assert status == 1, printed
    whole = run_in(project, "my_gru:Forgetful")
    assert failed(printed) == {finding.requirement for finding in whole.failures}
    assert "skipped" in printed
    assert "right is" in printed
    assert "reproducer: " in printed


def run_in(project, name):
    """Run a backend of the other project's folder in this process."""
    sys.path.insert(0, str(project.folder))
    try:
        return run(name, profile="smoke", isolation="none")
    finally:
        sys.path.remove(str(project.folder))
        sys.modules.pop("my_gru", None)


def test_one_requirement_can_be_run_alone(project):
    status, printed = project("-k", "test_my_gru and GRU-RESET-GATE")
    assert status == 0, printed
    assert "1 passed" in printed


def test_known_failures_are_expected_failures(project):
    known = KNOWN.replace("nobody", "forgetful").replace("UNBATCHED-EQUATION", "STATE-LAST-OUTPUT")
    _, printed = project("-k", "test_forgetful")
    (first, *_) = sorted(failed(printed))
    (project.folder / "known.toml").write_text(known.replace("STATE-LAST-OUTPUT", first))
    _, printed = project("-k", "test_forgetful", "-rx")
    assert first not in failed(printed)
    assert "1 xfailed" in printed
    assert "an entry of another backend" in printed


def test_coverage_of_a_library_is_seen_where_it_is_not_isolated(project):
    def covered(isolation):
        tests = TESTS.replace(
            'MyLibrary, profile="smoke")\ndef', f'MyLibrary, profile="smoke", isolation={isolation!r})\ndef'
        )
        (project.folder / "test_layers.py").write_text(tests)
        status, printed = project("-k", "test_my_gru and SHAPE", "--cov=my_gru", "-p", "no:randomly")
        assert status == 0, printed
        return int(re.search(r"my_gru\.py .* (\d+)%", printed)[1])

    assert covered("none") > 85
    assert covered("process") < 75


# --- in this process ----------------------------------------------------------------------------------


def claims(backend):
    """Return the backend with few claims, for a quick run."""
    backend.features = conformance.Features(kinds={"gru"}, dtypes={"float32"}, lengths=False, no_bias=False)
    return backend


def make():
    return claims(OracleBackend())


def wrong():
    return claims(BANK["gru-update-inverted"].build())


@pytest.mark.parametrize(
    "asked", ["tests.test_function:make", make, lambda: claims(OracleBackend()), claims(OracleBackend())]
)
def test_a_right_backend_conforms_however_it_is_named(asked, tmp_path):
    report = run(asked, profile="smoke", report=tmp_path / "report.json")
    assert report.conformant
    assert report.failures == ()
    finding = next(finding for finding in report.findings if finding.kind == "gru")
    assert (finding.specification, finding.kind, finding.dtype, finding.status) == (
        "torch.nn",
        "gru",
        "float32",
        "passed",
    )
    assert finding.examples > 0
    assert "reference conforms in all that it claims." in str(report)
    report.save(tmp_path / "saved.json")
    assert (tmp_path / "saved.json").read_text() == (tmp_path / "report.json").read_text()
    assert json.loads((tmp_path / "saved.json").read_text())["summary"]["conformant"]


def test_a_wrong_backend_raises_with_its_failures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConformanceError) as error:
        check_backend(wrong, profile="quick")
    assert isinstance(error.value, AssertionError)
    report = error.value.report
    assert not report.conformant
    assert [finding.requirement for finding in report.failures] == ["GRU-UPDATE-GATE"]
    (failure,) = report.failures
    assert failure.diagnosis[0]["fault"] == "gru-update-inverted"
    assert failure.margin > 1
    assert (tmp_path / failure.reproducer).is_file()
    assert "FAILED GRU-UPDATE-GATE (gru float32)" in str(error.value)
    assert "these are the numbers of" in str(error.value)
    assert {finding.status for finding in report.findings} == {"passed", "failed", "blocked"}


def test_the_function_and_the_plugin_find_the_same(tmp_path):
    run("tests.test_function:wrong", profile="smoke", report=tmp_path / "function.json")
    arguments = ("conformance", "-q", "--backend", "tests.test_function:wrong", "--hypothesis-profile", "smoke")
    command = [sys.executable, "-m", "pytest", *arguments, "--conformance-report", tmp_path / "plugin.json"]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    function, plugin = (json.loads((tmp_path / name).read_text()) for name in ("function.json", "plugin.json"))
    for report in (function, plugin):
        report["summary"].pop("seconds")
        report["run"].pop("date")
        for row in report["requirements"]:
            row.pop("seconds")
            row["reproducer"] = row["reproducer"] and row["reproducer"].rpartition("/")[2]
    assert function == plugin


def test_a_baseline_is_held(tmp_path):
    run(make, profile="smoke", report=tmp_path / "old.json")
    report = run(make, profile="smoke", baseline=tmp_path / "old.json")
    assert report.conformant
    assert "Against the baseline nothing got worse." in str(report)


MISUSE = {
    "nonsense": ({}, "backend 'nonsense' is unknown: give one of reference, "),
    "no_such_module:X": ({}, "module 'no_such_module' cannot be imported (ModuleNotFoundError"),
    "reference": ({"profile": "fast"}, "profile fast: the suite has smoke, quick, standard, thorough."),
    3: ({}, "backend 'int' is of type int, not a conformance.Backend"),
    claims: ({}, "backend 'tests.test_function:claims' cannot be built (TypeError"),
}
OPTIONS = {
    "colour": (1, "colour: there is no such option; the options are profile, report, "),
    "timeout": (-1, "timeout: give a number above 0."),
    "memory": ("much", "memory: give a number above 0."),
    "processes": (0, "processes: give a number above 0."),
    "examples": (0, "examples: give a number of at least 1."),
    "seed": (-1, "seed: give a number of at least 0."),
    "isolation": ("thread", "isolation: give one of process, none."),
    "shard": ("3/2", "shard: '3/2' is no shard"),
    "specification": ("onnx2", "specification 'onnx2' is unknown: give one of "),
    "known_failures": ("missing.toml", "known failures: "),
    "baseline": ("missing.json", "missing.json cannot be read"),
}


@pytest.mark.parametrize("backend", MISUSE)
def test_what_is_no_backend_is_one_sentence(backend):
    options, said = MISUSE[backend]
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        run(backend, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_wrong_option_is_one_sentence(name):
    value, said = OPTIONS[name]
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        run("reference", **{"profile": "smoke", name: value})
    assert "\n" not in str(error.value)


def test_what_no_other_process_can_import_is_not_isolated():
    with pytest.raises(ValueError, match="cannot be imported by another process; define it at the top of a module"):
        run(OracleBackend(), isolation="process")
