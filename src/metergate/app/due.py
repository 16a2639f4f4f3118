"""What is due: holds end, and grants begin and end, when their time has come, though nobody asks.

Every process sees to it; the heads' locks let one of them do it once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby

from metergate.app.ports.ledger import Due, Ledger
from metergate.app.usage.lane import Lanes
from metergate.domain.errors import MetergateError
from metergate.domain.work import DueGrants, Expire, Work

log = logging.getLogger(__name__)

_AT_ONCE = 500

# At most so many, but none of these customers, by tenant and customer.
Find = Callable[[int, Sequence[str], Sequence[str]], Awaitable[list[Due]]]


class WhatIsDue:
    """Finds what is due and has it done. A customer whose head is held delays nobody else: what is under way is left
    to itself."""

    def __init__(self, find: Find, work: Callable[[Due], Work], lanes: Lanes) -> None:
        self._find = find
        self._work = work
        self._lanes = lanes
        self._under_way: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def finish(self) -> None:
        """Has all done that is due and not under way, and waits until it is."""
        if begun := await self._begin():
            await asyncio.wait(begun)

    async def begin(self) -> None:
        """Begins all that is due and not under way.

        Raises:
            LedgerUnavailableError: tried again with the next round.
        """
        await self._begin()

    async def _begin(self) -> list[asyncio.Task[None]]:
        waiting = [list(column) for column in zip(*self._under_way, strict=True)] or [[], []]
        due = sorted(await self._find(_AT_ONCE, *waiting))
        begun = []
        for (tenant, customer), group in groupby(due, key=lambda one: one[:2]):
            works = [self._work(one) for one in group]
            task = asyncio.create_task(self._do(tenant, customer, works))
            self._under_way[tenant, customer] = task
            begun.append(task)
        return begun

    async def _do(self, tenant: str, customer: str, works: Sequence[Work]) -> None:
        try:
            await self._lanes.submit(tenant, works)
        except MetergateError as error:
            log.info("what is due of %s/%s is done later: %s", tenant, customer, error.message)
        finally:
            del self._under_way[tenant, customer]


def due_holds(ledger: Ledger, lanes: Lanes) -> WhatIsDue:
    """Reservations give back, leases are forfeited."""
    return WhatIsDue(ledger.due_holds, lambda due: Expire(due.name, due.customer), lanes)


def due_grants(ledger: Ledger, lanes: Lanes) -> WhatIsDue:
    """Grants begin and end, of customers who use nothing meanwhile."""
    return WhatIsDue(ledger.due_grants, lambda due: DueGrants(due.customer, due.name), lanes)
