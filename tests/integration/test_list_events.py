"""ListUsageEvents: pages that miss nothing and repeat nothing, in the order that they promise."""

from __future__ import annotations

import random
from typing import Any

import pytest

from metergate.app.usage.list_events import EventsRequest, Listed
from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import Meter
from metergate.domain.period import DAY
from metergate.domain.usage import compare
from tests.integration.processes import PRINCIPAL, Process, Start, event

CATALOG = Catalog((Meter("calls", "calls", "count"), Meter("tokens", "llm", value="tokens")))


def request(**fields: Any) -> EventsRequest:
    return EventsRequest(
        fields.get("customer", ""), fields.get("subject", ""), fields.get("type", ""), fields.get("start"),
        fields.get("end"), fields.get("unmatched_only", False), fields.get("size", 100), fields.get("after"),
    )  # fmt: skip


async def pages(one: Process, **fields: Any) -> list[list[Listed]]:
    """All pages, in order."""
    found, after = [], None
    while True:
        page, after = await one.lists.list(PRINCIPAL, request(**fields, after=after))
        found.append(page)
        if after is None:
            return found


async def ids(one: Process, **fields: Any) -> list[str]:
    return [listed.recorded.event.id for page in await pages(one, **fields) for listed in page]


async def test_pages_miss_nothing_and_repeat_nothing(one: Process, rng: random.Random) -> None:
    """Many events share an instant, so that a page ends among equals."""
    now = await one.now()
    await one.apply(CATALOG)
    events = [
        event(f"é{rng.randint(0, 10**9)}", source=rng.choice("abc"), time=now - rng.randint(0, 5) * DAY)
        for _ in range(100)
    ]
    await one.add(*events)
    expected = [made.id for made in sorted(events, key=lambda made: (made.time, made.source, made.id))]
    for size in (1, 7, 99, 100, 101):
        found = await pages(one, customer="acme", size=size)
        assert [len(page) for page in found[:-1]] == [size] * (len(found) - 1)
        assert [listed.recorded.event.id for page in found for listed in page] == expected
    arrivals = await ids(one, size=9)
    assert sorted(arrivals) == sorted(expected)


async def test_an_event_comes_back_as_it_was_sent(one: Process) -> None:
    await one.apply(CATALOG)
    sent = event(
        "1", "llm", amount="2.500", time=await one.now() - DAY, values={"tokens": "0.000000000001", "x": "-3"},
        labels={"ü": "", "k": '"\\'}, settles="lease",
    )  # fmt: skip
    await one.add(sent)
    ((listed,),) = await pages(one, customer="acme")
    assert compare(sent, listed.recorded.event) is None
    assert (listed.recorded.event.source, listed.recorded.customer, listed.recorded.seq) == ("api", "acme", 1)
    assert listed.recorded.counted_at == sent.time
    assert (listed.meters, listed.unmatched) == (["tokens"], "")


async def test_questions_narrow_what_is_listed(start: Start) -> None:
    one = await start(dev=False)
    await one.apply(CATALOG)
    await one.customer("acme")
    await one.subject("alice", "acme")
    now = await one.now()
    await one.add(
        event("1", time=now - 2 * DAY), event("2", "llm", time=now - DAY, values={"tokens": "1"}),
        event("3", subject="alice", time=now - DAY), event("4", "other", time=now), event("5", subject="bob"),
    )  # fmt: skip
    assert await ids(one, customer="acme") == ["1", "2", "3", "4"]
    assert await ids(one, subject="alice") == ["3"]
    assert await ids(one, customer="acme", subject="alice") == ["3"]
    assert await ids(one, customer="acme", type="calls") == ["1", "3"]
    assert await ids(one, customer="acme", start=now - DAY, end=now) == ["2", "3"]
    assert await ids(one, subject="bob") == ["5"]
    assert await ids(one) == ["1", "2", "3", "4", "5"]
    assert await ids(one, unmatched_only=True) == ["4", "5"]
    unmatched = {listed.recorded.event.id: listed.unmatched for (page,) in [await pages(one)] for listed in page}
    assert unmatched == {"1": "", "2": "", "3": "", "4": "meter", "5": "subject"}


async def test_an_event_without_the_meters_value_is_listed_as_unmatched(one: Process) -> None:
    """Its receipt says `unmatched: meter`, so that whoever looks for the unmatched has to find it."""
    await one.apply(CATALOG)
    done = await one.add(event("1", "llm", values={"tokens": "1"}), event("2", "llm"))
    assert [receipt.unmatched for receipt in done.receipts] == ["", "meter"]
    assert await ids(one, unmatched_only=True) == ["2"]


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"customer": "nobody"}, Reason.CUSTOMER_NOT_FOUND, ""),
        ({"customer": "acme", "subject": "beta"}, Reason.FIELD_INVALID, "subject"),
        ({"customer": "acme", "start": 5, "end": 5}, Reason.FIELD_INVALID, "end_time"),
        ({"customer": "acme", "start": -5}, Reason.FIELD_INVALID, "start_time"),
    ],
)
async def test_p12_a_list_that_cannot_be_is_told_why(
    one: Process, fields: dict[str, Any], reason: Reason, field: str
) -> None:
    await one.customer("acme")
    await one.customer("beta")
    with pytest.raises(MetergateError) as refused:
        await pages(one, **fields)
    assert (refused.value.reason, refused.value.field) == (reason, field)
