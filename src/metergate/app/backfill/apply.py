"""The worker of backfills: applies and reverts them through the lane, customer by customer, a commit at a time.

What became of a row is kept by the very commit that it became of, so whoever comes after a worker that was killed
takes the rows that are left. Work that is done twice, by two processes, changes nothing the second time.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence

from metergate.app.backfill.ports import BackfillQueue, Claimed, Staged
from metergate.app.directory import Directory
from metergate.app.usage.lane import Lanes
from metergate.domain.backfill import APPLIED_AT_ONCE, Backfill, RowState, State
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.posting import NOBODY
from metergate.domain.work import Correct, Load, Work

log = logging.getLogger(__name__)

CLAIM_SECONDS = 10.0
_STEPS = {
    State.COMMITTING: (RowState.PENDING, State.COMMITTED),
    State.REVERTING: (RowState.APPLIED, State.REVERTED),
}


class ApplyBackfills:
    """The verb; several processes may do it at once."""

    def __init__(
        self, queue: BackfillQueue, lanes: Lanes, directory: Directory, claim_seconds: float = CLAIM_SECONDS
    ) -> None:
        self._queue = queue
        self._lanes = lanes
        self._directory = directory
        self._seconds = claim_seconds
        self._claim = secrets.token_hex(8)

    async def work(self) -> None:
        """Does a commit's worth of each backfill that is under way, until nothing is left to do.

        Raises:
            LedgerUnavailableError: tried again with the next round.
        """
        await self._queue.expire()
        while claimed := await self._queue.claim(self._claim, self._seconds):
            for one in claimed:
                try:
                    await self._step(one)
                except MetergateError as error:
                    log.info("backfill %s goes on later: %s", one.backfill.id, error.message)
                    return

    async def _step(self, one: Claimed) -> None:
        tenant, backfill = one
        before, done = _STEPS[backfill.state]
        rows = await self._queue.batch(tenant, backfill.id, before, APPLIED_AT_ONCE)
        if not rows:
            await self._queue.finish(tenant, backfill.id, backfill.state, done)
            return
        if backfill.state is State.REVERTING:
            rows = await self._restorable(tenant, backfill, rows)
            if not rows:
                return
        subjects = {row.event.subject for row in rows if row.event is not None}
        owners = await self._directory.owners(tenant, subjects, make=True) if subjects else {}
        works = [_work(backfill, row, owners.get(row.event.subject, NOBODY) if row.event else NOBODY) for row in rows]
        await self._submit(tenant, backfill, before, rows, works)

    async def _restorable(self, tenant: str, backfill: Backfill, rows: Sequence[Staged]) -> list[Staged]:
        """Those that replaced nothing, or something that is still there. What was dropped since cannot be brought back:
        rather than nothing, what was put in its place stays."""
        for row in [row for row in rows if row.replaces and row.before is None]:
            message = "what stood before was dropped since, and cannot be brought back"
            error = MetergateError(Reason.EVENTS_DROPPED, message, {"id": row.id})
            await self._queue.reject(tenant, backfill.id, row, RowState.APPLIED, error)
        return [row for row in rows if not row.replaces or row.before is not None]

    async def _submit(
        self, tenant: str, backfill: Backfill, before: RowState, rows: Sequence[Staged], works: Sequence[Work]
    ) -> None:
        """Commits the works; where the ledger refuses some, all but those. What is refused before it is decided on, as
        where a subject has moved meanwhile, is marked here; the rest was marked by its commit."""
        try:
            entry = await self._lanes.submit(tenant, works)
        except MetergateError as error:
            if error.reason is not Reason.SERVER_FAULT:
                raise
            if len(works) == 1:
                await self._queue.reject(tenant, backfill.id, rows[0], before, error)
                return
            half = len(works) // 2
            await self._submit(tenant, backfill, before, rows[:half], works[:half])
            await self._submit(tenant, backfill, before, rows[half:], works[half:])
            return
        for row, result in zip(rows, entry.results, strict=True):
            if isinstance(result, MetergateError):
                await self._queue.reject(tenant, backfill.id, row, before, result)


def _work(backfill: Backfill, row: Staged, owner: str) -> Work:
    """What has to be done with a row: recorded, amended or voided, and, to revert it, the opposite."""
    if backfill.state is State.REVERTING:
        return _undo(backfill, row)
    if not row.replaces:
        assert row.event is not None, "what replaces nothing is loaded"
        return Load(row.event, owner, backfill.id)
    return _correct(backfill, row)._replace(to=owner, event=row.event, backfill=True, expected=row.replaces)


def _undo(backfill: Backfill, row: Staged) -> Work:
    work = _correct(backfill, row)._replace(expected=row.made, reverts=True)
    if row.before is None:
        return work
    place = row.before.place
    return work._replace(event=row.before.event, to=place.customer, counted_at=place.counted_at, restores=True)


def _correct(backfill: Backfill, row: Staged) -> Correct:
    return Correct(
        row.source, row.id, row.customer, NOBODY, None, backfill.reason, backfill.service, backfill.key_id,
        staged=backfill.id,
    )  # fmt: skip
