"""Posting: what one commit writes of events and holds. The ledger's law as pure functions.

`post` decides on each fact under the locks of its customers' heads. It knows no database: what was looked up is an
argument, what to write is the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from metergate.domain.aggregation import tie_key
from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.grant import Account, Move
from metergate.domain.hold import Hold, Shift, settle, settled_between, shifts
from metergate.domain.meter import UNIQUE, Meter
from metergate.domain.override import Override
from metergate.domain.period import QUARTER
from metergate.domain.quantity import ONE, ZERO, add
from metergate.domain.usage import AcceptWindow, Event, Outcome, Receipt, compare, conflict
from metergate.domain.work import Fact

if TYPE_CHECKING:
    from metergate.domain.correction import Corrected, Standing

# The customer of events whose subject is unknown: a waiting room with a head of its own.
NOBODY = ""
_NOTHING: Mapping[str, Decimal] = {}


@dataclass(frozen=True, slots=True)
class Head:
    """A customer's head as it was locked: its last `seq`, what governs its limits, and up to which
    `metering_version` its rollups are complete. `pool` is the customer in whose limits its usage counts too. `moved`
    says that subjects came or went, so that works are looked at whose they are now (`domain.routing`). `billed_until`
    is the end of the last period that was invoiced (None = none): what counts before it comes late (`domain.late`)."""

    customer: str
    seq: int
    plan: str
    time_zone: str
    metering_version: int
    anchor: int | None = None
    overrides: tuple[Override, ...] = ()
    pool: str = ""
    moved: bool = False
    billed_until: int | None = None


class Known(NamedTuple):
    """What the ledger remembers of an id: who recorded it at which `seq`, when it counts, and its first content.

    `event` is there only where the digest differs from the one that was asked for.
    """

    customer: str
    seq: int
    digest: bytes
    event: Event | None
    counted_at: int = 0


class Row(NamedTuple):
    """An event as it is appended: `counted_at` is the instant by which it counts in windows, of `pool` too."""

    event: Event
    customer: str
    seq: int
    counted_at: int
    pool: str = ""


class Signed(NamedTuple):
    """A row that a correction appends: with `sign` -1 it takes back the row of that version, with 1 it is that one."""

    row: Row
    sign: int
    version: int


class RollupKey(NamedTuple):
    """A quarter hour of one measure, subject and combination of the measure's dimensions."""

    customer: str
    measure: str
    quarter: int
    subject: str
    dimensions: tuple[str, ...]


class Extremes(NamedTuple):
    """The least, greatest and latest value of a rollup. Of one instant the greatest `last_key` is the latest: it does
    not matter which came first."""

    min: Decimal
    max: Decimal
    last_at: int
    last_key: str
    last: Decimal


class Use(NamedTuple):
    """What one event adds to one meter, or takes from it. `settled` of it was held for it."""

    counted_at: int
    subject: str
    labels: Mapping[str, str]
    value: Decimal
    settled: Decimal = ZERO


@dataclass(slots=True)
class Posting:
    """What a commit writes. `uses` are by (customer, meter), those of UNIQUE meters in `sightings`, and those of others
    that do not add up in `recounts`; of meters that nobody limits there are none. `fresh` are the events that it
    accepted, by (source, id). `extremes` are of the rollups that keep them, and `shrunk` those of which something was
    taken away. `holds` are those that it changes or makes, as they are afterwards. `grants` are the accounts of grants
    that it changes, and `grant_moves` what happens to their grants, both by (customer, meter). `corrected` are its
    corrections, `signed` their rows, and `standing` what stands after them, by (source, id).
    """

    rows: list[Row] = field(default_factory=list)
    rollups: dict[RollupKey, tuple[int, Decimal]] = field(default_factory=dict)
    extremes: dict[RollupKey, Extremes] = field(default_factory=dict)
    shrunk: set[RollupKey] = field(default_factory=set)
    uses: dict[tuple[str, str], list[Use]] = field(default_factory=dict)
    sightings: dict[tuple[str, str], list[Use]] = field(default_factory=dict)
    recounts: dict[tuple[str, str], list[Use]] = field(default_factory=dict)
    fresh: dict[tuple[str, str], Event] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    grants: dict[tuple[str, str], Account] = field(default_factory=dict)
    grant_moves: dict[tuple[str, str], list[Move]] = field(default_factory=dict)
    corrected: list[Corrected] = field(default_factory=list)
    signed: list[Signed] = field(default_factory=list)
    standing: dict[tuple[str, str], Standing] = field(default_factory=dict)

    @property
    def all_uses(self) -> Mapping[tuple[str, str], list[Use]]:
        """Those of all meters."""
        if not self.recounts and not self.sightings:
            return self.uses
        return {**self.uses, **self.sightings, **self.recounts}

    @property
    def customers(self) -> set[str]:
        """Those whose ledger it changes."""
        rows = [*self.rows, *[signed.row for signed in self.signed]] if self.signed else self.rows
        changed = {row.customer for row in rows} | {hold.customer for hold in self.holds.values()}
        return (
            changed
            | {row.pool for row in rows if row.pool}
            | {hold.pool for hold in self.holds.values() if hold.pool}
            | {customer for customer, _ in self.grants}
        )


@dataclass(frozen=True, slots=True)
class Ledger:
    """What deciding needs to know, as it was read under the locks."""

    heads: Mapping[str, Head]
    known: Mapping[tuple[str, str], Known]
    catalog: Catalog
    now: int
    accept: AcceptWindow
    # (customer -> seq) that an earlier, unanswered try of this batch would have written.
    tried: Mapping[str, int] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)
    # By (customer, meter): those that this batch may change or decide by.
    grants: Mapping[tuple[str, str], Account] = field(default_factory=dict)
    # What stands of the events that are to be corrected, by (source, id), and what was corrected already by requests
    # of the same (service, request id).
    standing: Mapping[tuple[str, str], Standing] = field(default_factory=dict)
    corrected: Mapping[tuple[str, str], Corrected] = field(default_factory=dict)

    def accounts(self, customer: str) -> tuple[Head, ...]:
        """Whose limits the customer's usage counts in: its own, and those of its pool."""
        head = self.heads[customer]
        return (head, self.heads[head.pool]) if head.pool else (head,)

    def hold(self, posting: Posting, id: str) -> Hold | None:
        """The hold of that id as this commit has left it so far."""
        return posting.holds.get(id) or self.holds.get(id)


def post(facts: Iterable[Fact], ledger: Ledger, posting: Posting) -> list[Receipt]:
    """Decides on the events in order of arrival. Ids are looked up before any other rule is applied."""
    receipts: list[Receipt] = []
    for fact in facts:
        event = fact.event
        key = (event.source, event.id)
        if key in posting.fresh:
            receipt = _same_or_conflict(event, posting.fresh[key])
        elif key in ledger.known:
            receipt = again(event, ledger.known[key], ledger.tried)
            if receipt.outcome is Outcome.ACCEPTED:  # by a try of ours whose answer was lost
                posting.fresh[key] = event
                receipt.unmatched = _unmatched(fact, ledger.catalog)
        else:
            receipt = _record(fact, ledger, posting)
        receipts.append(receipt)
    return receipts


def again(event: Event, known: Known, tried: Mapping[str, int]) -> Receipt:
    """The receipt of an event whose id is known."""
    if event.digest == known.digest:
        ours = tried.get(known.customer) == known.seq
        return Receipt(event.id, Outcome.ACCEPTED if ours else Outcome.DUPLICATE)
    field_ = compare(known.event, event) if known.event else None
    return Receipt(event.id, Outcome.CONFLICT, conflict(event, field_ or ""))


def _unmatched(fact: Fact, catalog: Catalog) -> str:
    if fact.customer == NOBODY:
        return "subject"
    meters = catalog.meters_of_type.get(fact.event.type, ())
    return "" if any(meter.contribution(fact.event) is not None for meter in meters) else "meter"


def _same_or_conflict(event: Event, first: Event) -> Receipt:
    field_ = compare(first, event)
    if field_ is None:
        return Receipt(event.id, Outcome.DUPLICATE)
    return Receipt(event.id, Outcome.CONFLICT, conflict(event, field_))


def _record(fact: Fact, ledger: Ledger, posting: Posting) -> Receipt:
    event, customer, now = fact.event, fact.customer, ledger.now
    if error := accepted(event, ledger, fact.backfill):
        return Receipt(event.id, Outcome.REJECTED, error)
    parts = contributions(event, ledger.catalog)
    if isinstance(parts, MetergateError):
        return Receipt(event.id, Outcome.REJECTED, parts)
    counted_at = now if event.time is None else event.time
    unsettled, settled = "", _NOTHING
    if event.settles and customer != NOBODY:
        counted_at, unsettled, settled = _settle(event, customer, counted_at, parts, ledger, posting)
    append(posting, ledger, event, customer, counted_at, parts, settled)
    unmatched = "subject" if customer == NOBODY else "" if parts else "meter"
    return Receipt(event.id, Outcome.ACCEPTED, None, unmatched, unsettled)


def accepted(event: Event, ledger: Ledger, backfill: bool = False) -> MetergateError | None:
    """Why an event of its time is not accepted any more; None where it is, or has no time."""
    if event.time is None:
        return None
    age = ledger.catalog.accept_ages.get(event.type)
    window = ledger.accept if age is None else replace(ledger.accept, age=min(age, ledger.accept.age))
    return window.check(event.time, ledger.now, backfill)


def contributions(event: Event, catalog: Catalog) -> list[tuple[Meter, Decimal]] | MetergateError:
    """What the event adds to which meters, or why it may not be recorded. Of a measure's meters those are there by
    which something moves, or else one; where the event settles something, all of them."""
    parts: list[tuple[Meter, Decimal]] = []
    for reading in catalog.readings_of_type.get(event.type, ()):
        meter = reading.meter
        value = meter.read(event)
        if value is None:
            continue
        if not meter.allow_negative and value.is_signed() and value < 0:
            return _shrinks(meter)
        for one, counts in reading.all if event.settles else reading.moving:
            parts.append((one, ONE if counts else value))
    return parts


def _shrinks(meter: Meter) -> MetergateError:
    field_ = f"values.{meter.value}" if meter.value else "amount"
    return invalid(
        field_, f"must not be negative: meter {meter.name!r} only grows", Reason.QUANTITY_NEGATIVE, meter=meter.name
    )


def _settle(
    event: Event,
    customer: str,
    counted_at: int,
    parts: Sequence[tuple[Meter, Decimal]],
    ledger: Ledger,
    posting: Posting,
) -> tuple[int, str, Mapping[str, Decimal]]:
    """Takes what the event used out of the hold that it names: when it counts then, why nothing was taken, and what was
    of each meter."""
    hold = ledger.hold(posting, event.settles)
    if hold is None or hold.customer != customer:
        return counted_at, "unknown", _NOTHING
    counted_at = hold.window_time(event.time, ledger.now)
    reasons, settled = ["other"], {}
    for meter, value in parts:
        before = hold
        hold, reason = settle(hold, meter, event.subject, event.labels, value)
        settled[meter.name] = settled_between(before, hold)
        reasons.append(reason)
    posting.holds[hold.id] = hold
    return counted_at, "" if "" in reasons else reasons[-1], settled


def append(
    posting: Posting,
    ledger: Ledger,
    event: Event,
    customer: str,
    counted_at: int,
    parts: Iterable[tuple[Meter, Decimal]],
    settled: Mapping[str, Decimal] = _NOTHING,
) -> None:
    """Appends an event with what it adds to its meters, and what of that was held for it."""
    posting.fresh[event.source, event.id] = event
    head = ledger.heads[customer]
    posting.rows.append(Row(event, customer, head.seq + 1, counted_at, head.pool))
    if customer != NOBODY:
        for meter, value in parts:
            held = settled.get(meter.name, ZERO) if settled else ZERO
            count(posting, customer, meter, event, counted_at, value, settled=held)
            if head.pool:
                count(posting, head.pool, meter, event, counted_at, value, settled=held)


def count(
    posting: Posting,
    customer: str,
    meter: Meter,
    event: Event,
    counted_at: int,
    value: Decimal,
    sign: int = 1,
    settled: Decimal = ZERO,
) -> None:
    """Has the event count in a meter for a customer, or with `sign` -1 no more, `value` being what it adds to it, and
    `settled` what of that was held for it."""
    if meter.leads:
        roll(posting, customer, meter, event, counted_at, value, sign)
    if meter.shapes:
        note(posting, customer, meter, Use(counted_at, event.subject, event.labels, value, settled))


def note(posting: Posting, customer: str, meter: Meter, use: Use) -> None:
    """Has the use move the counters of its meter. One that takes something back has the opposite value."""
    if meter.how.additive:
        all_uses = posting.uses
    else:
        all_uses = posting.sightings if meter.aggregation == UNIQUE else posting.recounts
    uses = all_uses.get((customer, meter.name))
    if uses is None:
        all_uses[customer, meter.name] = [use]
    else:
        uses.append(use)


def roll(
    posting: Posting, customer: str, meter: Meter, event: Event, counted_at: int, value: Decimal, sign: int = 1
) -> None:
    """Adds the event to its measure's rollup, or with `sign` -1 takes it out, `value` being what it adds to it."""
    labels = event.labels
    dimensions = tuple([labels.get(dimension, "") for dimension in meter.dimensions])
    key = RollupKey(customer, meter.measure, counted_at - counted_at % QUARTER, event.subject, dimensions)
    before = posting.rollups.get(key)
    posting.rollups[key] = (sign, value) if before is None else (before[0] + sign, add(before[1], value))
    if meter.extremes:
        if sign < 0:
            posting.shrunk.add(key)
        else:
            one = Extremes(value, value, counted_at, tie_key(event.source, event.id), value)
            found = posting.extremes.get(key)
            posting.extremes[key] = one if found is None else both(found, one)


def both(one: Extremes, other: Extremes) -> Extremes:
    """The extremes of the two together."""
    last = max(one, other, key=lambda extremes: (extremes.last_at, extremes.last_key))
    return last._replace(min=min(one.min, other.min), max=max(one.max, other.max))


def shifted(posting: Posting, ledger: Ledger) -> list[Shift]:
    """What the commit's changes of holds add to the counters."""
    return [
        shift
        for id_, hold in posting.holds.items()
        if hold is not ledger.holds.get(id_)
        for shift in shifts(ledger.holds.get(id_), hold)
    ]
