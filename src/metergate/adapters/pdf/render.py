"""Invoices and credit notes as PDF files, made in a thread of their own: setting a long one takes a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

from metergate.adapters.pdf.paper import Paper, of_credit_note, of_invoice
from metergate.adapters.pdf.press import Press
from metergate.domain import period
from metergate.domain.invoice import CreditNote, Invoice


class TypstRenderer:
    """`app.billing.pdf.Renderer`; one paper at a time, the others wait their turn."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pdf")

    async def invoice(self, invoice: Invoice, time_zone: str) -> bytes:
        """See `Renderer.invoice`."""
        zone = period.zone(time_zone)
        at = invoice.created_at if invoice.finalized_at is None else invoice.finalized_at
        return await self._set(lambda: of_invoice(invoice, zone), invoice.seller.logo, at)

    async def credit_note(self, note: CreditNote, invoice: Invoice, time_zone: str) -> bytes:
        """See `Renderer.credit_note`."""
        zone = period.zone(time_zone)
        return await self._set(lambda: of_credit_note(note, invoice, zone), invoice.seller.logo, note.created_at)

    def close(self) -> None:
        """Lets go of the thread; papers that it has not begun are not made."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _set(self, paper: Callable[[], Paper], logo: bytes, at: int) -> bytes:
        def work() -> bytes:
            return self._press.pdf(paper(), logo, at)

        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    @cached_property
    def _press(self) -> Press:
        # Made by the thread, with the first paper: it reads some 25 MB of fonts.
        return Press()
