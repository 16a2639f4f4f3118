"""What is told of the health of tables, and what is too much of it."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from metergate.adapters.postgres.health import PostgresHealth
from metergate.adapters.postgres.upkeep import Upkeep
from metergate.app.health import GAUGES, Reading, unwell
from metergate.domain import period
from metergate.http.health import HealthMetrics
from tests.integration.processes import Process, event
from tests.integration.test_partitions import ACCEPT_AGE, make_partitions, month


async def readings(one: Process) -> list[Reading]:
    return await PostgresHealth(one.engine, ACCEPT_AGE).readings()


async def test_a_fresh_ledger_is_well(one: Process) -> None:
    await one.add(event("1"))
    found = await readings(one)
    assert unwell([reading for reading in found if reading.kind != "oldest_transaction_seconds"]) == []
    ahead = {reading.of: reading.value for reading in found if reading.kind == "months_ahead"}
    assert ahead == {"usage_event": 6.0, "usage_id": 6.0}


async def test_what_is_missing_or_left_over_is_told(one: Process) -> None:
    today = period.to_datetime(await one.now()).date()
    for back in (4, 5):
        await make_partitions(one, month(today, -back))
    for ahead in range(1, 7):
        await one.fetch(f"DROP TABLE usage_event_{month(today, ahead):%Y_%m}")
    await one.fetch("INSERT INTO event_month (month, state, begun_at) VALUES ('2020-01-01', 'begun', '2020-02-01+00')")
    told = [said for said, _ in unwell(await readings(one))]
    assert "usage_event has partitions for 0 months ahead" in told
    assert "2 slices of old ids are not dropped" in told
    assert "1 months of events are stuck half dropped" in told


async def test_upkeep_summarizes_block_ranges(one: Process) -> None:
    await one.fetch(
        "INSERT INTO grant_move (tenant, customer, seq, place, recorded_at, meter, id, kind, amount) "
        "SELECT 't', repeat('x', 200), n, 0, now(), 'm', 'g', 'burn', 1 FROM generate_series(1, 3000) n"
    )
    await Upkeep(one.engine, ACCEPT_AGE).keep_house()
    assert await one.fetch("SELECT brin_summarize_new_values('grant_move_recorded')") == [(0,)]


@pytest.mark.parametrize("kind", list(GAUGES))
def test_each_gauge_has_a_border_and_a_cure(kind: str) -> None:
    gauge = GAUGES[kind]
    border = gauge.most if gauge.most is not None else gauge.least
    assert border is not None
    assert gauge.well(border)
    beyond = border + 1 if gauge.most is not None else border - 1
    ((said, cure),) = unwell([Reading(kind, "thing", beyond)])
    assert said
    assert cure == gauge.cure


def test_readings_are_metrics() -> None:
    metrics, registry = HealthMetrics(), CollectorRegistry()
    registry.register(metrics)
    metrics.readings = [Reading("months_ahead", "usage_event", 6.0)]
    assert b'metergate_ledger_months_ahead{of="usage_event"} 6.0' in generate_latest(registry)
