"""PyTorch's parameters to and from the layouts of ONNX, Keras, Flax, MLX, cuDNN, oneDNN and Paddle.

``split`` takes documented parameters apart into ``Weights``, one for each direction of each layer, or one for a cell;
``join`` puts them together again. ``to_X(kind, weights)`` returns the arrays of framework X under X's names;
``from_X(kind, native)`` is its inverse. ONNX and oneDNN keep both directions of a layer in one array: their functions
take and return a sequence of one or two Weights.

Some layouts have one bias where PyTorch documents two. ``to_X`` adds the two where the equations use only their sum,
and raises Unsupported elsewhere: a GRU multiplies b_hn by the reset gate. ``from_X`` cannot recover the summands. It
returns the sum as bias_ih and zeros as bias_hh or, with ``gradient=True`` for gradients, the same array for both.

All functions need NumPy only, return new arrays, and raise ValueError for arrays whose shapes do not fit each other.
Letters are as in conformance.backend; G is the number of gates. Gates have PyTorch's letters in every layout:
i f g o and r z n.
"""

from conformance.layouts.flax import from_flax_linen, from_flax_nnx, to_flax_linen, to_flax_nnx
from conformance.layouts.gates import GATE_ORDERS, reorder_gates
from conformance.layouts.keras import from_keras, to_keras
from conformance.layouts.kernels import from_cudnn, from_onednn, to_cudnn, to_onednn
from conformance.layouts.mlx import from_mlx, to_mlx
from conformance.layouts.onnx import from_onnx, to_onnx
from conformance.layouts.paddle import from_paddle, to_paddle
from conformance.layouts.weights import Weights, join, split

__all__ = [
    "GATE_ORDERS",
    "Weights",
    "from_cudnn",
    "from_flax_linen",
    "from_flax_nnx",
    "from_keras",
    "from_mlx",
    "from_onednn",
    "from_onnx",
    "from_paddle",
    "join",
    "reorder_gates",
    "split",
    "to_cudnn",
    "to_flax_linen",
    "to_flax_nnx",
    "to_keras",
    "to_mlx",
    "to_onednn",
    "to_onnx",
    "to_paddle",
]
