"""Begins and ends grants whose time has come, for customers who use nothing meanwhile. Every process does it; the
heads' locks let one of them do it once."""

from __future__ import annotations

import asyncio
import logging
from itertools import groupby

from metergate.app.ports import Ledger
from metergate.app.usage.lane import Lanes
from metergate.domain.errors import MetergateError
from metergate.domain.work import DueGrants

log = logging.getLogger(__name__)

_AT_ONCE = 500


class MakeGrantsDue:
    """The verb. A customer whose head is held delays nobody else's grants: what is under way is left to itself."""

    def __init__(self, ledger: Ledger, lanes: Lanes) -> None:
        self._ledger = ledger
        self._lanes = lanes
        self._under_way: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def make_due(self) -> None:
        """Has all that is due and not under way begin or end, and waits until it has."""
        if begun := await self._begin():
            await asyncio.wait(begun)

    async def begin(self) -> None:
        """Sees to all that is due and not under way, without waiting for it.

        Raises:
            LedgerUnavailableError: tried again with the next round.
        """
        await self._begin()

    async def _begin(self) -> list[asyncio.Task[None]]:
        waiting = [list(column) for column in zip(*self._under_way, strict=True)] or [[], []]
        due = sorted(await self._ledger.due_grants(_AT_ONCE, *waiting))
        begun = []
        for (tenant, customer), group in groupby(due, key=lambda one: one[:2]):
            works = [DueGrants(customer, meter) for _, _, meter in group]
            task = asyncio.create_task(self._make_due(tenant, customer, works))
            self._under_way[tenant, customer] = task
            begun.append(task)
        return begun

    async def _make_due(self, tenant: str, customer: str, works: list[DueGrants]) -> None:
        try:
            await self._lanes.submit(tenant, works)
        except MetergateError as error:
            log.info("grants of %s/%s begin or end later: %s", tenant, customer, error.message)
        finally:
            del self._under_way[tenant, customer]
