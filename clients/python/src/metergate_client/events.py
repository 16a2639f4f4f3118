"""Usage: the events that go in, the receipts that come back, and the events as the ledger holds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from metergate_client.exact import Amount, amount_text, aware, moment_text, utc_now
from metergate_client.ids import new_id
from metergate_client.quota import Decision, LimitState


@dataclass(frozen=True, slots=True)
class Event:
    """One usage fact. Its id and time are fixed when it is made, so that sending it again counts once.

    Attributes:
        type: What kind of usage it is; meters select on it.
        subject: What used it.
        amount: How much; None = 1.
        values: More named quantities, such as ``{"input_tokens": 4808}``.
        labels: Its dimensions, such as ``{"region": "eu"}``.
        id: Unique per tenant and source; by default a new UUIDv7.
        time: When it happened; by default now by this machine's clock. None = when it arrives at the server.
        source: What the id is unique in; empty = the service that the API key is for.
        settles: The reservation or lease that it was spent from.

    Raises:
        TypeError: A quantity is a float or no number.
        ValueError: The time has no zone.
    """

    type: str
    subject: str
    amount: Amount | None = None
    values: Mapping[str, Amount] = field(default_factory=dict[str, Amount])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    id: str = field(default_factory=new_id)
    time: datetime | None = field(default_factory=utc_now)
    source: str = ""
    settles: str = ""

    def __post_init__(self) -> None:
        for quantity in (*self.values.values(), *(() if self.amount is None else (self.amount,))):
            amount_text(quantity)
        # Copies: what the caller does with its dicts later must not change what a repeat sends.
        object.__setattr__(self, "values", dict(self.values))
        object.__setattr__(self, "labels", dict(self.labels))
        if self.time is not None:
            object.__setattr__(self, "time", aware(self.time))


@dataclass(frozen=True, slots=True, repr=False)
class Receipt:
    """What became of one event.

    Attributes:
        event_id: The event's id.
        outcome: "accepted" (new, and durable), "duplicate" (recorded before with the same content), "conflict" (its id
            is known with other content) or "rejected" (it breaks a rule). The last two changed nothing.
        reason: Why it was not accepted, as in ``MetergateError.reason``; else empty.
        field: The field that conflicts or breaks a rule.
        message: The same in words.
        unmatched: Why an accepted event does not count yet: "subject" or "meter" is unknown. It counts once there is
            one. Empty when it counts.
        limits: The limits that it counts in, after it; only where they were asked for.
        token: Hand it to a later read, and that read sees this event.
        unsettled: Why an event that names what it settles took nothing out of it, though it counts: "unknown", "other"
            (another meter, subject or label than is held) or "nothing left". Empty otherwise.
        decision: The decision under which it was admitted; None for recorded facts.
    """

    event_id: str
    outcome: str
    reason: str = ""
    field: str = ""
    message: str = ""
    unmatched: str = ""
    limits: tuple[LimitState, ...] = ()
    token: str = ""
    unsettled: str = ""
    decision: Decision | None = None

    @property
    def ok(self) -> bool:
        """Whether the event is in the ledger with this content: accepted or duplicate."""
        return self.outcome in ("accepted", "duplicate")

    @property
    def duplicate(self) -> bool:
        """Whether it had been recorded before."""
        return self.outcome == "duplicate"

    def __repr__(self) -> str:
        parts = [self.outcome, self.event_id]
        if self.unmatched:
            parts.append(f"does not count yet: unknown {self.unmatched}")
        if self.unsettled:
            parts.append(f"settles nothing: {self.unsettled}")
        if not self.ok:
            parts.append(": ".join(part for part in (self.reason, self.message) if part))
        return " · ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True, repr=False)
class Receipts:
    """The receipts of a batch, in the order of its events. Hand ``token`` to a later read, and that read sees them."""

    receipts: tuple[Receipt, ...]
    token: str = ""

    @property
    def failed(self) -> tuple[Receipt, ...]:
        """Those of events that were not taken: conflicts and rejections."""
        return tuple(receipt for receipt in self.receipts if not receipt.ok)

    def count(self, outcome: str) -> int:
        """How many events had this outcome."""
        return sum(receipt.outcome == outcome for receipt in self.receipts)

    def __iter__(self) -> Iterator[Receipt]:
        return iter(self.receipts)

    def __len__(self) -> int:
        return len(self.receipts)

    def __getitem__(self, index: int) -> Receipt:
        return self.receipts[index]

    def __repr__(self) -> str:
        counts = Counter(receipt.outcome for receipt in self.receipts)
        return " · ".join(f"{number} {outcome}" for outcome, number in counts.items()) or "no events"


@dataclass(frozen=True, slots=True, repr=False)
class RecordedEvent:
    """An event as the ledger holds it.

    Attributes:
        event: The event as it came.
        customer: The customer that it counts for; empty while its subject is unknown.
        count_time: The moment by which it counts in windows.
        record_time: When it was recorded.
        seq: Its place in the customer's order of facts.
        meters: The meters that it counts in.
        unmatched: Why it does not count ("subject" or "meter" is unknown); empty when it counts.
        taken_back: Whether this takes back what the same event said before.
        version: Which version of the event it is, or takes back.
    """

    event: Event
    customer: str
    count_time: datetime | None
    record_time: datetime | None
    seq: int
    meters: tuple[str, ...]
    unmatched: str = ""
    taken_back: bool = False
    version: int = 1

    def __repr__(self) -> str:
        event = self.event
        parts = [moment_text(self.count_time)] if self.count_time else []
        parts += [f"{event.type} {'1' if event.amount is None else amount_text(event.amount)}", event.subject, event.id]
        parts.append(f"unknown {self.unmatched}" if self.unmatched else f"counts in {', '.join(self.meters)}")
        return " · ".join(parts)
