"""Describe the place of an element of a result: layer, direction, step, sample, unit; gate and input."""

from __future__ import annotations

from collections.abc import Callable

from reference.config import CellConfig, LayerConfig
from reference.parameters import GATES


def layer_place(config: LayerConfig, unbatched: bool) -> Callable[[str, tuple[int, ...]], str]:
    """Return a function that describes the place of an element of a layer's result.

    The words are layer, direction, step, sample and unit.
    """
    names = ("forward", "reverse") if config.bidirectional else ("forward",)

    def where(name: str, index: tuple[int, ...]) -> str:
        *lead, unit = index
        if name == "output":
            if unbatched:
                t, n = lead[0], 0
            else:
                t, n = reversed(lead) if config.batch_first else lead
            direction, unit = divmod(unit, config.output_size)
            layer = config.num_layers - 1
            place = f"step {t}, sample {n}, "
        else:
            layer, direction = divmod(lead[0], config.directions)
            place = "" if unbatched else f"sample {lead[1]}, "
        return f"layer {layer}, {names[direction]} direction, {place}unit {unit}"

    return where


def last_place(config: LayerConfig) -> Callable[[str, tuple[int, ...]], str]:
    """Return a function that describes the place of an element of a layer's result with the last output alone."""
    first = config.directions * (config.num_layers - 1)

    def where(name: str, index: tuple[int, ...]) -> str:
        if name != "output":
            return layer_place(config, unbatched=len(index) == 2)(name, index)
        direction, unit = divmod(index[-1], config.output_size)
        return layer_place(config, unbatched=len(index) == 1)("h_n", (first + direction, *index[:-1], unit))

    return where


def gradient_place(config: LayerConfig, unbatched: bool) -> Callable[[str, tuple[int, ...]], str]:
    """Return a function that describes the place of an element of a gradient, in its argument or parameter."""
    state_place, gates = layer_place(config, unbatched), GATES[config.kind]

    def where(name: str, index: tuple[int, ...]) -> str:
        *lead, last = index
        if name == "x":
            if unbatched:
                return f"step {lead[0]}, feature {last}"
            t, n = reversed(lead) if config.batch_first else lead
            return f"step {t}, sample {n}, feature {last}"
        if name in ("h_0", "c_0"):
            return state_place(name, index)
        if name.startswith("weight_hr"):
            return f"projected unit {lead[0]}, from unit {last}"
        gate, unit = divmod(index[0], config.hidden_size)
        row = f"gate {gates[gate]}, unit {unit}" if len(gates) > 1 else f"unit {unit}"
        return f"{row}, from input {last}" if lead else row

    return where


def cell_place(name: str, index: tuple[int, ...]) -> str:
    """Describe the place of an element of a cell's result."""
    *lead, unit = index
    return f"sample {lead[0]}, unit {unit}" if lead else f"unit {unit}"


def cell_gradient_place(config: CellConfig) -> Callable[[str, tuple[int, ...]], str]:
    """Return a function that describes the place of an element of a cell's gradient, in its argument or parameter."""
    of_layer = gradient_place(LayerConfig(config.kind, config.input_size, config.hidden_size), unbatched=True)

    def where(name: str, index: tuple[int, ...]) -> str:
        if name in ("h", "c"):
            return cell_place(name, index)
        *lead, last = index
        if name == "x":
            return f"sample {lead[0]}, feature {last}" if lead else f"feature {last}"
        return of_layer(name, index)

    return where
