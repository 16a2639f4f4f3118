"""Corrections: recorded events taken back, and what is put in their place.

A correction writes nothing over: it appends the row that it takes back once more with its sign turned round, and the
new content beside it, if there is any. So every quantity is a function of the signed rows, as known at any `seq`. Each
correction makes the next version of its event; the first content is version 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.meter import Meter
from metergate.domain.posting import (
    NOBODY,
    Ledger,
    Posting,
    Row,
    Signed,
    accepted,
    contributions,
    count,
)
from metergate.domain.quantity import ZERO, subtract
from metergate.domain.usage import Event
from metergate.domain.work import Correct

FIRST = 1
"""The version of what was recorded."""


class Kind(StrEnum):
    """What a correction did: put other content in the place of what stood, took it back, or brought a content back."""

    AMEND = "amend"
    VOID = "void"
    RESTORE = "restore"


class Place(NamedTuple):
    """Where a row counts: for whom, for which pool as well, and when; `seq` is the customer's under which it came or
    was taken back."""

    customer: str
    counted_at: int
    seq: int
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands of an event now, of a voided one what stood last, and where. `content` is the version that brought
    that content."""

    event: Event
    place: Place
    version: int = FIRST
    voided: bool = False
    content: int = FIRST


@dataclass(frozen=True, slots=True)
class Corrected:
    """A correction as it was made: the version that it made, what it took back and what counts since; None = nothing.

    `unmatched` says why the new content does not count yet.
    """

    source: str
    id: str
    version: int
    kind: Kind
    taken: Place | None
    put: Place | None
    content: int
    work: Correct | None = field(default=None, compare=False)
    digest: bytes = b""
    unmatched: str = ""

    @property
    def seqs(self) -> dict[str, int]:
        """The `seq` of each customer whose ledger it changed."""
        places = [place for place in (self.taken, self.put) if place is not None]
        return {place.customer: place.seq for place in places}


class Elsewhere(NamedTuple):
    """The event stands where the commit holds no lock: the work as it has to come again."""

    work: Correct


def correct(work: Correct, ledger: Ledger, posting: Posting) -> Corrected | Elsewhere | MetergateError:
    """Decides on a correction and posts it."""
    try:
        return _correct(work, ledger, posting)
    except MetergateError as error:
        return error


def _correct(work: Correct, ledger: Ledger, posting: Posting) -> Corrected | Elsewhere:
    before = _before(work, ledger, posting)
    if before is not None:
        return before
    key = (work.source, work.id)
    standing = posting.standing.get(key) or ledger.standing.get(key)
    if standing is None:
        raise not_found(work.source, work.id)
    place = standing.place
    if place.customer != work.customer or (place.pool and place.pool not in ledger.heads):
        return Elsewhere(work._replace(customer=place.customer, left_pool=place.pool))
    _check_version(work, standing)
    if work.event is not None and work.event.subject == standing.event.subject and place.customer != NOBODY:
        work = work._replace(to=place.customer)  # whosever it is now: what was recorded stays where it was counted
    event = None if work.event is None else _completed(work.event, standing.event)
    counted_at = _counted_at(work, event, standing, ledger)
    parts = contributions(event, ledger.catalog) if event else []
    if isinstance(parts, MetergateError):
        raise parts
    version = standing.version + 1
    taken = None
    if not standing.voided:
        taken = place._replace(seq=ledger.heads[place.customer].seq + 1)
        _post(posting, ledger.catalog, Signed(_row(standing.event, taken), -1, standing.content))
    put = None
    if event is not None:
        # Who had the subject then keeps its usage, though the subject may have moved since.
        to = place.customer if event.subject == standing.event.subject else work.to
        pool = place.pool if to == place.customer else ledger.heads[to].pool
        put = Place(to, counted_at, ledger.heads[to].seq + 1, pool)
        _post(posting, ledger.catalog, Signed(_row(event, put), 1, version))
    kind = Kind.VOID if event is None else Kind.RESTORE if work.restores else Kind.AMEND
    unmatched = "" if put is None or parts else "meter"
    made = Corrected(
        work.source, work.id, version, kind, taken, put, version if event else standing.content, work, work.digest,
        "subject" if put is not None and put.customer == NOBODY else unmatched,
    )  # fmt: skip
    posting.corrected.append(made)
    posting.standing[key] = Standing(
        event or standing.event, put or place, version, event is None, version if event else standing.content
    )
    return made


def _before(work: Correct, ledger: Ledger, posting: Posting) -> Corrected | None:
    """What the same request was answered."""
    if not work.request_id:
        return None
    asked = (work.service, work.request_id)
    mine = [one for one in posting.corrected if one.work and (one.work.service, one.work.request_id) == asked]
    found = mine[0] if mine else ledger.corrected.get(asked)
    if found is not None and found.digest != work.digest:
        message = f"request id {work.request_id!r} was used before with another body"
        raise MetergateError(Reason.REQUEST_ID_REUSED, message, {"request_id": work.request_id})
    return found


def _check_version(work: Correct, standing: Standing) -> None:
    if work.expected and standing.version != work.expected:
        message = f"event {work.id!r} was corrected meanwhile: it is at version {standing.version}"
        metadata = {"id": work.id, "version": str(standing.version), "expected": str(work.expected)}
        raise MetergateError(Reason.EVENT_CHANGED, message, metadata)
    if standing.voided and not work.restores:
        message = f"event {work.id!r} was voided before; nothing of it is left to correct"
        raise MetergateError(Reason.EVENT_VOIDED, message, {"id": work.id, "version": str(standing.version)})


def _completed(event: Event, first: Event) -> Event:
    """The new content: what the event settled stays settled."""
    if event.settles not in ("", first.settles):
        raise invalid("event.settles", "cannot be corrected: what an event settled stays settled")
    event.settles = first.settles
    return event


def _counted_at(work: Correct, event: Event | None, standing: Standing, ledger: Ledger) -> int:
    """When the new content counts: a time that is the same, or is not given, leaves it where it was."""
    if work.counted_at is not None:
        return work.counted_at
    if event is None or event.time in (None, standing.event.time):
        return standing.place.counted_at
    if error := accepted(event, ledger, work.backfill):
        raise error
    assert event.time is not None, "looked at above"
    return event.time


def _row(event: Event, place: Place) -> Row:
    return Row(event, place.customer, place.seq, place.counted_at, place.pool)


def _post(posting: Posting, catalog: Catalog, signed: Signed) -> None:
    """Appends a row, and moves what it counts in, for its customer and for its pool."""
    row = signed.row
    posting.signed.append(signed)
    if row.customer == NOBODY:
        return
    for meter, value in counted_in(row.event, catalog):
        moved = value if signed.sign > 0 else subtract(ZERO, value)
        count(posting, row.customer, meter, row.event, row.counted_at, moved, signed.sign)
        if row.pool:
            count(posting, row.pool, meter, row.event, row.counted_at, moved, signed.sign)


def counted_in(event: Event, catalog: Catalog) -> list[tuple[Meter, Decimal]]:
    """What the event adds to which meters. One that was recorded before its meter forbade its value adds nothing."""
    meters = catalog.meters_of_type.get(event.type, ())
    found = [(meter, meter.contribution(event)) for meter in meters]
    return [(meter, value) for meter, value in found if value is not None]


def not_found(source: str, id: str) -> MetergateError:
    """No event of that id is known."""
    message = (
        f"no event {id[:80]!r} of source {source[:80]!r} is known. Ids are remembered for the accept window and 7 days "
        "more, and once corrected for longer; name an older one's customer and count_time too"
    )
    return MetergateError(Reason.EVENT_NOT_FOUND, message, {"id": id[:80], "source": source[:80]})


def uses_of(works: Iterable[Correct], standing: Mapping[tuple[str, str], Standing]) -> list[tuple[str, Event]]:
    """The events that corrections take back or put, by whose accounts of grants they may move."""
    found: list[tuple[str, Event]] = []
    for work in works:
        stands = standing.get((work.source, work.id))
        if stands is not None:
            found += [(name, stands.event) for name in (stands.place.customer, stands.place.pool) if name]
        if work.event is not None:
            found += [(work.to, work.event)] if work.to else []
            found += [(work.left_pool, work.event)] if work.left_pool else []
    return found
