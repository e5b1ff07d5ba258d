"""Clip: the arguments of f, g and h, one by one and together."""

from conformance.specifications.onnx_operators.decides import decides
from conformance.specifications.onnx_operators.strategies import STATES, always, broadly, focused

BEYOND = 1e6  # a threshold that no argument of these calls reaches


@decides("ONNX-CLIP", draw=always("clip", **STATES))
@decides("ONNX-CLIP-F", draw=focused["clip-f"])
@decides("ONNX-CLIP-G", draw=focused["clip-g"])
@decides("ONNX-CLIP-H", draw=focused["clip-h"])
def test_clip(trial):
    trial.agrees()


@decides("ONNX-CLIP-BEYOND", draw=broadly("clip"))
def test_a_threshold_beyond_every_argument(trial):
    without = trial.other(trial.call.configured(clip=None))
    without.same(trial.other(trial.call.configured(clip=BEYOND)).got, other=f"with clip = {BEYOND:g}")
