"""The time for explaining a failure is bounded, whatever a call costs."""

import time

import numpy as np
import pytest

from benchmarks.adapters import Wrong
from conformance import Features, run
from conformance.backends.oracle import OracleBackend
from conformance.diagnosis.diagnose import Diagnostician
from conformance.diagnosis.explain import OUT_OF_TIME, examined
from conformance.engine.deadline import Deadline, OutOfTime
from conformance.engine.drawing import Streams
from conformance.engine.profiles import PROFILES
from conformance.runs.explanation_time import FAILURES_OF_A_RUN, SECONDS_OF_A_FAILURE, ExplanationTime
from conformance.runs.settings import Settings, UsageError
from tests.harness import PLANS, all_checks, subject_of


def test_a_deadline_runs_from_its_start():
    now = [100.0]
    deadline = Deadline(5.0, lambda: now[0])
    assert (deadline.over, deadline.spent) == (False, 0.0)
    deadline.start()
    now[0] = 104.0
    deadline.start()
    assert (deadline.over, deadline.spent) == (False, 4.0)
    part = deadline.part(0.5)
    now[0] = 104.4
    assert not part.over
    with deadline.call():  # no call of a backend
        now[0] = 104.45
    assert not part.over
    with deadline.call():
        deadline.check()
        now[0] = 104.49
    assert part.over  # another call of 0.04 s would end too late
    assert not deadline.is_short
    now[0] = 104.9
    assert deadline.is_short
    deadline.check()
    now[0] = 105.0
    assert deadline.over
    deadline.check()  # it is not enforced
    reached = []
    with deadline.enforced():
        deadline.check()
        reached.append("past the end")
    assert not reached
    deadline.check()


def test_no_law_takes_the_end_of_the_time_for_an_exception_of_the_adapter():
    assert not issubclass(OutOfTime, Exception)


class Late:
    """A backend whose layers and calls come late, by a clock of its own."""

    def __init__(self, now, build=10.0, call=1.0):
        super().__init__()
        self.now, self.build, self.call = now, build, call

    def layer(self, config, parameters):
        self.now[0] += self.build
        layer = super().layer(config, parameters)
        forward = layer.forward

        def late(*arguments):
            self.now[0] += self.call
            return forward(*arguments)

        layer.forward = late
        return layer


class Shifted(OracleBackend):
    """Wrong numbers that no known fault gives."""

    name, features = "shifted", Features(kinds={"gru"})

    def layer(self, config, parameters):
        layer = super().layer(config, parameters)
        forward = layer.forward

        def shifted(*arguments):
            found = forward(*arguments)
            return found._replace(output=found.output + np.float32(0.01))

        layer.forward = shifted
        return layer


class Slow(Late, Shifted):
    pass


class SlowGates(Late, Wrong):
    """ONNX's order of the gates."""


def test_a_slow_backends_failure_is_told_soon():
    now = [0.0]
    (check,) = (check for check in all_checks() if check.requirement == "FORWARD-EQUATION")
    diagnostician = Diagnostician(Streams(subject_of(Slow(now), "gru"), PLANS))
    deadline = Deadline(20.0, lambda: now[0])
    verdict = examined(check, diagnostician, PROFILES["quick"], deadline=deadline)
    assert not verdict.passed
    assert now[0] <= 33
    assert verdict.common.startswith("none of the ")
    assert "judged by 1 call: no time was left for more" in verdict.common
    compile(verdict.reproducer, "script", "exec")
    assert verdict.explaining == deadline.spent


@pytest.mark.parametrize(("build", "call"), [(0.0, 0.3), (10.0, 0.0), (0.0, 12.0)])
def test_the_commonest_mistake_is_named_in_time(build, call):
    now = [0.0]
    (check,) = (check for check in all_checks() if check.requirement == "LSTM-GATE-ORDER")
    diagnostician = Diagnostician(Streams(subject_of(SlowGates(now, build, call), "lstm"), PLANS))
    deadline = Deadline(20.0, lambda: now[0])
    verdict = examined(check, diagnostician, PROFILES["quick"], deadline=deadline)
    assert "as ONNX orders them" in verdict.diagnosis[0]["explanation"]
    assert "no time was left for more" in verdict.common
    assert deadline.spent <= 20 + build + call


def test_off_tells_the_failure_as_it_was_found():
    now = [0.0]
    (check,) = (check for check in all_checks() if check.requirement == "FORWARD-EQUATION")
    diagnostician = Diagnostician(Streams(subject_of(Slow(now), "gru"), PLANS))
    verdict = examined(check, diagnostician, PROFILES["quick"], deadline=Deadline(0.0, lambda: now[0]))
    assert verdict.failure
    assert verdict.reproducer
    assert now[0] == 11.0


def test_a_run_has_six_times_the_time_of_a_failure():
    whole = ExplanationTime()
    assert whole.of_next() == SECONDS_OF_A_FAILURE == 20
    whole.spend(SECONDS_OF_A_FAILURE * FAILURES_OF_A_RUN - 5)
    assert whole.of_next() == 5
    whole.spend(10)
    assert whole.of_next() == 0
    assert ExplanationTime("off").of_next() == 0
    assert ExplanationTime("2.5").of_next() == ExplanationTime(2.5).of_next() == 2.5


@pytest.mark.parametrize("given", ["soon", "0", -1, True, "nan", []])
def test_another_value_is_an_error_of_one_sentence(given):
    with pytest.raises(UsageError, match=r"^diagnosis: give off or a number of seconds above 0\.$"):
        Settings.of({"diagnosis": given})


class WrongGRU(OracleBackend):
    name, features = "wrong", Features(kinds={"gru"})

    def layer(self, config, parameters):
        return super().layer(config, {name: value * value.dtype.type(1.5) for name, value in parameters.items()})


def test_the_functions_keyword_bounds_the_run():
    started = time.monotonic()
    report = run(WrongGRU(), profile="smoke", diagnosis="off")
    assert report.failures
    assert all(found.reproducer for found in report.failures)
    assert all(OUT_OF_TIME in found.message for found in report.failures if "not refused" not in found.message)
    assert time.monotonic() - started < 100
