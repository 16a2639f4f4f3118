"""Drafts whose time has come are finalized, though nobody asks. Every process sees to it; the heads' locks let one of
them do it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import groupby

from metergate.app.billing.invoices import finalize
from metergate.app.billing.ports import DueDraft, InvoiceStore
from metergate.app.ports.ledger import DataRefusedError, RaceLostError
from metergate.domain.errors import MetergateError
from metergate.domain.period import MINUTE

log = logging.getLogger(__name__)

_AT_ONCE = 200
_LATER = 10 * MINUTE


class FinalizeDue:
    """The verb."""

    def __init__(self, store: InvoiceStore) -> None:
        self._store = store

    async def work(self) -> None:
        """Finalizes all that is due and whose customers' heads are free. A draft that cannot be is tried again later,
        and delays no other.

        Raises:
            LedgerUnavailableError: tried again with the next round.
        """
        done = 1
        while done:
            due = sorted(await self._store.due(_AT_ONCE))
            done = 0
            for tenant, drafts in groupby(due, key=lambda one: one.tenant):
                done += await self._finalize(tenant, list(drafts))

    async def _finalize(self, tenant: str, drafts: Sequence[DueDraft]) -> int:
        """How many of a tenant's drafts need no further look now."""
        try:
            async with self._store.change(tenant) as change:
                held = await change.lock_due([draft.invoice for draft in drafts])
                if held:
                    await finalize(change, held)
            return len(held)
        except (MetergateError, DataRefusedError, RaceLostError) as error:
            if len(drafts) > 1:
                return sum([await self._finalize(tenant, [draft]) for draft in drafts])
            log.error(
                "draft %s of %s cannot be finalized and is tried again later: %s", drafts[0].invoice, tenant, error
            )
            await self._store.postpone(drafts[0], _LATER)
            return 1
