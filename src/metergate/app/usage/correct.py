"""AmendUsage and VoidUsage: what was recorded wrongly is taken back by a new fact, and nothing is written over."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import NamedTuple

from metergate.app.directory import Directory
from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.app.usage.history import CorrectionReader
from metergate.app.usage.lane import Lanes
from metergate.domain.access import Principal
from metergate.domain.correction import Corrected, Standing, not_found
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.posting import NOBODY
from metergate.domain.usage import Event
from metergate.domain.work import Correct

# No request id of a caller begins with it: control characters are refused.
_OURS = "\x02"


class Correction(NamedTuple):
    """What is asked: `event` is the new content, None = nothing. `digest` stands for the request of `request_id`, ""
    = none. `hint` says for whom and when an event counts whose id is forgotten."""

    source: str
    id: str
    event: Event | None
    reason: str
    request_id: str
    digest: bytes
    backfill: bool = False
    expected: int = 0
    hint: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The correction, and the `seq` at which each customer's ledger was changed."""

    corrected: Corrected
    seqs: dict[str, int]


class CorrectUsage:
    """The verb."""

    def __init__(self, lanes: Lanes, directory: Directory, reader: CorrectionReader) -> None:
        self._lanes = lanes
        self._directory = directory
        self._reader = reader

    async def correct(self, principal: Principal, asked: Correction) -> Done:
        """Takes an event back, and puts the new content in its place. Returns after the commit.

        Raises:
            MetergateError: EVENT_NOT_FOUND, EVENT_VOIDED, EVENT_CHANGED, REQUEST_ID_REUSED, TIME_TOO_OLD,
                TIME_IN_FUTURE, QUANTITY_NEGATIVE, FIELD_INVALID, and the ledger's.
        """
        standing = await self._standing(principal, asked)
        to = NOBODY
        if asked.event is not None:
            owners = await self._directory.owners(principal.tenant, {asked.event.subject}, make=True)
            to = owners.get(asked.event.subject, NOBODY)
        # A request without an id has one of ours, so that a commit whose answer was lost can be run again.
        request_id = asked.request_id or _OURS + secrets.token_urlsafe(16)
        work = Correct(
            asked.source, asked.id, standing.place.customer, to, asked.event, asked.reason, principal.service,
            principal.key_id, request_id, asked.digest, asked.backfill, asked.expected, standing.place.pool,
            hint=asked.hint,
        )  # fmt: skip
        entry = await self._lanes.submit(principal.tenant, [work])
        result = entry.results[0]
        if isinstance(result, MetergateError):
            raise result
        assert isinstance(result, Corrected), "corrections are answered with one"
        return Done(result, result.seqs | entry.seqs)

    async def _standing(self, principal: Principal, asked: Correction) -> Standing:
        """Where to begin: under the locks it is looked at again."""
        try:
            found = await self._reader.standing(principal.tenant, (asked.source, asked.id), asked.hint)
            if found is None and asked.request_id:
                await self._refuse_reuse(principal, asked)
        except LedgerUnavailableError:
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None
        if found is None:
            raise not_found(asked.source, asked.id)
        return found

    async def _refuse_reuse(self, principal: Principal, asked: Correction) -> None:
        before = await self._reader.asked_before(principal.tenant, principal.service, asked.request_id)
        if before is not None and before.digest != asked.digest:
            message = f"request id {asked.request_id!r} was used before with another body"
            raise MetergateError(Reason.REQUEST_ID_REUSED, message, {"request_id": asked.request_id})
