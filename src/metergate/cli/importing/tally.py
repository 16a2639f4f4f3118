"""What became of the rows of one import."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from metergate.cli.importing.rows import BadRow, Row
from metergate.v1.error_reason_pb2 import ErrorReason
from metergate.v1.usage_event_pb2 import Outcome, UsageReceipt


@dataclass(slots=True)
class Tally:
    """Counts of rows. `accepted` are new; `unmatched` are those among them that count in no meter yet."""

    rows: int = 0
    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejected: int = 0
    unmatched: int = 0
    started: float = field(default_factory=time.monotonic)

    def count(self, row: Row, receipt: UsageReceipt) -> BadRow | None:
        """Counts one receipt; returns the row with its reason when it was not taken."""
        if receipt.outcome == Outcome.OUTCOME_ACCEPTED:
            self.accepted += 1
            self.unmatched += bool(receipt.unmatched)
            return None
        if receipt.outcome == Outcome.OUTCOME_DUPLICATE:
            self.duplicates += 1
            return None
        if receipt.outcome == Outcome.OUTCOME_CONFLICT:
            self.conflicts += 1
        else:
            self.rejected += 1
        reason = ErrorReason.Name(receipt.reason).removeprefix("ERROR_REASON_")
        return BadRow(row.line, row.raw, reason, receipt.field, receipt.message)

    @property
    def settled(self) -> int:
        """Rows of which it is known what became of them."""
        return self.accepted + self.duplicates + self.conflicts + self.rejected

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return time.monotonic() - self.started

    def summary(self) -> dict[str, int | float]:
        """The counts, the seconds, and the settled rows per second."""
        seconds = self.seconds
        counts = {
            name: getattr(self, name)
            for name in ("rows", "accepted", "duplicates", "conflicts", "rejected", "unmatched")
        }
        return counts | {"seconds": round(seconds, 3), "events_per_second": round(self.settled / max(seconds, 1e-9), 1)}
