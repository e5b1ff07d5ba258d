"""``onnxruntime``: torch.nn modules exported to ONNX by torch.export, and run by onnxruntime on the CPU.

The adapter calls torch.onnx.export with dynamo=True, torch's default exporter. In torch 2.13 it fixes the number of
steps to the example's and refuses packed input: the adapter exports for every number of steps, and does not claim
lengths. The number of samples is dynamic. An export takes 1 to 3 s, so it is made once for each configuration, number
of steps and form of call. To that end the parameters are inputs of the graph (torch.func.functional_call); the graph
computes what the exporter would fold if they were constants. Float32 alone is claimed, since every dtype needs an
export.
"""

from __future__ import annotations

import contextlib
import functools
import io
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.onnx._internal.exporter import _registration

from conformance.backend import Backend, Cell, CellConfig, Features, Layer, LayerConfig, Result, Unsupported
from conformance.backends import torch_onnx
from conformance.backends.cross_process_cache import CrossProcessCache
from conformance.backends.kept_exports import KeptExports
from conformance.backends.torch_onnx import ARITHMETIC, VERSION, Arrays, Form, refuse, session, state_names
from conformance.backends.torch_snippets import compute_source, module_source
from conformance.torch import standard
from conformance.torch.standard import cell_module, layer_module
from conformance.torch.tensors import DTYPES
from reference import parameters as parameter_layout
from reference.parameters import parameter_shapes

N = 2  # samples of the exporter's example; dynamic in the graph
PACKAGES = ("torch", "onnx", "onnxscript", "onnx-ir", "numpy")  # that an exported model depends on
ABORTING = ("lstm", "gru")

# torch reads its table of translations for each export, a third of the time; it never changes, so cache it.
if hasattr(_registration.ONNXRegistry, "from_torchlib"):
    _registration.ONNXRegistry.from_torchlib = staticmethod(functools.cache(_registration.ONNXRegistry.from_torchlib))


class Functional(nn.Module):
    """A module that takes its parameters as its first argument."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        object.__setattr__(self, "module", module)  # a submodule's parameters would be constants

    def forward(self, parameters, x, states=None):
        return torch.func.functional_call(self.module, parameters, (x, states))


@functools.lru_cache(maxsize=1024)
def module_of(config: LayerConfig | CellConfig) -> nn.Module:
    """Return the torch.nn module of a configuration. Raises torch's errors for invalid arguments."""
    return cell_module(config) if isinstance(config, CellConfig) else layer_module(config)


def exported(config: LayerConfig | CellConfig, form: Form, steps: int | None) -> bytes:
    """Export a layer or cell and return the serialized model.

    Its inputs are the parameters by name, x and, if the form has states, h_0 and, for lstm, c_0. Its outputs are
    output, except for a cell, h_n and, for lstm, c_n. ``steps`` is None for a cell. Raises torch's errors for a call
    that it does not export.
    """
    is_cell, samples = isinstance(config, CellConfig), (N,) if form.batched else ()
    batch_first = form.batched and not is_cell and config.batch_first
    extents = samples if is_cell else (*samples, steps) if batch_first else (steps, *samples)
    rows = () if is_cell else (config.directions * config.num_layers,)
    dtype = DTYPES[config.dtype]
    parameters = {name: torch.zeros(shape, dtype=dtype) for name, shape in parameter_shapes(config).items()}
    names = state_names(config.kind) if form.states else []
    states = tuple(torch.zeros(*rows, *samples, config.hidden_size, dtype=dtype) for _ in names)
    given = states if config.kind == "lstm" else states[0] if states else None
    dynamic = torch.export.Dim("N") if form.batched else None
    of_x = {0 if is_cell or batch_first else 1: dynamic} if dynamic else {}
    of_states = tuple({len(rows): dynamic} if dynamic else {} for _ in states)
    with quietly():
        program = torch.onnx.export(
            Functional(module_of(config)).eval(),
            (parameters, torch.zeros(*extents, config.input_size, dtype=dtype), *([given] if states else [])),
            dynamo=True,
            verbose=False,
            input_names=[*parameters, "x", *names],
            output_names=[*([] if is_cell else ["output"]), "h_n", "c_n"][
                : (1 - is_cell) + len(state_names(config.kind))
            ],
            dynamic_shapes=(
                {name: {} for name in parameters},
                of_x,
                *([of_states if config.kind == "lstm" else of_states[0]] if states else []),
            ),
        )
    return program.model_proto.SerializeToString()


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Suppress torch's messages about every export, on standard output and as warnings."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


class Graphs:
    """The sessions of onnxruntime of all exported layers and cells of a backend."""

    def __init__(self) -> None:
        self.models, self.sessions = CrossProcessCache(), {}
        self.kept = KeptExports(PACKAGES, (sys.modules[__name__], torch_onnx, standard, parameter_layout))

    def __call__(self, config: LayerConfig | CellConfig, form: Form, steps: int | None):
        """Return the session for a configuration, form of call and number of steps.

        Raises RuntimeError, with torch's message, if the export fails.
        """
        key = config, form, steps
        if key not in self.sessions:
            self.sessions[key] = session(self.models(key, lambda: self.kept(key, lambda: exported(*key))))
        return self.sessions[key]


class Loaded:
    """A configuration with its parameters, which are inputs of its graphs like the arguments.

    The exporter, the graph and onnxruntime decide which arguments and parameters fit.
    """

    def __init__(self, graphs: Graphs, config: LayerConfig | CellConfig, parameters: Arrays) -> None:
        module_of(config)
        self.graphs, self.config = graphs, config
        self.parameters = {name: value.copy() for name, value in parameters.items()}

    def run(self, form: Form, steps: int | None, x: np.ndarray, states: dict[str, np.ndarray | None]):
        """Run the graph and return its outputs. Raises the errors of torch and onnxruntime."""
        graph = self.graphs(self.config, form, steps)
        if self.config.kind in ABORTING and steps is not None and x.size == 0:
            raise SystemExit("onnxruntime's kernel ends the process by signal 6 where x has no sample")
        given = {name: state for name, state in states.items() if state is not None}
        return graph.run(None, {"x": x} | given | self.parameters)


class ExportedLayer(Layer):
    """A torch.nn.RNN, LSTM or GRU, exported."""

    def __init__(self, graphs, config, parameters):
        module_of(config)  # so that torch checks the dropout, which the exported configuration lacks
        self.loaded = Loaded(graphs, replace(config, dropout=0.0), parameters)

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        if lengths is not None:
            raise Unsupported("torch.onnx.export with dynamo=True does not export packed input")
        form = Form(batched=x.ndim != 2, states=h_0 is not None or c_0 is not None)
        steps = x.shape[1 if self.loaded.config.batch_first and x.ndim > 2 else 0]
        return Result(*self.loaded.run(form, steps, x, {"h_0": h_0, "c_0": c_0}))


class ExportedCell(Cell):
    """A torch.nn.RNNCell, LSTMCell or GRUCell, exported."""

    def __init__(self, graphs, config, parameters):
        self.loaded = Loaded(graphs, config, parameters)

    def step(self, x, h=None, c=None):
        form = Form(batched=x.ndim != 1, states=h is not None or c is not None)
        h, *c = self.loaded.run(form, None, x, {"h_0": h, "c_0": c})
        return h, c[0] if c else None


class DynamoOnnxRuntime(Backend):
    """The modules of torch.nn, exported by torch.onnx through torch.export, in onnxruntime's CPU provider."""

    name = "onnxruntime"
    version = VERSION
    features = Features(
        projection=False,
        lengths=False,
        cells=True,
        configurations=5,
        fixed_shapes={"steps"},
        most_steps=33,  # rnn is unrolled: 4 s for 65 steps, 32 s for 300
        float32_arithmetic=ARITHMETIC,
    )

    def __init__(self) -> None:
        self.graphs = Graphs()

    def layer(self, config, parameters):
        refuse(config, self.features.dtypes)
        return ExportedLayer(self.graphs, config, parameters)

    def cell(self, config, parameters):
        refuse(config, self.features.dtypes)
        return ExportedCell(self.graphs, config, parameters)

    def snippet(self, call):
        """Return source that makes the call with torch, its exporter and onnxruntime, for the shapes of the call."""
        states = (call.h if isinstance(call.config, CellConfig) else call.h_0) is not None
        names = ["h", "c"] if isinstance(call.config, CellConfig) else ["output", "h_n", "c_n"]
        names = [name for name in names if call.config.kind == "lstm" or not name.startswith("c")]
        return compute_source(
            f"""\
{module_source(call.config, states)}
given = (x, *{("(*states,)" if call.config.kind == "lstm" else "(states,)") if states else "()"})
program = torch.onnx.export(module, {"(x, states)" if states else "(x,)"}, dynamo=True, verbose=False)
model = program.model_proto.SerializeToString()
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
results = session.run(None, {{i.name: a.numpy() for i, a in zip(session.get_inputs(), given, strict=True)}})
return dict(zip({names}, results, strict=True))""",
            "import onnxruntime\nimport torch",
        )
