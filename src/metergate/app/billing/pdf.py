"""Invoices and credit notes as PDF files: made when they are asked for, of the same data always the same bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from metergate.app.billing.ports import InvoiceReader, SubscriptionStore
from metergate.app.directory import Directory
from metergate.domain import settling
from metergate.domain.access import Principal
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import CreditNote, Invoice, InvoiceState

_UTC = "UTC"


class Renderer(Protocol):
    """Sets papers, days in an IANA time zone."""

    async def invoice(self, invoice: Invoice, time_zone: str) -> bytes:
        """The invoice as it stands.

        Raises:
            MetergateError: FIELD_INVALID on `seller.logo`: it is no picture that can be drawn.
        """
        ...

    async def credit_note(self, note: CreditNote, invoice: Invoice, time_zone: str) -> bytes:
        """A credit note on the invoice; raises the same."""
        ...


class InvoicePdf:
    """The verb. A draft shows who sells and who buys as they are now, for that is what closing it will write."""

    def __init__(
        self, invoices: InvoiceReader, subscriptions: SubscriptionStore, directory: Directory, renderer: Renderer
    ) -> None:
        self._invoices = invoices
        self._subscriptions = subscriptions
        self._directory = directory
        self._renderer = renderer

    async def pdf(self, principal: Principal, id: str) -> bytes:
        """An invoice.

        Raises:
            MetergateError: INVOICE_NOT_FOUND, FIELD_INVALID on `seller.logo`.
        """
        invoice = await self._invoice(principal.tenant, id)
        return await self._renderer.invoice(invoice, await self._time_zone(principal.tenant, invoice))

    async def credit_note_pdf(self, principal: Principal, id: str, note: str) -> bytes:
        """One of an invoice's credit notes.

        Raises:
            MetergateError: INVOICE_NOT_FOUND, also where the invoice has no such credit note; FIELD_INVALID on
                `seller.logo`.
        """
        invoice = await self._invoice(principal.tenant, id)
        for one in await self._invoices.credit_notes(principal.tenant, id):
            if one.id == note:
                time_zone = await self._time_zone(principal.tenant, invoice)
                return await self._renderer.credit_note(one, invoice, time_zone)
        shown = note[:80]
        message = f"the invoice has no credit note with the id {shown!r}"
        raise MetergateError(Reason.INVOICE_NOT_FOUND, message, {"invoice": id, "credit_note": shown})

    async def _invoice(self, tenant: str, id: str) -> Invoice:
        found = await self._invoices.get(tenant, id)
        if found is None:
            raise settling.not_found(id)
        if found.state is not InvoiceState.DRAFT:
            return found
        seller = (await self._directory.catalog(tenant)).seller
        return replace(found, seller=seller, buyer=await self._subscriptions.details(tenant, found.customer))

    async def _time_zone(self, tenant: str, invoice: Invoice) -> str:
        """On whose clock its periods begin: that of its subscription, which is fixed when that is made."""
        subscription = await self._subscriptions.get(tenant, invoice.subscription)
        return subscription.time_zone if subscription else _UTC
