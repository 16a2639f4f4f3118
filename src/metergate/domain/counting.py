"""Counting: which counters a commit needs, and what they become. A counter counts whatever lies in its window and
matches its subject and label filter, whichever limit it was made for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Generic, NamedTuple, Protocol, TypeVar

from metergate.domain.hold import Shift
from metergate.domain.meter import Meter
from metergate.domain.period import LATEST, Window
from metergate.domain.posting import Ledger, Posting, Use, shifted
from metergate.domain.quantity import ZERO, add, subtract
from metergate.domain.quota import CounterKey, Figures, Kind, Limit, owe, read_filter, write_filter


class _Counted(Protocol):
    """What is found by its subject and labels: a use or a shift."""

    @property
    def subject(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...


# Whose counters of what: customer, meter, subject and filter.
Place = tuple[str, str, str, str]


class Counted(NamedTuple):
    """Whose usage it is, and its labels."""

    subject: str
    labels: Mapping[str, str]


def places_of(owner: str, meter: Meter, uses: Iterable[_Counted]) -> set[Place]:
    """Where the counters are that these may count in, of all the shapes that there are."""
    places: set[Place] = set()
    for per_subject, names in meter.shapes:
        if not per_subject and not names:
            places.add((owner, meter.name, "", ""))
            continue
        for use in uses:
            labels = use.labels
            filter_ = write_filter([(name, labels.get(name, "")) for name in names])
            places.add((owner, meter.name, use.subject if per_subject else "", filter_))
    return places


def needed(posting: Posting, ledger: Ledger) -> dict[CounterKey, Limit]:
    """The counters that have to exist after this commit: those of the limits in force whose window still counts.

    Those that a change of a hold moves too: the fast view may know them while they have no row, after a change of
    limits or meters. Counters of past windows are moved where they exist and are not born: nothing is decided by them.
    """
    keys: dict[CounterKey, Limit] = {}
    nearby: dict[tuple[int, str, int | None], Window] = {}  # most events of a batch lie in one window of each limit
    moving: dict[tuple[str, str], list[Use | Shift]] = {pair: [*uses] for pair, uses in posting.all_uses.items()}
    for shift in shifted(posting, ledger):
        if shift.customer in ledger.heads:  # a pool that its customer has left is not
            moving.setdefault((shift.customer, shift.meter), []).append(shift)
    for (customer, meter), uses in moving.items():
        head = ledger.heads[customer]
        zone, anchor = head.time_zone, head.anchor
        for limit in ledger.catalog.limits(head.plan, meter):
            place = (id(limit), zone, anchor)
            window = nearby.get(place)
            for use in uses:
                filter_ = limit.filter_of(use.labels)
                if filter_ is None:
                    continue
                if window is None or not window.start <= use.counted_at < window.end:
                    at = max(use.counted_at, ledger.now) if limit.slides else use.counted_at
                    window = nearby[place] = limit.windows(zone, at, anchor)[-1]
                if window.end + limit.looks_back > ledger.now and window.start <= use.counted_at:
                    subject = limit.subject_of(use.subject)
                    key = CounterKey(customer, meter, subject, filter_, window.start, window.end)
                    keys[key] = limit
                    if limit.looks_back and ledger.catalog.watches(limit):  # all of a rolling window is looked at
                        for one in limit.windows(zone, max(use.counted_at, ledger.now), anchor):
                            keys[key._replace(start=one.start, end=one.end)] = limit
    return keys


def move(
    counters: Mapping[CounterKey, Figures],
    uses: Mapping[tuple[str, str], Sequence[Use]],
    shifts: Sequence[Shift] = (),
) -> dict[CounterKey, Figures]:
    """The counters that change, as they are afterwards. The meters of the uses are such as add up."""
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
    if shifts:
        _shift(moved, counters, shifts)
    return moved


def hit(counters: Iterable[CounterKey], uses: Mapping[tuple[str, str], Sequence[Use]]) -> list[CounterKey]:
    """The counters in which any of the uses counts."""
    return [key for key, _ in lying_in(counters, uses)]


def lying_in(
    counters: Iterable[CounterKey], uses: Mapping[tuple[str, str], Sequence[Use]]
) -> Iterator[tuple[CounterKey, list[Use]]]:
    """The counters in which any of the uses counts, each with those that do."""
    indexes = {pair: _Index(mine) for pair, mine in uses.items()}
    for key in counters:
        index = indexes.get((key.customer, key.meter))
        mine = [
            use
            for use in (index.candidates(key) if index else ())
            if key.start <= use.counted_at < key.end and (not key.subject or key.subject == use.subject)
        ]
        if mine:
            yield key, mine


def pace(
    moved: dict[CounterKey, Figures], counters: Mapping[CounterKey, Figures], posting: Posting, ledger: Ledger
) -> None:
    """Takes what facts used from the rates in force: all of it but what was held for it, which was taken then."""
    rated = ledger.catalog.rated_meters
    for (customer, meter), uses in posting.uses.items() if rated else ():
        if meter not in rated:
            continue
        for limit in ledger.catalog.limits_for(ledger.heads[customer], meter, ledger.now):
            if limit.kind is not Kind.RATE:
                continue
            facts: dict[tuple[str, str], list[tuple[int, Decimal]]] = {}
            for use in uses:
                filter_ = limit.filter_of(use.labels)
                if filter_ is not None:
                    whose = (limit.subject_of(use.subject), filter_)
                    facts.setdefault(whose, []).append((use.counted_at, subtract(use.value, use.settled)))
            for (subject, filter_), mine in facts.items():
                key = CounterKey(customer, meter, subject, filter_, -limit.length, LATEST)
                before = moved.get(key, counters[key])
                after = owe(limit, before, mine, ledger.now)
                if after is not before:
                    moved[key] = after


def with_rates(born: dict[CounterKey, Figures], stored: Mapping[CounterKey, Figures]) -> dict[CounterKey, Figures]:
    """The counters, those of rates with the state of the one that there was of another length: a rate that is changed
    does not begin anew. Only they begin before 1970."""
    if not any(key.start < 0 for key in born):
        return born
    states: dict[Place, tuple[Decimal, int, Decimal]] = {}
    for key, figures in stored.items():
        if key.start < 0 and figures.tat:
            states[key[:4]] = max(states.get(key[:4], (ZERO, 0, ZERO)), (figures.tat, key.start, figures.pace))
    for key, figures in born.items():
        if key.start < 0 and (state := states.get(key[:4])):
            born[key] = figures._replace(tat=state[0], pace=state[2])
    return born


def _shift(moved: dict[CounterKey, Figures], counters: Mapping[CounterKey, Figures], shifts: Sequence[Shift]) -> None:
    by_pair: dict[tuple[str, str], list[Shift]] = {}
    for shift in shifts:
        by_pair.setdefault((shift.customer, shift.meter), []).append(shift)
    indexes = {pair: _Index(mine) for pair, mine in by_pair.items()}
    for key in counters:
        index = indexes.get((key.customer, key.meter))
        for shift in index.candidates(key) if index else ():
            if key.start <= shift.counted_at < key.end and (not key.subject or key.subject == shift.subject):
                figures = moved.get(key, counters[key])
                total = add(getattr(figures, shift.column), shift.amount)
                moved[key] = figures.having(shift.column, total)


_C = TypeVar("_C", bound=_Counted)


class _Index(Generic[_C]):
    """The uses of one meter, found by subject or by the values of some labels: a customer may have as many counters
    as subjects, and each batch looks at all of them."""

    def __init__(self, uses: Sequence[_C]) -> None:
        self._uses = uses
        self._by_subject: dict[str, list[_C]] | None = None
        self._by_labels: dict[tuple[str, ...], dict[tuple[str, ...], list[_C]]] = {}

    def candidates(self, key: CounterKey) -> Sequence[_C]:
        """Those that match the key's filter, or else its subject."""
        if key.filter:
            wanted = read_filter(key.filter)
            return self._of_labels(tuple(wanted)).get(tuple(wanted.values()), ())
        if not key.subject:
            return self._uses
        if self._by_subject is None:
            self._by_subject = {}
            for one in self._uses:
                self._by_subject.setdefault(one.subject, []).append(one)
        return self._by_subject.get(key.subject, ())

    def _of_labels(self, names: tuple[str, ...]) -> dict[tuple[str, ...], list[_C]]:
        found = self._by_labels.get(names)
        if found is None:
            found = self._by_labels[names] = {}
            for one in self._uses:
                found.setdefault(tuple([one.labels.get(name, "") for name in names]), []).append(one)
        return found
