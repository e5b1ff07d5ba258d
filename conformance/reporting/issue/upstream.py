"""Know the upstream projects: where each takes issues, and the address of a page that a requirement names."""

from __future__ import annotations

import re

from conformance import registry
from conformance.reporting.issue.script import OWN, Reproducer
from conformance.reporting.site.matrix import TORCH_PAGES, documented_at

TRACKERS = {
    # The first in this order of the packages that a script imports is the one that the issue is for.
    "onnxruntime": "microsoft/onnxruntime",
    "openvino": "openvinotoolkit/openvino",
    "cv2": "opencv/opencv",
    "tract": "sonos/tract",
    "keras": "keras-team/keras",
    "flax": "google/flax",
    "equinox": "patrick-kidger/equinox",
    "haiku": "google-deepmind/dm-haiku",
    "brainstate": "chaobrain/brainstate",
    "thinc": "explosion/thinc",
    "tfjs": "tensorflow/tfjs",
    "tinygrad": "tinygrad/tinygrad",
    "torchrl": "pytorch/rl",
    "MNN": "alibaba/MNN",
    "ncnn": "Tencent/ncnn",
    "iree": "iree-org/iree",
    "mlx": "ml-explore/mlx",
    "paddle": "PaddlePaddle/Paddle",
    "torch": "pytorch/pytorch",
    "onnx": "onnx/onnx",
    "jax": "jax-ml/jax",
}
"""The repository on GitHub by the name of the package that is imported."""
TORCH = TORCH_PAGES.removesuffix("/generated/")
PAGES = (
    # A pattern of a source in the catalogues, and the address of its page.
    (r"torch\.amp", f"{TORCH}/amp.html"),
    (r"torch\.autograd(?!\.)", f"{TORCH}/autograd.html"),
    (r"notes, Autograd", f"{TORCH}/notes/autograd.html"),
    (r"torch\.Tensor views", f"{TORCH}/tensor_view.html"),
    (r"torch\.optim\.swa_utils", f"{TORCH}/optim.html"),
    (r"Keras", "https://keras.io/api/layers/recurrent_layers/"),
)


def package(script: Reproducer) -> str:
    """Return the package that the issue is for, "" if it is unknown."""
    built_in = registry.BUILT_IN.get(script.head.get("backend", ""), ("", (), ""))[1]
    imported = [name for name in (*script.imports, *built_in) if name in TRACKERS and name not in OWN]
    named = [name for name in TRACKERS if re.match(rf"{name}\b", script.title, re.IGNORECASE)]
    return next((name for name in TRACKERS if name in (named or imported)), "")


def tracker(name: str) -> str:
    """Return the address at which a package takes issues, "" if it is unknown."""
    return f"https://github.com/{TRACKERS[name]}/issues/new" if name in TRACKERS else ""


def address(source: str, specification: str, kind: str = "") -> str:
    """Return the address of the page that a requirement's source names, "" if it names none."""
    for pattern, page in PAGES:
        if re.match(pattern, source):
            return page
    of_operators = specification == "onnx" or source.startswith("ONNX")
    if not (of_operators or source.startswith("torch.")):
        return ""
    pages = documented_at(source.removeprefix("ONNX: "), "onnx" if of_operators else specification)
    mine = kind.partition("_")[0].upper()
    own = (page for name, page in pages if mine and name.rpartition(".")[2] in (mine, f"{mine}Cell"))
    return next(own, pages[0][1] if pages else "")
