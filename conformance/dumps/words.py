"""Explanations as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def joined(words: Sequence[str]) -> str:
    """Join words by commas and a last *and*."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def lines(e: Any) -> list[str]:
    """Return the lines of an Explanation as text."""
    lines = []
    for call in e.calls:
        lines.append((f"call {call['call']}: " if call["call"] else "") + call["described"])
        lines += [f"  {line}" for line in _verdict(call)]
    lines += [f"note: {note}" for note in e.notes]
    if e.right:
        total = sum(call["elements"] for call in e.calls)
        lines.append(f"Right: {_count(total, 'number')} within what rounding explains.")
    else:
        lines.append("Wrong.")
    entries = [f"  {entry['explanation']} [{entry['fault']}]" for entry in e.diagnosis]
    certain, possible = entries[: e.certain], entries[e.certain :]
    if len(possible) + e.more < 2:
        certain, possible = entries, []
    if certain:
        lines += ["The cause:", *certain]
    if possible:
        lines += ["These are the numbers of one of these:", *possible]
        lines += [f"  or of {_count(e.more, 'more known mistake')}"] * bool(e.more)
    lines += [_sentence(remark) for remark in e.remarks]
    if e.next_call is not None:
        lines += _next_text(e.next_call)
    return lines


def _verdict(call: dict[str, Any]) -> list[str]:
    lines = [f"{name} has the shape {tuple(came)}, documented is {tuple(want)}" for name, (came, want) in
             call["shapes"].items()]  # fmt: skip
    if call["right"] or not call["wrong"]:
        if call["elements"]:
            lines.append(
                f"{_count(call['elements'], 'number')} right; the largest error is {call['margin']:.0%} of the allowed"
            )
        return lines
    first = call["first_wrong"]
    are = "is" if call["wrong"] == 1 else "are"
    lines.append(f"{call['wrong']} of {call['elements']} numbers {are} wrong; the first in the order of computation:")
    lines.append(
        f"{first['name']}[{', '.join(map(str, first['index']))}], {first['place']}: got {_number(first['got'])}, "
        f"expected {_number(first['expected'])}; off by {_short(first['off'])}, allowed {_short(first['allowed'])}"
    )
    return lines


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.9g}"


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"


def _sentence(text: str) -> str:
    return f"{text}." if text.startswith("x ") else f"{text[:1].upper()}{text[1:]}."


def _next_text(told: dict[str, Any]) -> list[str]:
    lines = [f"A further call would decide: give {joined(told['give'])}. For example"]
    lines += [f"  {name} = {_listed(value)}" for name, value in told["arrays"].items()]
    if told["batch_first"]:
        lines.append("  with batch_first")
    other = any(name.startswith("bias") for name in told["arrays"])
    with_own = f" with the same {'weights' if other else 'parameters'}" * (told["parameters"] != "of its own")
    lines.append(f"gives{with_own}, at {told['element']}, {told['documented']:.6g} as documented;")
    for entry in told["gives"]:
        number = "another shape, or an error" if entry["number"] is None else f"{entry['number']:.6g}"
        lines.append(f"  {number}: {entry['fault']}")
    return lines


def _listed(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 300 else text[:297] + "... (all of it with --format json)"
