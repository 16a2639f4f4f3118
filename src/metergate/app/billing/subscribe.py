"""Subscriptions: made, changed, paused, resumed and ended.

What a subscription becomes is decided by pure functions (`domain.subscription`); here is the order of the steps: the
customer's head is held, the catalog stays as it is, and with the subscription the head changes, in one commit: its plan
terms, its anchor where it has none, its `seq`. So the limits hold from the next decision of every process on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from metergate.app.billing import governing
from metergate.app.billing.details import check_details
from metergate.app.billing.existing import existing
from metergate.app.billing.ids import new_id
from metergate.app.billing.offered import (
    Asked,
    check_coupons,
    check_custom,
    check_sold,
    items_of,
    only_currency,
    prices_in,
)
from metergate.app.billing.ports import Standing, SubscriptionChange, SubscriptionStore
from metergate.app.catch_up import CatchUp
from metergate.app.customer.move import not_found, tried
from metergate.app.directory import Directory
from metergate.app.ports.ledger import RaceLostError
from metergate.app.stores import Customer, Once
from metergate.domain import billing_period, period, subscription
from metergate.domain.access import Principal
from metergate.domain.catalog import Catalog
from metergate.domain.errors import invalid
from metergate.domain.offer import BillingDetails
from metergate.domain.price import Interval, Price
from metergate.domain.routing import closed
from metergate.domain.subscription import Item, State, Subscription

RUNNING_MOST = 50
_BACK_MOST = 731 * period.DAY

# The subscription, the catalog and now -> what it becomes.
_Step = Callable[[Subscription, Catalog, int], Subscription]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A subscription to make.

    Of its items the first is the plan, the others are add-ons; a version of 0 is the one in force. Without a currency
    it is the only one in which the plan is sold; without a start it begins now. `trial_end` goes before `trial_days`,
    which goes before what the plan says (0 = no trial). `custom` are the customer's own prices.
    """

    customer: str
    items: Sequence[Asked]
    currency: str = ""
    interval: Interval = Interval.MONTH
    start: int | None = None
    trial_end: int | None = None
    trial_days: int | None = None
    trial_then_cancel: bool = False
    anchor_day: int | None = None
    coupons: tuple[str, ...] = ()
    custom: tuple[Price, ...] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """What a subscription shall be, now or from the end of its period on. A version of 0 is the one that it is on, of a
    plan that it is not on yet the one in force. Its own prices of before end where they are not named again."""

    items: Sequence[Asked]
    custom: tuple[Price, ...] = ()
    at_period_end: bool = False


class Subscriptions:
    """The verbs."""

    def __init__(self, store: SubscriptionStore, directory: Directory, catch_up: CatchUp) -> None:
        self._store = store
        self._directory = directory
        self._catch_up = catch_up

    async def create(self, principal: Principal, wanted: Wanted, once: Once | None = None) -> Subscription:
        """Makes a subscription.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, CUSTOMER_MERGED, PLAN_NOT_FOUND, PLAN_HAS_NO_PRICES, CURRENCY_MISMATCH,
                COUPON_NOT_FOUND, FIELD_INVALID, REQUEST_ID_REUSED.
        """

        async def step(change: SubscriptionChange) -> tuple[Subscription, int | None]:
            if await change.repeated(once):
                return Subscription("", wanted.customer, "", wanted.interval, 0, "UTC", ()), None
            customer = await _still_open(change, wanted.customer)
            catalog, now, mine = await change.catalog(), await change.now(), await change.subscriptions()
            _check_room(mine, now)
            made = _begun(wanted, customer, catalog, now)
            return made, await _write(change, catalog, customer, mine, made, now, once)

        return await self._done(principal, wanted.customer, step)

    async def change(self, principal: Principal, id: str, changed: Changed, once: Once | None = None) -> Subscription:
        """Has a subscription be of other items, now (with proration) or from the end of its period on.

        Raises:
            MetergateError: SUBSCRIPTION_NOT_FOUND, SUBSCRIPTION_STATE, PLAN_NOT_FOUND, PLAN_HAS_NO_PRICES,
                CURRENCY_MISMATCH, FIELD_INVALID, REQUEST_ID_REUSED.
        """

        def step(old: Subscription, catalog: Catalog, now: int) -> Subscription:
            items = items_of(catalog, changed.items, _held(old, now))
            check_custom(catalog, changed.custom, old.currency)
            check_sold(catalog, items, changed.custom, old.currency, old.interval)
            end = billing_period.current_end(old, now)
            return subscription.change(old, now, items, changed.custom, changed.at_period_end, end)

        return await self._change(principal, id, once, step)

    async def activate(self, principal: Principal, id: str, once: Once | None = None) -> Subscription:
        """Ends a trial now.

        Raises:
            MetergateError: SUBSCRIPTION_NOT_FOUND, SUBSCRIPTION_STATE, REQUEST_ID_REUSED.
        """
        return await self._change(principal, id, once, lambda old, _, now: subscription.activate(old, now))

    async def pause(self, principal: Principal, id: str, once: Once | None = None) -> Subscription:
        """Pauses it: nothing is charged, and its limits do not hold, until it is resumed.

        Raises:
            MetergateError: SUBSCRIPTION_NOT_FOUND, SUBSCRIPTION_STATE, REQUEST_ID_REUSED.
        """
        return await self._change(principal, id, once, lambda old, _, now: subscription.pause(old, now))

    async def resume(self, principal: Principal, id: str, once: Once | None = None) -> Subscription:
        """Ends a pause.

        Raises:
            MetergateError: SUBSCRIPTION_NOT_FOUND, SUBSCRIPTION_STATE, REQUEST_ID_REUSED.
        """
        return await self._change(principal, id, once, lambda old, _, now: subscription.resume(old, now))

    async def cancel(
        self, principal: Principal, id: str, at_period_end: bool, once: Once | None = None
    ) -> Subscription:
        """Ends it, now or with its period.

        Raises:
            MetergateError: SUBSCRIPTION_NOT_FOUND, SUBSCRIPTION_STATE, REQUEST_ID_REUSED.
        """

        def step(old: Subscription, _: Catalog, now: int) -> Subscription:
            return subscription.cancel(old, now, billing_period.current_end(old, now) if at_period_end else None)

        return await self._change(principal, id, once, step)

    async def undo(self, principal: Principal, id: str, once: Once | None = None) -> Subscription:
        """Takes away what is to come: a change or a cancellation at the end of the period.

        Raises:
            MetergateError: SUBSCRIPTION_NOT_FOUND, SUBSCRIPTION_STATE, REQUEST_ID_REUSED.
        """
        return await self._change(principal, id, once, lambda old, _, now: subscription.undo(old, now))

    async def apply_coupon(self, principal: Principal, id: str, coupon: str, once: Once | None = None) -> Subscription:
        """Has a coupon hold from now on.

        Raises:
            MetergateError: SUBSCRIPTION_NOT_FOUND, SUBSCRIPTION_STATE, COUPON_NOT_FOUND, CURRENCY_MISMATCH,
                REQUEST_ID_REUSED.
        """

        def step(old: Subscription, catalog: Catalog, now: int) -> Subscription:
            check_coupons(catalog, [coupon], old.currency)
            return subscription.with_coupon(old, coupon, now)

        return await self._change(principal, id, once, step)

    async def get(self, principal: Principal, id: str) -> Subscription:
        """One subscription.

        Raises:
            MetergateError: SUBSCRIPTION_NOT_FOUND.
        """
        return await existing(self._store, principal.tenant, id)

    async def list(self, principal: Principal, customer: str, after: str, most: int) -> Sequence[Subscription]:
        """Subscriptions by when they were made, from behind the id `after`; customer "" = of all.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND.
        """
        if customer:
            await self._check_known(principal.tenant, customer)
        return await self._store.list(principal.tenant, customer, after, most)

    async def details(self, principal: Principal, customer: str) -> BillingDetails:
        """To whom a customer's invoices go.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND.
        """
        await self._check_known(principal.tenant, customer)
        return await self._store.details(principal.tenant, customer)

    async def set_details(
        self, principal: Principal, customer: str, details: BillingDetails, once: Once | None = None
    ) -> BillingDetails:
        """Says to whom a customer's invoices go that are not finalized yet.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, CUSTOMER_MERGED, FIELD_INVALID, REQUEST_ID_REUSED.
        """

        # A repeat is answered by what it says itself: so no personal data are kept with the request's id.
        bare = None if once is None else replace(once, encode=lambda _: b"")

        async def set_once() -> bool:
            async with self._store.change(principal.tenant, customer) as change:
                if await change.repeated(bare):
                    return True
                await _still_open(change, customer)
                check_details(details, await change.catalog())
                await change.set_details(details)
                await change.remember(bare, details)
                return False

        if await tried(set_once) and once is not None:
            once.answer = once.encode(details)
        return details

    async def _change(self, principal: Principal, id: str, once: Once | None, changed: _Step) -> Subscription:
        found = await self.get(principal, id)

        async def step(change: SubscriptionChange) -> tuple[Subscription, int | None]:
            if await change.repeated(once):
                return found, None
            customer = await _still_there(change, found.customer)
            catalog, now, mine = await change.catalog(), await change.now(), await change.subscriptions()
            old = next((one for one in mine if one.id == id), None)
            if old is None:
                raise _renamed(found.customer)
            new = changed(old, catalog, now)
            return new, await _write(change, catalog, customer, mine, new, now, once)

        return await self._done(principal, found.customer, step)

    async def _done(
        self,
        principal: Principal,
        customer: str,
        step: Callable[[SubscriptionChange], Awaitable[tuple[Subscription, int | None]]],
    ) -> Subscription:
        """Does the step in a transaction under the customer's head, and has this process and the view hear of it."""
        tenant = principal.tenant

        async def attempt() -> tuple[Subscription, int | None]:
            async with self._store.change(tenant, customer) as change:
                return await step(change)

        made, seq = await tried(attempt)
        if seq is not None:
            self._directory.forget("customer", tenant, customer)
            await self._catch_up.begin_anew(tenant, await self._directory.catalog(tenant), customer, seq)
        return made

    async def _check_known(self, tenant: str, customer: str) -> None:
        if await self._directory.customer(tenant, customer) is None:
            raise not_found(customer)


def _begun(wanted: Wanted, customer: Customer, catalog: Catalog, now: int) -> Subscription:
    items = items_of(catalog, wanted.items)
    currency = wanted.currency or only_currency(catalog, items, wanted.custom)
    check_custom(catalog, wanted.custom, currency)
    check_sold(catalog, items, wanted.custom, currency, wanted.interval)
    check_coupons(catalog, wanted.coupons, currency)
    start = now if wanted.start is None else wanted.start
    if start < now - _BACK_MOST:
        raise invalid("start_time", "must not lie more than two years back")
    return subscription.begin(
        new_id("sub", now),
        customer.id,
        currency,
        wanted.interval,
        items,
        now,
        start=wanted.start,
        trial_end=_trial_end(wanted, customer, catalog, items[0], start),
        trial_then_cancel=wanted.trial_then_cancel,
        anchor_day=wanted.anchor_day,
        time_zone=customer.time_zone,
        custom=wanted.custom,
        coupons=wanted.coupons,
    )


def _trial_end(wanted: Wanted, customer: Customer, catalog: Catalog, base: Item, start: int) -> int | None:
    """When the trial is over; None without one."""
    if wanted.trial_end is not None:
        return wanted.trial_end
    plan = catalog.plan_at(base.plan, base.version)
    days = wanted.trial_days if wanted.trial_days is not None else plan.trial_days if plan is not None else 0
    return period.days_after(start, days, customer.time_zone) if days else None


async def _write(
    change: SubscriptionChange,
    catalog: Catalog,
    customer: Customer,
    mine: Sequence[Subscription],
    new: Subscription,
    now: int,
    once: Once | None,
) -> int:
    """Writes the subscription and what it makes of the head; returns the `seq` of this change."""
    after = [new if one.id == new.id else one for one in mine]
    if new not in after:
        after.append(new)
    await change.save(_standing(new, catalog, now))
    seq = await change.govern(governing.terms(after, customer.plan, now), governing.anchor(after, customer.anchor, now))
    await change.remember(once, new)
    return seq


def _standing(one: Subscription, catalog: Catalog, now: int) -> Standing:
    def prices(plan: str, version: int) -> tuple[Price, ...]:
        return prices_in(catalog, Item(plan, version))

    next_period = billing_period.next_period(one, prices)
    return Standing(one, subscription.next_turn(one, now), next_period.end if next_period is not None else None)


def _held(one: Subscription, now: int) -> tuple[Item, ...]:
    """What it is on, or will be on."""
    held = subscription.segment_at(one, now)
    return held.items if held is not None else one.segments[0].items


def _check_room(mine: Sequence[Subscription], now: int) -> None:
    running = [one for one in mine if subscription.state_at(one, now) is not State.CANCELED]
    if len(running) >= RUNNING_MOST:
        raise invalid("customer", f"has {RUNNING_MOST} subscriptions that are not over: end one first")


async def _still_there(change: SubscriptionChange, customer: str) -> Customer:
    found = await change.customer()
    if found is None:
        raise _renamed(customer)
    return found


async def _still_open(change: SubscriptionChange, customer: str) -> Customer:
    found = await change.customer()
    if found is None:
        raise not_found(customer)
    if found.merged_into:
        raise closed(customer, found.merged_into)
    return found


def _renamed(customer: str) -> RaceLostError:
    return RaceLostError(f"customer {customer!r} was given another id meanwhile")
