"""The benchmarks: what they measure is there, the guard tells what became slower, the page shows the figures."""

import json

import numpy as np
import pytest

from benchmarks import __main__ as main
from benchmarks import layers, runs
from benchmarks.page import page


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
    assert found["examples"] == 3 * 4  # those of smoke, in four kinds
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


def test_the_committed_page_is_that_of_the_committed_figures():
    data = json.loads(main.FILE.read_text("utf-8"))
    assert main.PAGE.read_text("utf-8") == page(data)
    assert all(np.isfinite(row["yardstick"]) for rows in data.values() for row in rows)


def test_an_unknown_section_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["benchmarks", "nonsense"])
    with pytest.raises(SystemExit):
        main.main()
    assert "nonsense" in capsys.readouterr().err
