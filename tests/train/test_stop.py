"""Signals set a flag; the second Ctrl-C interrupts."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from trifocal.errors import Stopped
from trifocal.train.stop import StopSignals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_remembered_and_handlers_come_back(number):
    before = signal.getsignal(number)
    with StopSignals() as signals:
        assert signals.received == 0
        os.kill(os.getpid(), number)
        assert signals.received == number
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_interrupts():
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_other_threads_leave_signals_alone():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work():
        with StopSignals() as signals:
            seen.append((signals.received, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(0, before)]


def test_exit_status():
    assert Stopped(signal.SIGINT, 3, "runs/x").status == 130
    assert Stopped(signal.SIGTERM, 3, "runs/x").status == 143
    assert "SIGTERM after step 3" in str(Stopped(signal.SIGTERM, 3, "runs/x"))
