"""The interface of an adapter: a Backend that builds Layers and Cells from configurations and parameters.

Letters: T steps, N samples, I input_size, H hidden_size, P proj_size, L num_layers, D directions
(2 if bidirectional), O = P if P > 0 else H. Arrays are NumPy arrays of the configuration's dtype; bfloat16 is
``ml_dtypes.bfloat16``.

Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html and the pages of RNN, GRU and their cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from conformance.claims import Features
from reference.config import CellConfig, LayerConfig
from reference.layers import Result

__all__ = ["Backend", "Cell", "CellConfig", "Features", "Layer", "LayerConfig", "Result", "Unsupported"]


class Unsupported(Exception):
    """The exception that an adapter raises for a feature, kind or dtype that it does not claim.

    The message names it.
    """


class Layer:
    """A layer with its parameters loaded. It is in inference mode except in ``forward_training``."""

    def forward(
        self,
        x: np.ndarray,
        h_0: np.ndarray | None = None,
        c_0: np.ndarray | None = None,
        lengths: Sequence[int] | None = None,
    ) -> Result:
        """Compute the layer and return Result(output, h_n, c_n); c_n is None unless the kind is lstm.

        x is (T, N, I), or (N, T, I) if batch_first, or (T, I) unbatched. h_0 is (D*L, N, O) and, for lstm, c_0
        (D*L, N, H), both without N when unbatched; None means zeros. output is (T, N, D*O), or (N, T, D*O) if
        batch_first, or (T, D*O) unbatched; h_n and c_n have the shapes of h_0 and c_0.

        lengths are N integers in 1..T in any order, for batched input only. Sample n ends after lengths[n] steps:
        its output is zero from there on, its h_n and c_n are the states at its own end, and the reverse direction
        starts there.

        The results are new arrays, and the arguments stay unchanged. Raises Unsupported for features that the backend
        does not claim, and any other exception for invalid arguments: a wrong shape or dtype, one of lstm's two
        states without the other, c_0 for another kind, lengths that are not as above.
        Behind the feature ``output``, where "all" is the default.
        Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html, "Inputs" and "Outputs".
        """
        raise Unsupported("the output of all steps is not returned")

    def forward_last(
        self,
        x: np.ndarray,
        h_0: np.ndarray | None = None,
        c_0: np.ndarray | None = None,
        lengths: Sequence[int] | None = None,
    ) -> Result:
        """Compute ``forward`` and return its Result with the last output alone: (N, D*O), or (D*O) unbatched.

        It holds the last output of each direction of the last layer, side by side: of the forward direction that at
        the last step, of the reverse direction that at the first, where it ends; with lengths at each sample's own end.
        These are the last layer's rows of h_n. h_n, c_n, arguments and errors are as in ``forward``.

        Behind the feature ``output="last"``. Raises Unsupported if it is not claimed.
        Source: https://keras.io/api/layers/recurrent_layers/lstm/, "return_sequences"; of two directions
        https://keras.io/api/layers/recurrent_layers/bidirectional/, merge_mode="concat".
        """
        raise Unsupported("the last output alone is not returned")

    def parameters(self) -> Mapping[str, np.ndarray]:
        """Return the loaded parameters by their documented names, in the documented order and shapes.

        Behind the feature ``parameters``. Raises Unsupported if it is not claimed.
        Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html, "Variables".
        """
        raise Unsupported("parameters are not read back")

    def gradients(
        self,
        x: np.ndarray,
        h_0: np.ndarray | None,
        c_0: np.ndarray | None,
        lengths: Sequence[int] | None,
        d_output: np.ndarray | None,
        d_h_n: np.ndarray | None,
        d_c_n: np.ndarray | None,
    ) -> Mapping[str, np.ndarray]:
        """Return the gradients of sum(d_output * output) + sum(d_h_n * h_n) + sum(d_c_n * c_n).

        x, h_0, c_0 and lengths are as in ``forward``, dropout is not applied. The cotangents d_output, d_h_n and
        d_c_n have the shapes of the results; None means zeros. The gradients are named "x", "h_0" and "c_0" if the
        states are given, and by every parameter's name; each has the shape and dtype of its argument or parameter.
        Gradients that are not claimed may be missing or None; a cotangent that is not claimed raises Unsupported.

        Behind the feature ``gradients``. Raises Unsupported if it is not claimed, and errors as ``forward`` does.
        """
        raise Unsupported("gradients are not computed")

    def forward_training(
        self,
        x: np.ndarray,
        h_0: np.ndarray | None = None,
        c_0: np.ndarray | None = None,
        lengths: Sequence[int] | None = None,
        *,
        seed: int,
    ) -> Result:
        """Compute ``forward`` in training mode, with dropout masks drawn from ``seed``; return its Result.

        The same seed gives the same masks. Arguments, results and errors are as in ``forward``.

        Behind the feature ``dropout``. Raises Unsupported if it is not claimed.
        Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html, "dropout".
        """
        raise Unsupported("there is no training mode")

    def load(self, parameters: Mapping[str, np.ndarray]) -> None:
        """Exchange the parameters of this layer, which may have been called before; ``parameters`` are all of them.

        Every later call uses the new ones. Behind the feature ``parameters_set``. Raises Unsupported if it is not
        claimed, and errors for the parameters as ``Backend.layer`` does.
        """
        raise Unsupported("parameters are not exchanged")

    def forward_masked(
        self,
        x: np.ndarray,
        h_0: np.ndarray | None = None,
        c_0: np.ndarray | None = None,
        mask: np.ndarray | None = None,
    ) -> Result:
        """Compute ``forward`` without the steps at which ``mask`` is False; return its Result.

        mask holds booleans (T, N), or (N, T) if batch_first, or (T) unbatched; any of them may be False. At a step that
        is left out a sample's state stays as it was, and its output is zero. A sample without a step ends in its
        initial state. Arguments, results and errors are as in ``forward``; a mask of another shape is an error.

        Behind the feature ``masks``. Raises Unsupported if it is not claimed.
        Source: https://keras.io/api/layers/recurrent_layers/lstm/, "mask"; the output is that of Keras's
        zero_output_for_mask=True.
        """
        raise Unsupported("masks are not taken")

    def forward_stateful(self, x: np.ndarray, lengths: Sequence[int] | None = None) -> Result:
        """Compute ``forward`` from the states in which the last call of this method ended; return its Result.

        The first call, and the first one after ``reset``, begin at zeros. Each row of the states goes on by itself, the
        reverse direction's too. ``forward`` neither reads nor changes these states. Another number of samples than in
        the last call is an error. x, lengths, results and other errors are as in ``forward``.

        Behind the feature ``stateful``. Raises Unsupported if it is not claimed.
        Source: https://keras.io/api/layers/recurrent_layers/lstm/, "stateful".
        """
        raise Unsupported("no states are kept")

    def reset(self) -> None:
        """Forget the states that ``forward_stateful`` keeps. Behind the feature ``stateful``.

        Raises Unsupported if it is not claimed.
        Source: https://keras.io/api/layers/recurrent_layers/rnn/, "reset_states".
        """
        raise Unsupported("no states are kept")

    def gradients_training(
        self,
        x: np.ndarray,
        h_0: np.ndarray | None,
        c_0: np.ndarray | None,
        lengths: Sequence[int] | None,
        d_output: np.ndarray | None,
        d_h_n: np.ndarray | None,
        d_c_n: np.ndarray | None,
        *,
        seed: int,
    ) -> tuple[Result, Mapping[str, np.ndarray]]:
        """Compute the gradients of a call in training mode; return its Result and the gradients.

        ``forward_training`` draws the same masks from the same seed and returns the same Result. Arguments, gradients
        and errors are as in ``gradients``.

        Behind the feature ``training_gradients``. Raises Unsupported if it is not claimed.
        """
        raise Unsupported("gradients of training calls are not computed")

    def torch_behavior(
        self,
        name: str,
        parameters: Mapping[str, np.ndarray],
        arguments: Mapping[str, Any],
        others: Mapping[str, np.ndarray] | None = None,
    ) -> Mapping[str, Mapping[str, np.ndarray] | None]:
        """Make an experiment with torch's own interface; return named results by what was done.

        The backends of ``conformance.torch`` have it; other adapters leave it out. ``parameters`` are the layer's own,
        ``arguments`` those of ``forward`` or ``gradients`` by name, ``others`` further arrays by the parameters' names.
        None in place of results: torch raised an error that its documentation allows.

        Behind the feature ``torch_behaviors``. Raises Unsupported if it is not claimed.
        """
        raise Unsupported("it is no module of torch")


class Cell:
    """A cell with its parameters loaded."""

    def step(
        self, x: np.ndarray, h: np.ndarray | None = None, c: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Compute one step and return the new states (h, c); c is None unless the kind is lstm.

        x is (N, I), or (I) unbatched; h and, for lstm, c are (N, H), or (H) unbatched; None means zeros. The new
        states have the same shapes. The results are new arrays, and the arguments stay unchanged. Raises Unsupported
        for features that the backend does not claim, and any other exception for invalid arguments.
        Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html, "Inputs" and "Outputs".
        """
        raise NotImplementedError

    def gradients(
        self,
        x: np.ndarray,
        h: np.ndarray | None,
        c: np.ndarray | None,
        d_h: np.ndarray | None,
        d_c: np.ndarray | None,
    ) -> Mapping[str, np.ndarray]:
        """Return the gradients of sum(d_h * h') + sum(d_c * c'), where h' and c' are the new states.

        x, h and c are as in ``step``. The cotangents d_h and d_c have the shapes of the new states; None means zeros.
        The gradients are named "x", "h" and "c" if the states are given, and by every parameter's name; each has the
        shape and dtype of its argument or parameter.

        Behind the feature ``cell_gradients``. Raises Unsupported if it is not claimed, and errors as ``step`` does.
        """
        raise Unsupported("gradients of cells are not computed")


class Backend:
    """An implementation under test. An adapter subclasses it, names it, claims its features and builds its layers."""

    name: str = ""
    """The backend's name in reports."""
    version: str = "unknown"
    """The version of the library under test."""
    features: Features = Features()
    """The backend's claims."""
    asked_as: str = ""
    """The NAME after --backend, which the registry sets. Scripts that reproduce failures use it."""
    forks: bool = True
    """True if the imported and built backend works in a forked process. False for a library that starts threads or
    takes a device at its import (JAX, CUDA): after a crash the suite imports such a backend again in a new process."""

    def layer(self, config: LayerConfig, parameters: dict[str, np.ndarray]) -> Layer:
        """Build a layer with these parameters.

        They have PyTorch's documented names, shapes, order and gate order: per layer, forward before reverse,
        weight_ih_l{k}{_reverse} (G*H, I or D*O), weight_hh_... (G*H, O), bias_ih_... and bias_hh_... (G*H), and with a
        projection weight_hr_... (P, H). G is the number of gates: lstm i|f|g|o, gru r|z|n, otherwise 1.

        Raises Unsupported for a configuration that the backend does not claim, and any other exception for an invalid
        configuration and for missing, superfluous or misshapen parameters.
        Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html, "Variables".
        """
        if not self.features.layers:
            raise Unsupported("there are no layers")
        raise NotImplementedError

    def reverse_layer(self, config: LayerConfig, parameters: dict[str, np.ndarray]) -> Layer:
        """Build a layer that goes from the last step to the first: the reverse direction alone.

        config has one direction, and the parameters have the names of one. In a stack every layer goes backwards. The
        output at a step stays at that step, as in the reverse half of a bidirectional layer; h_n and c_n are the states
        after the first step. With lengths a sample begins at its own end. ``forward`` alone is asked for.

        Behind the feature ``reverse_alone``. Raises Unsupported if it is not claimed, and errors as ``layer`` does.
        Source: https://onnx.ai/onnx/operators/onnx__LSTM.html, the attribute "direction", "reverse".
        """
        raise Unsupported("there is no reverse direction alone")

    def cell(self, config: CellConfig, parameters: dict[str, np.ndarray]) -> Cell:
        """Build a cell with the parameters weight_ih (G*H, I), weight_hh (G*H, H), bias_ih and bias_hh (G*H).

        Behind the feature ``cells``. Raises Unsupported if it is not claimed, and errors as ``layer`` does.
        Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTMCell.html, "Variables".
        """
        raise Unsupported("there are no cells")

    def initial_parameters(self, config: LayerConfig, *, seed: int) -> Mapping[str, np.ndarray]:
        """Return the parameters of a new layer, drawn from ``seed``, by their documented names and in their order.

        The same seed gives the same parameters.

        Behind the feature ``initialization``. Raises Unsupported if it is not claimed, and any other exception for an
        invalid configuration.
        Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html, the note on U(-sqrt(k), sqrt(k)).
        """
        raise Unsupported("parameters are not initialized")

    def snippet(self, call: Any) -> str | None:
        """Return Python source of a function ``compute()`` that makes a failing call with the library alone.

        Optional: None means that the backend has no such source for the call. The source becomes part of the script
        that reproduces the failure. There ``config``, ``parameters`` and ``arguments`` are dicts whose arrays are
        nested lists; ``array(value)`` makes a NumPy array of one. ``compute()`` returns a dict of NumPy arrays by the
        names of the results. ``call`` has the configuration as ``config`` and its arguments as attributes.
        """
        return None
