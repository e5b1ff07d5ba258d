"""The oracle of ONNX's operators RNN, LSTM and GRU, as their pages document them, in NumPy alone.

``forward`` evaluates a node; ``Operator`` is the node with its attributes. Versions 7, 14 and 22 of the operators
compute the same; 14 added layout and 22 bfloat16. It shares the tolerance (``reference.precision``) with the oracle
of torch.nn, and no equation.

Source: https://onnx.ai/onnx/operators/onnx__RNN.html, onnx__LSTM.html, onnx__GRU.html.
"""

from reference.onnx.activations import ACTIVATIONS, Activation
from reference.onnx.attributes import DIRECTIONS, GATES, OPERATORS, Operator
from reference.onnx.nodes import Outputs, check_inputs, evaluate, forward, input_shapes

__all__ = [
    "ACTIVATIONS",
    "DIRECTIONS",
    "GATES",
    "OPERATORS",
    "Activation",
    "Operator",
    "Outputs",
    "check_inputs",
    "evaluate",
    "forward",
    "input_shapes",
]
