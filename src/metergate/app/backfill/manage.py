"""Backfills as their callers see them: opened, loaded, previewed, and told to be committed, discarded or reverted."""

from __future__ import annotations

import json
import secrets
from base64 import b32encode
from collections.abc import Awaitable, Sequence
from hashlib import blake2b
from typing import TypeVar

from metergate.app import clock
from metergate.app.backfill.ports import BackfillChange, Backfills, Difference, Known, Pair, Plan, Problem
from metergate.app.directory import Directory
from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.domain.access import Principal
from metergate.domain.backfill import OPEN_FOR, Backfill, Scope, State, not_found
from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.period import EARLIEST, LATEST
from metergate.domain.posting import contributions
from metergate.domain.retention import check_events
from metergate.domain.usage import AcceptWindow, Event, Outcome, Receipt, compare, conflict

T = TypeVar("T")
_NOTHING = Known(None, None)


class ManageBackfills:
    """The verbs. A worker does what they tell it to do: see `app.backfill.apply`."""

    def __init__(self, store: Backfills, directory: Directory, accept: AcceptWindow) -> None:
        self._store = store
        self._directory = directory
        self._accept = accept

    async def open(
        self, principal: Principal, reason: str, scope: Scope | None, request_id: str, digest: bytes
    ) -> Backfill:
        """Opens one. A repeat of the request answers with the backfill as it stands.

        Raises:
            MetergateError: FIELD_INVALID, CUSTOMER_NOT_FOUND, SUBJECT_NOT_FOUND, EVENTS_DROPPED, REQUEST_ID_REUSED,
                LEDGER_UNAVAILABLE.
        """
        if scope is not None:
            scope.check()
            await self._known(principal.tenant, scope)
        id_ = _backfill_id(principal, request_id)
        try:
            async with self._store.change(principal.tenant, id_) as change:
                found = await change.get()
                if found is None:
                    now = clock.now()
                    await change.add(
                        Backfill(
                            id_, State.OPEN, reason, principal.service, principal.key_id, now, now, now + OPEN_FOR,
                            False, scope, digest, {},
                        )
                    )  # fmt: skip
                elif found[0].digest != digest:
                    message = f"request id {request_id!r} was used before with another body"
                    raise MetergateError(Reason.REQUEST_ID_REUSED, message, {"request_id": request_id})
        except LedgerUnavailableError:
            raise _unavailable() from None
        return await self.get(principal, id_)

    async def _known(self, tenant: str, scope: Scope) -> None:
        """Nobody may be named in vain: of a slip of the pen nothing would be replaced. Nor can what was dropped be."""
        closed = (await self._directory.catalog(tenant)).closed
        check_events(closed, scope.start, scope.end, "a backfill replaces events")
        for customer in scope.customers:
            if await self._directory.customer(tenant, customer) is None:
                message = f"no customer is called {customer[:80]!r}"
                raise MetergateError(Reason.CUSTOMER_NOT_FOUND, message, {"customer": customer[:80]})
        owners = await self._directory.owners(tenant, scope.subjects)
        for subject in scope.subjects:
            if subject not in owners:
                message = f"no subject is called {subject[:80]!r}"
                raise MetergateError(Reason.SUBJECT_NOT_FOUND, message, {"subject": subject[:80]})

    async def load(self, principal: Principal, id: str, events: Sequence[Event | Receipt]) -> list[Receipt]:
        """Stages events; a receipt for each, in order. What was staged with the same content is a DUPLICATE, as is what
        the ledger has already; another content is a CONFLICT. Where events are replaced, those may be: a preview tells.

        Raises:
            MetergateError: BACKFILL_NOT_FOUND, BACKFILL_CLOSED, LEDGER_UNAVAILABLE.
        """
        catalog = await self._directory.catalog(principal.tenant)
        receipts = [event if isinstance(event, Receipt) else None for event in events]
        good: dict[Pair, Event] = {}
        async with self._open_one(principal.tenant, id) as (change, backfill, now):
            for place, event in enumerate(events):
                if isinstance(event, Event):
                    receipts[place] = self._refused(event, catalog, now) or _first(good, event)
            staged = {place: one for place, one in enumerate(events) if receipts[place] is None}
            known = await change.stage([one for one in staged.values() if isinstance(one, Event)], OPEN_FOR)
        for place, event in staged.items():
            if isinstance(event, Event):
                there = known.get((event.source, event.id), _NOTHING)
                receipts[place] = _receipt(event, there, backfill.scope is not None)
        return [receipt for receipt in receipts if receipt is not None]

    def _refused(self, event: Event, catalog: Catalog, now: int) -> Receipt | None:
        error: MetergateError | None = None
        if event.time is None:
            error = invalid("time", "is required in a backfill")
        elif event.settles:
            error = invalid("settles", "has no place in a backfill: it settles nothing")
        else:
            error = self._accept.check(event.time, now, backfill=True)
            parts = contributions(event, catalog)
            error = error or (parts if isinstance(parts, MetergateError) else None)
        return Receipt(event.id, Outcome.REJECTED, error) if error else None

    async def preview(
        self, principal: Principal, id: str, after: Pair | None, most: int
    ) -> tuple[Plan, Sequence[Difference]]:
        """What a commit would do: differences by customer and meter, from behind `after`; the first page (None) looks
        anew.

        Raises:
            MetergateError: BACKFILL_NOT_FOUND, BACKFILL_CLOSED, LEDGER_UNAVAILABLE.
        """
        async with self._open_one(principal.tenant, id) as (change, backfill, _):
            if after is None:
                await change.plan()
        plan = await _answered(self._store.planned(principal.tenant, id))
        if plan.changes and backfill.scope is not None:
            plan = _widened(plan, backfill.scope)
        found = await _answered(self._store.differences(principal.tenant, id, plan, after or ("", ""), most))
        return plan, found

    async def commit(self, principal: Principal, id: str) -> Backfill:
        """Has it applied. A repeat changes nothing.

        Raises:
            MetergateError: BACKFILL_NOT_FOUND, BACKFILL_CLOSED, LEDGER_UNAVAILABLE.
        """
        return await self._move(principal, id, State.OPEN, State.COMMITTING, State.COMMITTED)

    async def discard(self, principal: Principal, id: str) -> Backfill:
        """Throws it away. A repeat changes nothing. Raises as `commit`."""
        return await self._move(principal, id, State.OPEN, State.DISCARDED)

    async def revert(self, principal: Principal, id: str) -> Backfill:
        """Has all of it undone: what it added is voided, what it replaced is restored. A repeat changes nothing. Raises
        as `commit`."""
        return await self._move(principal, id, State.COMMITTED, State.REVERTING, State.REVERTED)

    async def get(self, principal: Principal, id: str) -> Backfill:
        """One backfill.

        Raises:
            MetergateError: BACKFILL_NOT_FOUND, LEDGER_UNAVAILABLE.
        """
        found = await _answered(self._store.get(principal.tenant, id))
        if found is None:
            raise not_found(id)
        return found

    async def list(
        self, principal: Principal, state: State | None, after: tuple[int, str] | None, most: int
    ) -> Sequence[Backfill]:
        """Backfills, newest first.

        Raises:
            MetergateError: LEDGER_UNAVAILABLE.
        """
        return await _answered(self._store.recent(principal.tenant, state, after, most))

    async def problems(self, principal: Principal, id: str, after: Pair, most: int) -> Sequence[Problem]:
        """Its events that were not, or would not be taken.

        Raises:
            MetergateError: BACKFILL_NOT_FOUND, LEDGER_UNAVAILABLE.
        """
        await self.get(principal, id)
        return await _answered(self._store.problems(principal.tenant, id, after, most))

    async def _move(self, principal: Principal, id: str, before: State, state: State, *done: State) -> Backfill:
        try:
            async with self._store.change(principal.tenant, id) as change:
                backfill, now = await _existing(change, id)
                if backfill.expired or backfill.state not in (state, *done):
                    backfill.require(before, now)
                    if state is State.COMMITTING:
                        await change.plan()
                    await change.move(state)
        except LedgerUnavailableError:
            raise _unavailable() from None
        return await self.get(principal, id)

    def _open_one(self, tenant: str, id: str) -> _Open:
        return _Open(self._store, tenant, id)


class _Open:
    """A change of a backfill that has to be open."""

    def __init__(self, store: Backfills, tenant: str, id: str) -> None:
        self._change = store.change(tenant, id)
        self._id = id

    async def __aenter__(self) -> tuple[BackfillChange, Backfill, int]:
        try:
            change = await self._change.__aenter__()
        except LedgerUnavailableError:
            raise _unavailable() from None
        try:
            backfill, now = await _existing(change, self._id)
            backfill.require(State.OPEN, now)
        except BaseException as error:
            await self._change.__aexit__(type(error), error, error.__traceback__)
            raise
        return change, backfill, now

    async def __aexit__(self, *error: object) -> None:
        try:
            await self._change.__aexit__(*error)  # type: ignore[arg-type]
        except LedgerUnavailableError:
            raise _unavailable() from None


def _widened(plan: Plan, scope: Scope) -> Plan:
    """The plan, with its span widened to the range in which events are replaced, where it is bounded."""
    start = min(plan.start, scope.start) if scope.start > EARLIEST else plan.start
    end = max(plan.end, scope.end - 1) if scope.end < LATEST else plan.end
    return plan._replace(start=start, end=end)


async def _existing(change: BackfillChange, id: str) -> tuple[Backfill, int]:
    found = await change.get()
    if found is None:
        raise not_found(id)
    return found


def _first(good: dict[Pair, Event], event: Event) -> Receipt | None:
    """The receipt of an event whose id came earlier in the same call."""
    first = good.setdefault((event.source, event.id), event)
    return None if first is event else _same(first, event)


def _same(first: Event, event: Event) -> Receipt:
    field = compare(first, event)
    if field is None:
        return Receipt(event.id, Outcome.DUPLICATE)
    return Receipt(event.id, Outcome.CONFLICT, conflict(event, field))


def _receipt(event: Event, known: Known, replaces: bool) -> Receipt:
    if known.staged is not None and (field := compare(known.staged, event)) is not None:
        return Receipt(event.id, Outcome.CONFLICT, conflict(event, field))
    if known.digest is not None and not replaces:
        if known.digest == event.digest:
            return Receipt(event.id, Outcome.DUPLICATE)
        return Receipt(event.id, Outcome.CONFLICT, conflict(event, ""))
    return Receipt(event.id, Outcome.ACCEPTED if known.staged is None else Outcome.DUPLICATE)


def _backfill_id(principal: Principal, request_id: str) -> str:
    if request_id:
        name = json.dumps([principal.tenant, principal.service, "backfill", request_id]).encode()
        raw = blake2b(name, digest_size=15).digest()
    else:
        raw = secrets.token_bytes(15)
    return "b_" + b32encode(raw).decode().lower()


async def _answered(reading: Awaitable[T]) -> T:
    try:
        return await reading
    except LedgerUnavailableError:
        raise _unavailable() from None


def _unavailable() -> MetergateError:
    return MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached")
