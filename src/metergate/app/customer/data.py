"""Where moves, merges, exports and erasures are kept, as small Protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from metergate.app.stores import Customer, OnceStore
from metergate.domain.erasure import Step


class Moved(NamedTuple):
    """A subject that went from one customer to another: its usage counts for the new one in what that one recorded
    after `to_seq`; what the old one has up to `from_seq` stays there. `merged` says that all of a customer's subjects
    went; `service` and `key_id` are who did it."""

    subject: str
    from_customer: str
    from_seq: int
    to_customer: str
    to_seq: int
    at: int
    merged: bool
    service: str
    key_id: str


class MovingChange(OnceStore, Protocol):
    """A transaction that moves subjects."""

    async def lock_both(self, old: str, new: str) -> None:
        """Locks the heads of both customers, so that no usage is recorded meanwhile."""
        ...

    async def owner(self, subject: str) -> str | None:
        """The customer of a subject, under the locks."""
        ...

    async def get(self, customer: str) -> Customer | None:
        """One customer, or None."""
        ...

    async def move(self, subject: str, old: str, new: str, service: str, key_id: str) -> Moved:
        """Moves one subject."""
        ...

    async def merge(self, old: str, into: str, service: str, key_id: str) -> Sequence[Moved]:
        """Moves all subjects of a customer, its own id among them, and closes it."""
        ...

    async def why_no_merge(self, old: str) -> str | None:
        """What is in the way of closing the customer, as the end of a sentence, with what to do."""
        ...


@dataclass(frozen=True, slots=True)
class MovesQuery:
    """Which moves to list, newest first: those from or to a customer, or of a subject ("" = all). `after` is the
    (instant, customer, seq, subject) of the last one of the page before."""

    customer: str
    subject: str
    after: tuple[int, str, int, str] | None
    most: int


class Moves(Protocol):
    """Where moves are kept."""

    def change(self, tenant: str) -> AbstractAsyncContextManager[MovingChange]:
        """Opens a change; leaving it without an exception commits."""
        ...

    async def moves(self, tenant: str, query: MovesQuery) -> list[Moved]:
        """A page of moves."""
        ...


class Cut(NamedTuple):
    """Up to where a customer is exported: its `seq`, and the instant at which it had it."""

    seq: int
    as_of: int


class Exports(Protocol):
    """Reads all that is kept of a customer, a page at a time."""

    @property
    def sections(self) -> Sequence[str]:
        """The names of the parts, in order."""
        ...

    async def cut(self, tenant: str, customer: str) -> Cut | None:
        """Where an export that begins now ends; None where there is no such customer."""
        ...

    async def rows(
        self, tenant: str, customer: str, section: str, cut: Cut, after: Sequence[Any] | None, most: int
    ) -> list[tuple[list[Any], Mapping[str, Any]]]:
        """Rows of a part from behind the place `after`, in order, each with its own place."""
        ...


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure of a customer's personal data: what was asked, by whom, and how far it is. `counts` are the rows
    that it rewrote or dropped, by table."""

    id: str
    customer: str
    new_id: str
    dimensions: bool
    event_ids: bool
    service: str
    key_id: str
    step: Step
    started_at: int
    finished_at: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def asked(self) -> tuple[str, bool, bool]:
        """What it does besides what each does."""
        return self.new_id, self.dimensions, self.event_ids


class Stepped(NamedTuple):
    """An erasure after a piece of it, and the `seq` of the customers whose counters the fast view must forget."""

    erasure: Erasure
    seqs: Mapping[str, int]


class Erasures(Protocol):
    """Where erasures are kept and done."""

    async def begin(self, tenant: str, erasure: Erasure) -> Stepped:
        """Begins one; one of the same id, or one of the customer that is under way, is returned in its place.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, ERASURE_NOT_POSSIBLE.
        """
        ...

    async def step(self, tenant: str, id: str) -> Stepped:
        """Does the next piece under the customer's head, in one transaction with the note of how far it is."""
        ...

    async def page(self, tenant: str, customer: str, after: tuple[int, str] | None, most: int) -> Sequence[Erasure]:
        """A page of erasures, newest first; customer "" = all."""
        ...

    async def left(self, idle: int, most: int) -> list[tuple[str, str]]:
        """Erasures (tenant and id) that have something to do now and that nobody did for `idle` microseconds."""
        ...
