"""The parameters: documented names, order, shapes and gate blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from reference.config import CellConfig, LayerConfig, numpy_dtype, require

# Source: "Attributes" of each layer, (W_ii|W_if|W_ig|W_io) and (W_ir|W_iz|W_in).
GATES = {"rnn_tanh": "h", "rnn_relu": "h", "lstm": "ifgo", "gru": "rzn"}


def parameter_shapes(config: LayerConfig | CellConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter of a valid configuration by name, in the documented order.

    The order is layer by layer, the forward direction before the reverse one, and in each direction weight_ih
    (G*H, input), weight_hh (G*H, O), bias_ih (G*H), bias_hh (G*H), weight_hr (P, H). G is the number of gates; the
    input of a layer after the first has D*O features. A cell has the first four, without a suffix.

    Source: torch.nn.RNN, LSTM, GRU and their cells, "Attributes" or "Variables".
    """
    H, G = config.hidden_size, len(GATES[config.kind])
    if isinstance(config, CellConfig):
        return _direction_shapes("", G * H, config.input_size, H, 0, H, config.bias)
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, direction in layer_directions(config):
        I = config.input_size if layer == 0 else config.directions * config.output_size
        suffix = parameter_suffix(layer, direction)
        shapes |= _direction_shapes(suffix, G * H, I, config.output_size, config.proj_size, H, config.bias)
    return shapes


def layer_directions(config: LayerConfig) -> Iterator[tuple[int, int]]:
    """Yield every (layer, direction) in the documented order of the parameters and of the rows of h_n and c_n."""
    for layer in range(config.num_layers):
        for direction in range(config.directions):
            yield layer, direction


def parameter_suffix(layer: int, direction: int) -> str:
    """Return the ending of the parameters' names of one direction of one layer: _l0, _l0_reverse, _l1, ..."""
    return f"_l{layer}" + ("_reverse" if direction else "")


def _direction_shapes(suffix: str, GH: int, I: int, O: int, P: int, H: int, bias: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {f"weight_ih{suffix}": (GH, I), f"weight_hh{suffix}": (GH, O)}
    if bias:
        shapes |= {f"bias_ih{suffix}": (GH,), f"bias_hh{suffix}": (GH,)}
    if P > 0:
        shapes[f"weight_hr{suffix}"] = (P, H)
    return shapes


def check_parameters(config: LayerConfig | CellConfig, parameters: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError, naming the parameter, if one is missing, superfluous, misshapen or of another dtype."""
    shapes = parameter_shapes(config)
    dtype = numpy_dtype(config.dtype)
    require(isinstance(parameters, Mapping), "parameters", "a mapping from names to arrays", type(parameters).__name__)
    missing = [name for name in shapes if name not in parameters]
    require(not missing, "parameters", f"all of {', '.join(shapes)}", f"none named {', '.join(missing)}")
    unknown = [name for name in parameters if name not in shapes]
    require(not unknown, "parameters", f"only {', '.join(shapes)}", f"also {', '.join(map(str, unknown))}")
    for name, shape in shapes.items():
        came = parameters[name]
        require(isinstance(came, np.ndarray), name, "a NumPy array", type(came).__name__)
        require(came.shape == shape, name, f"shape {shape}", came.shape)
        require(came.dtype == dtype, name, f"dtype {config.dtype}", str(came.dtype))
