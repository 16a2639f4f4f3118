"""A customer's terms: its plan, the zone and the anchor of its windows, and overrides of its plan's limits.

Each change raises the head's `seq`: it holds at the next decision of every process, since all decide on the head that
they have locked. A customer that was merged into another one is closed: it keeps its terms (CUSTOMER_MERGED).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from metergate.app.catch_up import CatchUp
from metergate.app.customer.manage import check_anchor, check_plan, still_open
from metergate.app.directory import Directory
from metergate.app.stores import Customer, CustomerChange, Customers, Once
from metergate.domain import period
from metergate.domain.access import Principal
from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.override import Override, with_override, without_override


@dataclass(frozen=True, slots=True)
class CustomerUpdate:
    """What to change of a customer; None = as it is. `no_anchor` takes the anchor away."""

    name: str | None = None
    time_zone: str | None = None
    anchor: int | None = None
    no_anchor: bool = False


class ChangeTerms:
    """The verbs that change them."""

    def __init__(self, customers: Customers, directory: Directory, catch_up: CatchUp) -> None:
        self._customers = customers
        self._directory = directory
        self._catch_up = catch_up

    async def assign_plan(self, principal: Principal, customer: str, plan: str, once: Once | None = None) -> Customer:
        """Puts a customer on a plan at once ("" = the default one); what was used stays used.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, PLAN_NOT_FOUND, PLAN_FROM_SUBSCRIPTION.
        """
        catalog = await self._directory.catalog(principal.tenant)

        async def check(change: CustomerChange) -> None:
            check_plan(catalog, plan)
            if (subscription := await change.subscription(customer)) is not None:
                message = f"the plan of customer {customer!r} is that of its subscription {subscription!r}: change that"
                metadata = {"customer": customer, "subscription": subscription}
                raise MetergateError(Reason.PLAN_FROM_SUBSCRIPTION, message, metadata)

        # Before the customer is looked for, but not before a repeat is recognized.
        return await self._change(principal.tenant, customer, once, lambda old, _: replace(old, plan=plan), check)

    async def update(
        self, principal: Principal, customer: str, update: CustomerUpdate, once: Once | None = None
    ) -> Customer:
        """Changes a customer's name, time zone or anchor; what was used counts in the windows of now.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, FIELD_INVALID on `time_zone` or `anchor_time`.
        """

        def changed(old: Customer, _: int) -> Customer:
            if update.time_zone is not None:
                period.zone(update.time_zone)
            check_anchor(update.anchor)
            return replace(
                old,
                name=old.name if update.name is None else update.name,
                time_zone=update.time_zone or old.time_zone,
                anchor=None if update.no_anchor else old.anchor if update.anchor is None else update.anchor,
            )

        return await self._change(principal.tenant, customer, once, changed)

    async def assign_pool(self, principal: Principal, customer: str, pool: str, once: Once | None = None) -> Customer:
        """Has a customer share the limits of its pool ("" = of none) from now on. One that holds capacity keeps its
        pool, since what it holds counts there.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, POOL_NOT_POSSIBLE.
        """
        tenant = principal.tenant
        async with self._customers.change(tenant) as change:
            if await change.repeated(once):
                return Customer(customer, "", "", "UTC", 0)
            await change.lock(customer)
            old = await still_open(change, customer)
            if pool:
                await still_open(change, pool)
            why = await change.join(customer, pool) if pool != old.pool else None
            if why is not None:
                message = f"customer {customer!r} cannot share {pool!r}: {why}" if pool else f"it cannot leave: {why}"
                raise MetergateError(Reason.POOL_NOT_POSSIBLE, message, {"customer": customer, "pool": pool})
            new = replace(old, pool=pool)
            seq = await change.replace(new) if new != old else None
            await change.remember(once, new)
        await self._tell(tenant, customer, seq)
        return new

    async def set_override(
        self,
        principal: Principal,
        customer: str,
        limit: str,
        most: Decimal | None,
        start: int | None,
        end: int | None,
        once: Once | None = None,
    ) -> Customer:
        """Puts `most` (None = unlimited) in the place of the limit's maximum, from `start` (None = now) up to `end`
        (None = for good). An override of this limit with the same start is replaced.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, FIELD_INVALID on `limit`, `start_time` or `end_time`.
        """
        catalog = await self._directory.catalog(principal.tenant)

        def changed(old: Customer, now: int) -> Customer:
            _check_limit(catalog, limit)
            for field, instant in (("start_time", start), ("end_time", end)):
                if instant is not None and not period.EARLIEST <= instant <= period.LATEST:
                    raise invalid(field, "must lie between 1970 and 2200")
            new = Override(limit, most, now if start is None else start, end)
            return replace(old, overrides=with_override(old.overrides, new, now))

        return await self._change(principal.tenant, customer, once, changed)

    async def delete_override(
        self, principal: Principal, customer: str, limit: str, start: int | None, once: Once | None = None
    ) -> Customer:
        """Takes away the override of the limit that starts then, or all of the limit's (None).

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND.
        """

        def changed(old: Customer, _: int) -> Customer:
            return replace(old, overrides=without_override(old.overrides, limit, start))

        return await self._change(principal.tenant, customer, once, changed)

    async def _change(
        self,
        tenant: str,
        customer: str,
        once: Once | None,
        changed: Callable[[Customer, int], Customer],
        check: Callable[[CustomerChange], Awaitable[None]] | None = None,
    ) -> Customer:
        async with self._customers.change(tenant) as change:
            if await change.repeated(once):
                return Customer(customer, "", "", "UTC", 0)
            await change.lock(customer)
            if check is not None:
                await check(change)
            old = await still_open(change, customer)
            new = changed(old, await change.now())
            seq = await change.replace(new) if new != old else None
            await change.remember(once, new)
        await self._tell(tenant, customer, seq)
        return new

    async def _tell(self, tenant: str, customer: str, seq: int | None) -> None:
        """Has this process and the view hear of a change."""
        if seq is not None:
            self._directory.forget("customer", tenant, customer)
            await self._catch_up.begin_anew(tenant, await self._directory.catalog(tenant), customer, seq)


def _check_limit(catalog: Catalog, name: str) -> None:
    if not any(limit.name == name for plan in catalog.every_version for limit in plan.all_limits):
        raise invalid("limit", f"no plan has a limit called {name[:80]!r}")
