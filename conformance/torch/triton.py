"""Stand-ins for the parts that Triton's interpreter lacks, so that kernels run on the CPU without a GPU.

``TRITON_INTERPRET=1`` makes ``triton.jit`` interpret a kernel. It must be set before the kernels are defined; importing
them inside ``with triton_interpreter():`` does that too.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

PLAIN = (
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "cbrt", "abs", "floor", "ceil", "trunc", "rint"),
    *("sin", "cos", "tan", "sinh", "cosh", "tanh"),
)
"""The functions that have the same name in NumPy."""
UNARY: dict[str, Callable[..., Any]] = {name: getattr(np, name) for name in PLAIN}
UNARY |= {
    "fabs": np.abs,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "exp10": lambda x: np.power(np.asarray(10, x.dtype), x),
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "erf": np.vectorize(math.erf, otypes=[float]),
    "erfc": np.vectorize(math.erfc, otypes=[float]),
    "fast_expf": np.exp,
    "fast_logf": np.log,
    "fast_tanhf": np.tanh,
    "fast_sinf": np.sin,
    "fast_cosf": np.cos,
}
BINARY: dict[str, Callable[..., Any]] = {
    "pow": np.power,
    "fmin": np.fmin,
    "fmax": np.fmax,
    "fdim": lambda x, y: np.maximum(x - y, 0),
    "fmod": np.fmod,
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "copysign": np.copysign,
    "div_rn": np.divide,
    "fast_dividef": np.divide,
    "fast_powf": np.power,
}
LIBRARY = UNARY | BINARY | {"fma": lambda x, y, z: x * y + z}
"""libdevice's functions, in NumPy."""


@contextmanager
def triton_interpreter() -> Iterator[None]:
    """Surround kernels in Triton's interpreter with stand-ins for its missing parts: for ``context``.

    NumPy computes libdevice's functions. ``triton.autotune`` takes the first configuration, unmeasured. Without CUDA,
    ``torch.cuda.device`` and ``torch.cuda.synchronize`` do nothing. Raises ModuleNotFoundError without Triton.
    """
    with ExitStack() as stack:
        stack.enter_context(
            patch.dict(os.environ, TRITON_INTERPRET="1")
        )  # before Triton is imported for the first time
        import triton
        from triton.language import standard
        from triton.language.extra import libdevice
        from triton.runtime.autotuner import Autotuner
        from triton.runtime.interpreter import InterpretedFunction
        from triton.runtime.jit import JITFunction

        if hasattr(triton, "knobs"):
            stack.enter_context(patch.object(triton.knobs.runtime, "interpret", True))
        for name, function in list(vars(standard).items()):
            if isinstance(function, JITFunction):  # Triton was imported before
                interpreted = InterpretedFunction(function.fn)
                for module in (standard, triton.language):
                    if getattr(module, name, None) is function:
                        stack.enter_context(patch.object(module, name, interpreted))
        for function in (vars(libdevice)[name] for name in LIBRARY if name in vars(libdevice)):
            stack.enter_context(_interpreted(function))
        stack.enter_context(patch.object(Autotuner, "_bench", lambda *arguments, **keywords: [0.0, 0.0, 0.0]))
        if not torch.cuda.is_available():
            stack.enter_context(patch.object(torch.cuda, "device", lambda device: nullcontext()))
            stack.enter_context(patch.object(torch.cuda, "synchronize", lambda device=None: None))
        yield


@contextmanager
def _interpreted(function: Any) -> Iterator[None]:
    """Exchange the body of a function of libdevice, which kernels may have imported by name."""
    kept, name = function.__code__, function.__name__
    count = kept.co_argcount
    arguments = ", ".join(kept.co_varnames[:count])
    scope: dict[str, Any] = {}
    exec(f"def {name}({arguments}): return __interpreted__({name!r}, {arguments})", scope)
    function.__globals__["__interpreted__"] = _evaluate
    function.__code__ = scope[name].__code__
    try:
        yield
    finally:
        function.__code__ = kept


def _evaluate(name: str, *arguments: Any) -> Any:
    """Return the value of a function of libdevice for tensors of the interpreter and plain numbers."""
    from triton.language import core
    from triton.runtime.interpreter import TensorHandle

    tensors = [a for a in arguments if isinstance(a, core.tensor)]
    data = [
        a.handle.data if isinstance(a, core.tensor) else np.asarray(a, tensors[0].handle.data.dtype) for a in arguments
    ]
    with np.errstate(all="ignore"):
        found = np.asarray(LIBRARY[name](*data))
    widest = max(tensors, key=lambda tensor: tensor.handle.data.size)
    return core.tensor(TensorHandle(found.astype(widest.handle.data.dtype), tensors[0].dtype), widest.type)
