"""Models: repeated and interleaved runs, fixed extents, attributes written out, versions of the operators."""

from conformance.engine import repeated
from conformance.engine.compare import Failed
from conformance.specifications.onnx_operators.decides import decides
from conformance.specifications.onnx_operators.strategies import bare_nodes

DECLARE = "a runtime that may do so declares OnnxFeatures(deterministic=False)"


def expect_repeated(trial, again, when="the second time"):
    """Raise Failed unless a repeated run gives the same bits, or with declared nondeterminism the same numbers."""
    repeated.expect_repeated(trial, again, "the same run", when, DECLARE)


@decides("ONNX-REPEATED-CALL")
def test_a_repeated_run(trial):
    expect_repeated(trial, trial.run())


@decides("ONNX-CALLS-INDEPENDENT")
def test_a_run_leaves_nothing_behind(trial):
    call = trial.call
    trial.got  # noqa: B018  the run before the other one
    negated = {name: -state for name, state in call.states.items()}
    trial.run(X=-2 * call.X + 1, **negated)
    expect_repeated(trial, trial.run(), "after one with another input")
    if call.states:  # a run without states does not use those of an earlier run
        without = dict.fromkeys(call.states)
        trial.other(call.replace(**without)).same(trial.run(**without), other="after other runs")


@decides("ONNX-NODES-INDEPENDENT", draw=bare_nodes)
def test_two_models_keep_their_parameters(trial):
    trial.got  # noqa: B018  the first model is prepared and run before the second
    second = trial.other(trial.call.replace(parameters={name: -a for name, a in trial.call.parameters.items()}))
    second.got  # noqa: B018
    expect_repeated(trial, trial.run(), "after one of another model")
    second.agrees()


@decides("ONNX-ARGUMENTS-UNTOUCHED")
def test_inputs_are_not_written(trial):
    written = trial.written()
    if written:
        raise Failed(f"the run wrote into {', '.join(written)}; inputs belong to the caller")


@decides("ONNX-STATIC", share=0.5)
def test_fixed_extents(trial):
    other = trial.call.configured(static=not trial.call.config.static)
    trial.same(trial.other(other).got, other="with free extents" if trial.call.config.static else "with fixed extents")


@decides("ONNX-ZEROS-WRITTEN")
def test_attributes_of_zero_are_none(trial):
    config, claims = trial.call.config, trial.subject.features
    own = {"LSTM": ("input_forget",), "GRU": ("linear_before_reset",)}.get(config.kind, ())
    zeros = tuple(name for name in (*own, "layout") if claims.claims(name) and not getattr(config, name))
    trial.same(trial.other(trial.call.configured(zeros=zeros)).got, other=f"with {', '.join(zeros)} of 0 written out")


@decides("ONNX-OPSETS", share=0.5)
def test_versions_compute_the_same(trial):
    config, claims = trial.call.config, trial.subject.features
    for opset in claims.opsets_for(config.dtype, {"layout"} if config.layout else ()):
        if opset != config.opset:
            trial.same(trial.other(trial.call.configured(opset=opset)).got, other=f"in opset {opset}")
