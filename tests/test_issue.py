"""Issues for upstream projects: complete texts of scripts that fail, one sentence for scripts that do not serve."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.reporting.issue.command import compose, denials
from conformance.reporting.issue.outcome import Outcome, observe
from conformance.reporting.issue.script import NoIssue, read
from conformance.reporting.issue.upstream import TRACKERS, address, package, tracker
from conformance.specifications.onnx_operators import ONNX
from conformance.specifications.torch_nn import TORCH_NN
from tests.test_reproducer import BANK, verdict_on

ROOT = Path(__file__).parents[1]
PAGES = "https://docs.pytorch.org/docs/stable/generated"
SCRIPT = '''"""toy: half of x is lost.

One step is enough.

Documented in: https://example.org/toy: "all of x is used". Needs numpy. Exits with 1 while the fault is there.
"""

import sys

import numpy

print(f"got {numpy.float32(0.5)}, expected 1.0")
sys.exit(1)
'''


def written(folder, text, name="toy.py"):
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def issue(*arguments):
    """Run the command from the root; return exit status, output and errors."""
    command = [sys.executable, "-m", "conformance", "issue", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_script_by_hand_becomes_a_complete_issue(tmp_path):
    path = written(tmp_path, SCRIPT)
    status, printed, errors = issue(path)
    assert (status, errors) == (0, "")
    assert f"{tmp_path / 'toy.md'}: read it before you file it." in printed
    text = (tmp_path / "toy.md").read_text("utf-8")
    parts = ["# toy: half of x is lost", "One step is enough.", "## Versions", "- numpy 2.", "- Python 3.", "## Script"]
    parts += [
        "Needs numpy. Exits with 1",
        f"```python\n{SCRIPT.strip()}\n```",
        "got 0.5, expected 1.0",
        "exits with 1:",
    ]
    parts += [
        'https://example.org/toy: "all of x is used".',
        "## What it is not",
        "not chance",
        "not come from a wrapper",
    ]
    parts += ["no earlier report", "Thank you"]
    place = 0
    for part in parts:
        place = text.index(part, place)  # in this order
    assert str(tmp_path) not in text
    status, _, errors = issue(path)
    assert status == 1
    assert "toy.md exists: move it, or give --overwrite to replace it." in errors
    named = tmp_path / "named.md"
    named.write_text(path.read_text())
    status, _, errors = issue(named, "--overwrite")
    assert status == 1
    assert "named.md has the name of the text that would be written" in errors
    assert named.read_text() == path.read_text()
    assert issue(path, "--overwrite")[0] == 0


def test_a_script_of_the_suite_becomes_a_complete_issue(tmp_path):
    path = written(tmp_path, verdict_on(f"{BANK}:lstm_gates_f_i", "FORWARD-EQUATION", "lstm").reproducer)
    status, _, errors = issue(path)
    assert (status, errors) == (0, "")
    text = path.with_suffix(".md").read_text("utf-8")
    assert text.startswith("# LSTM in float32: the result is that of an LSTM whose blocks are ordered f|i|c|o")
    for part in ("- lstm-gates-f-i test", "elements are wrong", "the numbers are the formula's. — torch.nn.RNN"):
        assert part in text
    for part in (
        f"<{PAGES}/torch.nn.LSTM.html>",
        "It is not rounding",
        "adapter `lstm-gates-f-i`",
        "`FORWARD-EQUATION`",
    ):
        assert part in text
    assert "come from a wrapper" not in text, "the script calls the library through the suite"


def test_the_findings_that_link_the_script_are_used(tmp_path):
    (tmp_path / "reproducers").mkdir()
    finding = """# Findings

## Another

- **What.** Something else.
- **Script.** [reproducers/other.py](reproducers/other.py).

## toy: half of x is lost

- **What.** The layer of toy 1.0 loses
  half of x.
- **Who is wrong.** toy: its page says all.
- **Requirement.** `GRU-EQUATION`, a known failure, and `REFUSE-INPUT-RANK`.
- **Script.** [reproducers/toy.py](reproducers/toy.py).
- **Public issue.** [toy/toy#1](https://example.org/1).
"""
    (tmp_path / "findings.md").write_text(finding)
    path = written(tmp_path / "reproducers", SCRIPT.replace("Documented in: https://example.org/toy: ", ""))
    script = read(path)
    assert script.requirements == ("GRU-EQUATION", "REFUSE-INPUT-RANK")
    text = compose(script, observe(script, 60))
    for part in ("loses half of x", "toy: its page says all", f"<{PAGES}/torch.nn.GRU.html>", "[toy/toy#1]"):
        assert part in text
    assert "Something else" not in text
    assert TORCH_NN.catalogue["GRU-EQUATION"].statement in text
    assert "no earlier report" not in text
    assert "A public issue is known" in issue(path)[1]


UNUSABLE = {
    "no fault": (SCRIPT.replace("exit(1)", "exit(0)"), "exits with 0: the fault is not there with numpy 2"),
    "no package": (SCRIPT.replace("import numpy", "import numpyy"), "needs numpyy, not installed here: install it"),
    "its own error": (SCRIPT.replace("sys.exit(1)", "1 / 0"), "itself fails (ZeroDivisionError: division by zero)"),
    "another status": (SCRIPT.replace("exit(1)", "exit(2)"), "ended with exit status 2: a reproducer exits with 1"),
    "no docstring": ("import sys\nsys.exit(1)\n", "has no docstring: begin the script with one"),
    "no Python": ("1 +\n", "is no Python (invalid syntax"),
    "no documentation": (SCRIPT.replace("Documented in", "Said in"), "nothing says what is documented; write"),
    "endless": (SCRIPT.replace("sys.exit(1)", "while True:\n    pass"), "ran for more than 2 s: give it more with"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_script_that_does_not_serve_gets_one_sentence(name, tmp_path):
    text, said = UNUSABLE[name]
    path = written(tmp_path, text)
    with pytest.raises(NoIssue) as raised:
        compose(script := read(path), observe(script, 2 if name == "endless" else 60))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_errors_of_the_command_are_one_sentence_without_traceback(tmp_path):
    status, printed, errors = issue(tmp_path / "missing.py")
    assert (status, printed) == (1, "")
    assert errors.endswith("missing.py cannot be read (No such file or directory): give the path of a script.\n")
    assert len(errors.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_process_that_ends_by_a_signal_is_a_fault(tmp_path):
    text = SCRIPT.replace("sys.exit(1)", "sys.stdout.flush()\nimport os, signal\nos.kill(os.getpid(), signal.SIGABRT)")
    outcome = observe(read(written(tmp_path, text)), 60)
    assert outcome.ended == "The library ends the whole process by signal 6 (SIGABRT)."
    assert "got 0.5" in outcome.output


def test_a_text_that_changes_is_not_called_repeatable(tmp_path):
    script = read(written(tmp_path, SCRIPT.replace("{numpy.float32(0.5)}", "{numpy.random.rand()}")))
    outcome = observe(script, 60)
    assert not outcome.repeated
    assert "different text" in next(denials(script, outcome))


def test_long_output_and_long_scripts_are_cut(tmp_path):
    script = read(written(tmp_path, SCRIPT.replace("print(", "print('9' * 30_000)\nprint(") + "#" * 50_000))
    text = compose(script, observe(script, 60))
    assert "characters left out" in text
    assert "attached as `toy.py`" in text
    assert len(text) < 60_000


def test_fences_are_longer_than_those_in_the_script(tmp_path):
    script = read(written(tmp_path, SCRIPT + "# ```\n"))
    assert "````python" in compose(script, Outcome("1", "ended", True))


@pytest.mark.parametrize("specification", [TORCH_NN, ONNX], ids=lambda one: one.name)
def test_every_requirement_of_a_page_has_an_address(specification):
    own = ("The contract of the adapters", "conformance.")
    for entry in specification.catalogue.values():
        found = address(entry.source, specification.name)
        assert found.startswith("https://") != entry.source.startswith(own), entry.source


def test_the_address_is_that_of_the_kind():
    source = "torch.nn.RNN, LSTM, GRU: Outputs, output"
    assert address(source, "torch.nn", "gru") == f"{PAGES}/torch.nn.GRU.html"
    assert address(source, "torch.nn", "rnn_relu") == f"{PAGES}/torch.nn.RNN.html"
    assert (
        address("torch.nn.RNNCell, LSTMCell, GRUCell: Inputs", "torch.nn", "lstm") == f"{PAGES}/torch.nn.LSTMCell.html"
    )
    noted = "torch.manual_seed; torch.nn.RNN, LSTM, GRU: note on U(-sqrt(k), sqrt(k))"
    assert address(noted, "torch.nn", "lstm") == f"{PAGES}/torch.nn.LSTM.html", "there is no torch.LSTM"
    assert address("RNN, LSTM, GRU: clip", "onnx", "GRU") == "https://onnx.ai/onnx/operators/onnx__GRU.html"


@pytest.mark.parametrize("path", sorted((ROOT / "docs/reproducers").glob("*.py")), ids=lambda path: path.stem)
def test_every_script_of_the_findings_has_all_that_an_issue_needs(path):
    script = read(path)
    assert script.findings, "a page of docs/findings links it"
    assert script.said("Public issue")
    assert script.needs.startswith("Needs "), "the docstring says what to install"
    assert "exits with 1" in script.needs.lower(), "the docstring says how it ends"
    assert "exit(" in script.text or "abort" in script.text, "it says by its end whether the fault is there"
    assert tracker(package(script)), script.imports
    text = compose(script, Outcome("printed", "ended", True))
    assert "What the documentation says\n\n- " in text
    said = text.partition("What the documentation says\n\n")[2].partition("\n\n## ")[0].splitlines()
    assert len(said) == len(set(said)), "each sentence once"
    assert len(text) < 65_536


@pytest.mark.parametrize("path", sorted((ROOT / "docs/reproducers").glob("*.md")), ids=lambda path: path.stem)
def test_a_committed_issue_is_that_of_its_script(path):
    script = read(path.with_suffix(".py"))
    text = path.read_text("utf-8")
    printed = re.search(r"```text\n(.*?)\n```\n\n(.*?)\n\n## ", text, re.DOTALL)
    again = compose(script, Outcome(printed[1], printed[2], "not chance" in text))
    without_versions = re.compile(r"## Versions\n\n.*?\n\n## ", re.DOTALL)
    assert without_versions.sub("", again) == without_versions.sub("", text)


def test_the_package_is_the_one_that_computes():
    def of(name):
        return TRACKERS[package(read(ROOT / "docs/reproducers" / name))]

    assert of("onnxruntime_nan.py") == "microsoft/onnxruntime"
    assert of("onnx_export_arguments.py") == "pytorch/pytorch"
    assert of("keras_masked_gradient.py") == "keras-team/keras"
