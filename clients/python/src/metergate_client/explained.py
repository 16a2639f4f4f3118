"""What stood behind a decision, worked out again from the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from metergate_client.quota import Decision, LimitState


class RecordedId(NamedTuple):
    """An event of the ledger by its ``id`` and ``source``; ``seq`` is its place in the customer's order of facts, and
    ``value`` what it counts in this limit."""

    id: str
    source: str
    seq: int
    value: Decimal


class HeldCapacity(NamedTuple):
    """What a reservation or a lease of this id held: in reserve, handed out and not settled, and forfeited."""

    id: str
    reserved: Decimal
    leased: Decimal
    forfeited: Decimal


class BurnedGrant(NamedTuple):
    """A grant: what it had brought (its amount and what had rolled over), what of it had been used, and what was left
    when it was over."""

    id: str
    brought: Decimal
    burned: Decimal
    lost: Decimal


@dataclass(frozen=True, slots=True, repr=False)
class ExplainedLimit:
    """What stood behind one limit's figures.

    Attributes:
        state: The limit, worked out again.
        events: The newest events of its window, as far as they were recorded then.
        event_count: How many events there were.
        holds: The reservations and leases that held capacity in it.
        grants: Of a limit of the kind "grants": the newest grants that had begun then.
    """

    state: LimitState
    events: tuple[RecordedId, ...]
    event_count: int
    holds: tuple[HeldCapacity, ...]
    grants: tuple[BurnedGrant, ...]

    def __repr__(self) -> str:
        counts = {"events": self.event_count, "holds": len(self.holds), "grants": len(self.grants)}
        behind = ", ".join(f"{number} {word}" for word, number in counts.items() if number)
        return f"{self.state} · from {behind or 'nothing'}"


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """A decision and what stood behind it. Iterate over it for each ``ExplainedLimit``.

    Attributes:
        decision: The decision, worked out again from the ledger.
        confirmed: Whether that is what was answered.
        customer: Who was asked about.
        seq: The customer's order of facts after which it was decided.
        limits: What stood behind each limit, in the decision's order.
    """

    decision: Decision
    confirmed: bool
    customer: str
    seq: int
    limits: tuple[ExplainedLimit, ...]

    def __iter__(self) -> Iterator[ExplainedLimit]:
        return iter(self.limits)

    def __getitem__(self, name: str) -> ExplainedLimit:
        """What stood behind the first limit of this name; KeyError when there is none."""
        for limit in self.limits:
            if limit.state.name == name:
                return limit
        raise KeyError(name)

    def __repr__(self) -> str:
        said = "as it was answered" if self.confirmed else "something else was answered"
        head = f"{self.decision} · {self.customer} at seq {self.seq} · {said}"
        return "\n".join([head, *(f"  {limit}" for limit in self.limits)])
