"""The forms of the optional features that PyTorch's layers do not have, and the drawing of their calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from conformance.backend import Features, Unsupported
from conformance.engine.form import Form, first_element
from conformance.specifications.torch_nn.calls import describe
from conformance.specifications.torch_nn.forms import LAYER
from conformance.specifications.torch_nn.optional_calls import MaskCall, OptionalPlan, ReverseCall
from conformance.specifications.torch_nn.strategies import layers_reaching, with_boundaries
from conformance.specifications.torch_nn.trials import LayerTrial
from reference.layers import evaluate

REACHES = ("small",) * 9 + ("long",)


def reverse_layers(features: Features) -> st.SearchStrategy[OptionalPlan]:
    """Draw calls of layers of one direction."""
    plans = layers_reaching(replace(features, bidirectional=False), with_boundaries(features, REACHES))
    return st.builds(OptionalPlan, plans, st.just(ReverseCall))


def masked_layers(features: Features) -> st.SearchStrategy[OptionalPlan]:
    """Draw calls with a mask, which take the place of lengths."""
    plans = layers_reaching(replace(features, lengths=False), with_boundaries(features, REACHES))
    return st.builds(OptionalPlan, plans, st.just(MaskCall))


class OptionalTrial(LayerTrial):
    """A call of an optional method. An object without the method refuses it."""

    def use(self, built: Any, arguments: Any) -> Any:
        """Call the method and return its value. Raises Unsupported if there is none."""
        if not hasattr(built, self.form.ask):
            raise Unsupported(f"there is no method {self.form.ask}")
        return super().use(built, arguments)

    def build(self, *arrangement: Any) -> Any:
        """Build once more. Raises Unsupported if the backend has no such method."""
        if not hasattr(self.subject.backend, self.form.build):
            raise Unsupported(f"there is no method {self.form.build}")
        return super().build(*arrangement)


REVERSE = replace(
    LAYER,
    name="reverse layer",
    call=ReverseCall,
    trial=OptionalTrial,
    draw=reverse_layers,
    build="reverse_layer",
    oracle=lambda call, parameters, **given: evaluate(call.config, parameters, **given, reverse=True),
    describe=lambda config: f"reverse {describe(config)}",
    first_wrong=first_element,
    controls=lambda features: False,
    snippet=LAYER.snippet.replace("layer.forward", "reverse_layer.forward"),
)
MASKED = replace(
    LAYER,
    name="masked layer",
    call=MaskCall,
    trial=OptionalTrial,
    draw=masked_layers,
    ask="forward_masked",
    oracle=lambda call, parameters, **given: evaluate(call.config, parameters, **given),
    integers=("mask",),
    first_wrong=first_element,
    controls=lambda features: False,
    snippet='given["mask"] = array(given["mask"]).astype(bool)\n    '
    + LAYER.snippet.replace("layer.forward(", "layer.forward_masked("),
)
OPTIONAL_FORMS: tuple[Form, ...] = (REVERSE, MASKED)
