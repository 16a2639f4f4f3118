"""Event ids: UUIDs of version 7 (RFC 9562), which sort by the time they were made."""

from __future__ import annotations

import secrets
import time
from threading import Lock
from uuid import UUID

_lock = Lock()
_last = 0  # the 90 bits of the id before: 48 of milliseconds above 42 of counter


def new_id() -> str:
    """Make an event id, larger than every id that this process made before.

    48 bits of Unix milliseconds, 42 of a counter, 32 of randomness. The counter begins at a random number below
    2^41 in each new millisecond and goes up by one within it, also when the clock is set back; were it ever full,
    it would carry into the milliseconds. Python's own ``uuid7`` (3.14) shares its bits out in the same way.
    """
    global _last  # noqa: PLW0603 - the one state that keeps ids in order, under the lock
    with _lock:
        fresh = time.time_ns() // 1_000_000 << 42 | secrets.randbits(41)
        _last = fresh if fresh >> 42 > _last >> 42 else _last + 1
        stamp, counter = _last >> 42, _last & (1 << 42) - 1
    high, low = counter >> 30, counter & (1 << 30) - 1
    return str(UUID(int=stamp << 80 | 7 << 76 | high << 64 | 2 << 62 | low << 32 | secrets.randbits(32)))
