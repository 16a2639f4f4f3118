"""Brings a customer's rollups up to the catalog before they are read.

A commit does this for the heads that it locks anyway; readers come here when they meet one that is behind.
"""

from __future__ import annotations

from collections.abc import Sequence

from metergate.app import clock
from metergate.app.ports import Ledger, Publication, View
from metergate.app.usage.commit import catch_up
from metergate.domain.catalog import Catalog
from metergate.domain.posting import Posting


class CatchUp:
    """The verb; idle where nothing is behind."""

    def __init__(self, ledger: Ledger, view: View) -> None:
        self._ledger = ledger
        self._view = view

    async def bring_up(self, tenant: str, customers: Sequence[str]) -> None:
        """Makes the rollups of these customers complete, one at a time, so that no two heads are held for it.

        Raises:
            LedgerUnavailableError, OutcomeUnknownError
        """
        for customer in customers:
            async with self._ledger.commit(tenant) as commit:
                heads = await commit.lock([customer], wait=True)
                look = await commit.look([])
                catalog = await commit.catalog()
                behind = await catch_up(commit, list(heads.values()), catalog)
                if behind:
                    await commit.write(Posting(), {}, [customer], catalog, look.now)
            if behind:
                seq = heads[customer].seq
                news = Publication(customer, seq, seq + 1, {}, (), whole=True)
                await self._view.publish(tenant, catalog.version, look.now, [news])

    async def begin_anew(self, tenant: str, catalog: Catalog, customer: str, seq: int) -> None:
        """Has the view forget a customer whose limits are others since `seq`. Commits move on the counters of the
        limits in force only: what the view holds of the earlier ones would be old when they come back."""
        news = Publication(customer, seq - 1, seq, {}, (), whole=True)
        await self._view.publish(tenant, catalog.version, clock.now(), [news])
