"""Damaged files: whatever has happened to one, it is read or one sentence names it; nothing hangs."""

import json
import os
import time

import pytest
from hypothesis import HealthCheck, given, settings

from conformance.campaign import journal
from conformance.engine.files import MAX_DEPTH, Damaged, bounded_count, json_data, read_text, toml_data
from tests.broken_files import DAMAGES, HEAD, KINDS, OTHERS, damaged, damages, journal_lines, told

EXAMPLES = int(os.environ.get("BROKEN_FILES_EXAMPLES", "25"))
COSTLY = {"shard": 4, "page": 1, "database": 4}  # examples in this test; `python -m tests.broken_files` makes more
MAX_SECONDS = 20.0  # a machine may be busy


@pytest.mark.parametrize("name", KINDS)
def test_a_sound_file_is_read(name, tmp_path):
    assert told(KINDS[name], KINDS[name].sound(), tmp_path) == ""


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_one_sentence(name, tmp_path):
    kind = KINDS[name]
    raw = kind.sound()

    @settings(
        max_examples=min(EXAMPLES, COSTLY.get(name, EXAMPLES)), deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(done=damages)
    def holds(done):
        started = time.monotonic()
        told(kind, damaged(raw, done), tmp_path)
        assert time.monotonic() - started < MAX_SECONDS

    holds()


def test_every_damage_changes_a_file():
    raw = KINDS["case"].sound()
    assert all(any(damage(raw, at, at) != raw for at in range(1, 9)) for damage in DAMAGES)
    assert len(OTHERS) > 30


def test_a_broken_line_of_a_journal_is_lost_alone(tmp_path):
    sound, *_ = path, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    sound.write_bytes(journal_lines())
    whole = journal.merged(tmp_path, HEAD)
    lines = journal_lines().splitlines(keepends=True)
    lines.insert(3, b'{"judged": ["SHAPE-\n')
    lines.insert(5, b'{"judged": 3, "examples": 1, "seconds": 0}\n')
    path.write_bytes(b"".join(lines))
    record = journal.merged(tmp_path, HEAD)
    assert (record.totals, record.rounds, record.replayed) == (whole.totals, whole.rounds, whole.replayed)
    assert [sentence.partition(": ")[0] for sentence in record.lost] == [f"{path}, line 4", f"{path}, line 6"]
    assert not other.exists()


def test_the_seed_of_a_round_whose_line_is_lost_is_not_used_again(tmp_path):
    lines = journal_lines().splitlines(keepends=True)
    (tmp_path / "a.jsonl").write_bytes(b"".join(line for line in lines if b'"examples_each"' not in line))
    record = journal.merged(tmp_path, HEAD)
    assert record.rounds == []
    assert record.last == 1, "its end is known"
    assert record.examples == 13


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1,\n "a": 2}', "'a' stands twice"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "nested too deeply"),
        ("1" * 5000, "more than 4,300 digits"),
        ("[1,\n 1e999]", "larger than any float64"),
        ("[1,\n 2", "line 2, column 3: this is no JSON"),
    ],
)
def test_json_that_is_refused(text, said):
    with pytest.raises(Damaged, match=said):
        json_data(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\nb = ", "line 2: this is no TOML"),
        ("a = " + "[" * 5000, "nested too deeply"),
        ("a = " + "1" * 5000, "cannot be read"),
        ("a = 1979-99-99", "line 1"),
    ],
)
def test_toml_that_is_refused(text, said):
    with pytest.raises(Damaged, match=said):
        toml_data(text)


def test_text_of_files_is_made_printable(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"a\x1b": ["\ud800", "\x00", "two\nlines"]}))
    assert json_data(read_text(path)) == {"a\\x1b": ["\\ud800", "\\x00", "two\nlines"]}
    path.write_bytes(b"\xef\xbb\xbf[1,\n\xff]")
    with pytest.raises(Damaged, match="line 2, byte 7: this is no UTF-8"):
        read_text(path)


def test_sizes_are_bounded_before_they_are_multiplied():
    assert bounded_count([2, 0, 3], 10) == 0
    for shape in ([11], [10**4000] * 20, [2] * 100):
        with pytest.raises(Damaged):
            bounded_count(shape, 10)
