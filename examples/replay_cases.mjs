// Replay the generated cases in JavaScript: LSTM and GRU of any layers and directions, in float64, from JSON alone.
//
// node examples/replay_cases.mjs [DIR]        exit status 1 if a case fails

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const U = 2 ** -53, ROWS = { lstm: 4, gru: 3 }, OPS = ["layer", "take", "stack"];
const sigmoid = (a) => 0.5 * (1 + Math.tanh(0.5 * a));
const number = (v) => (typeof v === "string" ? Number(v) : v); // "NaN", "Infinity", "-Infinity"
const size = (shape) => shape.reduce((a, b) => a * b, 1);

function array({ shape, divisor, data, fill, put = [] }) {
  const values = Float64Array.from({ length: size(shape) }, (_, i) => {
    if (data) return data[i] / divisor;
    let a = (fill.seed + Math.imul(i, 2654435769)) >>> 0;
    a = Math.imul(a ^ (a >>> 16), 2246822507);
    a = Math.imul(a ^ (a >>> 13), 3266489909);
    return ((((a ^ (a >>> 16)) >>> 0) % (2 * fill.limit + 1)) - fill.limit) / divisor;
  });
  for (const [position, value] of put) values[position] = number(value);
  return { shape, values };
}

const dot = (w, row, x) => x.reduce((sum, v, j) => sum + w.values[row * x.length + j] * v, 0);

// One step of one sample: [h, c] from x, h, c.
function step(kind, w, H, x, h, c) {
  const sum = (name, bias, v) => (k) => dot(w(name), k, v) + (w(bias)?.values[k] ?? 0);
  const a = sum("weight_ih", "bias_ih", x), u = sum("weight_hh", "bias_hh", h);
  const units = [...Array(H).keys()];
  if (kind === "gru") {
    const r = (k) => sigmoid(a(k) + u(k)), z = (k) => sigmoid(a(H + k) + u(H + k));
    return [units.map((k) => (1 - z(k)) * Math.tanh(a(2 * H + k) + r(k) * u(2 * H + k)) + z(k) * h[k]), c];
  }
  const s = (g, k) => a(g * H + k) + u(g * H + k);
  const c_t = units.map((k) => sigmoid(s(1, k)) * c[k] + sigmoid(s(0, k)) * Math.tanh(s(2, k)));
  const h_t = units.map((k) => sigmoid(s(3, k)) * Math.tanh(c_t[k])), W = w("weight_hr");
  return [W ? [...Array(W.shape[0]).keys()].map((k) => dot(W, k, h_t)) : h_t, c_t];
}

function layer({ layer: m, parameters }, x, h_0, c_0, lengths) {
  const w = Object.fromEntries(parameters.map((p) => [p.name, array(p)]));
  const [H, L, D, O] = [m.hidden_size, m.num_layers, m.bidirectional ? 2 : 1, m.proj_size || m.hidden_size];
  const alone = x.shape.length === 2, first = m.batch_first && !alone;
  const [T, N] = alone ? [x.shape[0], 1] : first ? [x.shape[1], x.shape[0]] : x.shape;
  const at = (t, n) => (first ? n * T + t : t * N + n);
  const row = (a, k, width) => (a ? [...a.values.subarray(k * width, (k + 1) * width)] : Array(width).fill(0));
  let below = x.values, width = m.input_size;
  const h_n = [], c_n = [];
  for (let l = 0; l < L; l++) {
    const output = new Float64Array(T * N * D * O);
    for (let d = 0; d < D; d++)
      for (let n = 0; n < N; n++) {
        const own = (name) => w[`${name}_l${l}${d ? "_reverse" : ""}`];
        let [h, c] = [row(h_0, (l * D + d) * N + n, O), row(c_0, (l * D + d) * N + n, H)];
        const end = lengths ? lengths[n] : T;
        for (let s = 0; s < end; s++) {
          const t = d ? end - 1 - s : s;
          [h, c] = step(m.kind, own, H, [...below.subarray(at(t, n) * width, (at(t, n) + 1) * width)], h, c);
          output.set(h, at(t, n) * D * O + d * O);
        }
        h_n.push(...h), c_n.push(...c);
      }
    [below, width] = [output, D * O];
  }
  const batch = alone ? [] : [N];
  return { output: { shape: [...x.shape.slice(0, -1), D * O], values: below },
    h_n: { shape: [L * D, ...batch, O], values: h_n }, c_n: { shape: [L * D, ...batch, H], values: c_n } };
}

function take({ shape, values }, axis, indices) {
  const [before, after] = [size(shape.slice(0, axis)), size(shape.slice(axis + 1))], flat = [indices].flat(9);
  const out = Array(before).fill().flatMap((_, b) => flat.flatMap((i) =>
    [...values.slice((b * shape[axis] + i) * after, (b * shape[axis] + i + 1) * after)]));
  return { shape: [...shape.slice(0, axis), ...(Array.isArray(indices) ? [flat.length] : []), ...shape.slice(axis + 1)], values: out };
}

const directory = process.argv[2] ?? "cases/generated", count = { passed: 0, failed: 0, "not for this": 0 };
for (const file of readdirSync(directory).filter((name) => name.endsWith(".json"))) {
  const { needs, modules, arrays, program, expect } = JSON.parse(readFileSync(join(directory, file)));
  const fits = needs.kinds.every((kind) => kind in ROWS) && program.every((s) => OPS.includes(s.op) && !("seed" in s));
  if (!fits) { count["not for this"]++; continue; }
  const now = Object.fromEntries(Object.entries(arrays).map(([name, spec]) => [name, array(spec)]));
  for (const s of program)
    if (s.op === "take") now[s.to] = take(now[s.from], s.axis, s.indices);
    else if (s.op === "stack") now[s.to] = { values: s.from.flatMap((name) => [...now[name].values]) };
    else {
      const made = layer(modules[s.module], now[s.from.x], now[s.from.h_0], now[s.from.c_0], s.lengths);
      for (const [field, name] of Object.entries(s.to)) now[name] = made[field];
    }
  const wrong = Object.entries(expect.numbers).filter(([name, { data }]) => data.some((v, i) => {
    const got = now[name].values[i], want = number(v);
    return !(Object.is(got, want) || Math.abs(got - want) <= expect.allowed.float64[name][i] * U);
  }));
  count[wrong.length ? "failed" : "passed"]++;
  if (wrong.length) console.log(`${file}: ${wrong.map(([name]) => name)}`);
}
console.log(Object.entries(count).map(([what, n]) => `${n} ${what}`).join(", "));
process.exit(count.failed ? 1 : 0);
