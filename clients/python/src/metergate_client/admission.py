"""Admissions: what became of a request for quota that is carried out at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from metergate_client.events import Receipt
from metergate_client.quota import Decision


@dataclass(frozen=True, slots=True, repr=False)
class Admission(Decision):
    """The decision on a unit of work, which was recorded if it was allowed. A refusal is false and changed nothing.

    Attributes:
        receipts: A receipt for each event of the unit, in order; empty when refused.
        token: Hand it to a later read, and that read sees the unit.
    """

    receipts: tuple[Receipt, ...] = ()
    token: str = ""

    @property
    def duplicate(self) -> bool:
        """Whether the unit had been admitted before; the decision is then the first one."""
        return bool(self.receipts) and all(receipt.duplicate for receipt in self.receipts)

    def __repr__(self) -> str:
        parts = [Decision.__repr__(self)]
        parts += [] if self.allowed else ["nothing charged"]
        return " · ".join([*parts, "admitted before"] if self.duplicate else parts)


@dataclass(frozen=True, slots=True, repr=False)
class ConsumeResult:
    """What became of one unit of a batch. One that was not admitted is false and changed nothing.

    Attributes:
        allowed: Whether it was admitted and recorded, now or before.
        outcome: "accepted" (now) or "duplicate" (before); empty when it was not admitted.
        binding_limit: The limit that refused it.
        retry_after: How long until that limit is whole again.
        decision: The whole decision, where details were asked for.
        error_reason: Why it could not be decided, as in ``MetergateError.reason``; else empty.
        error_message: The same in words.
    """

    allowed: bool
    outcome: str = ""
    binding_limit: str = ""
    retry_after: timedelta | None = None
    decision: Decision | None = None
    error_reason: str = ""
    error_message: str = ""

    def __bool__(self) -> bool:
        return self.allowed

    def __repr__(self) -> str:
        if self.error_reason:
            return f"{self.error_reason}: {self.error_message}"
        if self.decision is not None:
            text = repr(self.decision)
        else:
            text = "allowed" if self.allowed else f"refused by {self.binding_limit or '(no limit named)'}"
        note = "" if self.outcome == "accepted" else "admitted before" if self.allowed else "nothing charged"
        return f"{text} · {note}" if note else text


@dataclass(frozen=True, slots=True, repr=False)
class ConsumeResults:
    """The results of a batch, in the order of its units. Hand ``token`` to a later read, and that read sees them."""

    results: tuple[ConsumeResult, ...]
    token: str = ""

    @property
    def refused(self) -> tuple[ConsumeResult, ...]:
        """Those of units that a limit refused."""
        return tuple(result for result in self.results if not result.allowed and not result.error_reason)

    @property
    def failed(self) -> tuple[ConsumeResult, ...]:
        """Those of units that could not be decided."""
        return tuple(result for result in self.results if result.error_reason)

    def __iter__(self) -> Iterator[ConsumeResult]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, index: int) -> ConsumeResult:
        return self.results[index]

    def __repr__(self) -> str:
        counts = {"allowed": sum(map(bool, self.results)), "refused": len(self.refused), "failed": len(self.failed)}
        return " · ".join(f"{number} {word}" for word, number in counts.items() if number) or "no units"
