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
from metergate.domain.errors import MetergateError, Reason

_BATCH = 200  # subscriptions that are read in one snapshot
_GENTLE_BATCH = 20  # beside calls that are answered
_RETRY_SECONDS = 60.0  # before the loop tries again what failed

Progress = Callable[[int, int], None]
"""Told how many periods are closed, and how many there were to close."""


class ClosePeriods:
    """The verb."""

    def __init__(self, store: CloseStore, reader: BillingReader, directory: Directory, catch_up: CatchUp) -> None:
        self._store = store
        self._reader = reader
        self._directory = directory
        self._catch_up = catch_up
        self._resting: dict[str, float] = {}

    async def work(self) -> None:
        """A round of the loop: closes what is due, a few at a time and with pauses, since calls are answered by the
        same process. What failed rests for a minute."""
        now = asyncio.get_running_loop().time()
        self._resting = {id_: until for id_, until in self._resting.items() if until > now}
        closed = await self._run(None, await self._store.now(), None, set(self._resting), None, gently=True)
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
            closed = await self._run(tenant, at, subscriptions, set(), progress)
        except LedgerUnavailableError:
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None
        if subscriptions and not (closed.periods or closed.invoices or closed.failed):
            named = ", ".join(sorted(subscriptions)[:5])
            message = f"the period of {named} is not over, or has been invoiced"
            raise MetergateError(Reason.PERIOD_OPEN, message, {"subscription": named})
        return closed

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
        gently: bool = False,
    ) -> Closed:
        closed, most = Closed(gently=gently), _GENTLE_BATCH if gently else _BATCH
        total = await self._store.due(tenant, now) if progress else 0
        for late in (True, False):  # first what came late: a draft is made anew only while it is the last
            done = set(passed)
            while await self._some(Claim(tenant, now, most, wanted, done, late), closed, done):
                if progress:
                    progress(closed.periods, max(total, closed.periods))
        return closed

    async def _some(self, claim: Claim, closed: Closed, done: set[str]) -> bool:
        """Closes some; whether there were any. A subscription with several periods that are over comes again."""
        clock = asyncio.get_running_loop().time
        began = clock()
        async with self._store.claim(claim) as claimed:
            for tenant, mine in groupby(sorted(claimed, key=_tenant), _tenant):
                catalog = await self._directory.catalog(tenant)
                batch = CloseBatch(self._store, self._reader, self._catch_up, tenant, catalog, closed)
                await batch.close(list(mine), claim.now, claim.late)
        if closed.gently:
            await asyncio.sleep(clock() - began)
        done |= {one.subscription.id for one in claimed} if claim.late else {id_ for id_, _ in closed.failed}
        return bool(claimed)


def _tenant(claimed: Claimed) -> str:
    return claimed.tenant
