"""Run everything that the README shows: its files, its commands and their output, from another project's folder."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.registry import BUILT_IN

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
QUICK = ("--hypothesis-profile", "quick")
SECONDS = re.compile(r"\b\d+\.\d+ ?s\b")
PERCENT = re.compile(r"\b\d+%")
FRACTION = re.compile(r"\d+\.\d{3,}(?!\d*e)")


def block(first_line):
    """Return the README's code block that starts with this line."""
    (found,) = [text for _, text in BLOCKS if text.startswith(first_line)]
    return found


def words(text):
    """Return an output's words without what another processor changes: seconds, percentages, digits after the third."""
    text = PERCENT.sub("PERCENT", SECONDS.sub("SECONDS", text))
    return FRACTION.sub(lambda number: f"{float(number[0]):.3f}", text).split()


def assert_shown(output, printed):
    """Assert that the README's output was printed, where ``...`` stands for left out lines."""
    rest = " " + " ".join(words(printed)) + " "
    for part in output.split("\n  ...\n"):
        wanted = " " + " ".join(words(part)) + " "
        assert wanted in rest, f"the README shows\n{part}\nbut the run printed\n{printed}"
        rest = " " + rest.split(wanted, 1)[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Build the wheel and return the folder into which it is installed."""
    built, target = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("installed")
    quietly = {"cwd": ROOT, "check": True, "capture_output": True}
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", built, "."], **quietly)
    (wheel,) = built.glob("*.whl")
    subprocess.run([sys.executable, "-m", "pip", "install", "--no-deps", "--target", target, wheel], **quietly)
    return target


@pytest.fixture
def project(tmp_path):
    """Write the README's files into another project's folder and return it."""
    for language, text in BLOCKS:
        name = re.match(r"# (\w+\.py)\n", text)
        if language == "python" and name:
            (tmp_path / name[1]).write_text(text)
    return tmp_path


def python(folder, installed, *arguments):
    """Run Python in a folder with the installed wheel; return the exit status and the output."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def suite(folder, installed, *arguments):
    """Run the suite in the profile quick."""
    return python(folder, installed, "-m", "pytest", "--pyargs", "conformance", "-q", *QUICK, *arguments)


def test_every_block_is_run():
    """A new block needs a test here; its first line then joins this list."""
    shown = [text.splitlines()[0] for _, text in BLOCKS]
    assert shown == [
        "pip install .",
        "# gru.py",
        "# my_gru.py",
        "pytest --pyargs conformance -q --backend my_gru:MyLibrary --hypothesis-profile quick",
        "my-library (1.2)",
        "# test_my_gru.py",
        "# look.py",
        "# my_torch.py",
        "python -m conformance explain dump.npz",
        "node examples/replay_cases.mjs cases/generated",
        "32 passed, 0 failed, 127 not for this",
        block("output[0, 0, 0]").splitlines()[0],
        "tox -e conformance",
        "tox -e tests",
    ]


def test_the_first_run_prints_the_shown_output(project, installed):
    adapter = block("# my_gru.py")
    assert len([line for line in adapter.splitlines() if line.strip()]) <= 20
    report = project / "report.json"
    command = block("pytest --pyargs").split()
    assert command[0] == "pytest"
    status, printed = python(project, installed, "-m", *command, "--conformance-report", str(report))
    assert status == 0, printed
    assert_shown(block("my-library (1.2)"), printed.replace(f"report: {report}", ""))
    found = json.loads(report.read_text())
    assert found["summary"]["passed"] > 25
    assert found["summary"]["not_claimed"] > 25
    assert any(row["area"] == "cases" and row["status"] == "passed" for row in found["requirements"])


def test_the_mistake_prints_the_shown_failure(project, installed):
    code = project / "gru.py"
    mistaken = code.read_text().replace("r * u_n", "u_n")
    assert mistaken != code.read_text()
    code.write_text(mistaken)
    status, printed = suite(project, installed, "--backend", "my_gru:MyLibrary")
    assert status == 1, printed
    assert_shown(block("output[0, 0, 0]"), printed.replace(str(project.resolve()), "/home/me/gru"))
    assert "FAILED GRU-RESET-GATE (gru float32)" in printed
    (blocked,) = re.findall(r"`GRU-RESET-GATE`\s+fails\s+and\s+(\d+)\s+others\s+are\s+blocked", README)
    assert f"blocked: {blocked} requirements whose failures these explain" in printed


def test_the_functions_run_from_ones_own_tests(project, installed):
    status, printed = python(project, installed, "-m", "pytest", "-q", "test_my_gru.py")
    assert status == 0, printed
    assert int(re.search(r"(\d+) passed", printed)[1]) > 25, printed
    code = project / "gru.py"
    code.write_text(code.read_text().replace("r * u_n", "u_n"))
    some = ("-k", "test_my_library or RESET")
    status, printed = python(project, installed, "-m", "pytest", "-q", "test_my_gru.py", *some)
    assert status == 1, printed
    assert "ConformanceError" in printed
    assert "GRU-RESET-GATE" in printed


def test_the_report_of_run_is_printed_and_saved(project, installed):
    status, printed = python(project, installed, "look.py")
    assert status == 0, printed
    assert "my-library conforms in all that it claims." in printed
    conformant, findings, failures = printed.splitlines()[-1].split()
    assert (conformant, int(failures)) == ("True", 0)
    rows = json.loads((project / "report.json").read_text())["requirements"]
    assert int(findings) == sum(row["status"] != "not_claimed" for row in rows)


def test_the_torch_module_conforms(project, installed):
    pytest.importorskip("torch")
    status, printed = suite(project, installed, "--backend", "my_torch:MyModule")
    assert status == 0, printed
    assert "my-module conforms in all that it claims." in printed


def test_a_dump_of_the_code_is_explained(project, installed):
    dump = (
        "import numpy as np; from gru import gru; rng = np.random.default_rng(0); "
        "W, R, b, c, x = (rng.standard_normal(s).astype('f') for s in ((12, 3), (12, 4), 12, 12, (5, 2, 3))); "
        "output = gru(x, np.zeros((2, 4), 'f'), W, R, b, c); "
        "np.savez('dump.npz', kind='gru', weight_ih_l0=W, weight_hh_l0=R, bias_ih_l0=b, bias_hh_l0=c, x=x, "
        "output=output)"
    )
    assert python(project, installed, "-c", dump)[0] == 0
    command = block("python -m conformance explain").split()
    status, printed = python(project, installed, *command[1:])
    assert (status, "Right: 40 numbers" in printed) == (0, True), printed
    code = (project / "gru.py").read_text()
    (project / "gru.py").write_text(code.replace("r * u_n", "u_n"))
    assert python(project, installed, "-c", dump)[0] == 0
    status, printed = python(project, installed, *command[1:])
    assert (status, "gru-reset-unused" in printed) == (1, True), printed


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_the_replay_in_javascript_prints_the_shown_line():
    done = subprocess.run(block("node").split(), cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == block("32 passed")


def test_an_entry_point_of_another_package_is_found(tmp_path, installed):
    package = tmp_path / "site"
    package.mkdir()
    for name in ("gru.py", "my_gru.py"):
        (package / name).write_text(block(f"# {name}"))
    metadata = package / "my_library-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-library\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text("[rnn_conformance.backends]\nmy-gru = my_gru:MyLibrary\n")
    path = os.pathsep.join([str(installed), str(package)])
    status, printed = suite(tmp_path, path, "--backend", "my-gru", "-k", "SHAPE")
    assert status == 0, printed
    status, printed = suite(tmp_path, path, "--backend", "another")
    assert status == 4
    assert (
        ", my-gru, package.module:attribute, torch:package.module:attribute, onnx:package.module, or exec:COMMAND."
        in printed
    )


def test_every_tox_environment_is_documented_and_every_documented_one_exists():
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"), ROOT / ".ci" / "run"]
    text = "".join(path.read_text("utf-8") for path in documents)
    tox = (ROOT / "tox.ini").read_text("utf-8")
    plain = re.findall(r"^\[testenv:([\w-]+)\]", tox, re.MULTILINE)
    (adapters,) = re.findall(r"^\[testenv:adapter-\{([\w,-]+)\}\]", tox, re.MULTILINE)
    assert set(adapters.split(",")) <= set(BUILT_IN)
    shown = set(re.findall(r"tox (?:run )?\"?-e ([\w-]+)", text))
    assert shown - {f"adapter-{name}" for name in adapters.split(",")} == set(plain)


def test_the_commands_of_a_fresh_clone_are_the_two_of_the_readme():
    run = (ROOT / ".ci" / "run").read_text("utf-8")
    assert re.findall(r"tox\"? run -e ([\w-]+)", run) == ["conformance", "tests"]


def test_the_wheel_ships_the_types_of_both_packages(installed):
    assert [name for name in ("conformance", "reference") if not (installed / name / "py.typed").is_file()] == []
