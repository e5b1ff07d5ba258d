"""Faults of the gates' blocks: every wrong order, and rows that do not form blocks.

An order names the gates that the implementation reads the loaded blocks as: i|o|f|g reads the second block as the
output gate. If an order exchanges two blocks, the fault's id has their names; otherwise it has the whole order.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np

from conformance.specifications.torch_nn.faults.bank import Family, Fault
from reference.parameters import GATES

FAULTS: list[Fault] = []
family = Family(FAULTS, "gates")

# Orders in use, in the documentation's letters: how the library writes it, and which library it is.
LSTM_ORDERS = {
    "iofg": ("i|o|f|c, as ONNX orders them", "ONNX's LSTM (W[iofc]) and WebNN's default layout; "
             "weights taken over without a permutation (CrispStrobe/CrispASR#106)"),
    "figo": ("f|i|c|o, as OpenVINO orders them", "OpenVINO's LSTMCell and LSTMSequence document the format fico"),
    "igfo": ("i|c|f|o, as TensorFlow's BasicLSTMCell and BlockLSTM order them",
             "TensorFlow's BasicLSTMCell splits i, j, f, o, its BlockLSTM is ICFO, and Haiku splits i, g, f, o"),
    "ifog": ("i|f|o|c, as Caffe and Core ML order them",
             "Caffe's LSTM layer and Core ML order i, f, o, z; Core ML's documentation had it as i, f, z, o "
             "(apple/coremltools#93)"),
    "gifo": ("c|i|f|o, as Chainer orders them", "Chainer takes its gates as a, i, f, o"),
    "igof": ("i|c|o|f, for which OpenVINO's GPU plugin takes PyTorch's order",
             "a comment in OpenVINO's GPU plugin gives i|z|o|f as PyTorch's order"),
    "fgio": ("f|g|i|o, the alphabet's order", "whoever joins gates kept under their names, as Flax's cells keep "
             "if, ig, ii and io, in the order of a sorted dict"),
}  # fmt: skip
GRU_ORDERS = {
    "zrn": ("z|r|h, as ONNX and Keras order them",
            "ONNX's GRU (W[zrh]), Keras's kernel (z, r, h) and WebNN's default layout"),
    "nrz": ("n|r|z, the alphabet's order", "whoever joins gates kept under their names, as Flax's GRUCell keeps "
            "in, ir and iz, in the order of a sorted dict"),
}  # fmt: skip
SLIP = "a table of blocks written down in another order; no framework is known to order them so"
COMMON = {"iofg", "figo", "igfo", "ifog", "gifo", "zrn"}


def in_order(order: str) -> dict:
    """Return the parts of a fault that reads the blocks in that order of letters."""

    def moved(positions):
        def change(config, arrays):
            return {name: _blocks_at(a, positions) if _has_gates(name) else a for name, a in arrays.items()}

        return change

    def load(config, parameters):
        gates = GATES[config.kind]
        return moved([order.index(gate) for gate in gates])(config, parameters)

    def adjoint(config, gradients):
        gates = GATES[config.kind]
        return moved([gates.index(gate) for gate in order])(config, gradients)

    return {"load": load, "adjoint": adjoint}


def _has_gates(name: str) -> bool:
    return name.startswith(("weight_ih", "weight_hh", "bias"))


def _blocks_at(a, positions):
    blocks = np.split(a, len(positions))
    return np.concatenate([blocks[k] for k in positions])


def _add_orders(kind: str, known: dict[str, tuple[str, str]], requirement: str) -> None:
    documented = GATES[kind]
    for letters in permutations(documented):
        order = "".join(letters)
        if order == documented:
            continue
        moved = sorted(a for a, b in zip(order, documented, strict=True) if a != b)
        name = "-".join(moved if len(moved) == 2 else order)
        ordered, who = known.get(order, ("|".join(order), SLIP))
        article = "an LSTM" if kind == "lstm" else "a GRU"
        explanation = f"{article} whose blocks are ordered {ordered}; the documentation says {'|'.join(documented)}"
        family.add(
            f"{kind}-gates-{name}", requirement, explanation, who, lambda order=order: in_order(order),
            kinds=kind, common=order in COMMON,
        )  # fmt: skip


_add_orders("lstm", LSTM_ORDERS, "LSTM-GATE-ORDER")
_add_orders("gru", GRU_ORDERS, "GRU-GATE-ORDER")


def _interleaved(config, arrays):
    """Reorder rows unit by unit, each unit's gates one after the other."""
    H = config.hidden_size
    take = np.arange(len(GATES[config.kind]) * H).reshape(H, -1).T.ravel()
    return {name: a[take] if _has_gates(name) else a for name, a in arrays.items()}


def _interleaved_back(config, arrays):
    H = config.hidden_size
    take = np.arange(len(GATES[config.kind]) * H).reshape(-1, H).T.ravel()
    return {name: a[take] if _has_gates(name) else a for name, a in arrays.items()}


@family(
    "LSTM-GATE-ORDER",
    "an LSTM whose rows are ordered unit by unit, the four gates of each side by side; the documentation has blocks",
    "Chainer's LSTM, which reads the gates out of an axis of four beside that of the units",
    kinds="lstm",
)
def lstm_gates_interleaved():
    return {"load": _interleaved, "adjoint": _interleaved_back}


@family(
    "GRU-GATE-ORDER",
    "a GRU whose rows are ordered unit by unit, the three gates of each side by side; the documentation has blocks",
    "the slip of a reshape to (H, 3) where (3, H) is meant",
    kinds="gru",
)
def gru_gates_interleaved():
    return {"load": _interleaved, "adjoint": _interleaved_back}


def _only(prefixes, order):
    whole = in_order(order)

    def part(change):
        return lambda config, arrays: (
            arrays | {name: a for name, a in change(config, arrays).items() if name.startswith(prefixes)}
        )

    return {name: part(change) for name, change in whole.items()}


@family(
    "LSTM-GATE-ORDER",
    "an LSTM whose weights are ordered as documented and whose biases are ordered i|o|f|c, as ONNX orders them",
    "a converter that permutes the weights and forgets the biases",
    kinds="lstm",
)
def lstm_gates_of_biases_onnx():
    return _only("bias", "iofg")


@family(
    "LSTM-GATE-ORDER",
    "an LSTM whose weight_ih is ordered as documented and whose weight_hh is ordered i|o|f|c, as ONNX orders them",
    "a converter that permutes W and forgets R",
    kinds="lstm",
)
def lstm_gates_of_weight_hh_onnx():
    return _only("weight_hh", "iofg")


@family(
    "GRU-GATE-ORDER",
    "a GRU whose weights are ordered as documented and whose biases are ordered z|r|h, as ONNX and Keras order them",
    "a converter that permutes the weights and forgets the biases",
    kinds="gru",
)
def gru_gates_of_biases_onnx():
    return _only("bias", "zrn")
