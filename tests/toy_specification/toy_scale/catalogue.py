"""The catalogue, and the decorator of the suite."""

from pathlib import Path

from conformance.engine.check import Decides
from reference.catalogue import Catalogue
from toy_scale.backends import KINDS
from toy_scale.calls import scales

CATALOGUE = Catalogue(Path(__file__).with_name("requirements.toml"), KINDS, ("shapes", "numerics"))
decides = Decides(CATALOGUE, scales, frozenset())
