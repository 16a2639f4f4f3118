"""Drafts: from a subscription and what was counted to an invoice. Pure: what was read is an argument.

First `ask` says what a draft charges for and of which windows the ledger is asked; then `make` turns the quantities
into the invoice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from metergate.domain.charge import UsageCharge, charges
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import CreditLine, Invoice, InvoiceState, Line, LineKind
from metergate.domain.meter import LatePolicy, Meter
from metergate.domain.offer import NO_DETAILS, BillingDetails, Coupon, CouponDuration, TaxRate
from metergate.domain.period import Window
from metergate.domain.price import Price
from metergate.domain.subscription import AppliedCoupon, Subscription
from metergate.domain.totals import tax_rates_for, totals
from metergate.domain.usage_lines import late_lines, usage_lines

Labels = tuple[tuple[str, str], ...]
Quantities = Sequence[tuple[Labels, Decimal]]
PricesOf = Callable[[str, int], tuple[Price, ...]]

# Kinds of lines that say what was counted in a window, and what it cost.
COUNTED = frozenset({LineKind.USAGE, LineKind.MINIMUM, LineKind.MAXIMUM, LineKind.LATE, LineKind.UNBILLED})


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier invoice of the same subscription says, as far as a later one needs it. `lines` are those of a
    window that still matters. `discounted` = coupons took something off any of its lines."""

    id: str
    period: Window
    state: InvoiceState
    seq: int
    subtotal: int
    total: int
    lines: tuple[Line, ...] = ()
    credited: tuple[CreditLine, ...] = ()
    discounted: bool = False

    @property
    def uses_coupons(self) -> bool:
        """Whether it charges for anything, though other lines may give more back."""
        return self.stands and (self.subtotal > 0 or self.discounted)

    @property
    def stands(self) -> bool:
        """Whether it charges for anything. What was counted for a void one stays counted: it was waived."""
        return self.state is not InvoiceState.VOID


@dataclass(frozen=True, slots=True)
class Offer:
    """What a tenant's catalog says of prices, and for whom. `prices` raises where a plan's version is unknown."""

    prices: PricesOf
    meters: Mapping[str, Meter]
    coupons: Mapping[str, Coupon] = field(default_factory=dict)
    tax_rates: tuple[TaxRate, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A charge, and whether it is of a window that an earlier invoice charged for (`before`). `said` is what stands of
    it on the draft that is made anew, and stays where it cannot be counted any more."""

    charge: UsageCharge
    meter: Meter
    late: bool = False
    before: tuple[Line, ...] = ()
    credited: tuple[tuple[Line, CreditLine], ...] = ()
    said: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """What an invoice of `period` is to be made of, once the questions are answered."""

    subscription: Subscription
    period: Window
    offer: Offer
    earlier: tuple[Earlier, ...]
    lines: tuple[Line, ...]
    questions: tuple[Question, ...]
    details: BillingDetails = NO_DETAILS
    metadata: tuple[tuple[str, str], ...] = ()

    def without(self, unknown: Collection[Question]) -> Draft:
        """Without these questions, which cannot be answered."""
        kept = tuple([one for one in self.questions if one not in unknown])
        return replace(self, questions=kept, lines=(*self.lines, *[line for one in unknown for line in one.said]))

    def make(self, quantities: Sequence[Quantities], seq: int) -> Invoice:
        """The draft, with an id "" and made at 0. `quantities` answer the questions, in their order.

        Raises:
            MetergateError: CURRENCY_MISMATCH, AMOUNT_TOO_LARGE, FIELD_INVALID of taxes.
        """
        lines = list(self.lines)
        for question, counted in zip(self.questions, quantities, strict=True):
            lines += lines_of(question, counted)
        carried = _carried(self.earlier)
        if carried:
            lines.append(Line(0, LineKind.CARRIED, "Carried over from an earlier invoice", carried, self.period))
        coupons = _coupons(self.subscription.coupons, self.offer.coupons, self.earlier, self.period)
        sums = totals(lines, coupons, tax_rates_for(self.details, self.offer.tax_rates), self.subscription.currency)
        one = self.subscription
        return Invoice(
            "", one.customer, one.id, one.currency, self.period, InvoiceState.DRAFT, sums.lines, seq, sums.subtotal,
            sums.discount, sums.taxes, sums.total, 0,
        )  # fmt: skip


def lines_of(question: Question, counted: Quantities) -> list[Line]:
    """What is charged for what was counted."""
    one = question.charge
    if not question.late:
        return usage_lines(one.price, one.plan, one.version, one.window, counted, one.held, one.why)
    return late_lines(
        one.price, one.plan, one.version, one.window, counted, question.before, question.credited,
        question.meter.late, one.held, one.why,
    )  # fmt: skip


def ask(
    subscription: Subscription,
    period: Window,
    offer: Offer,
    earlier: Sequence[Earlier],
    details: BillingDetails,
    late_from: int | None = None,
) -> Draft:
    """What an invoice of the period holds, and what it has to know. Where rows came late, windows that end after
    `late_from` are asked for again.

    Raises:
        MetergateError: PLAN_NOT_FOUND, METER_NOT_FOUND.
    """
    charged = [line for one in earlier for line in _charged(one) if line.window.end > period.start]
    lines, usage = charges(subscription, offer.prices, period, charged)
    questions = [Question(one, meter_of(offer, one)) for one in usage]
    if late_from is not None:
        questions += late_questions(subscription, offer, earlier, late_from)
    return Draft(subscription, period, offer, tuple(earlier), tuple(lines), tuple(questions), details)


def ask_late(
    subscription: Subscription,
    period: Window,
    offer: Offer,
    earlier: Sequence[Earlier],
    details: BillingDetails,
    late_from: int,
) -> Draft:
    """What an invoice of nothing but late usage has to know, of a subscription that has ended.

    Raises:
        MetergateError: PLAN_NOT_FOUND, METER_NOT_FOUND.
    """
    questions = late_questions(subscription, offer, earlier, late_from)
    return Draft(subscription, period, offer, tuple(earlier), (), tuple(questions), details)


def _charged(invoice: Earlier) -> list[Line]:
    """Its lines of flat prices, with what is left of them: credit notes took something off, and of a void one there is
    nothing."""
    flat = [line for line in invoice.lines if line.kind in (LineKind.FLAT, LineKind.PRORATION)]
    if not invoice.stands:
        return [replace(line, amount=line.discount) for line in flat]
    if not invoice.credited:
        return flat
    off = Counter[int]()
    for one in invoice.credited:
        off[one.line] += one.amount
    return [replace(line, amount=line.amount - off[line.number]) for line in flat]


def late_questions(
    subscription: Subscription, offer: Offer, earlier: Sequence[Earlier], late_from: int
) -> list[Question]:
    """The windows of earlier invoices that end after `late_from`, each once, with what was said of them."""
    found: dict[tuple[str, str, int, Window], Question] = {}
    for invoice in earlier:
        if invoice.period.end <= late_from or invoice.period.start == invoice.period.end:
            continue
        _, usage = charges(subscription, offer.prices, invoice.period, [])
        for one in usage:
            if one.window.end > late_from:
                key = (one.price.name, one.plan, one.version, one.window)
                before, credited = said_of(one, earlier)
                found.setdefault(key, Question(one, meter_of(offer, one), True, before, credited))
    return list(found.values())


def said_of(
    charge: UsageCharge, earlier: Iterable[Earlier]
) -> tuple[tuple[Line, ...], tuple[tuple[Line, CreditLine], ...]]:
    """The lines of the charge's window on these invoices, and what was credited of them."""
    lines: list[Line] = []
    credited: list[tuple[Line, CreditLine]] = []
    for invoice in earlier:
        mine = {line.number: _waived(line, invoice) for line in invoice.lines if is_of(line, charge)}
        lines += mine.values()
        credited += [(mine[one.line], one) for one in invoice.credited if one.line in mine]
    return tuple(lines), tuple(credited)


def _waived(line: Line, invoice: Earlier) -> Line:
    """The line of an invoice; of a void one all of it was a discount, so that nothing of it is given back."""
    return line if invoice.stands else replace(line, discount=line.amount)


def is_of(line: Line, charge: UsageCharge) -> bool:
    """Whether the line says something of the charge's window."""
    mine = (line.price, line.plan, line.version, line.window)
    return line.kind in COUNTED and mine == (charge.price.name, charge.plan, charge.version, charge.window)


def in_turn(said: Sequence[Line]) -> tuple[Sequence[Line], Sequence[Line]]:
    """Of what one invoice says of a window, what it says first, and what of that which came late since."""
    cut = next((at for at, one in enumerate(said) if one.kind is LineKind.LATE or one.why == "late"), len(said))
    return said[:cut], said[cut:]


def anew(
    invoice: Invoice,
    subscription: Subscription,
    offer: Offer,
    earlier: Sequence[Earlier],
    details: BillingDetails,
    late_from: int,
) -> Draft | None:
    """How a draft is made anew since rows came late for meters that reopen it; None where there are none, and where it
    is of what came late after the subscription's end: its windows were billed by others. Lines of other usage that came
    late are made anew with it, but for that of meters whose late usage is not billed: it is declared."""
    end = subscription.segments[-1].end
    if end is not None and invoice.period.start >= end:
        return None
    _, usage = charges(subscription, offer.prices, invoice.period, [])
    reached = [one for one in usage if one.window.end > late_from]
    meters = [meter_of(offer, one) for one in reached]
    if not any(meter.late is LatePolicy.REOPEN_DRAFT for meter in meters):
        return None
    mine = Earlier(invoice.id, invoice.period, invoice.state, invoice.seq, 0, 0, invoice.lines)
    kept, questions = list(invoice.lines), []
    for one, meter in zip(reached, meters, strict=True):
        before, _ = said_of(one, [mine])
        if meter.late is LatePolicy.DO_NOT_BILL or one.why:
            first, later = in_turn(before)
            kept = [line for line in kept if line not in later]
            questions.append(Question(one, meter, True, tuple(first), (), _bare(later)))
        else:
            kept = [line for line in kept if line not in before]
            questions.append(Question(one, meter))
    # What it says of earlier windows is as of its `seq` too: so it is told again with what came since.
    for late in late_questions(subscription, offer, earlier, late_from):
        said = [line for line in kept if is_of(line, late.charge)]
        kept = [line for line in kept if line not in said]
        questions.append(replace(late, said=_bare(said)))
    kept = [line for line in kept if line.kind is not LineKind.CARRIED]
    return Draft(subscription, invoice.period, offer, tuple(earlier), _bare(kept), tuple(questions), details)


def _bare(lines: Iterable[Line]) -> tuple[Line, ...]:
    """What gives back bears the discount of what it gives back; the coupons' shares are reckoned anew."""
    return tuple([replace(line, discount=min(line.discount, 0)) for line in lines])


def changes(draft: Draft, invoice: Invoice, quantities: Sequence[Quantities]) -> bool:
    """Whether what was counted for meters that reopen drafts is other than the draft says."""
    mine = Earlier(invoice.id, invoice.period, invoice.state, invoice.seq, 0, 0, invoice.lines)
    for question, counted in zip(draft.questions, quantities, strict=True):
        if question.meter.late is LatePolicy.REOPEN_DRAFT and not question.late:
            before, _ = said_of(question.charge, [mine])
            again = Question(question.charge, question.meter, True, before)
            if lines_of(again, counted):
                return True
    return False


def meter_of(offer: Offer, charge: UsageCharge) -> Meter:
    """The meter that is charged for.

    Raises:
        MetergateError: METER_NOT_FOUND.
    """
    meter = offer.meters.get(charge.price.meter)
    if meter is None:
        name = charge.price.meter
        message = f"price {charge.price.name!r} of plan {charge.plan!r} counts meter {name!r}, which there is no more"
        raise MetergateError(Reason.METER_NOT_FOUND, message, {"meter": name, "plan": charge.plan})
    return meter


def _carried(earlier: Iterable[Earlier]) -> int:
    """What earlier invoices are below zero and no invoice has carried over yet."""
    carried = 0
    for invoice in earlier:
        if invoice.stands:
            mine = {line.number: line.amount for line in invoice.lines if line.kind is LineKind.CARRIED}
            taken_back = sum(one.amount for one in invoice.credited if one.line in mine)
            carried += min(invoice.total, 0) - sum(mine.values()) + taken_back
    return carried


def _coupons(
    applied: Sequence[AppliedCoupon], coupons: Mapping[str, Coupon], earlier: Collection[Earlier], period: Window
) -> list[Coupon]:
    """Those that hold for an invoice of the period, in the order in which they were applied. Each is used by an invoice
    that charges for anything."""
    found: list[Coupon] = []
    for one in applied:
        coupon = coupons.get(one.coupon)
        if coupon is None:
            continue  # it ended after its subscription did
        used = [other for other in earlier if other.uses_coupons and other.period.end >= one.start]
        most = {CouponDuration.ONCE: 1, CouponDuration.PERIODS: coupon.periods}.get(coupon.duration)
        if one.start <= period.end and (most is None or len(used) < most):
            found.append(coupon)
    return found
