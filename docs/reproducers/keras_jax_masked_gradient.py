"""Keras on JAX: NaN in steps that the mask leaves out makes gradients of the parameters NaN.

The outputs and states are right: the masked steps are computed and then deselected by jnp.where, whose gradient of 0
meets NaN. Needs keras and jax. Exits with 1 while the fault is there.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import keras

wrong = 0
print(f"keras {keras.__version__}, jax {jax.__version__}")
x, mask = jnp.array([[[1.0], [jnp.nan]]]), jnp.array([[True, False]])
for make in (keras.layers.SimpleRNN, keras.layers.LSTM, keras.layers.GRU):
    layer = make(1)
    layer.build((None, None, 1))
    values = [v.value for v in layer.trainable_variables]
    others = [v.value for v in layer.non_trainable_variables]

    def total(values, layer=layer, others=others):
        return layer.stateless_call(values, others, x, mask=mask)[0].sum()

    output, gradients = jax.value_and_grad(total)(values)
    wrong += not jnp.isfinite(gradients[0]).all()
    print(f"{make.__name__}: output {output:.3f}, gradient of the kernel {gradients[0].tolist()}, expected finite")
sys.exit(1 if wrong else 0)
