"""RecordUsage: facts go into the ledger, exactly once, and are never refused for quota."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from metergate.app.directory import Directory
from metergate.app.usage.lane import Lanes
from metergate.domain.access import Principal
from metergate.domain.posting import NOBODY
from metergate.domain.usage import Event, Receipt
from metergate.domain.work import Fact


@dataclass(frozen=True, slots=True)
class Recorded:
    """A receipt for each event, in order, and the `seq` at which each customer's facts were written."""

    receipts: list[Receipt]
    seqs: dict[str, int]


class RecordUsage:
    """The verb."""

    def __init__(self, lanes: Lanes, directory: Directory) -> None:
        self._lanes = lanes
        self._directory = directory

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
        facts = [Fact(event, owners.get(event.subject, NOBODY), backfill) for event in good]
        entry = await self._lanes.submit(tenant, facts)
        results = iter(entry.results)
        merged = [event if isinstance(event, Receipt) else next(results) for event in events]
        return Recorded([one for one in merged if isinstance(one, Receipt)], entry.seqs)
