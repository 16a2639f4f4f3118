"""The client against the real server. The fixture ``server`` gives ``grpc_url`` and a ``key`` of a dev tenant.

The blocking client runs in threads here, so that the server may live in this process's event loop.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Protocol

import pytest
from clients.python.tests.lossy_proxy import LossyProxy, lossy_proxy

from metergate_client import (
    AsyncMetergate,
    Check,
    Conflict,
    Event,
    InvalidArgument,
    Metergate,
    NotFound,
    Unauthenticated,
    Unavailable,
    new_id,
)


class Server(Protocol):
    """A running server."""

    grpc_url: str
    key: str


@pytest.fixture
async def mg(server: Server) -> AsyncIterator[AsyncMetergate]:
    async with AsyncMetergate(server.grpc_url, server.key, timeout=20) as client:
        yield client


@pytest.fixture
def proxy(server: Server) -> Iterator[LossyProxy]:
    with lossy_proxy(server.grpc_url) as running:
        yield running


@pytest.fixture
async def meter(mg: AsyncMetergate) -> str:
    """A meter of this test's own, with a hard limit of 100 a month on the default plan."""
    name = f"calls-{new_id()}"
    await mg.set_limit(name, 100)
    return name


@pytest.fixture
async def subject(mg: AsyncMetergate) -> str:
    """A customer of this test's own, which is a subject too."""
    return (await mg.create_customer(f"acme-{new_id()}")).id


async def test_the_first_five_minutes(server: Server, meter: str) -> None:
    subject = f"acme-{new_id()}"  # made on first use: the server is one for development

    def five_minutes() -> None:
        with Metergate(server.grpc_url, server.key, timeout=20) as mg:
            receipt = mg.record(meter, subject=subject)
            assert repr(receipt) == f"accepted · {receipt.event_id}"
            allowed = repr(mg.check(meter, subject=subject, token=receipt.token))
            assert re.fullmatch(r"allowed · 1 used · 99 left · resets \d{4}-\d\d-01T00:00Z", allowed), allowed
            refused = mg.check(meter, 100, subject=subject, token=receipt.token)
            assert (refused.allowed, repr(refused)) == (False, f"refused by {meter}/month · 99 would fit")
            assert mg.usage(meter, subject=subject, token=receipt.token).total == Decimal(1)

    await asyncio.to_thread(five_minutes)


async def test_p1_an_answer_that_was_lost_is_asked_for_again_and_usage_counts_exactly_once(
    server: Server, proxy: LossyProxy, mg: AsyncMetergate, meter: str, subject: str
) -> None:
    def record() -> None:
        with Metergate(proxy.url, server.key, timeout=20) as client:
            client.check(meter, subject=subject)  # connected and at rest
            proxy.cuts = 1
            receipt = client.record(meter, 3, subject=subject)
            assert (proxy.lost, receipt.outcome) == (1, "duplicate"), "recorded before the answer was lost"
            proxy.cuts = 2
            receipts = client.record_batch(Event(meter, subject, 2) for _ in range(50))
            assert (proxy.lost, receipts.count("duplicate")) == (3, 50)

    await asyncio.to_thread(record)
    usage = await mg.usage(meter, subject=subject)
    assert (usage.total, usage.series[0].event_count) == (Decimal(103), 51)
    assert (await mg.limits(meter, subject=subject))[f"{meter}/month"].used == Decimal(103)


async def test_p1_a_lost_answer_counts_exactly_once_in_asyncio_too(
    server: Server, proxy: LossyProxy, mg: AsyncMetergate, meter: str, subject: str
) -> None:
    async with AsyncMetergate(proxy.url, server.key, timeout=20) as client:
        await client.check(meter, subject=subject)
        proxy.cuts = 1
        assert (await client.record(meter, subject=subject)).outcome == "duplicate"
    assert proxy.lost == 1
    assert (await mg.usage(meter, subject=subject)).total == Decimal(1)


async def test_p1_the_events_of_a_call_that_failed_for_good_may_be_repeated_later(
    server: Server, proxy: LossyProxy, mg: AsyncMetergate, meter: str, subject: str
) -> None:
    proxy.cuts = 1000
    async with AsyncMetergate(proxy.url, server.key, timeout=20) as client:
        with pytest.raises(Unavailable) as caught:
            await client.record(meter, 7, subject=subject)
    assert proxy.lost >= 1
    assert [receipt.outcome for receipt in await mg.record_batch(caught.value.events)] == ["duplicate"]
    assert (await mg.usage(meter, subject=subject)).total == Decimal(7)


async def test_p1_the_same_id_with_other_content_is_a_conflict_that_names_the_field(
    mg: AsyncMetergate, meter: str, subject: str
) -> None:
    first = Event(meter, subject, 5)
    assert [receipt.outcome for receipt in await mg.record_batch([first])] == ["accepted"]
    with pytest.raises(Conflict) as caught:
        await mg.record(meter, 6, subject=subject, event_id=first.id, time=first.time)
    assert (caught.value.reason, caught.value.metadata["field"]) == ("EVENT_CONFLICT", "amount")
    assert (await mg.usage(meter, subject=subject)).total == Decimal(5), "nothing was overwritten"


async def test_p12_one_bad_event_of_a_batch_neither_raises_nor_stops_the_others(
    mg: AsyncMetergate, meter: str, subject: str
) -> None:
    good = [Event(meter, subject) for _ in range(3)]
    bad = [Event(meter, subject, "1e400"), Event(meter, subject, "NaN")]
    receipts = await mg.record_batch([good[0], bad[0], good[1], bad[1], good[2]])
    assert [receipt.outcome for receipt in receipts] == ["accepted", "rejected", "accepted", "rejected", "accepted"]
    assert {receipt.reason for receipt in receipts.failed} == {"QUANTITY_INVALID"}
    assert (await mg.usage(meter, subject=subject)).total == Decimal(3)


async def test_p12_bad_input_comes_back_as_a_typed_error_with_a_published_reason(
    server: Server, mg: AsyncMetergate, meter: str, subject: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await mg.record(meter, "12.5.1", subject=subject)
    assert caught.value.reason == "QUANTITY_INVALID"
    with pytest.raises(InvalidArgument) as caught:
        await mg.record(meter, subject=subject, time=datetime.now(UTC) - timedelta(days=36))
    assert caught.value.reason == "TIME_TOO_OLD"
    with pytest.raises(NotFound) as missing:
        await mg.check("no-such-meter", subject=subject)
    assert missing.value.reason == "METER_NOT_FOUND"
    async with AsyncMetergate(server.grpc_url, "mg_not_a_key") as stranger:
        with pytest.raises(Unauthenticated) as refused:
            await stranger.check(meter, subject=subject)
    assert refused.value.reason == "KEY_INVALID"


async def test_p7_quantities_are_exact_on_the_whole_way(mg: AsyncMetergate, meter: str, subject: str) -> None:
    await mg.record_batch([Event(meter, subject, Decimal("0.1")), Event(meter, subject, "0.200000000001")])
    assert (await mg.usage(meter, subject=subject)).total == Decimal("0.300000000001")


async def test_p5_a_read_with_a_writes_token_sees_it(mg: AsyncMetergate, meter: str, subject: str) -> None:
    for number in range(1, 6):
        receipt = await mg.record(meter, subject=subject)
        decision = await mg.check(meter, subject=subject, token=receipt.token)
        assert decision.limit is not None
        assert decision.limit.used == number
        assert decision.answered_by in {"view", "ledger"}
        assert decision.as_of is not None


async def test_usage_comes_in_points_without_gaps(mg: AsyncMetergate, meter: str, subject: str) -> None:
    now = datetime.now(UTC)
    start = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
    await mg.record_batch(Event(meter, subject, 2, time=start + timedelta(hours=hours)) for hours in (0, 0, 3))
    usage = await mg.usage(meter, subject=subject, start=start, end=start + timedelta(hours=5), granularity="hour")
    assert [point.value for point in usage.points] == [4, 0, 0, 2, 0]
    assert [point.start_time for point in usage.points] == [start + timedelta(hours=hours) for hours in range(5)]
    assert (usage.start_time, usage.end_time) == (start, start + timedelta(hours=5))


async def test_events_come_back_whole_over_several_pages(mg: AsyncMetergate, meter: str, subject: str) -> None:
    base = datetime.now(UTC) - timedelta(hours=1)
    sent = [
        Event(meter, subject, number, labels={"n": str(number)}, time=base + timedelta(seconds=number))
        for number in range(25)
    ]
    await mg.record_batch(sent)
    listed = [recorded async for recorded in mg.events(subject=subject, event_type=meter, page_size=10)]
    assert [(each.event.id, each.event.amount, each.event.time) for each in listed] == [
        (event.id, Decimal(str(event.amount)), event.time) for event in sent
    ]
    assert {(each.customer, each.meters) for each in listed} == {(subject, (meter,))}
    half = [each async for each in mg.events(subject=subject, start=base + timedelta(seconds=20), page_size=2)]
    assert [each.event.id for each in half] == [event.id for event in sent[20:]]


async def test_usage_of_an_unknown_meter_waits_and_counts_once_there_is_one(mg: AsyncMetergate, subject: str) -> None:
    later = f"later-{new_id()}"
    receipt = await mg.record(later, 4, subject=subject)
    assert (receipt.outcome, receipt.unmatched) == ("accepted", "meter")
    assert repr(receipt).endswith("does not count yet: unknown meter")
    await mg.set_limit(later, None)
    assert (await mg.usage(later, subject=subject)).total == Decimal(4)


async def test_customers_subjects_and_plans(mg: AsyncMetergate, meter: str) -> None:
    customer, key, plan = f"acme-{new_id()}", f"key-{new_id()}", f"pro-{new_id()}"
    limit = await mg.set_limit(meter, 1000, plan=plan, policy="soft", period="day")
    assert (limit.name, limit.max, limit.policy, limit.plan) == (f"{meter}/day", Decimal(1000), "soft", plan)
    made = await mg.create_customer(customer, name="Acme", time_zone="Asia/Kolkata")
    assert made == await mg.create_customer(customer, name="Acme", time_zone="Asia/Kolkata"), "may be repeated"
    with pytest.raises(Conflict):
        await mg.create_customer(customer, name="Another")
    assert (await mg.create_subject(key, customer=customer)).customer == customer
    assert (await mg.assign_plan(customer, plan)).plan == plan
    receipt = await mg.record(meter, 3, subject=key)
    assert (await mg.usage(meter, customer=customer, token=receipt.token)).total == Decimal(3)
    limits = await mg.limits(meter, subject=key)
    assert (limits.customer, limits.plan) == (customer, plan)
    assert limits[f"{meter}/day"].used == Decimal(3)


async def test_a_batch_of_questions_answers_each_by_itself(mg: AsyncMetergate, meter: str, subject: str) -> None:
    unknown = f"no-such-{new_id()}"
    fits, too_much, nobody = await mg.check_batch(
        [Check(subject, {meter: 100}), Check(subject, {meter: 101}), Check(subject, {unknown: 1})]
    )
    assert fits.decision is not None
    assert fits.decision.allowed
    assert too_much.decision is not None
    assert too_much.decision.binding_limit == f"{meter}/month"
    assert (nobody.decision, nobody.error_reason) == (None, "METER_NOT_FOUND")


async def test_receipts_show_limits_where_asked_for(mg: AsyncMetergate, meter: str, subject: str) -> None:
    receipt = await mg.record(meter, 120, subject=subject, include_limits=True)
    state = {limit.name: limit for limit in receipt.limits}[f"{meter}/month"]
    assert (state.used, state.remaining, state.overrun) == (Decimal(120), Decimal(0), Decimal(20)), (
        "facts are never refused; they overrun"
    )


async def test_server_and_client_stand_in_one_process() -> None:
    # Both register the contract's files with protobuf, which refuses two that differ in a single byte.
    from metergate.v1 import usage_pb2 as of_server
    from metergate_client.v1 import usage_pb2 as of_client

    assert id(of_server.RecordUsageRequest) == id(of_client.RecordUsageRequest)
