"""Customers and subjects: making them, and counting what waited for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metergate.app.catch_up import CatchUp
from metergate.app.directory import Directory
from metergate.app.stores import Customer, CustomerChange, Customers, Once, Subject
from metergate.domain import period
from metergate.domain.access import Principal
from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.routing import closed


@dataclass(frozen=True, slots=True)
class Made:
    """What was made, and how many events that had waited for it count now."""

    customer: Customer
    subject: Subject | None
    adopted: int


class ManageCustomers:
    """The verbs on customers and subjects."""

    def __init__(self, customers: Customers, directory: Directory, catch_up: CatchUp) -> None:
        self._customers = customers
        self._directory = directory
        self._catch_up = catch_up

    async def create(self, principal: Principal, wanted: Customer, once: Once | None = None) -> Made:
        """Makes a customer; an identical one that is there already is returned.

        Raises:
            MetergateError: CUSTOMER_EXISTS, SUBJECT_EXISTS, PLAN_NOT_FOUND, FIELD_INVALID on `time_zone` or
                `anchor_time`.
        """
        tenant = principal.tenant
        period.zone(wanted.time_zone)
        check_anchor(wanted.anchor)
        catalog = await self._directory.catalog(tenant)
        async with self._customers.change(tenant) as change:
            if await change.repeated(once):
                return Made(wanted, None, 0)
            check_plan(catalog, wanted.plan)
            owner = (await change.owners([wanted.id])).get(wanted.id)
            if owner not in (None, wanted.id):
                raise _subject_exists(wanted.id, owner)
            await change.add([wanted])
            made = await existing(change, wanted.id)
            if _named(made) != _named(wanted):
                message = f"customer {wanted.id!r} exists with another name, plan, time zone or anchor"
                raise MetergateError(Reason.CUSTOMER_EXISTS, message, {"customer": wanted.id})
            adopted = await change.adopt([(wanted.id, wanted.id)])
            result = Made(made, None, adopted.get(wanted.id, 0))
            await change.remember(once, result)
        await self._count(tenant, adopted)
        return result

    async def create_subject(self, principal: Principal, subject: str, customer: str, once: Once | None = None) -> Made:
        """Makes a subject of a customer; one that is there already is returned.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, CUSTOMER_MERGED, SUBJECT_EXISTS.
        """
        tenant = principal.tenant
        async with self._customers.change(tenant) as change:
            if await change.repeated(once):
                return Made(Customer(customer, "", "", "UTC", 0), None, 0)
            owner = await still_open(change, customer)
            taken = (await change.owners([subject])).get(subject)
            if taken not in (None, customer):
                raise _subject_exists(subject, taken)
            if taken is None:
                await change.add_subject(subject, customer)
            adopted = await change.adopt([(subject, customer)])
            made = Subject(subject, customer, await change.now())
            result = Made(owner, made, adopted.get(customer, 0))
            await change.remember(once, result)
        await self._count(tenant, adopted)
        return result

    async def get(self, principal: Principal, customer: str) -> Customer:
        """One customer.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND.
        """
        found = await self._customers.get(principal.tenant, customer)
        if found is None:
            raise _not_found(customer)
        return found

    async def list(self, principal: Principal, after: str, most: int) -> list[Customer]:
        """Customers by id, from behind `after`."""
        return await self._customers.list(principal.tenant, after, most)

    async def subjects(self, principal: Principal, customer: str, after: str, most: int) -> Sequence[Subject]:
        """A customer's subjects by id, from behind `after`.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND.
        """
        await self.get(principal, customer)
        return await self._customers.subjects(principal.tenant, customer, after, most)

    async def _count(self, tenant: str, adopted: dict[str, int]) -> None:
        await self._catch_up.bring_up(tenant, sorted(adopted))


def _named(customer: Customer) -> tuple[object, ...]:
    """What whoever makes a customer says of it."""
    return customer.name, customer.plan, customer.time_zone, customer.anchor


def check_plan(catalog: Catalog, plan: str) -> None:
    """Raises PLAN_NOT_FOUND; "" is the default plan."""
    if plan and plan not in catalog.plan_of:
        raise MetergateError(Reason.PLAN_NOT_FOUND, f"no plan is called {plan!r}", {"plan": plan})


def check_anchor(anchor: int | None) -> None:
    """Raises FIELD_INVALID on `anchor_time`."""
    if anchor is not None and not period.EARLIEST <= anchor < period.LATEST:
        raise invalid("anchor_time", "must lie between 1970 and 2200")


async def existing(change: CustomerChange, customer: str) -> Customer:
    """The customer as the change sees it, or raises CUSTOMER_NOT_FOUND."""
    found = await change.get(customer)
    if found is None:
        raise _not_found(customer)
    return found


async def still_open(change: CustomerChange, customer: str) -> Customer:
    """The same, of a customer that was not merged into another one; else raises CUSTOMER_MERGED."""
    found = await existing(change, customer)
    if found.merged_into:
        raise closed(customer, found.merged_into)
    return found


def _not_found(customer: str) -> MetergateError:
    return MetergateError(Reason.CUSTOMER_NOT_FOUND, f"no customer is called {customer!r}", {"customer": customer})


def _subject_exists(subject: str, owner: str | None) -> MetergateError:
    message = f"subject {subject!r} belongs to customer {owner!r}"
    return MetergateError(Reason.SUBJECT_EXISTS, message, {"subject": subject, "customer": owner or ""})
