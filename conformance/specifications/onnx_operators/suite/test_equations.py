"""Equations: the plain ones, the order of the blocks, biases, peepholes, and the attributes that change an equation."""

import numpy as np

from conformance.specifications.onnx_operators.decides import decides
from conformance.specifications.onnx_operators.strategies import (
    NEVER,
    STATES,
    always,
    bare_nodes,
    broadly,
    focused,
    long_nodes,
    many_nodes,
    nodes,
    plain_nodes,
    wide_nodes,
)
from conformance.specifications.onnx_operators.suite.views import default_functions, saturating
from conformance.specifications.onnx_operators.weights import scaled


def without_biases(call):
    return "B" not in call.parameters


@decides("ONNX-RNN-EQUATION", draw=plain_nodes)
@decides("ONNX-LSTM-EQUATION", draw=plain_nodes)
@decides("ONNX-GRU-EQUATION", draw=plain_nodes)
@decides("ONNX-W-ORDER", draw=focused["W"])
@decides("ONNX-R-ORDER", draw=focused["R"])
@decides("ONNX-B-ORDER", draw=focused["B"])
@decides("ONNX-P-ORDER", draw=focused["P"])
@decides("ONNX-PEEPHOLES", draw=always("P", **STATES))
@decides("ONNX-INPUT-FORGET", draw=always("input_forget", **STATES))
@decides("ONNX-RESET-BEFORE", draw=bare_nodes)
@decides("ONNX-RESET-AFTER", draw=always("linear_before_reset", **STATES))
@decides("ONNX-RESET-AFTER-B", draw=always("linear_before_reset", B=NEVER, **STATES), when=without_biases)
@decides("ONNX-LONG", draw=long_nodes, share=0.2)
@decides("ONNX-MANY", draw=many_nodes, share=0.2)
@decides("ONNX-WIDE", draw=wide_nodes, share=0.2)
@decides("ONNX-SATURATION", draw=bare_nodes, when=saturating)
@decides("ONNX-ATTRIBUTES-TOGETHER", draw=nodes)
def test_equation(trial):
    trial.agrees()


def with_parameters(call, **changes):
    return call.replace(parameters=call.parameters | changes)


@decides("ONNX-B-OMITTED")
def test_omitted_biases_are_zeros(trial):
    call = trial.call
    zeros = with_parameters(call, B=np.zeros_like(call.parameters["B"]))
    without = call.replace(parameters={name: a for name, a in call.parameters.items() if name != "B"})
    trial.other(without).same(trial.other(zeros).got, other="with biases of 0")


@decides("ONNX-B-SUM")
def test_biases_are_added(trial):
    """Wb and Rb change places, except in the block of a GRU whose bias is reset."""
    call, H = trial.call, trial.call.config.hidden_size
    gates, changed = call.config.operator.gates, call.parameters["B"].copy()
    for k, gate in enumerate(gates):
        if not (call.config.kind == "GRU" and gate == "h"):
            mine, other = (slice((k + half) * H, (k + half + 1) * H) for half in (0, len(gates)))
            changed[:, mine], changed[:, other] = call.parameters["B"][:, other], call.parameters["B"][:, mine]
    trial.same(trial.other(with_parameters(call, B=changed)).got, other="with Wb and Rb exchanged")


@decides("ONNX-P-ZERO")
def test_peepholes_of_zero_are_none(trial):
    call = trial.call
    zeros = with_parameters(call, P=np.zeros_like(call.parameters["P"]))
    without = call.replace(parameters={name: a for name, a in call.parameters.items() if name != "P"})
    trial.other(without).same(trial.other(zeros).got, other="with peepholes of 0")


def peepholes_scaled(call, factor):
    """Return P, if the call has it, with the block of the forget gate multiplied by a factor."""
    if "P" not in call.parameters:
        return {}
    P, H = call.parameters["P"].copy(), call.config.hidden_size
    P[:, 2 * H :] *= P.dtype.type(factor)
    return {"P": P}


@decides("ONNX-INPUT-FORGET-UNUSED", draw=broadly("input_forget"))
def test_the_forget_gate_is_not_used(trial):
    call = trial.call
    changed = scaled(call, {"f": -3.0}) | peepholes_scaled(call, -3.0)
    trial.same(trial.other(call.replace(parameters=changed)).got, other="with another forget gate")


@decides("ONNX-INPUT-FORGET-TIED", draw=broadly("input_forget", activations=NEVER), when=default_functions)
def test_a_tied_forget_gate(trial):
    call, H = trial.call, trial.call.config.hidden_size
    parameters = {name: a.copy() for name, a in call.parameters.items()}
    for name, a in parameters.items():
        for half in (0, 4) if name == "B" else (0,):  # the blocks are i, o, f
            a[:, (half + 2) * H : (half + 3) * H] = -a[:, half * H : (half + 1) * H]
    tied = call.configured(input_forget=0).replace(parameters=parameters)
    trial.same(trial.other(tied).got, other="a forget gate tied to the input gate")
