"""What sending news needs: where endpoints, queues and deliveries are kept, and who calls an endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from metergate.app.stores import OnceStore
from metergate.domain.address import Address, Target


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where news of these kinds go. `disabled_reason` says why the server turned it off; until `previous_until`, an
    instant, the secret before signs too."""

    id: str
    url: str
    kinds: tuple[str, ...]
    description: str
    enabled: bool = True
    disabled_reason: str = ""
    created_at: int = 0
    previous_until: int | None = None


class EndpointChange(OnceStore, Protocol):
    """A transaction that holds a tenant's catalog alone, and raises its version, since commits go by it."""

    async def all(self) -> list[Endpoint]:
        """The tenant's endpoints, oldest first."""
        ...

    async def add(self, endpoint: Endpoint, secret: str) -> Endpoint:
        """Makes an endpoint, which gets the news that are recorded from now on."""
        ...

    async def replace(self, endpoint: Endpoint) -> Endpoint:
        """Puts this in the place of what the endpoint was. Of kinds that it had not, and of all where it was turned
        off, it gets the news from now on. What was begun for one that is turned off becomes dead letters."""
        ...

    async def rotate(self, id: str, secret: str, overlap: int) -> Endpoint:
        """Gives an endpoint a new secret; for `overlap` microseconds the one before signs too."""
        ...

    async def delete(self, id: str) -> None:
        """Takes the endpoint away with its queues and deliveries."""
        ...


class Endpoints(Protocol):
    """Where endpoints are kept. All raise LedgerUnavailableError."""

    async def list(self, tenant: str) -> list[Endpoint]:
        """The tenant's endpoints, oldest first."""
        ...

    async def secrets(self, tenant: str, id: str) -> Sequence[str]:
        """What signs what is sent to it; nothing where there is no such endpoint."""
        ...

    def change(self, tenant: str) -> AbstractAsyncContextManager[EndpointChange]:
        """Opens a change; leaving it without an exception commits."""
        ...


class State(StrEnum):
    """What became of a delivery: it will be tried again, the endpoint took it, or it was given up."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


class Claim(NamedTuple):
    """A queue that this process works on, until its time runs out. `number` tells claims of one queue apart, `woken` is
    how often it had been woken by then."""

    tenant: str
    endpoint: str
    customer: str
    number: int
    woken: int


class Message(NamedTuple):
    """What is the first in a queue, where it goes, and what signs it. `attempts` were made already, and `waited` is how
    long it has been there, in microseconds."""

    url: str
    secrets: tuple[str, ...]
    seq: int
    place: int
    kind: str
    recorded_at: int
    since: int
    attempts: int
    waited: int
    body: bytes


class Outcome(NamedTuple):
    """How one try ended: the answer's status, 0 where there was none, and what was wrong."""

    status: int
    error: str = ""

    @property
    def delivered(self) -> bool:
        """Whether the endpoint took it."""
        return 200 <= self.status < 300 and not self.error

    @property
    def gone(self) -> bool:
        """Whether the endpoint wants nothing any more."""
        return self.status == 410


class Queues(Protocol):
    """The queues, one for each endpoint and customer. Each call is a short transaction of its own. All raise
    LedgerUnavailableError, RaceLostError or DataRefusedError."""

    async def wake(self, most: int) -> int:
        """Wakes the queues that wait for news which came since, at most so many; returns how many news there were."""
        ...

    async def claim(self, most: int, each: int, rooms: Mapping[tuple[str, str], int]) -> list[Claim]:
        """Claims queues that are due, at most `each` of one endpoint, or as many as there is room for by (tenant,
        endpoint)."""
        ...

    async def first(self, claim: Claim) -> Message | None:
        """What is the first in the queue; None where nothing is, or the claim has run out."""
        ...

    async def settle(self, claim: Claim, message: Message, state: State, outcome: Outcome, pause: int | None) -> bool:
        """Notes how a try ended. With a pause, in microseconds, the queue is left until then, and else stays claimed.
        False: the claim has run out, and nothing was noted."""
        ...

    async def leave(self, claim: Claim, is_empty: bool) -> None:
        """Gives the queue back: one that was not empty, or was woken meanwhile, is due at once."""
        ...


class Sender(Protocol):
    """Who calls endpoints."""

    async def refused(self, target: Target) -> Address | None:
        """An address of the target, where it has addresses and may be called at none of them."""
        ...

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Sends one message. Whatever goes wrong is the outcome."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """News that were begun to be delivered; `tried_at` None where not since a replay was asked for."""

    endpoint: str
    customer: str
    seq: int
    place: int
    kind: str
    state: State
    attempts: int
    status: int
    error: str
    recorded_at: int
    tried_at: int | None


class Place(NamedTuple):
    """Where a delivery stands in the order of all."""

    recorded_at: int
    endpoint: str
    customer: str
    seq: int
    place: int


@dataclass(frozen=True, slots=True)
class DeliveryQuery:
    """Which deliveries to list, newest first; `endpoint` and `customer` None = all, "" being the customer of news whose
    subject is unknown. `after` is the place of the last one of the page before."""

    endpoint: str | None
    customer: str | None
    state: State | None
    after: Place | None
    most: int


@dataclass(frozen=True, slots=True)
class Replay:
    """What to send to an endpoint again: all news that were recorded from `start` up to `end`, or, without these, dead
    letters; `customer` None = of all."""

    endpoint: str
    customer: str | None
    start: int | None
    end: int | None


class Deliveries(Protocol):
    """The deliveries that were begun."""

    async def list(self, tenant: str, query: DeliveryQuery) -> list[Delivery]:
        """A page of deliveries."""
        ...

    async def replay(self, tenant: str, replay: Replay, most: int) -> int:
        """Has them delivered again, before what was not begun yet; returns how many. Where they are more than `most`,
        that is said by a greater number, and none is."""
        ...


class Tally(Protocol):
    """Keeps count of deliveries."""

    def ended(self, result: str) -> None:
        """A try ended: "delivered", "failed" or "dead"."""
        ...
