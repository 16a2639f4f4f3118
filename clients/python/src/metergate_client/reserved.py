"""What a reservation is, as the server tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from metergate_client.events import Receipt
from metergate_client.exact import moment_text, quantity_text
from metergate_client.quota import Decision, LimitState


class ReservedAmount(NamedTuple):
    """What a reservation holds of one meter (``amount``), and how much of it events have used."""

    meter: str
    labels: Mapping[str, str]
    amount: Decimal
    used: Decimal


@dataclass(frozen=True, slots=True, repr=False)
class Reserved:
    """A reservation as it was when the server answered.

    Attributes:
        id: Its id; events name it in ``settles``.
        customer: Who is billed.
        subject: What uses it.
        amounts: What it holds.
        state: "open", "committed", "released" or "expired".
        create_time: When it was made; what it is used for counts in the windows of this moment.
        expire_time: When it ends by itself.
    """

    id: str
    customer: str
    subject: str
    amounts: tuple[ReservedAmount, ...]
    state: str
    create_time: datetime | None
    expire_time: datetime | None

    def __repr__(self) -> str:
        held = ", ".join(f"{quantity_text(part.amount)} {part.meter}" for part in self.amounts)
        until = f" · until {moment_text(self.expire_time)}" if self.expire_time and self.state == "open" else ""
        return f"{self.state} · {held}{until}"


class Answer(NamedTuple):
    """The answer to a request to reserve: ``reserved`` is None when it was refused. ``ttl`` is what was asked for."""

    decision: Decision
    reserved: Reserved | None
    token: str
    ttl: timedelta | None


@dataclass(frozen=True, slots=True, repr=False)
class Committed:
    """A commit: recorded, whatever the reservation's state was.

    Attributes:
        reserved: The reservation after it.
        receipts: A receipt for each event, in order.
        late: Whether the reservation was over before: released, expired, or committed by another call.
        limits: The limits of what was reserved, after it; ``overrun`` shows what lies above one.
        token: Hand it to a later read, and that read sees this commit.
    """

    reserved: Reserved
    receipts: tuple[Receipt, ...]
    late: bool
    limits: tuple[LimitState, ...]
    token: str

    @property
    def failed(self) -> tuple[Receipt, ...]:
        """Receipts of events that were not taken: conflicts and rejections."""
        return tuple(receipt for receipt in self.receipts if not receipt.ok)

    def __repr__(self) -> str:
        parts = [self.reserved.state]
        parts += [f"{quantity_text(part.used)} of {quantity_text(part.amount)} {part.meter}" for part in self.amounts]
        parts += ["late"] if self.late else []
        parts += [f"{quantity_text(limit.overrun)} over {limit.name}" for limit in self.limits if limit.overrun]
        parts += [f"{len(self.failed)} events not taken"] if self.failed else []
        return " · ".join(parts)

    @property
    def amounts(self) -> tuple[ReservedAmount, ...]:
        """What the reservation held, and how much of it was used."""
        return self.reserved.amounts
