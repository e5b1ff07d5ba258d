"""The catalogue of the requirements of ONNX's operators."""

from __future__ import annotations

from pathlib import Path

import reference.onnx
from reference.catalogue import Catalogue
from reference.onnx import OPERATORS

AREAS = (
    "outputs",
    "equations",
    "clip",
    "activations",
    "directions",
    "sequence_lens",
    "initial states",
    "layout",
    "models",
    "robustness",
    "refusals",
)
CATALOGUE = Catalogue(Path(reference.onnx.__file__).with_name("requirements.toml"), OPERATORS, AREAS)
