"""Limits as the catalog holds them: the most of a meter, and what becomes of more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Literal, TypeAlias

from metergate_client.exact import labels_text, quantity_text

Period: TypeAlias = Literal["minute", "hour", "day", "week", "month", "year"]
Policy: TypeAlias = Literal["hard", "soft", "grace"]
Scope: TypeAlias = Literal["customer", "subject"]
Kind: TypeAlias = Literal["calendar", "anchored", "fixed", "rolling", "lifetime", "rate", "concurrency", "grants"]
Weekday: TypeAlias = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WhenViewGone: TypeAlias = Literal["ledger", "allow", "deny"]


@dataclass(frozen=True, slots=True, repr=False)
class Limit:
    """A limit of a plan as the catalog holds it.

    Attributes:
        name: Its name, unique in the plan.
        meter: The meter that it limits.
        max: The most per window; None = unlimited, or, where ``kind`` is "grants", what the customer's grants hold.
        period: How long a "calendar" or "anchored" window is; else empty.
        policy: "hard" (what would pass it is refused), "soft" (it is allowed and shown as overrun) or "grace".
        scope: "customer" or "subject": whose usage is counted together.
        plan: The plan that it stands on.
        labels: Only usage with these label values counts.
        per_labels: Each value of these labels is counted by itself.
        kind: What it holds down, as in ``Metergate.set_limit``.
        length: How long a "fixed" or "rolling" window is, or what a "rate" is per.
        burst: The most that a rate admits at once.
        grace: The overrun that the policy "grace" allows.
        shadow: Whether it only decides and counts, and never refuses.
        thresholds: Percents of ``max``, each of which fires once per window.
    """

    name: str
    meter: str
    max: Decimal | None
    period: str
    policy: str
    scope: str
    plan: str
    labels: Mapping[str, str]
    per_labels: tuple[str, ...]
    kind: str = "calendar"
    length: timedelta | None = None
    burst: Decimal | None = None
    grace: Decimal | None = None
    shadow: bool = False
    thresholds: tuple[int, ...] = ()

    def __repr__(self) -> str:
        words = ["shadow"] if self.shadow else []
        words += [self.policy, self._most, f"· plan {self.plan}"]
        return f"{self.name}{labels_text(self.labels)}: {' '.join(words)}"

    @property
    def _most(self) -> str:
        if self.kind == "grants":
            return "what grants hold"
        most = "unlimited" if self.max is None else quantity_text(self.max)
        seconds = f"{self.length.total_seconds():g} s" if self.length else ""
        article = "an" if self.period == "hour" else "a"
        window = {
            "anchored": f"a {self.period} from the customer's anchor",
            "fixed": f"each {seconds}",
            "rolling": f"in any {seconds}",
            "lifetime": "in all",
            "rate": f"per {seconds}",
            "concurrency": "at once",
        }
        return f"{most} {window.get(self.kind, f'{article} {self.period}')}"
