"""The backends of the Triton kernels, right and with each fault, in the interpreter."""

from conformance.torch import function_backend, triton_interpreter

with triton_interpreter():  # before the kernels are defined
    from tests.triton_kernels import Kernels, layer


def backend(kind, **faults):
    """Return the backend of the kernels with some faults."""
    kernels = Kernels(**faults)

    def function(x, h_0, c_0, weights):
        return layer(x, h_0, c_0, weights, kernels)

    name = "-".join(("triton", kind, *faults))
    return function_backend(function, kinds=kind, name=name, context=triton_interpreter, boundaries={128})


LSTM, GRU = backend("lstm"), backend("gru")
LSTMBlocks, GRUBlocks = backend("lstm", blocks=False), backend("gru", blocks=False)
LSTMTanh, GRUTanh = backend("lstm", exact=False), backend("gru", exact=False)
LSTMActivated, GRUActivated = backend("lstm", activated=False), backend("gru", activated=False)
