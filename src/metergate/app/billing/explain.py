"""ExplainInvoiceLine: from a line to the window, the quantity and the events behind it, worked out anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from metergate.app.billing.close_ports import BillingReader, EventPlace, LineReader, UsageAsked
from metergate.app.billing.ports import InvoiceReader, SubscriptionStore
from metergate.app.billing.reading import asked_of, offer_of
from metergate.app.directory import Directory
from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.app.ports.readers import RecordedEvent
from metergate.domain import settling
from metergate.domain.access import Principal
from metergate.domain.charge import UsageCharge, charges
from metergate.domain.draft import (
    COUNTED,
    Earlier,
    Offer,
    Quantities,
    Question,
    in_turn,
    is_of,
    lines_of,
    meter_of,
    said_of,
)
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.invoice import Invoice, Line, LineKind
from metergate.domain.period import Window
from metergate.domain.quantity import ZERO, add, subtract
from metergate.domain.subscription import Subscription

_EVENTS_MOST = 1_000  # in one page


@dataclass(frozen=True, slots=True)
class Explained:
    """What stands behind a line. `quantity` is all that the ledger counts in `window` for the line's label values, with
    rows up to the invoice's cut; `amount` is what that makes of the line. Both are worked out from the events, of which
    `events` is a page and `count` the number. Of a line that is not of usage they are what the line says."""

    line: Line
    quantity: Decimal | None
    amount: int
    window: Window
    events: list[RecordedEvent]
    count: int


class ExplainLine:
    """The verb."""

    def __init__(
        self,
        invoices: InvoiceReader,
        subscriptions: SubscriptionStore,
        reader: BillingReader,
        lines: LineReader,
        directory: Directory,
    ) -> None:
        self._invoices = invoices
        self._subscriptions = subscriptions
        self._reader = reader
        self._lines = lines
        self._directory = directory

    async def explain(
        self, principal: Principal, invoice: str, line: int, after: EventPlace | None = None, most: int = 100
    ) -> Explained:
        """What stands behind the line of that number, with the events behind `after`.

        Raises:
            MetergateError: INVOICE_NOT_FOUND; FIELD_INVALID on `line`; METER_NOT_FOUND, PLAN_NOT_FOUND, TOO_EXPENSIVE,
                LEDGER_UNAVAILABLE.
        """
        tenant = principal.tenant
        found = await self._invoices.get(tenant, invoice)
        if found is None:
            raise settling.not_found(invoice)
        one = next((each for each in found.lines if each.number == line), None)
        if one is None:
            raise invalid("line", f"the invoice has lines 1 to {len(found.lines)}")
        subscription = await self._subscriptions.get(tenant, found.subscription)
        if one.kind not in COUNTED or subscription is None:
            return Explained(one, one.quantity, one.amount, one.window, [], 0)
        try:
            return await self._of_usage(tenant, found, one, subscription, after, min(most, _EVENTS_MOST))
        except LedgerUnavailableError:
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None

    async def _of_usage(
        self, tenant: str, invoice: Invoice, line: Line, subscription: Subscription, after: EventPlace | None, most: int
    ) -> Explained:
        catalog = await self._directory.catalog(tenant)
        async with self._reader.snapshot(tenant, [invoice.customer]) as snapshot:
            earlier = (await snapshot.earlier({subscription.id: line.window.start}, invoice.created_at))[
                subscription.id
            ]
        question = _question(subscription, offer_of(catalog), earlier, invoice, line)
        asked = asked_of(subscription, question)
        # A LEVEL counts up to the present of the invoice.
        counted = await self._lines.counted(tenant, asked, invoice, invoice.created_at)
        amount = _amount(question, counted, invoice, line)
        narrowed = _narrowed(asked, line)
        events, count = await self._lines.events(tenant, narrowed, invoice, after, most)
        whole = ZERO
        for labels, quantity in counted:
            if labels == line.labels or line.kind in (LineKind.MINIMUM, LineKind.MAXIMUM):
                whole = add(whole, quantity)
        return Explained(line, whole, amount, line.window, events, count)


def _question(
    subscription: Subscription, offer: Offer, earlier: Sequence[Earlier], invoice: Invoice, line: Line
) -> Question:
    """The charge that the line is of, as it was asked for: of the invoice's own period, or of an earlier one."""
    periods = [invoice.period, *[one.period for one in earlier if one.id != invoice.id]]
    for place, period in enumerate(periods):
        _, usage = charges(subscription, offer.prices, period, [])
        for one in usage:
            if is_of(line, one):
                before, credited = said_of(one, [each for each in earlier if each.id != invoice.id])
                first, later = _in_turn(invoice, one)
                if line in later:
                    before = (*before, *first)
                # Of a subscription that ended, what came late is on an invoice whose period holds the window's end too.
                late = place > 0 or line in later or bool(before)
                return Question(one, meter_of(offer, one), late, before, credited)
    message = f"what line {line.number} charges for can no longer be told: its plan or its meter is another"
    raise MetergateError(Reason.METER_NOT_FOUND, message, {"meter": line.meter})


def _in_turn(invoice: Invoice, charge: UsageCharge) -> tuple[Sequence[Line], Sequence[Line]]:
    """What an invoice says of a window, and of what came late to that: a draft that was made anew says both of one."""
    return in_turn([one for one in invoice.lines if is_of(one, charge)])


def _amount(question: Question, counted: Quantities, invoice: Invoice, line: Line) -> int:
    """What the line comes to now: one of the invoice's own window without what it says of what came late."""
    if not question.late:
        quantities = dict(counted)
        for one in _in_turn(invoice, question.charge)[1]:
            if one.quantity is not None:
                quantities[one.labels] = subtract(quantities.get(one.labels, ZERO), one.quantity)
        counted = list(quantities.items())
    lines = [replace(one, number=0) for one in lines_of(question, counted)]
    same = [one for one in lines if (one.kind, one.labels, one.tier) == (line.kind, line.labels, line.tier)]
    return sum(one.amount for one in same)


def _narrowed(asked: UsageAsked, line: Line) -> UsageAsked:
    """Of the events, those with the line's label values."""
    return asked._replace(labels=(*asked.labels, *line.labels))
