"""Invoices: lines that sum to a total, who pays it to whom, and what became of it. A closed one never changes."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from metergate.domain.offer import NO_DETAILS, NO_SELLER, BillingDetails, Seller
from metergate.domain.period import Window


class InvoiceState(StrEnum):
    """A DRAFT may be made anew; all others are closed: their lines and sums never change."""

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"


class LineKind(StrEnum):
    """What a line charges for."""

    FLAT = "flat"  # a flat price, of an interval or the part of one that it held for
    ONE_OFF = "one_off"
    USAGE = "usage"
    MINIMUM = "minimum"  # what is missing to a price's minimum
    MAXIMUM = "maximum"  # what passes a price's maximum, taken off again
    PRORATION = "proration"  # of what was charged in advance: the part that was not used (negative), or came instead
    LATE = "late"  # rate(all) - rate(billed) of an earlier window
    CARRIED = "carried"  # an earlier invoice whose total was negative
    UNBILLED = "unbilled"  # usage that is declared and not charged: in a trial, in a pause, late by policy


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `amount` is in minor units, rounded once; `quantity` × `unit_amount` (and `flat_amount`) is what it was
    rounded from. `window` is the stretch that it covers; of usage it is the one in which `quantity` was counted, with
    the rows of the ledger up to `seq`. `tier` counts from 1. `discount` is its share of the coupons: 0 or
    more, but of a LATE line that gives usage back, the share that the usage had had, negative. An `inclusive` tax is
    within `amount`.

    `billed` says, of USAGE and LATE lines, the whole quantity of the window that has been rated when this line was
    made; only the first line of a price, window and label values carries it.
    """

    number: int
    kind: LineKind
    description: str
    amount: int
    window: Window
    plan: str = ""
    version: int = 0
    price: str = ""
    meter: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    quantity: Decimal | None = None
    unit_amount: Decimal | None = None
    flat_amount: Decimal | None = None
    tier: int = 0
    billed: Decimal | None = None
    discount: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Tax:
    """One tax of an invoice: `amount` of `taxable`, minor units, rounded once. Inclusive ones are within `taxable`."""

    name: str
    percent: Decimal
    inclusive: bool
    taxable: int
    amount: int
    display_name: str = ""


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice of one subscription for one period; sums in minor units of `currency`.

    `subtotal` is the sum of the lines, `total` = subtotal - discount + the taxes that are not inclusive; `credited` is
    what credit notes took off. `seq` is the cut: rows of the ledger up to it are in, later ones are late. `number` is
    "" until it is finalized. Times are instants, None = not yet.
    """

    id: str
    customer: str
    subscription: str
    currency: str
    period: Window
    state: InvoiceState
    lines: tuple[Line, ...]
    seq: int
    subtotal: int
    discount: int
    taxes: tuple[Tax, ...]
    total: int
    created_at: int
    number: str = ""
    paid: int = 0
    credited: int = 0
    finalize_at: int | None = None
    finalized_at: int | None = None
    due_at: int | None = None
    paid_at: int | None = None
    voided_at: int | None = None
    seller: Seller = NO_SELLER
    buyer: BillingDetails = NO_DETAILS
    notes: str = ""
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def due(self) -> int:
        """What is still to be paid."""
        if self.state is not InvoiceState.OPEN:
            return 0
        return max(self.total - self.paid - self.credited, 0)


@dataclass(frozen=True, slots=True)
class CreditLine:
    """So much of an invoice's line is taken back: minor units before tax, after its discount.

    With a `quantity`, in units of the meter, it corrects usage: so much less counts as billed, and what comes late is
    reckoned from there. Without, it gives money, and the usage stays billed.
    """

    line: int
    amount: int
    description: str = ""
    quantity: Decimal | None = None


@dataclass(frozen=True, slots=True)
class CreditNote:
    """Takes back an invoice or parts of it, with the taxes of those parts. `total` is what the customer gets."""

    id: str
    number: str
    invoice: str
    customer: str
    currency: str
    lines: tuple[CreditLine, ...]
    taxes: tuple[Tax, ...]
    total: int
    reason: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Payment:
    """What was paid of an invoice at once: minor units. `method` and `reference` are the payer's or the provider's."""

    id: str
    invoice: str
    amount: int
    method: str
    reference: str
    paid_at: int
