"""Gradients: vector-Jacobian products against the oracle, and laws that relate them to each other."""

from typing import Any

import numpy as np

from conformance.backwards import COTANGENTS, cotangents
from conformance.engine.compare import Failed, of_another
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.gradient_strategies import (
    cell_gradient_calls,
    gradient_calls,
    long_gradient_calls,
)
from conformance.specifications.torch_nn.suite.test_lengths import ragged, time_first
from conformance.specifications.torch_nn.suite.test_shapes import batch_of_one, batched, transposed
from conformance.specifications.torch_nn.suite.test_state import (
    expect_repeated,
    layer_of,
    one_direction,
    optional,
    result_of,
    samples,
    several_samples,
)
from conformance.specifications.torch_nn.suite.test_state import several_steps as several_steps_forward
from conformance.specifications.torch_nn.suite.test_state import single_layer as single_layer_without_lengths
from reference.parameters import parameter_suffix

STATES = ("h_0", "c_0")


def gradient(requirement, **options):
    """Mark a test of calls for gradients with the requirement that it decides."""
    return decides(f"GRADIENT-{requirement}", **({"draw": gradient_calls} | options))


def of(*prefixes):
    """Return the view that keeps the gradients whose names begin with one of the prefixes."""
    return lambda d: {name: a for name, a in d.items() if name.startswith(prefixes)}


def given_alone(name):
    return lambda call: set(call.cotangents) == {name}


# --- against the oracle ------------------------------------------------------------------------------


@gradient("EQUATION")
@gradient("D-OUTPUT", when=given_alone("d_output"))
@gradient("D-H-N", when=given_alone("d_h_n"))
@gradient("D-C-N", when=given_alone("d_c_n"))
@gradient("LENGTHS")
@gradient("LONG", draw=long_gradient_calls, share=0.2)
def test_gradients_agree_with_the_formula(trial):
    trial.agrees()


@gradient("X")
def test_gradient_of_x(trial):
    trial.agrees(view=of("x"))


@gradient("H-0")
def test_gradient_of_h_0(trial):
    trial.agrees(view=of("h_0"))


@gradient("C-0")
def test_gradient_of_c_0(trial):
    trial.agrees(view=of("c_0"))


@gradient("WEIGHT-IH")
def test_gradient_of_weight_ih(trial):
    trial.agrees(view=of("weight_ih"))


@gradient("WEIGHT-HH")
def test_gradient_of_weight_hh(trial):
    trial.agrees(view=of("weight_hh"))


@gradient("WEIGHT-HR")
def test_gradient_of_weight_hr(trial):
    trial.agrees(view=of("weight_hr"))


def with_biases(call):
    return call.config.bias


@gradient("BIAS-IH", when=with_biases)
def test_gradient_of_bias_ih(trial):
    trial.agrees(view=of("bias_ih"))


@gradient("BIAS-HH", when=with_biases)
def test_gradient_of_bias_hh(trial):
    trial.agrees(view=of("bias_hh"))


@gradient("RELU-AT-ZERO")
def test_relu_at_zero(trial):
    """Zeros without biases make every preactivation exactly zero in any arithmetic."""
    call = trial.call
    parameters = {n: np.zeros_like(a) if n.startswith("bias") else a for n, a in call.parameters.items()}
    h_0 = None if call.h_0 is None else np.zeros_like(call.h_0)
    trial.other(call.replace(x=np.zeros_like(call.x), h_0=h_0, parameters=parameters)).agrees()


# --- names, shapes, dtypes ---------------------------------------------------------------------------


@gradient("NAMES")
def test_names(trial):
    try:
        came, expected = set(trial.returned), set(trial.call.result_shapes)
    except Failed as failure:  # GRADIENT-SHAPES decides
        raise of_another(failure) from None
    if came != expected:
        missing, other = sorted(expected - came), sorted(came - expected)
        parts = [f"{', '.join(missing)} missing"] * bool(missing) + [f"{', '.join(other)} not asked for"] * bool(other)
        raise Failed(f"the names of the gradients: {'; '.join(parts)}")


@gradient("OMITTED-STATE", when=lambda call: call.h_0 is None)
def test_an_omitted_state_gets_no_gradient(trial):
    came = [name for name in STATES if name in trial.returned]
    if came:
        raise Failed(f"the gradient of {came[0]}: came back, though {came[0]} was omitted")


@gradient("SHAPES")
def test_gradient_shapes(trial):
    trial.got  # noqa: B018  raises if a shape is wrong


@gradient("DTYPE")
def test_gradient_dtype(trial):
    expected = trial.call.x.dtype
    for name, array in trial.returned.items():
        if array is not None and array.dtype != expected:
            raise Failed(f"{trial.form.of}{name}: got dtype {array.dtype}, expected {expected}")


# --- laws --------------------------------------------------------------------------------------------


def summed(parts):
    """Add the parameters' gradients of several calls in float64, so that the law adds no rounding."""
    names = [name for name in parts[0] if name.startswith(("weight", "bias"))]
    return {name: np.sum([d[name].astype(np.float64) for d in parts], axis=0) for name in names}


@gradient("BIASES-ALIKE", when=with_biases)
def test_biases_have_the_same_gradient(trial):
    H = trial.call.config.hidden_size
    shared = slice(2 * H if trial.call.config.kind == "gru" else None)

    def view(which):
        return lambda d: {n.replace(which, "bias"): a[shared] for n, a in d.items() if n.startswith(which)}

    trial.same(view("bias_hh")(trial.got), view("bias_ih"), other="that of bias_hh")


@gradient("NONE-ZEROS", when=lambda call: len(call.cotangents) < 2)
def test_a_cotangent_of_none_is_zeros(trial):
    call = trial.call
    shapes = dict(zip(COTANGENTS, call.forward.result_shapes, strict=True))
    lacking = set(cotangents(trial.subject.features, call.config.kind)) - set(call.cotangents)
    zeros = {n: np.zeros(s, call.x.dtype) for n, s in shapes.items() if s and n in lacking}
    trial.same(trial.run(**zeros), other="with cotangents of zeros")


@gradient("OMITTED-ZEROS")
def test_omitted_states_are_zeros(trial):
    call = trial.call
    zeros = {name: np.zeros_like(s) for name in STATES if (s := getattr(call, name)) is not None}
    omitted = trial.other(call.replace(h_0=None, c_0=None))
    omitted.same({name: a for name, a in trial.run(**zeros).items() if name not in zeros}, other="with states of zeros")


@gradient("STACK", when=batched)
def test_a_stack_is_chained(trial):
    call, D = trial.call, trial.call.config.directions
    layers, x = [], call.x
    for k in range(call.config.num_layers):
        rows = slice(k * D, (k + 1) * D)
        cotangents = {"d_output": None, "d_h_n": optional(call.d_h_n, rows), "d_c_n": optional(call.d_c_n, rows)}
        layers.append(layer_of(call, k, x).replace(**cotangents))
        x = result_of(trial, layers[-1].forward).output
    d_output = call.d_output
    states: dict[str, list[Any]] = {}
    parameters: dict[str, Any] = {}
    for k in reversed(range(call.config.num_layers)):
        d = result_of(trial, layers[k].replace(d_output=d_output))
        d_output = d["x"]
        for name in STATES:
            if name in d:
                states[name] = [d[name], *states.get(name, [])]
        for direction in range(D):
            old, new = parameter_suffix(0, direction), parameter_suffix(k, direction)
            parameters |= {n.removesuffix(old) + new: a for n, a in d.items() if n.endswith(old)}
    trial.same(
        {"x": d_output} | {name: np.concatenate(s) for name, s in states.items()} | parameters, other="layer by layer"
    )


@gradient("DIRECTIONS", when=single_layer_without_lengths)
def test_bidirectional_gradients_add_up(trial):
    call, O = trial.call, trial.call.config.output_size
    ways = []
    for direction, time in enumerate((slice(None), slice(None, None, -1))):
        half = slice(direction * O, (direction + 1) * O)
        rows = slice(direction, direction + 1)
        alone = one_direction(call, direction, call.x[time].copy()).replace(
            d_output=None if call.d_output is None else call.d_output[time, :, half].copy(),
            d_h_n=optional(call.d_h_n, rows),
            d_c_n=optional(call.d_c_n, rows),
        )
        ways.append(trial.other(alone).got)
    forward, reverse = ways
    both = {"x": forward["x"].astype(np.float64) + reverse["x"][::-1]} if "x" in forward else {}
    both |= {name: np.concatenate([forward[name], reverse[name]]) for name in STATES if name in forward}
    for suffix, d in (("", forward), ("_reverse", reverse)):
        both |= {name + suffix: a for name, a in d.items() if name.startswith(("weight", "bias"))}
    trial.same(both, other="each direction by itself")


@gradient("CHUNKED", when=several_steps_forward)
def test_gradients_across_a_cut(trial):
    call = trial.call
    cut = 1 + int(abs(float(call.x.flat[0])) * 7) % (call.T - 1)
    head, tail = slice(cut), slice(cut, None)
    first = call.replace(x=call.x[head], d_output=optional(call.d_output, head), d_h_n=None, d_c_n=None)
    middle = trial.other(first.forward).got
    second = {"x": call.x[tail], "d_output": optional(call.d_output, tail), "h_0": middle.h_n, "c_0": middle.c_n}
    later = trial.run(**second)
    earlier = trial.other(first.replace(d_h_n=later["h_0"], d_c_n=later.get("c_0"))).got
    whole = {"x": np.concatenate([earlier["x"], later["x"]])} if "x" in later else {}
    whole |= {n: earlier[n] for n in STATES if n in earlier}
    trial.same(whole | summed([earlier, later]), other="in two pieces")


def gradient_samples(call, order):
    """Return the call with the samples of ``order``, in that order, in its cotangents too."""
    axis = 0 if call.config.batch_first else 1
    d_output = None if call.d_output is None else np.take(call.d_output, order, axis)
    ends = {name: optional(getattr(call, name), (slice(None), order)) for name in ("d_h_n", "d_c_n")}
    return samples(call, order) | {"d_output": d_output} | ends


@gradient("BATCH-SUM", when=several_samples)
def test_a_batch_is_the_sum_of_its_samples(trial):
    call = trial.call
    alone = [trial.run(**gradient_samples(call, [n])) for n in range(call.N)]
    axes = {"x": 0 if call.config.batch_first else 1, "h_0": 1, "c_0": 1}
    own = {name: np.concatenate([d[name] for d in alone], axes[name]) for name in alone[0] if name in axes}
    trial.same(own | summed(alone), other="its samples by themselves")


@gradient("LENGTHS-CUT", when=batched)
def test_samples_cut_at_their_lengths(trial):
    call = trial.call
    alone, x = [], np.zeros_like(call.x)
    for n, length in enumerate(call.lengths):
        one = gradient_samples(call, [n]) | {"lengths": None}
        steps = (slice(None), slice(length)) if call.config.batch_first else (slice(length),)
        alone.append(trial.run(**(one | {"x": one["x"][steps], "d_output": optional(one["d_output"], steps)})))
        if "x" in alone[-1]:
            time_first(x, call)[:length, n] = time_first(alone[-1]["x"], call)[:, 0]
    own = {name: np.concatenate([d[name] for d in alone], 1) for name in STATES if name in alone[0]}
    trial.same({"x": x} | own | summed(alone), other="its samples cut at their lengths")


@gradient("BATCH-FIRST", when=batched)
def test_batch_first_is_a_transpose_for_gradients(trial):
    call = trial.call
    d_output = None if call.d_output is None else np.ascontiguousarray(np.swapaxes(call.d_output, 0, 1))
    other = trial.other(transposed(call).replace(d_output=d_output)).got
    trial.same(
        other,
        lambda d: {name: np.swapaxes(a, 0, 1) if name == "x" else a for name, a in d.items()},
        other="the transposed call",
    )


@gradient("UNBATCHED")
def test_unbatched_gradients_are_those_of_a_batch_of_one(trial):
    call = trial.call
    axis = 0 if call.config.batch_first else 1
    d_output = None if call.d_output is None else np.expand_dims(call.d_output, axis)
    ends = {name: optional(getattr(call, name), (slice(None), None)) for name in ("d_h_n", "d_c_n")}

    def view(d):
        return d | {name: np.expand_dims(d[name], axis if name == "x" else 1) for name in ("x", *STATES) if name in d}

    trial.same(trial.other(batch_of_one(call).replace(d_output=d_output, **ends)).got, view, other="a batch of one")


# --- padding -----------------------------------------------------------------------------------------


@gradient("PADDING-ZERO", when=ragged)
def test_padding_gets_no_gradient(trial):
    call = trial.call
    d_x = time_first(trial.got["x"], call)
    for n, length in enumerate(call.lengths):
        past = d_x[length:, n]
        if not np.all(past == 0):
            t, feature = (int(i) for i in np.argwhere(past != 0)[0])
            raise Failed(
                f"the gradient of x, step {length + t}, sample {n}, feature {feature}: got "
                f"{float(past[t, feature]):.9g}, expected 0: the sample ends after {length} steps"
            )


def filled_past_the_end(array, call, rubbish):
    filled = array.copy()
    for n, length in enumerate(call.lengths):
        time_first(filled, call)[length:, n] = rubbish
    return filled


@gradient("PADDING-IGNORED", when=ragged)
def test_padding_of_x_does_not_matter(trial):
    for rubbish in (7.0, np.inf, np.nan):
        trial.same(trial.run(x=filled_past_the_end(trial.call.x, trial.call, rubbish)), other="with other padding")


@gradient("PADDING-COTANGENT", when=lambda call: ragged(call) and call.d_output is not None)
def test_padding_of_the_cotangent_does_not_matter(trial):
    for rubbish in (0.0, 7.0, np.inf, np.nan):
        trial.same(
            trial.run(d_output=filled_past_the_end(trial.call.d_output, trial.call, rubbish)),
            other="with other padding",
        )


# --- calls -------------------------------------------------------------------------------------------


@gradient("REPEATED-CALL")
@decides("CELL-GRADIENT-REPEATED-CALL", draw=cell_gradient_calls)
def test_gradients_do_not_accumulate(trial):
    expect_repeated(trial, trial.run())


@gradient("FORWARD-AFTER")
def test_gradients_leave_the_layer_as_it_was(trial):
    forward = trial.forward
    forward.got  # noqa: B018  the call before the gradients
    trial.run()
    expect_repeated(forward, forward.run())


@gradient("ARGUMENTS-UNTOUCHED")
@decides("CELL-GRADIENT-ARGUMENTS-UNTOUCHED", draw=cell_gradient_calls)
def test_gradients_write_into_no_argument(trial):
    written = trial.written()
    if written:
        raise Failed(f"gradients wrote into {', '.join(written)}; arguments and parameters belong to the caller")
