"""Tests that measure time have the machine for themselves, while all others share it between xdist's workers.

Two locks that the workers share: a gate and a room. Whoever wants to be alone shuts the gate, so that no test begins
any more, and waits until the room is empty; without the gate, the others could take turns in the room for ever.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

# What is locked is there already: this file and its folder. Two runs in one checkout keep apart as well.
_GATE = Path(__file__)
_ROOM = _GATE.parent


@contextmanager
def _entered(how: int) -> Generator[None]:
    gate, room = (os.open(path, os.O_RDONLY) for path in (_GATE, _ROOM))
    try:
        fcntl.flock(gate, how)
        fcntl.flock(room, how)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield
    finally:
        os.close(gate)
        os.close(room)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Each test is in the room while it runs; one that is marked `alone` by itself."""
    with _entered(fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH):
        return (yield)
