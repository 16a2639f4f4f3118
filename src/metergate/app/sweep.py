"""Sweep: what a process committed and could not publish, because it or Redis died, the view forgets.

Customers with recent facts are found from the ledger; where the view's `seq` is behind the head's, its hash is
dropped and will be read through. Where it isn't, the publication changes nothing.
"""

from __future__ import annotations

from metergate.app import clock
from metergate.app.ports import Publication, SweepSource, View
from metergate.domain import period

_MARGIN = 10 * period.SECOND  # commits take less from their clock reading to their end
_LOOK_BACK = period.HOUR  # at the start, when nobody knows when the last sweep was


class SweepView:
    """The verb; remembers up to when it has swept."""

    def __init__(self, source: SweepSource, view: View) -> None:
        self._source = source
        self._view = view
        self._swept = 0

    async def sweep(self) -> None:
        """Sweeps what was recorded since the last time.

        While the view is away nothing is swept, and the next sweep begins where the last one ended.
        """
        if not self._view.up:
            return
        began = clock.now()
        since = (self._swept or began - _LOOK_BACK) - _MARGIN
        heads = await self._source.recent_heads(since)
        for (tenant, catalog_version), customers in heads.items():
            news = [Publication(customer, seq, seq, {}, ()) for customer, seq in customers]
            await self._view.publish(tenant, catalog_version, began, news)
        if self._view.up:
            self._swept = began
