"""Whatever an adapter gives or raises, the suite says it of the adapter, in text that nothing can be hurt by."""

import enum
import os
import pickle
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from conformance import Backend, Cell, Features, Layer
from conformance.backends.oracle import OracleBackend
from conformance.engine.compare import Failed
from conformance.engine.files import STARTED_IN
from conformance.engine.finding import Status
from conformance.engine.guard import guarded
from conformance.engine.text import MAX_MESSAGE_CHARACTERS, MAX_NAME_CHARACTERS, one_line, printable, text_of
from conformance.isolation.system import end_marked
from conformance.runs import failure_message
from conformance.runs.session import Session
from conformance.runs.settings import Settings
from conformance.specifications import built
from conformance.specifications.torch_nn.faults import faults
from tests.harness import all_checks

CLAIMS = Features(kinds={"gru"}, cells=True, parameters=True, gradients=True, dropout=True, initialization=True)


class NoText(Exception):
    def __str__(self):
        raise ValueError("no text")


class Later:
    """A result that raises wherever it is touched."""

    def touched(self, *arguments):
        raise NoText

    output = h_n = c_n = property(touched)
    __len__ = __iter__ = __getitem__ = __bool__ = __str__ = __repr__ = items = keys = touched


class Everything(Layer, Cell, Backend):
    """A backend, a layer and a cell whose methods all do what ``answer`` does."""

    version, features = "1", CLAIMS

    def answer(self, *arguments, **keywords):
        return Later()

    def layer(self, config, parameters):
        return type(self)()

    def any(self, *arguments, **keywords):
        return self.answer()

    cell = layer
    forward = parameters = gradients = forward_training = step = initial_parameters = any


class Lazy(Everything):
    name = "lazy"


class Raising(Everything):
    name = "raising"

    def answer(self):
        raise NoText


def findings(backend, folder, requirements=None, profile="smoke"):
    """Run a backend in this process, every requirement by itself; yield the findings."""
    given = {"profile": profile, "run_blocked": True, "report": folder / "report.json", "diagnosis": 2}
    settings = Settings.of(given)
    session = Session(settings, {"name:of_it": built("name:of_it", backend)})
    for job in session.jobs():
        if requirements is None or job.requirement.id in requirements:
            yield session.finding(job)


def require_told(finding):
    """Require a failure's text, and a script that Python can read."""
    assert "suite itself" not in finding.message
    assert printable(finding.message) == finding.message
    compile(Path(finding.reproducer).read_text("utf-8"), finding.reproducer, "exec")


@pytest.fixture(scope="module")
def of_lazy(tmp_path_factory):
    return list(findings(Lazy(), tmp_path_factory.mktemp("lazy")))


def test_no_result_of_an_adapter_breaks_the_suite(of_lazy):
    failed = [found for found in of_lazy if found.status is Status.FAILED]
    assert len(failed) > 150
    for found in failed:
        require_told(found)


def test_no_exception_of_an_adapter_breaks_the_suite(tmp_path):
    failed = [found for found in findings(Raising(), tmp_path) if found.status is Status.FAILED]
    assert len(failed) > 150
    for found in failed:
        require_told(found)


def test_the_failures_of_all_other_requirements_are_told(of_lazy, tmp_path):
    """Requirements that such a result passes fail on a fault of the bank."""
    passed = {found.requirement for found in of_lazy if found.status is Status.PASSED}
    for check in all_checks():
        for fault in [fault for fault in faults("gru") if fault.requirement == check.requirement][:1]:
            if check.requirement in passed:
                for found in findings(fault.build(), tmp_path, {check.requirement}, "quick"):
                    if found.status is Status.FAILED:
                        require_told(found)


# --- text ----------------------------------------------------------------------------------------------


class Loud(str):
    def __str__(self):
        return "\x1b[2Jgone"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, with übung", "plain, with übung"),
        ("two\n\tlines", "two\n\tlines"),
        ("\x1b[2J\x00\r", "\\x1b[2J\\x00\\r"),
        (os.fsdecode(b"mod\xe8le"), "mod\\udce8le"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        (Loud("quiet"), "quiet"),
    ],
)
def test_text_is_made_printable(text, expected):
    assert printable(text) == expected
    assert type(printable(text)) is str
    printable(text).encode("utf-8")


def test_the_text_of_anything_can_be_had():
    assert text_of(Later()) == "no text, because its __str__ raises NoText"
    assert one_line(NoText()) == "no text, because its __str__ raises ValueError"
    assert one_line(ValueError("a\n b\x00")) == "a b\\x00"
    assert len(one_line(ValueError("a" * 1000))) == MAX_MESSAGE_CHARACTERS
    assert str(Failed("\x1b[2J")) == "\\x1b[2J"


class Named(OracleBackend):
    features = Features(kinds={"gru"})

    def __init__(self, name):
        self.name = name

    def layer(self, config, parameters):
        raise RuntimeError("\x1b[2J\x00" + os.fsdecode(b"\xe8"))


@pytest.mark.parametrize("name", ["x" * 300, "ü" * 200, "my lib'; touch pasted; echo '", '"""\\', "a\nb\x1b[2J\udce8"])
def test_names_of_any_kind_are_told_and_the_command_is_one_word_after_the_other(name, tmp_path):
    (found,) = findings(Named(name), tmp_path, {"SHAPE-OUTPUT"})
    require_told(found)
    again = found.message.partition("again: ")[2].partition("\n")[0]
    words = shlex.split(again)
    assert words[:3] == ["pytest", "--pyargs", "conformance"]
    chosen = words[words.index("-k") + 1]
    assert re.fullmatch(r"[]\w.\\[-]+( and (not )?[]\w.\\[-]+)*", chosen)
    assert Path(found.reproducer).is_absolute()
    entry = Path(found.reproducer).with_suffix(".toml").read_text("utf-8")
    run = subprocess.run(
        [sys.executable, "-c", "import sys, tomllib; tomllib.loads(sys.stdin.read())"],
        input=entry, text=True, check=False, encoding="utf-8",
    )  # fmt: skip
    assert run.returncode == 0


def test_a_name_that_is_asked_for_is_quoted(tmp_path):
    settings = Settings.of({"profile": "smoke", "report": tmp_path / "report.json"})
    session = Session(settings, {"exec:python 'my adapter.py'; touch pasted": Named("plain")})
    (job,) = (job for job in session.jobs() if job.requirement.id == "SHAPE-OUTPUT")
    again = session.finding(job).message.partition("again: ")[2].partition("\n")[0]
    words = shlex.split(again)
    assert words[words.index("--backend") + 1] == "exec:python 'my adapter.py'; touch pasted"


# --- claims --------------------------------------------------------------------------------------------


class Kind(enum.StrEnum):
    GRU = "gru"


class Number(enum.StrEnum):
    SINGLE = "float32"


def test_claims_are_kept_as_plain_values():
    odd = Features(
        kinds={Kind.GRU},
        dtypes=Number.SINGLE,
        cells=np.False_,
        lengths=np.bool_(True),
        configurations=np.int64(3),
        fixed_shapes=np.True_,
        float32_arithmetic={Kind.GRU: Number.SINGLE},
    )
    plain = Features(
        kinds={"gru"}, dtypes={"float32"}, cells=False, configurations=3, fixed_shapes=True,
        float32_arithmetic={"gru": "float32"},
    )  # fmt: skip
    assert odd == plain
    assert pickle.dumps(odd) == pickle.dumps(plain)
    for kind in odd.kinds:
        assert type(kind) is str
    assert type(odd.cells) is bool
    assert type(odd.configurations) is int


# --- whose exception it is -----------------------------------------------------------------------------


def test_an_exception_of_the_adapters_code_is_a_failure(tmp_path, monkeypatch):
    (tmp_path / "an_adapter.py").write_text("def broken():\n    raise KeyError('theirs')\n")
    monkeypatch.syspath_prepend(tmp_path)
    import an_adapter

    with pytest.raises(Failed, match="what the backend returned raised KeyError: 'theirs'"):
        guarded(lambda trial: trial())(an_adapter.broken)


def test_an_exception_of_the_suites_own_code_stays_what_it_is():
    def law(trial):
        return np.zeros(3)[trial] + int("no number")

    with pytest.raises(ValueError, match="no number"):
        guarded(law)(0)
    with pytest.raises(Failed, match="as it is"):
        guarded(lambda trial: (_ for _ in ()).throw(Failed("as it is")))(0)


# --- processes -----------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_marked_processes_are_ended_wherever_they_are():
    child = "import subprocess; subprocess.Popen(['sleep', '300'], start_new_session=True)"
    mine = {**os.environ, "A_MARK": "of-this-test"}
    subprocess.run([sys.executable, "-c", child], env=mine, check=True)  # its child is an orphan now
    other = subprocess.Popen(["sleep", "300"], env={**os.environ, "A_MARK": "of-this-test-not"})
    try:
        assert marked("A_MARK=of-this-test")
        end_marked("A_MARK=of-this-test")
        deadline = time.monotonic() + 60
        while marked("A_MARK=of-this-test") and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not marked("A_MARK=of-this-test")
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def marked(mark):
    """Return the processes with ``NAME=value`` in their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in place.read_bytes().split(b"\0"):
                found.append(int(place.parent.name))
        except OSError:
            continue
    return found


# --- what is offered for pasting -----------------------------------------------------------------------


def chosen_by(expression, names):
    """Return the names of tests that pytest's ``-k`` chooses."""
    from _pytest.mark import KeywordMatcher
    from _pytest.mark.expression import Expression

    compiled = Expression.compile(expression)
    return [name for name in names if compiled.evaluate(KeywordMatcher([f"test_of_it[{name}]"]))]


ASKED = ["reference", "my lib", 'it\'s "mine"', "ünïcode", " (or)", "a/b", "\\", "x" * 300]


@pytest.mark.parametrize("name", ASKED)
def test_the_expression_chooses_one_test(name, tmp_path):
    session = Session(
        Settings.of({"profile": "smoke", "report": tmp_path / "r.json"}), {"n:n": built("n:n", Named(name))}
    )
    names = [str(job).encode("unicode_escape").decode("ascii") for job in session.jobs()]
    assert len(set(names)) == len(names)
    for job, written in zip(session.jobs(), names, strict=True):
        if job.requirement.area in ("lengths", "shapes", "cases"):
            assert chosen_by(failure_message._chosen(job), names) == [written]


def test_scripts_of_backends_of_like_names_are_different_files():
    alike = ["my lib", "my-lib", "My-lib", "my_lib", "my  lib", "my.lib", "mÿ lib", "x" * 300, "x" * 301]
    files = [failure_message._file_name(f"SHAPE-OUTPUT-{name}-gru-float32") for name in alike]
    assert len({file.lower() for file in files}) == len(alike)
    assert all(re.fullmatch(r"[a-z0-9_-]{1,200}", file) for file in files)
    assert files[1] == "shape-output-my-lib-gru-float32"


class Verbose(OracleBackend):
    """A backend whose every word is too long."""

    features = Features(kinds={"gru"})
    name, version = "n" * 10**7, "v" * 10**7 + "\x1b[2J"

    def layer(self, config, parameters):
        raise RuntimeError("\x1b[2J" * 10**6)


def test_ten_megabytes_of_version_name_and_message_are_cut(tmp_path):
    (found,) = findings(Verbose(), tmp_path, {"SHAPE-OUTPUT"})
    require_told(found)
    assert len(found.message) < 5000
    backend = built("name:of_it", Verbose())
    assert len(backend.name) == len(backend.version) == MAX_NAME_CHARACTERS


def test_a_working_folder_that_is_gone_is_one_sentence(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    root = Path(__file__).parents[1]
    command = f"cd {shlex.quote(str(folder))}; rmdir {shlex.quote(str(folder))}; exec {shlex.quote(sys.executable)} "
    done = subprocess.run(
        ["sh", "-c", f"{command} -m conformance report x.json --badge b.json"],
        env=os.environ | {"PYTHONPATH": str(root)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        2, "python -m conformance: the working folder is gone; change to another one.\n"
    )  # fmt: skip


def test_the_folder_of_scripts_is_that_of_the_start(tmp_path, monkeypatch):
    before = Settings.of({}).reproducers
    monkeypatch.chdir(tmp_path)
    assert Settings.of({}).reproducers == before == STARTED_IN / ".conformance" / "reproducers"
    assert Settings.of({"report": "r.json"}).reproducers == tmp_path / "r-reproducers"
