"""``reference``: the oracle as a backend, with results rounded to the dtype.

It is an example of an adapter, and runs the suite without a framework. Its conformance proves nothing, because the
suite compares every backend with the oracle.
"""

from __future__ import annotations

import numpy as np

import reference
from conformance.backend import Backend, Cell, Features, Layer, Result
from conformance.version import __version__
from reference.config import require
from reference.gradients import cell_gradients, gradients
from reference.layers import forward, last_of
from reference.parameters import check_parameters, parameter_shapes

GRADIENT_ARGUMENTS = ("x", "h_0", "c_0", "lengths", "d_output", "d_h_n", "d_c_n")
# The groups of results of torch's experiments (conformance/torch/behaviors.py): of gradients with the factor that
# accumulation gives them, of others the names that end with "others" where other parameters count.
EXPERIMENTS_OF_GRADIENTS = {
    **{name: {"all": 1} for name in ("subsets", "frozen", "in place", "cotangents")},
    "accumulated": {"once": 1, "twice": 2},
    "autocast gradients": {"autocast": 1},
}
EXPERIMENTS = {
    "functional": ("others", "own"),
    "parametrized": ("others",),
    "state_dict": ("loaded",),
    "deepcopy": ("copy", "copy with others", "original with others"),
    "autocast": ("autocast",),
}


class OracleLayer(Layer):
    """A layer that calls ``reference.forward``."""

    def __init__(self, config, parameters):
        config.validate()
        check_parameters(config, parameters)
        self.config = config
        self.dtype = reference.numpy_dtype(config.dtype)
        self._parameters = {name: parameters[name].copy() for name in parameter_shapes(config)}
        self._states: tuple = (None, None)  # of the last call of forward_stateful

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        return self._rounded(reference.forward(self.config, self._parameters, x, h_0, c_0, lengths))

    def forward_training(self, x, h_0=None, c_0=None, lengths=None, *, seed):
        masks = self.masks(x, seed)
        return self._rounded(reference.forward(self.config, self._parameters, x, h_0, c_0, lengths, masks))

    def masks(self, x, seed):
        """Return the units that dropout keeps as booleans, (T, N, D*O) for each layer except the last."""
        config, rng = self.config, np.random.default_rng(seed)
        T, N = (x.shape[0], 1) if x.ndim == 2 else x.shape[1::-1] if config.batch_first else x.shape[:2]
        shape = (config.num_layers - 1, T, N, config.directions * config.output_size)
        return list(rng.random(shape) >= config.dropout)

    def _rounded(self, result: Result) -> Result:
        output, h_n, c_n = result
        return Result(
            output.astype(self.dtype), h_n.astype(self.dtype), None if c_n is None else c_n.astype(self.dtype)
        )

    def forward_last(self, x, h_0=None, c_0=None, lengths=None):
        return last_of(self.config, self.forward(x, h_0, c_0, lengths))

    def forward_masked(self, x, h_0=None, c_0=None, mask=None):
        return self._rounded(forward(self.config, self._parameters, x, h_0, c_0, mask=mask))

    def forward_stateful(self, x, lengths=None):
        h, c = self._states
        found = self.forward(x, h, c, lengths)
        self._states = found.h_n, found.c_n
        return found

    def reset(self):
        self._states = None, None

    def gradients(self, x, h_0, c_0, lengths, d_output, d_h_n, d_c_n):
        d = gradients(self.config, self._parameters, x, h_0, c_0, lengths, d_output, d_h_n, d_c_n)
        return {name: a.astype(self.dtype) for name, a in d.items()}

    def gradients_training(self, x, h_0, c_0, lengths, d_output, d_h_n, d_c_n, *, seed):
        result = self.forward_training(x, h_0, c_0, lengths, seed=seed)
        arguments = x, h_0, c_0, lengths, d_output, d_h_n, d_c_n, self.masks(x, seed)
        d = gradients(self.config, self._parameters, *arguments)
        return result, {name: a.astype(self.dtype) for name, a in d.items()}

    def load(self, parameters):
        check_parameters(self.config, parameters)
        self._parameters = {name: parameters[name].copy() for name in parameter_shapes(self.config)}

    def parameters(self):
        return {name: value.copy() for name, value in self._parameters.items()}

    def torch_behavior(self, name, parameters, arguments, others=None):
        """Answer as a right module of torch, so that failing calls of such a backend can be made smaller."""
        if name == "second":
            return {"second": None}  # an error, which is right
        if name == "grad":
            return {"appeared": {}, "before": {}, "after": {}}
        if name in EXPERIMENTS_OF_GRADIENTS:
            d = self.gradients(*(arguments[argument] for argument in GRADIENT_ARGUMENTS))
            groups = EXPERIMENTS_OF_GRADIENTS[name]
            return {group: {n: a * times for n, a in d.items()} for group, times in groups.items()}
        found = {}
        for group in EXPERIMENTS.get(name, ("as it is",)):
            layer = OracleLayer(self.config, others if group.endswith("others") else parameters)
            result = layer.forward(*(arguments[argument] for argument in GRADIENT_ARGUMENTS[:4]))
            found[group] = {n: a for n, a in result._asdict().items() if a is not None}
        return found


class OracleReverseLayer(OracleLayer):
    """A layer that goes from the last step to the first."""

    def __init__(self, config, parameters):
        super().__init__(config, parameters)
        require(not config.bidirectional, "bidirectional", "False for the reverse direction alone", True)

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        return self._rounded(forward(self.config, self._parameters, x, h_0, c_0, lengths, reverse=True))


class OracleCell(Cell):
    """A cell that calls ``reference.step``."""

    def __init__(self, config, parameters):
        config.validate()
        check_parameters(config, parameters)
        self.config = config
        self.dtype = reference.numpy_dtype(config.dtype)
        self._parameters = {name: value.copy() for name, value in parameters.items()}

    def step(self, x, h=None, c=None):
        h, c = reference.step(self.config, self._parameters, x, h, c)
        return h.astype(self.dtype), None if c is None else c.astype(self.dtype)

    def gradients(self, x, h, c, d_h, d_c):
        d = cell_gradients(self.config, self._parameters, x, h, c, d_h, d_c)
        return {name: a.astype(self.dtype) for name, a in d.items()}


class OracleBackend(Backend):
    """The oracle as a backend."""

    name = "reference"
    version = __version__
    features = Features(
        dtypes=reference.DTYPES, cells=True, parameters=True, gradients=True, dropout=True, initialization=True,
        cell_gradients=True, parameters_set=True, training_gradients=True, reverse_alone=True, masks=True,
        stateful=True, output=("all", "last"),
    )  # fmt: skip

    def layer(self, config, parameters):
        return OracleLayer(config, parameters)

    def reverse_layer(self, config, parameters):
        return OracleReverseLayer(config, parameters)

    def cell(self, config, parameters):
        return OracleCell(config, parameters)

    def initial_parameters(self, config, *, seed):
        config.validate()
        rng, bound = np.random.default_rng(seed), config.hidden_size**-0.5
        dtype = reference.numpy_dtype(config.dtype)
        return {
            name: rng.uniform(-bound, bound, shape).astype(dtype) for name, shape in parameter_shapes(config).items()
        }
