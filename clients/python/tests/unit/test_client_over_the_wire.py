"""Both clients over real gRPC: retries, deadlines, paging, closing. The two must not differ."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from decimal import Decimal

import grpc
import pytest
from clients.python.tests.fakes import FakeServer, fake_server
from clients.python.tests.lossy_proxy import lossy_proxy

from metergate_client import AsyncMetergate, Event, Metergate, NotFound, Unavailable


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with fake_server() as running:
        yield running


def test_p1_retries_carry_the_id_and_time_of_the_first_try(fake: FakeServer) -> None:
    fake.lost = 2
    with Metergate(fake.url, "mg_test") as mg:
        receipt = mg.record("api_calls", subject="acme")
    assert len(fake.requests) == 3
    assert all(request == fake.requests[0] for request in fake.requests)
    assert (receipt.event_id, receipt.duplicate) == (fake.requests[0].event.id, True)
    assert len(fake.ledger) == 1
    assert {metadata["authorization"] for metadata in fake.metadata} == {"Bearer mg_test"}


async def test_p1_retries_carry_the_id_and_time_of_the_first_try_in_asyncio(fake: FakeServer) -> None:
    fake.lost = 2
    async with AsyncMetergate(fake.url, "mg_test") as mg:
        receipts = await mg.record_batch([Event("api_calls", "acme"), Event("api_calls", "acme")])
    assert len(fake.requests) == 3
    assert all(request == fake.requests[0] for request in fake.requests)
    assert [receipt.duplicate for receipt in receipts] == [True, True]
    assert len(fake.ledger) == 2


def test_p1_after_all_tries_failed_the_errors_events_count_once(fake: FakeServer) -> None:
    fake.lost = 5
    with Metergate(fake.url, "mg_test") as mg:
        with pytest.raises(Unavailable) as caught:
            mg.record("api_calls", 3, subject="acme")
        assert len(fake.requests) == 5, "gRPC's cap"
        # Five failures have emptied the budget for retries; what follows is sent all the same, once.
        receipts = mg.record_batch(caught.value.events)
        assert [receipt.outcome for receipt in receipts] == ["duplicate"]
        assert mg.usage("api_calls", subject="acme").total == Decimal(3)


def test_p1_an_answer_that_was_lost_on_the_way_is_asked_for_again(fake: FakeServer) -> None:
    with lossy_proxy(fake.url) as proxy, Metergate(proxy.url, "mg_test") as mg:
        mg.record("api_calls", subject="acme")
        proxy.cuts = 1
        receipt = mg.record("api_calls", subject="acme")
        assert (proxy.lost, receipt.duplicate) == (1, True)
        assert mg.usage("api_calls", subject="acme").total == Decimal(2)


def test_p1_retries_of_a_change_carry_the_request_id_of_the_first_try(fake: FakeServer) -> None:
    fake.lost = 1
    with Metergate(fake.url, "mg_test") as mg:
        mg.set_limit("api_calls", 100)
    assert len(fake.requests) == 2
    assert fake.requests[0].request_id
    assert fake.requests[1] == fake.requests[0]


def test_no_server_is_told_within_the_deadline() -> None:
    started = time.monotonic()
    with Metergate("127.0.0.1:1", "mg_test", timeout=0.3) as mg, pytest.raises(Unavailable) as caught:
        mg.record("api_calls", subject="acme")
    assert time.monotonic() - started < 1
    assert len(caught.value.events) == 1


async def test_errors_are_the_same_in_both_clients(fake: FakeServer) -> None:
    with Metergate(fake.url, "mg_test") as mg, pytest.raises(NotFound) as blocking:
        mg.check("api_calls", subject="nobody")
    async with AsyncMetergate(fake.url, "mg_test") as amg:
        with pytest.raises(NotFound) as awaited:
            await amg.check("api_calls", subject="nobody")
    for caught in (blocking, awaited):
        assert (caught.value.reason, caught.value.metadata) == ("SUBJECT_NOT_FOUND", {"subject": "nobody"})
    assert str(blocking.value) == str(awaited.value)


async def test_events_go_through_all_pages_in_both_clients(fake: FakeServer) -> None:
    sent = [Event("api_calls", "acme") for _ in range(7)]
    with Metergate(fake.url, "mg_test") as mg:
        mg.record_batch(sent)
        assert [recorded.event for recorded in mg.events(subject="acme", page_size=3)] == sent
        before = len(fake.requests)
        walk = mg.events(page_size=3)
        next(walk)
        assert len(fake.requests) == before + 1, "a page is fetched when it is needed"
    async with AsyncMetergate(fake.url, "mg_test") as amg:
        assert [recorded.event async for recorded in amg.events(subject="acme", page_size=3)] == sent


def test_both_clients_have_the_same_calls_with_the_same_parameters() -> None:
    def public(client: type) -> dict[str, list[str]]:
        members = {name: member for name, member in vars(client).items() if not name.startswith("_")}
        return {name: list(inspect.signature(member).parameters) for name, member in members.items()}

    assert public(Metergate) == public(AsyncMetergate)


def test_a_channel_that_was_handed_in_stays_open(fake: FakeServer) -> None:
    with grpc.insecure_channel(fake.url) as channel:
        with Metergate(key="mg_test", channel=channel) as mg:
            mg.record("api_calls", subject="acme")
        Metergate(key="mg_test", channel=channel).record("api_calls", subject="acme")
    assert len(fake.ledger) == 2
