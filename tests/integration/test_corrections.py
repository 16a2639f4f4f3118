"""Corrections: what was recorded is taken back by new facts; counters, rollups and thresholds follow at once."""

from __future__ import annotations

from decimal import Decimal

import pytest

from metergate.domain.catalog import Catalog, Plan
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import Meter
from metergate.domain.period import HOUR, Period
from metergate.domain.quota import Limit, Policy
from tests.integration.processes import Process, event, heard

METERS = (
    Meter("calls", "calls", dimensions=("model",)),
    Meter("number", "calls", aggregation="count"),
    Meter("peak", "calls", aggregation="max"),
    Meter("users", "calls", aggregation="unique", value="user"),
)
LIMITS = (
    Limit("calls/month", "calls", Decimal(1000), thresholds=(50,)),
    Limit("calls/model", "calls", Decimal(100), Period.DAY, per_labels=("model",)),
    Limit("number/day", "number", Decimal(100), Period.DAY),
    Limit("peak/month", "peak", Decimal(100), policy=Policy.SOFT),
    Limit("users/month", "users", Decimal(10), policy=Policy.SOFT),
)
CATALOG = Catalog(METERS, (Plan("default", LIMITS),))


@pytest.fixture
async def ready(one: Process) -> Process:
    await one.apply(CATALOG)
    return one


async def refused(action: object) -> Reason:
    with pytest.raises(MetergateError) as error:
        await action  # type: ignore[misc]
    return error.value.reason


async def test_p4_an_amendment_moves_everything_that_the_event_counts_in(ready: Process) -> None:
    now = await ready.now()
    await ready.add(event("1", amount=5, time=now - HOUR, labels={"model": "a", "user": "u"}))
    await ready.add(event("2", amount=7, labels={"model": "b", "user": "u"}))
    done = await ready.amend("1", event("1", amount=6, time=now - HOUR, labels={"model": "b", "user": "v"}))
    assert (done.corrected.version, done.corrected.kind) == (2, "amend")
    assert await ready.differences() == []
    await heard()
    assert await ready.used("calls", labels={"model": "b"}) == [13, 13]
    assert await ready.used("calls", labels={"model": "a"}) == [0, 13]
    assert await ready.used("number") == [2]
    assert await ready.used("peak") == [7]
    assert await ready.used("users") == [2]
    await ready.void("2")
    assert await ready.differences() == []
    await heard()
    assert await ready.used("calls", labels={"model": "b"}) == [6, 6]
    assert await ready.used("peak") == [6]
    assert await ready.used("users") == [1]
