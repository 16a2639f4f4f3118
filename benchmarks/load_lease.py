"""Holders of leases; each runs in a process of its own and returns (units, seconds, notes).

They are the blocking client's: a loop of asyncio has nothing to do beside them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from metergate_client import LeaseHolder, Metergate

_TICK = 0.005
_PATIENCE = 3.0
"""Seconds without a unit after which a holder takes the limit for used up: longer than a brisk sync."""
_SAMPLE = 0.02


async def spend_all(*arguments: Any) -> Any:
    """See `_spend_all`."""
    return _spend_all(*arguments)


async def spend_fast(*arguments: Any) -> Any:
    """See `_spend_fast`."""
    return _spend_fast(*arguments)


def _spend_all(
    address: str, key: str, name: str, journals: str, meter: str, subject: str, per_second: int, together: int
) -> Any:
    """Spends at a steady pace, as soon as so many holders are there, until nothing came for a while; then closes.

    Notes how much was spent by when, in `samples`, and when the `last` unit was.
    """
    samples: list[tuple[float, int]] = []
    spent = 0
    with Metergate(address, key) as client, _holder(client, name, journals) as holder:
        _wait_for_others(Path(journals), name, subject, together)
        begin = due = last = time.time()
        while time.time() - last < _PATIENCE:
            due = max(due + _TICK, time.time() - 0.1)  # who was held up catches up on a tenth of a second at most
            time.sleep(max(due - time.time(), 0))
            for _ in range(int(per_second * _TICK)):
                if not holder.allow(meter, subject=subject):
                    break
                spent += 1
                last = time.time()
            if not samples or time.time() - samples[-1][0] >= _SAMPLE:
                samples.append((time.time(), spent))
        samples.append((time.time(), spent))
        if not holder.close():
            raise RuntimeError("the holder could not give back in time")
    return spent, last - begin, {"samples": samples, "last": last, "requests": holder.requests}


def _wait_for_others(journals: Path, name: str, subject: str, together: int) -> None:
    """Processes take seconds to start: they begin when the last one is up."""
    (journals / f"{name}.ready").touch()
    until = time.monotonic() + 60
    while len(list(journals.glob(f"{subject}-*.ready"))) < together:
        if time.monotonic() > until:
            raise RuntimeError("not all holders have started")
        time.sleep(_TICK)


def _spend_fast(address: str, key: str, name: str, journals: str, meter: str, subject: str, seconds: float) -> Any:
    """Spends as fast as it can, after a second of it that isn't timed: the holder learns what to ask for."""
    with Metergate(address, key) as client, _holder(client, name, journals) as holder:
        client.create_customer(subject)
        _spend_for(holder, meter, subject, 1.0)
        began = time.perf_counter()
        allowed, refused = _spend_for(holder, meter, subject, seconds)
        took = time.perf_counter() - began
        if not holder.close():
            raise RuntimeError("the holder could not give back in time")
    return allowed, took, {"refused": refused, "requests": holder.requests}


def _spend_for(holder: LeaseHolder, meter: str, subject: str, seconds: float) -> tuple[int, int]:
    """How much was allowed and refused."""
    allowed = refused = 0
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        for _ in range(1_000):
            if holder.allow(meter, subject=subject):
                allowed += 1
            else:
                refused += 1
    return allowed, refused


def _holder(client: Metergate, name: str, journals: str) -> LeaseHolder:
    return client.lease_holder(name, journal=Path(journals) / name)
