"""The prose of docstrings and documents: under 5 % in the old manner, measured by patterns that find their examples."""

from pathlib import Path

import pytest

from tests.prose import DOCSTRING_PATTERNS, PATTERNS, Pattern, Text, measure, texts_of_code, texts_of_document

LIMIT_PERCENT = 5


@pytest.mark.parametrize("pattern", DOCSTRING_PATTERNS + PATTERNS, ids=lambda pattern: pattern.name)
def test_pattern_finds_its_example(pattern: Pattern):
    kind = "class" if pattern.name == "headless opening" else "function"
    assert list(pattern.offsets(Text("x.py", pattern.example, ((0, 1),), kind)))


@pytest.mark.parametrize(
    "docstring",
    [
        "Return the rows of a report, one for each requirement. Raises ValueError if there are two of one id.",
        "Draw calls of layers that use claimed features only.",
        "Compare ``got`` with ``expected``, (T, N, O); the largest error is a fraction of the tolerance.",
    ],
)
def test_plain_docstring_is_not_found(docstring):
    text = Text("x.py", docstring, ((0, 1),), "function")
    assert not [p.name for p in DOCSTRING_PATTERNS + PATTERNS for _ in p.offsets(text)]


def test_code_fences_and_generated_documents_are_not_read(tmp_path):
    (tmp_path / "docs").mkdir()
    document = tmp_path / "README.md"
    document.write_text("# Title\n\nThat is told.\n\n```\nThat is told.\n```\n\n| a | b |\n| --- | --- |\n| c | d |\n")
    texts = list(texts_of_document(tmp_path, document))
    assert [(text.text, text.line(0)) for text in texts] == [
        ("# Title", 1),
        ("That is told.", 3),
        ("| a | b |\n| c | d |", 9),
    ]
    (tmp_path / "docs/requirements.md").write_text("That is told.\n")
    (tmp_path / "docs/gate.md").write_text("The gate fails.\n")
    found = measure(tmp_path)
    share = found.share("document lines")
    assert (share.total, share.old) == (5, 1)
    assert {hit.file for hit in found.hits} == {"README.md"}


def test_kinds_of_docstrings(tmp_path):
    code = tmp_path / "conftest.py"
    code.write_text(
        '"""Module."""\nclass A:\n    """Class."""\n    @property\n    def b(self):\n        """Property."""\n'
        '    def c(self):\n        """Function."""\ndef test_d():\n    """Test."""\n# A comment.\n'
    )
    texts = list(texts_of_code(tmp_path, code))
    assert sorted((text.kind, text.text) for text in texts) == [
        ("class", "Class."),
        ("comment", "A comment."),
        ("function", "Function."),
        ("module", "Module."),
        ("property", "Property."),
        ("test", "Test."),
    ]


@pytest.mark.parametrize("group", ["docstrings", "document lines"])
def test_prose_is_plain(group):
    measured = measure(Path(__file__).parents[1])
    share = measured.share(group)
    assert share.total > 500
    worst = [f"{hit.file}:{hit.line}: {hit.pattern}: {hit.excerpt}" for hit in measured.hits if hit.group == group]
    assert share.percent < LIMIT_PERCENT, "\n".join([f"{share.old} of {share.total} {group}", *worst[:40]])
