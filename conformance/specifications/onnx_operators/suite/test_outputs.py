"""Outputs: their shapes and types, which of them a node has, and what Y_h is."""

from itertools import combinations

import numpy as np

from conformance.engine.compare import Failed, describe_shape_or_kind
from conformance.onnx.features import OUTPUTS
from conformance.specifications.onnx_operators.decides import decides
from conformance.specifications.onnx_operators.strategies import NEVER, broadly
from conformance.specifications.onnx_operators.suite.views import backward, time_first, time_major
from reference.config import numpy_dtype


def shape_decides(requirement, name, when):
    def test(trial):
        call = trial.call
        got, expected = trial.returned.get(name), call.config.shapes(call.T, call.N)[name]
        if not isinstance(got, np.ndarray) or got.shape != expected:
            raise Failed(f"{name}: got {describe_shape_or_kind(got)}, expected shape {expected}")

    return decides(requirement, when=when)(test)


def batch_major(call):
    return not time_major(call)


test_shape_of_y = shape_decides("ONNX-Y", "Y", time_major)
test_shape_of_y_h = shape_decides("ONNX-Y-H", "Y_h", time_major)
test_shape_of_y_c = shape_decides("ONNX-Y-C", "Y_c", time_major)
test_shape_of_y_under_layout = shape_decides("ONNX-LAYOUT-SHAPES", "Y", batch_major)
test_shape_of_y_h_under_layout = shape_decides("ONNX-LAYOUT-STATES", "Y_h", batch_major)


@decides("ONNX-OUTPUT-DTYPE")
def test_types_of_outputs(trial):
    expected = numpy_dtype(trial.call.config.dtype)
    for name in trial.call.config.output_names:
        got = trial.returned.get(name)
        if not isinstance(got, np.ndarray) or got.dtype != expected:
            raise Failed(f"{name}: got {getattr(got, 'dtype', describe_shape_or_kind(got))}, expected {expected}")


@decides("ONNX-OUTPUTS-OMITTED", share=0.4)
def test_omitted_outputs_change_nothing(trial):
    names = trial.call.config.output_names
    for count in range(1, len(names)):
        for kept in combinations(names, count):
            came = trial.other(trial.call.configured(outputs=kept)).got
            for name in kept:
                missing = ", ".join(n for n in OUTPUTS if n in names and n not in kept)
                trial.same({name: came[name]}, lambda r, name=name: {name: r[name]}, other=f"without {missing}")


@decides("ONNX-Y-H-LAST", draw=broadly(sequence_lens=NEVER))
def test_y_h_is_the_last_y(trial):
    call = trial.call

    def last(outputs):
        Y = time_first(call, outputs)["Y"]
        return {"Y_h": np.stack([Y[0 if back else -1, d] for d, back in enumerate(backward(call))])}

    def view(outputs):
        return {"Y_h": time_first(call, outputs)["Y_h"]}

    trial.same(last(trial.got), view, other="Y at the last step")
