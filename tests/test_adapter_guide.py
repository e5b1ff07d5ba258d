"""The guide for adapter authors: its template is the sample package, which the tests build, install and run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conformance import LayerConfig, layouts
from reference.parameters import parameter_shapes

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "tests" / "sample_package"
GUIDE = (ROOT / "docs" / "adapters.md").read_text("utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Install the wheels of the suite and of the sample package into a folder and return it."""
    built, site = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    for project in (ROOT, SAMPLE):
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", built, project]
        subprocess.run(command, check=True, capture_output=True)
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", site, *built.iterdir()]
    subprocess.run(command, check=True, capture_output=True)
    return site


def suite(folder, site, *arguments):
    """Run the suite from another folder with the installed wheels, without this checkout."""
    command = [sys.executable, "-m", "pytest", "--pyargs", "conformance", "-q", "--hypothesis-profile", "quick"]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_an_installed_packages_adapter_is_found_by_its_name_and_conforms(tmp_path, site):
    report = tmp_path / "report.json"
    done = suite(tmp_path, site, "--backend", "sample-rnn", "--conformance-report", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text("utf-8"))
    assert found["backend"]["name"] == "sample-rnn"
    assert found["summary"]["passed"] > 50
    assert found["summary"]["failed"] == found["summary"]["blocked"] == 0


def test_without_the_package_its_name_is_unknown(tmp_path, site):
    for path in (*site.glob("sample_rnn*"),):
        path.rename(tmp_path / path.name)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    try:
        done = suite(elsewhere, site, "--backend", "sample-rnn")
    finally:
        for path in (*tmp_path.glob("sample_rnn*"),):
            path.rename(site / path.name)
    assert done.returncode == 4
    assert "backend 'sample-rnn' is unknown" in done.stdout + done.stderr


def test_the_template_of_the_guide_is_the_sample_packages_adapter():
    (template,) = re.findall(r"```python\n(\"\"\"The adapter.*?)```", GUIDE, re.DOTALL)
    assert template == (SAMPLE / "src" / "sample_rnn" / "conformance_adapter.py").read_text("utf-8")
    (entry,) = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    assert entry in (SAMPLE / "pyproject.toml").read_text("utf-8")


def test_the_conversion_of_the_guide_runs():
    (code,) = re.findall(r"```python\n(from conformance.layouts.*?)```", GUIDE, re.DOTALL)
    config = LayerConfig("gru", 3, 4)
    rng = np.random.default_rng(0)
    parameters = {
        name: rng.standard_normal(shape).astype(np.float32) for name, shape in parameter_shapes(config).items()
    }
    names = {"config": config, "parameters": parameters}
    exec(code, names)
    assert all((names["returned"][name] == value).all() for name, value in parameters.items())


def test_the_table_of_the_guide_has_the_orders_and_functions_of_the_code():
    section = GUIDE.split("## Parameters in other layouts")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("| ")
    ]
    table = {row[0]: row[1:] for row in rows if row[0] and row[0] != "---"}
    for layout, framework in (
        ("PyTorch", "pytorch"),
        ("ONNX", "onnx"),
        ("Keras", "keras"),
        ("Flax, nnx", "flax"),
        ("MLX", "mlx"),
        ("cuDNN", "cudnn"),
        ("oneDNN", "onednn"),
        ("Paddle", "paddle"),
    ):
        lstm, gru, *_, functions = table[layout]
        order = layouts.GATE_ORDERS[framework]
        assert lstm == " ".join(order["lstm"])
        assert gru.startswith(" ".join(order["gru"]))
        assert all(hasattr(layouts, name) for name in re.findall(r"`(\w+)`", functions))
    assert len(table) == 9
