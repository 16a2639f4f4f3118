"""Lines of usage: what was counted in a window, at a price; and what came to that window after it was invoiced.

Of each price, window and label values, what lines say is billed plus what they declare UNBILLED is what the ledger
counted: after each invoice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import reduce

from metergate.domain.invoice import CreditLine, Line, LineKind
from metergate.domain.meter import LatePolicy
from metergate.domain.money import rounded_share, spread, to_text
from metergate.domain.period import Window
from metergate.domain.price import Price
from metergate.domain.price_text import terms
from metergate.domain.quantity import CONTEXT, ZERO, add, subtract
from metergate.domain.rating import prorated, rate

Labels = tuple[tuple[str, str], ...]
_BOUNDS = (LineKind.MINIMUM, LineKind.MAXIMUM)


def usage_lines(
    price: Price,
    plan: str,
    version: int,
    window: Window,
    quantities: Sequence[tuple[Labels, Decimal]],
    held: tuple[int, int] = (1, 1),
    why: str = "",
) -> list[Line]:
    """The USAGE lines of one price and window, then what is missing to its minimum or passes its maximum.

    `quantities` has one quantity for each combination of label values that is rated by itself. `held` is how long the
    price held and how long its interval is, by which minimum and maximum are prorated. With a `why` all of it is
    declared UNBILLED, for that reason, and nothing is charged. Lines are numbered 0.
    """
    blank = _blank(price, plan, version, window)
    if why:
        return [_unbilled(blank, labels, quantity, why) for labels, quantity in quantities if quantity]
    lines = [line for labels, quantity in quantities for line in _rated(blank, price, labels, quantity)]
    if price.minimum is None and price.maximum is None:
        return lines
    bounds = _bounds(blank, price, sum(line.amount for line in lines), held, _Earlier(()))
    return [*lines, *[line for line in bounds if line.amount]]


def late_lines(
    price: Price,
    plan: str,
    version: int,
    window: Window,
    quantities: Sequence[tuple[Labels, Decimal]],
    before: Sequence[Line],
    credited: Sequence[tuple[Line, CreditLine]],
    policy: LatePolicy,
    held: tuple[int, int] = (1, 1),
    why: str = "",
) -> list[Line]:
    """What has to be said of an earlier window now that `quantities` is all that was counted in it: nothing, where
    nothing changed. Each LATE line's amount is rate(all) - rate(billed), and its quantity all - billed.

    `before` are all lines of this price and window on earlier invoices, whatever their kind; `credited` what credit
    notes took back of them, each with the line that it is of: those that state a quantity were corrections of usage;
    others gave money and leave the usage billed. With DO_NOT_BILL what is above the billed quantity is declared
    UNBILLED, and so is all of a window that was not billed for the reason `why`; less usage than was billed is always
    given back, at what it had cost with its discount.
    """
    blank, earlier = _blank(price, plan, version, window), _Earlier([*before, *_corrections(credited)])
    lines, charged = [], 0
    for labels, quantity in (dict.fromkeys(earlier.labels(), ZERO) | dict(quantities)).items():
        billed, unbilled = earlier.billed(labels), earlier.unbilled(labels)
        due = billed if why else _due(quantity, billed, unbilled, policy)
        amount = sum(part.amount for part in rate(price, due))
        charged += amount
        lines.append(_late(blank, labels, subtract(due, billed), amount - earlier.amount(labels), due))
        lines.append(_unbilled(blank, labels, subtract(subtract(quantity, due), unbilled), why or "late"))
    if not why:
        lines += _bounds(blank, price, charged, held, earlier)
    return earlier.less_discount([line for line in lines if line.quantity or line.amount])


def _due(quantity: Decimal, billed: Decimal, unbilled: Decimal, policy: LatePolicy) -> Decimal:
    """How much of a window's whole quantity is to be billed."""
    if policy is LatePolicy.DO_NOT_BILL:
        return min(quantity, billed)
    return subtract(quantity, unbilled)


class _Earlier:
    """What earlier lines of a price and window said, by label values."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        self._by_labels: dict[Labels, list[Line]] = defaultdict(list)
        for line in lines:
            if line.kind not in _BOUNDS:
                self._by_labels[line.labels].append(line)

    def labels(self) -> list[Labels]:
        """The label values of which there was usage."""
        return list(self._by_labels)

    def billed(self, labels: Labels) -> Decimal:
        """The quantity that is rated in all: that of the window's first invoice and what came late."""
        first = [line.billed for line in self._of(labels, LineKind.USAGE)]
        return _sum([*first, *[line.quantity for line in self._of(labels, LineKind.LATE)]])

    def unbilled(self, labels: Labels) -> Decimal:
        """The quantity that is declared and not charged."""
        return _sum([line.quantity for line in self._of(labels, LineKind.UNBILLED)])

    def amount(self, labels: Labels) -> int:
        """What was charged for usage."""
        return sum(line.amount for line in self._of(labels, LineKind.USAGE, LineKind.LATE))

    def bound(self, kind: LineKind) -> int:
        """What was charged to reach the minimum, or (negative) taken off to keep the maximum."""
        return sum(line.amount for line in self._lines if line.kind is kind)

    def less_discount(self, lines: list[Line]) -> list[Line]:
        """The lines as they are; where they give back in all, with the share of the discount that this much had."""
        back, charged = -sum(line.amount for line in lines), sum(line.amount for line in self._lines)
        if back <= 0 or charged <= 0:
            return lines
        discount = rounded_share(sum(line.discount for line in self._lines), min(back, charged), charged)
        shares = spread(discount, [max(-line.amount, 0) for line in lines])
        return [replace(line, discount=-share) for line, share in zip(lines, shares, strict=True)]

    def _of(self, labels: Labels, *kinds: LineKind) -> Iterator[Line]:
        return (line for line in self._by_labels.get(labels, ()) if line.kind in kinds)


def _sum(quantities: Iterable[Decimal | None]) -> Decimal:
    return reduce(add, [quantity for quantity in quantities if quantity is not None], ZERO)


def _corrections(credited: Iterable[tuple[Line, CreditLine]]) -> Iterator[Line]:
    """What credit notes took back, as lines. Usage, as the late lines that would have: a credit is what its part of the
    line had cost after its discount, so the discount goes back in the same proportion. Money alone, as one more
    discount: it cannot be given back again."""
    for line, credit in credited:
        if credit.quantity is None or line.kind in _BOUNDS:
            yield replace(line, amount=0, discount=credit.amount, quantity=None, billed=None)
        else:
            net = line.amount - line.discount
            gross = rounded_share(line.amount, credit.amount, net) if net else credit.amount
            quantity = CONTEXT.minus(credit.quantity)
            yield replace(
                line, kind=LineKind.LATE, amount=-gross, discount=credit.amount - gross, quantity=quantity, billed=None
            )


def _blank(price: Price, plan: str, version: int, window: Window) -> Line:
    """What all lines of a price and window say."""
    name = price.display_name or price.name
    return Line(0, LineKind.USAGE, name, 0, window, plan, version, price.name, price.meter)


def _rated(blank: Line, price: Price, labels: Labels, quantity: Decimal) -> Iterator[Line]:
    """A line for each part of the quantity; the first one carries the whole."""
    billed: Decimal | None = quantity
    for part in rate(price, quantity):
        description = _described(blank, labels, terms(price, part.tier))
        yield Line(
            0, LineKind.USAGE, description, part.amount, blank.window, blank.plan, blank.version, blank.price,
            blank.meter, labels, part.quantity, part.unit_amount, part.flat_amount, part.tier, billed,
        )  # fmt: skip
        billed = None


def _late(blank: Line, labels: Labels, quantity: Decimal, amount: int, billed: Decimal) -> Line:
    description = _described(blank, labels, ["late usage" if amount >= 0 else "less usage than billed"])
    return replace(
        blank,
        kind=LineKind.LATE,
        description=description,
        amount=amount,
        labels=labels,
        quantity=quantity,
        billed=billed,
    )


def _unbilled(blank: Line, labels: Labels, quantity: Decimal, why: str) -> Line:
    description = _described(blank, labels, [f"not billed, {why}"])
    return replace(blank, kind=LineKind.UNBILLED, description=description, labels=labels, quantity=quantity, why=why)


def _bounds(blank: Line, price: Price, charged: int, held: tuple[int, int], earlier: _Earlier) -> Iterator[Line]:
    """What is missing to the minimum, or (negative) what passes the maximum, of the time that the price held, less what
    earlier lines said of it."""
    for kind, bound, further in ((LineKind.MINIMUM, price.minimum, max), (LineKind.MAXIMUM, price.maximum, min)):
        if bound is not None:
            prorated_bound = prorated(bound, price.currency, *held)
            amount = further(prorated_bound - charged, 0) - earlier.bound(kind)
            words = f"{kind} of {to_text(prorated_bound, price.currency)} {price.currency}"
            yield replace(blank, kind=kind, description=_described(blank, (), [words]), amount=amount)


def _described(blank: Line, labels: Labels, words: Sequence[str]) -> str:
    """Calls (model large): first 10,000 included."""
    values = ", ".join(f"{label} {value}" for label, value in labels)
    name = f"{blank.description} ({values})" if values else blank.description
    return f"{name}: {', '.join(words)}" if words else name
