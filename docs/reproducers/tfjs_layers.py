"""tfjs: the gradient of x through a layer of one step raises, and NaN at a masked step reaches the state.

The gradient of two steps is computed; the output of the masked step repeats the one before. Needs Node and
@tensorflow/tfjs (npm install @tensorflow/tfjs; NODE_PATH names the folder node_modules). Exits with 1 while the faults
are there.
"""

import subprocess
import sys

SCRIPT = r"""
const tf = require("@tensorflow/tfjs");
let wrong = 0;
(async () => {
  await tf.setBackend("cpu");
  console.log(`@tensorflow/tfjs ${tf.version.tfjs}`);
  for (const steps of [2, 1]) {
    const x = tf.ones([1, steps, 1]);
    const lstm = tf.layers.lstm({ units: 1 });
    for (const [name, f] of [["lstm", (v) => lstm.apply(v)], ["tf.unstack", (v) => tf.addN(tf.unstack(v, 1))]]) {
      f(x);
      try {
        const d = tf.grad((v) => tf.sum(f(v)))(x);
        console.log(`gradient of x through ${name}, ${steps} step(s): ${d.size} number(s), right`);
      } catch (error) {
        wrong += 1;
        console.log(`gradient of x through ${name}, ${steps} step(s): ${error.message}`);
      }
    }
  }
  const layer = tf.layers.simpleRNN({ units: 1, returnSequences: true, kernelInitializer: "ones" });
  const mask = tf.tensor2d([[1, 0]], [1, 2], "bool");
  for (const left_out of [7, NaN]) {
    const output = layer.apply(tf.tensor([0.5, left_out], [1, 2, 1]), { mask }).dataSync();
    wrong += output.some(Number.isNaN);
    const [first, second] = [...output].map((number) => number.toFixed(6));
    console.log(`simpleRNN, x = [0.5, ${left_out}], mask = [1, 0]: ${first}, ${second}; right 0.462117, 0.462117`);
  }
  process.exit(wrong ? 1 : 0);
})();
"""

done = subprocess.run(["node", "-e", SCRIPT], capture_output=True, text=True, check=False)
print(done.stdout, end="")
if done.returncode not in (0, 1) or not done.stdout:
    print(done.stderr[-2000:])
sys.exit(done.returncode)
