"""Thresholds of limits that were reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from metergate_client.exact import labels_text, moment_text, quantity_text


@dataclass(frozen=True, slots=True, repr=False)
class LimitEvent:
    """What was taken of a limit reached one of its thresholds, each of which fires once per window.

    Attributes:
        customer: The customer.
        limit: The limit's name.
        meter: The meter that it limits.
        subject: The subject whose counter it is; empty where the customer's usage is counted together.
        labels: The label values that the counter is for.
        start_time: The window's first moment; None where that is all time.
        end_time: The first moment after it.
        threshold: The threshold, in percent of ``max``.
        taken: What was taken then: used, reserved, leased and forfeited together.
        max: The most per window as it was then.
        seq: Its place in the customer's order of facts.
        create_time: When it was reached.
    """

    customer: str
    limit: str
    meter: str
    subject: str
    labels: Mapping[str, str]
    start_time: datetime | None
    end_time: datetime | None
    threshold: int
    taken: Decimal
    max: Decimal
    seq: int
    create_time: datetime | None

    def __repr__(self) -> str:
        parts = [moment_text(self.create_time)] if self.create_time else []
        parts += [self.customer, self.subject] if self.subject else [self.customer]
        parts.append(f"{self.limit}{labels_text(self.labels)} at {self.threshold}%")
        parts.append(f"{quantity_text(self.taken)} of {quantity_text(self.max)}")
        return " · ".join(parts)
