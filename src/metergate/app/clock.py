"""The process's clock. What counts is decided by the database's; this one serves advice and waiting."""

from __future__ import annotations

import time


def now() -> int:
    """The instant of now."""
    return time.time_ns() // 1000
