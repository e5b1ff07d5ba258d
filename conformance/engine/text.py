"""Text that an adapter or a file gives: made safe to print, to keep in files and to show on one line."""

from __future__ import annotations

MAX_MESSAGE_CHARACTERS = 300  # of an exception
MAX_NAME_CHARACTERS = 120  # of a backend's name and of its version
MAX_SENTENCE_CHARACTERS = 1000  # of an error about a file
MAX_FAILURE_CHARACTERS = 20_000  # of a failure's first part


def printable(text: str) -> str:
    """Escape controls other than line breaks and tabs, lone surrogates and all else that is not printable.

    A terminal would obey them, and a file in UTF-8 or a script cannot hold all of them.
    """
    if text.isprintable() or text.replace("\n", "").replace("\t", "").isprintable():
        return "".join(text)  # also of a subclass
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode("ascii") for c in text)


def cut(text: str, most: int) -> str:
    """Return the text in at most ``most`` characters, with dots in place of the rest."""
    return text if len(text) <= most else text[: most - 3] + "..."


def text_of(value: object, most: int = MAX_MESSAGE_CHARACTERS) -> str:
    """Return a value's text, in at most ``most`` characters, or how its ``__str__`` fails."""
    try:
        return cut(printable(cut(str(value), 2 * most)), most)
    except Exception as error:
        return f"no text, because its __str__ raises {type(error).__name__}"


def name_text(value: object) -> str:
    """Return a backend's name or version, on one line of at most MAX_NAME_CHARACTERS."""
    return cut(" ".join(text_of(value, 2 * MAX_NAME_CHARACTERS).split()), MAX_NAME_CHARACTERS)


def one_line(error: BaseException) -> str:
    """Return an exception's message on one line of at most MAX_MESSAGE_CHARACTERS."""
    text = " ".join(text_of(error, 2 * MAX_MESSAGE_CHARACTERS).split()) or "no message"
    return cut(text, MAX_MESSAGE_CHARACTERS)


class OneSentence(Exception):
    """An error for users. Its message is printable, on one line, of at most MAX_SENTENCE_CHARACTERS."""

    def __init__(self, message: str) -> None:
        super().__init__(cut(" ".join(printable(message).split()), MAX_SENTENCE_CHARACTERS))
