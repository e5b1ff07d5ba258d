"""The last output alone (``Layer.forward_last``)."""

import numpy as np

from conformance.backend import Result, Unsupported
from conformance.engine.subject import copied
from conformance.engine.trial import trial_of
from conformance.specifications.torch_nn.calls import LayerCall
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.optional_forms import last_outputs
from conformance.specifications.torch_nn.suite.test_lengths import ragged
from conformance.specifications.torch_nn.suite.test_refusals import expect_states_rejected, resized
from conformance.specifications.torch_nn.suite.test_shapes import expect_shape
from conformance.specifications.torch_nn.suite.test_unclaimed import asked_for, expect_refused, judging
from conformance.specifications.torch_nn.trials import LayerTrial, as_result


def without_lengths(call):
    return call.lengths is None


@decides("LAST-SHAPE", draw=last_outputs)
def test_shape_of_the_last_output(trial):
    call, config = trial.call, trial.call.config
    batch, rows = () if call.unbatched else (call.N,), config.directions * config.num_layers
    expect_shape("output", trial.returned.output, (*batch, config.directions * config.output_size))
    expect_shape("h_n", trial.returned.h_n, (rows, *batch, config.output_size))
    if config.kind == "lstm":
        expect_shape("c_n", trial.returned.c_n, (rows, *batch, config.hidden_size))


@decides("LAST-H-N", draw=last_outputs, when=without_lengths)
def test_last_output_is_h_n_of_the_last_layer(trial):
    D = trial.call.config.directions

    def view(result):
        return Result(result.output, np.concatenate([result.h_n[row] for row in range(-D, 0)], axis=-1), None)

    ends = view(trial.got)
    trial.same(Result(ends.h_n, ends.output, None), view, other="h_n or the last output")


def layer_call(call):
    """Return the call of ``forward``."""
    return LayerCall(call.config, call.parameters, **call.arguments, values=call.values)


@decides("LAST-FORWARD", draw=last_outputs, when=without_lengths)
def test_last_output_is_that_of_forward(trial):
    call, O = trial.call, trial.call.config.output_size
    whole = trial_of(trial.subject, layer_call(call)).got
    steps = np.swapaxes(whole.output, 0, 1) if call.config.batch_first and not call.unbatched else whole.output
    ends = np.concatenate([steps[-1][..., :O], steps[0][..., O:]], axis=-1)
    trial.same(Result(ends, whole.h_n, whole.c_n), other="with the output of all steps")


@decides("LAST-EQUATION", draw=last_outputs, when=without_lengths)
@decides("LAST-LENGTHS", draw=last_outputs, when=ragged)
def test_last_output_agrees_with_the_formula(trial):
    trial.agrees()


@decides("REFUSE-LAST-ARGUMENTS", draw=last_outputs)
def test_what_forward_refuses(trial):
    call, I = trial.call, trial.call.config.input_size
    trial.rejects(f"x of {I + 1} features for input_size={I}", x=resized(call.x, -1, I + 1))
    expect_states_rejected(trial, "another number of layers and directions", 0)
    if call.unbatched:
        return
    expect_states_rejected(trial, "another number of samples", 1)
    if trial.subject.features.lengths:
        beyond = (*(call.lengths or (call.T,) * call.N)[:-1], call.T + 1)
        trial.rejects(f"lengths {list(beyond)} for {call.T} steps", lengths=beyond)


@decides("UNCLAIMED-LAST-OUTPUT", draw=last_outputs)
def test_an_unclaimed_last_output(trial):
    expect_refused(trial, "the last output alone")


@decides("UNCLAIMED-ALL-STEPS")
def test_unclaimed_outputs_of_all_steps(trial):
    whole = LayerTrial(trial.subject, layer_call(trial.call))

    def ask(layer):
        if not hasattr(layer, "forward"):
            raise Unsupported("there is no method forward")
        return layer.forward(*copied(whole.call.arguments).values())

    asked = asked_for(trial, "the output of all steps", ask)
    if asked is not None:
        with judging(trial, "the output of all steps"):
            whole.agrees(whole.shaped(as_result(*asked), whole.call))
