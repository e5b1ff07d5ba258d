"""``torch-cuda``, ``torch-cuda-tf32`` and ``torch-cuda-native``: the same modules as ``torch-cpu``, on a CUDA device.

By default cuDNN computes float32 in TF32. ``torch-cuda`` switches TF32 off, ``torch-cuda-tf32`` leaves the default and
declares it, ``torch-cuda-native`` switches cuDNN off. torch documents that its recurrent layers may be nondeterministic
on CUDA, so these backends do not claim to repeat their bits. Without a CUDA device they raise Unsupported.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from conformance.backends.torch_eager import TorchEager
from conformance.torch.environment import Switched


class TorchCUDA(TorchEager):
    """Eager torch on CUDA with torch's choice of cuDNN and TF32 off. Raises Unsupported without a device."""

    name, forks = "torch-cuda", False
    features = replace(TorchEager.features, deterministic=False)
    cudnn, tf32 = True, False

    def __init__(self, device: str = "cuda") -> None:
        super().__init__(device, Switched(lambda: torch.backends.cudnn.flags(enabled=self.cudnn, allow_tf32=self.tf32)))
        self.environment.require_device()
        if device == "cuda":
            cudnn, name = torch.backends.cudnn.version(), torch.cuda.get_device_name()
            self._version = f"{torch.__version__}, CUDA {torch.version.cuda}, cuDNN {cudnn}, {name}"


class TorchCUDATF32(TorchCUDA):
    """``TorchCUDA`` with torch's default for float32 in cuDNN, TF32, which it declares."""

    name = "torch-cuda-tf32"
    features = replace(TorchCUDA.features, float32_arithmetic="tf32")
    tf32 = True


class TorchCUDANative(TorchCUDA):
    """Eager torch on CUDA with cuDNN off: torch's own kernels."""

    name = "torch-cuda-native"
    cudnn = False
