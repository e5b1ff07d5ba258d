"""The gate fails only for changes for the worse since the baseline; the action, the shell and the hook run here."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from conformance import __version__
from conformance.engine.profiles import PROFILES
from conformance.reporting.baseline import baseline, judge
from conformance.reporting.reading import BadReport, reports_of
from conformance.specifications.torch_nn.catalogue import CATALOGUE
from conformance.specifications.torch_nn.faults import BANK
from tests.harness import all_checks
from tests.sample_reports import report, row
from tests.test_plugin import ROOT, run
from tests.test_shards import NARROW

SUITE = {"catalogue": CATALOGUE.version}
A, B = row("A"), row("B")
A_FAILED, B_FAILED = (row(id_, status="failed", message="off by 1") for id_ in "AB")
BLOCKED, UNCLAIMED, KNOWN = (row("A", status=one, message="x") for one in ("blocked", "not_claimed", "known_failure"))


def gate(old, new):
    """Return the gate of two lists of report data."""
    return judge(*(reports_of(json.dumps(one), "x") for one in (old, new)))


def held(old, new, **suite):
    """Return the gate of two lists of rows of one backend; ``suite`` changes the newer report."""
    return gate([report("x", old, **SUITE)], [report("x", new, **(SUITE | suite))])


WORSE = {
    "newly failed": ([A], [A_FAILED], "WORSE A (lstm float32): passed, now failed"),
    "newly blocked": ([A], [BLOCKED], "WORSE 1 requirement blocked by what failed: A"),
    "no longer claimed": ([A], [UNCLAIMED], "WORSE A (lstm float32): passed, now not claimed"),
    "failed, no longer claimed": ([A_FAILED], [UNCLAIMED], "now not claimed"),
    "vanished": ([A, B], [B], "WORSE A (lstm float32): passed, now not in the report"),
    "one kind vanished": ([A, row("A", "gru")], [A], "WORSE A (gru float32): passed, now not in the report"),
    "fewer examples": ([A], [row("A", examples=49)], "WORSE A (lstm float32): passed 50 examples, now passed 49"),
    "claimed anew and wrong": ([UNCLAIMED], [A_FAILED], "not claimed, now failed"),
    "known failure, failed": ([KNOWN], [A_FAILED], "known failure, now failed"),
    "failed, not in the baseline": ([A], [A, B_FAILED], "not in the report, now failed"),
}  # fmt: skip


@pytest.mark.parametrize("name", WORSE)
def test_what_got_worse_fails_the_gate(name):
    old, new, said = WORSE[name]
    found = held(old, new)
    assert found.worse == 1
    text = "\n".join(found.lines())
    assert said in text
    assert text.endswith("Against the baseline 1 got worse.")


STANDS = {
    "the same": ([A], [A], "nothing got worse."),
    "failed before": ([A_FAILED], [A_FAILED], "nothing got worse."),
    "blocked, then failed": ([BLOCKED], [A_FAILED], "nothing got worse."),
    "more examples": ([A], [row("A", examples=51)], "nothing got worse."),
    "better": ([A_FAILED], [A], "nothing got worse and 1 requirement better: tighten it"),
    "a known failure now": ([A], [KNOWN], "not counted, a known failure now: A"),
    "passes and is new": ([A], [A, B], "nothing got worse."),
}  # fmt: skip


@pytest.mark.parametrize("name", STANDS)
def test_what_did_not_get_worse_passes_the_gate(name):
    old, new, said = STANDS[name]
    found = held(old, new)
    assert found.worse == 0
    assert said in "\n".join(found.lines())


OTHER_CATALOGUE = {
    "new": ([A], [A, B_FAILED], "a new requirement: B"),
    "says more": ([A], [A_FAILED | {"statement": "More."}], "states something else now: A"),
    "gone": ([A, B], [A], "no requirement any more: B"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHER_CATALOGUE)
def test_another_catalogue_s_requirements_are_told_and_do_not_count(name):
    old, new, said = OTHER_CATALOGUE[name]
    assert held(old, new).worse == 1, "of the same catalogue they count"
    found = held(old, new, catalogue="9.9")
    assert found.worse == 0
    text = "\n".join(found.lines())
    assert f"not counted, {said}" in text.replace("not counted, a requirement that", "not counted,")
    assert "The runs differ: " in text
    assert "catalogue 9.9" in text


def test_another_catalogue_excuses_nothing_else():
    old, new = [A, B], [A_FAILED, row("B", examples=12)]
    assert held(old, new, catalogue="9.9").worse == 2
    partial = report("x", [A], complete=False, catalogue="9.9")
    assert gate([report("x", [A, B], **SUITE)], [partial]).worse == 1, "not run is not gone"


def test_backends_that_are_missing_on_either_side():
    right, wrong = report("x", [A]), report("y", [row("A", status="failed", message="z")])
    found = gate([right], [right, wrong])
    assert found.worse == 1
    assert "y (1.0) is not in the baseline: it counts by itself, and does not conform" in "\n".join(found.lines())
    assert gate([right], [right, report("y", [A])]).worse == 0
    found = gate([right, wrong], [right])
    assert found.worse == 1
    assert "WORSE y is in the baseline and was not run." in "\n".join(found.lines())


def test_long_lists_are_cut():
    old = [row(f"R-{n}") for n in range(60)]
    new = [row(f"R-{n}", status="failed", message="word " * 999) for n in range(60)]
    lines = list(held(old, new).lines("r.json"))
    assert len(lines) < 30
    assert "and 46 more, see r.json" in lines
    assert max(map(len, lines)) < 250


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("no", "old.json: line 1, column 1: this is no JSON"),
        ("{}", "is not a conformance report"),
        (
            report("x", [], profile="quick"),
            "is a run in profile quick, this one is in standard: a baseline is",
        ),
        (report("x", [], shard="1/2"), "is shard 1/2 of a run: merge the shards first."),
        ([report("x", []), report("x", [])], "holds two reports of x: a baseline holds one of each backend."),
    ],
)
def test_what_is_no_baseline_is_one_sentence(tmp_path, content, said):
    path = tmp_path / "old.json"
    if content is not None:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(BadReport) as error:
        baseline(str(path), "standard")
    assert said in str(error.value)
    (tmp_path / "new.json").write_text(json.dumps(report("x", [])))
    done = python(tmp_path, "-m", "conformance", "compare", "old.json", "new.json")
    assert (done.returncode, len(done.stderr.splitlines()), done.stdout) == (2, 1, "")
    assert said in done.stderr


def python(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_two_files_are_compared_by_a_command(tmp_path):
    for name, rows in (("old", [A]), ("new", [A_FAILED])):
        (tmp_path / f"{name}.json").write_text(json.dumps(report("x", rows)))
    compare = ("-m", "conformance", "compare")
    worse = python(tmp_path, *compare, "old.json", "new.json")
    assert (worse.returncode, worse.stderr) == (1, "")
    assert "  WORSE A (lstm float32): passed, now failed\n    What A states.\n    off by 1\n" in worse.stdout
    better = python(tmp_path, *compare, "new.json", "old.json")
    assert better.returncode == 0
    assert "better A (lstm float32): failed, now passed" in better.stdout


# The option, in runs of the suite

WRONG = """
def wrong():
    backend = right()
    forward = backend.layer
    def layer(config, parameters):
        made = forward(config, parameters)
        def shifted(*arguments, forward=made.forward, **named):
            result = forward(*arguments, **named)
            result.output[-1] += 1
            return result
        made.forward = shifted
        return made
    backend.layer = layer
    return backend

def less():
    backend = right()
    backend.features = replace(backend.features, initial_state=False)
    return backend
"""
SMOKE = ("--pyargs", "conformance", "-q", "--hypothesis-profile", "smoke", "--diagnosis", "3")


def of(name, *options):
    return *SMOKE, "--backend", f"my_adapters:{name}", *options


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a folder with adapters of one name, and the reports of a right and of a wrong one."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "my_adapters.py").write_text(NARROW.replace('projection", "initial_state', "projection") + WRONG)
    (folder / "test_own.py").write_text("def test_own():\n    raise AssertionError\n")
    for name, expected in (("right", 0), ("wrong", 1)):
        status, printed = run(*of(name, "--conformance-report", f"{name}.json"), cwd=folder)
        assert status == expected, printed
    return folder


def test_a_run_that_got_worse_fails_and_one_that_did_not_passes(project):
    status, printed = run(*of("wrong", "--baseline", "right.json"), cwd=project)
    assert status == 1, printed
    assert re.search(r"WORSE STATE-[A-Z-]+ \(gru float32\): passed, now failed", printed)
    assert "Against the baseline" in printed.splitlines()[-2] + printed.splitlines()[-3]
    status, printed = run(*of("wrong", "--baseline", "wrong.json"), cwd=project)
    assert status == 0, printed
    assert "Against the baseline nothing got worse." in printed
    assert " failed, " in printed.splitlines()[-1], "pytest's own count stays"
    status, printed = run(*of("right", "--baseline", "wrong.json"), cwd=project)
    assert status == 0, printed
    assert "make this run's report the baseline" in printed


def test_fewer_examples_and_fewer_claims_are_worse(project):
    status, printed = run(*of("right", "--baseline", "right.json", "--conformance-examples", "2"), cwd=project)
    assert status == 1, printed
    assert "passed 3 examples, now passed 2" in printed
    status, printed = run(*of("less", "--baseline", "right.json"), cwd=project)
    assert status == 1, printed
    assert "passed, now not claimed" in printed
    status, printed = run(*of("right", "--baseline", "right.json", "-k", "SHAPE"), cwd=project)
    assert status == 1, printed
    assert "passed, now not in the report" in printed


def test_a_failure_of_another_test_and_an_unmatched_known_failure_still_fail(project):
    both = (*of("wrong", "--baseline", "wrong.json"), "test_own.py")
    status, printed = run(*both, cwd=project)
    assert status == 1, printed
    assert "Against the baseline nothing got worse." in printed
    (project / "known.toml").write_text(
        "[[known_failure]]\nrequirement = 'LENGTHS-FULL'\nreason = 'x'\nissue = 'https://example.org'\n"
    )
    status, printed = run(*of("right", "--baseline", "right.json", "--known-failures", "known.toml"), cwd=project)
    assert status == 1, printed
    assert "matches no requirement of this run" in printed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--baseline", "none.json"), "--baseline: none.json cannot be read"),
        (("--baseline", "right.json", "--hypothesis-profile", "quick"), "right.json is a run in profile smoke"),
    ],
)
def test_a_baseline_that_cannot_be_used_ends_the_run_before_it_starts(project, options, said):
    status, printed = run(*of("right"), *options, cwd=project)
    assert (status, len([line for line in printed.splitlines() if line.strip()])) == (4, 1), printed
    assert said in printed


# The action, the shell, the hook

ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
EXPRESSION = re.compile(r"\$\{\{ *([\w.-]+) *\}\}")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Return environment variables for a virtual environment with the suite's dependencies, without the suite."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "here.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")) + "\n")
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INPUT": "1"}
    return {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": "", **offline}


class Runner:
    """A runner of the action's steps: expressions, conditions and environment files. It only records ``uses``."""

    def __init__(self, folder, environment, **inputs):
        declared = {name: value.get("default", "") for name, value in ACTION["inputs"].items()}
        assert set(inputs) <= set(declared)
        self.folder, self.environment, self.used, self.printed = folder, environment, [], ""
        self.known = {f"inputs.{name}": value for name, value in (declared | inputs).items()}
        self.known["github.action_path"] = str(ROOT)
        self.failed = False

    def value(self, text):
        return EXPRESSION.sub(lambda match: self.known.get(match[1], ""), text)

    def wanted(self, condition):
        """Evaluate ``a != '' && always()``; without always() it is False after a failure."""
        terms = [term.strip() for term in condition.split("&&")] if condition else []
        if self.failed and "always()" not in terms:
            return False
        for term in terms:
            match = re.fullmatch(r"([\w.-]+) != ''|always\(\)", term)
            assert match, f"the harness does not know {term}"
            if match[1] and not self.known.get(match[1]):
                return False
        return True

    def run(self, only=None):
        for step in ACTION["runs"]["steps"]:
            if not self.wanted(step.get("if")) or (only and step.get("name") not in only):
                continue
            if "uses" in step:
                self.used.append((step["uses"], {k: self.value(v) for k, v in step["with"].items()}))
                continue
            assert step["shell"] == "bash"
            files = {name: self.folder / f".{name.lower()}" for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
            mine = {name: self.value(value) for name, value in step.get("env", {}).items()}
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                cwd=self.folder,
                env=self.environment | mine | {name: str(path) for name, path in files.items()},
                capture_output=True,
                text=True,
                check=False,
            )
            self.printed += done.stdout + done.stderr
            self.failed = self.failed or done.returncode != 0
            if "id" in step and files["GITHUB_OUTPUT"].exists():
                for line in files["GITHUB_OUTPUT"].read_text().splitlines():
                    name, _, value = line.partition("=")
                    self.known[f"steps.{step['id']}.outputs.{name}"] = value
        return self


def test_no_step_reads_an_input_as_code_and_no_third_party_is_used():
    steps = ACTION["runs"]["steps"]
    assert not [step for step in steps if "${{" in step.get("run", "")]
    assert {step["uses"].split("@")[0] for step in steps if "uses" in step} == {
        "actions/setup-python",
        "actions/upload-artifact",
    }
    named = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text()))
    assert named == set(ACTION["inputs"]), "an input that does nothing"
    told = (ROOT / "docs" / "gate.md").read_text()
    assert [name for name in ACTION["inputs"] if f"`{name}`" not in told] == []


def adapters(tmp_path, project):
    for name in ("my_adapters.py", "right.json", "wrong.json"):
        (tmp_path / name).write_text((project / name).read_text())


def test_the_action_installs_runs_reports_and_fails(tmp_path, project, environment):
    adapters(tmp_path, project)
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "my-own"\nversion = "1"\n'
        '[tool.hatch.build.targets.wheel]\nonly-include = ["my_adapters.py"]\n'
    )
    inputs = {"backend": "my_adapters:wrong\n", "profile": "smoke", "install": ".", "baseline": "right.json"}
    runner = Runner(tmp_path, environment, **inputs).run()
    status = runner.known.get("steps.run.outputs.status")
    assert (status, runner.failed) == ("1", True), runner.printed
    output = tmp_path / "conformance-output"
    assert json.loads((output / "report.json").read_text())["summary"]["conformant"] is False
    assert json.loads((output / "badge.json").read_text())["color"] == "red"
    summary = (tmp_path / ".github_step_summary").read_text()
    assert "# Conformance" in summary
    assert "## Compared: right" in summary
    assert 'name="requirement"' in (output / "junit.xml").read_text()
    assert [used for used, _ in runner.used] == ["actions/upload-artifact@v4"]
    assert runner.used[0][1] == {"name": "conformance", "path": "conformance-output"}
    # The same environment, another run: nothing worse than the baseline, a path with a space, no artifact.
    inputs |= {"baseline": "wrong.json", "output": "out put", "artifact": "", "python-version": "3.12"}
    runner = Runner(tmp_path, environment, **inputs).run({"Run the suite", "Summarize", "Tell the verdict"})
    assert (runner.known["steps.run.outputs.status"], runner.failed) == ("0", False), runner.printed
    assert (tmp_path / "out put" / "summary.md").exists()
    # A wrong command line: status 4, and no report to summarize.
    inputs = {"backend": "my_adapters:nothing; touch taken", "profile": "smoke", "output": "none"}
    runner = Runner(tmp_path, environment, **inputs).run({"Run the suite", "Summarize", "Tell the verdict"})
    assert (runner.known["steps.run.outputs.status"], runner.failed) == ("4", True), runner.printed
    assert not (tmp_path / "taken").exists()


@pytest.fixture
def green_without_a_report(tmp_path):
    """Return an environment whose ``python`` does nothing and ends with 0, in a folder with an old report."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "bin" / "python").chmod(0o755)
    (tmp_path / "conformance-output").mkdir()
    (tmp_path / "conformance-output" / "report.json").write_text("{}")
    return os.environ | {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def test_the_action_and_the_shell_are_not_green_without_a_report_of_the_run(tmp_path, green_without_a_report):
    steps = {"Run the suite", "Tell the verdict"}
    runner = Runner(tmp_path, green_without_a_report, backend="x").run(steps)
    assert (runner.known["steps.run.outputs.status"], runner.failed) == ("3", True), runner.printed
    done = sh(blocks("sh")[0], tmp_path, green_without_a_report)
    assert done.returncode == 3, done.stdout + done.stderr


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / "gate.md").read_text("utf-8"), re.DOTALL)


def test_the_yaml_of_the_documentation_names_inputs_that_exist():
    step, config = blocks("yaml")
    (step,) = yaml.safe_load(step)
    assert set(step["with"]) <= set(ACTION["inputs"])
    assert "backend" in step["with"]
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    (repo,) = yaml.safe_load(config)["repos"]
    assert [one["id"] for one in repo["hooks"]] == [hook["id"]]
    assert {step["uses"].split("@")[1], repo["rev"]} == {f"v{__version__}"}


def sh(script, folder, environment):
    environment = environment | {"SUITE": str(ROOT)}
    return subprocess.run(
        ["sh", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_shell_of_the_documentation_runs(tmp_path, project, environment):
    gate_sh, shards_sh = (block.replace("my_gru:MyLibrary", "my_adapters:wrong") for block in blocks("sh"))
    assert "my_adapters:wrong" in gate_sh
    adapters(tmp_path, project)
    smoke = "--hypothesis-profile smoke --backend"
    for baseline_, expected in (("right", 1), ("wrong", 0)):
        (tmp_path / "conformance-baseline.json").write_text((tmp_path / f"{baseline_}.json").read_text())
        done = sh(gate_sh.replace("--backend", smoke), tmp_path, environment)
        assert done.returncode == expected, done.stdout + done.stderr
        assert {"report.json", "junit.xml", "summary.md", "badge.json"} <= {
            path.name for path in (tmp_path / "conformance-output").iterdir()
        }
    done = sh(shards_sh.replace("profile quick", "profile smoke"), tmp_path, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Against the baseline nothing got worse." in done.stdout
    (tmp_path / "conformance-baseline.json").write_text((tmp_path / "right.json").read_text())
    done = sh(shards_sh[shards_sh.index("python -m conformance merge") :], tmp_path, environment)
    assert done.returncode == 1, done.stdout + done.stderr


def test_the_hook_fails_what_is_wrong(project):
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    command = hook["entry"].split()
    assert command[:3] == ["python", "-m", "pytest"]
    assert hook["pass_filenames"] is False
    for name, expected in (("right", 0), ("wrong", 1)):
        done = python(
            project, "-m", "pytest", "-p", "conformance.plugin", *command[3:], "--backend", f"my_adapters:{name}"
        )
        assert done.returncode == expected, done.stdout + done.stderr


def test_what_the_documentation_says_of_smoke_is_what_the_kill_matrix_has():
    """smoke draws the first examples of quick, so quick's figures contain smoke's results."""
    shares = {check.requirement: check.share for check in all_checks()}
    matrix = json.loads((ROOT / "docs" / "kill-matrix.json").read_text())
    quick = {fault: found["quick"]["failed"] for fault, found in matrix.items()}
    most = {id_: max(1, round(PROFILES["smoke"].examples * share)) for id_, share in shares.items()}
    seen = {fault: {id_ for id_, needed in failed.items() if needed <= most[id_]} for fault, failed in quick.items()}
    decided = sum(BANK[fault].requirement in failed for fault, failed in seen.items())
    told = " ".join((ROOT / "docs" / "gate.md").read_text().split())
    assert f"of {len(quick)} wrong implementations in the bank it fails {sum(map(bool, seen.values()))} (" in told
    assert f"), {decided} of them by the requirement that names the mistake" in told
    assert f"(`quick` {sum(map(bool, quick.values()))}, `standard`" in told
    missed = [fault for fault, failed in quick.items() if not failed]
    assert all(matrix[fault]["standard"]["failed"] for fault in missed), (
        "standard is measured where quick finds nothing"
    )
    assert "`standard` all of them)" in told
