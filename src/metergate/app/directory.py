"""Definitions as one process remembers them: catalogs, customers, subjects, keys.

What is remembered is dropped as soon as another process changes it (`forget`), and all of it whenever
word of changes may have been missed. Commits do not rest on it: they check the catalog's version under
the lock, and whose a subject is where subjects came or went.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, NamedTuple, TypeVar

from metergate.app.coalesce import Coalescer
from metergate.app.stores import Catalogs, Customer, Customers, Keys, StoredKey
from metergate.domain.catalog import Catalog

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(OrderedDict[K, V], Generic[K, V]):
    """A dict of at most `most` entries; the oldest leave first."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def keep(self, key: K, value: V) -> V:
        """Remembers and returns the value."""
        self[key] = value
        if len(self) > self._most:
            self.popitem(last=False)
        return value


class _Unknown(NamedTuple):
    """A subject whose customer is not remembered, and whether it may be made."""

    tenant: str
    subject: str
    make: bool


class Directory:
    """The one memory of definitions in a process, over the stores."""

    def __init__(self, catalogs: Catalogs, customers: Customers, keys: Keys, make_on_first_use: bool) -> None:
        self._catalogs = catalogs
        self._customers = customers
        self._keys = keys
        self._make_on_first_use = make_on_first_use
        self._catalog_of: Memory[str, Catalog] = Memory(10_000)
        self._owner_of: Memory[tuple[str, str], str] = Memory(200_000)
        self._customer_of: Memory[tuple[str, str], Customer] = Memory(100_000)
        self._key_of: Memory[str, StoredKey] = Memory(10_000)
        # Raised whenever something remembered may have changed: what was made of it holds while it stays.
        self.generation = 0
        self._look_ups: Coalescer[_Unknown, str | None] = Coalescer(self._look_up)

    def forget(self, kind: str, tenant: str, name: str) -> None:
        """Another process changed a definition: "catalog", "customer" or "key", or moved subjects of a customer:
        "subjects"."""
        self.generation += 1
        if kind == "catalog":
            self._catalog_of.pop(tenant, None)
        elif kind == "customer":
            self._customer_of.pop((tenant, name), None)
        elif kind == "subjects":
            for place in [place for place, owner in self._owner_of.items() if owner == name and place[0] == tenant]:
                del self._owner_of[place]
        elif kind == "key":
            self._key_of.pop(name, None)

    def forget_all(self) -> None:
        """Word of changes may have been missed."""
        self.generation += 1
        for memory in (self._catalog_of, self._owner_of, self._customer_of, self._key_of):
            memory.clear()

    async def catalog(self, tenant: str) -> Catalog:
        """The tenant's catalog."""
        remembered = self._catalog_of.get(tenant)
        if remembered is not None:
            return remembered
        generation = self.generation
        loaded = await self._catalogs.load(tenant)
        return loaded if generation != self.generation else self._catalog_of.keep(tenant, loaded)

    def learn(self, tenant: str, catalog: Catalog, generation: int) -> None:
        """A commit found this newer catalog; it is kept unless something changed since it began to load it."""
        if generation == self.generation:
            self._catalog_of.keep(tenant, catalog)
        self.generation += 1

    async def owners(self, tenant: str, subjects: Iterable[str], make: bool = False) -> dict[str, str]:
        """The customers of the subjects. With `make`, and in dev, unknown ones become customers of their own."""
        known = self._owner_of
        found: dict[str, str] = {}
        unknown: list[_Unknown] = []
        for subject in subjects:
            owner = known.get((tenant, subject))
            if owner is None:
                unknown.append(_Unknown(tenant, subject, make and self._make_on_first_use))
            else:
                found[subject] = owner
        if unknown:
            owners = await self._look_ups.submit_all(unknown)
            found |= {one.subject: owner for one, owner in zip(unknown, owners, strict=True) if owner is not None}
        return found

    async def _look_up(self, unknown: Sequence[_Unknown]) -> list[str | None]:
        """Asks for what is unknown in one query per tenant."""
        found: dict[tuple[str, str], str] = {}
        by_tenant: dict[str, dict[str, bool]] = {}
        for tenant, subject, make in unknown:
            subjects = by_tenant.setdefault(tenant, {})
            subjects[subject] = subjects.get(subject, False) or make
        for tenant, subjects in by_tenant.items():
            generation = self.generation
            owners = await self._customers.owners(tenant, sorted(subjects))
            new = sorted(subject for subject, make in subjects.items() if make and subject not in owners)
            if new:
                await self._make(tenant, new)
                owners |= await self._customers.owners(tenant, new)
            for subject, customer in owners.items():
                if generation == self.generation:
                    self._owner_of.keep((tenant, subject), customer.id)
                    self._customer_of.keep((tenant, customer.id), customer)
            found |= {(tenant, subject): customer.id for subject, customer in owners.items()}
        return [found.get((tenant, subject)) for tenant, subject, _ in unknown]

    async def _make(self, tenant: str, subjects: Sequence[str]) -> None:
        async with self._customers.change(tenant) as change:
            taken = await change.owners(subjects)
            new = [subject for subject in subjects if subject not in taken]
            await change.add([Customer(subject, "", "", "UTC", 0) for subject in new])
            await change.adopt([(subject, subject) for subject in new])

    async def customer(self, tenant: str, customer: str) -> Customer | None:
        """The customer of that id."""
        remembered = self._customer_of.get((tenant, customer))
        if remembered is not None:
            return remembered
        generation = self.generation
        loaded = await self._customers.get(tenant, customer)
        if loaded is not None and generation == self.generation:
            self._customer_of.keep((tenant, customer), loaded)
        return loaded

    def known_key(self, key_id: str) -> StoredKey | None:
        """The API key of that id, if it is remembered."""
        return self._key_of.get(key_id)

    async def key(self, key_id: str) -> StoredKey | None:
        """The API key of that id. Unknown ids are not remembered."""
        remembered = self._key_of.get(key_id)
        if remembered is not None:
            return remembered
        generation = self.generation
        loaded = await self._keys.get(key_id)
        if loaded is not None and generation == self.generation:
            self._key_of.keep(key_id, loaded)
        return loaded
