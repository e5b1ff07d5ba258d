"""``onnxruntime-torchscript``: torch.nn modules exported to ONNX by tracing, and run by onnxruntime on the CPU.

The adapter calls torch.onnx.export with dynamo=False, the exporter based on TorchScript. It exports packed input; steps
and samples are dynamic. A graph is exported once for each configuration and form of call, and parameters are set in a
copy of it.
"""

from __future__ import annotations

import io
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from conformance.backend import Backend, Cell, CellConfig, Features, Layer, LayerConfig, Result
from conformance.backends.torch_onnx import ARITHMETIC, VERSION, Form, refuse, session
from conformance.backends.torch_snippets import compute_source, module_source
from conformance.torch.standard import cell_module, layer_module, load
from conformance.torch.tensors import DTYPES, to_numpy

Shape = tuple[int | str, ...]  # a string names an extent that is dynamic in the graph
EXTENTS = {"T": 3, "N": 2}  # in the example that the exporter traces


class Packed(nn.Module):
    """A layer that takes padded input and lengths (N), and pads its output to the steps of the input."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x, lengths, states=None):
        layout = {"batch_first": self.layer.batch_first}
        steps = x.shape[1 if self.layer.batch_first else 0]
        output, states = self.layer(pack_padded_sequence(x, lengths, enforce_sorted=False, **layout), states)
        output, _ = pad_packed_sequence(output, total_length=steps, **layout)
        return output, states


def layer_shapes(config: LayerConfig, form: Form) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """Return the shapes of the graph's inputs x and, by the form, lengths, h_0, c_0, and of output, h_n, c_n."""
    samples = ("N",) if form.batched else ()
    layout = ("N", "T") if form.batched and config.batch_first else ("T", *samples)
    state = (config.directions * config.num_layers, *samples, config.hidden_size)
    names = "hc" if config.kind == "lstm" else "h"
    inputs: dict[str, Shape] = {"x": (*layout, config.input_size)}
    if form.lengths:
        inputs["lengths"] = ("N",)
    if form.states:
        inputs |= {f"{name}_0": state for name in names}
    outputs: dict[str, Shape] = {"output": (*layout, config.directions * config.hidden_size)}
    return inputs, outputs | {f"{name}_n": state for name in names}


def cell_shapes(config: CellConfig, form: Form) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """Return the shapes of the graph's inputs x and, by the form, h_0, c_0, and of its outputs h_n, c_n."""
    samples = ("N",) if form.batched else ()
    names = "hc" if config.kind == "lstm" else "h"
    inputs: dict[str, Shape] = {"x": (*samples, config.input_size)}
    if form.states:
        inputs |= {f"{name}_0": (*samples, config.hidden_size) for name in names}
    return inputs, {f"{name}_n": (*samples, config.hidden_size) for name in names}


@lru_cache(maxsize=512)
def exported(config: LayerConfig | CellConfig, form: Form) -> onnx.ModelProto:
    """Return the graph of a layer or cell. Its initializers have the parameters' names, and values to be replaced.

    Raises torch's errors for a module that it does not build or export.
    """
    is_cell = isinstance(config, CellConfig)
    module = cell_module(config) if is_cell else layer_module(config)
    names = [name for name, _ in module.named_parameters()]
    for number, parameter in enumerate(module.parameters(), start=1):
        nn.init.constant_(parameter, number)  # all different: the exporter merges equal initializers
    inputs, outputs = (cell_shapes if is_cell else layer_shapes)(config, form)
    model = torchscript_export(Packed(module) if form.lengths else module, inputs, outputs, DTYPES[config.dtype])
    found = [parameter_name(initializer) for initializer in model.graph.initializer]
    if found != names:
        raise RuntimeError(f"torch.onnx.export: expected the initializers {', '.join(names)}, got {', '.join(found)}")
    return model


def torchscript_export(
    module: nn.Module, inputs: dict[str, Shape], outputs: dict[str, Shape], dtype: torch.dtype
) -> onnx.ModelProto:
    """Trace the module with zeros. Constants stay unfolded, because folded parameters would lose their names."""
    examples = {name: torch.zeros([EXTENTS.get(n, n) for n in shape], dtype=dtype) for name, shape in inputs.items()}
    if "lengths" in inputs:
        examples["lengths"] = torch.tensor([EXTENTS["T"], 1])
    states = tuple(value for name, value in examples.items() if name in ("h_0", "c_0"))
    arguments = [value for name, value in examples.items() if name in ("x", "lengths")]
    if states:
        arguments.append(states if len(states) == 2 else states[0])
    dynamic = {
        name: {axis: n for axis, n in enumerate(shape) if isinstance(n, str)}
        for name, shape in (inputs | outputs).items()
    }
    file = io.BytesIO()
    with expected_warnings():
        torch.onnx.export(
            module,
            tuple(arguments),
            file,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=dynamic,
            do_constant_folding=False,
            dynamo=False,
        )
    return onnx.load_from_string(file.getvalue())


@contextmanager
def expected_warnings() -> Iterator[None]:
    """Suppress torch's messages about every such export, and pass on all others.

    Messages about packed input come from C++ and go to the process's standard error, past ``warnings``.
    """
    with warnings.catch_warnings(), tempfile.TemporaryFile() as written:
        warnings.filterwarnings("ignore", "You are using the legacy TorchScript-based ONNX export", DeprecationWarning)
        warnings.filterwarnings("ignore", "The feature will be removed", DeprecationWarning)
        warnings.filterwarnings("ignore", "Exporting a model to ONNX with a batch_size other than 1", UserWarning)
        warnings.filterwarnings("ignore", "Converting a tensor to a Python boolean", torch.jit.TracerWarning)
        stderr = os.dup(2)
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            written.seek(0)
            for line in written:
                if b"The shape inference of prim::P" not in line:  # prim::PackPadded, prim::PadPacked
                    os.write(2, line)


def parameter_name(initializer: onnx.TensorProto) -> str:
    """Return the parameter's name without ``layer.``, the prefix that Packed adds."""
    return initializer.name.rpartition(".")[2]


class Graph:
    """A session of onnxruntime with an exported graph and its parameters."""

    def __init__(self, config: LayerConfig | CellConfig, form: Form, module: nn.Module) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(exported(config, form))
        values = dict(module.named_parameters())
        for initializer in self.model.graph.initializer:
            value = to_numpy(values[parameter_name(initializer)])
            initializer.CopyFrom(numpy_helper.from_array(value, initializer.name))
        self.session = session(self.model.SerializeToString())

    def parameters(self) -> dict[str, np.ndarray]:
        return {parameter_name(i): numpy_helper.to_array(i).copy() for i in self.model.graph.initializer}

    def __call__(self, x: np.ndarray, **others: np.ndarray | None) -> list[np.ndarray]:
        """Run the graph and return its outputs. Raises ValueError for an empty x, and onnxruntime's errors."""
        if x.size == 0:  # in onnxruntime 1.31 it makes LSTM and GRU abort the process
            raise ValueError(f"x: expected at least one step and one sample, got the shape {x.shape}")
        return self.session.run(None, {"x": x} | {name: value for name, value in others.items() if value is not None})


class Graphs(dict):
    """The graphs of one layer or cell by form, made at first use, with the parameters of a torch module."""

    def __init__(self, config: LayerConfig | CellConfig, module: nn.Module, parameters) -> None:
        super().__init__()
        load(module, parameters)
        self.config, self.module = config, module

    def __missing__(self, form: Form) -> Graph:
        return self.setdefault(form, Graph(self.config, form, self.module))


class OnnxLayer(Layer):
    """A torch.nn.RNN, LSTM or GRU, exported.

    The graph and onnxruntime decide which arguments fit, as for a deployed model.
    """

    def __init__(self, config, parameters):
        self.graphs = Graphs(config, layer_module(config), parameters)

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        if lengths is not None:
            lengths = np.asarray(lengths)
            if lengths.dtype.kind in "iu":
                lengths = lengths.astype(np.int64)
        states = h_0 is not None or c_0 is not None
        form = Form(batched=x.ndim != 2 or lengths is not None, states=states, lengths=lengths is not None)
        return Result(*self.graphs[form](x, lengths=lengths, h_0=h_0, c_0=c_0))

    def parameters(self):
        graph = next(iter(self.graphs.values()), None)  # all have the same parameters
        return (graph or self.graphs[Form(batched=True, states=True)]).parameters()


class OnnxCell(Cell):
    """A torch.nn.RNNCell, LSTMCell or GRUCell, exported."""

    def __init__(self, config, parameters):
        self.graphs = Graphs(config, cell_module(config), parameters)

    def step(self, x, h=None, c=None):
        form = Form(batched=x.ndim != 1, states=h is not None or c is not None)
        h, *c = self.graphs[form](x, h_0=h, c_0=c)
        return h, c[0] if c else None


class TorchScriptOnnxRuntime(Backend):
    """The modules of torch.nn, exported by torch.onnx through tracing, in onnxruntime's CPU provider."""

    name = "onnxruntime-torchscript"
    version = VERSION
    features = Features(
        dtypes={"float32", "float16"},
        projection=False,
        cells=True,
        parameters=True,
        configurations=12,
        float32_arithmetic=ARITHMETIC,
    )

    def layer(self, config, parameters):
        refuse(config, self.features.dtypes)
        return OnnxLayer(config, parameters)

    def cell(self, config, parameters):
        refuse(config, self.features.dtypes)
        return OnnxCell(config, parameters)

    def snippet(self, call):
        """Return source that makes the call with torch, its exporter and onnxruntime; None with lengths.

        Lengths would need a wrapper of the module.
        """
        is_cell = isinstance(call.config, CellConfig)
        if not is_cell and call.lengths is not None:
            return None
        states = (call.h if is_cell else call.h_0) is not None
        form = Form(batched=not call.unbatched, states=states)
        inputs, outputs = (cell_shapes if is_cell else layer_shapes)(call.config, form)
        names = ["h", "c"] if is_cell else list(outputs)
        given = "(*states,)" if call.config.kind == "lstm" else "(states,)"
        return compute_source(
            f"""\
{module_source(call.config, states)}
given = (x, *{given if states else "()"})
file = io.BytesIO()
torch.onnx.export(
    module, {"(x, states)" if states else "(x,)"}, file, dynamo=False, do_constant_folding=False,
    input_names={list(inputs)}, output_names={names[: len(outputs)]},
)
session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
results = session.run(None, {{i.name: a.numpy() for i, a in zip(session.get_inputs(), given, strict=True)}})
return dict(zip({names[: len(outputs)]}, results, strict=True))""",
            "import io\n\nimport onnxruntime\nimport torch",
        )
