"""Keras: a stateful layer in two directions raises TypeError if it returns its states.

Needs keras and torch. Exits with 1 while the fault is there.
"""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np

x, wrong = np.ones((3, 5, 4), "float32"), 0
print(f"keras {keras.__version__} on {keras.backend.backend()}")
for kind in (keras.layers.SimpleRNN, keras.layers.LSTM, keras.layers.GRU):
    for return_state in (False, True):
        layer = keras.layers.Bidirectional(kind(2, stateful=True, return_state=return_state))
        case = f"Bidirectional({kind.__name__}(stateful=True, return_state={return_state}))"
        try:
            layer.build((3, None, 4))
            layer(x)
            print(f"{case}: called, as it should be")
        except TypeError as error:
            wrong += 1
            print(f"{case}: {type(error).__name__}: {str(error).splitlines()[0]}")
sys.exit(1 if wrong else 0)
