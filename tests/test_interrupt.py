"""A Ctrl-C takes effect once, at any place, and the former handler is restored."""

import signal

import pytest

from conformance.isolation.interrupt import Interrupt


@pytest.fixture
def interrupt():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    deferred = Interrupt()
    yield deferred
    deferred.close()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_nothing_is_raised_where_there_was_none(interrupt):
    interrupt.raise_if_pressed()
    assert not interrupt.pressed


def test_the_first_is_raised_at_the_next_safe_point_and_the_second_at_once(interrupt):
    signal.raise_signal(signal.SIGINT)  # at a place where it would be lost
    with pytest.raises(KeyboardInterrupt):
        interrupt.raise_if_pressed()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_what_is_ignored_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        Interrupt().close()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
