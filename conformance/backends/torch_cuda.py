"""``torch-cuda``, ``torch-cuda-tf32`` and ``torch-cuda-native``: the same modules as ``torch-cpu``, on a CUDA device.

cuDNN computes float32 in TF32 unless told otherwise: ``torch-cuda`` switches that off, ``torch-cuda-tf32`` leaves it
as torch comes and declares it, ``torch-cuda-native`` switches cuDNN off. torch documents that its recurrent layers
may be nondeterministic on CUDA, so none of them claims to repeat its bits. Without a CUDA device they are refused.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from conformance import Unsupported
from conformance.backends.torch_eager import Platform, Switched, TorchEager


class TorchCUDA(TorchEager):
    """Eager torch on CUDA, cuDNN where torch chooses it, float32 in float32. Raises Unsupported without a device."""

    name, forks = "torch-cuda", False
    features = replace(TorchEager.features, deterministic=False)
    cudnn, tf32 = True, False

    def __init__(self, device: str = "cuda") -> None:
        if device == "cuda":
            if not torch.cuda.is_available():
                raise Unsupported(f"needs a CUDA device: torch {torch.__version__} finds none")
            cudnn, name = torch.backends.cudnn.version(), torch.cuda.get_device_name()
            self.version = f"{torch.__version__}, CUDA {torch.version.cuda}, cuDNN {cudnn}, {name}"
        self.platform = Platform(
            device, Switched(lambda: torch.backends.cudnn.flags(enabled=self.cudnn, allow_tf32=self.tf32))
        )


class TorchCUDATF32(TorchCUDA):
    """As ``TorchCUDA``, but float32 in cuDNN as torch comes: in TF32, which is declared."""

    name = "torch-cuda-tf32"
    features = replace(TorchCUDA.features, float32_arithmetic="tf32")
    tf32 = True


class TorchCUDANative(TorchCUDA):
    """Eager torch on CUDA with cuDNN switched off: the kernels of torch itself."""

    name = "torch-cuda-native"
    cudnn = False
