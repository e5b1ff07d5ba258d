"""Layout: the axes of X, the states and the outputs."""

from conformance.specifications.onnx_operators.decides import decides
from conformance.specifications.onnx_operators.strategies import always
from conformance.specifications.onnx_operators.suite.views import in_other_layout, time_first


@decides("ONNX-LAYOUT", draw=always("layout", directions=()))
@decides("ONNX-LAYOUT-INITIAL", draw=always("layout", "initial_h", "initial_c", directions=("bidirectional",)))
def test_layout_is_a_transpose(trial):
    call = trial.call
    trial.same(trial.other(in_other_layout(call)).got, lambda r: time_first(call, r), other="with layout = 0")
    trial.agrees()
