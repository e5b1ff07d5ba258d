"""What the README shows is run: the adapter example, and the installed wheel from another project's folder."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.registry import BUILT_IN

ROOT = Path(__file__).parents[1]


def code_block(language, first_line):
    """The README's code block of that language which starts with that line."""
    for block in re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL):
        if block.startswith(first_line):
            return block
    raise AssertionError(f"the README has no {language} block that starts with {first_line!r}")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which the built wheel is installed."""
    built, target = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("installed")
    quietly = {"cwd": ROOT, "check": True, "capture_output": True}
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", built, "."], **quietly)
    (wheel,) = built.glob("*.whl")
    subprocess.run([sys.executable, "-m", "pip", "install", "--no-deps", "--target", target, wheel], **quietly)
    return target


def pytest_from(folder, installed, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--pyargs", "conformance", "-q", "--hypothesis-profile", "quick", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_adapter_of_the_readme_conforms_under_the_installed_wheel(tmp_path, installed):
    adapter = code_block("python", "# my_gru.py")
    assert len(adapter.splitlines()) <= 40
    (tmp_path / "my_gru.py").write_text(adapter)
    report = tmp_path / "report.json"
    status, printed = pytest_from(
        tmp_path, installed, "--backend", "my_gru:MyLibrary", "--conformance-report", str(report)
    )
    assert status == 0, printed
    assert "my-library conforms in all that it claims." in printed
    found = json.loads(report.read_text())
    assert found["summary"]["passed"] > 25
    assert found["summary"]["not_claimed"] > 25
    assert any(row["area"] == "cases" and row["status"] == "passed" for row in found["requirements"])


def test_the_mistake_of_the_readme_is_told(tmp_path, installed):
    adapter = code_block("python", "# my_gru.py")
    mistaken = adapter.replace("np.tanh(x_n + r * u_n)", "np.tanh(x_n + u_n)")
    assert mistaken != adapter
    (tmp_path / "my_gru.py").write_text(mistaken)
    status, printed = pytest_from(tmp_path, installed, "--backend", "my_gru:MyLibrary")
    assert status == 1, printed
    assert "FAILED GRU-RESET-GATE (gru float32)" in printed


def test_an_entry_point_of_another_package_is_found(tmp_path, installed):
    package = tmp_path / "site"
    package.mkdir()
    (package / "my_gru.py").write_text(code_block("python", "# my_gru.py"))
    metadata = package / "my_library-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-library\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text("[rnn_conformance.backends]\nmy-gru = my_gru:MyLibrary\n")
    path = os.pathsep.join([str(installed), str(package)])
    status, printed = pytest_from(tmp_path, path, "--backend", "my-gru", "-k", "SHAPE")
    assert status == 0, printed
    status, printed = pytest_from(tmp_path, path, "--backend", "another")
    assert status == 4
    assert ", my-gru, package.module:attribute, or exec:COMMAND." in printed


def test_every_command_of_the_readme_exists():
    text = (ROOT / "README.md").read_text("utf-8") + (ROOT / ".ci" / "run").read_text("utf-8")
    tox = (ROOT / "tox.ini").read_text("utf-8")
    plain = re.findall(r"^\[testenv:([\w-]+)\]", tox, re.MULTILINE)
    (adapters,) = re.findall(r"^\[testenv:adapter-\{([\w,-]+)\}\]", tox, re.MULTILINE)
    assert set(adapters.split(",")) <= set(BUILT_IN)
    asked = set(re.findall(r"tox (?:run )?\"?-e ([\w-]+)", text))
    assert asked - {f"adapter-{name}" for name in adapters.split(",")} == set(plain)
