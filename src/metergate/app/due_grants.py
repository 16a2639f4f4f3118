"""Begins and ends grants whose time has come, for customers who use nothing meanwhile. Every process does it; the
heads' locks let one of them do it once."""

from __future__ import annotations

from itertools import groupby

from metergate.app.ports import Ledger
from metergate.app.usage.lane import Lanes
from metergate.domain.work import DueGrants

_AT_ONCE = 500


class MakeGrantsDue:
    """The verb."""

    def __init__(self, ledger: Ledger, lanes: Lanes) -> None:
        self._ledger = ledger
        self._lanes = lanes

    async def make_due(self) -> None:
        """Begins and ends what is due.

        Raises:
            LedgerUnavailableError, MetergateError: tried again with the next round.
        """
        due = sorted(await self._ledger.due_grants(_AT_ONCE))
        for tenant, group in groupby(due, key=lambda one: one[0]):
            await self._lanes.submit(tenant, [DueGrants(customer, meter) for _, customer, meter in group])
