"""Where subscriptions, invoices and what they are made of are kept, as small Protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from metergate.app.stores import Customer, OnceStore
from metergate.domain.catalog import Catalog
from metergate.domain.draft import Earlier
from metergate.domain.invoice import CreditNote, Invoice, InvoiceState, Payment
from metergate.domain.news import NewsKind
from metergate.domain.offer import BillingDetails, Seller
from metergate.domain.subscription import Subscription


@dataclass(frozen=True, slots=True)
class Standing:
    """A subscription with what follows from it: `turns_at`, when its next segment begins or its last one ends, and
    `closes_at`, the end of its next period to invoice; None = nothing is to come."""

    subscription: Subscription
    turns_at: int | None
    closes_at: int | None


class SubscriptionChange(OnceStore, Protocol):
    """A transaction that holds a customer's head, and has the tenant's catalog stay as it is."""

    async def now(self) -> int:
        """The database's clock, behind the lock."""
        ...

    async def catalog(self) -> Catalog:
        """The catalog in force."""
        ...

    async def customer(self) -> Customer | None:
        """The customer, or None."""
        ...

    async def subscriptions(self) -> list[Subscription]:
        """All of the customer's, by when they were made."""
        ...

    async def save(self, standing: Standing) -> None:
        """Makes the subscription, or puts this in the place of what it was."""
        ...

    async def govern(self, plan: str, anchor: int | None) -> int:
        """Puts the customer on a plan, or plan terms, with an anchor; returns the `seq` of this change."""
        ...

    async def set_details(self, details: BillingDetails) -> None:
        """To whom the customer's invoices go from now on."""
        ...


class SubscriptionStore(Protocol):
    """Where subscriptions and billing details are kept."""

    async def get(self, tenant: str, subscription: str) -> Subscription | None:
        """One subscription, or None."""
        ...

    async def list(self, tenant: str, customer: str, after: str, most: int) -> Sequence[Subscription]:
        """Subscriptions by id, which is by when they were made, from behind `after`; customer "" = of all."""
        ...

    async def details(self, tenant: str, customer: str) -> BillingDetails:
        """To whom a customer's invoices go."""
        ...

    def change(self, tenant: str, customer: str) -> AbstractAsyncContextManager[SubscriptionChange]:
        """Opens a change; leaving it without an exception commits."""
        ...


class Due(NamedTuple):
    """A customer some of whose subscriptions turn now: what governs it, and all its subscriptions."""

    tenant: str
    customer: str
    plan: str
    anchor: int | None
    subscriptions: Sequence[Subscription]


class Turned(NamedTuple):
    """What governs the customer from now on, and when each of its subscriptions (by id) turns next."""

    tenant: str
    customer: str
    plan: str
    anchor: int | None
    turns: Mapping[str, int | None]


class TurningChange(Protocol):
    """A transaction that holds the heads of customers whose subscriptions turn."""

    async def due(self) -> tuple[int, list[Due]]:
        """The database's clock behind the locks, and the customers."""
        ...

    async def turn(self, turned: Sequence[Turned]) -> dict[tuple[str, str], int]:
        """Writes it; returns the `seq` of this change by tenant and customer."""
        ...


class TurningStore(Protocol):
    """Finds subscriptions whose next segment begins."""

    def turning(self, most: int, wait: bool) -> AbstractAsyncContextManager[TurningChange]:
        """Opens a change of at most so many subscriptions that are due. Customers whose heads are held by others are
        left out, or, with `wait`, waited for. Leaving it without an exception commits."""
        ...


@dataclass(frozen=True, slots=True)
class InvoiceQuery:
    """Which invoices to list, those of the latest period first; `customer` and `subscription` "" = of all, `state`
    None = any. `after` is the (end of the period, id) of the last one of the page before."""

    customer: str
    subscription: str
    state: InvoiceState | None
    after: tuple[int, str] | None
    most: int


class DueDraft(NamedTuple):
    """A draft that is to be finalized now."""

    tenant: str
    invoice: str


class InvoiceReader(Protocol):
    """Where invoices are read."""

    async def get(self, tenant: str, invoice: str) -> Invoice | None:
        """One invoice, or None."""
        ...

    async def list(self, tenant: str, query: InvoiceQuery) -> list[Invoice]:
        """A page of invoices, without their lines and logos."""
        ...

    async def credit_notes(self, tenant: str, invoice: str) -> Sequence[CreditNote]:
        """All of an invoice, oldest first."""
        ...

    async def payments(self, tenant: str, invoice: str) -> Sequence[Payment]:
        """All of an invoice, oldest first."""
        ...


class Beside(NamedTuple):
    """What else is to be known of an invoice: its credit notes, oldest first, and the other invoices of its
    subscription, with their lines of the same prices that lie within the windows of its own."""

    credit_notes: Sequence[CreditNote]
    others: Sequence[Earlier]


class InvoiceChange(OnceStore, Protocol):
    """A transaction on invoices of a tenant that holds their customers' heads."""

    async def lock(self, invoice: str) -> Invoice | None:
        """The invoice, which stays as it is until the end; None where there is none."""
        ...

    async def now(self) -> int:
        """The database's clock, behind the locks."""
        ...

    async def beside(self, invoice: Invoice) -> Beside:
        """What stands beside the invoice, and stays as it is until the end."""
        ...

    async def save(self, invoice: Invoice) -> None:
        """Puts this in the place of what a closed invoice was. Where it is credited or void now, an invoice of its
        subscription that was read for before, and isn't saved yet, is read for again."""
        ...

    async def pay(self, payment: Payment) -> None:
        """Adds a payment."""
        ...

    async def credit(self, note: CreditNote) -> None:
        """Adds a credit note."""
        ...

    async def tell(self, kind: NewsKind, invoices: Sequence[Invoice], now: int) -> None:
        """Writes news of these invoices, where anybody is told of such."""
        ...


class FinalizingChange(InvoiceChange, Protocol):
    """The same, with what closes drafts. Numbers are taken last: who takes one holds up all others of its series."""

    async def lock_due(self, invoices: Sequence[str]) -> list[Invoice]:
        """Those that are drafts and due yet, and whose customers' heads nobody else holds."""
        ...

    async def seller(self) -> Seller:
        """Who sells, by the catalog in force."""
        ...

    async def buyers(self, customers: Sequence[str]) -> Mapping[str, BillingDetails]:
        """To whom invoices go, by customer."""
        ...

    async def take_numbers(self, series: str, count: int) -> int:
        """The first of the next so many places of a series, from 1 on."""
        ...

    async def close(self, invoices: Sequence[Invoice]) -> None:
        """Puts these in the place of what were drafts."""
        ...


class InvoiceStore(InvoiceReader, Protocol):
    """Where invoices are kept."""

    async def due(self, most: int) -> Sequence[DueDraft]:
        """Drafts of all tenants that are to be finalized now, the one that waits longest first."""
        ...

    async def postpone(self, draft: DueDraft, by: int) -> None:
        """Has a draft that could not be finalized wait for so many microseconds from now."""
        ...

    def change(self, tenant: str) -> AbstractAsyncContextManager[FinalizingChange]:
        """Opens a change; leaving it without an exception commits."""
        ...
