"""Expire: ends the holds whose time ran out. Every process does it; the heads' locks let one of them do it once."""

from __future__ import annotations

from itertools import groupby

from metergate.app.ports import Ledger
from metergate.app.usage.lane import Lanes
from metergate.domain.work import Expire

_AT_ONCE = 500


class ExpireHolds:
    """The verb."""

    def __init__(self, ledger: Ledger, lanes: Lanes) -> None:
        self._ledger = ledger
        self._lanes = lanes

    async def expire(self) -> None:
        """Ends what is due: reservations give back, leases are forfeited.

        Raises:
            LedgerUnavailableError, MetergateError: tried again with the next round.
        """
        due = sorted(await self._ledger.due_holds(_AT_ONCE))
        for tenant, group in groupby(due, key=lambda one: one[0]):
            await self._lanes.submit(tenant, [Expire(id_, customer) for _, id_, customer in group])
