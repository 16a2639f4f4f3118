"""Where definitions are kept, as small Protocols: catalogs, customers, keys, and answers that are given once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from metergate.domain.catalog import Catalog
from metergate.domain.override import Override
from metergate.domain.price import Price


@dataclass(slots=True)
class Once:
    """A call that is done once: `digest` stands for its body, `encode` writes its result as it is answered.

    `answer` is what the first call of this id was answered; None in the first call.
    """

    request_id: str
    digest: bytes
    encode: Callable[[Any], bytes]
    answer: bytes | None = None


class OnceStore(Protocol):
    """Remembers answers in the transaction that they are the answers of."""

    async def repeated(self, once: Once | None) -> bool:
        """Whether this is a repeat; if so `once.answer` is the first answer.

        Raises:
            MetergateError: REQUEST_ID_REUSED when the first call had another body.
        """
        ...

    async def remember(self, once: Once | None, result: object) -> None:
        """Keeps the result for repeats."""
        ...


class CatalogChange(OnceStore, Protocol):
    """A transaction that holds a tenant's catalog alone."""

    async def current(self) -> Catalog:
        """The catalog in force."""
        ...

    async def customers_on(self, plans: list[str]) -> dict[str, int]:
        """How many customers are on each of the plans; plans without any are left out."""
        ...

    async def subscriptions_to(self, plans: list[str]) -> dict[tuple[str, int], int]:
        """How many subscriptions are, were or will be on each version of the plans; those without any are left out."""
        ...

    async def subscriptions_with(self, coupons: list[str]) -> dict[str, int]:
        """How many subscriptions that are not over have each of the coupons; those without any are left out."""
        ...

    async def customers_taxed(self, rates: list[str]) -> dict[str, int]:
        """How many customers' billing details name each of the tax rates; those without any are left out."""
        ...

    async def own_prices(self, meters: list[str]) -> list[Price]:
        """The customers' own prices of these meters, of all subscriptions, each once."""
        ...

    async def replace(self, new: Catalog) -> None:
        """Puts the catalog in force, and keeps what it keeps."""
        ...


class Catalogs(Protocol):
    """Where catalogs are kept."""

    async def load(self, tenant: str) -> Catalog:
        """The tenant's catalog."""
        ...

    def change(self, tenant: str) -> AbstractAsyncContextManager[CatalogChange]:
        """Opens a change; leaving it without an exception commits."""
        ...


@dataclass(frozen=True, slots=True)
class Customer:
    """Who is billed, and what governs the limits: `anchor` is the instant from which anchored windows are counted,
    `pool` the customer in whose limits its usage counts as well. One that was merged into another is closed."""

    id: str
    name: str
    plan: str
    time_zone: str
    created_at: int
    anchor: int | None = None
    overrides: tuple[Override, ...] = ()
    pool: str = ""
    merged_into: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is metered."""

    id: str
    customer: str
    created_at: int


class CustomerChange(OnceStore, Protocol):
    """A transaction on a tenant's customers that holds the waiting room of unmatched events."""

    async def owners(self, subjects: Sequence[str]) -> dict[str, str]:
        """The customers of the subjects that are known."""
        ...

    async def lock(self, customer: str) -> None:
        """Holds the customer's head: nobody else changes what governs it meanwhile."""
        ...

    async def get(self, customer: str) -> Customer | None:
        """One customer, or None."""
        ...

    async def subscription(self, customer: str) -> str | None:
        """The id of a subscription that says what plan the customer is on: one that has begun and is not over."""
        ...

    async def add(self, customers: Sequence[Customer]) -> None:
        """Makes customers; those that exist stay as they are."""
        ...

    async def add_subject(self, subject: str, customer: str) -> None:
        """Makes a subject; one that exists stays as it is."""
        ...

    async def replace(self, customer: Customer) -> int:
        """Puts this in the place of what the customer was; returns the `seq` of this change."""
        ...

    async def join(self, customer: str, pool: str) -> str | None:
        """Makes the pool one, if the customer may share it; else says why not, as the end of a sentence. Both heads are
        locked."""
        ...

    async def now(self) -> int:
        """The instant of this transaction."""
        ...

    async def adopt(self, owners: Sequence[tuple[str, str]]) -> dict[str, int]:
        """Moves the waiting events of (subject, customer) pairs; returns how many, by customer."""
        ...


class Customers(Protocol):
    """Where customers and subjects are kept."""

    async def owners(self, tenant: str, subjects: Sequence[str]) -> dict[str, Customer]:
        """The customers of the subjects that are known."""
        ...

    async def get(self, tenant: str, customer: str) -> Customer | None:
        """One customer, or None."""
        ...

    async def list(self, tenant: str, after: str, most: int) -> list[Customer]:
        """Customers by id, from behind `after`."""
        ...

    async def subjects(self, tenant: str, customer: str, after: str, most: int) -> Sequence[Subject]:
        """A customer's subjects by id, from behind `after`."""
        ...

    def change(self, tenant: str) -> AbstractAsyncContextManager[CustomerChange]:
        """Opens a change; leaving it without an exception commits."""
        ...


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What is kept of an API key; times are instants."""

    id: str
    tenant: str
    service: str
    secret_hash: bytes
    created_at: int
    expires_at: int | None
    revoked_at: int | None


class Keys(Protocol):
    """Where API keys are kept."""

    async def get(self, key_id: str) -> StoredKey | None:
        """The key of that id, revoked or not."""
        ...
