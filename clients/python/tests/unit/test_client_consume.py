"""Consuming and reserving over real gRPC, with answers that get lost. Both clients."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from clients.python.tests.fakes import FakeServer, fake_server

from metergate_client import (
    AsyncMetergate,
    ConsumeResult,
    ConsumeResults,
    Event,
    Metergate,
    MetergateError,
    QuotaRefused,
    Unavailable,
)


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with fake_server() as running:
        yield running


@pytest.fixture
def mg(fake: FakeServer) -> Iterator[Metergate]:
    with Metergate(fake.url, "mg_test") as client:
        yield client


def test_p3_a_refusal_is_an_answer_that_is_false_and_says_what_would_fit(mg: Metergate) -> None:
    admitted = mg.consume("api_calls", subject="acme")
    assert admitted
    assert admitted.receipts[0].outcome == "accepted"
    refused = mg.consume("api_calls", 100, subject="acme")
    assert not refused
    assert (refused.binding_limit, refused.receipts) == ("limit", ())
    assert repr(refused) == "refused by limit · 99 would fit · nothing charged"


def test_p1_a_consumption_whose_answer_was_lost_is_charged_once(fake: FakeServer, mg: Metergate) -> None:
    fake.lost = 2
    admitted = mg.consume("api_calls", 5, subject="acme")
    assert len(fake.requests) == 3
    assert all(request == fake.requests[0] for request in fake.requests)
    assert admitted.duplicate
    assert repr(admitted).endswith("admitted before")
    assert not fake.requests[0].events[0].HasField("time"), "the server says when it was admitted"
    assert len(fake.quota.admitted) == 1


def test_p1_the_events_of_a_consumption_without_an_answer_may_be_consumed_again(
    fake: FakeServer, mg: Metergate
) -> None:
    fake.lost = 5
    with pytest.raises(Unavailable) as caught:
        mg.consume("api_calls", 5, subject="acme")
    assert mg.consume_unit(caught.value.events).duplicate
    assert len(fake.quota.admitted) == 1


async def test_several_events_are_one_unit_in_asyncio(fake: FakeServer) -> None:
    async with AsyncMetergate(fake.url, "mg_test") as mg:
        assert not await mg.consume_unit([Event("api_calls", "acme", 60), Event("api_calls", "acme", 60)])
        assert await mg.consume_unit([Event("api_calls", "acme", 60), Event("api_calls", "acme", 40)])
    assert len(fake.quota.admitted) == 2


def test_results_of_a_batch_read_well() -> None:
    results = ConsumeResults(
        (
            ConsumeResult(True, "accepted"),
            ConsumeResult(True, "duplicate"),
            ConsumeResult(False, binding_limit="api_calls/month"),
            ConsumeResult(False, error_reason="SUBJECT_NOT_FOUND", error_message="no such subject"),
        )
    )
    assert [repr(result) for result in results] == [
        "allowed",
        "allowed · admitted before",
        "refused by api_calls/month · nothing charged",
        "SUBJECT_NOT_FOUND: no such subject",
    ]
    assert (repr(results), len(results.refused), len(results.failed)) == ("2 allowed · 1 refused · 1 failed", 1, 1)
    assert (bool(results[0]), bool(results[2]), len(results)) == (True, False, 4)


def test_a_reservation_is_committed_and_the_rest_is_free(fake: FakeServer, mg: Metergate) -> None:
    with mg.reserve("api_calls", 10, subject="acme", labels={"region": "eu"}) as r:
        assert (r.state, r.amounts[0].amount) == ("open", Decimal(10))
        committed = r.commit(7)
    assert repr(committed) == "committed · 7 of 10 api_calls"
    (event,) = fake.quota.admitted.values()
    assert (event.type, event.amount, event.settles, dict(event.labels)) == ("api_calls", "7", r.id, {"region": "eu"})
    assert [type(request).__name__ for request in fake.requests] == ["ReserveQuotaRequest", "CommitReservationRequest"]


def test_leaving_the_block_without_a_commit_or_by_an_error_releases(fake: FakeServer, mg: Metergate) -> None:
    with mg.reserve("api_calls", 10, subject="acme") as r:
        pass
    assert r.state == "released"
    with pytest.raises(KeyError), mg.reserve("api_calls", 10, subject="acme") as r:
        raise KeyError("work failed")
    assert r.state == "released"
    assert fake.quota.left == fake.quota.book.limit


def test_p3_a_refused_reservation_is_false_and_its_block_raises(mg: Metergate) -> None:
    refused = mg.reserve("api_calls", 101, subject="acme")
    assert not refused
    assert (refused.state, repr(refused)) == ("refused", "refused by limit · 100 would fit · nothing held")
    with pytest.raises(QuotaRefused, match="refused by limit") as caught, refused:
        raise AssertionError("the block of a refused reservation does not run")
    assert (caught.value.decision.binding_limit, caught.value.reason) == ("limit", "LIMIT_REACHED")
    with pytest.raises(QuotaRefused):
        refused.commit(1)


def test_p1_a_reservation_whose_answer_was_lost_holds_once_and_commits_once(fake: FakeServer, mg: Metergate) -> None:
    fake.lost = 1
    with mg.reserve("api_calls", 10, subject="acme") as r:
        fake.lost = 1
        assert r.commit().receipts[0].duplicate
    assert len(fake.quota.reservations) == 1
    assert len(fake.quota.admitted) == 1


def test_p1_a_commit_without_an_answer_is_not_released_and_its_repeat_counts_once(
    fake: FakeServer, mg: Metergate
) -> None:
    r = mg.reserve("api_calls", 10, subject="acme")
    fake.lost = 100
    with pytest.raises(Unavailable), r:
        r.commit(7)
    fake.lost = 0
    assert not any(type(request).__name__ == "ReleaseReservationRequest" for request in fake.requests)
    assert r.commit(7).receipts[0].duplicate
    assert len(fake.quota.admitted) == 1


def test_several_meters_are_reserved_and_committed_together(fake: FakeServer, mg: Metergate) -> None:
    with mg.reserve(amounts={"in": 10, "out": 20}, subject="acme", ttl=60, partial_ok=True) as r:
        with pytest.raises(ValueError, match="say how much of each meter"):
            r.commit(7)
        with pytest.raises(ValueError, match="tokens is not reserved here"):
            r.commit({"tokens": 7})
        committed = r.commit({"in": 10, "out": 5})
    assert repr(committed) == "committed · 10 of 10 in · 5 of 20 out"
    assert fake.requests[0].ttl.seconds == 60
    with mg.reserve("in", 1, subject="acme") as r:
        with pytest.raises(ValueError, match="not both"):
            r.commit(1, events=[])
        r.commit(events=[Event("llm", "acme", values={"in": 1})])
    assert {event.settles for event in fake.quota.admitted.values()} == {"res-1", "res-2"}
    with pytest.raises(ValueError, match="name one meter, or several"):
        mg.reserve(subject="acme")


async def test_a_reservation_in_asyncio_is_awaited_or_entered(fake: FakeServer) -> None:
    async with AsyncMetergate(fake.url, "mg_test") as mg:
        async with mg.reserve("api_calls", 10, subject="acme") as r:
            await r.commit(7)
        assert r.state == "committed"
        async with mg.reserve("api_calls", 10, subject="acme") as r:
            pass
        assert r.state == "released"
        r = await mg.reserve("api_calls", 10, subject="acme")
        assert (await r.release()).state == "released"
        with pytest.raises(QuotaRefused):
            async with mg.reserve("api_calls", 1000, subject="acme"):
                raise AssertionError("the block of a refused reservation does not run")


def test_what_could_not_be_released_does_not_hide_the_error(fake: FakeServer, mg: Metergate) -> None:
    r = mg.reserve("api_calls", 10, subject="acme")
    fake.lost = 100
    with pytest.raises(KeyError) as caught, r:
        raise KeyError("work failed")
    assert any("not released" in note for note in caught.value.__notes__)
    with pytest.raises(MetergateError), mg.reserve("api_calls", 10, subject="acme"):
        pass
