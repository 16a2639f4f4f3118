"""Works: what a commit can be asked to do, each under one customer's head."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from metergate.domain.period import Period
from metergate.domain.usage import Event


class Fact(NamedTuple):
    """An event to record: what happened, happened."""

    event: Event
    customer: str
    backfill: bool

    @property
    def events(self) -> tuple[Event, ...]:
        """All events that it brings."""
        return (self.event,)


class Consume(NamedTuple):
    """Events to admit together, or not at all. Without `details` only a refusal needs its decision."""

    events: tuple[Event, ...]
    customer: str
    details: bool = True


class Want(NamedTuple):
    """An amount of a meter, and the labels that the usage will have."""

    meter: str
    amount: Decimal
    labels: Mapping[str, str]


class Reserve(NamedTuple):
    """Capacity to hold for `ttl` microseconds, all of it, or with `partial` what is left."""

    id: str
    customer: str
    subject: str
    wants: tuple[Want, ...]
    ttl: int
    partial: bool
    digest: bytes


class Extend(NamedTuple):
    """A reservation that shall end `ttl` microseconds from now."""

    id: str
    customer: str
    ttl: int


class Settle(NamedTuple):
    """A reservation whose work is done, and the events that happened."""

    id: str
    customer: str
    events: tuple[Event, ...]


class Release(NamedTuple):
    """A reservation to give back."""

    id: str
    customer: str


class Acquire(NamedTuple):
    """A lease to hand out."""

    id: str
    customer: str
    subject: str
    want: Want
    holder: str
    digest: bytes


class Mark(NamedTuple):
    """What a holder reports of a lease, all cumulative; None = as before. One that `runs_out` is not renewed."""

    id: str
    customer: str
    spent: Decimal
    returned: Decimal | None
    wanted: Decimal | None
    close: bool
    runs_out: bool = False


class WriteOff(NamedTuple):
    """A forfeited lease that an operator releases."""

    id: str
    customer: str


class Expire(NamedTuple):
    """A hold whose time may have run out."""

    id: str
    customer: str


class CreateGrant(NamedTuple):
    """Units to give, from `start` (None = at once) up to `end` (None = for good); with `recurs`, again and again."""

    id: str
    customer: str
    meter: str
    amount: Decimal
    priority: int
    start: int | None
    end: int | None
    recurs: Period | None
    rollover_min: Decimal
    rollover_max: Decimal
    digest: bytes


class VoidGrant(NamedTuple):
    """A grant to take back, with all that would follow it."""

    id: str
    customer: str
    meter: str


class DueGrants(NamedTuple):
    """Grants of a meter some of which may begin or end."""

    customer: str
    meter: str


OnGrants = CreateGrant | VoidGrant | DueGrants
"""Works on a customer's grants on one meter."""


class Correct(NamedTuple):
    """A recorded event to take back, and the content to put in its place (None = nothing).

    `customer` is for whom it is thought to count, `left_pool` for which pool as well, and `to` whose the new content's
    subject is. `expected` is the version that has to stand, 0 = any. `restores` brings a content back, of a voided
    event too, at `counted_at`. `digest` stands for the request of `service` that has `request_id`. `hint` says for whom
    and when an event counts whose id is forgotten. `staged` is the backfill that it is a part of, or that it `reverts`.
    """

    source: str
    id: str
    customer: str
    to: str
    event: Event | None
    reason: str = ""
    service: str = ""
    key_id: str = ""
    request_id: str = ""
    digest: bytes = b""
    backfill: bool = False
    expected: int = 0
    left_pool: str = ""
    restores: bool = False
    counted_at: int | None = None
    hint: tuple[str, int] | None = None
    staged: str = ""
    reverts: bool = False


class Load(NamedTuple):
    """An event of a backfill to record, of any age; `staged` is the backfill."""

    event: Event
    customer: str
    staged: str


_WITHOUT_HOLDS = Consume | OnGrants | Correct
OnHold = Extend | Settle | Release | Mark | WriteOff | Expire
"""Works on a hold that there should be."""

Staged = Correct | Load
"""Works that may be parts of a backfill."""

Work = Fact | Consume | Reserve | Extend | Settle | Release | Acquire | Mark | WriteOff | Expire | OnGrants | Staged
RARE = (Correct, Load)
"""Kinds of works that need more than one customer's head, or leave a mark in staging."""


def events_of(work: Work) -> tuple[Event, ...]:
    """The events that a work brings."""
    if isinstance(work, Load):
        return (work.event,)
    return work.events if isinstance(work, Fact | Consume | Settle) else ()


def weight_of(work: Work) -> int:
    """How much of a batch a work takes up."""
    return max(len(work.events), 1) if isinstance(work, Consume | Settle) else 1


def hold_ids(work: Work) -> tuple[str, ...]:
    """The holds that a work names."""
    if isinstance(work, Fact):
        return (work.event.settles,) if work.event.settles else ()
    if isinstance(work, Load):
        return ()
    return () if isinstance(work, _WITHOUT_HOLDS) else (work.id,)


def heads_of(work: Work) -> tuple[str, ...]:
    """The customers whose heads a work needs, besides their pools'."""
    if not isinstance(work, Correct):
        return (work.customer,)
    names = {work.customer} if work.event is None else {work.customer, work.to}
    return tuple(sorted(names | ({work.left_pool} - {""})))
