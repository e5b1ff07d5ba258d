"""The adapter: PyTorch's layers on sample_rnn.TanhRNN. It validates its arguments, as the library does not."""

from conformance import Backend, Features, Layer, Result, Unsupported
from conformance.layouts import split, to_keras
from reference.layers import check_inputs
from sample_rnn import TanhRNN


class SampleLayer(Layer):
    def __init__(self, config, parameters):
        (weights,) = split(config, parameters)  # raises ValueError for parameters that do not fit
        self.config, self.rnn = config, TanhRNN(**to_keras(config.kind, weights))

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        if x.ndim == 2 or lengths is not None:
            raise Unsupported("batches of samples of equal length")
        check_inputs(self.config, x, h_0, c_0)  # raises ValueError for arguments that do not fit
        output = self.rnn(x if self.config.batch_first else x.swapaxes(0, 1), None if h_0 is None else h_0[0])
        h_n = output[None, :, -1]
        return Result(output if self.config.batch_first else output.swapaxes(0, 1), h_n)


class SampleBackend(Backend):
    name, version = "sample-rnn", "0.3"
    features = Features(
        kinds={"rnn_tanh"}, multilayer=False, bidirectional=False, unbatched=False, projection=False, lengths=False
    )

    def layer(self, config, parameters):
        config.validate()  # raises ValueError for arguments that the documentation does not allow
        claimed = config.kind in self.features.kinds and config.dtype in self.features.dtypes
        if not claimed or config.num_layers > 1 or config.bidirectional or config.proj_size:
            raise Unsupported("tanh, one layer, one direction, float32")
        return SampleLayer(config, parameters)
