"""Faults of the blocks of W, R, B and P: every wrong order, and wrong halves of B."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from conformance.specifications.onnx_operators.faults.bank import Family, Fault
from reference.onnx import GATES

FAULTS: list[Fault] = []
family = Family(FAULTS, "gates")
KNOWN = {
    ("LSTM", "ifco"): "as PyTorch orders them",
    ("LSTM", "icfo"): "as TensorFlow's BasicLSTMCell orders them",
    ("LSTM", "fico"): "as OpenVINO orders them",
    ("LSTM", "ifoc"): "as Caffe and Core ML order them",
    ("GRU", "rzh"): "as PyTorch orders them",
}  # fmt: skip
PARTS = ("W", "R", "B")
ARTICLE = {"LSTM": "an", "GRU": "a"}


def moved(array: np.ndarray, order: str, documented: str, blocks: int) -> np.ndarray:
    """Return the array with its blocks brought from an assumed order into the documented one."""
    parts, size = np.split(array, blocks, axis=1), len(documented)
    taken = [half + order.index(gate) for half in range(0, blocks, size) for gate in documented]
    return np.concatenate([parts[k] for k in taken], axis=1)


def in_order(order: str, names=PARTS) -> dict:
    """Return the parts of a fault that reads the blocks of parameters in that order."""

    def inputs(config, given):
        size = len(order)
        changed = {
            name: moved(
                given[name], order, GATES[config.kind] if size > 3 or name != "P" else "iof", size * (1 + (name == "B"))
            )
            for name in names
            if name in given
        }
        return given | changed

    return {"inputs": inputs}


def _add_orders(kind: str) -> None:
    documented = GATES[kind]
    for letters in permutations(documented):
        order = "".join(letters)
        if order != documented:
            known = KNOWN.get((kind, order), "")
            family.add(
                f"{kind.lower()}-order-{order}",
                "W-ORDER",
                f"{ARTICLE[kind]} {kind} whose blocks are ordered {'|'.join(order)}{f', {known}' if known else ''}; "
                f"the page says {'|'.join(documented)}",
                lambda order=order: in_order(order),
                kinds=kind,
                common=bool(known),
            )


_add_orders("LSTM")
_add_orders("GRU")
for _kind, _order in (("LSTM", "ifco"), ("GRU", "rzh")):
    for _name, _requirement in (("W", "W-ORDER"), ("R", "R-ORDER"), ("B", "B-ORDER")):
        family.add(
            f"{_kind.lower()}-order-of-{_name.lower()}",
            _requirement,
            f"{ARTICLE[_kind]} {_kind} whose {_name} alone is read in PyTorch's order {'|'.join(_order)}",
            lambda name=_name, order=_order: in_order(order, (name,)),
            kinds=_kind,
        )
for _letters in permutations("iof"):
    _order = "".join(_letters)
    if _order != "iof":
        family.add(
            f"peephole-order-{_order}",
            "P-ORDER",
            f"an LSTM whose peepholes are ordered {'|'.join(_order)}; the page says i|o|f",
            lambda order=_order: in_order(order, ("P",)),
            kinds="LSTM",
            common=_order == "ifo",
        )


def _halves(change) -> dict:
    """Return the parts of a fault that changes B, given as its halves Wb and Rb."""

    def inputs(config, given):
        if "B" not in given:
            return given
        return given | {"B": np.concatenate(change(*np.split(given["B"], 2, axis=1)), axis=1)}

    return {"inputs": inputs}


@family("B-ORDER", "a node that reads Wb alone and ignores Rb", common=True)
def bias_rb_ignored():
    return _halves(lambda Wb, Rb: (Wb, 0 * Rb))


@family("B-ORDER", "a node that reads Rb alone and ignores Wb")
def bias_wb_ignored():
    return _halves(lambda Wb, Rb: (0 * Wb, Rb))


@family("RESET-AFTER", "a GRU that takes Rb for Wb and Wb for Rb", kinds="GRU")
def bias_halves_exchanged():
    return _halves(lambda Wb, Rb: (Rb, Wb))


@family("B-ORDER", "a node that reads B gate by gate, Wb and Rb of each side by side", kinds=("LSTM", "GRU"))
def bias_interleaved():
    def inputs(config, given):
        if "B" not in given:
            return given
        gates, B = len(config.operator.gates), given["B"]
        parts = np.split(B, 2 * gates, axis=1)
        return given | {"B": np.concatenate(parts[::2] + parts[1::2], axis=1)}

    return {"inputs": inputs}


@family("B-OMITTED", "a node that has biases of 1 where B is omitted")
def bias_omitted_ones():
    def inputs(config, given):
        D, G, H = config.directions, len(config.operator.gates), config.hidden_size
        return {"B": np.ones((D, 2 * G * H)), **given}

    return {"inputs": inputs}


@family("BIDIRECTIONAL", "a node whose second direction uses the parameters of the first", common=True)
def second_direction_shares_parameters():
    def inputs(config, given):
        shared = {n: np.concatenate([given[n][:1]] * len(given[n])) for n in ("W", "R", "B", "P") if n in given}
        return given | shared

    return {"inputs": inputs}


@family("BIDIRECTIONAL", "a node whose directions have exchanged their parameters")
def directions_exchange_parameters():
    return {"inputs": lambda config, given: given | {n: given[n][::-1] for n in ("W", "R", "B", "P") if n in given}}


@family("BIDIRECTIONAL-PARTS", "a node whose second direction uses the peepholes of the first", kinds="LSTM")
def second_direction_shares_peepholes():
    def inputs(config, given):
        return given | ({"P": np.concatenate([given["P"][:1]] * len(given["P"]))} if "P" in given else {})

    return {"inputs": inputs}
