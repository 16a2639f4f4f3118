"""Grants of customers: giving them, taking them back, and showing them with their history."""

from __future__ import annotations

import json
import secrets
from base64 import b32encode
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from typing import NamedTuple, Protocol, TypeVar

from metergate.app.directory import Directory
from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.app.quota.hold_ids import digest_of
from metergate.app.usage.lane import Lanes
from metergate.domain.access import Principal
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.grant import Grant, Move
from metergate.domain.granting import Granted, not_found
from metergate.domain.period import EARLIEST, LATEST, Period
from metergate.domain.quantity import ZERO
from metergate.domain.work import CreateGrant, VoidGrant

T = TypeVar("T")

# Shorter ones are for rates: grants are not counted out by the minute.
RECURS = (Period.DAY, Period.WEEK, Period.MONTH, Period.YEAR)


class Asked(NamedTuple):
    """A grant as it is asked for; times are instants, None = now, and no end."""

    customer: str
    meter: str
    amount: Decimal
    priority: int
    start: int | None
    end: int | None
    recurs: Period | None
    rollover_min: Decimal
    rollover_max: Decimal


@dataclass(frozen=True, slots=True)
class GrantQuery:
    """Which grants of a customer to list, newest first; `meter` "" = all. `after` is the (seq, id) of the last one of
    the page before."""

    customer: str
    meter: str
    ended_too: bool
    after: tuple[int, str] | None
    most: int


@dataclass(frozen=True, slots=True)
class MoveQuery:
    """Which history of a customer's grants to list, newest first; `meter` and `grant` "" = all. `after` is the
    (seq, place) of the last move of the page before."""

    customer: str
    meter: str
    grant: str
    after: tuple[int, int] | None
    most: int


class Moved(NamedTuple):
    """A move, and where it stands in the customer's order of facts."""

    seq: int
    place: int
    recorded_at: int
    meter: str
    move: Move


class GrantReader(Protocol):
    """Where grants are kept. All raise LedgerUnavailableError."""

    async def owner(self, tenant: str, id: str) -> tuple[str, str] | None:
        """The customer and the meter of a grant."""
        ...

    async def grants(self, tenant: str, query: GrantQuery) -> list[Grant]:
        """A page of grants."""
        ...

    async def moves(self, tenant: str, query: MoveQuery) -> list[Moved]:
        """A page of their history."""
        ...


class Grants:
    """The verbs. Those that change something return after their commit, with the write's `seq` by customer."""

    def __init__(self, lanes: Lanes, directory: Directory, reader: GrantReader) -> None:
        self._lanes = lanes
        self._directory = directory
        self._reader = reader

    async def create(self, principal: Principal, asked: Asked, request_id: str) -> tuple[Granted, dict[str, int]]:
        """Gives units to a customer. A repeat answers with the grant as it stands.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, METER_NOT_FOUND, METER_CAN_SHRINK, FIELD_INVALID, REQUEST_ID_REUSED, and
                the ledger's.
        """
        _check(asked)
        await self._known(principal.tenant, asked.customer)
        id_ = _grant_id(principal, request_id)
        owner = await _answered(self._reader.owner(principal.tenant, id_)) if request_id else None
        if owner not in (None, (asked.customer, asked.meter)):
            message = "the request id was used before with another body"
            raise MetergateError(Reason.REQUEST_ID_REUSED, message, {"request_id": request_id})
        work = CreateGrant(id_, *asked, digest_of([str(part) for part in asked]))
        try:
            return await self._submit(principal, work)
        except MetergateError as error:
            if error.reason is Reason.REQUEST_ID_REUSED:
                error.metadata = {"request_id": request_id}
            raise

    async def void(self, principal: Principal, id: str) -> tuple[Granted, dict[str, int]]:
        """Takes back what is left of a grant, or of the one that has followed it; none follows then. One that was
        taken back stays as it is.

        Raises:
            MetergateError: GRANT_NOT_FOUND, GRANT_ENDED, and the ledger's.
        """
        owner = await _answered(self._reader.owner(principal.tenant, id))
        if owner is None:
            raise not_found(id)
        return await self._submit(principal, VoidGrant(id, *owner))

    async def list(self, principal: Principal, query: GrantQuery) -> Sequence[Grant]:
        """A page of a customer's grants, newest first.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, LEDGER_UNAVAILABLE.
        """
        await self._known(principal.tenant, query.customer)
        return await _answered(self._reader.grants(principal.tenant, query))

    async def history(self, principal: Principal, query: MoveQuery) -> Sequence[Moved]:
        """A page of what became of a customer's grants, newest first.

        Raises:
            MetergateError: CUSTOMER_NOT_FOUND, LEDGER_UNAVAILABLE.
        """
        await self._known(principal.tenant, query.customer)
        return await _answered(self._reader.moves(principal.tenant, query))

    async def _known(self, tenant: str, customer: str) -> None:
        if await self._directory.customer(tenant, customer) is None:
            shown = customer[:80]
            message = f"no customer is called {shown!r}"
            raise MetergateError(Reason.CUSTOMER_NOT_FOUND, message, {"customer": shown})

    async def _submit(self, principal: Principal, work: CreateGrant | VoidGrant) -> tuple[Granted, dict[str, int]]:
        entry = await self._lanes.submit(principal.tenant, [work])
        result = entry.results[0]
        if isinstance(result, MetergateError):
            raise result
        assert isinstance(result, Granted), "works on grants are answered with one"
        return result, entry.seqs


def _check(asked: Asked) -> None:
    if asked.amount <= ZERO:
        raise invalid("amount", "must be more than 0")
    if asked.priority < 0:
        raise invalid("priority", "must not be negative")
    for field, instant in (("start_time", asked.start), ("end_time", asked.end)):
        if instant is not None and not EARLIEST <= instant < LATEST:
            raise invalid(field, "must lie between 1970 and 2200")
    for field, amount in (("rollover_min", asked.rollover_min), ("rollover_max", asked.rollover_max)):
        if amount < ZERO:
            raise invalid(field, "must not be negative")
        if amount and asked.recurs is None:
            raise invalid(field, "has a meaning only where the grant recurs")
    if asked.rollover_min > asked.rollover_max:
        raise invalid("rollover_min", "must not be more than rollover_max")
    if asked.recurs is not None and asked.recurs not in RECURS:
        raise invalid("recurs", "must be a day, week, month or year")


def _grant_id(principal: Principal, request_id: str) -> str:
    """The id of the grant that this request makes: of the request, so that its repeat finds the same grant."""
    if request_id:
        name = json.dumps([principal.tenant, principal.service, "grant", request_id]).encode()
        raw = blake2b(name, digest_size=15).digest()
    else:
        raw = secrets.token_bytes(15)
    return "g_" + b32encode(raw).decode().lower()


async def _answered(reading: Awaitable[T]) -> T:
    try:
        return await reading
    except LedgerUnavailableError:
        raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None
