"""What the lease machine speaks of. Quantities are units (``units``), instants and lengths are nanoseconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple, TypeAlias

from metergate_client.leases.units import ONE

SECOND = 1_000_000_000
NEVER = 1 << 100
"""Later, and more, than anything."""


class Key(NamedTuple):
    """What a slice is of. ``labels`` are pairs in order of their names."""

    meter: str
    subject: str
    labels: tuple[tuple[str, str], ...] = ()


AnyKey: TypeAlias = Key | tuple[str, str, tuple[tuple[str, str], ...]]
"""A key, or the same as a plain tuple, which is quicker to make."""


class Now(NamedTuple):
    """One reading of both clocks: ``boot`` goes on in suspend where there is such a clock and is never set;
    ``wall`` counts from 1970 and may be set."""

    boot: int
    wall: int


@dataclass(frozen=True, slots=True)
class EventForm:
    """How usage of a meter is written as an event, where that is not an event of the meter's own name with an amount.

    Attributes:
        type: The event's type; the meter must select it.
        value: The named value that takes the amount; empty = the event's amount.
    """

    type: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class LeasePace:
    """How eagerly a holder works. All are seconds, but ``first``.

    Attributes:
        ahead: A slice is asked for that lasts this long at the observed rate, and more when half of it is spent.
        first: The first slice of a meter, in multiples of the first amount.
        flush: How often usage is sent as events.
        sync: How often a lease is synced at least.
        brisk: The same where capacity is scarce: less was handed out than wanted, or some was recalled.
        again: How long a refusal is remembered before the server is asked again.
        idle: A lease that was not spent for this long is given back.
        journal: The journal's mark runs this far ahead of what is spent, at the observed rate.
    """

    ahead: float = 10.0
    first: int = 100
    flush: float = 5.0
    sync: float = 5.0
    brisk: float = 1.0
    again: float = 0.5
    idle: float = 30.0
    journal: float = 1.0


class Verdict(Enum):
    """What came of trying to spend."""

    ALLOWED = auto()
    ALERT = auto()
    """Allowed, and there is work to do: wake the loop."""
    WAIT = auto()
    """Not now; something under way may bring it. Wake the loop, and try again when it tells of news."""
    REFUSED = auto()
    """No: nothing is left, or nothing can be leased, as far as was known a moment ago."""


class State(Enum):
    """A lease's life at its holder."""

    ASKED = auto()
    """Wanted. Its AcquireLease is journaled, then sent until it is answered, always with the same request id."""
    OPEN = auto()
    """It may be spent."""
    CLOSING = auto()
    """Never spent again; the server is to be told, and events are to be acknowledged."""


@dataclass(slots=True)
class Part:
    """One settling event: usage of a lease since the part before. Fixed when it is made."""

    number: int
    amount: int
    time: int
    journaled: bool = False


@dataclass(slots=True)
class Lease:
    """A lease at its holder. What is spent is at most ``granted - returned`` and at most ``mark``."""

    request_id: str
    key: Key
    form: EventForm
    asked: int
    state: State = State.ASKED
    unwanted: bool = False  # an ASKED one that is to be closed as soon as it is there
    first_sent: Now | None = None
    id: str = ""
    granted: int = 0
    returned: int = 0
    spent: int = 0
    floor: int = 0  # what a former run may have spent; reported where it is more than `spent`
    mark: int = 0  # what the journal holds for certain: no more than this may be spent
    claimed: int = 0  # what it may hold: what was handed to it last counts, until a later write is confirmed
    ceiling: int = 0  # min(mark, granted - returned), kept for the fast path
    alert: int = NEVER  # at this much spent the loop has work
    low: int = -1  # more is asked for when no more than this is left
    end_boot: int = 0
    end_wall: int = 0
    sync_at: int = 0
    planned: bool = False  # its next mark is made up, and waits for the journal or for its turn
    returned_told: int = 0
    told: bool = False  # the server knows that it is closed
    needed: int = 0  # the slot's need when its last mark was made
    target: int = 0  # how much is to be at hand
    measured: int = 0  # `spent` when the rate was last measured, and when that was
    measured_at: int = 0
    spent_at: int = 0  # when it was last seen to have been spent
    covered: int = 0  # how much of what is spent has become parts
    last_part: int = 0
    parts: list[Part] = field(default_factory=list)  # made, and not acknowledged
    part_time: int = 0  # of a former run's lease: when its usage was known; 0 = now
    acknowledged: int = 0  # how much of what is covered was acknowledged without a problem
    dirty: bool = True  # the journal is to be told
    journaled: bool = False  # the journal knows it

    @property
    def capacity(self) -> int:
        """How far it may be spent."""
        return self.granted - self.returned

    @property
    def left(self) -> int:
        """What may still be spent."""
        return self.granted - self.returned - self.spent

    @property
    def reported(self) -> int:
        """The spent mark that the server is told."""
        return max(self.spent, self.floor)

    def ended(self, now: Now) -> bool:
        """Whether either clock says that its time is over."""
        return now.boot >= self.end_boot or now.wall >= self.end_wall


@dataclass(slots=True)
class Slot:
    """What is known of a key, over the leases that it has had."""

    lease: Lease | None = None
    need: int = 0  # the largest amount that could not be spent since the last request
    largest: int = 0
    whole: bool = True
    rate: int = 0  # units a second
    refused_until: int = 0

    def note(self, units: int) -> None:
        """An amount that was asked for."""
        self.largest = max(self.largest, units)
        self.whole = self.whole and not units % ONE


class Figures(NamedTuple):
    """A lease as the server tells it. ``ttl`` None: it is over."""

    id: str
    granted: int
    returned: int
    spent: int
    settled: int
    state: str
    ttl: int | None
    recall: int


class Acquire(NamedTuple):
    """Send AcquireLease. Its answer is the lease's ``Figures``, or None when refused."""

    request_id: str
    key: Key
    amount: int
    sent: Now


class Mark(NamedTuple):
    """What is reported of one lease. ``returned`` and ``wanted`` are None where it closes."""

    request_id: str
    lease_id: str
    spent: int
    returned: int | None
    wanted: int | None
    close: bool


class Sync(NamedTuple):
    """Send SyncLeases. Its answer is a ``Synced`` for each mark, in order."""

    marks: Sequence[Mark]
    sent: Now


class Synced(NamedTuple):
    """The answer to a mark: the lease, or why it was not taken (``error_reason``)."""

    figures: Figures | None
    error_reason: str = ""


class Settling(NamedTuple):
    """A settling event. Its id is ``<lease id>/<part's number>``, so that a repeat is a duplicate."""

    request_id: str
    lease_id: str
    number: int
    key: Key
    form: EventForm
    amount: int
    time: int


class Record(NamedTuple):
    """Send BatchRecordUsage. Its answer is a ``Recorded`` for each event, in order."""

    events: Sequence[Settling]
    sent: Now


class Recorded(NamedTuple):
    """What became of an event: ``problem`` is empty when it was taken and settled."""

    problem: str = ""


Request: TypeAlias = Acquire | Sync | Record


class Failure(NamedTuple):
    """A request that got no answer, or an error for one: ``answered`` says that the server did answer and refuses."""

    reason: str
    answered: bool
    retry_after: int = 0


class Entry(NamedTuple):
    """What the journal holds of one lease; a later entry of the same request id takes the place of an earlier one.

    ``mark``: it may have been spent up to this. ``spent``: it had been spent this far for certain, at ``time``.
    ``parts``: settling events that were made and not acknowledged. ``gone``: forget it.
    """

    request_id: str
    key: Key
    form: EventForm
    asked: int
    lease_id: str
    mark: int
    spent: int
    time: int
    covered: int
    last_part: int
    parts: tuple[tuple[int, int, int], ...]
    gone: bool = False


class Write(NamedTuple):
    """Entries to be made durable, and then confirmed."""

    entries: Sequence[Entry]
