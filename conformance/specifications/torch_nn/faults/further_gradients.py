"""Faults of the gradients of cells and of training calls."""

from __future__ import annotations

import numpy as np

from conformance.backend import Result
from conformance.specifications.torch_nn.faults.bank import Family, Fault

FAULTS: list[Fault] = []
cell = Family(FAULTS, "gradients of cells", numeric=False, cell_gradients=True)
training = Family(
    FAULTS,
    "gradients of training calls",
    numeric=False,
    features=("multilayer",),
    dropout=True,
    training_gradients=True,
)


@cell(
    "CELL-GRADIENT-EQUATION",
    "gradients of a cell whose weight_hh has the new state in place of the old one",
    "the wrong buffer of two",
)
def cell_gradient_of_weight_hh_with_the_new_state():
    def gradients(cell, given):
        d = cell.plain_gradients(**given)
        old = np.zeros((*given["x"].shape[:-1], cell.config.hidden_size)) if given["h"] is None else given["h"]
        new, _ = cell.plain(given["x"], given["h"], given["c"])
        more = (d["bias_hh"] if "bias_hh" in d else d["weight_hh"].sum(axis=1))[:, None]
        return d | {
            "weight_hh": (d["weight_hh"] + more * (new - old).reshape(-1, new.shape[-1]).mean(axis=0)).astype(new.dtype)
        }

    return {"cell_gradients": gradients}


@cell(
    "CELL-GRADIENT-EQUATION",
    "gradients of a cell that leave out what comes through the new cell state",
    "a backward pass written for h alone",
    kinds=("lstm",),
)
def cell_gradient_without_d_c():
    return {"cell_gradients": lambda cell, given: cell.plain_gradients(**given | {"d_c": None})}


@cell("CELL-GRADIENT-NAMES", "gradients of a cell without that of x", "an input that is taken for data")
def cell_gradient_without_x():
    def gradients(cell, given):
        return {name: a for name, a in cell.plain_gradients(**given).items() if name != "x"}

    return {"cell_gradients": gradients}


@cell(
    "CELL-GRADIENT-NONE-ZEROS",
    "gradients of a cell in which a cotangent that is not given is ones",
    "the scalar taken for the sum of all results",
    kinds=("lstm",),
)
def cell_gradient_omitted_cotangent_is_ones():
    def gradients(cell, given):
        shape = (*given["x"].shape[:-1], cell.config.hidden_size)
        ones = {name: np.ones(shape, given["x"].dtype) for name in ("d_h", "d_c") if given[name] is None}
        return cell.plain_gradients(**given | ones)

    return {"cell_gradients": gradients}


@cell(
    "CELL-GRADIENT-REPEATED-CALL",
    "gradients of a cell that are added to those of the call before",
    "buffers of gradients that are not cleared",
)
def cell_gradients_accumulated():
    def gradients(cell, given):
        d = cell.plain_gradients(**given)
        for name, a in d.items():
            before = cell.memory.get((name, a.shape))
            cell.memory[name, a.shape] = d[name] = a if before is None else a + before
        return d

    return {"cell_gradients": gradients}


@cell(
    "CELL-GRADIENT-ARGUMENTS-UNTOUCHED",
    "gradients of a cell that are written over the cotangent",
    "a gradient computed in place",
)
def cell_cotangent_overwritten():
    def gradients(cell, given):
        d = cell.plain_gradients(**given)
        for name in ("d_h", "d_c"):
            if given[name] is not None:
                given[name][...] = 0
        return d

    return {"cell_gradients": gradients}


@cell(
    "UNCLAIMED-CELL-GRADIENTS",
    "gradients of a cell that are not claimed, not refused, and zeros",
    "a method that returns buffers which nobody fills",
    cell_gradients=False,
    refuse=False,
)
def unclaimed_cell_gradients_of_zeros():
    def gradients(cell, given):
        return {name: np.zeros_like(a) for name, a in cell.plain_gradients(**given).items()}

    return {"cell_gradients": gradients}


@training(
    "TRAINING-GRADIENT-EQUATION",
    "gradients of a training call without its masks",
    "a backward pass written for inference",
)
def training_gradient_without_masks():
    def gradients(layer, given, seed):
        result, _ = layer.plain_gradients_training(given, seed)
        return result, layer.backward(given)

    return {"train_gradients": gradients}


@training(
    "TRAINING-GRADIENT-EQUATION",
    "gradients of a training call under masks that are drawn once more",
    "a random generator that goes on between forward and backward",
)
def training_gradient_under_other_masks():
    def gradients(layer, given, seed):
        result, _ = layer.plain_gradients_training(given, seed)
        return result, layer.plain_gradients_training(given, seed + 1)[1]

    return {"train_gradients": gradients}


@training(
    "TRAINING-GRADIENT-RESULT",
    "a training call for gradients whose result is that of inference",
    "a result computed once more without dropout",
)
def training_gradient_with_a_result_of_inference():
    def gradients(layer, given, seed):
        _, d = layer.plain_gradients_training(given, seed)
        return Result(*layer.plain(*(given[name] for name in ("x", "h_0", "c_0", "lengths")))), d

    return {"train_gradients": gradients}


@cell(
    "UNCLAIMED-CELL-COTANGENTS",
    "gradients of a cell that leave out the cotangent of c', which is not claimed and not refused",
    "an argument that is ignored",
    kinds=("lstm",),
    cotangents={"d_h"},
    refuse=False,
)
def unclaimed_cotangent_of_a_cell_ignored():
    return {"cell_gradients": lambda cell, given: cell.plain_gradients(**given | {"d_c": None})}


@training(
    "UNCLAIMED-TRAINING-COTANGENTS",
    "gradients of a training call that leave out the cotangent of h_n, which is not claimed and not refused",
    "an argument that is ignored",
    cotangents={"d_output"},
    refuse=False,
)
def unclaimed_cotangent_of_training_ignored():
    return {"train_gradients": lambda layer, given, seed: layer.plain_gradients_training(given | {"d_h_n": None}, seed)}


@training(
    "UNCLAIMED-TRAINING-GRADIENTS",
    "gradients of a training call that are not claimed, not refused, and those of inference",
    "a flag for training that is ignored backwards",
    training_gradients=False,
    refuse=False,
)
def unclaimed_training_gradients_of_inference():
    def gradients(layer, given, seed):
        result, _ = layer.plain_gradients_training(given, seed)
        return result, layer.backward(given)

    return {"train_gradients": gradients}
