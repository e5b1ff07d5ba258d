"""Faults between runs, of models, and of NaN and infinity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from conformance.specifications.onnx_operators.faults.bank import Family, Fault
from reference.onnx import nodes

FAULTS: list[Fault] = []
family = Family(FAULTS, "models")


def scaled(came, factor):
    """Return outputs multiplied by a factor."""
    return {name: (a * factor).astype(a.dtype) for name, a in came.items()}


@family("REPEATED-CALL", "a node whose numbers change a little from run to run")
def runs_differ():
    def call(node, given, right):
        node.runs = getattr(node, "runs", 0) + 1
        return scaled(right(given), 1 + 1e-6 * (node.runs % 2))

    return {"call": call}


@family("CALLS-INDEPENDENT", "a node that begins with the last states of the run before where no states are given")
def states_left_behind():
    def call(node, given, right):
        left = getattr(node, "left", None)
        if (
            left is not None
            and given["initial_h"] is None
            and left.shape == node.config.shapes(1, _samples(node, given))["initial_h"]
        ):
            given = given | {"initial_h": left}
        came = right(given)
        if "Y_h" in came:
            node.left = came["Y_h"]
        return came

    return {"call": call}


def _samples(node, given):
    return given["X"].shape[0 if node.config.layout else 1]


@family("NODES-INDEPENDENT", "a node that shares the parameters of the first one of its shape")
def parameters_shared_between_nodes():
    kept: dict = {}

    def inputs(config, given):
        own = {n: given[n] for n in ("W", "R", "B", "P") if n in given}
        key = config, *((n, a.shape) for n, a in own.items())
        return given | kept.setdefault(key, own)

    return {"inputs": inputs}


@family("ARGUMENTS-UNTOUCHED", "a node that writes into X")
def x_written():
    def call(node, given, right):
        came = right(given)
        given["X"][...] = 0
        return came

    return {"call": call}


@family("STATIC", "a node that is wrong where the extents are fixed")
def static_model_wrong():
    return {"cast": lambda config, came: scaled(came, 0.99) if config.static else came}


@family("ZEROS-WRITTEN", "an LSTM that takes input_forget = 0 for 1 where it is written", kinds="LSTM")
def input_forget_zero_is_on():
    return {"attributes": lambda c: replace(c, input_forget=1) if "input_forget" in c.zeros else c}


@family("ZEROS-WRITTEN", "a GRU that takes linear_before_reset = 0 for 1 where it is written", kinds="GRU")
def linear_before_reset_zero_is_on():
    return {"attributes": lambda c: replace(c, linear_before_reset=1) if "linear_before_reset" in c.zeros else c}


@family("OPSETS", "a node that is wrong in opset 7")
def opset_7_wrong():
    return {"cast": lambda config, came: scaled(came, 0.99) if config.opset < 14 else came}


@family("ATTRIBUTES-TOGETHER", "a node that ignores clip with layout = 1")
def clip_ignored_under_layout():
    return {"attributes": lambda c: replace(c, clip=None) if c.layout else c}


@family("ATTRIBUTES-TOGETHER", "a node that is wrong in reverse with activations")
def activations_ignored_in_reverse():
    def attributes(c):
        ignored = c.direction == "reverse"
        return replace(c, activations=None, activation_alpha=None, activation_beta=None) if ignored else c

    return {"attributes": attributes}


# --- NaN and infinity -----------------------------------------------------------------------------------


def cleaned(value):
    """Return X with another number in place of NaN and infinity."""
    return {
        "inputs": lambda config, given: given | {"X": np.nan_to_num(given["X"], nan=value, posinf=value, neginf=value)}
    }


@family("NAN-KEPT", "a node that takes NaN in X for 0")
def nan_is_zero():
    return {"inputs": lambda config, given: given | {"X": np.where(np.isnan(given["X"]), 0, given["X"])}}


@family("NAN-KEPT", "a node whose functions lose NaN")
def functions_lose_nan():
    return {
        "clipped": lambda f, threshold, x: nodes_clipped(
            f, threshold, np.nan_to_num(x, nan=1.0, posinf=np.inf, neginf=-np.inf)
        )
    }


nodes_clipped = nodes.clipped


@family("NAN-SAMPLES", "a node that adds the sum of the outputs times 0, so that NaN spreads")
def nan_spreads_over_samples():
    def outputs(config, came, given):
        with np.errstate(invalid="ignore"):
            return nodes.Outputs(*(None if a is None else a + 0 * a.sum() for a in came))

    return {"outputs": outputs}


@family("NAN-PAST", "a node that adds the sum over the steps times 0, so that NaN reaches the past")
def nan_spreads_over_steps():
    def outputs(config, came, given):
        with np.errstate(invalid="ignore"):
            return came._replace(Y=came.Y + 0 * came.Y.sum(axis=1 if config.layout else 0, keepdims=True))

    return {"outputs": outputs}


@family("INFINITE", "a node that makes NaN of infinity")
def infinity_is_nan():
    return {"inputs": lambda config, given: given | {"X": np.where(np.isinf(given["X"]), np.nan, given["X"])}}
