"""Posting: what one commit makes of a batch of events. The ledger's law as pure functions.

`post` decides on each event under the locks of its customers' heads; `move` says what the counters
become. Neither knows a database: what was looked up is an argument, what to write is the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.meter import Meter
from metergate.domain.period import QUARTER, Period, Window, window_at
from metergate.domain.quantity import ZERO, add
from metergate.domain.quota import CounterKey, Figures, read_filter
from metergate.domain.usage import AcceptWindow, Event, Outcome, Receipt, compare, conflict

# The customer of events whose subject is unknown: a waiting room with a head of its own.
NOBODY = ""


@dataclass(frozen=True, slots=True)
class Head:
    """A customer's head as it was locked: its last `seq`, what governs its windows, and up to which
    `metering_version` its rollups are complete."""

    customer: str
    seq: int
    plan: str
    time_zone: str
    metering_version: int


class Pending(NamedTuple):
    """An event on its way into the ledger, and the customer whose head it needs."""

    event: Event
    customer: str
    backfill: bool


class Known(NamedTuple):
    """What the ledger remembers of an id: who recorded it at which `seq`, and its first content.

    `event` is there only where the digest differs from the one that was asked for.
    """

    customer: str
    seq: int
    digest: bytes
    event: Event | None


class Row(NamedTuple):
    """An event as it is appended: `counted_at` is the instant by which it counts in windows."""

    event: Event
    customer: str
    seq: int
    counted_at: int


class RollupKey(NamedTuple):
    """A quarter hour of one meter, subject and combination of the meter's dimensions."""

    customer: str
    meter: str
    quarter: int
    subject: str
    dimensions: tuple[str, ...]


class Use(NamedTuple):
    """What one event adds to one meter."""

    counted_at: int
    subject: str
    labels: Mapping[str, str]
    value: Decimal


@dataclass(slots=True)
class Posting:
    """What a commit writes. `receipts` stand in the order of the events; `uses` are by (customer, meter)."""

    receipts: list[Receipt] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    rollups: dict[RollupKey, tuple[int, Decimal]] = field(default_factory=dict)
    uses: dict[tuple[str, str], list[Use]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What `post` needs to know, as it was read under the locks."""

    heads: Mapping[str, Head]
    known: Mapping[tuple[str, str], Known]
    catalog: Catalog
    now: int
    accept: AcceptWindow
    # (customer -> seq) that an earlier, unanswered try of this batch would have written.
    tried: Mapping[str, int] = field(default_factory=dict)


def post(pending: Sequence[Pending], ledger: Ledger) -> Posting:
    """Decides on the events in order of arrival. Ids are looked up before any other rule is applied."""
    posting = Posting()
    fresh: dict[tuple[str, str], Event] = {}
    receipts, now, catalog = posting.receipts, ledger.now, ledger.catalog
    for one in pending:
        event = one.event
        key = (event.source, event.id)
        if key in ledger.known and key not in fresh:
            receipt = _again(event, ledger.known[key], ledger.tried)
            receipts.append(receipt)
            if receipt.outcome is Outcome.ACCEPTED:  # by a try of ours whose answer was lost
                fresh[key] = event
                receipt.unmatched = _unmatched(one, catalog)
        elif key in fresh:
            receipts.append(_same_or_conflict(event, fresh[key]))
        else:
            receipt = _admit(one, ledger, now, catalog, posting)
            receipts.append(receipt)
            if receipt.outcome is Outcome.ACCEPTED:
                fresh[key] = event
    return posting


def _again(event: Event, known: Known, tried: Mapping[str, int]) -> Receipt:
    if event.digest == known.digest:
        ours = tried.get(known.customer) == known.seq
        return Receipt(event.id, Outcome.ACCEPTED if ours else Outcome.DUPLICATE)
    field_ = compare(known.event, event) if known.event else None
    return Receipt(event.id, Outcome.CONFLICT, conflict(event, field_ or ""))


def _unmatched(one: Pending, catalog: Catalog) -> str:
    if one.customer == NOBODY:
        return "subject"
    meters = catalog.meters_of_type.get(one.event.type, ())
    return "" if any(meter.contribution(one.event) is not None for meter in meters) else "meter"


def _same_or_conflict(event: Event, first: Event) -> Receipt:
    field_ = compare(first, event)
    if field_ is None:
        return Receipt(event.id, Outcome.DUPLICATE)
    return Receipt(event.id, Outcome.CONFLICT, conflict(event, field_))


def _admit(one: Pending, ledger: Ledger, now: int, catalog: Catalog, posting: Posting) -> Receipt:
    event = one.event
    counted_at = now if event.time is None else event.time
    if event.time is not None and (error := ledger.accept.check(event.time, now, one.backfill)):
        return Receipt(event.id, Outcome.REJECTED, error)
    parts: list[tuple[Meter, Decimal]] = []
    for meter in catalog.meters_of_type.get(event.type, ()):
        value = meter.contribution(event)
        if value is not None:
            parts.append((meter, value))
        elif meter.read(event) is not None:
            return Receipt(event.id, Outcome.REJECTED, _shrinks(meter))
    customer = one.customer
    posting.rows.append(Row(event, customer, ledger.heads[customer].seq + 1, counted_at))
    if customer == NOBODY:
        return Receipt(event.id, Outcome.ACCEPTED, None, "subject")
    for meter, value in parts:
        _count(posting, customer, meter, event, counted_at, value)
    return Receipt(event.id, Outcome.ACCEPTED, None, "" if parts else "meter")


def _shrinks(meter: Meter) -> MetergateError:
    field_ = f"values.{meter.value}" if meter.value else "amount"
    return invalid(
        field_, f"must not be negative: meter {meter.name!r} only grows", Reason.QUANTITY_NEGATIVE, meter=meter.name
    )


def _count(posting: Posting, customer: str, meter: Meter, event: Event, counted_at: int, value: Decimal) -> None:
    labels, name, subject = event.labels, meter.name, event.subject
    dimensions = tuple([labels.get(dimension, "") for dimension in meter.dimensions])
    key = RollupKey(customer, name, counted_at - counted_at % QUARTER, subject, dimensions)
    before = posting.rollups.get(key)
    posting.rollups[key] = (1, value) if before is None else (before[0] + 1, add(before[1], value))
    use = Use(counted_at, subject, labels, value)
    uses = posting.uses.get((customer, name))
    if uses is None:
        posting.uses[customer, name] = [use]
    else:
        uses.append(use)


def needed(posting: Posting, ledger: Ledger) -> dict[CounterKey, Period]:
    """The counters that have to exist after this commit: those of the limits in force whose window isn't over.

    Counters of past windows are moved where they exist and are not born: nothing is decided by them.
    """
    keys: dict[CounterKey, Period] = {}
    nearby: dict[tuple[int, str], Window] = {}  # most events of a batch lie in one window of each limit
    for (customer, meter), uses in posting.uses.items():
        head = ledger.heads[customer]
        zone = head.time_zone
        for limit in ledger.catalog.limits(head.plan, meter):
            place = (id(limit), zone)
            window = nearby.get(place)
            for use in uses:
                filter_ = limit.filter_of(use.labels)
                if filter_ is None:
                    continue
                if window is None or not window.start <= use.counted_at < window.end:
                    window = nearby[place] = window_at(limit.period, zone, use.counted_at)
                if window.end > ledger.now:
                    subject = limit.subject_of(use.subject)
                    keys[CounterKey(customer, meter, subject, filter_, window.start, window.end)] = limit.period
    return keys


def move(
    counters: Mapping[CounterKey, Figures], uses: Mapping[tuple[str, str], list[Use]]
) -> dict[CounterKey, Figures]:
    """The counters that the uses change, as they are afterwards. A counter counts whatever lies in its window
    and matches its subject and filter, whichever limit it was made for."""
    moved: dict[CounterKey, Figures] = {}
    indexes = {pair: _Index(mine) for pair, mine in uses.items()}
    for key, figures in counters.items():
        index = indexes.get((key.customer, key.meter))
        if index is None:
            continue
        total, found = figures.used, False
        for use in index.candidates(key):
            if key.start <= use.counted_at < key.end and (not key.subject or key.subject == use.subject):
                total, found = add(total, use.value), True
        if found:
            moved[key] = figures._replace(used=total)
    return moved


class _Index:
    """The uses of one meter, found by subject or by the values of some labels: a customer may have as many counters
    as subjects, and each batch looks at all of them."""

    def __init__(self, uses: Sequence[Use]) -> None:
        self._uses = uses
        self._by_subject: dict[str, list[Use]] | None = None
        self._by_labels: dict[tuple[str, ...], dict[tuple[str, ...], list[Use]]] = {}

    def candidates(self, key: CounterKey) -> Sequence[Use]:
        """Uses that match the key's filter, or else its subject."""
        if key.filter:
            wanted = read_filter(key.filter)
            return self._of_labels(tuple(wanted)).get(tuple(wanted.values()), ())
        if not key.subject:
            return self._uses
        if self._by_subject is None:
            self._by_subject = {}
            for use in self._uses:
                self._by_subject.setdefault(use.subject, []).append(use)
        return self._by_subject.get(key.subject, ())

    def _of_labels(self, names: tuple[str, ...]) -> dict[tuple[str, ...], list[Use]]:
        found = self._by_labels.get(names)
        if found is None:
            found = self._by_labels[names] = {}
            for use in self._uses:
                found.setdefault(tuple([use.labels.get(name, "") for name in names]), []).append(use)
        return found


def born(keys: Iterable[CounterKey], sums: Mapping[CounterKey, Decimal]) -> dict[CounterKey, Figures]:
    """New counters as they were just before this commit: the ledger's sums over their windows."""
    return {key: Figures(used=sums.get(key, ZERO)) for key in keys}
