"""Where backfills are staged."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import NamedTuple, Protocol

from metergate.domain.backfill import Backfill, RowState, State
from metergate.domain.correction import Standing
from metergate.domain.errors import MetergateError
from metergate.domain.usage import Event

Pair = tuple[str, str]
"""A customer and a meter, or an event's source and id."""


class Known(NamedTuple):
    """What there is of an id: its first content's digest in the ledger, and what is staged."""

    digest: bytes | None
    staged: Event | None


class Difference(NamedTuple):
    """What a backfill would change of a customer's meter: the quantity over its span before and after, None where
    there is nothing. That of a LEVEL is over the time for which the samples of the span can last, at most until now."""

    customer: str
    meter: str
    before: Decimal | None
    after: Decimal | None


class Plan(NamedTuple):
    """What a commit would do: the span of time, both ends included, in which it is compared, how many events are new,
    amended and voided, and those of the others by what becomes of them."""

    start: int
    end: int
    new: int
    amended: int
    voided: int
    others: dict[RowState, int]

    @property
    def changes(self) -> int:
        """How many events change."""
        return self.new + self.amended + self.voided


class Problem(NamedTuple):
    """An event of a backfill that was not, or would not be taken, and why."""

    source: str
    id: str
    state: RowState
    reason: str
    field: str
    message: str


class Staged(NamedTuple):
    """An id of a backfill: `event` is its new content, `replaces` the version to take back, 0 = none, `made` what was
    made of it. `before` is what stood, of those that are to be reverted."""

    source: str
    id: str
    customer: str
    event: Event | None
    replaces: int
    made: int
    before: Standing | None = None


class BackfillChange(Protocol):
    """A transaction that holds a backfill alone."""

    async def get(self) -> tuple[Backfill, int] | None:
        """The backfill, and the instant of now; None where there is none."""
        ...

    async def add(self, backfill: Backfill) -> None:
        """Keeps a new one."""
        ...

    async def stage(self, events: Sequence[Event], open_for: int) -> dict[Pair, Known]:
        """Stages events, but for those whose ids are staged already; returns what was there of all of them. It
        stays open for as long from now."""
        ...

    async def move(self, state: State) -> None:
        """Puts it into a state."""
        ...

    async def plan(self) -> None:
        """Finds out what a commit has to do with each id: which events it replaces, and which are known already."""
        ...


class BackfillReader(Protocol):
    """Reading them. All raise LedgerUnavailableError."""

    async def get(self, tenant: str, id: str) -> Backfill | None:
        """One backfill, with its rows counted."""
        ...

    async def recent(
        self, tenant: str, state: State | None, after: tuple[int, str] | None, most: int
    ) -> Sequence[Backfill]:
        """Backfills, newest first, with their rows counted."""
        ...

    async def problems(self, tenant: str, id: str, after: Pair, most: int) -> Sequence[Problem]:
        """Its problems by source and id, from behind `after`."""
        ...

    async def planned(self, tenant: str, id: str) -> Plan:
        """What a commit would do."""
        ...

    async def differences(self, tenant: str, id: str, plan: Plan, after: Pair, most: int) -> Sequence[Difference]:
        """By customer and meter, from behind `after`."""
        ...


class Backfills(BackfillReader, Protocol):
    """Where they are kept."""

    def change(self, tenant: str, id: str) -> AbstractAsyncContextManager[BackfillChange]:
        """Opens a change; leaving it without an exception commits."""
        ...


class Claimed(NamedTuple):
    """A backfill that this process works on for a while."""

    tenant: str
    backfill: Backfill


class BackfillQueue(Protocol):
    """What there is to do. All raise LedgerUnavailableError."""

    async def expire(self) -> None:
        """Discards those that were left open, and throws away what was staged of discarded ones."""
        ...

    async def claim(self, claim: str, seconds: float) -> list[Claimed]:
        """Those that are to be applied or reverted and that no other process works on: the claim's for so long."""
        ...

    async def batch(self, tenant: str, id: str, state: RowState, most: int) -> list[Staged]:
        """The next rows in that state, all of one customer, in order of time."""
        ...

    async def reject(self, tenant: str, id: str, row: Staged, before: RowState, error: MetergateError) -> None:
        """Marks a row that the ledger refuses, unless it is marked."""
        ...

    async def finish(self, tenant: str, id: str, before: State, state: State) -> None:
        """Puts it into its last state."""
        ...
