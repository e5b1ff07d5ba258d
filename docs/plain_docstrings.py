"""An extension of Griffe: docstrings are plain text, where a star is a product and no emphasis."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

STAR = re.compile(r"(`[^`]*`)|\*")


class PlainDocstrings(Extension):
    """Escape the stars of every docstring outside code."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Escape the stars of one object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = STAR.sub(lambda match: match[1] or r"\*", obj.docstring.value)
