"""Closing periods: each subscription's period that is over becomes a draft.

The order of the steps, for some subscriptions at once: claim them; cut, after which rows that count before the
period's end are marked as late; read heads, earlier invoices and quantities in one snapshot; make the drafts, which is
pure; save them under the customers' heads, each that still is as it was read. A process that dies in between leaves
nothing but the cut, and whoever comes after makes the same drafts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from itertools import groupby

from metergate.app.billing.close_batch import CloseBatch, Closed
from metergate.app.billing.close_ports import BillingReader, Claim, Claimed, CloseStore, Failure
from metergate.app.catch_up import CatchUp
from metergate.app.directory import Directory
from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason

_BATCH = 200  # subscriptions that are read in one snapshot
_GENTLE_BATCH = 4  # beside calls that are answered, who wait for no more than these
_REST = 2.0  # after each of these, times as long as it took
_OTHERS_SECONDS = 60.0  # for which others are waited for
_LOOK_SECONDS = 0.05
_LATE_SECONDS = 30.0  # between two looks of the loop at what came late
_RETRY_SECONDS = 60.0  # before the loop tries again what failed

Progress = Callable[[int, int], None]
"""Told how many periods are closed, and how many there were to close."""


class ClosePeriods:
    """The verb. `at_once` batches are closed at a time, by all who ask this process: each holds a connection while it
    takes two others, so that more of them could wait for each other."""

    def __init__(
        self, store: CloseStore, reader: BillingReader, directory: Directory, catch_up: CatchUp, at_once: int = 1
    ) -> None:
        self._store = store
        self._reader = reader
        self._directory = directory
        self._catch_up = catch_up
        self._resting: dict[str, float] = {}
        self._late_at = 0.0
        self._claims = asyncio.Semaphore(at_once)

    async def work(self) -> None:
        """A round of the loop: closes what is due, a few at a time and with pauses, since calls are answered by the
        same process. What failed rests for a minute."""
        now = asyncio.get_running_loop().time()
        self._resting = {id_: until for id_, until in self._resting.items() if until > now}
        late = now >= self._late_at
        closed = await self._run(None, await self._store.now(), None, set(self._resting), None, 0, late, gently=True)
        if late:
            self._late_at = now + _LATE_SECONDS
        self._resting |= {id_: now + _RETRY_SECONDS for id_, _ in closed.failed}

    async def close(
        self,
        tenant: str | None = None,
        now: int | None = None,
        subscriptions: Collection[str] | None = None,
        progress: Progress | None = None,
    ) -> Closed:
        """Closes all periods that are over at `now` (None = the database's clock): of a tenant (None = of all), of the
        named subscriptions (None = of all). Several may do so at once, and each period is closed by one of them.

        Raises:
            MetergateError: PERIOD_OPEN where no named subscription has a period that is over; LEDGER_UNAVAILABLE.
        """
        try:
            at = await self._store.now() if now is None else now
            due = await self._store.due(Claim(tenant, at, _BATCH, subscriptions))
            closed = await self._run(tenant, at, subscriptions, set(), progress, due)
            await self._others(Claim(tenant, at, _BATCH, subscriptions, {id_ for id_, _ in closed.failed}), closed)
        except LedgerUnavailableError:
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None
        if subscriptions and not (due or closed.invoices):
            named = ", ".join(sorted(subscriptions)[:5])
            message = f"the period of {named} is not over, or has been invoiced"
            raise MetergateError(Reason.PERIOD_OPEN, message, {"subscription": named})
        return closed

    async def _others(self, claim: Claim, closed: Closed) -> None:
        """Waits for others who close some of them, so that all are closed; what they leave, as they die, is closed."""
        done, waited = set(claim.passed), 0.0
        while waited < _OTHERS_SECONDS and await self._store.due(claim._replace(passed=done)):
            await asyncio.sleep(_LOOK_SECONDS)
            waited += _LOOK_SECONDS
            await self._some(claim._replace(passed=done), closed, done)

    async def failures(self, tenant: str) -> list[Failure]:
        """What could not be closed and was not made good since, the latest first."""
        return await self._store.failures(tenant)

    async def _run(
        self,
        tenant: str | None,
        now: int,
        wanted: Collection[str] | None,
        passed: set[str],
        progress: Progress | None,
        total: int = 0,
        late: bool = True,
        gently: bool = False,
    ) -> Closed:
        closed, most = Closed(gently=gently), _GENTLE_BATCH if gently else _BATCH
        for of_late in (True, False) if late else (False,):  # a draft is made anew only while it is the last
            done = set(passed)
            while await self._some(Claim(tenant, now, most, wanted, done, of_late), closed, done):
                if progress:
                    progress(closed.periods, max(total, closed.periods))
        return closed

    async def _some(self, claim: Claim, closed: Closed, done: set[str]) -> bool:
        """Closes some; whether there were any. A subscription with several periods that are over comes again."""
        clock = asyncio.get_running_loop().time
        began = clock()
        async with self._claims, self._store.claim(claim) as claimed:
            for tenant, mine in groupby(sorted(claimed, key=_tenant), _tenant):
                work = list(mine)
                catalog = await self._catalog(tenant, max(one.catalog_version for one in work))
                batch = CloseBatch(self._store, self._reader, self._catch_up, tenant, catalog, closed)
                await batch.close(work, claim.now, claim.late)
        if closed.gently:
            await asyncio.sleep(_REST * (clock() - began))
        done |= {one.subscription.id for one in claimed} if claim.late else {id_ for id_, _ in closed.failed}
        return bool(claimed)

    async def _catalog(self, tenant: str, version: int) -> Catalog:
        """The tenant's catalog, at least of that version: word of a new one may not have come yet."""
        catalog = await self._directory.catalog(tenant)
        if catalog.version < version:
            self._directory.forget("catalog", tenant, "")
            catalog = await self._directory.catalog(tenant)
        return catalog


def _tenant(claimed: Claimed) -> str:
    return claimed.tenant
