"""News of a commit: each row once, in order, to its own customer, in pieces of bounded size."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from metergate.domain.news import NewsKind
from metergate.domain.outbox import EVENTS_MOST, message_id, news_of
from metergate.domain.period import LATEST
from metergate.domain.posting import Row, Signed
from metergate.domain.price import Model, Price
from metergate.domain.quantity import to_text
from metergate.domain.quota import CounterKey
from metergate.domain.threshold import EXCEEDED, LimitEvent
from metergate.domain.usage import make_event

NOW = 1_700_000_000_000_000
CUSTOMERS = ("acme", "beta", "")
SEQS = {customer: 10 * number + 1 for number, customer in enumerate(CUSTOMERS)}


def row(number: int, customer: str) -> Row:
    """A row of the commit, of a customer in a pool."""
    made = make_event(f"e{number}", "api", "calls", customer or "nobody", None, str(number), {}, {}, "")
    return Row(made, customer, SEQS[customer], NOW + number, "group")


def fired(customer: str, threshold: int, place: int) -> LimitEvent:
    key = CounterKey(customer, "calls", "", '{"region":"eu"}', 0, LATEST)
    return LimitEvent(key, "calls", threshold, Decimal(120), Decimal(100), SEQS[customer], NOW, place)


rows = st.lists(st.sampled_from(CUSTOMERS), max_size=450).map(
    lambda customers: [row(number, customer) for number, customer in enumerate(customers)]
)
limit_events = st.lists(st.tuples(st.sampled_from(CUSTOMERS[:2]), st.sampled_from((EXCEEDED, 50, 100, 150)))).map(
    lambda some: [fired(customer, threshold, place) for place, (customer, threshold) in enumerate(some)]
)
kinds = st.frozensets(st.sampled_from([kind.value for kind in NewsKind]))


@given(kinds, rows, limit_events)
def test_every_fact_is_told_once_and_in_order(
    asked: frozenset[str], all_rows: list[Row], events: list[LimitEvent]
) -> None:
    news = news_of(asked, all_rows, events, NOW)
    assert {one.kind for one in news} <= asked
    for customer in CUSTOMERS:
        mine = [one for one in news if one.customer == customer]
        assert [one.place for one in mine] == list(range(len(mine)))
        assert {one.seq for one in mine} <= {SEQS[customer]}
        told = [event for one in mine for event in one.body["data"].get("events", ())]
        recorded = [one for one in all_rows if one.customer == customer and NewsKind.RECORDED in asked]
        assert [event["id"] for event in told] == [one.event.id for one in recorded]
        assert [event["amount"] for event in told] == [to_text(one.event.amount or Decimal(0)) for one in recorded]
        limits = [one for one in mine if one.kind != NewsKind.RECORDED]
        assert [_threshold(one.body) for one in limits] == [
            event.threshold
            for event in events
            if event.key.customer == customer
            and (NewsKind.EXCEEDED if event.threshold == EXCEEDED else NewsKind.THRESHOLD) in asked
        ]
        assert mine[len(mine) - len(limits) :] == limits
    for one in news:
        assert one.body["type"] == one.kind
        assert one.body["data"]["customer"] == one.customer
        assert 1 <= len(one.body["data"].get("events", "x")) <= EVENTS_MOST
    pieces = [len(one.body["data"]["events"]) for one in news if one.kind == NewsKind.RECORDED]
    assert len([size for size in pieces if size < EVENTS_MOST]) <= len(CUSTOMERS)


def _threshold(body: dict[str, Any]) -> int:
    data = body["data"]
    assert (data["usage"], data["max"], data["labels"]) == ("120", "100", {"region": "eu"})
    assert "window" not in data
    if body["type"] == NewsKind.EXCEEDED:
        assert data["overrun"] == "20"
        assert "threshold" not in data
        return EXCEEDED
    return int(data["threshold"])


@given(st.lists(st.tuples(*[st.text(max_size=3)] * 3, st.integers(0, 99), st.integers(0, 99)), unique=True, min_size=2))
def test_ids_of_different_messages_differ(keys: list[tuple[str, str, str, int, int]]) -> None:
    assert len({message_id(*key) for key in keys}) == len(keys)
    assert message_id(*keys[0]) == message_id(*keys[0])


@given(kinds, rows, st.data())
def test_what_a_correction_takes_back_and_what_it_puts_in_its_place_are_told_apart(
    asked: frozenset[str], all_rows: list[Row], data: st.DataObject
) -> None:
    signs = data.draw(st.lists(st.sampled_from((-1, 1)), min_size=len(all_rows), max_size=len(all_rows)))
    signed = [Signed(one, sign, number) for number, (one, sign) in enumerate(zip(all_rows, signs, strict=True))]
    news = news_of(asked, (), (), NOW, signed)
    told = [event for one in news for event in one.body["data"]["events"]]
    assert {one.kind for one in news} <= {NewsKind.CORRECTED} & asked
    corrected = signed if NewsKind.CORRECTED in asked else []
    assert sorted((event["id"], event["version"], event["taken_back"]) for event in told) == sorted(
        (one.row.event.id, one.version, one.sign < 0) for one in corrected
    )
    assert all(len(one.body["data"]["events"]) <= EVENTS_MOST for one in news)


def test_a_threshold_tells_what_its_usage_costs() -> None:
    """8,000 of 10,000 fired: usage, threshold, and the cost at the prices of the customer's plan."""
    key = CounterKey("acme", "calls", "", "", 0, LATEST)
    event = LimitEvent(key, "calls", 80, Decimal(8000), Decimal(10_000), 1, NOW, 0)
    included = Price("calls", Model.UNIT, "USD", meter="calls", unit_amount=Decimal("0.02"), included=Decimal(7000))
    other = Price("storage", Model.UNIT, "EUR", meter="storage", unit_amount=Decimal(1))
    [news] = news_of({NewsKind.THRESHOLD}, (), [event], NOW, (), {"acme": [included, other]})
    data = news.body["data"]
    assert (data["usage"], data["threshold"], data["estimated_cost"]) == ("8000", 80, {"USD": "20.00"})
    [without] = news_of({NewsKind.THRESHOLD}, (), [event], NOW)
    assert "estimated_cost" not in without.body["data"]
