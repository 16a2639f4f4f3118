"""What the tests of billing share: periods that are over already, and the way from events to an invoice."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from tests.e2e.calls import Caller, eventually, request_type

_numbers = itertools.count(1)


def meter(name: str, **fields: Any) -> dict[str, Any]:
    """A meter that sums the amounts of events of its name."""
    return {"name": name, **fields}


def flat(amount: str, name: str = "base", **fields: Any) -> dict[str, Any]:
    """A flat price in USD."""
    return {"name": name, "model": "PRICE_MODEL_FLAT", "currency": "USD", "unit_amount": amount, **fields}


def metered(model: str, name: str, **fields: Any) -> dict[str, Any]:
    """A metered price in USD, called like its meter."""
    return {"name": name, "meter": name, "model": f"PRICE_MODEL_{model}", "currency": "USD", **fields}


def plan(name: str, *prices: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A plan with these prices."""
    return {"name": name, "prices": list(prices), **fields}


CATALOG: dict[str, Any] = {
    "meters": [meter("calls"), meter("yen")],
    "plans": [
        plan("default", limits=[{"meter": "calls", "max": "5"}]),
        plan(
            "basic", flat("10"), metered("UNIT", "calls", unit_amount="0.10", included="100"),
            limits=[{"meter": "calls", "max": "10"}],
        ),
        plan("big", flat("31"), limits=[{"meter": "calls", "max": "20"}]),
        plan("euro", flat("8", currency="EUR")),
        plan("yen", flat("1000", currency="JPY")),
        plan("seats", flat("3", "seat"), add_on=True, limits=[{"meter": "calls", "max": "2"}]),
        plan("euro-seats", flat("2", "seat", currency="EUR"), add_on=True),
    ],
    "coupons": [
        {"name": "TENTH", "percent": "10", "duration": "COUPON_DURATION_FOREVER"},
        {"name": "EURO", "amount": "1", "currency": "EUR"},
    ],
    "tax_rates": [{"name": "de", "percent": "19", "country": "DE", "display_name": "USt"}],
    "seller": {"name": "Example Ltd", "series": "EX"},
}  # fmt: skip


def last_month() -> tuple[datetime, datetime]:
    """The calendar month before this one, in UTC."""
    end = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (end - timedelta(days=1)).replace(day=1), end


def days_ago(days: float) -> datetime:
    """The moment so many days ago, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(days=days)


def stamped(moment: datetime) -> Timestamp:
    """The moment as a message."""
    made = Timestamp()
    made.FromDatetime(moment)
    return made


async def customer(api: Caller, **fields: Any) -> str:
    """Makes a customer of its own; its id."""
    name = f"customer-{next(_numbers)}"
    await api("CreateCustomer", customer={"id": name, **fields})
    return name


async def subscribe(api: Caller, who: str, *plans: str, start: datetime | None = None, **fields: Any) -> Any:
    """Subscribes the customer to these plans, once each; the subscription."""
    begins = stamped(start) if start else None
    items = [{"plan": one} for one in plans]
    made = await api("CreateSubscription", **{"customer": who, "items": items, "start_time": begins, **fields})
    return made.subscription


async def use(api: Caller, who: str, at: datetime, usage: Mapping[str, str | int], **fields: Any) -> None:
    """Records an event of each type with its amount, at that moment."""
    events = [
        {"id": f"b-{next(_numbers)}", "type": type_, "subject": who, "amount": str(amount), "time": stamped(at),
         **fields}
        for type_, amount in usage.items()
    ]  # fmt: skip
    for receipt in (await api("BatchRecordUsage", events=events)).receipts:
        assert receipt.outcome == 1, receipt


async def consume(api: Caller, who: str, type_: str, amount: int) -> Any:
    """Consumes now; the decision."""
    event = {"id": f"b-{next(_numbers)}", "type": type_, "subject": who, "amount": str(amount)}
    return (await api("ConsumeQuota", events=[event])).decision


async def close(api: Caller, subscription: Any, until: datetime | None = None) -> list[Any]:
    """Closes what has ended of the subscription; its invoices, with lines, oldest first. The server does that by itself
    as well: then, or where it is at it, the period has no end to be closed any more. `until` is the end of the last
    period that is waited for."""
    answer = await api.answer("ClosePeriods", request_type("ClosePeriods")(subscriptions=[subscription.id]))
    if answer.code is grpc.StatusCode.OK:
        assert not answer.response.failures, answer.response
    else:
        assert answer.short == ("FAILED_PRECONDITION", "PERIOD_OPEN"), answer

    async def there() -> bool:
        found = (await api("ListInvoices", subscription=subscription.id)).invoices
        return bool(found) and (until is None or found[0].end_time.ToDatetime(UTC) >= until)

    await eventually(there, within=20)
    return await invoices(api, subscription)


async def invoices(api: Caller, subscription: Any) -> list[Any]:
    """The subscription's invoices, with lines, oldest first."""
    listed = (await api("ListInvoices", subscription=subscription.id)).invoices
    return [(await api("GetInvoice", id=one.id)).invoice for one in reversed(listed)]


def amounts(invoice: Any) -> dict[str, str]:
    """What its lines charge, by price."""
    sums: dict[str, int] = {}
    for line in invoice.lines:
        sums[line.price] = sums.get(line.price, 0) + line.amount.minor_units
    return {price: f"{minor // 100}.{minor % 100:02}" for price, minor in sums.items()}


async def opened(api: Caller, *plans: str, **fields: Any) -> Any:
    """The first invoice of a new subscription, finalized."""
    made = await close(api, await subscribe(api, await customer(api), *(plans or ("basic",)), **fields))
    return (await api("FinalizeInvoice", id=made[0].id)).invoice
