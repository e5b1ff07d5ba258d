"""thinc: LSTM takes the initial h for c and c for h, and its gradients lack the step that is computed first.

A step by the formula, in NumPy, and a numerical derivative give the right numbers. Needs numpy and thinc. Exits with 1
while the faults are there.
"""

import sys
from importlib.metadata import version

import numpy as np
from thinc.api import LSTM, use_ops

rng, wrong = np.random.default_rng(0), 0
H, I, T = 2, 3, 3
with use_ops("numpy"):
    model = LSTM(H, I).initialize()
model.set_param("LSTM", rng.normal(size=model.get_param("LSTM").shape).astype("f"))


def run(x, train=False):
    output, pull = model(model.ops.list2padded([x]), is_train=train)
    return output, pull


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def first_step(x, h, c):
    """One step with thinc's parameters, whose blocks are f, i, o, g."""
    p, sizes = model.get_param("LSTM").astype(np.float64), (4 * H * I, 4 * H, 4 * H * H, 4 * H)
    W, b, R, d = np.split(p, np.cumsum(sizes)[:-1])
    f, i, o, g = np.split(W.reshape(-1, I) @ x + b + R.reshape(-1, H) @ h + d, 4)
    return sigmoid(o) * np.tanh(sigmoid(f) * c + sigmoid(i) * np.tanh(g))


print(f"thinc {version('thinc')}")
x = rng.normal(size=(T, I)).astype("f")
h_0, c_0 = np.array([0.5, -0.5], "f"), np.array([2.0, 1.0], "f")
model.set_param("HC0", np.stack([h_0, c_0]).reshape(2, 1, 1, H))
came = run(x)[0].data[0, 0]
right, exchanged = first_step(x[0], h_0, c_0), first_step(x[0], c_0, h_0)
print(f"HC0 = (h, c): first output {came}, expected {right}; with the two exchanged it would be {exchanged}")
wrong += not np.allclose(came, right, atol=1e-5)

model.set_param("HC0", np.zeros((2, 1, 1, H), "f"))
output, pull = run(x, train=True)
model.set_grad("LSTM", np.zeros_like(model.get_param("LSTM")))
d_x = pull(model.ops.list2padded([np.ones((T, H), "f")])).data[:, 0]
numeric, e = np.zeros_like(d_x), 1e-2
for place in np.ndindex(x.shape):
    up, down = x.copy(), x.copy()
    up[place] += e
    down[place] -= e
    numeric[place] = (run(up)[0].data.sum() - run(down)[0].data.sum()) / (2 * e)
print(f"gradient of x, by step: got\n{d_x}\nexpected about\n{numeric}")
wrong += not np.allclose(d_x, numeric, atol=5e-3)
sys.exit(1 if wrong else 0)
