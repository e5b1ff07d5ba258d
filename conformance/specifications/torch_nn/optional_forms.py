"""The forms of the optional features that PyTorch's layers do not have, and the drawing of their calls."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from hypothesis import strategies as st

from conformance.backend import Features
from conformance.engine.form import Form, first_element
from conformance.specifications.torch_nn import attributes, locate
from conformance.specifications.torch_nn.calls import describe
from conformance.specifications.torch_nn.forms import LAYER
from conformance.specifications.torch_nn.optional_calls import LastCall, MaskCall, OptionalPlan, ReverseCall
from conformance.specifications.torch_nn.strategies import layers, layers_reaching, with_boundaries
from conformance.specifications.torch_nn.trials import LastTrial, OptionalTrial, as_result
from reference.layers import evaluate, last_of

REACHES = ("small",) * 9 + ("long",)


def reverse_layers(features: Features) -> st.SearchStrategy[OptionalPlan]:
    """Draw calls of layers of one direction."""
    plans = layers_reaching(replace(features, bidirectional=False), with_boundaries(features, REACHES))
    return st.builds(OptionalPlan, plans, st.just(ReverseCall))


def masked_layers(features: Features) -> st.SearchStrategy[OptionalPlan]:
    """Draw calls with a mask, which take the place of lengths."""
    plans = layers_reaching(replace(features, lengths=False), with_boundaries(features, REACHES))
    return st.builds(OptionalPlan, plans, st.just(MaskCall))


def last_outputs(features: Features) -> st.SearchStrategy[OptionalPlan]:
    """Draw the calls of layers, for the last output alone."""
    return st.builds(OptionalPlan, layers(features), st.just(LastCall))


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
LAST = replace(
    LAYER,
    name="last output",
    call=LastCall,
    trial=LastTrial,
    draw=last_outputs,
    ask="forward_last",
    receive=partial(as_result, method="forward_last"),
    oracle=lambda call, parameters, **given: last_of(
        call.config, evaluate(call.config, parameters, **given, masks=call.masks)
    ),
    locate=lambda call: locate.last_place(call.config),
    elements=attributes.last_elements,
    ends=lambda call: None,
    first_wrong=first_element,
    controls=lambda features: False,
    snippet=LAYER.snippet.replace("layer.forward(", "layer.forward_last("),
)
OPTIONAL_FORMS: tuple[Form, ...] = (REVERSE, MASKED, LAST)
