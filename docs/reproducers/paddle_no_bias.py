"""Paddle on the CPU: a layer without biases ends the process, with several layers or directions it cannot be built.

bias_ih_attr=False and bias_hh_attr=False leave frozen biases of zeros in the cells, which the layer counts but does
not hand to its kernel. Each layer is tried in a process of its own. Needs paddlepaddle. Exits with 1 while the fault is
there.
"""

import subprocess
import sys

ONE = """
import sys, warnings
warnings.simplefilter("ignore")
import paddle
paddle.set_device("cpu")
make, layers, direction = sys.argv[1:]
try:
    layer = getattr(paddle.nn, make)(3, 4, int(layers), direction=direction, bias_ih_attr=False, bias_hh_attr=False)
    print("output", list(layer(paddle.ones([2, 5, 3]))[0].shape))
except Exception as error:
    print("raised", type(error).__name__, " ".join(str(error).split())[-100:])
"""

faults = 0
for make in ("SimpleRNN", "LSTM", "GRU"):
    for layers, direction in (("1", "forward"), ("2", "forward"), ("1", "bidirect")):
        command = [sys.executable, "-c", ONE, make, layers, direction]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode > 0:  # no signal: the process could not try it
            sys.exit(done.stderr)
        came = f"ended by signal {-done.returncode}" if done.returncode else done.stdout.strip()
        faults += not came.startswith("output")
        print(f"{make}, {layers} layers, {direction}, without biases: {came}")
sys.exit(1 if faults else 0)
