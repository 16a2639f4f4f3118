"""Who is billed and what is metered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Customer:
    """Who is billed. ``plan`` empty = the tenant's default plan; ``time_zone`` is where its windows begin and end."""

    id: str
    name: str
    plan: str
    time_zone: str
    create_time: datetime | None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is metered: a user, an API key, a facility. It belongs to one customer."""

    id: str
    customer: str
    create_time: datetime | None
