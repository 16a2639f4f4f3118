"""GetUsageHistory: all versions of an event, with who made each and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.domain.access import Principal
from metergate.domain.correction import Corrected, Kind, Place, Standing, not_found
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.usage import Event


class Version(NamedTuple):
    """One version of an event: `kind` is None where it was recorded, `event` None where it was voided. `taken` is where
    it took something back, `put` where it counts. `service` and `key_id` are who made it; nothing is kept of who
    recorded it but its source. `backfill` is the one that it was a part of."""

    version: int
    kind: Kind | None
    event: Event | None
    taken: Place | None
    put: Place | None
    recorded_at: int
    reason: str
    service: str
    key_id: str
    backfill: str


History = list[Version]


class CorrectionReader(Protocol):
    """Where corrections are kept. All raise LedgerUnavailableError."""

    async def standing(self, tenant: str, key: tuple[str, str], hint: tuple[str, int] | None) -> Standing | None:
        """What stands of the event of that (source, id); `hint` says where one is found whose id is forgotten."""
        ...

    async def asked_before(self, tenant: str, service: str, request_id: str) -> Corrected | None:
        """What the request corrected."""
        ...

    async def history(self, tenant: str, key: tuple[str, str], after: int, most: int) -> History:
        """The event's versions behind `after`, the oldest first."""
        ...


class UsageHistory:
    """The verb."""

    def __init__(self, reader: CorrectionReader) -> None:
        self._reader = reader

    async def get(self, principal: Principal, source: str, id: str, after: int, most: int) -> Sequence[Version]:
        """The event's versions behind `after`, at most `most`, the oldest first.

        Raises:
            MetergateError: EVENT_NOT_FOUND, LEDGER_UNAVAILABLE.
        """
        try:
            found = await self._reader.history(principal.tenant, (source, id), after, most)
        except LedgerUnavailableError:
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None
        if not found and not after:
            raise not_found(source, id)
        return found
