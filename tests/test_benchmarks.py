"""The benchmarks measure every figure, the guard reports slower ones, and the page shows them."""

import json

import numpy as np
import pytest

from benchmarks import __main__ as main
from benchmarks import campaign, faults, layers, peers, runs
from benchmarks.inside import clock, namespace
from benchmarks.page import page
from benchmarks.pictures import PICTURES
from conformance.specifications.torch_nn.faults import BANK


def test_the_guard_tells_what_takes_more_yardsticks():
    row = {"backend": "reference", "profile": "quick", "processes": 1, "wall": 10.0, "yardstick": 2.0}
    before = {"runs": [row]}
    assert main.slower(before, {"runs": [row | {"wall": 14.0}]}) == []
    assert main.slower(before, {"runs": [row | {"wall": 40.0, "yardstick": 8.0}]}) == []  # the machine is slower
    (told,) = main.slower(before, {"runs": [row | {"wall": 40.0}]})
    assert "wall of backend reference, profile quick, processes 1 takes 4.00 times as long" in told
    assert main.slower(before, {"runs": [row | {"processes": 2, "wall": 99.0}]}) == []  # nothing to compare with


def test_a_run_is_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k SHAPE-OUTPUT")
    found = runs.suite("reference", "smoke", 1)
    assert found["checks"] > 0
    assert found["examples"] == 3 * 4  # three examples of smoke in each of four kinds
    assert found["wall"] > 0.2
    assert found["processor"] > 0.2
    assert 30 < found["memory_mib"] <= found["memory_of_all_mib"]
    assert 0 < found["useful"] < 1
    assert "reference" in page({"runs": [found | {"yardstick": 1.0}]})


def test_layers_are_measured():
    found = layers.against_torch("gru", layers.SMALL)
    assert all(value > 0 for name, value in found.items() if "forward" in name or "gradient" in name)
    assert page({"oracle": [found]}).count("| gru |") == 1
    short, long = (layers.growth("lstm", "T", T) for T in (5, 80))
    assert long["oracle"] > 2 * short["oracle"]
    assert long["tolerance"] > long["oracle"]


def test_the_seconds_to_a_failure_are_measured():
    """quick finds one of two faults; the quantiles count the other one too."""
    found = faults.distribution([BANK["lstm-gates-g-o"], BANK["lengths-written"]])
    assert (found["faults"], found["found"]) == (2, 1)
    assert 0 < found["seconds"]["25%"] == found["seconds"]["the last found"] < 60
    assert found["seconds"]["95%"] == float("inf")
    assert "`quick` finds 1" in page({"faults": [found]})


def test_a_campaign_is_looked_at_until_it_made_enough(monkeypatch):
    monkeypatch.setattr(campaign, "LOOK", 0.1)
    monkeypatch.setattr(campaign, "FIRST", 100)
    assert campaign.milestones(400) == [100, 200, 400]
    rows = campaign.growth("reference", 400, "reference-gru-float32 and SHAPE-OUTPUT")
    assert [row["milestone"] for row in rows] == [100, 200, 400]
    assert all(row["examples"] >= row["milestone"] for row in rows)
    assert all(row["pytest_mib"] > 20 < row["backend_mib"] for row in rows)
    assert {row["failed"] for row in rows} == {0}
    shown = page({"campaign": [row | {"yardstick": 1.0} for row in rows]})
    assert "| 1,000,000 examples grow by less than 50 MiB |" in shown


def test_a_campaign_replaces_the_rows_of_its_backend_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(main, "FILE", tmp_path / "performance.json")
    monkeypatch.setattr(main, "PAGE", tmp_path / "performance.md")

    def rows(backend, *milestones):
        figures = {"seconds": 1.0, "examples_per_second": 1.0, "pytest_mib": 90.0, "failed": 0, "yardstick": 1.0}
        return [{"backend": backend, "milestone": n, "examples": n + 1, "backend_mib": n / 10} | figures
                for n in milestones]  # fmt: skip

    committed = {"campaign": rows("a", 100, 200, 300) + rows("b", 500)}
    main.keep(committed, "campaign", rows("a", 100, 900))
    assert [(row["backend"], row["milestone"]) for row in committed["campaign"]] == [("b", 500), ("a", 100), ("a", 900)]
    shown = main.PAGE.read_text()
    assert "Campaigns of 2 right implementations, each in one process, all requirements in rounds: 1,402 ex" in shown
    assert "pytest's process 0 MiB, backend's process 80 MiB, from 101 to 901 | the backend's process keeps" in shown


def test_a_campaign_that_cannot_start_is_one_sentence():
    with pytest.raises(SystemExit, match="ended by itself after 0 examples: exit status 4"):
        campaign.growth("no-such-backend", 100)


def test_the_targets_say_what_stands_in_the_way_only_where_they_are_missed():
    row = {"backend": "torch-cpu", "profile": "quick", "processes": 1, "version": "", "processor": 1.0, "checks": 1,
           "examples": 1, "useful": 0.6, "harness_ms_per_example": 0.5, "memory_mib": 1, "memory_of_all_mib": 1024.0,
           "parts": {"backend": 1.0}}  # fmt: skip
    assert "| `quick` of torch-cpu in 8 s | 7.0 s |  |" in page({"runs": [row | {"wall": 7.0}]})
    assert "| `quick` of torch-cpu in 8 s | 19.0 s | 1 s of processor: backend 1 s; torch" in page(
        {"runs": [row | {"wall": 19.0}]}
    )
    standard = page({"runs": [row | {"profile": "standard", "wall": 50.0}]})
    assert "| 70 % of `standard` in backend and oracle | 60% | the tolerance" in standard
    assert "1.00 GiB" in standard


def test_the_targets_of_a_small_adapter():
    rows = [{"adapter": "Right", "wall": 1.9, "processor": 2.0, "told": None},
            {"adapter": "Wrong", "wall": 4.0, "processor": 3.0, "told": 2.5}]  # fmt: skip
    found = page({"adapters": rows})
    assert "| `quick` of an adapter of one kind and dtype in 2 s | 1.9 s |  |" in found
    assert "| a failing one at most 1.1 times as long | 2.11 times, of the processor 1.50 times | the search" in found
    assert "| its failure told with the diagnosis in 5 s | 2.5 s |  |" in found
    assert "| wrong | 4 | 3 | 2.5 |" in found


def test_the_clock_sees_numpys_functions_and_not_its_classes(tmp_path):
    twin = namespace(np, "twin")
    before = clock["seconds"]
    twin.linalg.inv(np.eye(300))
    assert clock["seconds"] > before
    assert twin.ndarray is np.ndarray
    with pytest.raises(SystemExit, match="git clone --recursive"):
        peers.array_api_tests(tmp_path)


def test_every_committed_figure_has_its_yardstick():
    data = json.loads(main.FILE.read_text("utf-8"))
    assert all(np.isfinite(row["yardstick"]) for rows in data.values() for row in rows)
    pictures = {path.stem for path in main.PICTURES.glob("*.svg")}
    assert pictures == PICTURES.keys() & data.keys()


def test_an_unknown_section_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["benchmarks", "nonsense"])
    with pytest.raises(SystemExit):
        main.main()
    assert "nonsense" in capsys.readouterr().err
