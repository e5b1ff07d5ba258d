"""Backends that break their process, for tests of isolation; each is the oracle with one change."""

import ctypes
import enum
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import types

import numpy as np

from conformance import Features, Layer
from conformance.backends.oracle import OracleBackend
from conformance.engine.compare import Failed
from conformance.isolation.channel import LENGTH, BackendChannel
from conformance.isolation.system import PR_SET_PDEATHSIG, guarded, parent_of, prctl

HIDDEN_DAEMON = "HIDDEN_DAEMON"  # the variable with the seconds that a hidden daemon sleeps


class Hostile(OracleBackend):
    """The oracle with one kind and few claims, for quick runs."""

    features = Features(kinds={"gru"}, dtypes={"float32"}, cells=True, parameters=True)

    def __init__(self):
        self.name = type(self).__name__.lower()

    def layer(self, config, parameters):
        return Hurting(super().layer(config, parameters), self.hurt)

    @staticmethod
    def hurt(x):
        """Do harm at the start of every forward pass."""


class Hurting(Layer):
    def __init__(self, layer, hurt):
        self.layer, self.hurt, self.parameters = layer, hurt, layer.parameters

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        self.hurt(x)
        return self.layer.forward(x, h_0, c_0, lengths)


class Answering(Layer):
    """A layer that applies ``answer`` to the right output."""

    def __init__(self, layer, answer, answer_parameters=dict):
        self.layer, self.answer = layer, answer
        self.parameters = lambda: answer_parameters(layer.parameters())

    def forward(self, *arguments):
        found = self.layer.forward(*arguments)
        return type(found)(self.answer(found.output), found.h_n, None)


def masked(array):
    """Return masked zeros, which compare equal to anything."""
    return np.ma.masked_array(np.zeros_like(array), mask=True)


class Masked(Hostile):
    def layer(self, config, parameters):
        return Answering(OracleBackend.layer(self, config, parameters), masked)


class MaskedParameters(Hostile):
    def layer(self, config, parameters):
        read_back = lambda loaded: {name: masked(value) for name, value in loaded.items()}  # noqa: E731
        return Answering(OracleBackend.layer(self, config, parameters), np.copy, read_back)


class AlwaysEqual(np.ndarray):
    def __array_function__(self, function, types, args, kwargs):
        return True


class Subclass(Hostile):
    def layer(self, config, parameters):
        return Answering(OracleBackend.layer(self, config, parameters), lambda a: np.zeros_like(a).view(AlwaysEqual))


class FirstSampleOnly(Hostile):
    """A backend that clears the output of every sample except the first."""

    def layer(self, config, parameters):
        def cleared(output):
            if output.ndim == 3 and output.shape[-1] == config.directions * config.output_size:
                output = output.copy()
                output[(slice(1, None),) if config.batch_first else (slice(None), slice(1, None))] = 0
            return output

        return Answering(OracleBackend.layer(self, config, parameters), cleared)


class FailsWithoutAWord(Hostile):
    def layer(self, config, parameters):
        raise Failed("")


class NotImplementedForUnclaimed(Hostile):
    features = Features(kinds={"gru"}, dtypes={"float32"}, no_bias=False)

    def layer(self, config, parameters):
        if not config.bias:
            raise NotImplementedError("no bias")
        return OracleBackend.layer(self, config, parameters)


class WrongAfterWhatItTakes(Hostile):
    """A backend that accepts too many rows of states, which spoils all later numbers like a write past its memory."""

    def layer(self, config, parameters):
        return Written(OracleBackend.layer(self, config, parameters))


class Written(Layer):
    past = 0.0

    def __init__(self, layer):
        self.layer, self.parameters = layer, layer.parameters

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        rows = self.layer.config.num_layers * (1 + self.layer.config.bidirectional)
        too_many = h_0 is not None and len(h_0) > rows
        found = self.layer.forward(x, h_0[:rows] if too_many else h_0, c_0, lengths)
        Written.past += too_many
        return type(found)(found.output + np.float32(Written.past), found.h_n, found.c_n)


class Killed(Hostile):
    @staticmethod
    def hurt(x):
        print("about to be killed", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


class Exits(Hostile):
    @staticmethod
    def hurt(x):
        os._exit(3)


class ExitsWithSuccess(Hostile):
    @staticmethod
    def hurt(x):
        os._exit(0)


class Segfaults(Hostile):
    @staticmethod
    def hurt(x):
        ctypes.string_at(0)


class SegfaultsOnSeveralSteps(Hostile):
    """A backend that crashes for more than three steps, so that a smaller example exists."""

    @staticmethod
    def hurt(x):
        if x.ndim == 3 and len(x) > 3:
            ctypes.string_at(0)


class Stops(Hostile):
    @staticmethod
    def hurt(x):
        os.kill(os.getpid(), signal.SIGSTOP)


class Loops(Hostile):
    @staticmethod
    def hurt(x):
        while True:
            time.sleep(0.01)


class LoopsHoldingTheInterpreter(Hostile):
    @staticmethod
    def hurt(x):
        return pow(7, 7**12) % 11


class LoopsDeafToSignals(Hostile):
    @staticmethod
    def hurt(x):
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        while True:
            time.sleep(0.01)


class Grows(Hostile):
    @staticmethod
    def hurt(x):
        return [np.ones(1 << 24) for _ in range(20 * 8)]  # 20 GiB, 128 MiB at a time


class Floods(Hostile):
    @staticmethod
    def hurt(x):
        for _ in range(100):
            sys.stdout.write("kernel trace: 0\n" * (1 << 16))


class Chatters(Hostile):
    """A backend that prints, as many adapters do; this is allowed."""

    @staticmethod
    def hurt(x):
        print("called with", x.shape)


class RaisesInDestructors(Hostile):
    def layer(self, config, parameters):
        layer = super().layer(config, parameters)
        layer.resource = Resource()
        return layer


class Resource:
    def __del__(self):
        raise ValueError("the handle was freed twice")


class Forks(Hostile):
    @staticmethod
    def hurt(x):
        os.fork()


class ForksAWorker(Hostile):
    """A backend that forks a process that never returns, as libraries do; this is allowed."""

    @staticmethod
    def hurt(x):
        if os.fork() == 0:
            os._exit(0)
        os.wait()


class LeavesAProcess(Hostile):
    """A backend that leaves a process in another session in each call, and then dies."""

    @staticmethod
    def hurt(x):
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
            os._exit(0)
        os._exit(3)


class LeavesAThread(Hostile):
    """A backend that leaves endless threads; this is allowed, and they must not delay the end of the run."""

    @staticmethod
    def hurt(x):
        if threading.active_count() < 4:
            threading.Thread(target=threading.Event().wait).start()


class ThreadRaises(Hostile):
    @staticmethod
    def hurt(x):
        thread = threading.Thread(target=lambda: 1 // 0)
        thread.start()
        thread.join()


class RaisesSystemExit(Hostile):
    @staticmethod
    def hurt(x):
        raise SystemExit("giving up")


class RaisesKeyboardInterrupt(Hostile):
    @staticmethod
    def hurt(x):
        raise KeyboardInterrupt("stop all of it")


class Skips(Hostile):
    @staticmethod
    def hurt(x):
        import pytest

        pytest.skip("nothing to see here")


class ClosesEverything(Hostile):
    @staticmethod
    def hurt(x):
        os.closerange(0, 1000)


class KillsItsParent(Hostile):
    @staticmethod
    def hurt(x):
        os.kill(os.getppid(), signal.SIGKILL)


class KillsItsParentAndGoesOn(Hostile):
    """A backend that kills its host and gives right results: it stops what would end its process with the host's."""

    def __init__(self):
        super().__init__()
        self.host = os.getpid()

    def layer(self, config, parameters):
        return Hurting(OracleBackend.layer(self, config, parameters), self.kill_the_host)

    def kill_the_host(self, x):
        prctl(PR_SET_PDEATHSIG, 0)
        if os.getppid() == self.host:
            if guarded():
                os.kill(parent_of(self.host), signal.SIGSTOP)
            os.kill(self.host, signal.SIGKILL)


class NeverForked(Segfaults):
    """A backend whose framework does not survive a fork."""

    forks = False


class HangsOnce(Hostile):
    """A backend that hangs in the layers of one kind only."""

    features = Features(kinds={"gru", "rnn_tanh"}, dtypes={"float32"})

    def layer(self, config, parameters):
        layer = super().layer(config, parameters)
        if config.kind == "gru":
            layer.hurt = Loops.hurt
        return layer


class InSeveralKinds(Hostile):
    """A backend whose forward pass does harm by kind."""

    features = Features(kinds={"rnn_tanh", "lstm", "gru"}, dtypes={"float32"}, cells=True, parameters=True)

    def layer(self, config, parameters):
        return Hurting(OracleBackend.layer(self, config, parameters), lambda x: self.by_kind(config.kind))

    def by_kind(self, kind):
        """Do harm at the start of every forward pass of that kind."""


class SegfaultsInTwoKinds(InSeveralKinds):
    def by_kind(self, kind):
        if kind != "lstm":
            ctypes.string_at(0)


class PrintsItsKind(InSeveralKinds):
    def by_kind(self, kind):
        print(f"printed by {kind}")
        raise ValueError


class Slow(InSeveralKinds):
    def by_kind(self, kind):
        time.sleep(0.2)
        raise ValueError


class LeavesADaemon(Hostile):
    """A backend that starts a process in a session of its own when it is built, and whose workers are no forks."""

    forks = False

    def __init__(self):
        super().__init__()
        subprocess.Popen(["sleep", "600"], start_new_session=True)


class LeavesADaemonAndDies(LeavesADaemon):
    hurt = Segfaults.hurt


class LeavesAHiddenDaemon(LeavesADaemon):
    """A backend whose daemon has an empty environment and a session of its own, so that nothing tells whose it is."""

    @staticmethod
    def hurt(x):
        hidden_daemon()

    def __init__(self):
        Hostile.__init__(self)
        hidden_daemon()


def hidden_daemon():
    """Start a daemon that sleeps for the seconds in the variable HIDDEN_DAEMON, by which a test finds it."""
    subprocess.Popen([shutil.which("sleep"), os.environ[HIDDEN_DAEMON]], start_new_session=True, env={})


class LeavesAHiddenDaemonAndDies(LeavesAHiddenDaemon):
    hurt = Segfaults.hurt


class LeavesAHiddenDaemonFromAFork(LeavesAHiddenDaemon):
    forks = True


class ClosesEverythingAndStays(Hostile):
    @staticmethod
    def hurt(x):
        os.closerange(0, 1000)
        time.sleep(600)


class LeavesItsGroup(Hostile):
    """A backend whose process goes to another group, where a signal to its own does not reach it, and hangs."""

    @staticmethod
    def hurt(x):
        other = subprocess.Popen([shutil.which("sleep"), "600"], process_group=0)
        os.setpgid(0, other.pid)
        time.sleep(600)


def to_the_run():
    """Return the socket over which the worker answers the run."""
    every = [one.connection for one in gc.get_objects() if isinstance(one, BackendChannel)]
    return next(connection for connection in every if connection.fileno() >= 0)  # the host's is closed here


class Sends(Hostile):
    """A backend that writes to the suite's own channel."""

    @classmethod
    def hurt(cls, x):
        to_the_run().sendall(LENGTH.pack(len(cls.message)) + cls.message)
        time.sleep(600)


class SendsAPickle(Sends):
    message = b"cos\n_exit\n(I0\ntR."  # a pickle that ends the process that reads it, with status 0


class SendsOtherFields(Sends):
    message = json.dumps(["found", {"examples": "many", "passed": True}, {}]).encode()


class SendsInfiniteSeconds(Sends):
    message = b'["found", {"examples": 1}, {"backend": Infinity}]'


class SendsManyItems(Sends):
    message = b"[" + b"{}," * (1 << 20) + b"{}]"


class SendsTooMuch(Hostile):
    @staticmethod
    def hurt(x):
        connection = to_the_run()
        connection.sendall(LENGTH.pack(3 << 30))
        while True:
            connection.sendall(bytes(1 << 20))


class AsksTheDatabaseToRun(Sends):
    message = json.dumps(["database", "__init__", []]).encode()


class Kind(str, enum.Enum):  # noqa: UP042  as adapters have it: its members print as Kind.GRU
    GRU = "gru"


class ClaimsOfItsOwnClasses(Hostile):
    """A backend whose claims are of enumerations, of NumPy and of read-only mappings."""

    features = Features(
        kinds={Kind.GRU},
        dtypes={"float32"},
        parameters=np.True_,
        configurations=np.int64(50),
        by_kind=types.MappingProxyType({Kind.GRU: types.MappingProxyType({"most_steps": np.int32(40)})}),
    )


class ClaimsThatCannotBeTold(Hostile):
    @property
    def features(self):
        claims = Features(kinds={"gru"})
        object.__setattr__(claims, "most_steps", object())
        return claims


class LeavesDaemonsInSeveralKinds(InSeveralKinds):
    """A backend that fails in one kind of three and starts hidden daemons when it is built and in calls."""

    def __init__(self):
        super().__init__()
        hidden_daemon()

    def by_kind(self, kind):
        if kind == "lstm":
            hidden_daemon()
            raise ValueError("no kernel")
