"""Who is billed and what is metered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class LimitOverride:
    """The maximum that one limit has for a customer from ``start_time`` to just before ``end_time`` (None = for good).
    ``max`` None = unlimited. Of several that hold at once, the one that began last is in force."""

    limit: str
    max: Decimal | None
    start_time: datetime | None
    end_time: datetime | None


@dataclass(frozen=True, slots=True)
class Customer:
    """Who is billed.

    Attributes:
        id: Its id.
        name: A name for people.
        plan: The plan; empty = the tenant's default plan.
        time_zone: Where its windows begin and end.
        create_time: When it was made.
        anchor_time: The moment from which its anchored windows are counted.
        limit_overrides: Its own maxima in the place of its plan's, by limit and start.
        pool: The customer in whose limits its usage counts as well; empty = only in its own.
    """

    id: str
    name: str
    plan: str
    time_zone: str
    create_time: datetime | None
    anchor_time: datetime | None = None
    limit_overrides: tuple[LimitOverride, ...] = ()
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is metered: a user, an API key, a facility. It belongs to one customer."""

    id: str
    customer: str
    create_time: datetime | None
