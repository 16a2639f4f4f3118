"""Brings a customer's rollups up to the catalog: after a meter came or changed, before they are used again.

It may have a customer's whole history to read, so it is done in a transaction of its own, once for all who need it,
and a few customers at a time: neither other customers nor other tenants wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from metergate.app import clock
from metergate.app.ports.ledger import Ledger
from metergate.app.ports.view import Publication, View
from metergate.domain.catalog import Catalog
from metergate.domain.posting import NOBODY, Head, Posting
from metergate.domain.posting import Ledger as Read
from metergate.domain.usage import AcceptWindow

# Customers that are brought up at a time; each holds a connection, and the pool is larger.
_AT_A_TIME = 2


def is_behind(head: Head, catalog: Catalog) -> bool:
    """Whether the customer's rollups lack something that the catalog's meters count."""
    return head.customer != NOBODY and head.metering_version < catalog.metering_version


class CatchUp:
    """The verb; idle where nothing is behind."""

    def __init__(self, ledger: Ledger, view: View) -> None:
        self._ledger = ledger
        self._view = view
        self._places = asyncio.Semaphore(_AT_A_TIME)
        self._under_way: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def bring_up(self, tenant: str, customers: Sequence[str]) -> None:
        """Makes the rollups of these customers complete. Who goes away meanwhile does not stop it for the others.

        Raises:
            LedgerUnavailableError, OutcomeUnknownError
        """
        for customer in customers:
            place = (tenant, customer)
            task = self._under_way.get(place)
            if task is None:
                task = self._under_way[place] = asyncio.create_task(self._bring_up(tenant, customer))
                task.add_done_callback(partial(self._finished, place))
            await asyncio.shield(task)

    def _finished(self, place: tuple[str, str], task: asyncio.Task[None]) -> None:
        self._under_way.pop(place, None)
        if not task.cancelled():
            task.exception()  # whoever still waits is told; that nobody does is no fault

    async def _bring_up(self, tenant: str, customer: str) -> None:
        async with self._places:
            async with self._ledger.commit(tenant) as commit:
                heads = await commit.lock([customer], wait=True)
                look = await commit.look([])
                catalog = await commit.catalog()
                behind = [head for head in heads.values() if is_behind(head, catalog)]
                for head in behind:
                    changed = sorted(meter.name for meter in catalog.meters if meter.since > head.metering_version)
                    await commit.catch_up([customer], changed)
                    await commit.write(Posting(), _read(head, catalog, look.now), {}, {}, [customer])
            for head in behind:
                news = Publication(customer, head.seq, head.seq + 1, {}, (), whole=True)
                await self._view.publish(tenant, catalog.version, look.now, [news])

    async def begin_anew(self, tenant: str, catalog: Catalog, customer: str, seq: int) -> bool:
        """Has the view forget a customer whose limits are others since `seq`. Commits move on the counters of the
        limits in force only: what the view holds of the earlier ones would be old when they come back. Returns whether
        it did."""
        return await self.begin_all_anew(tenant, catalog, {customer: seq})

    async def begin_all_anew(self, tenant: str, catalog: Catalog, seqs: Mapping[str, int]) -> bool:
        """The same of many customers, each with the `seq` since which its limits are others."""
        news = [Publication(customer, seq - 1, seq, {}, (), whole=True) for customer, seq in sorted(seqs.items())]
        return await self._view.publish(tenant, catalog.version, clock.now(), news)

    async def forget(self, tenant: str, catalog: Catalog, customers: Sequence[str]) -> bool:
        """Has the view forget that it ever knew of these customers. Returns whether it did."""
        return await self._view.forget(tenant, catalog.version, customers)


def _read(head: Head, catalog: Catalog, now: int) -> Read:
    return Read({head.customer: head}, {}, catalog, now, AcceptWindow())
