// An adapter for exec: in JavaScript: a GRU with any number of layers, one or two directions and lengths, in float32.
//
// pytest conformance --backend "exec:node examples/exec_adapter.mjs"

import { createInterface } from "node:readline";

const features = {
  kinds: ["gru"], dtypes: ["float32"], projection: false, batch_first: false, unbatched: false, parameters: true,
};

class Unsupported extends Error {}

const same = (a, b) => a.length === b.length && a.every((n, k) => n === b[k]);

function numbers(array, shape) {
  if (array.dtype !== "float32" || !same(array.shape, shape))
    throw new Error(`got ${array.dtype} of shape [${array.shape}], expected float32 of [${shape}]`);
  const bytes = Uint8Array.from(Buffer.from(array.data, "base64"));
  return new Float32Array(bytes.buffer);
}

function array(values, shape) {
  const data = Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("base64");
  return { dtype: "float32", shape, data };
}

const sigmoid = (a) => 0.5 * (1 + Math.tanh(0.5 * a));

class Layer {
  constructor(config, parameters) {
    const { kind, input_size: I, hidden_size: H, num_layers: L, bidirectional, bias, dropout } = config;
    if (Math.min(I, H, L) < 1 || !(dropout >= 0 && dropout <= 1) || config.proj_size < 0 || config.proj_size >= H)
      throw new Error("no layer has this configuration");
    if (kind !== "gru" || config.dtype !== "float32" || config.proj_size || config.batch_first)
      throw new Unsupported("gru in float32, time first, without projection");
    Object.assign(this, { I, H, L, D: bidirectional ? 2 : 1, parameters, weights: [] });
    const names = [];
    for (let l = 0; l < L; l++)
      for (const suffix of bidirectional ? ["", "_reverse"] : [""]) {
        const width = l ? this.D * H : I;
        const read = (name, shape) => {
          const whole = `${name}_l${l}${suffix}`;
          names.push(whole);
          if (!(whole in parameters)) throw new Error(`${whole} is missing`);
          return numbers(parameters[whole], shape);
        };
        const weight = { W: read("weight_ih", [3 * H, width]), U: read("weight_hh", [3 * H, H]), width };
        weight.b = bias ? read("bias_ih", [3 * H]) : new Float32Array(3 * H);
        weight.u = bias ? read("bias_hh", [3 * H]) : new Float32Array(3 * H);
        this.weights.push(weight);
      }
    for (const name in parameters) if (!names.includes(name)) throw new Error(`${name} is no parameter`);
  }

  forward(x, h_0, c_0, lengths) {
    if (x.shape.length === 2) {
      if (lengths !== null) throw new Error("lengths are for batches");
      throw new Unsupported("batches");
    }
    const [T, N] = x.shape, { H, L, D } = this;
    if (x.shape.length !== 3 || T < 1 || N < 1 || c_0 !== null) throw new Error("x is (T, N, I), and there is no c_0");
    if (lengths !== null && (lengths.length !== N || !lengths.every((n) => Number.isInteger(n) && n > 0 && n <= T)))
      throw new Error("lengths are N integers in 1..T");
    let input = numbers(x, [T, N, this.I]);
    const h_n = h_0 === null ? new Float32Array(D * L * N * H) : numbers(h_0, [D * L, N, H]).slice();
    for (let l = 0; l < L; l++) {
      const output = new Float32Array(T * N * D * H);
      for (let d = 0; d < D; d++)
        for (let n = 0; n < N; n++) {
          const h = h_n.subarray(((l * D + d) * N + n) * H, ((l * D + d) * N + n + 1) * H);
          const end = lengths === null ? T : lengths[n];
          for (let s = 0; s < end; s++) {
            const t = d ? end - 1 - s : s;
            const weight = this.weights[l * D + d];
            h.set(this.step(weight, input.subarray((t * N + n) * weight.width, (t * N + n + 1) * weight.width), h));
            output.set(h, (t * N + n) * D * H + d * H);
          }
        }
      input = output;
    }
    return { output: array(input, [T, N, D * H]), h_n: array(h_n, [D * L, N, H]), c_n: null };
  }

  step({ W, U, b, u, width }, x, h) {
    const H = this.H, a = Float64Array.from(b), g = Float64Array.from(u);
    for (let k = 0; k < 3 * H; k++) {
      for (let j = 0; j < width; j++) a[k] += W[k * width + j] * x[j];
      for (let j = 0; j < H; j++) g[k] += U[k * H + j] * h[j];
    }
    return Float64Array.from(h, (before, k) => {
      const r = sigmoid(a[k] + g[k]), z = sigmoid(a[H + k] + g[H + k]);
      return (1 - z) * Math.tanh(a[2 * H + k] + r * g[2 * H + k]) + z * before;
    });
  }
}

const layers = new Map();

const methods = {
  hello: () => ({ protocol: 1, name: "plain-javascript", version: process.version, features }),
  layer: ({ id, config, parameters }) => (layers.set(id, new Layer(config, parameters)), { handle: id }),
  forward: ({ handle, x, h_0, c_0, lengths }) => layers.get(handle).forward(x, h_0, c_0, lengths),
  parameters: ({ handle }) => ({ parameters: layers.get(handle).parameters }),
  release: ({ handle }) => (layers.delete(handle), {}),
};

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  const reply = { id: request.id };
  try {
    if (!(request.method in methods)) throw new Unsupported(`${request.method} is not done here`);
    reply.result = methods[request.method](request);
  } catch (error) {
    reply[error instanceof Unsupported ? "unsupported" : "error"] = error.message;
  }
  process.stdout.write(JSON.stringify(reply) + "\n");
}
