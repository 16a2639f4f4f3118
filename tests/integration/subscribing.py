"""What tests of subscriptions share: a catalog that sells, and short words for the verbs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from metergate.adapters.postgres.subscriptions import PostgresSubscriptions
from metergate.adapters.postgres.turning import PostgresTurning
from metergate.app.billing.ids import new_id
from metergate.app.billing.subscribe import Subscriptions, Wanted
from metergate.app.billing.turn import TurnSubscriptions
from metergate.domain.access import Principal
from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import Meter
from metergate.domain.offer import Coupon, TaxRate
from metergate.domain.plan import Plan
from metergate.domain.price import Interval, Model, Price
from metergate.domain.quota import Limit
from metergate.domain.subscription import Subscription
from tests.integration.processes import PRINCIPAL, Process, event

FOREIGN = Principal("foreign", "tests", "other")


def calls(most: int) -> Limit:
    return Limit("calls", "calls", Decimal(most))


def flat(amount: int, currency: str = "USD", interval: Interval = Interval.MONTH) -> Price:
    return Price("base", Model.FLAT, currency, interval, unit_amount=Decimal(amount))


PRO = Plan("pro", (calls(100),), prices=(flat(99), flat(990, interval=Interval.YEAR)))
TEAM = Plan("team", (calls(1000),), prices=(flat(499), flat(449, "EUR")))
SEATS = Plan("seats", (calls(5),), prices=(flat(10),), add_on=True)
TRIED = Plan("tried", (calls(50),), prices=(flat(5),), trial_days=14)
CATALOG = Catalog(
    (Meter("calls", "calls", dimensions=("model", "region")),),
    (
        Plan("default", (calls(10),)), Plan("gift", (calls(40),)), PRO, TEAM, SEATS, TRIED,
        Plan("euros", prices=(flat(1, "EUR"),), add_on=True),
    ),
    coupons=(Coupon("TEN", percent=Decimal(10)), Coupon("FIVE", amount=Decimal(5), currency="EUR")),
    tax_rates=(TaxRate("vat", Decimal(19), "DE"),),
)  # fmt: skip


def items(*names: str, times: int = 1, version: int = 0) -> list[tuple[str, int, Decimal]]:
    """The first one once, the others so many times."""
    return [(name, version, Decimal(times if at else 1)) for at, name in enumerate(names)]


def verbs(one: Process) -> Subscriptions:
    return Subscriptions(PostgresSubscriptions(one.engine), one.directory, one.catch_up)


def turns(one: Process) -> TurnSubscriptions:
    return TurnSubscriptions(PostgresTurning(one.engine), one.directory, one.catch_up)


async def subscribe(one: Process, *names: str, customer: str = "acme", times: int = 1, **fields: Any) -> Subscription:
    return await verbs(one).create(PRINCIPAL, Wanted(customer, items(*names, times=times), **fields))


async def used(one: Process, amount: int, customer: str = "acme") -> bool:
    """Whether so many calls were admitted."""
    return (await one.consume(event(new_id("e", 0), subject=customer, amount=amount))).allowed


async def plan(one: Process, customer: str = "acme") -> str:
    return str((await one.fetch("SELECT plan FROM customer_head WHERE customer = $1", customer))[0][0])


async def refused(attempt: Any) -> Reason:
    with pytest.raises(MetergateError) as raised:
        await attempt
    return raised.value.reason


async def customer(one: Process, name: str) -> str:
    """Makes a customer; its name."""
    await one.customer(name)
    return name
