"""The outbox: which news a commit makes.

They are written by the commit that they tell of, and stand in the customer's order of facts by `seq` and, within one
commit, by `place`. Bodies are plain data, in the words of the contract; quantities are texts.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, NamedTuple

from metergate.domain.cost import cost
from metergate.domain.money import to_text as money_text
from metergate.domain.news import TEST, NewsKind
from metergate.domain.period import LATEST, to_text
from metergate.domain.posting import Row, Signed
from metergate.domain.price import Price
from metergate.domain.quantity import subtract
from metergate.domain.quantity import to_text as quantity_text
from metergate.domain.quota import read_filter
from metergate.domain.threshold import EXCEEDED, LimitEvent

EVENTS_MOST = 100  # in one piece of news


class News(NamedTuple):
    """One piece of news; `body` is what receivers get, as plain data."""

    customer: str
    seq: int
    place: int
    kind: str
    recorded_at: int
    body: dict[str, Any]


def news_of(
    kinds: Collection[str],
    rows: Sequence[Row],
    fired: Sequence[LimitEvent],
    now: int,
    signed: Sequence[Signed] = (),
    prices: Mapping[str, Sequence[Price]] = MappingProxyType({}),
) -> list[News]:
    """The news of these kinds that a commit makes which appends `rows`, corrects by `signed` ones, and in which these
    limit events fired, of customers whose plans have these prices.

    Usage is told to the customer whose it is, and not to its pool. In each customer's order usage comes first.
    """
    by_customer: dict[str, list[tuple[str, int, dict[str, Any]]]] = {}
    usage: dict[tuple[NewsKind, str, int], list[dict[str, Any]]] = {}
    for row in rows if NewsKind.RECORDED in kinds else ():
        usage.setdefault((NewsKind.RECORDED, row.customer, row.seq), []).append(_event(row))
    for one in signed if NewsKind.CORRECTED in kinds else ():
        correction = {**_event(one.row), "version": one.version, "taken_back": one.sign < 0}
        usage.setdefault((NewsKind.CORRECTED, one.row.customer, one.row.seq), []).append(correction)
    for (kind, customer, seq), events in usage.items():
        for start in range(0, len(events), EVENTS_MOST):
            news = (kind.value, seq, {"events": events[start : start + EVENTS_MOST]})
            by_customer.setdefault(customer, []).append(news)
    for event in fired:
        kind = NewsKind.EXCEEDED if event.threshold == EXCEEDED else NewsKind.THRESHOLD
        if kind in kinds:
            mine = prices.get(event.key.customer, ())
            by_customer.setdefault(event.key.customer, []).append((kind.value, event.seq, _limit_event(event, mine)))
    return [
        News(customer, seq, place, kind, now, envelope(kind, now, {"customer": customer, "seq": seq, **data}))
        for customer, all_news in by_customer.items()
        for place, (kind, seq, data) in enumerate(all_news)
    ]


def envelope(kind: str, instant: int, data: dict[str, Any]) -> dict[str, Any]:
    """The body of a message, as Standard Webhooks wish it."""
    return {"type": kind, "timestamp": to_text(instant), "data": data}


def trial(now: int) -> dict[str, Any]:
    """The body of a message that somebody tries an endpoint out with."""
    return envelope(TEST, now, {})


def _event(row: Row) -> dict[str, Any]:
    event = row.event
    found: dict[str, Any] = {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "counted_at": to_text(row.counted_at),
    }
    if event.time is not None:
        found["time"] = to_text(event.time)
    if event.amount is not None:
        found["amount"] = quantity_text(event.amount)
    if event.values:
        found["values"] = {name: quantity_text(value) for name, value in event.values.items()}
    if event.labels:
        found["labels"] = dict(event.labels)
    if event.settles:
        found["settles"] = event.settles
    return found


def _limit_event(event: LimitEvent, prices: Sequence[Price]) -> dict[str, Any]:
    """A threshold that was reached, or an overrun that began. The window is left out where it is all time, and the cost
    of the usage, by currency, where the prices do not tell it."""
    key = event.key
    found: dict[str, Any] = {
        "limit": event.limit,
        "meter": key.meter,
        "subject": key.subject,
        "labels": read_filter(key.filter),
        "usage": quantity_text(event.taken),
        "max": quantity_text(event.max),
    }
    if event.threshold == EXCEEDED:
        found["overrun"] = quantity_text(subtract(event.taken, event.max))
    else:
        found["threshold"] = event.threshold
    costs = {} if key.subject or key.filter else _costs(event, prices)
    if costs:
        found["estimated_cost"] = costs
    if key.end < LATEST:
        found["window"] = {"start_time": to_text(key.start), "end_time": to_text(key.end)}
    return found


def _costs(event: LimitEvent, prices: Sequence[Price]) -> dict[str, str]:
    meter = event.key.meter
    found = {one: cost(prices, meter, one, event.taken) for one in sorted({price.currency for price in prices})}
    return {currency: money_text(minor, currency) for currency, minor in found.items() if minor is not None}


def message_id(tenant: str, endpoint: str, customer: str, seq: int, place: int) -> str:
    """The id of a message, the same with each try, by which its receiver knows that it came before."""
    name = json.dumps([tenant, endpoint, customer, seq, place]).encode()
    return "msg_" + blake2b(name, digest_size=16).hexdigest()
