"""Backends that are rarely wrong, for tests of campaigns and example databases."""

import os
import signal

from conformance import Features
from conformance.backends.oracle import OracleBackend
from tests.hostile import Hurting


class Rare(OracleBackend):
    """The oracle, except that a GRU of 13 units returns a wrong h_n."""

    name = "rare"
    features = Features(kinds={"gru"}, dtypes={"float32"})

    def layer(self, config, parameters):
        layer = super().layer(config, parameters)
        if config.hidden_size != 13:
            return layer
        return self.wrong(layer)

    @staticmethod
    def wrong(layer):
        def forward(*arguments):
            result = right(*arguments)
            result.h_n[...] += 1
            return result

        right, layer.forward = layer.forward, forward
        return layer


class RarelyKilled(Rare):
    """The oracle, except that a GRU of 13 units kills its process."""

    name = "rarely-killed"

    @staticmethod
    def wrong(layer):
        return Hurting(layer, lambda x: os.kill(os.getpid(), signal.SIGKILL))


class MendedSince(Rare):
    """A backend with the name and version of ``Rare`` that is right if the variable MENDED is set."""

    @staticmethod
    def wrong(layer):
        return layer if "MENDED" in os.environ else Rare.wrong(layer)
