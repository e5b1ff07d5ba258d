"""torch.nn.LSTM on the CPU under torch.autocast raises where oneDNN has no bfloat16 kernel for the processor.

The layer chooses oneDNN by the dtype of x, float32, and autocast converts x to bfloat16 afterwards. Without oneDNN the
same call works, and so does an LSTM of bfloat16, which asks oneDNN first. The variable ONEDNN_MAX_CPU_ISA makes oneDNN
treat every x86 processor as one with AVX2 alone, for which it has no such kernel. Needs torch. Exits with 1 while the
fault is there.
"""

import os
import sys

os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"  # before torch is imported

import torch


def outcome(layer, x):
    """Return the dtype of the output, or the error."""
    try:
        with torch.no_grad():
            return str(layer(x)[0].dtype)
    except RuntimeError as error:
        return f"RuntimeError: {str(error).partition('.')[0]}"


layer, x = torch.nn.LSTM(3, 4), torch.zeros(5, 2, 3)
print(f"torch {torch.__version__}, oneDNN computes bfloat16: {torch.ops.mkldnn._is_mkldnn_bf16_supported()}")
with torch.autocast("cpu", torch.bfloat16):
    found = outcome(layer, x)
    print(f"autocast: {found}")
    with torch.backends.mkldnn.flags(enabled=False, allow_tf32=None):
        print(f"autocast without oneDNN: {outcome(layer, x)}")
print(f"all of bfloat16, no autocast: {outcome(layer.bfloat16(), x.bfloat16())}")
sys.exit(1 if found.startswith("RuntimeError") else 0)
