"""The name under which scripts that users keep find ``replay``."""

from conformance.diagnosis.replay import replay

__all__ = ["replay"]
