"""Reports have the date and machine of their run; a folder of results keeps one for each backend and version."""

import json
import os
import platform
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conformance import __main__ as command_line
from conformance import run as run_suite
from conformance.reporting import here
from conformance.reporting.history import former, keep, reports_in, slug
from conformance.reporting.reading import BadReport, read, reports_of
from conformance.runs.shards import made_by
from tests.sample_reports import report, right, row, wrong

RESULTS = Path(__file__).parents[1] / "results"


def file(folder, *reports, name="new.json"):
    (folder / name).write_text(json.dumps(list(reports) if len(reports) > 1 else reports[0]), "utf-8")
    return folder / name


def names(folder):
    return [path.relative_to(folder).as_posix() for path in reports_in(folder)]


def of_version(version, catalogue="1.0", **suite):
    return report("torch-cpu", [row("A")], version, catalogue=catalogue, **suite)


def test_a_run_writes_its_date_and_machine():
    before = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    done = run_suite("reference", profile="smoke", shard="1/300", isolation="none")
    (found,) = reports_of(done.text, "run")
    assert before <= found.made["date"] <= datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert found.date == found.made["date"][:10]
    assert found.made["machine"]["python"] == platform.python_version()
    assert f"Python {platform.python_version()}" in found.machine
    assert platform.node() not in json.dumps(found.made), "the name of the machine is nobody's business"
    assert re.match(r"torch\.nn: 100 % of \d+$", found.share_text)


def test_a_report_of_an_earlier_suite_has_neither():
    (found,) = reports_of(json.dumps(right()), "old")
    assert (found.date, found.machine) == ("", "")


@pytest.mark.parametrize("date", ["yesterday", "2026-11-21T10:00", 20261121])
def test_a_date_of_another_form_is_told(date):
    with pytest.raises(BadReport, match=r"old is not a conformance report: run\.date"):
        reports_of(json.dumps(right() | {"run": {"date": date}}), "old")


def test_the_processor_is_what_the_system_says(tmp_path, monkeypatch):
    told = tmp_path / "cpuinfo"
    told.write_text("processor : 0\nmodel name\t: Some Processor 3000\n")
    monkeypatch.setattr(here, "CPU_INFO", told)
    assert here.processor() == "Some Processor 3000"
    monkeypatch.setattr(here, "CPU_INFO", tmp_path / "none")
    assert here.processor() == platform.processor()


def test_a_merged_report_has_the_last_date_and_a_common_machine():
    def made(date, cores):
        (found,) = reports_of(json.dumps(right() | {"run": {"date": date, "machine": {"cores": cores}}}), "shard")
        return found

    assert made_by([made("2026-11-21", 2), made("2026-11-20", 2)]) == {"date": "2026-11-21", "machine": {"cores": 2}}
    assert made_by([made("2026-11-20", 2), made("2026-11-21", 4)]) == {"date": "2026-11-21"}
    assert made_by(reports_of(json.dumps([right("a"), right("b")]), "old")) == {}


def test_a_newer_version_moves_the_older_into_the_history(tmp_path):
    results = tmp_path / "results"
    keep(file(tmp_path, of_version("2.12.0+cpu, extra 1")), results)
    assert names(results) == ["torch-cpu.json"]
    keep(file(tmp_path, of_version("2.13.0")), results)
    assert names(results) == ["history/torch-cpu/2.12.0+cpu-extra-1.catalogue-1.0.json", "torch-cpu.json"]
    keep(file(tmp_path, of_version("2.13.0", "3.0")), results)
    keep(file(tmp_path, of_version("2.13.0", "3.0", profile="quick")), results)
    assert names(results) == [
        "history/torch-cpu/2.12.0+cpu-extra-1.catalogue-1.0.json",
        "history/torch-cpu/2.13.0.catalogue-1.0.json",
        "torch-cpu.json",
    ]
    assert [read(path)[0].version for path in reports_in(results)] == ["2.12.0+cpu, extra 1", "2.13.0", "2.13.0"]
    assert read(results / "torch-cpu.json")[0].suite["profile"] == "quick", "the same version is replaced"


@pytest.mark.parametrize("moment", range(3))
def test_a_report_is_not_lost_when_the_disk_is_full(moment, tmp_path, monkeypatch):
    """The first file written goes into the history, the second takes the newest report's place."""
    results, done, fsync = tmp_path / "results", [], os.fsync
    keep(file(tmp_path, of_version("1")), results)
    before = (results / "torch-cpu.json").read_bytes()

    def full(descriptor):
        if len(done) == moment:
            raise OSError(28, "No space left on device")
        done.append(fsync(descriptor))

    monkeypatch.setattr("os.fsync", full)
    if moment < 2:
        with pytest.raises(OSError, match=r"No space left on device: .*results/(history/)?torch-cpu"):
            keep(file(tmp_path, of_version("2")), results)
        assert (results / "torch-cpu.json").read_bytes() == before
    else:
        keep(file(tmp_path, of_version("2")), results)
        assert [read(path)[0].version for path in reports_in(results)] == ["1", "2"]
    assert [path.name for path in results.rglob("*") if path.is_file() and path.suffix != ".json"] == []


def test_a_file_of_several_backends_becomes_a_file_for_each(tmp_path):
    keep(file(tmp_path, right("a"), wrong("../b")), tmp_path / "results")
    assert names(tmp_path / "results") == ["a.json", "b.json"]
    (kept,) = read(tmp_path / "results" / "b.json")
    assert [found.message for found in kept.rows] == [found["message"] for found in wrong()["requirements"]]


def test_scripts_are_named_without_a_machines_directories(tmp_path):
    report = wrong()
    for found in report["requirements"]:
        found["reproducer"] = "/home/me/out/report-reproducers/a.py"
    keep(file(tmp_path, report), tmp_path / "results")
    (path,) = (tmp_path / "results").glob("*.json")
    assert {row.reproducer for row in read(path)[0].rows} == {"report-reproducers/a.py"}


@pytest.mark.parametrize("text", ["../../etc", "..", "", "a/b c", ".hidden"])
def test_a_name_stays_in_its_folder(text):
    assert re.fullmatch(r"[\w+-][\w.+-]*", slug(text))


def test_the_command_keeps_and_tells(tmp_path, monkeypatch, capsys):
    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["conformance", "keep", *map(str, arguments)])
        status = 0
        try:
            command_line.main()
        except SystemExit as ended:
            status = ended.code
        return status, capsys.readouterr()

    status, told = command(file(tmp_path, right("a")), "--in", tmp_path / "results")
    assert (status, told.out) == (0, f"written {tmp_path / 'results' / 'a.json'}\n")
    (tmp_path / "bad.json").write_text("{")
    status, told = command(tmp_path / "bad.json", "--in", tmp_path / "results")
    assert (status, len(told.err.strip().splitlines())) == (2, 1)
    status, told = command(tmp_path / "new.json", "--in", tmp_path / "bad.json")
    assert status == 2
    assert "cannot be written" in told.err


@pytest.mark.parametrize("path", reports_in(RESULTS), ids=lambda path: path.stem)
def test_the_committed_reports_lie_where_the_command_puts_them(path):
    (one,) = read(path)
    place = path.relative_to(RESULTS)
    assert place in (Path(f"{slug(one.name)}.json"), former(one))
