"""Python source of calls that needs torch alone, for the scripts that reproduce failures."""

from __future__ import annotations

import textwrap

from conformance.backend import CellConfig
from conformance.engine.serialization import config_data


def module_source(config, states: bool) -> str:
    """Return lines that build the module of a configuration, load ``parameters`` and make ``arguments`` tensors."""
    name = {"lstm": "LSTM", "gru": "GRU"}.get(config.kind, "RNN") + "Cell" * isinstance(config, CellConfig)
    given = {n: v for n, v in config_data(config).items() if n not in ("kind", "dtype")}
    if config.kind.startswith("rnn_"):
        given["nonlinearity"] = config.kind.removeprefix("rnn_")
    passed = "".join(f"{name}={value!r}, " for name, value in given.items())
    lines = [
        f"dtype = torch.{config.dtype}",
        f"module = torch.nn.{name}({passed}dtype=dtype).eval()",
        "module.load_state_dict({name: torch.tensor(array(value), dtype=dtype) for name, value in parameters.items()})",
        'x = torch.tensor(array(arguments["x"]), dtype=dtype)',
    ]
    if states:
        names = [
            name for name in ("h_0", "c_0", "h", "c") if name.startswith(("h", "c")[: 1 + (config.kind == "lstm")])
        ]
        names = [name for name in names if name.endswith("_0") != isinstance(config, CellConfig)]
        tensors = [f'torch.tensor(array(arguments["{name}"]), dtype=dtype)' for name in names]
        lines.append(f"states = {tensors[0] if len(tensors) == 1 else '(' + ', '.join(tensors) + ')'}")
    return "\n".join(lines)


def forward_source(call) -> str:
    """Return lines that call a layer's module and set ``output`` and ``states`` to its results."""
    states = ", states" if call.h_0 is not None else ""
    if call.lengths is None:
        return f"output, states = module(x{states})"
    layout, axis = (", batch_first=True", 1) if call.config.batch_first else ("", 0)
    return "\n".join((
        "rnn = torch.nn.utils.rnn",
        f'packed = rnn.pack_padded_sequence(x, torch.tensor(arguments["lengths"]), enforce_sorted=False{layout})',
        f"output, states = module(packed{states})",
        f"output, _ = rnn.pad_packed_sequence(output, total_length=x.shape[{axis}]{layout})",
    ))  # fmt: skip


def compute_source(body: str, imports: str = "import torch") -> str:
    """Return the source of a function ``compute`` with these lines as its body."""
    return f"{imports}\n\n\ndef compute():\n{textwrap.indent(body, '    ')}"


def snippet(call) -> str | None:
    """Return source that makes the call with ``torch.nn`` on the CPU; None for gradients."""
    if "d_output" in call.arguments:
        return None
    cell = isinstance(call.config, CellConfig)
    states = (call.h if cell else call.h_0) is not None
    forward = f"states = module(x{', states' if states else ''})" if cell else forward_source(call)
    h, c = ("h", "c") if cell else ("h_n", "c_n")
    ends = (
        f"h, c = states\nresults = {{{h!r}: h, {c!r}: c}}"
        if call.config.kind == "lstm"
        else f"results = {{{h!r}: states}}"
    )
    output = "" if cell else '\nresults["output"] = output'
    forward = textwrap.indent(forward, "    ")
    return compute_source(
        f"{module_source(call.config, states)}\nwith torch.no_grad():\n{forward}\n{ends}{output}\n"
        "return {name: value.double().numpy() for name, value in results.items()}"
    )
