"""Invoices: showing them, closing drafts under a number, and what becomes of closed ones.

Each change is one commit under the customer's head, with the news of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from metergate.app.billing.ids import new_id
from metergate.app.billing.ports import FinalizingChange, InvoiceChange, InvoiceQuery, InvoiceStore
from metergate.app.directory import Directory
from metergate.app.stores import Once
from metergate.domain import credit, settling
from metergate.domain.access import Principal
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import CreditLine, CreditNote, Invoice, InvoiceState, Payment
from metergate.domain.news import NewsKind

__all__ = ["Crediting", "InvoiceQuery", "Invoices", "Paying", "Payment", "finalize"]

Step = Callable[[InvoiceChange, Invoice, int], Awaitable[Invoice]]


@dataclass(frozen=True, slots=True)
class Paying:
    """A payment that was received: minor units of `currency` ("" = the invoice's); None = all that is left."""

    amount: int | None
    method: str = ""
    reference: str = ""
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Crediting:
    """What to take back of an invoice, in `currency` ("" = the invoice's): of these lines, or (None) all that is
    left. With `amount`, so many minor units before tax, spread over what is left of its lines."""

    lines: Sequence[CreditLine] | None
    reason: str
    currency: str = ""
    amount: int | None = None


class Invoices:
    """The verbs. Those that take a `once` are done once: a repeat changes nothing, and what they return then is the
    invoice (or its last credit note) as it stands; what was answered first is in `once`."""

    def __init__(self, store: InvoiceStore, directory: Directory) -> None:
        self._store = store
        self._directory = directory

    async def get(self, principal: Principal, id: str) -> Invoice:
        """One invoice.

        Raises:
            MetergateError: INVOICE_NOT_FOUND.
        """
        found = await self._store.get(principal.tenant, id)
        if found is None:
            raise settling.not_found(id)
        return found

    async def list(self, principal: Principal, query: InvoiceQuery) -> list[Invoice]:
        """A page of invoices, those of the latest period first, without their lines and logos.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND.
        """
        if query.customer and await self._directory.customer(principal.tenant, query.customer) is None:
            shown = query.customer[:80]
            message = f"no customer is called {shown!r}"
            raise MetergateError(Reason.CUSTOMER_NOT_FOUND, message, {"customer": shown})
        return await self._store.list(principal.tenant, query)

    async def credit_notes(self, principal: Principal, id: str) -> Sequence[CreditNote]:
        """An invoice's credit notes, oldest first.

        Raises:
            MetergateError: INVOICE_NOT_FOUND.
        """
        await self.get(principal, id)
        return await self._store.credit_notes(principal.tenant, id)

    async def payments(self, principal: Principal, id: str) -> Sequence[Payment]:
        """An invoice's payments, oldest first.

        Raises:
            MetergateError: INVOICE_NOT_FOUND.
        """
        await self.get(principal, id)
        return await self._store.payments(principal.tenant, id)

    async def finalize(
        self,
        principal: Principal,
        id: str,
        once: Once | None = None,
        notes: str = "",
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> Invoice:
        """Closes a draft: it gets its number, and seller and buyer as they are now. One with nothing to pay is paid.
        With `notes` and `metadata`, these stand on it.

        Raises:
            MetergateError: INVOICE_NOT_FOUND, INVOICE_STATE, REQUEST_ID_REUSED.
        """
        async with self._store.change(principal.tenant) as change:
            repeated = await change.repeated(once)
            draft = await _locked(change, id)
            if repeated:
                return draft
            settling.check_draft(draft)
            (closed,) = await finalize(change, [replace(draft, notes=notes, metadata=metadata)])
            await change.remember(once, closed)
        return closed

    async def pay(self, principal: Principal, id: str, paying: Paying, once: Once | None = None) -> Invoice:
        """Records a payment of an open or uncollectible invoice, of all that is left or a part of it.

        Raises:
            MetergateError: INVOICE_NOT_FOUND, INVOICE_STATE, FIELD_INVALID on `amount`, CURRENCY_MISMATCH,
                PAYMENT_TOO_LARGE, REQUEST_ID_REUSED.
        """
        async with self._store.change(principal.tenant) as change:
            repeated = await change.repeated(once)
            before = await _locked(change, id)
            if repeated:
                return before
            _check_currency(before, paying.currency)
            now = await change.now()
            after, amount = settling.paid(before, paying.amount, now)
            payment = Payment(new_id("pay", now), id, amount, paying.method, paying.reference, now)
            await change.pay(payment)
            await _save(change, before, after, now)
            await change.remember(once, after)
        return after

    async def void(self, principal: Principal, id: str, once: Once | None = None) -> Invoice:
        """Takes an invoice of which nothing was paid, and no other invoice gave anything back, out of what is owed.

        What was counted for it stays counted: it is waived, and no later invoice charges for it. What it gave back of
        an earlier invoice is as little given again by a later one: it counts as not given, so that all of the earlier
        invoice may be credited by hand. What it carried over from one below zero, the next invoice carries over again.

        Raises:
            MetergateError: INVOICE_NOT_FOUND, INVOICE_STATE, REQUEST_ID_REUSED.
        """

        async def step(change: InvoiceChange, before: Invoice, now: int) -> Invoice:
            return settling.voided(before, (await change.beside(before)).others, now)

        return await self._step(principal, id, step, once)

    async def mark_uncollectible(self, principal: Principal, id: str, once: Once | None = None) -> Invoice:
        """Says of an open invoice that nobody expects its payment any more.

        Raises:
            MetergateError: INVOICE_NOT_FOUND, INVOICE_STATE, REQUEST_ID_REUSED.
        """

        async def step(_: InvoiceChange, before: Invoice, __: int) -> Invoice:
            return settling.uncollectible(before)

        return await self._step(principal, id, step, once)

    async def credit(self, principal: Principal, id: str, crediting: Crediting, once: Once | None = None) -> CreditNote:
        """Takes a closed invoice, or parts of it, back with a credit note of its own number. An open one of which
        nothing is left to pay is paid. What another invoice (a draft, too) gave back of it is not given twice; when
        that invoice is itself credited or void, it is left of this one again.

        Raises:
            MetergateError: INVOICE_NOT_FOUND, INVOICE_STATE, FIELD_INVALID, CURRENCY_MISMATCH, CREDIT_TOO_LARGE,
                REQUEST_ID_REUSED.
        """
        async with self._store.change(principal.tenant) as change:
            repeated = await change.repeated(once)
            before = await _locked(change, id)
            notes, others = await change.beside(before)
            if repeated:
                return notes[-1]
            settling.check_creditable(before)
            _check_currency(before, crediting.currency)
            amount = crediting.amount
            lines = crediting.lines if amount is None else credit.lines_for(before, amount, notes, others)
            said = credit.credit(before, lines, notes, others)
            now = await change.now()
            after = settling.credited(before, said.total, now)
            number = settling.number_of(settling.CREDIT_SERIES, await change.take_numbers(settling.CREDIT_SERIES, 1))
            note = CreditNote(
                new_id("cn", now), number, id, before.customer, before.currency, said.lines, said.taxes, said.total,
                crediting.reason, now,
            )  # fmt: skip
            await change.credit(note)
            await _save(change, before, after, now)
            await change.remember(once, note)
        return note

    async def _step(self, principal: Principal, id: str, step: Step, once: Once | None) -> Invoice:
        async with self._store.change(principal.tenant) as change:
            repeated = await change.repeated(once)
            before = await _locked(change, id)
            if repeated:
                return before
            now = await change.now()
            after = await step(change, before, now)
            await _save(change, before, after, now)
            await change.remember(once, after)
        return after


async def finalize(change: FinalizingChange, drafts: Sequence[Invoice]) -> list[Invoice]:
    """Closes drafts of one tenant, which the change holds. Their numbers come last: from then on all others of the
    series wait for this commit."""
    seller = await change.seller()
    buyers = await change.buyers(sorted({draft.customer for draft in drafts}))
    now = await change.now()
    first = await change.take_numbers(seller.series, len(drafts))
    closed = [
        settling.finalized(draft, settling.number_of(seller.series, place), seller, buyers[draft.customer], now)
        for place, draft in enumerate(drafts, first)
    ]
    await change.close(closed)
    await change.tell(NewsKind.FINALIZED, closed, now)
    await change.tell(NewsKind.PAID, [one for one in closed if one.state is InvoiceState.PAID], now)
    return closed


async def _locked(change: InvoiceChange, id: str) -> Invoice:
    found = await change.lock(id)
    if found is None:
        raise settling.not_found(id)
    return found


_NEWS = {InvoiceState.PAID: NewsKind.PAID, InvoiceState.VOID: NewsKind.VOIDED}


async def _save(change: InvoiceChange, before: Invoice, after: Invoice, now: int) -> None:
    await change.save(after)
    kind = _NEWS.get(after.state)
    if kind is not None and after.state is not before.state:
        await change.tell(kind, [after], now)


def _check_currency(invoice: Invoice, currency: str) -> None:
    if currency not in ("", invoice.currency):
        message = f"the invoice is in {invoice.currency}, and this in {currency}"
        raise MetergateError(Reason.CURRENCY_MISMATCH, message, {"invoice": invoice.id, "currency": invoice.currency})
