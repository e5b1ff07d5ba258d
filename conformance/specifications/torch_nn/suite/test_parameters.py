"""Parameters: the order of gates, biases and directions, and reading parameters back."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations

import numpy as np

from conformance.backend import Result
from conformance.engine.compare import Failed, of_another, require_plain
from conformance.engine.wrong_elements import is_right
from conformance.specifications.torch_nn.decides import decides
from conformance.specifications.torch_nn.strategies import both_directions, cells, plain_layers
from conformance.specifications.torch_nn.suite.test_shapes import expect_shape
from conformance.specifications.torch_nn.suite.test_state import free_of_lengths, optional, single_layer
from reference.parameters import GATES, parameter_shapes

ENOUGH = 16


@decides("LSTM-GATE-ORDER", draw=plain_layers, when=lambda call: call.config.bias)
@decides("GRU-GATE-ORDER", draw=plain_layers, when=lambda call: call.config.bias)
def test_gate_order(trial):
    """The rows have the documented order of gates; a failure names another arrangement that gives the numbers."""
    try:
        trial.agrees()
    except Failed as failure:
        arrangement = explaining_arrangement(trial)
        if arrangement:
            documented = "|".join(GATES[trial.call.config.kind])
            raise Failed(f"{failure}. These are the numbers of {arrangement}; documented is {documented}") from None


def arrangements(kind, H):
    """Yield every wrong arrangement of the rows: its name, its row numbers (G*H), and the parameters it applies to."""
    gates = GATES[kind]
    rows = np.arange(len(gates) * H).reshape(len(gates), H)
    yield "rows ordered unit by unit", rows.reshape(H, -1).T.ravel(), ("weight_ih", "weight_hh", "bias")
    for order in list(permutations(range(len(gates))))[1:]:  # the first order is the documented one
        # The backend takes block order[k] for gate k.
        named = "blocks ordered " + "|".join(gates[order.index(k)] for k in range(len(gates)))
        for whose in (("weight_ih", "weight_hh", "bias"), ("bias",), ("weight_hh",), ("weight_ih",)):
            yield named + (f" in {whose[0]} alone" if len(whose) == 1 else ""), rows[list(order)].ravel(), whose


def explaining_arrangement(trial):
    """Name the one wrong arrangement of rows that gives the backend's numbers; return "" if there is no single one."""
    call = trial.call
    given = {name: None if a is None else a.astype(np.float64) for name, a in trial.form.array_arguments(call).items()}
    limit, explaining = trial.allowed().output * 4 + 1e-30, []
    for named, rows, whose in arrangements(call.config.kind, call.config.hidden_size):
        read = {n: v[rows] if n.startswith(whose) else v for n, v in trial.parameters64.items()}
        wrong = trial.by_oracle(read, **given).output
        # Few elements distinguish orders of all parameters, but not the many arrangements of some of them.
        told_apart = np.any(np.abs(wrong - trial.want.output) > 2 * limit) and (len(whose) > 1 or wrong.size >= ENOUGH)
        if told_apart and np.all(np.abs(trial.got.output - wrong) <= limit):
            explaining.append(named)
    return explaining[0] if len(explaining) == 1 else ""


def moved_biases(call):
    """Return the parameters with bias_ih and bias_hh exchanged, except for the n block of a GRU."""
    H, parameters = call.config.hidden_size, dict(call.parameters)
    shared = slice(0, 2 * H) if call.config.kind == "gru" else slice(None)
    for name in call.parameters:
        if name.startswith("bias_ih"):
            other = name.replace("bias_ih", "bias_hh")
            b_ih, b_hh = call.parameters[name].copy(), call.parameters[other].copy()
            b_ih[shared], b_hh[shared] = call.parameters[other][shared], call.parameters[name][shared]
            parameters[name], parameters[other] = b_ih, b_hh
    return parameters


def biases_as_weights(call):
    """Return a call whose first feature is 1 and has no weight, and one whose biases are the weights of that feature.

    The biases of the first layer are moved; those of a GRU's n block are zero.
    """
    H, x = call.config.hidden_size, call.x.copy()
    x[..., 0] = 1
    as_biases, as_weights = dict(call.parameters), dict(call.parameters)
    added = slice(0, 2 * H) if call.config.kind == "gru" else slice(None)
    for name in (name for name in call.parameters if name.startswith("weight_ih_l0")):
        b_ih, b_hh = name.replace("weight", "bias"), name.replace("weight_ih", "bias_hh")
        as_biases[name] = call.parameters[name].copy()
        as_biases[name][:, 0] = 0
        for bias in (b_ih, b_hh):
            as_weights[bias] = np.zeros_like(call.parameters[bias])
            as_biases[bias] = as_weights[bias].copy()
            as_biases[bias][added] = call.parameters[bias][added]
        as_weights[name] = as_biases[name].copy()
        as_weights[name][:, 0] = as_biases[b_ih] + as_biases[b_hh]
    changed = call.replace(x=x, parameters=as_biases)
    return changed, changed.replace(parameters=as_weights)


@decides("PARAM-BIASES-ADD", when=lambda call: call.config.bias)
def test_biases_add(trial):
    moved = trial.other(trial.call.replace(parameters=moved_biases(trial.call))).got
    trial.same(moved, other="with the same sum of biases")
    as_biases, as_weights = (trial.other(call) for call in biases_as_weights(trial.call))
    try:
        as_biases.same(as_weights.got, other="with the biases as weights of a feature of 1", by=as_weights)
    except Failed as failure:
        if failure.raised or is_right(as_weights):  # otherwise more than the biases is wrong
            raise
        raise of_another(failure) from None


@decides("PARAM-NO-BIAS")
@decides("CELL-NO-BIAS", draw=cells)
def test_no_bias_is_zero_biases(trial):
    call = trial.call
    config = replace(call.config, bias=True)
    parameters = {
        name: call.parameters.get(name, np.zeros(shape, call.x.dtype))
        for name, shape in parameter_shapes(config).items()
    }
    trial.same(trial.other(call.replace(config=config, parameters=parameters)).got, other="with biases of zeros")


def permuted_units(call, order):
    """Return the parameters of a single unprojected layer with its hidden units in another order."""
    H, parameters = call.config.hidden_size, {}
    rows = np.concatenate([order + gate * H for gate in range(len(GATES[call.config.kind]))])
    for name, value in call.parameters.items():
        value = value[rows]
        parameters[name] = value[:, order] if name.startswith("weight_hh") else value
    return parameters


@decides("PARAM-UNITS-PERMUTED", when=lambda c: single_layer(c) and not c.config.proj_size and c.config.hidden_size > 1)
def test_hidden_units_permuted(trial):
    call, config = trial.call, trial.call.config
    order = np.roll(np.arange(config.hidden_size), 1)
    columns = np.concatenate([order + d * config.hidden_size for d in range(config.directions)])
    permuted = call.replace(
        parameters=permuted_units(call, order),
        h_0=optional(call.h_0, (..., order)),
        c_0=optional(call.c_0, (..., order)),
    )
    trial.same(
        trial.other(permuted).got,
        lambda r: Result(r.output[..., columns], r.h_n[..., order], optional(r.c_n, (..., order))),
        other="with permuted units",
    )


@decides("PARAM-FEATURES-PERMUTED", when=lambda call: call.config.input_size > 1)
def test_input_features_permuted(trial):
    call = trial.call
    order = np.roll(np.arange(call.config.input_size), 1)
    parameters = {
        name: value[:, order] if name.startswith("weight_ih_l0") else value for name, value in call.parameters.items()
    }
    trial.same(
        trial.other(call.replace(parameters=parameters, x=call.x[..., order])).got, other="with permuted features"
    )


@decides("PARAM-REVERSE", draw=both_directions, when=single_layer)
def test_directions_exchanged(trial):
    call, O = trial.call, trial.call.config.output_size

    def other_direction(name):
        return name.removesuffix("_reverse") if name.endswith("_reverse") else f"{name}_reverse"

    exchanged = call.replace(
        parameters={name: call.parameters[other_direction(name)] for name in call.parameters},
        x=call.x[::-1].copy(),
        h_0=optional(call.h_0, [1, 0]),
        c_0=optional(call.c_0, [1, 0]),
    )

    def view(result):
        flipped = np.concatenate([result.output[::-1, :, O:], result.output[::-1, :, :O]], axis=-1)
        return Result(flipped, result.h_n[[1, 0]], optional(result.c_n, [1, 0]))

    trial.same(trial.other(exchanged).got, view, other="with the directions exchanged")


@decides("PARAM-LAYER-INPUT", when=free_of_lengths)
def test_later_layers_see_both_directions(trial):
    """If layer 1 has zero weights for the reverse half of layer 0, the reverse half makes no difference."""
    call, O = trial.call, trial.call.config.output_size
    blind = dict(call.parameters)
    for name, value in call.parameters.items():
        if name.startswith("weight_ih") and not name.startswith("weight_ih_l0"):
            blind[name] = value.copy()
            blind[name][:, O:] = 0
    changed = {
        name: -value if name.endswith("_l0_reverse") and name.startswith("weight") else value
        for name, value in blind.items()
    }
    first = trial.other(call.replace(parameters=blind))
    second = trial.other(call.replace(parameters=changed))

    def above(result):
        return Result(result.output, result.h_n[2:], optional(result.c_n, slice(2, None)))

    first.same(above(second.got), above, other="with another first layer that gives the same")
    trial.agrees()


def read_back(trial):
    with trial.subject.calling("parameters"):
        came = trial.layer.parameters()
        if not isinstance(came, Mapping):
            raise Failed(f"parameters returned {type(came).__name__}, expected a mapping of names to arrays")
        return came


@decides("PARAM-NAMES")
def test_parameter_names(trial):
    came, expected = set(read_back(trial)), set(parameter_shapes(trial.call.config))
    if came != expected:
        raise Failed(
            f"parameters: missing {sorted(expected - came) or 'none'}, superfluous {sorted(came - expected) or 'none'}"
        )


@decides("PARAM-ORDER")
def test_parameter_order(trial):
    came, expected = list(read_back(trial)), list(parameter_shapes(trial.call.config))
    if came != expected:
        raise Failed(f"parameters: got the order {came}, expected {expected}")


@decides("PARAM-SHAPES")
def test_parameter_shapes(trial):
    came = read_back(trial)
    for name, shape in parameter_shapes(trial.call.config).items():
        expect_shape(name, came.get(name), shape)


@decides("PARAM-VALUES")
def test_parameter_values(trial):
    came = read_back(trial)
    for name, value in trial.call.parameters.items():
        expect_shape(name, came.get(name), value.shape)
        require_plain(name, came[name])
        if came[name].dtype != value.dtype:
            raise Failed(f"{name}: got dtype {came[name].dtype}, expected {value.dtype}")
        if not np.array_equal(came[name], value):
            raise Failed(f"{name}: read back other values than were loaded")
