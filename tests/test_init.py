"""``python -m conformance init``: every project that it writes conforms as it is, and fails where a line is changed."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from importlib.util import find_spec

import pytest
import yaml

from conformance import specifications
from conformance.engine.profiles import PROFILES
from conformance.specifications.torch_nn import TORCH_NN
from conformance.start.attempts import attempts
from conformance.start.init import LANGUAGES, SUFFIX, TEMPLATES, project
from reference.config import KINDS
from tests.harness import all_checks, failures, verdict_of
from tests.test_plugin import ROOT

# By language: the program or package that its project needs, the kinds of its test, and a wrong line for a right one.
NEEDS = {"c": "make", "go": "go", "rust": "cargo", "javascript": "node"}
PACKAGES = {"torch": "torch", "jax": "jax", "keras": "keras", "onnx": "onnxruntime"}
CHANGES = {
    "python": ("rnn_tanh,rnn_relu", "my_rnn.py", "np.maximum(a + b, 0)", "np.maximum(a - b, 0)"),
    "torch": ("lstm", "my_rnn.py", "i, f, g, o = (a + b)", "f, i, g, o = (a + b)"),
    "jax": ("gru", "my_rnn.py", "(1 - z) * jnp.tanh", "z * jnp.tanh"),
    "keras": ("lstm", "my_layers.py", "LSTM(units, **usual)", "LSTM(units, go_backwards=True, **usual)"),
    "onnx": ("lstm", "my_runtime.py", "inputs), strict", "{n: 2 * a for n, a in inputs.items()}), strict"),
    "c": ("lstm", "rnn.c", "double i = sigmoid(a[k] + v[k]), f =", "double f = sigmoid(a[k] + v[k]), i ="),
    "go": ("lstm", "my_rnn.go", "i, f := sigmoid", "f, i := sigmoid"),
    "rust": ("gru", "src/my_rnn.rs", "let (r, z) = (sig", "let (z, r) = (sig"),
    "javascript": ("gru", "my_rnn.mjs", "(1 - z) * Math.tanh", "z * Math.tanh"),
}
SMOKE = replace(PROFILES["smoke"], shrink_attempts=0)
ENDS_THE_PROCESS = ("REFUSE-STEPS-ZERO", "REFUSE-SAMPLES-ZERO")  # of onnxruntime: known failures of its project


def init(folder, *arguments):
    command = [sys.executable, "-m", "conformance", "init", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=here(), timeout=600)


def here():
    """Return the environment of a command in another folder, where the suite is as if installed."""
    return os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_PLUGINS": "conformance.plugin", "OMP_NUM_THREADS": "1"}


def generated(folder, name, kinds):
    """Write a project; return its language. Skip if the language is not to be had here."""
    if name in NEEDS and shutil.which(NEEDS[name]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed here: the project of --lang {name} is not run")
    if name in PACKAGES and find_spec(PACKAGES[name]) is None:
        pytest.skip(f"{PACKAGES[name]} is not installed here: the project of --lang {name} is not run")
    for path, text in project(name, kinds.split(","), "rnn-conformance").items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")
    return LANGUAGES[name]


@contextmanager
def standing_in(folder, monkeypatch):
    """Let the modules of a project be imported; forget them afterwards."""
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


@pytest.mark.parametrize("name", CHANGES)
def test_a_project_conforms_as_it_is(name, tmp_path, monkeypatch):
    kinds, *_ = CHANGES[name]
    language = generated(tmp_path, name, kinds)
    with standing_in(tmp_path, monkeypatch):
        for made in backends(tmp_path, language, kinds):
            tried = [attempt.answer(made, lambda what: nullcontext()) for attempt in attempts(made.features)]
            assert [amiss.sentence for one in tried for amiss in one.amiss] == []
            known = {
                entry["requirement"]
                for entry in tomllib.loads((tmp_path / "known-failures.toml").read_text("utf-8")).get(
                    "known_failure", []
                )
            }
            checks = [c for c in all_checks() if not c.requirement.startswith(("LARGE-", *ENDS_THE_PROCESS))]
            assert set(failures(made, SMOKE, checks)) <= known


def test_the_project_of_an_onnx_runtime_passes_under_both_specifications(tmp_path):
    generated(tmp_path, "onnx", "lstm")
    done = subprocess.run(
        ["sh", "conformance.sh", "quick"], capture_output=True, text=True, cwd=tmp_path, env=here(), timeout=600
    )
    assert re.search("my-runtime conforms in all that it claims but for [0-9]+ known failures", done.stdout)
    assert re.search("torch.nn: .* departures, all known(?s:.*)onnx: .* departures, all known", done.stdout)
    assert done.returncode == 0


@pytest.mark.parametrize("name", CHANGES)
def test_a_project_with_a_changed_line_fails(name, tmp_path, monkeypatch):
    kinds, path, right, wrong = CHANGES[name]
    language = generated(tmp_path, name, kinds)
    text = (tmp_path / path).read_text("utf-8")
    assert text.count(right) == 1
    (tmp_path / path).write_text(text.replace(right, wrong), "utf-8")
    with standing_in(tmp_path, monkeypatch):
        failed = [
            check.requirement
            for made in backends(tmp_path, language, kinds)
            for check in all_checks()
            for kind in made.features.kinds
            if check.requirement == f"{kind.upper().replace('_', '-')}-EQUATION"
            if not verdict_of(check, made, kind, profile=SMOKE).passed
        ]
        assert failed


def backends(folder, language, kinds):
    """Build a project and yield its backends, in this process; end their programs."""
    if language.build:
        subprocess.run(language.build, shell=True, check=True, cwd=folder, timeout=600)
    for name in dict.fromkeys(b.replace("@KIND@", kind) for b in language.backends for kind in kinds.split(",")):
        made = specifications.backend(name)
        try:
            yield specifications.adapted(made, TORCH_NN)
        finally:
            if name.startswith("exec:"):
                made.program.end()


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_language_has_a_test_and_a_readme_of_ten_lines(name, tmp_path):
    assert name in CHANGES
    files = project(name, [kind for kind in KINDS if kind in LANGUAGES[name].kinds], "rnn-conformance")
    assert not any(re.search("@[A-Z]+@", text) for text in files.values())
    assert 10 <= len(files["README.md"].splitlines()) <= 18
    for path in (LANGUAGES[name].replace, LANGUAGES[name].adapter):
        assert path in files
        assert path in files["README.md"]
    assert re.search("(?i)replace (from here|the (function|class|body))", files[LANGUAGES[name].replace])
    workflow = yaml.safe_load(files[".github/workflows/conformance.yml"])
    assert workflow["permissions"] == {"contents": "read"}
    (repo,) = yaml.safe_load(files[".pre-commit-config.yaml"])["repos"]
    sources = ("a.py", "a.c", "b/a.cu", "a.rs", "a.go", "a.mjs")
    assert all(re.search(repo["hooks"][0]["files"], source) for source in sources)


def test_templates_are_shipped():
    """Hatch ships what git does not ignore of the packages."""
    paths = [path for path in TEMPLATES.rglob("*") if path.is_file()]
    assert all(path.name.endswith(SUFFIX) for path in paths)
    ignored = subprocess.run(["git", "check-ignore", *map(str, paths)], cwd=ROOT, capture_output=True, text=True)
    assert ignored.stdout == ""


# --- the commands, from an empty folder -----------------------------------------------------------------


def sh(folder, line):
    return subprocess.run(line, shell=True, cwd=folder, env=here() | FEW, capture_output=True, text=True, timeout=600)


FEW = {
    "PYTEST_ADDOPTS": "-k 'EQUATION or SHAPE' --conformance-examples=2 --diagnosis=off --conformance-processes=1 "
    "-p no:cacheprovider"
}


def test_the_commands_of_the_readme_run_and_the_gate_keeps_its_baseline(tmp_path):
    done = init(tmp_path, "--lang", "python", "--kinds", "rnn_tanh", "mine")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "Next: cd mine, and the commands of README.md."
    folder = tmp_path / "mine"
    commands = re.findall("^    (.+)$", (folder / "README.md").read_text("utf-8"), re.MULTILINE)
    assert commands[0].startswith("pip install 'rnn-conformance==")
    assert commands[1:] == [
        'python -m conformance check "conformance_adapter:MyBackend"',
        "sh conformance.sh quick",
        "sh conformance.sh",
    ]
    assert "nothing amiss" in sh(folder, commands[1].replace("python", sys.executable, 1)).stdout
    python = folder / "bin"
    python.mkdir()
    (python / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (python / "python").chmod(0o755)
    script = f'PATH="{python}:$PATH" sh conformance.sh'
    first = sh(folder, script)
    assert first.returncode == 0, first.stdout
    assert (folder / "conformance-baseline.json").exists()
    text = (folder / "my_rnn.py").read_text("utf-8")
    (folder / "my_rnn.py").write_text(text.replace("np.tanh(a + b) if", "np.tanh(a) if"), "utf-8")
    second = sh(folder, script)
    assert second.returncode == 1
    assert "WORSE" in second.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("--lang", "python", "--kinds", "lsmt", "new"),
            "--kinds: 'lsmt' is none that --lang python has; give some of",
        ),
        (("--lang", "python", "full"), "full has README.md already: name another folder, or move these away."),
        (("--lang", "python", "full/README.md/below"), "cannot be written"),
        (("--lang", "cobol", "new"), "argument --lang: invalid choice: 'cobol'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_written_is_one_sentence(arguments, words, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "README.md").write_text("mine")
    done = init(tmp_path, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "full" / "README.md").read_text() == "mine"
    assert not (tmp_path / "new").exists()
