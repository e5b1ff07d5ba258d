"""Faults of the way back: gradients that go through steps, buffers and states wrongly."""

from __future__ import annotations

from unittest import mock

import numpy as np

import reference.gradients as module
from conformance.specifications.torch_nn.faults.bank import Fault
from conformance.specifications.torch_nn.faults.gradients import marking

FAULTS: list[Fault] = []
gradient = marking(FAULTS)


def going_back(change):
    """Return a function that computes the gradients with ``change(back, kind, weights, way, ...)`` for each way."""

    def gradients(layer, arguments):
        back = module._back
        with mock.patch.object(module, "_back", lambda *given, **more: change(back, *given, **more)):
            return layer.backward(arguments)

    return gradients


@gradient(
    "GRADIENT-EQUATION",
    "gradients that go back through the steps in the order of the forward pass, from the first to the last",
    "one loop for both ways",
)
def gradients_in_forward_order(layer, arguments):
    def back(back, *given, reverse):
        return back(*given, reverse=not reverse)

    return going_back(back)(layer, arguments)


@gradient(
    "GRADIENT-WEIGHT-HH",
    "a gradient of weight_hh in which h_0 is the state before every step",
    "the state between steps not kept for the way back",
)
def gradient_of_weight_hh_from_h_0(layer, arguments):
    def back(back, kind, weights, way, *given, reverse):
        first = way.h[-1 if reverse else 0]
        found, d_weights = back(kind, weights, way, *given, reverse=reverse)
        _, constant = back(kind, weights, way._replace(h=[first] * len(way.h)), *given, reverse=reverse)
        return found, d_weights | {"weight_hh": constant["weight_hh"]}

    return going_back(back)(layer, arguments)


@gradient(
    "GRADIENT-EQUATION",
    "gradients to which the first step contributes nothing, h_0's being that of the state after it",
    "a loop that ends at step 1",
)
def gradients_without_the_first_step(layer, arguments):
    def back(back, kind, weights, way, d_output, d_h, d_c, running, reverse):
        T, N = way.inputs.shape[:2]
        running = np.ones((T, N, 1), bool) if running is None else running.copy()
        running[T - 1 if reverse else 0] = False
        return back(kind, weights, way, d_output, d_h, d_c, running, reverse=reverse)

    return going_back(back)(layer, arguments)


@gradient(
    "GRADIENT-DIRECTIONS",
    "gradients in which the forward direction's gradient of a layer's input is written over the cotangent of its "
    "output, where both have one size, before the reverse direction reads that",
    "dx and dy in one buffer",
    features={"gradients", "bidirectional"},
)
def cotangent_overwritten_by_the_gradient_of_x(layer, arguments):
    written = []

    def back(back, kind, weights, way, d_output, *given, reverse):
        if reverse and written and written[-1].shape[-1] == 2 * d_output.shape[-1]:
            d_output = written[-1][..., d_output.shape[-1] :]
        found = back(kind, weights, way, d_output, *given, reverse=reverse)
        written[:] = [] if reverse else [found[0][0]]
        return found

    return going_back(back)(layer, arguments)


@gradient(
    "GRADIENT-WEIGHT-IH",
    "gradients of the parameters that start from the parameters themselves",
    "a product accumulated into a buffer that holds the weights",
)
def gradients_start_from_the_parameters(layer, arguments):
    d = layer.backward(arguments)
    return d | {name: d[name] + value for name, value in layer.given.items()}
