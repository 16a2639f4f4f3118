"""RecordUsage: facts go into the ledger, exactly once, and are never refused for quota."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from metergate.app.directory import Directory
from metergate.app.ports import View
from metergate.app.usage.commit import UsageCommitter
from metergate.app.usage.lane import Lane
from metergate.domain.access import Principal
from metergate.domain.posting import NOBODY, Pending
from metergate.domain.usage import Event, Receipt

# Requests that may hold a connection while they wait for a busy head; the pool is larger, so that others go on.
WAITERS_MOST = 4


@dataclass(frozen=True, slots=True)
class Recorded:
    """A receipt for each event, in order, and the `seq` at which each customer's facts were written."""

    receipts: list[Receipt]
    seqs: dict[str, int]


class RecordUsage:
    """The verb. Requests of one tenant share commits."""

    def __init__(self, committer: UsageCommitter, directory: Directory, view: View) -> None:
        self._committer = committer
        self._directory = directory
        self._view = view
        self._lanes: dict[str, Lane] = {}
        self._waiters = asyncio.Semaphore(WAITERS_MOST)

    async def record(self, principal: Principal, events: Sequence[Event | Receipt], backfill: bool) -> Recorded:
        """Records events; those that are receipts already (malformed ones) pass through in their place.

        Returns after the commit and never before.

        Raises:
            MetergateError: OVERLOADED, LEDGER_UNAVAILABLE, OUTCOME_UNKNOWN: nothing is known to be recorded,
                and the same call may be repeated.
        """
        tenant = principal.tenant
        good = [event for event in events if isinstance(event, Event)]
        if not good:
            return Recorded([event for event in events if isinstance(event, Receipt)], {})
        owners = await self._directory.owners(tenant, {event.subject for event in good}, make=True)
        pending = [Pending(event, owners.get(event.subject, NOBODY), backfill) for event in good]
        entry = await self._lane(tenant).submit(pending)
        receipts = iter(entry.receipts)
        merged = [event if isinstance(event, Receipt) else next(receipts) for event in events]
        return Recorded([receipt for receipt in merged if receipt is not None], entry.seqs)

    async def drain(self) -> None:
        """Waits until everything that was accepted for recording is answered."""
        await asyncio.gather(*(lane.drain() for lane in self._lanes.values()))

    def _lane(self, tenant: str) -> Lane:
        lane = self._lanes.get(tenant)
        if lane is None:
            for other in [name for name, lane in self._lanes.items() if lane.idle]:
                del self._lanes[other]
            lane = self._lanes[tenant] = Lane(tenant, self._committer, self._view, self._waiters)
        return lane
