"""Credit notes: what is taken back of a closed invoice, line by line, with its taxes, to the last minor unit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.invoice import CreditLine, CreditNote, Invoice, Line, LineKind, Tax
from metergate.domain.money import rounded_share, spread, to_text

_USAGE = frozenset({LineKind.USAGE, LineKind.LATE})


class Credited(NamedTuple):
    """What a credit note says, in minor units: `total` is what the customer gets, the taxes on top of the lines in."""

    lines: tuple[CreditLine, ...]
    taxes: tuple[Tax, ...]
    total: int


def credit(invoice: Invoice, wanted: Sequence[CreditLine] | None, before: Sequence[CreditNote]) -> Credited:
    """What a credit note for these lines says (None = for all that is left), after the credit notes `before` it.

    The taxes of all credit notes together are those of all that they took back, rounded as the invoice's are: so credit
    notes for the whole of an invoice, however many, come to exactly its total.

    Raises:
        MetergateError: FIELD_INVALID, when there is no such line, or an amount or a quantity that takes nothing back;
            CREDIT_TOO_LARGE, when it is more than what is left of a line, of the usage it is of, or of the total.
    """
    left = _left(invoice, before)
    lines = tuple(wanted) if wanted is not None else _rest(invoice, left)
    if wanted is not None:
        _check(invoice, lines, left)
        _check_quantities(invoice, lines, before)
    taxes = tuple(_tax(tax, invoice, lines, before) for tax in invoice.taxes)
    total = sum(line.amount for line in lines) + sum(tax.amount for tax in taxes if not tax.inclusive)
    _check_total(invoice, total, invoice.total - sum(note.total for note in before))
    return Credited(lines, taxes, total)


def lines_for(invoice: Invoice, amount: int, before: Sequence[CreditNote]) -> list[CreditLine]:
    """`amount`, before tax, spread over what is left of the lines that charged, in proportion to it.

    Raises:
        MetergateError: FIELD_INVALID on `amount`, when it is not more than 0; CREDIT_TOO_LARGE.
    """
    if amount <= 0:
        raise invalid("amount", "must be more than 0")
    left = {number: rest for number, rest in _left(invoice, before).items() if rest > 0}
    if amount > sum(left.values()):
        raise _too_large(invoice, "amount", "the invoice's lines", sum(left.values()))
    shares = zip(left, spread(amount, list(left.values())), strict=True)
    return [CreditLine(number, share) for number, share in shares if share]


def _left(invoice: Invoice, before: Iterable[CreditNote]) -> dict[int, int]:
    """What was really charged by each line and not taken back, by its number."""
    left = {line.number: line.amount - line.discount for line in invoice.lines}
    for note in before:
        for taken in note.lines:
            left[taken.line] -= taken.amount
    return left


def _rest(invoice: Invoice, left: dict[int, int]) -> tuple[CreditLine, ...]:
    return tuple(
        CreditLine(line.number, left[line.number], line.description) for line in invoice.lines if left[line.number]
    )


def _check(invoice: Invoice, lines: Sequence[CreditLine], left: dict[int, int]) -> None:
    """A line that charged is credited with a positive amount, one that gave (a maximum) with a negative one."""
    for index, line in enumerate(lines):
        if line.line not in left:
            raise invalid(f"lines[{index}].line", f"the invoice has no line {line.line}")
        if not line.amount:
            raise invalid(f"lines[{index}].amount", "must not be 0")
        rest = left[line.line]
        if line.amount * rest < 0:
            raise invalid(f"lines[{index}].amount", "must have the sign of what the line charged")
        if abs(line.amount) > abs(rest):
            raise _too_large(invoice, f"lines[{index}].amount", f"line {line.line}", rest)
        left[line.line] -= line.amount


def _check_quantities(invoice: Invoice, lines: Sequence[CreditLine], before: Sequence[CreditNote]) -> None:
    """Usage is corrected with the sign that it has, and all credit notes together take back no more than was rated."""
    of = {line.number: line for line in invoice.lines}
    left = defaultdict(Decimal, {_counted(line): line.billed for line in invoice.lines if line.billed is not None})
    for taken in (one for note in before for one in note.lines):
        if taken.quantity is not None and of[taken.line].kind in _USAGE:
            left[_counted(of[taken.line])] -= taken.quantity
    for index, line in enumerate(lines):
        if line.quantity is None or of[line.line].kind not in _USAGE:
            continue
        field, rated = f"lines[{index}].quantity", _counted(of[line.line])
        if line.quantity * line.amount <= 0:
            raise invalid(field, "must have the sign of the amount")
        if abs(line.quantity) > abs(left[rated]):
            raise invalid(field, f"is more than what is left, which is {left[rated]:f}", Reason.CREDIT_TOO_LARGE)
        left[rated] -= line.quantity


def _counted(line: Line) -> tuple[object, ...]:
    """What lines share that rate one quantity."""
    return line.plan, line.version, line.price, line.window, line.labels


def _check_total(invoice: Invoice, total: int, rest: int) -> None:
    if total > rest or rest <= 0:
        raise _too_large(invoice, "lines", "the invoice", max(rest, 0))
    if total <= 0:
        raise invalid("lines", "come to nothing that is given back")


def _too_large(invoice: Invoice, field: str, of: str, rest: int) -> MetergateError:
    description = f"is more than what is left of {of}, which is {to_text(rest, invoice.currency)} {invoice.currency}"
    return invalid(field, description, Reason.CREDIT_TOO_LARGE, left=to_text(rest, invoice.currency))


def _tax(tax: Tax, invoice: Invoice, lines: Sequence[CreditLine], before: Sequence[CreditNote]) -> Tax:
    """The tax of all that is credited by now, less that of what was credited before."""
    taxed = {line.number for line in invoice.lines if line.kind is not LineKind.CARRIED}
    now = sum(line.amount for line in lines if line.line in taxed)
    earlier = sum(line.amount for note in before for line in note.lines if line.line in taxed)
    by_now = rounded_share(tax.amount, earlier + now, tax.taxable) if tax.taxable else 0
    credited = sum(other.amount for note in before for other in note.taxes if other.name == tax.name)
    return replace(tax, taxable=now, amount=by_now - credited)
