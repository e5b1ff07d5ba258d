"""Campaigns: rounds until the time is up, killed and resumed, in several processes, with a line of progress."""

import json
import os
import signal
import subprocess
import sys

import pytest

from conformance.campaign import campaign, journal
from conformance.campaign.campaign import clock_time, duration, round_seed
from conformance.campaign.example_database import opened
from conformance.engine.drawing import Plans
from conformance.engine.example_key import key_of, name_of
from conformance.engine.key import Key
from conformance.specifications.torch_nn import TORCH_NN
from conformance.specifications.torch_nn.strategies import layers
from tests.exploring import ONE, THOROUGH, explored, rows_of, started, until
from tests.rare import Rare
from tests.test_plugin import ROOT, WHY, known, run

SHAPES = "(FORWARD-EQUATION or SHAPE-OUTPUT or SHAPE-DTYPE) and rare"


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("8h", 28800), ("1h30m", 5400), ("0s", 0)])
def test_a_duration(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "h", "2 h", "-1h", "1w", "1h x"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="give a duration like 90s"):
        duration(text)


def test_times_as_one_reads_them():
    assert [clock_time(s) for s in (0, 59.9, 61, 36061)] == ["0:00:00", "0:00:59", "0:01:01", "10:01:01"]


def test_every_round_of_every_process_has_a_seed_of_its_own():
    seeds = {round_seed(s, p, n) for s in (0, 1) for p in ("a-0", "a-1", "b-0") for n in range(1, 1000)}
    assert len(seeds) == 2 * 3 * 999
    assert round_seed(7, "a-0", 3) == round_seed(7, "a-0", 3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--campaign-time", "2x"), "--campaign-time 2x: give a duration like 90s, 30m, 8h or 1h30m."),
        (("--campaign-state", "s"), "say with --campaign-time how long"),
        (("--campaign-time", "1s", "-n", "2"), "a campaign is one process"),
        (("--campaign-time", "1s", "--hypothesis-profile", "quick"), "add --hypothesis-profile thorough"),
        (("--campaign-time", "1s", "--campaign-state", "/dev/null/s"), "no directory can be used there"),
    ],
)
def test_a_campaign_that_cannot_be_is_one_sentence(options, said, tmp_path):
    status, printed = run(*THOROUGH, "--backend", "reference", *options, cwd=tmp_path)
    assert status == 4
    assert said in printed
    assert "Traceback" not in printed


def lines(folder):
    return [line for path in sorted(folder.glob("*.jsonl")) for line in journal.lines(path)]


def test_killed_and_resumed_a_campaign_loses_nothing(tmp_path):
    state = tmp_path / "state"
    process = started(tmp_path / "run", "--campaign-time", "1h", "--campaign-state", state, only=SHAPES)
    try:
        until(lambda: any("verdict" in line for line in lines(state)))
        until(lambda: [line for line in lines(state) if "round" in line and "judged" not in line][2:])
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    told = (tmp_path / "run" / "printed").read_text("utf-8")
    assert told.count("FOUND FORWARD-EQUATION rare gru float32 (round ") == 1, told
    (path,) = state.glob("*.jsonl")
    with open(path, "a") as file:
        file.write('{"judged": ["SHAPE-')  # a write that a kill cut off
    before = journal.merged(state, {"campaign": lines(state)[0]["campaign"]})

    written = len(lines(state))
    process = started(tmp_path / "run", "--campaign-time", "1h", "--campaign-state", state, only=SHAPES)
    try:
        until(lambda: any("SHAPE-DTYPE" in line.get("judged", ()) for line in lines(state)[written:]))
        process.send_signal(signal.SIGINT)  # a Ctrl-C ends the rounds, not the report
        assert process.wait(300) == 1
    finally:
        process.kill()
    printed, rows = (tmp_path / "run" / "printed").read_text("utf-8"), rows_of(tmp_path / "run" / "report.json")
    assert printed.index("campaign resumed: ") < printed.index("FAILS AGAIN FORWARD-EQUATION") < printed.index("left |")
    assert "FOUND" not in printed, "it is not found anew"
    assert rows["FORWARD-EQUATION"]["status"] == "failed"
    assert rows["FORWARD-EQUATION"]["reproducer"]
    assert rows["SHAPE-DTYPE"]["examples"] > before.totals[Key("SHAPE-DTYPE", "rare", "gru", "float32")].examples
    told = json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))["campaign"]
    numbers = [line["round"] for line in told["rounds"]]
    assert numbers == list(range(1, len(numbers) + 1)), "it goes on with the next round"
    assert len(numbers) > len(before.rounds)
    assert [line["seed"] for line in told["rounds"]][: len(before.rounds)] == [line["seed"] for line in before.rounds]
    (found,) = told["found"]
    assert found["requirement"] == "FORWARD-EQUATION"
    assert found["fails_again"] is True


def test_a_failure_with_an_infinite_margin_is_not_lost(tmp_path):
    """JSON has no infinity, the ratio of an error to an allowed error of 0."""
    key = ["STATE-INITIAL", "rare", "gru", "float32", "torch.nn"]
    verdict = {"failure": "off by 0.2, allowed 0", "margin": float("inf"), "steps": [0.5, float("inf")]}
    found = {"judged": key, "examples": 1, "seconds": 0.1, "process": "p", "round": 1, "seed": 2, "verdict": verdict}
    mine = journal.Journal(tmp_path, {"campaign": []})
    mine.write(found | {"margin": float("inf"), "steps": [float("inf")]})
    record = journal.merged(tmp_path, {"campaign": []})
    assert record.lost == []
    (total,) = record.totals.values()
    assert (total.margin, total.steps) == (sys.float_info.max, [sys.float_info.max])
    assert total.found["verdict"] == verdict | {"margin": sys.float_info.max, "steps": [0.5, sys.float_info.max]}


def test_a_case_of_a_known_failure_is_known_with_it(tmp_path):
    fault, case = "gru-gates-r-z", "CASE-GRU-NAN"
    given = {"backend": f"conformance.faults:{fault}", "only": f"{case}-{fault} and float32"}
    options = ("--campaign-time", "1h", "--campaign-state", tmp_path / "state")
    status, printed, _ = explored(tmp_path / "found", *options, **given)
    assert status == 1
    assert f"FOUND {case} {fault} gru float32" in printed
    assert "| 1 failed\n" in printed
    entry = {"requirement": "GRU-GATE-ORDER", "backend": fault} | WHY
    listed = (*known(tmp_path, entry), "--campaign-time", "1h")
    status, printed, rows = explored(tmp_path / "known", *listed, **given)
    assert rows[case]["status"] == "known_failure"
    assert f"KNOWN {case} {fault} gru float32" in printed
    assert "FOUND" not in printed
    assert "| 0 failed, 1 known\n" in printed
    status, printed, _ = explored(tmp_path / "resumed", *listed, *options[2:], **given)
    assert "1 rounds, 1 examples, 0 failed, 1 known so far" in printed, "also what an earlier start has found"


def test_a_find_is_reproduced_by_the_seed_that_is_told(tmp_path):
    options = ("--campaign-time", "60s", "--conformance-examples", "30")
    status, printed, _ = explored(tmp_path / "one", *options)
    assert status == 1, printed
    assert f"again: pytest --pyargs conformance --backend tests.rare:Rare --hypothesis-profile {THOROUGH[3]}" in printed
    seed = json.loads((tmp_path / "one" / "report.json").read_text("utf-8"))["campaign"]["found"][0]["seed"]
    assert f"--conformance-seed {seed} --conformance-examples 30 -k" in printed
    status, printed, rows = explored(
        tmp_path / "other", "--conformance-seed", str(seed), "--conformance-examples", "30"
    )
    assert status == 1, printed
    assert rows["FORWARD-EQUATION"]["status"] == "failed"


def test_processes_that_share_a_state_draw_different_examples_and_are_one_campaign(tmp_path):
    state = tmp_path / "state"
    options = ("--campaign-time", "1h", "--campaign-state", state, "--conformance-seed", "1")
    only = "SHAPE-OUTPUT-rare"
    processes = [started(tmp_path / name, *options, only=only) for name in ("one", "other")]
    try:
        until(lambda: sum(any("judged" in line for line in _journal(path)) for path in state.glob("*.jsonl")) == 2)
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    first, second = ([line for line in _journal(path) if "seed" in line] for path in sorted(state.glob("*.jsonl")))
    assert first
    assert second
    assert not {line["seed"] for line in first} & {line["seed"] for line in second}
    features = Rare().features
    drawn = [{*Plans(lines[0]["seed"]).block(TORCH_NN, layers, features, 0)} for lines in (first, second)]
    assert len(drawn[0] & drawn[1]) < 0.1 * len(drawn[0])
    assert {line["process"] for line in first}.isdisjoint(line["process"] for line in second)
    judged = sum(line["examples"] for line in lines(state) if "judged" in line)
    status, printed, rows = explored(
        tmp_path / "merged", "--campaign-time", "0s", "--campaign-state", str(state), only=only
    )
    assert status == 0, printed
    assert rows["SHAPE-OUTPUT"]["examples"] == judged
    told = json.loads((tmp_path / "merged" / "report.json").read_text("utf-8"))["campaign"]
    assert len(told["rounds"]) == len(first) + len(second)


def _journal(path):
    return list(journal.lines(path))


def test_what_was_not_reached_is_no_pass(tmp_path):
    status, _, rows = explored(tmp_path / "run", "--campaign-time", "0s", "--campaign-state", str(tmp_path / "state"))
    assert status == 1
    assert not rows
    report = json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))
    (row,) = (row for row in report["requirements"] if row["status"] == "blocked")
    assert row["message"].startswith("not run: the campaign's time was up")


def test_a_state_of_another_campaign_is_refused(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (state / "a-0.jsonl").write_text('{"campaign": ["suite 0.0.1", "rare (1)"]}\n', "utf-8")
    options = ("--campaign-time", "1s", "--campaign-state", state, "-k", ONE)
    status, printed = run(*THOROUGH, "--backend", "tests.rare:Rare", *options, cwd=tmp_path)
    assert status == 4
    assert "holds a campaign of suite 0.0.1; rare (1), and this is one of suite" in printed


class Terminal:
    """The part of pytest's reporter that a campaign uses."""

    def __init__(self, isatty):
        self.isatty, self.written = isatty, []

    def ensure_newline(self):
        pass

    def write_line(self, line):
        self.written.append(("line", line))

    def rewrite(self, line, erase):
        self.written.append(("rewrite", line))


class Still:
    """A campaign halfway through its 100 seconds."""

    seconds, before, jobs, known = 100.0, 1000, {}, set()
    own = all = journal.Record()
    failures = campaign.Campaign.failures


@pytest.mark.parametrize(("isatty", "how"), [(True, "rewrite"), (False, "line")])
def test_the_progress_on_a_terminal_and_in_a_log(isatty, how, monkeypatch):
    now = 0.0
    monkeypatch.setattr(campaign.time, "monotonic", lambda: now)
    terminal = Terminal(isatty)
    progress = campaign.Progress(Still(), terminal)
    now = 50.0
    progress.tick()
    progress.tick()
    assert [kind for kind, _ in terminal.written] == [how], "once, as no time has passed between"
    assert "campaign 0:00:50, 0:00:50 left | round 0, 0 of 0 checks | 0 examples" in terminal.written[0][1]


def test_hypofuzz_finds_a_fault_and_a_run_replays_it(tmp_path, monkeypatch):
    monkeypatch.delenv("HYPOTHESIS_NO_PLUGINS", raising=False)
    fault, place = "gru-update-inverted", tmp_path / "examples"
    key = key_of(name_of("FORWARD-EQUATION", fault, "gru", "float32"))
    database = opened(str(place))
    backend = f"conformance.faults:{fault}"
    arguments = ("--pyargs", "conformance", "--backend", backend, "-k", f"FORWARD-EQUATION-{fault}-gru")
    fuzz = ("fuzz", "-n", "1", "--no-dashboard", "--", *arguments, "--example-database", str(place))
    with open(tmp_path / "printed", "w") as printed:
        process = subprocess.Popen(
            [sys.executable, "-c", "from hypothesis.extra.cli import main; main()", *fuzz],
            cwd=ROOT,
            env=os.environ | {"CI": "true"},  # Hypothesis has other settings there
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(lambda: list(database.fetch(key)))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        print((tmp_path / "printed").read_text("utf-8"))
    _, printed, rows = explored(tmp_path / "run", "--example-database", str(place), backend=backend, only=arguments[-1])
    assert rows["FORWARD-EQUATION"]["status"] == "failed"
    assert f"--example-database {place} -k" in printed, "by an example of the database"
