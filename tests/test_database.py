"""The database of failing examples: shared, replayed first; without it no verdict is lost."""

import pytest
from hypothesis.database import DirectoryBasedExampleDatabase, InMemoryExampleDatabase

from conformance.campaign import example_database as database
from conformance.campaign.example_database import ResilientDatabase
from conformance.engine.example_key import key_of, name_of
from tests.exploring import THOROUGH, explored, free_port, redis_server, rows_of, started, until
from tests.test_plugin import run

KEY = key_of(name_of("FORWARD-EQUATION", "rare", "gru", "float32"))


@pytest.fixture(params=["directory", "redis"])
def place(request, tmp_path):
    if request.param == "directory":
        yield str(tmp_path / "examples")
        return
    port = free_port()
    with redis_server(tmp_path, port):
        yield f"redis://127.0.0.1:{port}/1"


def test_what_one_run_finds_another_replays_first(place, tmp_path):
    seed = ("--conformance-seed", "8")
    status, printed, rows = explored(tmp_path / "one", "--example-database", place, "--conformance-seed", "2")
    assert (status, rows["FORWARD-EQUATION"]["status"]) == (1, "failed"), printed
    assert rows["FORWARD-EQUATION"]["examples"] > 10
    status, printed, rows = explored(tmp_path / "other", "--example-database", place, *seed)
    assert (status, rows["FORWARD-EQUATION"]["status"]) == (1, "failed"), printed
    assert rows["FORWARD-EQUATION"]["examples"] == 1
    assert f"--example-database {place} -k" in printed
    status, printed, rows = explored(tmp_path / "without", *seed)
    assert rows["FORWARD-EQUATION"]["examples"] > 50, "the same seed finds it as late without the database"


def test_an_example_that_ends_the_process_is_replayed_first(tmp_path):
    place = ("--example-database", str(tmp_path / "examples"))
    options = {"backend": "tests.rare:RarelyKilled", "only": "FORWARD-EQUATION-rarely-killed"}
    _, printed, rows = explored(tmp_path / "one", *place, "--conformance-seed", "2", **options)
    assert rows["FORWARD-EQUATION"]["examples"] > 10, printed
    _, printed, rows = explored(tmp_path / "other", *place, "--conformance-seed", "8", **options)
    assert rows["FORWARD-EQUATION"]["examples"] == 1
    assert "the backend's process ended by signal 9" in rows["FORWARD-EQUATION"]["message"]


def test_an_example_that_no_longer_fails_is_taken_out(tmp_path, monkeypatch):
    kept = DirectoryBasedExampleDatabase(tmp_path / "examples")
    place = ("--example-database", str(tmp_path / "examples"), "--conformance-examples", "30")
    options = {"backend": "tests.rare:MendedSince"}
    status, printed, _ = explored(tmp_path / "one", *place, "--conformance-seed", "4", **options)
    assert status == 1, printed
    assert list(kept.fetch(KEY))
    monkeypatch.setenv("MENDED", "yes")
    status, printed, rows = explored(tmp_path / "one", *place, **options)
    assert status == 0, printed
    assert rows["FORWARD-EQUATION"]["examples"] > 30, "the replayed ones count"
    assert not list(kept.fetch(KEY))


def test_redis_gone_in_mid_run_is_one_warning_and_no_lost_verdict(tmp_path):
    from redis import Redis

    port = free_port()
    place = f"redis://127.0.0.1:{port}/0"
    with redis_server(tmp_path, port) as server:
        options = ("--example-database", place, "--conformance-seed", "4", "--conformance-examples", "30")
        process = started(tmp_path / "run", *options, only="rare and (SHAPE or STATE or EQUATION)")
        until(lambda: Redis(port=port).info("commandstats").get("cmdstat_smembers", {}).get("calls", 0) > 10)
        server.kill()
        server.wait()
        assert process.wait(400) == 1
    printed = (tmp_path / "run" / "printed").read_text("utf-8")
    assert printed.count(f"the database of examples {place} failed") == 1
    assert "Traceback" not in printed
    rows = rows_of(tmp_path / "run" / "report.json")
    assert len(rows) > 20
    assert {"passed", "failed"} <= {row["status"] for row in rows.values()} <= {"passed", "failed", "blocked"}
    assert all(row["examples"] for row in rows.values()), "a blocked requirement was judged, too"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("redis://127.0.0.1:1/0", "no Redis that can be used answers there"),
        ("redis://user:secret@127.0.0.1:1/0", "redis://127.0.0.1:1/0: no Redis that can be used answers there"),
        ("redis://127.0.0.1:1", "give a directory, or redis://HOST:PORT/DB"),
        ("redis://127.0.0.1:port/0", "give a directory, or redis://HOST:PORT/DB"),
        ("redis:///0", "give a directory, or redis://HOST:PORT/DB"),
        ("postgres://127.0.0.1/0", "give a directory, or redis://HOST:PORT/DB"),
        ("/dev/null/examples", "no directory can be used there"),
    ],
)
def test_where_there_is_no_database_one_sentence_says_so(place, said, tmp_path):
    status, printed = run(*THOROUGH, "--backend", "reference", "--example-database", place, cwd=tmp_path)
    assert status == 4
    assert said in printed
    assert "Traceback" not in printed
    assert "secret" not in printed
    assert len(printed.strip().splitlines()) == 1


@pytest.mark.parametrize("profile", ["quick", "standard"])
def test_the_profiles_that_never_change_take_no_database(profile, tmp_path):
    options = ("--hypothesis-profile", profile, "--example-database", tmp_path)
    status, printed = run("--pyargs", "conformance", "--backend", "reference", *options)
    assert status == 4
    assert f"{profile} gives every run of a commit the same examples: add --hypothesis-profile thorough" in printed


class Absent(InMemoryExampleDatabase):
    """A database that cannot be reached while ``away`` is set."""

    away = False

    def fetch(self, key):
        if self.away:
            raise ConnectionError("away")
        return super().fetch(key)

    def save(self, key, value):
        if self.away:
            raise ConnectionError("away")
        super().save(key, value)

    def delete(self, key, value):
        if self.away:
            raise ConnectionError("away")
        super().delete(key, value)


def test_a_database_that_comes_back_is_given_what_it_missed(monkeypatch):
    shared = Absent()
    monkeypatch.setattr(database, "opened", lambda place: shared)
    kept = ResilientDatabase("redis://user:secret@host:1/0")
    kept.save(b"k", b"1")
    kept.save(b"k", b"2")
    assert kept.news() == ""
    shared.away = True
    kept.save(b"k", b"3")
    kept.delete(b"k", b"1")
    assert set(kept.fetch(b"k")) == {b"2", b"3"}
    assert "host:1/0 failed (ConnectionError: away)" in kept.news()
    assert kept.news() == "", "once"
    monkeypatch.setattr(database, "RETRY_AFTER_SECONDS", 0.0)
    kept.save(b"k", b"4")
    shared.away = False
    assert set(kept.fetch(b"k")) == {b"2", b"3", b"4"}
    assert set(shared.fetch(b"k")) == {b"2", b"3", b"4"}
    assert kept.news() == ""
