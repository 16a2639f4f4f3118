"""Credit notes: what is taken back of a closed invoice, line by line, with its taxes, to the last minor unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from metergate.domain.draft import Earlier
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.invoice import CreditLine, CreditNote, Invoice, LineKind, Tax
from metergate.domain.left import Left, left_of, rated_with
from metergate.domain.money import rounded_share, spread, to_text
from metergate.domain.quantity import ZERO, subtract

_USAGE = frozenset({LineKind.USAGE, LineKind.LATE})
_ELSEWHERE = ": another invoice gave the rest back"


class Credited(NamedTuple):
    """What a credit note says, in minor units: `total` is what the customer gets, the taxes on top of the lines in."""

    lines: tuple[CreditLine, ...]
    taxes: tuple[Tax, ...]
    total: int


def credit(
    invoice: Invoice, wanted: Sequence[CreditLine] | None, before: Sequence[CreditNote], others: Sequence[Earlier] = ()
) -> Credited:
    """What a credit note for these lines says (None = for all that is left), after the credit notes `before` it, where
    the `others` of its subscription may have given back something of what it charged: see `left.left_of`.

    The taxes of all credit notes together are those of all that they took back, rounded as the invoice's are: so credit
    notes for the whole of an invoice, however many, come to exactly its total.

    Raises:
        MetergateError: FIELD_INVALID, when there is no such line, or an amount or a quantity that takes nothing back;
            CREDIT_TOO_LARGE, when it is more than what is left of a line, of the usage it is of, or of the total.
    """
    left = left_of(invoice, before, others)
    if wanted is None:
        whole = left.whole()
        described = {line.number: line.description for line in invoice.lines}
        lines = [CreditLine(number, amount, described[number]) for number, amount in whole.items()]
    else:
        lines = list(wanted)
        _check(invoice, lines, left)
        _check_quantities(invoice, lines, left)
    taxes = tuple(_tax(tax, invoice, lines, before) for tax in invoice.taxes)
    total = sum(line.amount for line in lines) + sum(tax.amount for tax in taxes if not tax.inclusive)
    _check_total(invoice, total, invoice.total - sum(note.total for note in before))
    if total <= 0:
        if wanted is None:
            raise _too_large(invoice, "lines", "the invoice", 0, _ELSEWHERE)
        raise invalid("lines", "come to nothing that is given back")
    return Credited(tuple(lines), taxes, total)


def lines_for(
    invoice: Invoice, amount: int, before: Sequence[CreditNote], others: Sequence[Earlier] = ()
) -> list[CreditLine]:
    """`amount`, before tax, spread over what is left of the lines that charged, in proportion to it.

    Raises:
        MetergateError: FIELD_INVALID on `amount`, when it is not more than 0; CREDIT_TOO_LARGE.
    """
    if amount <= 0:
        raise invalid("amount", "must be more than 0")
    left = left_of(invoice, before, others)
    charges = left.charges()
    if amount > sum(charges.values()):
        why = _ELSEWHERE if left.given_elsewhere else ""
        raise _too_large(invoice, "amount", "the invoice's lines", sum(charges.values()), why)
    shares = zip(charges, spread(amount, list(charges.values())), strict=True)
    return [CreditLine(number, share) for number, share in shares if share]


def _check(invoice: Invoice, lines: Sequence[CreditLine], left: Left) -> None:
    """A line that charged is credited with a positive amount, one that gave (a maximum) with a negative one; and all of
    them take back no more of a thing than is left of it."""
    own = dict(left.own)
    for index, line in enumerate(lines):
        if line.line not in own:
            raise invalid(f"lines[{index}].line", f"the invoice has no line {line.line}")
        if not line.amount:
            raise invalid(f"lines[{index}].amount", "must not be 0")
        rest = own[line.line]
        if line.amount * rest < 0:
            raise invalid(f"lines[{index}].amount", "must have the sign of what the line charged")
        if abs(line.amount) > abs(rest):
            raise _too_large(invoice, f"lines[{index}].amount", f"line {line.line}", rest, line=line.line)
        own[line.line] -= line.amount
    room = left.room((line.line, line.amount) for line in lines)
    for index, line in enumerate(lines):
        thing = left.of[line.line]
        if line.amount > room[thing]:
            why = _ELSEWHERE if left.given(line.line) else ""
            raise _too_large(invoice, f"lines[{index}].amount", f"line {line.line}", room[thing], why, line.line)
        room[thing] -= max(line.amount, 0)


def _check_quantities(invoice: Invoice, lines: Sequence[CreditLine], left: Left) -> None:
    """Usage is corrected with the sign that it has, and all credit notes together take back no more than was rated: by
    this invoice, and, after what others gave back, by all of them."""
    of = {line.number: line for line in invoice.lines}
    rated, mine = dict(left.rated), dict(left.mine)
    for index, line in enumerate(lines):
        if line.quantity is None or of[line.line].kind not in _USAGE:
            continue
        field, thing, kind = f"lines[{index}].quantity", rated_with(of[line.line]), of[line.line].kind
        if line.quantity * line.amount <= 0:
            raise invalid(field, "must have the sign of the amount")
        own, total = mine.get((thing, kind), ZERO), rated.get(thing, ZERO)
        most = min(own, max(total, ZERO)) if line.quantity > 0 else own
        if abs(line.quantity) > abs(most):
            why = _ELSEWHERE if most != own else ""
            raise _more_than_left(invoice, field, f"line {line.line}", f"{most:f}", why, line.line)
        mine[thing, kind], rated[thing] = subtract(own, line.quantity), subtract(total, line.quantity)


def _check_total(invoice: Invoice, total: int, rest: int) -> None:
    if total > rest or rest <= 0:
        raise _too_large(invoice, "lines", "the invoice", max(rest, 0))


def _too_large(
    invoice: Invoice, field: str, of: str, rest: int, why: str = "", line: int | None = None
) -> MetergateError:
    left = to_text(rest, invoice.currency)
    return _more_than_left(invoice, field, of, left, f" {invoice.currency}{why}", line)


def _more_than_left(
    invoice: Invoice, field: str, of: str, left: str, why: str, line: int | None = None
) -> MetergateError:
    metadata = {"invoice": invoice.id} | ({} if line is None else {"line": str(line)}) | {"left": left}
    description = f"is more than what is left of {of}, which is {left}{why}"
    return invalid(field, description, Reason.CREDIT_TOO_LARGE, **metadata)


def _tax(tax: Tax, invoice: Invoice, lines: Sequence[CreditLine], before: Sequence[CreditNote]) -> Tax:
    """The tax of all that is credited by now, less that of what was credited before."""
    taxed = {line.number for line in invoice.lines if line.kind is not LineKind.CARRIED}
    now = sum(line.amount for line in lines if line.line in taxed)
    earlier = sum(line.amount for note in before for line in note.lines if line.line in taxed)
    by_now = rounded_share(tax.amount, earlier + now, tax.taxable) if tax.taxable else 0
    credited = sum(other.amount for note in before for other in note.taxes if other.name == tax.name)
    return replace(tax, taxable=now, amount=by_now - credited)
