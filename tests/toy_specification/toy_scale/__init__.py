"""A second specification, in one folder: the operator y = w x + b."""

from conformance.engine.form import Form
from conformance.engine.specification import Specification
from conformance.engine.trial import Trial
from toy_scale.backends import DTYPES, Right, ScaleBackend, ScaleClaims, oracle, received
from toy_scale.calls import ScaleCall, ScaleConfig, scales
from toy_scale.catalogue import CATALOGUE
from toy_scale.faults import faults

SCALE = Form(
    name="scale",
    call=ScaleCall,
    config=ScaleConfig,
    trial=Trial,
    draw=scales,
    build="scale",
    ask="apply",
    receive=received,
    parts=lambda returned: tuple(returned.values()),
    oracle=oracle,
    arrays=("x",),
    validate=lambda call: None,
    locate=lambda call: lambda name, index: f"row {index[0]}, column {index[1]}",
    snippet="return scale.apply(**given)",
)
SPECIFICATION = Specification(
    name="toy.scale",
    documentation="https://example.org/scale",
    catalogue=CATALOGUE,
    dtypes=DTYPES,
    features=ScaleClaims,
    call_features=frozenset(),
    forms=(SCALE,),
    suite="toy_scale.suite",
    adapter=ScaleBackend,
    oracle=Right,
    faults=faults,
)
