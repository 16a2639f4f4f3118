"""Sweep: what a process committed and could not publish, because it or Redis died, the view forgets.

Customers with recent facts are found from the ledger, by the ledger's clock; where the view's `seq` is behind the
head's, its hash is dropped and will be read through. Where it isn't, the publication changes nothing.
"""

from __future__ import annotations

from metergate.app import clock
from metergate.app.ports.view import Publication, SweepSource, View
from metergate.domain import period

_EVERY = 5 * period.SECOND
_MARGIN = 10 * period.SECOND  # commits take less from their clock reading to their end
_LOOK_BACK = period.HOUR  # at the start, when nobody knows when the last sweep was


class SweepView:
    """The verb; remembers up to when it has swept."""

    def __init__(self, source: SweepSource, view: View) -> None:
        self._source = source
        self._view = view
        self._swept: int | None = None
        self._at = 0

    async def sweep(self) -> None:
        """Sweeps what was recorded since the last time that all of it was swept; at once when the view needs it to be
        trusted again, and otherwise now and then."""
        due = clock.now() - self._at >= _EVERY
        if not self._view.up or (self._view.trusted and not due):
            return
        self._at = clock.now()
        since = None if self._swept is None else self._swept - _MARGIN
        began, heads = await self._source.recent_heads(since, _LOOK_BACK)
        if self._swept is not None and began < self._swept:  # the ledger's clock was put back
            self._swept = None
            return
        for (tenant, catalog_version), customers in heads.items():
            news = [Publication(customer, seq, seq, {}, ()) for customer, seq in customers]
            if not await self._view.publish(tenant, catalog_version, began, news):
                return
        self._swept = began
        self._view.trust()
