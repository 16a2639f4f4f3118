"""Prepaid and included units: what a customer was given, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, TypeAlias

from metergate_client.exact import moment_text, quantity_text

Recurs: TypeAlias = Literal["day", "week", "month", "year"]


@dataclass(frozen=True, slots=True, repr=False)
class Grant:
    """An amount of a meter that a customer may use, from one moment to another.

    Grants are used up in order of priority, then by the earliest end, then as they were made.

    Attributes:
        id: Its id; of those that follow a recurring one, its id with their number.
        customer: The customer.
        meter: The meter.
        amount: How much it gives.
        priority: The lowest is used up first.
        start_time: Its first moment.
        end_time: The first moment after it; None = for good.
        recurs: How often it recurs: "day", "week", "month" or "year"; empty = not at all.
        until_time: The moment after which none follows it; None = they follow for good.
        rollover_min: The least that rolls over into the one that follows, even if less is left.
        rollover_max: The most that rolls over.
        rolled: What had rolled over into it.
        burned: What of it was used.
        lost: What was left when it was over.
        left: What is left: amount + rolled - burned - lost.
        state: "pending" (it has not begun), "active", "ended" or "voided".
        seq: The customer's order of facts at its creation.
        create_time: When it was made.
        token: After a write: hand it to a later read, and that read sees it.
    """

    id: str
    customer: str
    meter: str
    amount: Decimal
    priority: int
    start_time: datetime | None
    end_time: datetime | None
    recurs: str
    until_time: datetime | None
    rollover_min: Decimal
    rollover_max: Decimal
    rolled: Decimal
    burned: Decimal
    lost: Decimal
    left: Decimal
    state: str
    seq: int
    create_time: datetime | None
    token: str = ""

    def __repr__(self) -> str:
        parts = [self.id, self.state, f"{quantity_text(self.left)} of {quantity_text(self.amount + self.rolled)} left"]
        parts[-1] += f" {self.meter}"
        if self.end_time and self.state in ("pending", "active"):
            parts.append(f"until {moment_text(self.end_time)}")
        parts += [f"again each {self.recurs}"] if self.recurs else []
        return " · ".join(parts)


@dataclass(frozen=True, slots=True, repr=False)
class GrantMove:
    """One change of a customer's grants.

    Attributes:
        seq: The customer's order of facts.
        create_time: When it was recorded.
        meter: The meter.
        grant: The grant's id; empty where ``kind`` is "base".
        kind: What became of the amount: "base" (used before the first grant began, and charged to none), "start" (a
            grant brought it), "roll" (it rolled over), "burn" (it was used), "expire" or "void" (it was left when the
            grant ended or was taken back).
        amount: How much.
    """

    seq: int
    create_time: datetime | None
    meter: str
    grant: str
    kind: str
    amount: Decimal

    def __repr__(self) -> str:
        parts = [moment_text(self.create_time)] if self.create_time else []
        parts += [self.grant] if self.grant else []
        return " · ".join([*parts, f"{self.kind} {quantity_text(self.amount)} {self.meter}"])
