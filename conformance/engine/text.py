"""Text that an adapter gives: made safe to print, to keep in files and to show on one line."""

from __future__ import annotations

MAX_MESSAGE_CHARACTERS = 300  # of an exception


def printable(text: str) -> str:
    """Escape controls other than line breaks and tabs, lone surrogates and all else that is not printable.

    A terminal would obey them, and a file in UTF-8 or a script cannot hold all of them.
    """
    if text.isprintable():
        return "".join(text)  # also of a subclass
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode("ascii") for c in text)


def text_of(value: object) -> str:
    """Return a value's text, or how its ``__str__`` fails."""
    try:
        return printable(str(value))
    except Exception as error:
        return f"no text, because its __str__ raises {type(error).__name__}"


def one_line(error: BaseException) -> str:
    """Return an exception's message on one line of at most MAX_MESSAGE_CHARACTERS."""
    text = " ".join(text_of(error).split()) or "no message"
    return text if len(text) <= MAX_MESSAGE_CHARACTERS else text[: MAX_MESSAGE_CHARACTERS - 3] + "..."
