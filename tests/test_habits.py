"""The habits of contributors and CI: tox environments, workflows, hooks, markers, changelog fragments, floors."""

import configparser
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from conformance.engine import hypothesis_internals
from tests import structure
from tests.conftest import MARKERS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
TOX = configparser.RawConfigParser()
TOX.read(ROOT / "tox.ini", "utf-8")
ENVIRONMENTS = {name.partition(":")[2] for name in TOX.sections() if name.startswith("testenv:")}
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
RUNS_TOX = re.compile(r"tox (?:run )?(?:-q )?-e ([\w-]+)")


def requirements(text):
    """Return the requirements in a value of tox.ini by name, one on each line."""
    lines = (re.fullmatch(r"([\w-]+)==(\S+)", line.strip()) for line in text.splitlines())
    return {line[1]: line[2] for line in lines if line}


def test_oldest_has_the_lower_bounds_that_are_declared():
    declared = dict(
        re.fullmatch(r"([\w-]+)>=([\d.]+)(?:,<\d+)?", one).groups() for one in PROJECT["project"]["dependencies"]
    )
    padded = {name: ".".join([*bound.split("."), "0", "0"][:3]) for name, bound in declared.items()}
    assert requirements(TOX["testenv:oldest"]["deps"]) == padded
    lowest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert TOX["testenv:oldest"]["base_python"] == f"python{lowest}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_name_environments_of_tox_that_exist(path):
    named = set(RUNS_TOX.findall(path.read_text("utf-8")))
    assert {name for name in named if not name.startswith("adapter-")} <= ENVIRONMENTS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_environments_and_actions_that_exist(path):
    workflow = yaml.safe_load(path.read_text("utf-8"))
    assert workflow[True], "YAML 1.1 reads the key `on` as true"
    assert workflow["permissions"] == {"contents": "read"}
    action = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
    for name, job in workflow["jobs"].items():
        assert job["steps"][0]["uses"] == "actions/checkout@v4"
        chosen = job.get("strategy", {}).get("matrix", {}).get("environment", [])
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), name
            if step.get("uses") == "./":
                assert set(step["with"]) <= set(action["inputs"])
                assert (ROOT / step["with"]["baseline"]).exists()
            for environment in re.findall(r"tox run -e (.+)", step.get("run", "")):
                assert (
                    {*chosen} <= ENVIRONMENTS
                    if environment == "${{ matrix.environment }}"
                    else (environment in ENVIRONMENTS)
                )


def test_the_newest_versions_are_tried_every_week():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "newest.yml").read_text("utf-8"))
    assert "schedule" in workflow[True]
    newest = TOX["testenv:newest"]["deps"].split()
    declared = [re.match(r"[\w-]+", one)[0] for one in PROJECT["project"]["dependencies"]]
    assert set(declared) <= set(newest)
    assert not any("=" in one for one in newest)


def test_one_module_reaches_into_hypothesis():
    inside = re.compile(r"hypothesis\.internal|_hypothesis_internal|hypothesis\._")
    found = [path.name for path in (ROOT / "conformance").rglob("*.py") if inside.search(path.read_text("utf-8"))]
    assert found == ["hypothesis_internals.py"]
    with pytest.raises(hypothesis_internals.Moved, match=r"Hypothesis [\d.]+ has no hypothesis\.moved\.away, which"):
        hypothesis_internals.found("hypothesis.moved", "away")
    declared = next(one for one in PROJECT["project"]["dependencies"] if one.startswith("hypothesis"))
    assert declared == f"hypothesis{hypothesis_internals.TRIED}"


def test_the_workflow_of_the_tests_gates_itself_and_runs_every_python():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text("utf-8"))
    assert [step["uses"] for step in workflow["jobs"]["gate"]["steps"]] == ["actions/checkout@v4", "./"]
    assert workflow["jobs"]["tests"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]


def test_the_hooks_have_the_versions_and_environments_of_tox():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    (repo,) = config["repos"]
    assert repo["repo"] == "local"
    pins = requirements(TOX["versions"]["lint"])
    for hook in repo["hooks"]:
        for name, version in requirements("\n".join(hook["additional_dependencies"])).items():
            assert pins[name] == version
        assert set(RUNS_TOX.findall(hook["entry"])) <= ENVIRONMENTS


def test_every_file_of_tests_has_its_markers_and_every_marker_is_declared():
    files = {path.stem for path in Path(__file__).parent.glob("test_*.py")}
    assert set(MARKERS) == files, "the table of tests/conftest.py"
    declared = {line.partition(":")[0] for line in PROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    assert {marker for markers in MARKERS.values() for marker in markers.split()} == declared


def test_fragments_of_the_changelog_have_a_type_and_are_collected():
    types = "|".join(PROJECT["tool"]["towncrier"]["fragment"])
    fragments = {path for path in (ROOT / "changelog.d").iterdir() if path.name != "README.md"}
    assert [path.name for path in fragments if not re.fullmatch(rf"(\+[\w-]+|\d+)\.({types})\.md", path.name)] == []
    command = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "9.9.9", "--date", "2000-01-01"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "## [9.9.9] - 2000-01-01" in done.stdout
    collected = " ".join(done.stdout.split())
    assert [p.name for p in fragments if " ".join(p.read_text("utf-8").split()) not in collected] == []


def test_circles_and_upward_imports_are_seen(tmp_path):
    files = {
        "reference/__init__.py": "",
        "conformance/__init__.py": "",
        "conformance/plugin.py": "from conformance.engine import a\n",
        "conformance/engine/__init__.py": "",
        "conformance/engine/a.py": "def f():\n    from conformance import plugin\n",
        "conformance/backend.py": "\n" * 500,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    root = ["-m", "tests.structure", str(tmp_path)]
    printed = subprocess.run([sys.executable, *root], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "2 packages, 6 modules, 2 imports" in printed
    assert "  500 conformance/backend.py" in printed
    assert "  2 modules: conformance.engine.a, conformance.plugin" in printed
    assert "floors of pyproject.toml: 1\n  conformance.engine.a -> conformance.plugin\n" in printed


def test_only_flat_lists_are_long_modules():
    assert [name for name in structure.long_modules(ROOT) if not set(structure.FLAT) & set(name.split("/"))] == []
