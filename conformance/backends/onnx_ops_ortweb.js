// Runs ONNX models in onnxruntime-web (WebAssembly) for onnx_ops_ortweb.py. Each line of the standard input is a
// request, each line of the standard output its answer, both JSON. Arrays are {type, dims, data in base64}.
"use strict";
const ort = require("onnxruntime-web");
const lines = require("readline").createInterface({ input: process.stdin });
const ARRAYS = { float32: Float32Array, int32: Int32Array, int64: BigInt64Array, float16: Uint16Array, float64: Float64Array };
const sessions = new Map();

ort.env.wasm.numThreads = 1;
ort.env.logLevel = "fatal";

const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const tensor = ({ type, dims, data }) => new ort.Tensor(type, new ARRAYS[type](bytes(data).buffer), dims);
const array = ({ type, dims, data }) => {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { type, dims: [...dims], data: Buffer.from(raw).toString("base64") };
};
const each = (values, change) => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value)]));

async function answer({ act, key, model, inputs }) {
  if (act === "version") return ort.env.versions.web;
  if (act === "prepare") {
    sessions.set(key, await ort.InferenceSession.create(bytes(model), { executionProviders: ["wasm"] }));
    return null;
  }
  if (act === "forget") return void (await sessions.get(key).release()), sessions.delete(key);
  return each(await sessions.get(key).run(each(inputs, tensor)), array);
}

(async () => {
  for await (const line of lines) {
    let said;
    try {
      said = { found: (await answer(JSON.parse(line))) ?? null };
    } catch (error) {
      said = { error: String(error.message ?? error) };
    }
    process.stdout.write(JSON.stringify(said) + "\n");
  }
})();
