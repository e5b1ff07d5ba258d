"""Shards: the merged report equals the report of one run, and only all parts of one run are merged."""

import json
import subprocess
import sys

import pytest

from conformance.registry import backend
from conformance.reporting.reading import BadReport
from conformance.runs import shards
from conformance.runs.prerequisites import settle
from conformance.runs.selection import Speaker, costs_of, keys_of
from conformance.runs.shards import Shard
from conformance.specifications.torch_nn import TORCH_NN
from tests.test_cascade import SOME, finding, key
from tests.test_plugin import ROOT, WHY, known, run

ADAPTER = """
from dataclasses import replace
from conformance.specifications.torch_nn.faults import BANK

def wrong():
    backend = BANK["lengths-ignored"].build()
    backend.name, backend.version = "wrong", "1"
    claims = dict(kinds={"gru"}, dtypes={"float32"}, gradients=False, dropout=False, initialization=False)
    backend.features = replace(backend.features, **claims)
    return backend
"""
FEW = ("--pyargs", "conformance", "--backend", "wrong_adapter:wrong", "--hypothesis-profile", "quick", "-q",
       "--conformance-examples", "4")  # fmt: skip


def test_every_split_has_everything_once_in_order_and_is_even():
    names = ("reference", "conformance.faults:gru-update-inverted")
    keys = keys_of([Speaker(TORCH_NN, backend(name), index) for index, name in enumerate(names)])
    costs = dict(zip(keys, costs_of([TORCH_NN], keys), strict=True))
    whole = sum(costs.values())
    for count in range(1, 9):
        parts = [Shard(index, count).part(keys, list(costs.values())) for index in range(1, count + 1)]
        assert [key for part in parts for key in part] == keys
        assert all(abs(sum(costs[key] for key in part) - whole / count) < 6 for part in parts), count
    assert [len(Shard(i, len(keys)).part(keys, list(costs.values()))) for i in (1, 700, len(keys))] == [1, 1, 1]
    with pytest.raises(ValueError, match="there are only 2 checks to split"):
        Shard(1, 3).part(keys[:2], [1.0, 1.0])


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", "1/2 ", "01/2"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(ValueError, match="is no shard: write i/n"):
        Shard.of(text)
    assert (Shard.of("3/12"), str(Shard.of("3/12"))) == (Shard(3, 12), "3/12")


def failed(id_):
    return finding(id_, "failed", examples=3, reproducer="x.py")


def test_a_failure_of_one_shard_explains_what_others_found():
    passed = finding("B", "passed", examples=4)
    results = {key("A"): failed("A"), key("B"): passed, key("C"): failed("C"), key("D"): failed("D")}
    settle(results, SOME, [key(id_) for id_ in "ABCD"])
    assert (results[key("A")], results[key("B")], results[key("D")]) == (failed("A"), passed, failed("D"))
    assert results[key("C")].status == "blocked"
    assert results[key("C")].message.startswith("it fails as well: the failure of A explains it")


def test_an_entry_that_passes_now_blocks_nothing():
    passes_now = finding("A", "failed", message="known failure A passes now")
    results = {key("A"): passes_now, key("B"): failed("B")}
    settle(results, SOME, [key("A"), key("B")])
    assert results[key("B")] == failed("B")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")  # paths of scripts are printed
    (folder / "wrong_adapter.py").write_text(ADAPTER)
    return folder


@pytest.fixture(scope="module")
def runs(folder):
    """Write the report of a run and of its two shards, the second under xdist; the first has a known failure."""
    entry = known(folder, {"requirement": "LENGTHS-FINAL-STATE"} | WHY, {"requirement": "GRU-EQUATION"} | WHY)
    for name, options in (("one", ()), ("a", ("--shard", "1/2")), ("b", ("--shard", "2/2", "-n", "2"))):
        status, printed = run(*FEW, *entry, *options, "--conformance-report", f"{name}.json", cwd=folder)
        assert status == 1, printed
        assert ("shard" in printed) == (name != "one")
    return folder


def read(path):
    return json.loads(path.read_text())


def merge(folder, *names):
    """Run the command ``merge``; return exit status and output."""
    done = subprocess.run(
        [sys.executable, "-m", "conformance", "merge", *names, "-o", "merged.json"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def without_times(report):
    """Return a report without times. Of a blocked row the status stays: a shard has found the failure by itself."""
    rows = [
        {name: row[name] for name in ("id", "kind", "dtype", "status")}
        if row["status"] == "blocked"
        else row | {"seconds": 0, "reproducer": row["reproducer"] and row["reproducer"].split("/")[-1]}
        for row in report["requirements"]
    ]
    made = report["run"] | {"date": ""}
    return report | {"run": made, "summary": report["summary"] | {"seconds": {}}, "requirements": rows}


def test_two_shards_merged_are_one_run(runs):
    status, printed = merge(runs, "b.json", "a.json")
    assert status == 1, printed
    one, first, second, merged = (read(runs / f"{name}.json") for name in ("one", "a", "b", "merged"))
    assert without_times(merged) == without_times(one)
    assert merged["summary"]["seconds"].keys() == first["summary"]["seconds"].keys()
    assert (first["suite"]["shard"], second["suite"]["shard"], one["suite"].get("shard")) == ("1/2", "2/2", None)
    assert first["summary"]["complete"]
    assert second["summary"]["complete"], "of a shard"
    # A failure of the first shard explains failures that the second shard found.
    cause = {row["id"] for row in first["requirements"] if row["status"] == "failed"}
    assert "LENGTHS-OUTPUT-ZERO" in cause
    ran = {row["id"] for row in second["requirements"] if row["examples"]}
    blocked = {row["id"] for row in merged["requirements"] if row["status"] == "blocked"}
    assert len(ran & blocked) > 5, (cause, ran, blocked)
    assert "FAILED LENGTHS-OUTPUT-ZERO (gru float32)" in printed
    assert "wrong does not conform" in printed
    assert "report: merged.json" in printed


def edited(runs, tmp_path, change, which="b"):
    """Write the two shards' reports into a folder, one of them changed; return their names."""
    for name in "ab":
        report = read(runs / f"{name}.json")
        if name == which:
            change(report)
        (tmp_path / f"{name}.json").write_text(json.dumps(report))
    return "a.json", "b.json"


def suite(**fields):
    return lambda report: report["suite"].update(fields)


def told_backend(**fields):
    return lambda report: report["backend"].update(fields)


def row_of(report, id_):
    return next(row for row in report["requirements"] if (row["id"], row["kind"]) == (id_, "gru"))


def lose_a_row(report):
    report["requirements"] = [row for row in report["requirements"] if row["id"] != "FORWARD-EQUATION"]


def take_a_row(report):
    report["requirements"].append(row_of(report, "FORWARD-EQUATION") | {"id": "SHAPE-OUTPUT"})


REFUSED = [
    (suite(version="0.0.1"), "b.json is of suite 0.0.1, this is 0.1.0: merge with what ran it."),
    (suite(catalogue="0.9"), "b.json is of catalogue 0.9, this is "),
    (suite(profile="standard"), "a.json and b.json are of different runs: profile quick and standard."),
    (suite(seed=1), "a.json and b.json are of different runs: seed 0 and 1."),
    (suite(examples=5), "a.json and b.json are of different runs: examples 4 and 5."),
    (suite(shard="2/3"), "a.json and b.json are of different runs: shard 1/2 and 2/3."),
    (suite(shard="1/2"), "a.json and b.json overlap: both are shard 1/2."),
    (suite(shard="3/2"), "b.json: '3/2' is no shard"),
    (lambda report: report["suite"].pop("shard"), "b.json is no shard of a run: it was written without --shard."),
    (told_backend(name="other"), "a.json and b.json are of different runs: backends wrong and other."),
    (told_backend(version="2"), "a.json and b.json are of different runs: wrong in version 1 and in 2."),
    (lambda report: report["backend"]["features"].update(cells=False), "wrong claims other features."),
    (lambda report: report["summary"].update(unmatched_known_failures=["X"]), "runs: with other known failures."),
    (take_a_row, "b.json overlaps with another shard: SHAPE-OUTPUT wrong gru float32 is not of shard 2/2."),
    (lose_a_row, "b.json has gaps: 1 check of shard 2/2 not run."),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), REFUSED, ids=[said[:60] for _, said in REFUSED])
def test_what_are_not_all_shards_of_one_run_is_not_merged(runs, tmp_path, change, said):
    paths = [str(tmp_path / name) for name in edited(runs, tmp_path, change)]
    with pytest.raises(BadReport) as error:
        shards.merge(paths)
    assert said in str(error.value).replace(f"{tmp_path}/", "")


def test_gaps_and_files_that_are_none_are_one_sentence(runs, tmp_path):
    status, printed = merge(runs, "a.json")
    assert (status, printed.strip()) == (2, "python -m conformance merge: shard 2/2 of the run is missing.")
    for name, content in (("none.json", None), ("text.json", "no"), ("object.json", "{}")):
        if content is not None:
            (tmp_path / name).write_text(content)
        status, printed = merge(tmp_path, name, str(runs / "a.json"))
        assert (status, len(printed.splitlines())) == (2, 1), printed
        assert name in printed
        assert not (tmp_path / "merged.json").exists()


def test_claims_that_cannot_be_read_are_one_sentence_that_names_the_file(runs, tmp_path):
    def claims(report):
        report["backend"]["claims"]["torch.nn"]["most_steps"] = -1

    for which in "ab":
        edited(tmp_path if which == "b" else runs, tmp_path, claims, which)
    with pytest.raises(BadReport) as error:
        shards.merge([str(tmp_path / "a.json"), str(tmp_path / "b.json")])
    said = "a.json: the claims of wrong cannot be read by this suite (most_steps: expected None or at least 1, got -1)."
    assert str(error.value) == f"{tmp_path}/{said}"


def test_a_check_that_ran_no_example_stays_a_failure(runs, tmp_path):
    def nothing_checked(report):
        row = row_of(report, "SHAPE-OUTPUT")
        row |= {"status": "failed", "examples": 0, "message": "nothing was checked", "reproducer": "x.py"}

    status, _ = merge(tmp_path, *edited(runs, tmp_path, nothing_checked, "a"))
    row = next(
        row
        for row in read(tmp_path / "merged.json")["requirements"]
        if (row["id"], row["kind"]) == ("SHAPE-OUTPUT", "gru")
    )
    assert (status, row["status"], row["examples"], row["message"]) == (1, "failed", 0, "nothing was checked")


def test_known_failures_are_judged_at_the_merge(tmp_path):
    """An entry without a requirement of the run fails the merge, but no shard; without the entry all conform."""
    (tmp_path / "narrow_adapter.py").write_text(NARROW)
    few = ("--pyargs", "conformance", "--backend", "narrow_adapter:right", *FEW[4:])
    for name, shard in (("a", "1/2"), ("b", "2/2")):
        entry = known(tmp_path, {"requirement": "LENGTHS-FULL"} | WHY)
        status, printed = run(*few, *entry, "--shard", shard, "--conformance-report", f"{name}.json", cwd=tmp_path)
        assert status == 0, printed
    status, printed = merge(tmp_path, "a.json", "b.json")
    assert status == 1, printed
    assert "known failure LENGTHS-FULL matches no requirement of this run" in printed
    for name in "ab":
        report = read(tmp_path / f"{name}.json")
        assert report["summary"].pop("unmatched_known_failures") == ["LENGTHS-FULL"]
        (tmp_path / f"{name}.json").write_text(json.dumps(report))
    status, printed = merge(tmp_path, "a.json", "b.json")
    assert status == 0, printed
    assert "right conforms in all that it claims." in printed


NARROW = """
from dataclasses import replace
from conformance.backends.oracle import OracleBackend

def right():
    backend = OracleBackend()
    claims = dict.fromkeys(("multilayer", "bidirectional", "no_bias", "batch_first", "unbatched", "lengths", "cells",
        "projection", "initial_state", "parameters", "gradients", "dropout", "initialization"), False)
    backend.name = "right"
    backend.features = replace(backend.features, kinds={"gru"}, dtypes={"float32"}, most_steps=64, **claims)
    return backend
"""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--shard", "2"), "--shard: '2' is no shard: write i/n, such as 1/4 for the first of four."),
        (("--shard", "1/9999"), "--shard 1/9999: there are only "),
        (("--shard", "1/2", "--baseline", "one.json"), "merge the shards, then python -m conformance compare."),
        (
            ("--shard", "1/2", "--hypothesis-profile", "thorough"),
            "--shard in profile thorough: give all shards the same --conformance-seed N.",
        ),
    ],
)
def test_a_shard_that_cannot_be_is_one_sentence(runs, options, said):
    status, printed = run(*FEW, *options, cwd=runs)
    assert (status, len([line for line in printed.splitlines() if line.strip()])) == (4, 1), printed
    assert said in printed
