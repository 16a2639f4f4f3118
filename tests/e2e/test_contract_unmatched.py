"""Events of an unknown type or subject are kept, and count exactly once as soon as their meter or subject exists."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from metergate.v1.usage_event_pb2 import OUTCOME_ACCEPTED, OUTCOME_DUPLICATE
from tests.e2e.calls import Caller, stamp, total, used

LIMITED = {"meter": "calls", "max": "100"}
CATALOG = {"meters": [{"name": "calls"}], "plans": [{"name": "default", "limits": [LIMITED]}]}


def _events(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"id": f"e{n}", "type": "calls", "subject": "acme", "amount": "2", **fields} for n in range(count)]


async def _record(api: Caller, events: list[dict[str, Any]], unmatched: str) -> None:
    receipts = (await api("BatchRecordUsage", events=events)).receipts
    assert {(one.outcome, one.unmatched) for one in receipts} == {(OUTCOME_ACCEPTED, unmatched)}


async def _waiting(api: Caller) -> dict[str, str]:
    listed = (await api("ListUsageEvents", unmatched_only=True)).events
    return {one.event.id: one.unmatched for one in listed}


async def _counts(api: Caller, count: int, subject: str = "acme") -> None:
    """Each event counts once: in the summary, in the check, in the limits, in the list; and a repeat is a duplicate."""
    assert await total(api, "calls") == str(2 * count)
    assert await used(api, "calls", subject) == str(2 * count)
    [limit] = (await api("ListLimits", subject=subject)).limits
    assert limit.used == str(2 * count)
    listed = (await api("ListUsageEvents", customer="acme", page_size=1_000)).events
    assert sorted(one.event.id for one in listed) == sorted({one.event.id for one in listed})
    assert {(one.customer, tuple(one.meters), one.unmatched) for one in listed} == {("acme", ("calls",), "")}
    assert len(listed) == count
    assert await _waiting(api) == {}
    repeated = (await api("BatchRecordUsage", events=_events(count, subject=subject))).receipts
    assert {one.outcome for one in repeated} == {OUTCOME_DUPLICATE}
    assert await total(api, "calls") == str(2 * count)


async def test_an_unknown_subject_counts_once_it_exists(production: Caller) -> None:
    await production("ApplyCatalog", catalog=CATALOG)
    await _record(production, _events(3), "subject")
    assert await _waiting(production) == {"e0": "subject", "e1": "subject", "e2": "subject"}
    assert (await production.refused("CheckQuota", subject="acme", amounts=[{"meter": "calls"}])).reason
    made = await production("CreateCustomer", customer={"id": "acme"})
    assert made.adopted_events == 3
    await _counts(production, 3)


async def test_an_unknown_subject_of_a_customer_counts_once_it_exists(production: Caller) -> None:
    await production("ApplyCatalog", catalog=CATALOG)
    await production("CreateCustomer", customer={"id": "acme"})
    assert await used(production, "calls") == "0"  # the view knows the counter before it jumps
    await _record(production, _events(3, subject="key"), "subject")
    made = await production("CreateSubject", subject={"id": "key", "customer": "acme"})
    assert made.adopted_events == 3
    await _counts(production, 3, subject="key")
    assert (await production("CreateSubject", subject={"id": "key", "customer": "acme"})).adopted_events == 0
    await _counts(production, 3, subject="key")


async def test_an_unknown_type_counts_once_its_meter_exists(production: Caller) -> None:
    await production("CreateCustomer", customer={"id": "acme"})
    await _record(production, _events(3), "meter")
    assert await _waiting(production) == {"e0": "meter", "e1": "meter", "e2": "meter"}
    assert (await production.refused("CheckQuota", subject="acme", amounts=[{"meter": "calls"}])).reason
    await production("ApplyCatalog", catalog=CATALOG)
    await _counts(production, 3)


@pytest.mark.parametrize("first", ["meter", "customer"])
async def test_what_lacks_both_counts_when_it_has_both(production: Caller, first: str) -> None:
    await _record(production, _events(3), "subject")
    steps = [
        lambda: production("ApplyCatalog", catalog=CATALOG),
        lambda: production("CreateCustomer", customer={"id": "acme"}),
    ]
    for step in steps if first == "meter" else reversed(steps):
        await step()
    await _counts(production, 3)


async def test_a_meter_that_is_not_a_namesake_finds_what_waited(production: Caller) -> None:
    """Two meters over one type; one takes a value that only some of the events have."""
    await production("CreateCustomer", customer={"id": "acme"})
    await _record(production, [{**event, "values": {"tokens": "10"}} for event in _events(2)], "meter")
    await _record(production, [{"id": "other", "type": "calls", "subject": "acme"}], "meter")
    meters = [
        {"name": "requests", "event_type": "calls", "aggregation": "AGGREGATION_COUNT"},
        {"name": "tokens", "event_type": "calls", "value": "tokens"},
    ]
    await production("ApplyCatalog", catalog={"meters": meters})
    assert [await total(production, meter) for meter in ("requests", "tokens")] == ["3", "20"]
    listed = (await production("ListUsageEvents", customer="acme")).events
    assert {one.event.id: list(one.meters) for one in listed} == {
        "e0": ["requests", "tokens"], "e1": ["requests", "tokens"], "other": ["requests"],
    }  # fmt: skip


async def test_what_waited_counts_in_the_window_of_its_own_time(production: Caller) -> None:
    await production("ApplyCatalog", catalog=CATALOG)
    then = stamp(-34 * 86_400)
    await _record(production, [*_events(1, time=then), {**_events(2)[1], "time": stamp(-1)}], "subject")
    await production("CreateCustomer", customer={"id": "acme"})
    assert await total(production, "calls") == "4"
    day = {"start_time": then, "end_time": {"seconds": then["seconds"] + 1, "nanos": 0}}
    assert await total(production, "calls", **day) == "2"


async def test_a_repeat_with_limits_of_what_still_waits(production: Caller) -> None:
    """The retry of an acknowledged call is answered as well, although its subject has no limits yet."""
    await production("ApplyCatalog", catalog=CATALOG)
    [event] = _events(1)
    first = await production("RecordUsage", event=event, include_limits=True)
    assert (first.receipt.outcome, first.receipt.unmatched) == (OUTCOME_ACCEPTED, "subject")
    again = await production("RecordUsage", event=event, include_limits=True)
    assert (again.receipt.outcome, len(again.limits)) == (OUTCOME_DUPLICATE, 0)


async def test_subjects_made_while_their_events_arrive(production: Caller) -> None:
    await production("ApplyCatalog", catalog=CATALOG)
    await production("CreateCustomer", customer={"id": "acme"})

    async def send(number: int) -> None:
        events = [{**event, "id": f"{number}-{event['id']}", "subject": f"key-{number % 4}"} for event in _events(2)]
        receipts = (await production("BatchRecordUsage", events=events)).receipts
        assert {one.outcome for one in receipts} == {OUTCOME_ACCEPTED}

    async def make(number: int) -> int:
        await asyncio.sleep(0.01 * number)
        made = await production("CreateSubject", subject={"id": f"key-{number % 4}", "customer": "acme"})
        return int(made.adopted_events)

    senders = [send(number) for number in range(60)]
    makers = [make(number) for number in range(8)]  # each subject by two at once
    await asyncio.gather(*senders[:30], *makers, *senders[30:])
    assert await _waiting(production) == {}
    assert await total(production, "calls") == "240"
    assert await used(production, "calls") == "240"
    assert len((await production("ListUsageEvents", customer="acme", page_size=1_000)).events) == 120
