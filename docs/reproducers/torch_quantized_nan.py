"""torch: a dynamically quantized LSTM loses NaN in x, raises for it, or gives other numbers for other samples.

Needs torch. Exits with 1 while the fault is there.
"""

import math
import sys
import warnings

import torch

warnings.simplefilter("ignore")
torch.manual_seed(0)
module = torch.nn.ModuleList([torch.nn.LSTM(2, 3)])
quantized = torch.ao.quantization.quantize_dynamic(module, {torch.nn.LSTM}, dtype=torch.qint8)[0]
x = torch.randn(4, 2, 2)


def shown(name: str, changed: torch.Tensor) -> None:
    """Print the last output of both samples, of the module and of its quantized copy."""
    print(name)
    for of, layer in (("float32", module[0]), ("quantized", quantized)):
        try:
            print(f"  {of}: {[[round(v, 4) for v in row] for row in layer(changed)[0][-1].tolist()]}")
        except RuntimeError as error:
            print(f"  {of}: {type(error).__name__}: {str(error).splitlines()[0]}")


lost = False
shown("ordinary x", x)
for name, value in (("NaN", float("nan")), ("infinity", float("inf")), ("the largest float32", 3.4e38)):
    changed = x.clone()
    changed[1, 0, 0] = value
    shown(f"{name} in the second step of sample 0", changed)
    lost |= name == "NaN" and not math.isnan(quantized(changed)[0][-1, 0, 0])
shown("NaN alone", torch.full_like(x, float("nan")))
sys.exit(1 if lost else 0)
