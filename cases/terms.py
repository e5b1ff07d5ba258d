"""The sources, names and requirements that the handwritten cases share."""

from __future__ import annotations

DOCS = "https://docs.pytorch.org/docs/stable/generated/torch.nn.{}.html"
LENGTHS_DOCS = "https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.rnn.pack_padded_sequence.html"
TUTORIAL = "https://docs.pytorch.org/tutorials/beginner/nlp/sequence_models_tutorial.html"
TAUGHT = "a common teaching example"
CLASS = {"rnn_tanh": "RNN", "rnn_relu": "RNN", "lstm": "LSTM", "gru": "GRU"}
EQUATION = {
    "rnn_tanh": "RNN-TANH-EQUATION",
    "rnn_relu": "RNN-RELU-EQUATION",
    "lstm": "LSTM-EQUATION",
    "gru": "GRU-EQUATION",
}
NAMES = ["PARAM-NAMES", "PARAM-ORDER", "PARAM-SHAPES"]
HIDDEN_AND_CELL = ["SHAPE-H-N", "SHAPE-C-N"]
