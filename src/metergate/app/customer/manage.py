"""Customers and subjects: making them, putting them on plans, and counting what waited for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metergate.app.catch_up import CatchUp
from metergate.app.directory import Directory
from metergate.app.stores import Customer, CustomerChange, Customers, Once, Subject
from metergate.domain import period
from metergate.domain.access import Principal
from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason


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
            MetergateError: CUSTOMER_EXISTS, SUBJECT_EXISTS, PLAN_NOT_FOUND, FIELD_INVALID on `time_zone`.
        """
        tenant = principal.tenant
        period.zone(wanted.time_zone)
        catalog = await self._directory.catalog(tenant)
        async with self._customers.change(tenant) as change:
            if await change.repeated(once):
                return Made(wanted, None, 0)
            _known_plan(catalog, wanted.plan)
            owner = (await change.owners([wanted.id])).get(wanted.id)
            if owner not in (None, wanted.id):
                raise _subject_exists(wanted.id, owner)
            await change.add([wanted])
            made = await _existing(change, wanted.id)
            if (made.name, made.plan, made.time_zone) != (wanted.name, wanted.plan, wanted.time_zone):
                message = f"customer {wanted.id!r} exists with another name, plan or time zone"
                raise MetergateError(Reason.CUSTOMER_EXISTS, message, {"customer": wanted.id})
            adopted = await change.adopt([(wanted.id, wanted.id)])
            result = Made(made, None, adopted.get(wanted.id, 0))
            await change.remember(once, result)
        await self._count(tenant, adopted)
        return result

    async def create_subject(self, principal: Principal, subject: str, customer: str, once: Once | None = None) -> Made:
        """Makes a subject of a customer; one that is there already is returned.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, SUBJECT_EXISTS.
        """
        tenant = principal.tenant
        async with self._customers.change(tenant) as change:
            if await change.repeated(once):
                return Made(Customer(customer, "", "", "UTC", 0), None, 0)
            owner = await _existing(change, customer)
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

    async def assign_plan(self, principal: Principal, customer: str, plan: str, once: Once | None = None) -> Customer:
        """Puts a customer on a plan at once ("" = the default one); what was used stays used.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, PLAN_NOT_FOUND.
        """
        tenant = principal.tenant
        catalog = await self._directory.catalog(tenant)
        async with self._customers.change(tenant) as change:
            if await change.repeated(once):
                return Customer(customer, "", plan, "UTC", 0)
            _known_plan(catalog, plan)
            await _existing(change, customer)
            seq = await change.assign(customer, plan)
            result = await _existing(change, customer)
            await change.remember(once, result)
        self._directory.forget("customer", tenant, customer)
        await self._catch_up.begin_anew(tenant, await self._directory.catalog(tenant), customer, seq)
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


def _known_plan(catalog: Catalog, plan: str) -> None:
    if plan and plan not in catalog.plan_of:
        raise MetergateError(Reason.PLAN_NOT_FOUND, f"no plan is called {plan!r}", {"plan": plan})


async def _existing(change: CustomerChange, customer: str) -> Customer:
    found = await change.get(customer)
    if found is None:
        raise _not_found(customer)
    return found


def _not_found(customer: str) -> MetergateError:
    return MetergateError(Reason.CUSTOMER_NOT_FOUND, f"no customer is called {customer!r}", {"customer": customer})


def _subject_exists(subject: str, owner: str | None) -> MetergateError:
    message = f"subject {subject!r} belongs to customer {owner!r}"
    return MetergateError(Reason.SUBJECT_EXISTS, message, {"subject": subject, "customer": owner or ""})
