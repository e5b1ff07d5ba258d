"""Isolation: a backend cannot stop the run, which ends normally, reports what happened, and leaves no process."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from conformance.backends.exec_protocol import decoded
from conformance.engine.profiles import PROFILES
from conformance.engine.subject import Clock
from conformance.isolation.host_process import HostProcess
from conformance.isolation.isolated_backend import NOTHING, IsolatedBackend
from conformance.isolation.system import guarded
from conformance.isolation.task import Task
from tests.hostile import HIDDEN_DAEMON
from tests.killed_runs import processes
from tests.test_plugin import ROOT, run

QUICK = ("--hypothesis-profile", "quick", "-q")
FEW = ("-k", "SHAPE-OUTPUT or LENGTHS-FULL or SHAPE-DTYPE")


def report_of(tmp_path, *arguments, cwd=ROOT):
    """Run the suite; return exit status, output and the report."""
    file = tmp_path / "report.json"
    status, printed = run("--pyargs", "conformance", *QUICK, "--conformance-report", str(file), *arguments, cwd=cwd)
    assert "INTERNALERROR" not in printed, printed
    assert file.exists(), printed
    return status, printed, json.loads(file.read_text())


def failures(report):
    return {row["id"]: row["message"] for row in report["requirements"] if row["status"] == "failed"}


# Backends of tests/hostile.py, and the messages of their failures.
HOSTILE = {
    "Killed": "forward: the backend's process ended by signal 9 (SIGKILL)\n  printed:\n    about to be killed\n",
    "Exits": "forward: the backend's process ended with exit status 3",
    "ExitsWithSuccess": "forward: the backend's process ended with exit status 0",
    "Segfaults": "forward: the backend's process ended by signal 11 (SIGSEGV)",
    "NeverForked": "forward: the backend's process ended by signal 11 (SIGSEGV)",
    "Stops": "forward: the backend's process gave no answer within 4 s and was killed",
    "Loops": "forward: the backend's process gave no answer within 4 s and was killed",
    "LoopsHoldingTheInterpreter": "forward: the backend's process gave no answer within 4 s and was killed",
    "LoopsDeafToSignals": "forward: the backend's process gave no answer within 4 s and was killed",
    "Floods": "the backend's process printed more than 16 MiB in one",
    "Forks": "the backend forked, and the new process returned from the call as well",
    "LeavesAProcess": "forward: the backend's process ended with exit status 3",
    "ThreadRaises": "a thread of the backend raised ZeroDivisionError",
    "RaisesSystemExit": "forward raised SystemExit: giving up",
    "RaisesKeyboardInterrupt": "forward raised KeyboardInterrupt: stop all of it",
    "Skips": "forward raised Skipped: nothing to see here",
    "ClosesEverything": "the backend's process ended",
    "KillsItsParent": "the backend's process ended, and what started it as well",
    "KillsItsParentAndGoesOn": "the backend's process ended, and what started it as well",
    "ClosesEverythingAndStays": "the backend's process closed its connection to the suite and was killed",
    "LeavesItsGroup": "forward: the backend's process gave no answer within 4 s and was killed",
    "SendsAPickle": "forward: the backend's process sent a message that is not the suite's, and was killed",
    "SendsOtherFields": "the backend's process sent what is no Verdict, and was killed",
    "SendsInfiniteSeconds": "the backend's process sent seconds that are none, and was killed",
    "SendsManyItems": "the backend's process sent a message of more than 1048576 items, and was killed",
    "SendsTooMuch": "sent a message of 3221225472 bytes, more than the 64 MiB allowed, and was killed",
    "AsksTheDatabaseToRun": "the backend's process sent a request that is not the suite's, and was killed",
}


MISTAKEN = {
    "Masked": ("SHAPE-OUTPUT", "output: got a masked array, expected a plain NumPy array"),
    "MaskedParameters": ("PARAM-VALUES", "got a masked array, expected a plain NumPy array"),
    "Subclass": ("SHAPE-OUTPUT", "output: got AlwaysEqual, a subclass of numpy.ndarray, expected a plain NumPy array"),
    "FailsWithoutAWord": ("SHAPE-OUTPUT", "it failed without a word of what is wrong"),
    "NotImplementedForUnclaimed": ("UNCLAIMED-NO-BIAS", "got NotImplementedError (no bias), expected Unsupported"),
}


@pytest.mark.parametrize("name", MISTAKEN)
def test_an_honest_mistake_is_a_failure_of_the_adapter(name, tmp_path):
    requirement, said = MISTAKEN[name]
    status, printed, report = report_of(tmp_path, "--backend", f"tests.hostile:{name}", "-k", f"gru and {requirement}")
    assert status == 1, printed
    assert said in failures(report)[requirement]
    assert "the suite itself failed" not in printed


def test_nothing_under_a_mask_passes_a_case(tmp_path):
    _, _, report = report_of(tmp_path, "--backend", "tests.hostile:Masked", "-k", "CASE-GRU-PACKED-BIDIRECTIONAL")
    assert "got a masked array" in failures(report)["CASE-GRU-PACKED-BIDIRECTIONAL"]


def test_hostile_backends_fail_and_the_run_goes_on(tmp_path, subtests):
    """Most of their time is waiting, so that they run six at a time."""
    backends = [option for name in HOSTILE for option in ("--backend", f"tests.hostile:{name}")]
    limits = ("--conformance-timeout", "4", "--conformance-processes", "6")
    status, printed, reports = report_of(tmp_path, *backends, *FEW, *limits)
    assert status == 1, printed
    assert [report["backend"]["name"] for report in reports] == [name.lower() for name in HOSTILE]
    for name, report in zip(HOSTILE, reports, strict=True):
        with subtests.test(name):
            failed = failures(report)
            assert "SHAPE-OUTPUT" in failed
            for message in failed.values():
                assert HOSTILE[name] in message
            judged = {row["id"]: row["status"] for row in report["requirements"] if row["status"] != "not_claimed"}
            assert set(judged) == {"SHAPE-OUTPUT", "SHAPE-DTYPE", "LENGTHS-FULL"}
            assert set(judged.values()) <= {"failed", "blocked"}, "the first failure may explain the others"


def test_a_backend_that_grows_too_large_fails(tmp_path):
    limits = ("--conformance-timeout", "120", "--conformance-memory", "1")
    status, printed, report = report_of(tmp_path, "--backend", "tests.hostile:Grows", "-k", "SHAPE-OUTPUT", *limits)
    assert status == 1, printed
    assert re.search(r"grew to 1\.\d GiB, beyond the 1 GiB allowed", failures(report)["SHAPE-OUTPUT"])


def test_an_exception_from_a_destructor_fails(tmp_path):
    status, printed, report = report_of(
        tmp_path, "--backend", "tests.hostile:RaisesInDestructors", "-k", "LENGTHS-FULL"
    )
    assert status == 1, printed
    said = "Resource.__del__ raised ValueError where nobody can catch it: the handle was freed twice"
    assert failures(report)["LENGTHS-FULL"].startswith(said)


@pytest.mark.parametrize("name", ["Chatters", "ForksAWorker", "LeavesAThread"])
def test_what_is_unusual_but_not_wrong_passes(name, tmp_path):
    status, printed, report = report_of(tmp_path, "--backend", f"tests.hostile:{name}", *FEW)
    assert status == 0, printed
    assert report["summary"]["passed"] == 3


def test_a_run_in_which_every_forward_pass_crashes_is_complete(tmp_path):
    status, printed, report = report_of(tmp_path, "--backend", "tests.hostile:Segfaults")
    assert status == 1, printed
    assert report["summary"]["complete"]
    assert report["summary"]["blocked"] > 100
    # Requirements that need no forward pass still have a verdict.
    passed = {row["id"] for row in report["requirements"] if row["status"] == "passed"}
    assert {"PARAM-NAMES", "CELL-SHAPES", "REFUSE-KIND"} <= passed
    assert all("SIGSEGV" in message for message in failures(report).values())
    assert "hostile.py" in failures(report)["SHAPE-OUTPUT"], "where the process was, as Python's fault handler tells"


def test_what_a_wrong_argument_broke_is_not_held_against_what_follows(tmp_path):
    _, printed, report = report_of(tmp_path, "--backend", "tests.hostile:WrongAfterWhatItTakes")
    failed = set(failures(report))
    assert "REFUSE-STATE-ROWS" in failed, printed
    others = {name for name in failed if "REFUSE-STATE-ROWS" not in name}
    assert others <= {"UNCLAIMED-DTYPE"}, printed  # the oracle behind it accepts unclaimed float64
    assert report["summary"]["passed"] > 150


def test_a_crash_is_made_smaller(tmp_path):
    command = ("--backend", "tests.hostile:SegfaultsOnSeveralSteps", "-k", "SHAPE-OUTPUT")
    _, _, report = report_of(tmp_path, *command)
    message = failures(report)["SHAPE-OUTPUT"]
    smallest = re.search(r"smallest failing call: gru layer\(input_size=1, hidden_size=1, .*x \((\d+), 1, 1\)", message)
    assert int(smallest[1]) > 3


def test_what_hangs_three_times_is_not_waited_for_again(tmp_path):
    status, printed, report = report_of(tmp_path, "--backend", "tests.hostile:HangsOnce", "--conformance-timeout", "2")
    assert status == 1, printed
    gru = [row for row in report["requirements"] if (row["kind"], row["dtype"]) == ("gru", "float32")]
    failed = [row for row in gru if row["status"] == "failed"]
    assert sum("gave no answer" in row["message"] for row in failed) == 3
    blocked = [row["message"] for row in gru if row["status"] == "blocked"]
    hung = [told for told in blocked if told.startswith("not run: 3 requirements of gru float32 hung before")]
    assert len(hung) > 20
    assert re.search(r"not run: \d+ requirements of kinds and dtypes in which too many calls hung: [A-Z]", printed)
    assert all(told.startswith("it fails as well") for told in blocked if told not in hung)
    assert report["summary"]["complete"]
    assert {row["status"] for row in report["requirements"] if row["kind"] == "rnn_tanh"} == {"passed", "not_claimed"}


def test_a_known_hang_does_not_count(tmp_path):
    file = tmp_path / "known.toml"
    ids = ("SHAPE-OUTPUT", "SHAPE-H-N", "SHAPE-DTYPE", "STATE-LAST-OUTPUT")
    text = "[[known_failure]]\nrequirement = '{}'\nkind = 'gru'\nreason = 'hangs'\nissue = 'none'\n"
    file.write_text("".join(text.format(name) for name in ids))
    status, printed, report = report_of(
        *(tmp_path, "--backend", "tests.hostile:HangsOnce", "-k", f"gru and ({' or '.join(ids)})"),
        *("--conformance-timeout", "1", "--known-failures", str(file)),
    )
    assert status == 0, printed
    assert report["summary"]["known_failures"] == len(ids)
    assert report["summary"]["blocked"] == 0


@pytest.mark.parametrize(
    "name", ["reference", "conformance.faults:lstm-gates-i-o-f-g", "conformance.faults:padding-multiplied-by-zero"]
)
def test_isolation_changes_nothing_but_seconds(name, tmp_path):
    def rows(isolation):
        command = (
            "--backend",
            name,
            "-k",
            "lstm-float32 and (LENGTHS or GATE-ORDER or CELL-EQUATION)",
            "--conformance-isolation",
        )
        _, _, report = report_of(tmp_path, *command, isolation)
        return [{**row, "seconds": 0} for row in report["requirements"]]

    assert rows("process") == rows("none")


def test_seconds_are_those_of_the_workers(tmp_path):
    _, printed, report = report_of(tmp_path, "--backend", "reference", "-k", "LENGTHS-EQUATION")
    seconds = report["summary"]["seconds"]
    assert set(seconds) >= {"suite", "backend", "drawing", "tolerance", "oracle", "isolation"}
    assert all(value >= 0 for value in seconds.values())
    assert "isolation 0." in printed


IMPORTS = {
    "import ctypes\nctypes.string_at(0)\n": "its process ended by signal 11 (SIGSEGV) while it was imported and built.",
    "import os\nos._exit(5)\n": "its process ended with exit status 5 while it was imported and built.",
    "while True: pass\n": "gave no answer within 5 s and was killed while it was imported and built.",
    "raise KeyboardInterrupt('stop')\n": "cannot be built (KeyboardInterrupt: stop).",
    "import os\nos.fork()\nraise OSError('twice')\n": "cannot be imported (OSError: twice).",
}


@pytest.mark.parametrize("source", IMPORTS)
def test_an_import_that_ends_the_process_is_one_sentence(source, tmp_path):
    (tmp_path / "hostile_import.py").write_text(source)
    command = ("--pyargs", "conformance", "--backend", "hostile_import:X", *QUICK, "--conformance-timeout", "1")
    status, printed = run(*command, cwd=tmp_path)
    assert status == 4, printed
    assert IMPORTS[source] in printed
    assert len([line for line in printed.splitlines() if line.strip()]) == 1, printed


@pytest.mark.parametrize("option", ["--conformance-timeout", "--conformance-memory"])
def test_a_limit_of_nothing_is_refused(option):
    status, printed = run("conformance", "--backend", "reference", *QUICK, option, "0")
    assert status == 4
    assert f"{option}: give a number above 0" in printed


def test_the_process_of_pytest_never_imports_the_adapter(tmp_path):
    (tmp_path / "conftest.py").write_text(
        "import sys\ndef pytest_sessionfinish():\n    print('imported', 'tests.hostile' in sys.modules)\n"
    )
    command = ("-c", os.devnull, "--rootdir", str(tmp_path), "-p", "conftest", "-s")
    shutil.copytree(ROOT / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    _, printed, _ = report_of(tmp_path, "--backend", "tests.hostile:Chatters", *FEW, *command, cwd=tmp_path)
    assert "imported False" in printed


def test_each_worker_of_xdist_has_its_own_processes(tmp_path):
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    status, printed, report = report_of(tmp_path, "--backend", "tests.hostile:Segfaults", *FEW, "-n", "2")
    assert status == 1, printed
    assert "SHAPE-OUTPUT" in failures(report)
    assert report["summary"]["failed"] + report["summary"]["blocked"] == 3


# --- no process is left ---------------------------------------------------------------------------------


def marked(mark):
    """Return the processes with the mark in their environment, without zombies."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("Loops", signal.SIGINT),
        ("LoopsHoldingTheInterpreter", signal.SIGINT),
        ("LoopsHoldingTheInterpreter", signal.SIGKILL),
        ("LeavesAProcess", signal.SIGKILL),
    ],
)
def test_no_process_outlives_the_run(name, number):
    mark = uuid.uuid4().hex
    command = [sys.executable, "-m", "pytest", "-p", "conformance.plugin", "conformance", *QUICK]  # long enough
    process = subprocess.Popen(
        [*command, "--backend", f"tests.hostile:{name}"],
        cwd=ROOT,
        env=os.environ | {"MARK_OF_TEST": mark},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # In the background of a shell these tests ignore the interrupt, and their children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        wait_for(lambda: len(marked(mark)) >= 3 + guarded(), "pytest, the guard, the server and a worker run")
        time.sleep(0.5)
        process.send_signal(number)
        process.wait(300)
        assert process.returncode == (2 if number == signal.SIGINT else -number)
        wait_for(lambda: not marked(mark), "none of them is left")
    finally:
        process.kill()


def wait_for(condition, what, seconds=300):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("name", ["LeavesADaemon", "LeavesADaemonAndDies"])
def test_a_daemon_does_not_outlive_the_run_without_forks_either(name, tmp_path, monkeypatch):
    mark = uuid.uuid4().hex
    monkeypatch.setenv("MARK_OF_TEST", mark)
    status, printed, _ = report_of(tmp_path, "--backend", f"tests.hostile:{name}", "-k", "SHAPE-OUTPUT")
    assert status == (1 if name.endswith("Dies") else 0), printed
    wait_for(lambda: not marked(mark), "none of them is left")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux gives the guard what others leave")
@pytest.mark.parametrize("name", ["", "AndDies", "FromAFork"])
def test_a_daemon_of_which_nothing_tells_whose_it_is_does_not_outlive_the_run(name, tmp_path, monkeypatch):
    daemon = f"600.{uuid.uuid4().int % 10**9:09}"
    monkeypatch.setenv(HIDDEN_DAEMON, daemon)
    _, printed, _ = report_of(tmp_path, "--backend", f"tests.hostile:LeavesAHiddenDaemon{name}", "-k", "SHAPE-OUTPUT")
    assert processes(daemon.encode()) == [], printed


def test_claims_of_an_adapter_s_own_classes_cross_as_plain_data(tmp_path):
    status, printed, report = report_of(
        tmp_path, "--backend", "tests.hostile:ClaimsOfItsOwnClasses", "-k", "SHAPE-OUTPUT"
    )
    assert status == 0, printed
    claims = report["backend"]["features"]
    assert (claims["kinds"], claims["parameters"], claims["configurations"]) == (["gru"], True, 50)
    assert claims["by_kind"] == {"gru": {"most_steps": 40}}


def test_claims_that_cannot_cross_are_one_sentence():
    status, printed = run("conformance", "--backend", "tests.hostile:ClaimsThatCannotBeTold", *QUICK)
    assert status == 4, printed
    assert "cannot be built (ValueError: most_steps: expected None or at least 1, got <object object at " in printed
    assert len([line for line in printed.splitlines() if line.strip()]) == 1, printed


def test_an_end_of_the_run_while_a_failure_is_confirmed_leaves_no_socket(monkeypatch):
    isolated = IsolatedBackend("reference", 20, 4)
    task = Task("torch.nn", "SHAPE-OUTPUT", 0, "gru", "float32", PROFILES["smoke"], 0)
    fork = HostProcess.fork

    def interrupted(host):
        isolated.abandon()
        return fork(host)

    try:
        isolated.run(task, NOTHING, Clock(), patient=False)
        kept = isolated._worker.channel.connection
        monkeypatch.setattr(HostProcess, "fork", interrupted)
        assert not isolated.afresh(task, NOTHING, Clock()).passed
        assert kept.fileno() == -1
    finally:
        isolated.close()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are looked up in /proc")
def test_processes_that_the_backend_leaves_are_ended(tmp_path, monkeypatch):
    mark = uuid.uuid4().hex
    monkeypatch.setenv("MARK_OF_TEST", mark)
    status, _, _ = report_of(tmp_path, "--backend", "tests.hostile:LeavesAProcess", *FEW)
    assert status == 1
    monkeypatch.delenv("MARK_OF_TEST")
    wait_for(lambda: not marked(mark), "none of them is left")


# --- exec: ----------------------------------------------------------------------------------------------

SAMPLE = ROOT / "examples" / "exec_adapter.py"
PYTHON = f"exec:{sys.executable} "


def test_the_sample_in_python_conforms(tmp_path):
    status, printed, report = report_of(tmp_path, "--backend", f"{PYTHON}{SAMPLE}")
    assert status == 0, printed
    assert report["backend"]["name"] == "plain-python"
    assert report["summary"]["conformant"]
    assert "import numpy" not in SAMPLE.read_text()


def test_the_sample_in_javascript_conforms(tmp_path):
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    status, printed, report = report_of(tmp_path, "--backend", f"exec:node {SAMPLE.with_suffix('.mjs')}")
    assert status == 0, printed
    assert report["backend"]["name"] == "plain-javascript"
    assert report["summary"]["conformant"]


def sample(tmp_path, *changes, file="changed_adapter.py"):
    """Write the sample adapter with changes of its text and return its name as a backend."""
    text = SAMPLE.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / file).write_text(text)
    return f"{PYTHON}{tmp_path / file}"


def test_a_wrong_program_is_told_as_any_backend(tmp_path):
    name = sample(tmp_path, ("math.tanh(a[2 * H + k] + r[k] * b[2 * H + k])", "math.tanh(a[2 * H + k] + b[2 * H + k])"))
    _, _, report = report_of(tmp_path, "--backend", name, "-k", "GRU-RESET-GATE")
    assert "expected" in failures(report)["GRU-RESET-GATE"]


ANSWER = "    print(json.dumps(reply), flush=True)"
FORWARD = "    if 'output' in reply.get('result', ()):\n        "
MALFORMED = {
    "print('loading kernels')": "forward: the command wrote a line that is not JSON: 'loading kernels'",
    "print('[' * 200_000)": "forward: the command wrote a line that is not JSON: '[[[[",
    "reply['result']['h_n']['shape'] = [1 << 40, 1 << 40]": "numbers; give",
    "print('[1, 2]')": "forward: the command's answer has not one of result, unsupported and error: '[1, 2]'",
    "reply['id'] += 1": "forward: the command answered request",
    "reply['result'] = []": "forward: the command's result is no object",
    "reply['result']['output']['data'] = 'AAAA'": "forward: output of the command's answer: got 3 bytes, expected",
    "reply['result']['h_n']['data'] = '*'": "h_n of the command's answer: its data are not base64",
    "reply['result']['h_n']['dtype'] = 'int8'": "h_n of the command's answer: got dtype 'int8', expected one of",
    "reply['result']['h_n']['shape'] = [-1]": "h_n of the command's answer: got shape [-1], expected a list of",
    "reply['result']['h_n'] = 3": "h_n of the command's answer: an array is an object of dtype, shape and data",
    "print('{\"id\": 1', end='', flush=True); sys.exit()": "forward: the command's answer broke off",
    "sys.exit(7)": "forward: the command ended with exit status 7 without an answer",
    "import os; os.kill(os.getpid(), 11)": "forward: the command ended by signal 11 without an answer",
    "import time; time.sleep(600)": "forward: the backend's process gave no answer within 2 s and was killed",
}


def test_a_malformed_answer_is_one_failure_and_no_refusal(tmp_path, subtests):
    backends: list[str] = []
    for number, mistake in enumerate(MALFORMED):
        named = ('"name": "plain-python"', f'"name": "sample-{number}"')
        changes = (named, (ANSWER, f"{FORWARD}{mistake}\n{ANSWER}"))
        backends += ["--backend", sample(tmp_path, *changes, file=f"sample_{number}.py")]
    few = ("-k", "lstm-float32 and (SHAPE-OUTPUT or PARAM-NAMES)", "--conformance-timeout", "2")
    status, printed, reports = report_of(tmp_path, *backends, *few)
    assert status == 1, printed
    for (mistake, said), report in zip(MALFORMED.items(), reports, strict=True):
        with subtests.test(mistake):
            failed = failures(report)
            assert set(failed) == {"SHAPE-OUTPUT"}, "the command is started again, and the rest is decided"
            assert said in failed["SHAPE-OUTPUT"]


def test_an_answer_that_no_parser_takes_is_no_refusal(tmp_path):
    name = sample(tmp_path, (ANSWER, f"    if 'result' not in reply:\n        print('[' * 200_000)\n{ANSWER}"))
    _, _, report = report_of(tmp_path, "--backend", name, "-k", "gru-float32 and REFUSE-STATE-ROWS")
    assert "not JSON" in failures(report)["REFUSE-STATE-ROWS"]


@pytest.mark.parametrize("name", ["error", "unsupported"])
def test_an_error_inside_of_result_is_no_refusal_and_not_taken_for_an_accepted_call(name, tmp_path):
    inside = (
        f"    if 'result' not in reply:\n        reply['result'] = {{'{name}': reply.pop('error', 'no')}}\n{ANSWER}"
    )
    _, _, report = report_of(
        tmp_path, "--backend", sample(tmp_path, (ANSWER, inside)), "-k", "gru-float32 and REFUSE-STATE-ROWS"
    )
    said = failures(report)["REFUSE-STATE-ROWS"]
    assert f"the command's {name} is inside of result, it belongs in its place" in said
    assert "accepted" not in said


def test_a_program_that_ends_does_not_refuse(tmp_path):
    name = sample(tmp_path, ('reply["error"] = f', "sys.exit()\n        reply['error'] = f"))
    status, _, report = report_of(tmp_path, "--backend", name, "-k", "gru-float32 and REFUSE-INPUT-FEATURES")
    assert status == 1
    assert "the command ended with exit status 0 without an answer" in failures(report)["REFUSE-INPUT-FEATURES"]


def test_error_and_unsupported_are_told(tmp_path):
    name = sample(tmp_path, ("        T, N = x", "        raise ValueError('no kernel')\n        T, N = x"))
    _, _, report = report_of(tmp_path, "--backend", name, "-k", "gru-float32 and SHAPE-OUTPUT")
    assert "forward raised AdapterError: ValueError: no kernel" in failures(report)["SHAPE-OUTPUT"]
    name = sample(tmp_path, ("        T, N = x", "        raise Unsupported('no batch of one')\n        T, N = x"))
    _, _, report = report_of(tmp_path, "--backend", name, "-k", "gru-float32 and SHAPE-OUTPUT")
    assert "forward was refused though it is claimed: no batch of one" in failures(report)["SHAPE-OUTPUT"]


HELLOS = {
    "exec:": "there is no command after exec:",
    "exec:'": "the command cannot be split into words (No closing quotation)",
    "exec:no-such-program": "the command cannot be started ([Errno 2] No such file or directory: 'no-such-program')",
    "exec:false": "the command ended with exit status 1 without an answer",
    "exec:echo ready": "the command wrote a line that is not JSON: 'ready'",
    "exec:cat": "the command's answer has not one of result, unsupported and error",
}


@pytest.mark.parametrize("name", HELLOS)
def test_a_command_without_a_hello_is_one_sentence(name):
    status, printed = run("conformance", "--backend", name, *QUICK)
    assert status == 4, printed
    assert f"backend {name!r}: {HELLOS[name]}" in printed.replace('"', "'") or f": {HELLOS[name]}" in printed
    assert len([line for line in printed.splitlines() if line.strip()]) == 1, printed


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"protocol": 1', '"protocol": 2', "the command speaks protocol 2, not 1"),
        ('"name": "plain-python"', '"name": ""', "the command's hello has no name, a string"),
        ('"features": FEATURES', '"features": []', "the command's hello has no features, an object"),
        ('"parameters": True}', '"backwards": True}', "the command claims 'backwards'; the features are kinds, dtypes"),
        ("list(GATES),", "['lsmt'],", "the command's features: kinds: expected some of rnn_tanh, rnn_relu, lstm, gru"),
    ],
)
def test_a_hello_that_is_not_valid_is_one_sentence(old, new, said, tmp_path):
    status, printed = run("conformance", "--backend", sample(tmp_path, (old, new)), *QUICK)
    assert status == 4, printed
    assert said in printed
    assert "Traceback" not in printed


def test_handles_are_released(tmp_path):
    name = sample(
        tmp_path,
        (
            "            del layers",
            "            print('released', len(layers), file=sys.stderr)\n            del layers",
        ),
    )
    _, printed, _ = report_of(tmp_path, "--backend", name, "-k", "gru-float32 and LENGTHS-FULL or PARAM-VALUES", "-rA")
    held = [int(number) for number in re.findall(r"released (\d+)", printed)]
    assert held
    assert max(held) < 200


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_arrays_cross_bit_by_bit(dtype):
    import numpy as np

    from conformance.backends.exec_protocol import _encoded

    array = np.asfortranarray(np.random.default_rng(0).standard_normal((3, 4)).astype(dtype))
    array[0, 0] = np.nan
    back = decoded(json.loads(json.dumps(_encoded(array))))
    assert back.dtype == array.dtype
    assert back.tobytes() == array.tobytes()
    assert decoded(_encoded(array.astype(array.dtype.newbyteorder(">")))).tobytes() == array.tobytes()


def test_torchs_pool_of_threads_is_renewed_before_two_threads_can_meet_there():
    # Two threads that both begin in a forked process race for a new pool: one of them may find none.
    script = """
import os, torch
from conformance.isolation.forks import renew_thread_pools
torch.set_num_threads(9)
torch.get_num_threads()  # after this, torch leaves the pool to the threads of its children
child = os.fork()
if child == 0:
    renew_thread_pools()
    print(len(os.listdir("/proc/self/task")), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.stdout == "9\n", done
