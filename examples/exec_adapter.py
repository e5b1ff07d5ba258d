"""An adapter for ``exec:`` in plain Python: a GRU and an LSTM of one layer and one direction, on lists of numbers.

pytest conformance --backend "exec:python examples/exec_adapter.py"
"""

import base64
import json
import math
import struct
import sys

CODES = {"float32": "f", "float64": "d"}
GATES = {"lstm": 4, "gru": 3}
FEATURES = {"kinds": list(GATES), "dtypes": list(CODES), "parameters": True}
FEATURES |= dict.fromkeys(("multilayer", "bidirectional", "batch_first", "unbatched", "projection", "lengths"), False)


class Unsupported(Exception):
    pass


def numbers(array, shape, dtype):
    """Return the numbers of an array. Raises ValueError if it has another shape or dtype."""
    if array["shape"] != shape or array["dtype"] != dtype:
        raise ValueError(f"got {array['dtype']} of shape {array['shape']}, expected {dtype} of {shape}")
    return struct.unpack(f"<{math.prod(shape)}{CODES[dtype]}", base64.b64decode(array["data"]))


def array(values, shape, dtype):
    data = struct.pack(f"<{len(values)}{CODES[dtype]}", *values)
    return {"dtype": dtype, "shape": shape, "data": base64.b64encode(data).decode()}


def rows(values, width):
    return [values[start : start + width] for start in range(0, len(values), width)]


def sums(matrix, bias, vector):
    return [b + sum(w * v for w, v in zip(row, vector, strict=True)) for row, b in zip(matrix, bias, strict=True)]


def sigmoid(a):
    return 0.5 * (1 + math.tanh(0.5 * a))


class Layer:
    def __init__(self, config, parameters):
        kind, I, H = config["kind"], config["input_size"], config["hidden_size"]
        if min(I, H, config["num_layers"]) < 1 or not 0 <= config["dropout"] <= 1 or not 0 <= config["proj_size"] < H:
            raise ValueError("no layer has this configuration")
        if kind not in GATES or config["dtype"] not in CODES or config["proj_size"]:
            raise Unsupported("gru and lstm in float32 and float64, without projection")
        if config["num_layers"] > 1 or config["bidirectional"] or config["batch_first"]:
            raise Unsupported("one layer, one direction, time first")
        G = GATES[kind] * H
        shapes = {"weight_ih_l0": [G, I], "weight_hh_l0": [G, H]}
        if config["bias"]:
            shapes |= {"bias_ih_l0": [G], "bias_hh_l0": [G]}
        if set(parameters) != set(shapes):
            raise ValueError(f"the parameters are {', '.join(shapes)}")
        self.kind, self.I, self.H, self.dtype = kind, I, H, config["dtype"]
        self.parameters = {name: parameters[name] for name in shapes}
        loaded = [numbers(parameters[name], shape, self.dtype) for name, shape in shapes.items()]
        self.W, self.U = rows(loaded[0], I), rows(loaded[1], H)
        self.b, self.u = loaded[2:] or [[0.0] * G] * 2

    def forward(self, x, h_0, c_0, lengths):
        if lengths is not None:
            raise Unsupported("sequences of equal lengths")
        if len(x["shape"]) == 2:
            raise Unsupported("batches")
        T, N = x["shape"][:2]
        if T < 1 or N < 1 or (c_0 is None) != (h_0 is None if self.kind == "lstm" else True):
            raise ValueError("at least one step and one sample; an lstm has both states or neither, a gru no c_0")
        steps = rows(rows(numbers(x, [T, N, self.I], self.dtype), self.I), N)
        zeros = [[0.0] * self.H] * N
        h, c = (zeros if s is None else rows(numbers(s, [1, N, self.H], self.dtype), self.H) for s in (h_0, c_0))
        output = []
        for step in steps:
            cells = [self.step(*values) for values in zip(step, h, c, strict=True)]
            h, c = zip(*cells, strict=True)
            output += [value for sample in h for value in sample]
        flat = [[value for sample in state for value in sample] for state in (h, c)]
        return {
            "output": array(output, [T, N, self.H], self.dtype),
            "h_n": array(flat[0], [1, N, self.H], self.dtype),
            "c_n": array(flat[1], [1, N, self.H], self.dtype) if self.kind == "lstm" else None,
        }

    def step(self, x, h, c):
        H, a, b = self.H, sums(self.W, self.b, x), sums(self.U, self.u, h)
        if self.kind == "gru":
            r, z = ([sigmoid(a[k] + b[k]) for k in range(s, s + H)] for s in (0, H))
            n = [math.tanh(a[2 * H + k] + r[k] * b[2 * H + k]) for k in range(H)]
            return [(1 - z[k]) * n[k] + z[k] * h[k] for k in range(H)], c
        i, f, g, o = (
            [squash(a[k] + b[k]) for k in range(s * H, (s + 1) * H)]
            for s, squash in enumerate((sigmoid, sigmoid, math.tanh, sigmoid))
        )
        c = [f[k] * c[k] + i[k] * g[k] for k in range(H)]
        return [o[k] * math.tanh(c[k]) for k in range(H)], c


layers = {}


def answer(request):
    match request.pop("method"):
        case "hello":
            return {"protocol": 1, "name": "plain-python", "version": "1", "features": FEATURES}
        case "layer":
            layers[request["id"]] = Layer(request["config"], request["parameters"])
            return {"handle": request["id"]}
        case "forward":
            layer = layers[request["handle"]]
            return layer.forward(request["x"], request["h_0"], request["c_0"], request["lengths"])
        case "parameters":
            return {"parameters": layers[request["handle"]].parameters}
        case "release":
            del layers[request["handle"]]
            return {}
        case other:
            raise Unsupported(f"{other} is not done here")


for line in sys.stdin:
    request = json.loads(line)
    reply = {"id": request["id"]}
    try:
        reply["result"] = answer(request)
    except Unsupported as why:
        reply["unsupported"] = str(why)
    except Exception as error:
        reply["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(reply), flush=True)
