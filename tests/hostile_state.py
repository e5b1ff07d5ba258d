"""Backends that spoil what their process or the suite needs: files, paths, memory, messages, names, the report."""

import _thread
import gc
import json
import os
import resource
import shutil
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import hypothesis
import numpy as np

from conformance.backends.oracle import OracleBackend
from conformance.isolation.status import SharedStatus
from tests.hostile import Answering, Exits, Hostile, Sends


class Wrong(Hostile):
    """A backend whose output is wrong by 1."""

    def layer(self, config, parameters):
        return Answering(OracleBackend.layer(self, config, parameters), lambda output: output + 1)


class SendsNaN(Sends):
    """A backend that sends a margin that no report can hold."""

    message = b'["found", {"examples": 1, "margin": NaN}, {}]'


class SendsHalfADiagnosis(Sends):
    message = json.dumps(["found", {"examples": 1, "failure": "x", "diagnosis": [{"fault": "x"}]}, {}]).encode()


class AsksForPlansInACase(Sends):
    message = json.dumps(["plans", 0]).encode()


class TakesAllDescriptors(Hostile):
    """A backend that opens files and does not close them, until no more can be opened."""

    @staticmethod
    def hurt(x):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, most))
        with suppress(OSError):
            while True:
                os.open(os.devnull, os.O_RDONLY)


class WritesIntoItsConfiguration(Hostile):
    """A backend that notes its own numbers of layers and units in the configuration that it is given."""

    def layer(self, config, parameters):
        layer = OracleBackend.layer(self, replace(config), parameters)
        object.__setattr__(config, "hidden_size", 1 + config.hidden_size)
        object.__setattr__(config, "num_layers", 1 + config.num_layers)
        return layer


class ClearsThePath(Hostile):
    """A backend that takes everything out of ``sys.path``, as programs that embed Python do."""

    def __init__(self):
        super().__init__()
        sys.path.clear()


class WritesPastItsMemory(Hostile):
    """A backend that writes over the memory that the suite shares with its process."""

    @staticmethod
    def hurt(x):
        gc.unfreeze()  # what was there before the fork is in no list of frozen objects
        (status,) = [one for one in gc.get_objects() if isinstance(one, SharedStatus)]
        status.memory[:] = b"\xff" * SharedStatus.SIZE_BYTES


class WritesPastItsMemoryAndDies(WritesPastItsMemory):
    @staticmethod
    def hurt(x):
        WritesPastItsMemory.hurt(x)
        os._exit(4)


class LateImportsRaise(Exits):
    """A backend whose late imports raise, all in the process from which its workers are forked."""

    late_imports = ("tests.raises_at_import", 5)


class InterruptsItself(Hostile):
    """A backend whose thread raises KeyboardInterrupt in the main thread, wherever that is by then."""

    @staticmethod
    def hurt(x):
        signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
        threading.Timer(0.002, _thread.interrupt_main).start()


class Alarms(Hostile):
    """A backend that leaves a timer, which ends its process after the call."""

    @staticmethod
    def hurt(x):
        signal.setitimer(signal.ITIMER_REAL, 0.001)


class ResultsThatArriveLater(Hostile):
    """A backend that returns its output before it is computed, as asynchronous libraries do."""

    def layer(self, config, parameters):
        return Answering(OracleBackend.layer(self, config, parameters), later)


def later(array):
    """Return zeros that become the numbers of the array a moment later."""
    found = np.zeros_like(array)
    threading.Timer(0.05, np.copyto, (found, array)).start()
    return found


class AnotherNameEachTime(Hostile):
    """A backend whose name and version are another one each time."""

    def __init__(self):
        pass

    name = property(lambda self: f"name {time.perf_counter_ns()}", lambda self, value: None)
    version = property(lambda self: f"version {time.perf_counter_ns()}", lambda self, value: None)


class ReadOnlyName(Hostile):
    """A backend whose name and version are properties that cannot be set."""

    def __init__(self):
        pass

    name = property(lambda self: "read-only")
    version = property(lambda self: "1.2")


class RemovesTheReport(Hostile):
    """A backend that removes the folder of the run's report."""

    @staticmethod
    def hurt(x):
        shutil.rmtree(os.environ["FOLDER_OF_TEST"], ignore_errors=True)


class ReportBecomesAFolder(Hostile):
    """A backend that makes a folder in the report's place."""

    @staticmethod
    def hurt(x):
        Path(os.environ["FOLDER_OF_TEST"], "report.json", "x").mkdir(parents=True, exist_ok=True)


class ChangesHypothesis(Wrong):
    """A wrong backend that imports with settings under which Hypothesis draws nothing."""

    def __init__(self):
        super().__init__()
        hypothesis.settings.register_profile("mine", max_examples=1, phases=[])
        hypothesis.settings.load_profile("mine")
