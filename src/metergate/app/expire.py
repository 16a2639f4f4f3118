"""Expire: ends the holds whose time ran out. Every process does it; the heads' locks let one of them do it once."""

from __future__ import annotations

import asyncio
import logging
from itertools import groupby

from metergate.app.ports import Ledger
from metergate.app.usage.lane import Lanes
from metergate.domain.errors import MetergateError
from metergate.domain.work import Expire

log = logging.getLogger(__name__)

_AT_ONCE = 500


class ExpireHolds:
    """The verb. A customer whose head is held delays nobody else's holds: what is under way is left to itself."""

    def __init__(self, ledger: Ledger, lanes: Lanes) -> None:
        self._ledger = ledger
        self._lanes = lanes
        self._under_way: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def expire(self) -> None:
        """Has all end that is due and not under way, and waits until it has."""
        if begun := await self._begin():
            await asyncio.wait(begun)

    async def begin(self) -> None:
        """Has all begin to end that is due and not under way: reservations give back, leases are forfeited.

        Raises:
            LedgerUnavailableError: tried again with the next round.
        """
        await self._begin()

    async def _begin(self) -> list[asyncio.Task[None]]:
        waiting = [list(column) for column in zip(*self._under_way, strict=True)] or [[], []]
        due = sorted(await self._ledger.due_holds(_AT_ONCE, *waiting), key=lambda one: (one[0], one[2]))
        begun = []
        for (tenant, customer), group in groupby(due, key=lambda one: (one[0], one[2])):
            works = [Expire(id_, customer) for _, id_, _ in group]
            task = asyncio.create_task(self._end(tenant, customer, works))
            self._under_way[tenant, customer] = task
            begun.append(task)
        return begun

    async def _end(self, tenant: str, customer: str, works: list[Expire]) -> None:
        try:
            await self._lanes.submit(tenant, works)
        except MetergateError as error:
            log.info("holds of %s/%s end later: %s", tenant, customer, error.message)
        finally:
            del self._under_way[tenant, customer]
