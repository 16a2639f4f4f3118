"""Subscriptions on real databases: what they are becomes the limits of the customer, in the same commit."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from metergate.adapters.postgres.customer_erase import PostgresErasures
from metergate.adapters.postgres.customer_moves import PostgresMoves
from metergate.app.billing.subscribe import Changed, Wanted
from metergate.app.customer.erase import EraseCustomers
from metergate.app.customer.merge import MergeCustomers
from metergate.app.customer.move import MoveSubjects
from metergate.app.stores import Once
from metergate.domain import subscription
from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.offer import BillingDetails
from metergate.domain.plan import Plan
from metergate.domain.price import Interval, Model, Price
from metergate.domain.subscription import State
from tests.integration.processes import PRINCIPAL, Process, Start
from tests.integration.subscribing import (
    CATALOG,
    FOREIGN,
    calls,
    customer,
    flat,
    items,
    plan,
    refused,
    subscribe,
    used,
    verbs,
)


@pytest.fixture
async def shop(one: Process) -> Process:
    """A process with a catalog and a customer."""
    await one.apply(CATALOG)
    await one.customer("acme")
    return one


async def test_p2_limits_come_and_go_with_the_commit_of_the_subscription(shop: Process, start: Start) -> None:
    other = await start()
    assert await used(other, 10)
    assert not await used(other, 1)
    before = (await shop.fetch("SELECT seq, anchor_at FROM customer_head WHERE customer = 'acme'"))[0]
    made = await subscribe(shop, "pro")
    # The other process was not told: it decides on the head that it has locked.
    assert await used(other, 90)
    assert not await used(other, 1)
    seq, anchor = (await shop.fetch("SELECT seq, anchor_at FROM customer_head WHERE customer = 'acme'"))[0]
    assert before == (seq - 2, None)
    assert anchor == made.anchor == made.segments[0].start
    assert await plan(shop) == "pro@1"
    assert (await verbs(shop).get(PRINCIPAL, made.id)) == made
    await verbs(shop).change(PRINCIPAL, made.id, Changed(items("team")))
    assert await used(other, 900)
    await verbs(shop).cancel(PRINCIPAL, made.id, at_period_end=False)
    assert await plan(shop) == ""
    assert not await used(other, 1)
    assert await shop.differences() == []


async def test_p3_a_failure_changes_neither_the_subscription_nor_the_head(shop: Process) -> None:
    def fails(_: object) -> bytes:
        raise MetergateError(Reason.SERVER_FAULT, "as if it were killed before the commit")

    before = await shop.fetch("SELECT * FROM customer_head WHERE customer = 'acme'")
    wanted = Wanted("acme", items("pro"))
    assert await refused(verbs(shop).create(PRINCIPAL, wanted, Once("r", b"d", fails))) is Reason.SERVER_FAULT
    assert await shop.fetch("SELECT * FROM subscription") == []
    assert await shop.fetch("SELECT * FROM customer_head WHERE customer = 'acme'") == before


async def test_several_subscriptions_and_add_ons_add_up(shop: Process) -> None:
    first = await subscribe(shop, "pro", "seats", times=3)
    assert await plan(shop) == "pro@1+seats@1*3"
    assert not await used(shop, 116)
    second = await subscribe(shop, "team", currency="USD")
    assert await plan(shop) == "pro@1+seats@1*3+team@1"
    assert await used(shop, 1115)
    assert not await used(shop, 1)
    listed = await verbs(shop).list(PRINCIPAL, "acme", "", 10)
    assert listed == [first, second]
    assert await verbs(shop).list(PRINCIPAL, "", first.id, 10) == [second]
    await verbs(shop).change(PRINCIPAL, first.id, Changed(items("pro", "seats", times=10)))
    assert await used(shop, 35)
    assert not await used(shop, 1)
    await verbs(shop).cancel(PRINCIPAL, first.id, at_period_end=False)
    assert await plan(shop) == "team@1"
    assert await shop.differences() == []


async def test_a_subscription_keeps_its_version_until_it_is_moved(shop: Process) -> None:
    made = await subscribe(shop, "pro")
    newer = Plan("pro", (calls(20),), version=2, prices=(flat(109),))
    others = [one for one in CATALOG.plans if one.name != "pro"]
    await shop.apply(Catalog(CATALOG.meters, (*others, newer), coupons=CATALOG.coupons, tax_rates=CATALOG.tax_rates))
    assert await used(shop, 90)
    changed = await verbs(shop).change(PRINCIPAL, made.id, Changed(items("pro", "seats")))
    assert [item.version for item in changed.segments[-1].items] == [1, 1]
    moved = await verbs(shop).change(PRINCIPAL, made.id, Changed(items("pro", version=2)))
    assert moved.segments[-1].items[0].version == 2
    assert not await used(shop, 1)
    again = await subscribe(shop, "pro", customer=await customer(shop, "late"))
    assert again.segments[0].items[0].version == 2


async def test_a_pause_has_the_limits_of_the_default_plan(shop: Process) -> None:
    made = await subscribe(shop, "pro")
    assert await used(shop, 50)
    paused = await verbs(shop).pause(PRINCIPAL, made.id)
    assert subscription.state_at(paused, await shop.now()) is State.PAUSED
    assert await plan(shop) == ""
    assert not await used(shop, 1)
    assert await refused(verbs(shop).pause(PRINCIPAL, made.id)) is Reason.SUBSCRIPTION_STATE
    assert await refused(shop.terms.assign_plan(PRINCIPAL, "acme", "gift")) is Reason.PLAN_FROM_SUBSCRIPTION
    await verbs(shop).resume(PRINCIPAL, made.id)
    assert await used(shop, 50)
    assert not await used(shop, 1)


async def test_a_plan_by_hand_and_a_subscription_at_once_leave_the_subscriptions(shop: Process, start: Start) -> None:
    other = await start()
    names = [f"c{number}" for number in range(8)]
    for name in names:
        await shop.customer(name)
    by_hand = [other.terms.assign_plan(PRINCIPAL, name, "gift") for name in names]
    made = [subscribe(shop, "pro", customer=name) for name in names]
    done = await asyncio.gather(*by_hand, *made, return_exceptions=True)
    reasons = {one.reason for one in done if isinstance(one, MetergateError)}
    assert reasons <= {Reason.PLAN_FROM_SUBSCRIPTION}
    assert {await plan(shop, name) for name in names} == {"pro@1"}


async def test_request_ids(shop: Process) -> None:
    def once(body: bytes) -> Once:
        return Once("create-1", body, lambda made: made.id.encode())

    wanted, first = Wanted("acme", items("pro")), once(b"a")
    many = [once(b"a") for _ in range(5)]
    made = await verbs(shop).create(PRINCIPAL, wanted, first)
    assert first.answer is None
    await asyncio.gather(*[verbs(shop).create(PRINCIPAL, wanted, one) for one in many])
    assert {one.answer for one in many} == {made.id.encode()}
    assert len(await verbs(shop).list(PRINCIPAL, "acme", "", 10)) == 1
    assert await refused(verbs(shop).create(PRINCIPAL, wanted, once(b"b"))) is Reason.REQUEST_ID_REUSED
    # The same id at the same time, of calls that hold different heads.
    await shop.customer("other")
    racing = [Once("create-2", name.encode(), lambda made: made.id.encode()) for name in ("acme", "other")]
    done = await asyncio.gather(
        *[
            verbs(shop).create(PRINCIPAL, Wanted(one.digest.decode(), items("pro")), one) for one in racing
        ],
        return_exceptions=True,
    )  # fmt: skip
    assert sorted(type(one).__name__ for one in done) == ["MetergateError", "Subscription"]
    again = Once("cancel-1", b"", lambda made: made.id.encode())
    await verbs(shop).cancel(PRINCIPAL, made.id, at_period_end=False, once=again)
    repeat = Once("cancel-1", b"", lambda made: made.id.encode())
    await verbs(shop).cancel(PRINCIPAL, made.id, at_period_end=False, once=repeat)
    assert repeat.answer == made.id.encode()


async def test_p9_another_tenant_sees_nothing(shop: Process) -> None:
    await shop.fetch("INSERT INTO tenant (tenant) VALUES ('foreign')")
    await shop.fetch("INSERT INTO customer_head (tenant, customer) VALUES ('foreign', '')")
    made, mine = await subscribe(shop, "pro"), verbs(shop)
    attempts = [
        mine.get(FOREIGN, made.id), mine.change(FOREIGN, made.id, Changed(items("pro"))),
        mine.cancel(FOREIGN, made.id, False), mine.pause(FOREIGN, made.id), mine.resume(FOREIGN, made.id),
        mine.activate(FOREIGN, made.id), mine.undo(FOREIGN, made.id), mine.apply_coupon(FOREIGN, made.id, "TEN"),
    ]  # fmt: skip
    assert {await refused(one) for one in attempts} == {Reason.SUBSCRIPTION_NOT_FOUND}
    asking = [
        mine.list(FOREIGN, "acme", "", 9), mine.details(FOREIGN, "acme"), mine.create(FOREIGN, Wanted("acme", [])),
        mine.set_details(FOREIGN, "acme", BillingDetails()),
    ]  # fmt: skip
    assert {await refused(one) for one in asking} == {Reason.CUSTOMER_NOT_FOUND}
    assert await mine.list(FOREIGN, "", "", 9) == []
    assert await mine.get(PRINCIPAL, made.id) == made


CANNOT: list[tuple[dict[str, Any], Reason]] = [
    ({"items": items("nobody")}, Reason.PLAN_NOT_FOUND),
    ({"items": items("pro", version=7)}, Reason.PLAN_NOT_FOUND),
    ({"items": items("gift")}, Reason.PLAN_HAS_NO_PRICES),
    ({"items": items("gift"), "currency": "USD"}, Reason.PLAN_HAS_NO_PRICES),
    ({"items": items("team"), "currency": "USD", "interval": Interval.YEAR}, Reason.PLAN_HAS_NO_PRICES),
    ({"items": items("team")}, Reason.FIELD_INVALID),  # sold in two currencies
    ({"items": items("pro"), "currency": "EUR"}, Reason.CURRENCY_MISMATCH),
    ({"items": items("pro", "euros")}, Reason.CURRENCY_MISMATCH),
    ({"items": items("pro"), "custom": (flat(1, "EUR"),), "currency": "USD"}, Reason.CURRENCY_MISMATCH),
    ({"items": items("pro"), "coupons": ("NONE",)}, Reason.COUPON_NOT_FOUND),
    ({"items": items("pro"), "coupons": ("FIVE",)}, Reason.CURRENCY_MISMATCH),
    ({"items": []}, Reason.FIELD_INVALID),
    ({"items": items("seats")}, Reason.FIELD_INVALID),
    ({"items": items("pro", "pro")}, Reason.FIELD_INVALID),
    ({"items": items("pro", "tried")}, Reason.FIELD_INVALID),
    ({"items": items("pro", "seats", times=0)}, Reason.FIELD_INVALID),
    ({"items": items("pro"), "trial_end": 1}, Reason.FIELD_INVALID),
    ({"items": items("pro"), "anchor_day": 32}, Reason.FIELD_INVALID),
    ({"items": items("pro"), "start": 0}, Reason.FIELD_INVALID),
    ({"items": items("pro"), "custom": (Price("x", Model.UNIT, "USD", meter="no"),)}, Reason.FIELD_INVALID),
    ({"items": items("pro"), "custom": (flat(1), flat(2))}, Reason.FIELD_INVALID),
    ({"items": items("pro"), "customer": "nobody"}, Reason.CUSTOMER_NOT_FOUND),
]


async def test_p12_what_cannot_be_subscribed_to(shop: Process) -> None:
    for fields, reason in CANNOT:
        assert await refused(verbs(shop).create(PRINCIPAL, Wanted(**{"customer": "acme", **fields}))) is reason, fields
    assert await shop.fetch("SELECT FROM subscription") == []


async def test_a_customer_has_so_many_subscriptions_at_most(shop: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metergate.app.billing.subscribe.RUNNING_MOST", 2)
    first, _ = await subscribe(shop, "pro"), await subscribe(shop, "pro")
    assert await refused(subscribe(shop, "pro")) is Reason.FIELD_INVALID
    await verbs(shop).cancel(PRINCIPAL, first.id, at_period_end=False)
    await subscribe(shop, "pro")


async def test_custom_prices_and_coupons_stand_with_the_subscription(shop: Process) -> None:
    own = Price(
        "calls", Model.PERCENT, "USD", meter="calls", percent=Decimal("1.5"), minimum=Decimal("0.25"),
        labels=(("model", "x"),), per_labels=("region",),
    )  # fmt: skip
    made = await subscribe(shop, "pro", custom=(own, flat(1)), coupons=("TEN",))
    found = await verbs(shop).get(PRINCIPAL, made.id)
    assert found == made
    assert found.segments[0].custom == (own, flat(1))
    assert await refused(verbs(shop).apply_coupon(PRINCIPAL, made.id, "TEN")) is Reason.SUBSCRIPTION_STATE
    assert await refused(verbs(shop).apply_coupon(PRINCIPAL, made.id, "FIVE")) is Reason.CURRENCY_MISMATCH


async def test_a_customer_with_a_subscription_is_not_merged_away(shop: Process) -> None:
    await shop.customer("into")
    await shop.subject("x", "acme")
    made = await subscribe(shop, "pro")
    moves = PostgresMoves(shop.engine)
    merge = MergeCustomers(moves, shop.directory, shop.catch_up)
    assert await refused(merge.merge(PRINCIPAL, "acme", "into")) is Reason.MERGE_NOT_POSSIBLE
    assert await used(shop, 100, "x")
    await MoveSubjects(moves, shop.directory, shop.catch_up).move(PRINCIPAL, "x", "into")
    assert await used(shop, 10, "x")
    assert not await used(shop, 1, "x")  # the limits of the customer that it is of now
    await merge.merge(PRINCIPAL, "into", "acme")
    assert not await used(shop, 1, "x")
    await shop.customer("last")
    await verbs(shop).cancel(PRINCIPAL, made.id, at_period_end=False)
    await merge.merge(PRINCIPAL, "acme", "last")
    assert await refused(subscribe(shop, "pro")) is Reason.CUSTOMER_MERGED
    assert await verbs(shop).list(PRINCIPAL, "acme", "", 9) != []


async def test_billing_details_are_kept_until_they_are_erased(shop: Process) -> None:
    details = BillingDetails("Ann", ("Street 1", "Berlin"), "DE", tax_ids=("DE1",), tax_rates=("vat",), notes="PO 7")
    first, repeat = [Once("d", b"1", lambda said: said.name.encode()) for _ in range(2)]
    assert await verbs(shop).set_details(PRINCIPAL, "acme", details, first) == details
    await verbs(shop).set_details(PRINCIPAL, "acme", details, repeat)
    assert (first.answer, repeat.answer) == (None, b"Ann")
    assert await shop.fetch("SELECT answer FROM request") == [(b"",)]
    assert await verbs(shop).details(PRINCIPAL, "acme") == details
    for wrong in (
        BillingDetails(country="Germany"), BillingDetails(tax_rates=("none",)), BillingDetails(region="BY"),
        BillingDetails(name="n" * 201), BillingDetails(address=("a",) * 11),
    ):  # fmt: skip
        assert await refused(verbs(shop).set_details(PRINCIPAL, "acme", wrong)) is Reason.FIELD_INVALID
    await subscribe(shop, "pro")
    erase = EraseCustomers(PostgresErasures(shop.engine), shop.directory, shop.catch_up).erase
    options: Any = {"dimensions": False, "event_ids": False, "request_id": ""}
    assert await refused(erase(PRINCIPAL, "acme", new_id="other", **options)) is Reason.ERASURE_NOT_POSSIBLE
    await erase(PRINCIPAL, "acme", new_id="", **options)
    # What it is subscribed to is taxed as before.
    assert await verbs(shop).details(PRINCIPAL, "acme") == BillingDetails(country="DE", tax_rates=("vat",))
    await shop.customer("bare")
    await verbs(shop).set_details(PRINCIPAL, "bare", details)
    await erase(PRINCIPAL, "bare", new_id="", **options)
    assert await shop.fetch("SELECT customer FROM billing_details") == [("acme",)]


async def test_plans_are_closed_in_time_for_the_period_that_is_next(shop: Process) -> None:
    made = await subscribe(shop, "pro")
    assert await shop.fetch("SELECT closes_at FROM subscription") == [(made.anchor,)]
    later = await subscribe(shop, "tried")
    assert await shop.fetch("SELECT closes_at FROM subscription WHERE id = $1", later.id) == [(later.anchor,)]
