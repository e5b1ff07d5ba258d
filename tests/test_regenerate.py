"""Every generated file equals its generator's output; the command rewrites stale files."""

import re
import sys

import pytest

from tests import regenerate
from tests.regenerate import DOCS, GENERATED, Generated, same_but_pictures

CASES = ("cases", "generated-cases")
SLOW = (*CASES, "site")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in GENERATED])
def test_nothing_is_stale(name):
    stale = [str(path.relative_to(regenerate.ROOT)) for path, _ in GENERATED[name].stale()]
    assert stale == [], f"run python -m tests.regenerate {name}, or tox -e regenerate for everything"


def test_the_table_has_every_page_that_names_its_generator():
    made = {path for name in GENERATED if name not in SLOW for path, _ in GENERATED[name].make()}
    named = {path for path in DOCS.glob("*.md") if re.search(r"ritten by `python -m", path.read_text("utf-8"))}
    assert named <= made


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Make a table with one entry of two files, one right and one stale, and a third file that nothing generates."""
    for name, text in (("a", "1"), ("b", "old"), ("c", "?")):
        (tmp_path / f"{name}.txt").write_text(text)
    files = [(tmp_path / "a.txt", "1"), (tmp_path / "b.txt", "2"), (tmp_path / "new" / "d.txt", "3")]
    monkeypatch.setattr(regenerate, "ROOT", tmp_path)
    monkeypatch.setattr(regenerate, "GENERATED", {"toy": Generated(lambda: iter(files), others="*.txt")})
    return tmp_path


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["regenerate", *arguments])
    status = regenerate.main()
    return status, capsys.readouterr().out.splitlines()


def test_the_command_checks_and_writes(toy, monkeypatch, capsys):
    unknown = "UNKNOWN c.txt: nothing generates it; remove it"
    assert run(monkeypatch, capsys, "--check") == (1, ["STALE   b.txt", "STALE   new/d.txt", unknown])
    assert (toy / "b.txt").read_text() == "old"
    assert run(monkeypatch, capsys, "toy") == (1, ["written b.txt", "written new/d.txt", unknown])
    assert (toy / "new" / "d.txt").read_text() == "3"
    (toy / "c.txt").unlink()
    assert run(monkeypatch, capsys, "--check") == (0, [])


def test_an_unknown_name_is_refused(toy, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["regenerate", "nonsense"])
    with pytest.raises(SystemExit):
        regenerate.main()
    assert "nothing is called nonsense: choose from toy." in capsys.readouterr().err


def test_pages_are_compared_without_their_pictures():
    assert same_but_pictures("a <svg>1</svg> b", "a <svg>\n2</svg> b")
    assert not same_but_pictures("a <svg>1</svg> b", "a <svg>1</svg> c")
