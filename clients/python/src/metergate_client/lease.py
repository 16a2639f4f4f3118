"""A lease as the ledger has it, for operators; ``lease_holder`` is what spends one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from metergate_client.exact import quantity_text


@dataclass(frozen=True, slots=True, repr=False)
class Lease:
    """A slice of capacity at a holder.

    Attributes:
        id: Its id.
        customer: Who is billed.
        subject: What uses it.
        meter: The meter that it is a slice of.
        labels: The labels that the usage has.
        holder: Who holds it.
        granted: All that was ever handed out under it.
        returned: All that was given back.
        spent: The highest spent mark that was reported.
        settled: What events have settled of it.
        state: "open", "returned", "forfeited" or "released".
        expire_time: When it ends.
    """

    id: str
    customer: str
    subject: str
    meter: str
    labels: Mapping[str, str]
    holder: str
    granted: Decimal
    returned: Decimal
    spent: Decimal
    settled: Decimal
    state: str
    expire_time: datetime | None

    def __repr__(self) -> str:
        settled = f"{quantity_text(self.settled)} of {quantity_text(self.granted)} {self.meter} settled"
        return f"{self.id} of {self.holder} · {self.state} · {settled}"
