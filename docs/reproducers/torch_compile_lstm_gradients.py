"""torch.compile of nn.LSTM on the CPU with gradients: it fails where oneDNN computes the layer.

The same module compiles without gradients, and with them once oneDNN is off; so do nn.GRU and nn.RNN. Needs torch.
Exits with 1 while the fault is there.
"""

import sys
import warnings

import torch

warnings.simplefilter("ignore")
torch._dynamo.config.allow_rnn = True
print(f"torch {torch.__version__}")
failed = 0
for kind in (torch.nn.RNN, torch.nn.GRU, torch.nn.LSTM):
    for name, gradients in (("no gradients", False), ("gradients", True)):
        for onednn in (True, False):
            torch._dynamo.reset()
            with torch.backends.mkldnn.flags(enabled=onednn, allow_tf32=None), torch.set_grad_enabled(gradients):
                try:
                    output, _ = torch.compile(kind(3, 4), backend="aot_eager", fullgraph=True)(torch.randn(5, 2, 3))
                    if gradients:
                        output.sum().backward()
                    came = "compiled"
                except Exception as error:
                    failed += 1
                    came = f"{type(error).__name__}: {' '.join(str(error).split())[:70]}"
            print(f"{kind.__name__}, {name}, oneDNN {'on' if onednn else 'off'}: {came}")
sys.exit(1 if failed else 0)
