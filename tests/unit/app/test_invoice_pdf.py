"""Which invoice, in whose name and on whose clock a PDF is made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from metergate.app.billing.pdf import InvoicePdf
from metergate.domain.access import Principal
from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import CreditNote, Invoice, InvoiceState
from metergate.domain.offer import NO_DETAILS, NO_SELLER
from metergate.domain.price import Interval
from metergate.domain.subscription import Subscription
from tests.unit.adapters.papers import BUYER, NOTE, SELLER, invoice

ME = Principal("tenant", "service", "key")


class Kept:
    """What the stores have, of one tenant; and the renderer, which tells what it was given."""

    def __init__(self, *invoices: Invoice, time_zone: str = "Asia/Tokyo") -> None:
        self._invoices = {one.id: one for one in invoices}
        self._subscription = Subscription("sub_1", "acme", "USD", Interval.MONTH, 0, time_zone, ())
        self.given: list[Any] = []

    async def get(self, tenant: str, id: str) -> Any:
        assert tenant == ME.tenant
        return self._subscription if id == self._subscription.id else self._invoices.get(id)

    async def credit_notes(self, tenant: str, id: str) -> list[CreditNote]:
        assert tenant == ME.tenant
        return [replace(NOTE, id="cn_0", number="CN-000000"), NOTE] if id in self._invoices else []

    async def details(self, tenant: str, customer: str) -> Any:
        assert (tenant, customer) == (ME.tenant, "acme")
        return BUYER

    async def catalog(self, tenant: str) -> Catalog:
        assert tenant == ME.tenant
        return Catalog((), (), seller=SELLER)

    async def invoice(self, *given: Any) -> bytes:
        self.given = [*given]
        return b"invoice"

    async def credit_note(self, *given: Any) -> bytes:
        self.given = [*given]
        return b"credit note"

    def verb(self) -> InvoicePdf:
        return InvoicePdf(self, self, self, self)  # type: ignore[arg-type]


async def test_a_closed_invoice_is_as_it_was_closed() -> None:
    closed = invoice(seller=replace(SELLER, name="Before"), buyer=replace(BUYER, name="Then"))
    kept = Kept(closed)
    assert await kept.verb().pdf(ME, closed.id) == b"invoice"
    assert kept.given == [closed, "Asia/Tokyo"]


async def test_a_draft_shows_the_parties_as_they_are_now() -> None:
    draft = invoice(state=InvoiceState.DRAFT, seller=NO_SELLER, buyer=NO_DETAILS)
    kept = Kept(draft)
    await kept.verb().pdf(ME, draft.id)
    assert kept.given == [replace(draft, seller=SELLER, buyer=BUYER), "Asia/Tokyo"]


async def test_a_credit_note_is_found_on_its_invoice() -> None:
    kept = Kept(invoice())
    assert await kept.verb().credit_note_pdf(ME, "inv_1", NOTE.id) == b"credit note"
    assert kept.given == [NOTE, invoice(), "Asia/Tokyo"]


async def test_what_is_not_there_is_named() -> None:
    verb = Kept(invoice()).verb()
    for asked in (verb.pdf(ME, "inv_9"), verb.credit_note_pdf(ME, "inv_9", "cn_1")):
        with pytest.raises(MetergateError, match="inv_9") as caught:
            await asked
        assert caught.value.reason is Reason.INVOICE_NOT_FOUND
    with pytest.raises(MetergateError, match="credit note with the id 'cn_9'"):
        await verb.credit_note_pdf(ME, "inv_1", "cn_9")
