// Runs recurrent layers of TensorFlow.js on its backend "cpu" for tfjs_layers.py. Each line of the standard input is a
// request, each line of the standard output its answer, both JSON. Arrays are {type, dims, data in base64}.
"use strict";
console.log = console.warn = () => {}; // the standard output is for answers
const tf = require("@tensorflow/tfjs");
const lines = require("readline").createInterface({ input: process.stdin });
const ARRAYS = { float32: Float32Array, bool: Uint8Array };
const layers = new Map();

const tensor = ({ type, dims, data }) => {
  const bytes = new Uint8Array(Buffer.from(data, "base64"));
  return tf.tensor(new ARRAYS[type](bytes.buffer), dims, type);
};
const array = (t) => ({ type: "float32", dims: t.shape, data: Buffer.from(t.dataSync().buffer, t.dataSync().byteOffset, 4 * t.size).toString("base64") });

function build({ kind, units, inputs, bidirectional, options, weights }) {
  let layer = tf.layers[kind]({ units, recurrentInitializer: "zeros", ...options });
  if (bidirectional) layer = tf.layers.bidirectional({ layer, mergeMode: "concat" });
  tf.dispose(layer.apply(tf.zeros([1, 1, inputs]))); // creates the weights
  layer.setWeights(weights.map(tensor));
  return layer;
}

function call(layer, x, states, mask) {
  const options = {};
  if (states.length) options.initialState = states;
  if (mask) options.mask = mask;
  return layer.apply(x, options);
}

function gradients(layer, x, states, mask, cotangents) {
  const given = [x, ...states].map((t) => tf.variable(t));
  const weights = layer.trainableWeights.map((w) => w.read());
  const loss = () => {
    const parts = call(layer, given[0], given.slice(1), mask).map((t, k) => tf.sum(tf.mul(t, cotangents[k])));
    return tf.addN(parts);
  };
  const { grads } = tf.variableGrads(loss, [...given, ...weights]);
  const found = [...given, ...weights].map((v) => grads[v.name] ?? tf.zerosLike(v));
  given.forEach((v) => v.dispose());
  return found;
}

function answer({ act, key, layer, x, states, mask, cotangents }) {
  if (act === "version") return tf.version.tfjs;
  if (act === "layer") return void layers.set(key, tf.tidy(() => build(layer)));
  if (act === "forget") return void (layers.get(key)?.dispose(), layers.delete(key));
  return tf.tidy(() => {
    const arguments_ = [layers.get(key), tensor(x), states.map(tensor), mask && tensor(mask)];
    if (act === "cell") return arguments_[0].call([arguments_[1], ...arguments_[2]], {}).map(array);
    if (act === "call") return call(...arguments_).map(array);
    return gradients(...arguments_, cotangents.map(tensor)).map(array);
  });
}

(async () => {
  await tf.setBackend("cpu");
  for await (const line of lines) {
    let said;
    try {
      said = { found: answer(JSON.parse(line)) ?? null };
    } catch (error) {
      said = { error: String(error.message ?? error) };
    }
    process.stdout.write(JSON.stringify(said) + "\n");
  }
})();
