"""Reservations: capacity held for work whose cost is known only afterwards."""

from __future__ import annotations

from collections.abc import Sequence

from metergate.app.directory import Directory
from metergate.app.ports.ledger import Ledger, LedgerUnavailableError
from metergate.app.quota.decisions import FirstDecisions
from metergate.app.quota.hold_ids import digest_of, hold_id, naming
from metergate.app.usage.lane import Lanes
from metergate.domain.access import Principal
from metergate.domain.answer import Answer
from metergate.domain.errors import MetergateError, Reason, invalid, subject_not_found
from metergate.domain.hold import Kind
from metergate.domain.holding import not_found
from metergate.domain.usage import Event
from metergate.domain.work import Extend, OnHold, Release, Reserve, Settle, Want


class Reservations:
    """The verbs of a reservation's life. Each returns after its commit."""

    def __init__(self, lanes: Lanes, directory: Directory, ledger: Ledger, first: FirstDecisions) -> None:
        self._lanes = lanes
        self._directory = directory
        self._ledger = ledger
        self._first = first

    async def reserve(
        self, principal: Principal, subject: str, wants: Sequence[Want], ttl: int, partial: bool, request_id: str
    ) -> tuple[Answer, dict[str, int]]:
        """Holds the amounts for `ttl` microseconds, all of them or none; with `partial`, what is left of each.

        Raises:
            MetergateError: SUBJECT_NOT_FOUND, METER_NOT_FOUND, METER_CAN_SHRINK, REQUEST_ID_REUSED, and the ledger's.
        """
        owners = await self._directory.owners(principal.tenant, {subject})
        if subject not in owners:
            raise subject_not_found(subject)
        id_ = hold_id(Kind.RESERVATION, principal, request_id)
        work = Reserve(
            id_, owners[subject], subject, tuple(wants), ttl, partial,
            digest_of([subject, [[*want[:2], sorted(want.labels.items())] for want in wants], ttl, partial]),
        )  # fmt: skip
        try:
            return await self._submit(principal, work)
        except MetergateError as error:
            raise naming(error, request_id) from None

    async def extend(self, principal: Principal, id: str, ttl: int) -> tuple[Answer, dict[str, int]]:
        """Moves the end to `ttl` microseconds from now, if that is later.

        Raises:
            MetergateError: RESERVATION_NOT_FOUND, RESERVATION_CLOSED, and the ledger's.
        """
        customer, _ = await self._owner(principal, id)
        return await self._submit(principal, Extend(id, customer, ttl))

    async def commit(self, principal: Principal, id: str, events: Sequence[Event]) -> tuple[Answer, dict[str, int]]:
        """Records what happened, and gives the rest back. Each event names the reservation in `settles`.

        Raises:
            MetergateError: RESERVATION_NOT_FOUND, EVENT_CONFLICT, FIELD_INVALID, QUANTITY_NEGATIVE and the times'
                reasons, for the whole call; and the ledger's.
        """
        customer, subject = await self._owner(principal, id)
        owners = await self._directory.owners(principal.tenant, {event.subject for event in events})
        for event in events:
            # A subject that moved since keeps its reservation where it was made.
            if event.subject != subject and owners.get(event.subject) != customer:
                raise invalid("events.subject", f"{event.subject!r} is not a subject of the reservation's customer")
            if event.settles != id:
                raise invalid("events.settles", "must be the reservation, or empty")
        return await self._submit(principal, Settle(id, customer, tuple(events)))

    async def release(self, principal: Principal, id: str) -> tuple[Answer, dict[str, int]]:
        """Gives all that is left back. One that was released or has expired stays as it is.

        Raises:
            MetergateError: RESERVATION_NOT_FOUND, RESERVATION_CLOSED when it was committed, and the ledger's.
        """
        customer, _ = await self._owner(principal, id)
        return await self._submit(principal, Release(id, customer))

    async def subject_of(self, principal: Principal, id: str) -> str:
        """Who uses the reservation.

        Raises:
            MetergateError: RESERVATION_NOT_FOUND, LEDGER_UNAVAILABLE.
        """
        return (await self._owner(principal, id))[1]

    async def _owner(self, principal: Principal, id: str) -> tuple[str, str]:
        return await owner_of(self._ledger, Kind.RESERVATION, principal, id)

    async def _submit(self, principal: Principal, work: Reserve | OnHold) -> tuple[Answer, dict[str, int]]:
        entry = await self._lanes.submit(principal.tenant, [work])
        answer = entry.results[0]
        if isinstance(answer, MetergateError):
            raise answer
        assert isinstance(answer, Answer), "works on holds are answered"
        await self._first.fill(principal.tenant, [answer])
        return answer, entry.seqs


async def owner_of(ledger: Ledger, kind: Kind, principal: Principal, id: str) -> tuple[str, str]:
    """The customer and the subject of a hold.

    Raises:
        MetergateError: RESERVATION_NOT_FOUND or LEASE_NOT_FOUND, LEDGER_UNAVAILABLE.
    """
    try:
        found = (await ledger.hold_owners(principal.tenant, [id])).get(id)
    except LedgerUnavailableError:
        raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None
    if found is None or found.kind != kind:
        raise not_found(kind, id)
    return found.customer, found.subject
