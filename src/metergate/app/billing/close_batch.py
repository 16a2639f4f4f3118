"""Subscriptions of one tenant whose periods are closed together, in the order of steps that `close_period` states."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

from metergate.app.billing.close_ports import BillingReader, BillingSnapshot, Claimed, CloseStore, Closing, Cut, Failure
from metergate.app.billing.reading import answered, earliest, offer_of
from metergate.app.catch_up import CatchUp
from metergate.app.ports.ledger import DataRefusedError, RaceLostError
from metergate.domain.billing_period import next_period
from metergate.domain.catalog import Catalog
from metergate.domain.draft import Draft, Earlier, Quantities, anew, ask, ask_late, changes
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import Invoice
from metergate.domain.offer import NO_DETAILS, BillingDetails
from metergate.domain.period import Window
from metergate.domain.subscription import Subscription

log = logging.getLogger(__name__)
T = TypeVar("T")

_SAVED = 100  # that are saved in one commit: so many heads are held at once
_TRIES = 5
_PAUSE_SECONDS = 0.02  # before what was in the way is tried again


@dataclass(slots=True)
class Closed:
    """What was done: how many periods were closed, how many invoices that made, and which subscriptions failed, with
    the reason. `gently`: so that others are not kept waiting."""

    periods: int = 0
    invoices: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    gently: bool = False


class _Work(NamedTuple):
    """A subscription and its period: the one that is over, or, where rows came late, the stretch since the last one
    ended; then `closes_at` is when the next one does (None = it has `ended`)."""

    claimed: Claimed
    period: Window
    closes_at: int | None = None

    @property
    def ended(self) -> bool:
        return self.closes_at is None

    @property
    def subscription(self) -> Subscription:
        return self.claimed.subscription

    def late_from(self, cut: Cut) -> int | None:
        """Since when rows count that its invoices do not know of."""
        billed = self.subscription.billed_until
        mine = cut.late_from if billed is not None and cut.late_from is not None and cut.late_from < billed else None
        return earliest(self.claimed.late_from, mine)


class _Read(NamedTuple):
    """What a draft is made of, as one snapshot had it. `reopened` is the draft that it would take the place of."""

    work: _Work
    draft: Draft
    cut: Cut
    reopened: Invoice | None = None


class CloseBatch:
    """Closes them; what was done is added to `closed`."""

    def __init__(
        self, store: CloseStore, reader: BillingReader, catch_up: CatchUp, tenant: str, catalog: Catalog, closed: Closed
    ) -> None:
        self._store = store
        self._reader = reader
        self._catch_up = catch_up
        self._tenant = tenant
        self._catalog = catalog
        self._offer = offer_of(catalog)
        self._closed = closed

    async def close(self, claimed: Sequence[Claimed], now: int, late: bool) -> None:
        """Makes the drafts of the periods that are over, or, with `late`, those of what came late. Those that cannot be
        made are noted, and do not stop the others."""
        left = list(claimed)
        for attempt in range(_TRIES):
            await asyncio.sleep(_PAUSE_SECONDS * attempt)
            again = await self._try(await self._work(left, now, late), late)
            if not again:
                return
            left = await self._store.read(self._tenant, again)
        for one in left:
            message = "its customer's usage changed all the time; it is tried again"
            error = MetergateError(Reason.LEDGER_UNAVAILABLE, message)
            await self._note(one, one.subscription.billed_until or now, error)

    async def _work(self, claimed: Sequence[Claimed], now: int, late: bool) -> list[_Work]:
        work = []
        for one in claimed:
            billed = one.subscription.billed_until
            period = await self._told(one, billed or now, self._next, one.subscription)
            if isinstance(period, Failure):
                continue
            if late:
                end = billed or now
                work.append(_Work(one, Window(end, max(now, end)), None if period is None else period.end))
            elif period is not None and period.end <= now:
                work.append(_Work(one, period, period.end))
        return work

    def _next(self, subscription: Subscription) -> Window | None:
        return next_period(subscription, self._offer.prices)

    async def _try(self, work: Sequence[_Work], late: bool) -> list[str]:
        """The subscriptions that have to be read and tried again."""
        if not work:
            return []
        if not late:
            until: dict[str, int] = {}
            for one in work:
                customer = one.subscription.customer
                until[customer] = max(one.period.end, until.get(customer, one.period.end))
            try:
                await self._store.cut(self._tenant, until)
            except RaceLostError:
                return [one.subscription.id for one in work]
        try:
            closings, behind = await self._looked(work, late)
        except (MetergateError, DataRefusedError) as error:
            # What one asks cannot be answered, and the snapshot is lost with it: each is looked at by itself.
            if len(work) == 1:
                await self._note(work[0].claimed, work[0].period.end, error)
                return []
            return [id_ for one in work for id_ in await self._try([one], late)]
        if behind:
            await self._catch_up.bring_up(self._tenant, sorted(behind))
        again = [one.subscription.id for one in work if one.subscription.customer in behind]
        for chunk in _chunks(closings, _SAVED):
            again += await self._save(chunk)
        return again

    async def _looked(self, work: Sequence[_Work], late: bool) -> tuple[list[Closing], set[str]]:
        """What closes them, as one snapshot has it, and the customers whose rollups have to be made complete first."""
        async with self._reader.snapshot(self._tenant, [one.subscription.customer for one in work]) as snapshot:
            version = self._catalog.metering_version
            behind = {name for name, cut in snapshot.cuts.items() if cut.metering_version < version}
            ready = [one for one in work if one.subscription.customer not in behind]
            return await self._closings(snapshot, ready, late), behind

    async def _closings(self, snapshot: BillingSnapshot, work: Sequence[_Work], late: bool) -> list[Closing]:
        found = await self._asked(snapshot, work, late)
        closings = [one for one in found if isinstance(one, Closing)]
        reads = [one for one in found if isinstance(one, _Read)]
        answers = await answered(snapshot, self._catalog, [read.draft for read in reads])
        for read, (draft, counted) in zip(reads, answers, strict=True):
            known = read._replace(draft=draft)
            made = await self._told(read.work.claimed, read.work.period.end, self._closing, known, counted)
            if isinstance(made, Closing):
                closings.append(made)
        return closings

    async def _asked(self, snapshot: BillingSnapshot, work: Sequence[_Work], late: bool) -> list[_Read | Closing]:
        since = {}
        for one in work:
            late_from = one.late_from(snapshot.cuts[one.subscription.customer])
            since[one.subscription.id] = min(one.period.start, one.period.start if late_from is None else late_from)
        earlier = await snapshot.earlier(since)
        details = await snapshot.details(sorted({one.subscription.customer for one in work}))
        drafts = await snapshot.drafts(list(since)) if late else {}
        found: list[_Read | Closing] = []
        for one in work:
            id_, customer = one.subscription.id, one.subscription.customer
            buyer, cut = details.get(customer, NO_DETAILS), snapshot.cuts[customer]
            step = self._ask_late if late else self._ask
            asked = await self._told(one.claimed, one.period.end, step, one, cut, earlier[id_], buyer, drafts.get(id_))
            if not isinstance(asked, Failure):
                found.append(asked)
        return found

    def _ask(
        self, one: _Work, cut: Cut, earlier: Sequence[Earlier], details: BillingDetails, _: Invoice | None
    ) -> _Read | Closing:
        """What has to be counted."""
        late_from = one.late_from(cut)
        return _Read(one, ask(one.subscription, one.period, self._offer, earlier, details, late_from), cut)

    def _ask_late(
        self, one: _Work, cut: Cut, earlier: Sequence[Earlier], details: BillingDetails, drafted: Invoice | None
    ) -> _Read | Closing:
        """What has to be counted to make a draft anew, or for an invoice of what came late where the subscription has
        ended; one that goes on has it on its next period's invoice."""
        late_from = one.late_from(cut)
        if late_from is not None and drafted is not None:
            others = [other for other in earlier if other.id != drafted.id]
            reopened = anew(drafted, one.subscription, self._offer, others, details, late_from)
            if reopened is not None:
                return _Read(one, reopened, cut, drafted)
        if late_from is not None and one.ended:
            late = ask_late(one.subscription, one.period, self._offer, earlier, details, late_from)
            return _Read(one, late, cut)
        return _unchanged(one, cut)

    def _closing(self, read: _Read, counted: Sequence[Quantities]) -> Closing:
        work, reopened, seq = read.work, read.reopened, read.cut.seq
        one, version = work.subscription, work.claimed.version
        hours, closes_at = self._catalog.seller.draft_hours, work.closes_at
        if reopened is not None:
            if not changes(read.draft, reopened, counted):
                return _unchanged(work, read.cut)
            made = replace(read.draft.make(counted, seq), id=reopened.id, finalize_at=reopened.finalize_at)
            return Closing(one, version, one, closes_at, made, seq, hours, False, reopened.id)
        invoice = read.draft.make(counted, seq)
        if work.ended:
            return Closing(one, version, one, closes_at, invoice if invoice.lines else None, seq, hours)
        after = replace(one, billed_until=work.period.end)
        # At the begin of what is only charged in arrears there is nothing to charge yet.
        empty = work.period.start == work.period.end and not invoice.lines
        return Closing(one, version, after, self._closes_at(after), None if empty else invoice, seq, hours)

    def _closes_at(self, subscription: Subscription) -> int | None:
        period = self._next(subscription)
        return None if period is None else period.end

    async def _save(self, closings: Sequence[Closing]) -> list[str]:
        """Saves them; the subscriptions that have to be read again."""
        try:
            again = set(await self._store.save(self._tenant, closings))
        except RaceLostError:
            return [one.before.id for one in closings]
        except DataRefusedError as error:
            if len(closings) == 1:
                (one,) = closings
                await self._noted(one.before.id, one.after.billed_until or 0, Reason.SERVER_FAULT, str(error))
                return []
            return [id_ for one in closings for id_ in await self._save([one])]
        done = [one for one in closings if one.before.id not in again]
        self._closed.periods += sum(one.after is not one.before for one in done)
        self._closed.invoices += sum(one.invoice is not None for one in done)
        return sorted(again)

    async def _told(self, claimed: Claimed, end: int, step: Callable[..., T], *arguments: object) -> T | Failure:
        """What the step makes, or the failure that was noted: no step of one subscription stops the others."""
        if self._closed.gently:
            await asyncio.sleep(0)
        try:
            return step(*arguments)
        except Exception as error:  # noqa: BLE001  it is noted with the period, and shown until it is made good
            return await self._note(claimed, end, error)

    async def _note(self, claimed: Claimed, end: int, error: Exception) -> Failure:
        if isinstance(error, MetergateError):
            return await self._noted(claimed.subscription.id, end, error.reason, error.message)
        log.error("the period of %s cannot be closed", claimed.subscription.id, exc_info=error)
        return await self._noted(claimed.subscription.id, end, Reason.SERVER_FAULT, f"{type(error).__name__}: {error}")

    async def _noted(self, subscription: str, end: int, reason: Reason, message: str) -> Failure:
        failure = Failure(self._tenant, subscription, end, reason.value, message)
        self._closed.failed.append((subscription, reason.value))
        await self._store.failed(failure)
        return failure


def _unchanged(one: _Work, cut: Cut) -> Closing:
    """Nothing is made; what came late is left to the next period's invoice."""
    return Closing(
        one.subscription, one.claimed.version, one.subscription, one.closes_at, None, cut.seq, 0, settles_late=False
    )


def _chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[first : first + size] for first in range(0, len(items), size)]
