"""No refund twice: over all invoices of a subscription, whatever is changed, amended, credited and voided, and when.

A life closes its periods as the service does, with what earlier invoices say; in between, usage is amended, and
invoices are finalized, credited and voided in any order. The oracles sum up lines by what they are of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from hypothesis import event, given, settings
from hypothesis import strategies as st

from metergate.domain import credit, settling, subscription
from metergate.domain.billing_period import next_period
from metergate.domain.draft import Earlier, Offer, Question, ask
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.invoice import CreditLine, CreditNote, Invoice, InvoiceState, Line, LineKind
from metergate.domain.left import left_of
from metergate.domain.meter import Meter
from metergate.domain.offer import NO_DETAILS, NO_SELLER, BillingDetails, Coupon, TaxRate
from metergate.domain.period import DAY, SECOND
from metergate.domain.price import Interval, Model, Price, Tier
from metergate.domain.quantity import ZERO
from metergate.domain.subscription import Item, Subscription

FLAT = (LineKind.FLAT, LineKind.PRORATION)
BEGIN = 1_761_955_200 * SECOND
TIERS = (Tier(Decimal(50), Decimal("0.31")), Tier(None, Decimal("0.17")))
CALLS = Price("calls", Model.GRADUATED, "USD", meter="calls", tiers=TIERS)
BOUNDED = Price(
    "jobs", Model.UNIT, "USD", meter="jobs", unit_amount=Decimal("1.10"), minimum=Decimal(20), maximum=Decimal(90)
)
REGIONS = Price("files", Model.UNIT, "USD", meter="files", unit_amount=Decimal("0.50"), per_labels=("region",))


def flats(amount: int) -> tuple[Price, ...]:
    return tuple(
        Price("base", Model.FLAT, "USD", each, unit_amount=Decimal(amount * each.months))
        for each in (Interval.MONTH, Interval.YEAR)
    )


PLANS = {
    "pro": (*flats(99), CALLS),
    "max": (*flats(299), CALLS, BOUNDED),
    "team": (*flats(7), BOUNDED, REGIONS, Price("setup", Model.ONE_OFF, "USD", unit_amount=Decimal("19.95"))),
}
VAT, LOCAL = TaxRate("vat", Decimal(19), "DE"), TaxRate("local", Decimal("3.3"), "DE", inclusive=True)
OFFER = Offer(
    lambda plan, _: PLANS[plan],
    {name: Meter(name, name) for name in ("calls", "jobs", "files")},
    {"third": Coupon("third", percent=Decimal("33.3"))},
    (VAT, LOCAL),
)
GERMAN = BillingDetails(country="DE")


@dataclass
class Life:
    """A subscription with its invoices, by period, and their credit notes."""

    one: Subscription
    details: BillingDetails
    invoices: list[Invoice] = field(default_factory=list)
    notes: dict[str, list[CreditNote]] = field(default_factory=dict)
    used: dict[object, Decimal] = field(default_factory=dict)
    now: int = BEGIN

    def earlier(self, but: str = "") -> list[Earlier]:
        """All invoices, with all that was credited of them."""
        return [
            Earlier(
                one.id, one.period, one.state, one.seq, one.subtotal, one.total, one.lines,
                tuple(line for note in self.notes[one.id] for line in note.lines),
                any(line.discount for line in one.lines),
            )
            for one in self.invoices
            if one.id != but
        ]  # fmt: skip

    def marked(self) -> list[Earlier]:
        """The same, with charges for flat prices marked with where they stand: what gives one back bears its mark."""
        found = []
        for one in self.earlier():
            lines = [
                replace(line, why=f"{one.id} {line.number}") if line.kind in FLAT and not line.why else line
                for line in one.lines
            ]
            found.append(replace(one, lines=tuple(lines)))
        return found

    def others(self, invoice: Invoice) -> list[Earlier]:
        """What the database is asked for: lines of the same prices within the windows of the invoice's lines."""
        windows = {(line.price, line.window) for line in invoice.lines}

        def asked(line: Line) -> bool:
            return any(
                price == line.price and window.start <= line.window.start and line.window.end <= window.end
                for price, window in windows
            )

        found = [replace(one, lines=tuple(filter(asked, one.lines))) for one in self.earlier(invoice.id)]
        return [one for one in found if one.lines]

    def close(self, late: bool) -> None:
        """Makes the draft of the next period."""
        period = next_period(self.one, OFFER.prices)
        if period is None:
            return
        draft = ask(self.one, period, OFFER, self.marked(), self.details, BEGIN if late else None)
        made = draft.make([self.counted(question) for question in draft.questions], 1)
        if made.lines:
            made = replace(made, id=f"in_{len(self.invoices)}")
            self.invoices.append(made)
            self.notes[made.id] = []
        self.one, self.now = replace(self.one, billed_until=period.end), period.end

    def counted(self, question: Question) -> list[tuple[tuple[tuple[str, str], ...], Decimal]]:
        charge = question.charge
        labels = [(("region", "eu"),), (("region", "us"),)] if charge.price.per_labels else [()]
        return [(each, self.used.get((charge.price.meter, each, charge.window.start), ZERO)) for each in labels]

    def use(self, first: int, second: int) -> None:
        """From now on, so much counts in the windows that begin where one of the lines so far does, or the next."""
        starts = sorted({line.window.start for one in self.invoices for line in one.lines} | {self.now})
        start = starts[first % len(starts)]
        for meter, labels in (
            ("calls", ()),
            ("jobs", ()),
            ("files", (("region", "eu"),)),
            ("files", (("region", "us"),)),
        ):
            self.used[meter, labels, start] = Decimal(second % 130)

    def turn(self, first: int, second: int) -> None:
        """Something done to the subscription within its next period."""
        period = next_period(self.one, OFFER.prices)
        end = self.now + 31 * DAY if period is None else period.end
        self.now = max(self.now, min(end, self.now + first % 31 * DAY + second % 3 * SECOND))
        items = [Item(sorted(PLANS)[second % 3], 1, Decimal(1 + second % 2))]
        verbs: list[Callable[[], Subscription]] = [
            lambda: subscription.change(self.one, self.now, items, ()),
            lambda: subscription.change(self.one, self.now, items, ()),
            lambda: subscription.pause(self.one, self.now),
            lambda: subscription.resume(self.one, self.now),
            lambda: subscription.cancel(self.one, self.now),
        ]
        self.one = verbs[second % 5]()

    def credited(self, place: int, wanted: list[CreditLine] | None, amount: int | None = None) -> CreditNote:
        before = self.invoices[place]
        settling.check_creditable(before)
        notes, others = self.notes[before.id], self.others(before)
        if amount is not None:
            wanted = credit.lines_for(before, amount, notes, others)
        said = credit.credit(before, wanted, notes, others)
        note = CreditNote("cn", "CN", before.id, "c", "USD", *said, "", 0)
        self.invoices[place] = settling.credited(before, note.total, self.now)
        notes.append(note)
        return note

    def settle(self, verb: str, first: int, second: int) -> None:
        """Something done to one of the invoices."""
        closed = [place for place, one in enumerate(self.invoices) if one.state is not InvoiceState.DRAFT]
        place = closed[first % len(closed)] if closed else 0
        before = self.invoices[place]
        line = before.lines[second % len(before.lines)]
        if verb == "void":
            self.invoices[place] = settling.voided(before, self.others(before), self.now)
        elif verb == "whole":
            self.credited(place, None)
        elif verb == "amount":
            self.credited(place, None, second)
        elif verb == "line":
            rest = line.amount - line.discount
            self.credited(place, [CreditLine(line.number, rest * (1 + second % 4) // 4)])
        elif verb == "quantity" and line.quantity:
            part = 1 + second % 4
            amount = (line.amount - line.discount) * part // 4
            self.credited(place, [CreditLine(line.number, amount, "", line.quantity * part / 4)])

        elif verb == "parts":
            self.credited(place, parts_of(before, 1 + second % 4, bool(second % 3)))

    def finalize(self) -> None:
        for place, one in enumerate(self.invoices):
            if one.state is InvoiceState.DRAFT:
                self.invoices[place] = settling.finalized(one, "INV", NO_SELLER, NO_DETAILS, self.now)

    def do(self, verb: str, first: int, second: int) -> None:
        """One step, or nothing where it is refused."""
        try:
            if verb == "close":
                self.close(late=bool(first % 3))
            elif verb == "use":
                self.use(first, second)
            elif verb == "turn":
                self.turn(first, second)
            elif verb == "finalize":
                self.finalize()
            elif self.invoices:
                self.settle(verb, first, second)
        except MetergateError as error:
            assert error.reason in (  # noqa: PT017  a step that is not allowed is none
                Reason.CREDIT_TOO_LARGE, Reason.INVOICE_STATE, Reason.FIELD_INVALID, Reason.SUBSCRIPTION_STATE,
            )  # fmt: skip
            event(f"{verb}: {error.reason}" + (", elsewhere" if "nother invoice" in error.message else ""))
            if "later invoice" in error.message:
                event("void: given back")

    def net(self) -> Counter[object]:
        """What is charged, by what it is for: usage by price and window, flat prices by their charge."""
        found = Counter[object]()
        for one in self.earlier():
            taken = Counter[int]()
            for line in one.credited:
                taken[line.line] += line.amount
            for each in one.lines if one.stands else ():
                if each.kind is not LineKind.CARRIED:
                    found[_of(each, one.id)] += each.amount - each.discount - taken[each.number]
        return found

    def billed(self) -> dict[object, Decimal]:
        """The quantity that counts as billed, by price, window and labels; of void invoices too."""
        found: dict[object, Decimal] = {}
        for one in self.earlier():
            lines = {line.number: line for line in one.lines if line.kind in (LineKind.USAGE, LineKind.LATE)}
            rows = [(line, line.billed if line.kind is LineKind.USAGE else line.quantity) for line in lines.values()]
            rows += [(lines[taken.line], -(taken.quantity or ZERO)) for taken in one.credited if taken.line in lines]
            for line, quantity in rows:
                key = (line.plan, line.price, line.window, line.labels)
                found[key] = found.get(key, ZERO) + (quantity or ZERO)
        return found

    def check(self) -> None:
        """The law."""
        for what, rest in self.net().items():
            assert rest >= 0, (what, rest)
        for key, quantity in self.billed().items():
            assert quantity >= 0, key
        for one in self.invoices:
            notes = self.notes[one.id]
            assert sum(note.total for note in notes) == one.credited <= max(one.total, 0)
            assert left_of(one, notes, self.others(one)).whole() == left_of(one, notes, self.earlier(one.id)).whole()


def parts_of(invoice: Invoice, part: int, counted: bool) -> list[CreditLine]:
    """So many quarters of each line, of what it gave as of what it charged."""
    found = []
    for line in invoice.lines:
        amount = (line.amount - line.discount) * part // 4
        counts = counted and line.quantity and line.quantity * amount > 0
        quantity = line.quantity * part / 4 if counts and line.quantity else None
        found += [CreditLine(line.number, amount, "", quantity)] if amount else []
    return found


def _of(line: Line, invoice: str) -> object:
    if line.kind in FLAT or line.kind is LineKind.ONE_OFF:
        return line.why or f"{invoice} {line.number}"
    return line.plan, line.version, line.price, line.window


@st.composite
def begun(draw: st.DrawFn) -> Life:
    interval = draw(st.sampled_from([Interval.MONTH, Interval.MONTH, Interval.YEAR]))
    coupons = draw(st.sampled_from([(), ("third",)]))
    items = [Item(draw(st.sampled_from(sorted(PLANS))), 1)]
    one = subscription.begin("s", "c", "USD", interval, items, BEGIN, time_zone="UTC", coupons=coupons)
    return Life(one, draw(st.sampled_from([NO_DETAILS, GERMAN])))


figures = st.integers(0, 40), st.integers(0, 20_000)


def step(*verbs: str) -> st.SearchStrategy[tuple[str, int, int]]:
    return st.tuples(st.sampled_from(verbs), *figures)


@st.composite
def rounds(draw: st.DrawFn, taking: tuple[str, ...] = ()) -> list[tuple[str, int, int]]:
    """Periods in which something changes, each with its draft, which is finalized sooner or later."""
    found: list[tuple[str, int, int]] = []
    for _ in range(draw(st.integers(1, 4))):
        found += draw(st.lists(step("turn", "use"), max_size=3))
        found.append(draw(step("close")))
        found += draw(st.lists(step("finalize"), max_size=1))
        found += draw(st.lists(step(*taking), max_size=4)) if taking else []
    return found


@settings(max_examples=250)
@given(begun(), rounds(("whole", "line", "parts", "amount", "quantity", "void", "finalize")))
def test_p6_no_more_is_given_back_than_was_charged_for_each_thing(
    life: Life, tried: list[tuple[str, int, int]]
) -> None:
    for step in [("close", 0, 0), ("finalize", 0, 0), *tried]:
        life.do(*step)
        life.check()


@settings(max_examples=100)
@given(begun(), rounds())
def test_p6_crediting_all_invoices_whole_leaves_nothing_charged(life: Life, tried: list[tuple[str, int, int]]) -> None:
    """The last one first, what each asked for is given back to the last minor unit, as long as each asked for anything:
    one below zero is not credited, and what it gave stays given."""
    for step in [("close", 0, 0), *tried]:
        life.do(*step)
    life.finalize()
    positive = all(one.total > 0 for one in life.invoices)
    for place, one in reversed(list(enumerate(life.invoices))):
        try:
            note = life.credited(place, None)
        except MetergateError as error:
            assert (error.reason, positive) == (Reason.CREDIT_TOO_LARGE, False)  # noqa: PT017  where it is refused
        else:
            assert not positive or (note.total, note.taxes) == (one.total, one.taxes)
    event("all above zero" if positive else "some below zero")
    assert not positive or not any(life.net().values())
    life.check()
