"""Retention: months of events are closed, exported and dropped, and history that nothing needs goes.

A month goes in four steps, each of which stands once it is done: it is begun, its closing balances are made, its
events are written to a file where the policy says so, and it is dropped. A process that dies in between leaves a state
from which the next one goes on; events that were changed meanwhile have the month begun anew.
"""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple, Protocol

from metergate.domain.retention import OpenLimit, before, keeps_until, needed_by, start_of

log = logging.getLogger(__name__)

# A month that changes again and again while it is closed waits for the next round.
_TRIES = 3


class ExportFailedError(Exception):
    """Events cannot be written to a file, or the file does not hold what was written; nothing was dropped."""


class Stage(StrEnum):
    """How far the dropping of a month is."""

    KEPT = "kept"
    BEGUN = "begun"
    CLOSED = "closed"
    EXPORTED = "exported"
    DROPPED = "dropped"


class EventMonth(NamedTuple):
    """A month of recording; `events` are known once it is closed, `file` once it is exported."""

    month: date
    stage: Stage
    changed: bool
    events: int
    file: str


@dataclass(frozen=True, slots=True)
class Standing:
    """All months of which there are or were events, oldest first, the limits that are made of events themselves, and
    how many backfills are at work."""

    now: int
    months: list[EventMonth]
    limits: list[OpenLimit]
    backfills: int


class Months(Protocol):
    """The months of events, held by one process alone."""

    async def standing(self) -> Standing:
        """How they stand."""
        ...

    async def begin(self, month: date) -> None:
        """Begins a month, or begins it anew: what was made of it is forgotten, and changes of it are told from now."""
        ...

    async def close(self, month: date) -> None:
        """Makes the closing balances. They do not count before the month is dropped."""
        ...

    async def export(self, month: date) -> None:
        """Writes the events to a file and reads it again; one that was written is only read again.

        Raises:
            ExportFailedError
        """
        ...

    async def drop(self, month: date) -> bool:
        """Drops the events, from when on their closing balances count; False where they changed since it was begun."""
        ...

    async def forget_history(self, until: date) -> int:
        """Deletes history of holds, limits and grants before a month that nothing needs; how many rows."""
        ...


class MonthStore(Protocol):
    """Where the months are."""

    def alone(self) -> AbstractAsyncContextManager[Months | None]:
        """The months, None while another process holds them."""
        ...


@dataclass(frozen=True, slots=True)
class Policy:
    """For how many whole months before the current one events and history are kept (None = for ever), and whether
    events are exported before they are dropped. `accept_age` is the accept window in microseconds."""

    events: int | None
    history: int | None
    export: bool
    accept_age: int


class Plan(NamedTuple):
    """A month, and why it is kept; "" where it is due to be dropped or was."""

    month: EventMonth
    why: str


class KeepRetention:
    """The verb."""

    def __init__(self, store: MonthStore, policy: Policy) -> None:
        self._store = store
        self._policy = policy

    async def plan(self) -> list[Plan] | None:
        """What would be dropped and why the rest is kept; None while another process is at it.

        Raises:
            LedgerUnavailableError
        """
        async with self._store.alone() as months:
            return None if months is None else self._plan(await months.standing())

    async def keep(self) -> None:
        """A round of it."""
        await self.run()

    async def run(self) -> list[date] | None:
        """Drops what is due; the months that were dropped, None while another process is at it.

        Raises:
            LedgerUnavailableError, DataRefusedError
            ExportFailedError
        """
        policy = self._policy
        if policy.events is None and policy.history is None:
            return []
        async with self._store.alone() as months:
            if months is None:
                return None
            standing = await months.standing()
            due = [one.month for one, why in self._plan(standing) if not why and one.stage is not Stage.DROPPED]
            dropped = [month for month in due if await self._drop(months, month)]
            if policy.history is not None:
                await months.forget_history(keeps_until(standing.now, policy.history, policy.accept_age))
        return dropped

    def _plan(self, standing: Standing) -> list[Plan]:
        policy, plans, waits = self._policy, [], ""
        for one in standing.months:
            why = "" if one.stage is Stage.DROPPED else waits or self._why(one, standing)
            # The oldest first: what takes an event back is never older than the event.
            waits = f"waits for {one.month:%Y-%m}" if why else ""
            plans.append(Plan(one, why))
        assert policy.events is not None or all(plan.why or plan.month.stage is Stage.DROPPED for plan in plans)
        return plans

    def _why(self, one: EventMonth, standing: Standing) -> str:
        policy = self._policy
        if policy.events is None:
            return "events are kept for ever"
        if one.month >= keeps_until(standing.now, policy.events, policy.accept_age):
            return f"within {policy.events} months, or its ids are still known"
        if standing.backfills:
            return "a backfill is open, which may replace events"
        end = start_of(before(one.month, -1))
        limit = needed_by(standing.limits, end, standing.now, policy.accept_age)
        return f"limit {limit.name!r} of plan {limit.plan!r} counts its events" if limit else ""

    async def _drop(self, months: Months, month: date) -> bool:
        for _ in range(_TRIES):
            (one,) = [one for one in (await months.standing()).months if one.month == month]
            if one.changed or one.stage in (Stage.KEPT, Stage.BEGUN):
                await months.begin(month)
                await months.close(month)
            if self._policy.export:
                await months.export(month)
            if await months.drop(month):
                log.info("events of %s were dropped", f"{month:%Y-%m}")
                return True
        log.warning("events of %s change while they are closed; they are kept for now", f"{month:%Y-%m}")
        return False
