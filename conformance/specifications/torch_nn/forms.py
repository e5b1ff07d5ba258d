"""The forms of torch.nn: a layer's call, its gradients, a cell's call."""

from __future__ import annotations

from typing import Any

from conformance.backend import CellConfig, LayerConfig, Result
from conformance.backwards import CELL_COTANGENTS, COTANGENTS
from conformance.engine.form import Form
from conformance.specifications.torch_nn import attributes, locate
from conformance.specifications.torch_nn.calls import (
    CellCall,
    CellGradientCall,
    GradientCall,
    LayerCall,
    describe,
)
from conformance.specifications.torch_nn.gradient_strategies import cell_gradient_calls, gradient_calls
from conformance.specifications.torch_nn.strategies import cells, layers
from conformance.specifications.torch_nn.trials import (
    CellGradientTrial,
    CellResult,
    CellTrial,
    GradientTrial,
    as_cell_result,
    as_gradients,
    as_result,
    layer_trial,
)
from reference.gradients import evaluate_cell_gradients, evaluate_gradients
from reference.layers import evaluate, evaluate_cell
from reference.parameters import check_parameters


def _wanted(call: Any, d: dict[str, Any]) -> dict[str, Any]:
    """Return the gradients that are looked at."""
    return {name: a for name, a in d.items() if call.wants(name)}


def _validate(call: Any) -> None:
    call.config.validate()
    check_parameters(call.config, call.parameters)


LAYER = Form(
    name="layer",
    call=LayerCall,
    config=LayerConfig,
    trial=layer_trial,
    draw=layers,
    build="layer",
    ask="forward",
    receive=as_result,
    parts=lambda returned: (returned.output, returned.h_n, getattr(returned, "c_n", None)),
    results=Result._fields,
    oracle=lambda call, parameters, **given: evaluate(call.config, parameters, **given, masks=call.masks),
    arrays=("x", "h_0", "c_0"),
    integers=("lengths",),
    validate=_validate,
    locate=lambda call: locate.layer_place(call.config, call.unbatched),
    describe=describe,
    attributes=attributes.of_layer,
    elements=attributes.layer_elements,
    ends=attributes.ends,
    first_wrong=attributes.first_wrong_of_layer,
    cost=attributes.cost,
    controls=lambda features: True,
    snippet="result = layer.forward(**given)\n"
    '    return {"output": result.output, "h_n": result.h_n, "c_n": getattr(result, "c_n", None)}',
)
GRADIENTS = Form(
    name="gradients",
    call=GradientCall,
    config=LayerConfig,
    trial=GradientTrial,
    draw=gradient_calls,
    build="layer",
    ask="gradients",
    receive=as_gradients,
    parts=lambda returned: tuple(returned.values()),
    oracle=lambda call, parameters, **given: _wanted(
        call, evaluate_gradients(call.config, parameters, **given, masks=call.masks)
    ),
    arrays=("x", "h_0", "c_0", *COTANGENTS),
    integers=("lengths",),
    validate=_validate,
    locate=lambda call: locate.gradient_place(call.config, call.unbatched),
    describe=describe,
    of="the gradient of ",
    attributes=attributes.of_gradients,
    cost=attributes.cost,
    snippet="return layer.gradients(**given)",
)
CELL = Form(
    name="cell",
    call=CellCall,
    config=CellConfig,
    trial=CellTrial,
    draw=cells,
    build="cell",
    ask="step",
    receive=as_cell_result,
    parts=lambda returned: returned,
    results=("output", "h", "c"),
    oracle=lambda call, parameters, **given: CellResult(None, *evaluate_cell(call.config, parameters, **given)),
    arrays=("x", "h", "c"),
    validate=_validate,
    locate=lambda call: locate.cell_place,
    describe=describe,
    attributes=attributes.of_cell,
    elements=attributes.cell_elements,
    controls=lambda features: features.cells,
    snippet='return dict(zip(("h", "c"), cell.step(*given.values())))',
)
CELL_GRADIENTS = Form(
    name="cell gradients",
    call=CellGradientCall,
    config=CellConfig,
    trial=CellGradientTrial,
    draw=cell_gradient_calls,
    build="cell",
    ask="gradients",
    receive=as_gradients,
    parts=lambda returned: tuple(returned.values()),
    oracle=lambda call, parameters, **given: _wanted(call, evaluate_cell_gradients(call.config, parameters, **given)),
    arrays=("x", "h", "c", *CELL_COTANGENTS),
    validate=_validate,
    locate=lambda call: locate.cell_gradient_place(call.config),
    describe=describe,
    of="the gradient of ",
    attributes=attributes.of_cell_gradients,
    snippet="return cell.gradients(**given)",
)
FORMS = (LAYER, GRADIENTS, CELL, CELL_GRADIENTS)
