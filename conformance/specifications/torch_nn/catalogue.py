"""The catalogue of torch.nn's requirements."""

from __future__ import annotations

from pathlib import Path

import reference
from reference.catalogue import Catalogue
from reference.config import KINDS

AREAS = (
    "shapes",
    "state",
    "parameters",
    "numerics",
    "lengths",
    "projection",
    "cells",
    "gradients",
    "dropout",
    "initialization",
    "refusals",
    "robustness",
    "cases",
    "torch",
)
CATALOGUE = Catalogue(Path(reference.__file__).with_name("requirements.toml"), KINDS, AREAS)
