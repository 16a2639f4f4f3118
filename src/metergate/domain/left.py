"""What is left of an invoice's lines to be taken back, after what other invoices of its subscription gave back.

A later invoice gives back what an earlier one charged: time that was not used, usage that was amended or voided. The
law: of each thing, no more is ever given back than all invoices that stand charged for it, net of discounts. A thing is

- the usage of a price in a window: all its labels, with what came late, minimum and maximum;
- one charge of a flat price: what takes the rest of its time back is of the last charge to that end before it;
- any other line by itself.

Drafts stand too: what a draft gives back is given when it is finalized, and no credit note has it made anew.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from metergate.domain.draft import COUNTED, Earlier
from metergate.domain.invoice import CreditNote, Invoice, Line, LineKind
from metergate.domain.money import spread
from metergate.domain.quantity import ZERO, add, subtract

Thing = Hashable
_FLAT = frozenset({LineKind.FLAT, LineKind.PRORATION})
_RATED = frozenset({LineKind.USAGE, LineKind.LATE})


@dataclass(frozen=True, slots=True)
class Left:
    """Minor units: `own`, by a line's number, is what it charged (negative: gave) and no credit note took back, `of`
    the thing that it is of, `elsewhere` what other invoices charged for a thing, net. `rated` is the quantity that all
    invoices have rated by now, by what lines share that rate it together; `mine` that of each kind of this one's lines.
    """

    own: Mapping[int, int]
    of: Mapping[int, Thing]
    elsewhere: Counter[Thing]
    rated: Mapping[Thing, Decimal]
    mine: Mapping[tuple[Thing, LineKind], Decimal]

    @property
    def given_elsewhere(self) -> bool:
        """Whether other invoices gave back anything of what this one charged: without it, less than nothing would be
        left of that."""
        return any(self.given(number) for number, rest in self.own.items() if rest > 0)

    def given(self, number: int) -> bool:
        """Whether other invoices gave back anything of what this line charged."""
        return self.elsewhere[self.of[number]] < 0

    def charges(self) -> dict[int, int]:
        """What may be taken back of the lines that charged, by themselves."""
        return self._charges(self.room(()))

    def whole(self) -> dict[int, int]:
        """All that may be taken back: what lines gave goes with what they charged."""
        gave = {number: rest for number, rest in self.own.items() if rest < 0}
        found = gave | self._charges(self.room(gave.items()))
        return {number: found[number] for number in self.own if number in found}

    def room(self, with_it: Iterable[tuple[int, int]]) -> Counter[Thing]:
        """How much may be taken back of what was charged for each thing, where these parts of lines are taken back with
        it: those that are negative were given, and are so no more."""
        net = Counter(self.elsewhere)
        for number, rest in self.own.items():
            net[self.of[number]] += rest
        room = Counter({thing: max(rest, 0) for thing, rest in net.items()})
        for number, amount in with_it:
            room[self.of[number]] -= min(amount, 0)
        return room

    def _charges(self, room: Mapping[Thing, int]) -> dict[int, int]:
        """The lines that charged, in so much room: what is left of a thing is spread over all lines of it."""
        charged: dict[Thing, dict[int, int]] = defaultdict(dict)
        for number, rest in self.own.items():
            if rest > 0:
                charged[self.of[number]][number] = rest
        found: dict[int, int] = {}
        for thing, rests in charged.items():
            most = min(sum(rests.values()), room[thing])
            found |= dict(zip(rests, spread(most, list(rests.values())), strict=True))
        return {number: found[number] for number in self.own if found.get(number)}


def left_of(invoice: Invoice, notes: Iterable[CreditNote], others: Sequence[Earlier]) -> Left:
    """What is left of the invoice after its credit notes. `others` are the other invoices of its subscription, with all
    their lines of the same prices that lie within the windows of its lines."""
    mine = _as_earlier(invoice, notes)
    things = _things([mine, *others])
    elsewhere, rated = Counter[Thing](), dict[Thing, Decimal]()
    for other in others:
        for number, rest in _rest(other).items():
            elsewhere[things[other.id, number]] += rest
    for one in (mine, *others):
        for thing, _, quantity in _quantities(one):
            rated[thing] = add(rated.get(thing, ZERO), quantity)
    of_kinds: dict[tuple[Thing, LineKind], Decimal] = {}
    for thing, kind, quantity in _quantities(mine):
        of_kinds[thing, kind] = add(of_kinds.get((thing, kind), ZERO), quantity)
    of = {line.number: things[mine.id, line.number] for line in mine.lines}
    return Left(_rest(mine), of, elsewhere, rated, of_kinds)


def rated_with(line: Line) -> Thing:
    """What lines share that rate one quantity."""
    return line.plan, line.version, line.price, line.window, line.labels


def _as_earlier(invoice: Invoice, notes: Iterable[CreditNote]) -> Earlier:
    one = invoice
    credited = tuple([line for note in notes for line in note.lines])
    return Earlier(one.id, one.period, one.state, one.seq, one.subtotal, one.total, one.lines, credited)


def _rest(invoice: Earlier) -> dict[int, int]:
    """What each line charged or gave and no credit note took back; nothing of an invoice that is void."""
    if not invoice.stands:
        return dict.fromkeys([line.number for line in invoice.lines], 0)
    rest = {line.number: line.amount - line.discount for line in invoice.lines}
    for line in invoice.credited:
        if line.line in rest:
            rest[line.line] -= line.amount
    return rest


def _things(invoices: Iterable[Earlier]) -> dict[tuple[str, int], Thing]:
    """The things that lines are of, by the invoice's id and their numbers.

    What is given back of a flat price ends with the charge that it is of, and begins no earlier: of those it is the
    last one on an earlier invoice. See `charge.charges`, which takes it from there.
    """
    things: dict[tuple[str, int], Thing] = {}
    last: dict[Thing, int] = {}
    for invoice in sorted(invoices, key=lambda one: (one.period.start, one.period.end)):
        begun: dict[Thing, int] = {}
        for line in invoice.lines:
            thing: Thing
            if line.kind in COUNTED:
                thing = line.plan, line.version, line.price, line.window
            elif line.kind not in _FLAT or line.quantity is None:
                thing = invoice.id, line.number
            elif line.quantity > 0:
                begun[_flat(line)] = line.window.start
                thing = _flat(line), line.window.start
            else:
                thing = _flat(line), last.get(_flat(line))
            things[invoice.id, line.number] = thing
        last |= begun
    return things


def _flat(line: Line) -> Thing:
    assert line.quantity is not None, "it is asked for"
    return line.plan, line.version, line.price, line.quantity.copy_abs(), line.unit_amount, line.window.end


def _quantities(invoice: Earlier) -> Iterator[tuple[Thing, LineKind, Decimal]]:
    """What the invoice says was rated, less what its credit notes corrected. Of a void one it stays rated."""
    of = {line.number: line for line in invoice.lines if line.kind in _RATED}
    for line in of.values():
        quantity = line.billed if line.kind is LineKind.USAGE else line.quantity
        if quantity is not None:
            yield rated_with(line), line.kind, quantity
    for taken in invoice.credited:
        if taken.quantity is not None and taken.line in of:
            yield rated_with(of[taken.line]), of[taken.line].kind, subtract(ZERO, taken.quantity)
