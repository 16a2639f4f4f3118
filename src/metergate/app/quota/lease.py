"""Leases: slices of capacity that holders spend without a call, and report of in marks that only grow."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from metergate.app.directory import Directory
from metergate.app.ports.ledger import HoldOwner, Ledger, LedgerUnavailableError
from metergate.app.quota.decisions import FirstDecisions
from metergate.app.quota.hold_ids import digest_of, hold_id, naming
from metergate.app.quota.reserve import owner_of
from metergate.app.usage.lane import Lanes
from metergate.domain.access import Principal
from metergate.domain.answer import Answer
from metergate.domain.errors import MetergateError, Reason, subject_not_found
from metergate.domain.hold import Kind
from metergate.domain.holding import not_found
from metergate.domain.work import Acquire, Mark, Want, Work, WriteOff

log = logging.getLogger(__name__)


class Report(NamedTuple):
    """What a holder reports of one lease."""

    id: str
    spent: Decimal
    returned: Decimal | None = None
    wanted: Decimal | None = None
    close: bool = False


class Leases:
    """The verbs of a lease's life. Each returns after its commit."""

    def __init__(self, lanes: Lanes, directory: Directory, ledger: Ledger, first: FirstDecisions) -> None:
        self._lanes = lanes
        self._directory = directory
        self._ledger = ledger
        self._first = first

    async def acquire(self, principal: Principal, subject: str, want: Want, holder: str, request_id: str) -> Answer:
        """Hands out a slice of at most what is wanted.

        Raises:
            MetergateError: SUBJECT_NOT_FOUND, METER_NOT_FOUND, METER_CAN_SHRINK, LEASE_NOT_POSSIBLE,
                REQUEST_ID_REUSED, and the ledger's.
        """
        owners = await self._directory.owners(principal.tenant, {subject})
        if subject not in owners:
            raise subject_not_found(subject)
        digest = digest_of([subject, *want[:2], sorted(want.labels.items()), holder])
        id_ = hold_id(Kind.LEASE, principal, request_id)
        work = Acquire(id_, owners[subject], subject, want, holder, digest)
        try:
            answer = await self._submit(principal, work)
        except MetergateError as error:
            raise naming(error, request_id) from None
        await self._first.fill(principal.tenant, [answer])
        return answer

    async def sync(self, principal: Principal, reports: Sequence[Report]) -> list[Answer | MetergateError]:
        """Takes the marks of leases, each by itself, and hands out more where it is wanted.

        Raises:
            MetergateError: the ledger's.
        """
        try:
            owners = await self._ledger.hold_owners(principal.tenant, [report.id for report in reports])
        except LedgerUnavailableError:
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None
        found = [_mark(report, owners.get(report.id)) for report in reports]
        works = [one for one in found if isinstance(one, Mark)]
        entry = await self._lanes.submit(principal.tenant, works) if works else None
        results = iter(entry.results if entry else ())
        merged = [next(results) if isinstance(one, Mark) else one for one in found]
        return [one for one in merged if isinstance(one, Answer | MetergateError)]

    async def release(self, principal: Principal, id: str) -> Answer:
        """Frees what a silent holder never reported, on an operator's word.

        Raises:
            MetergateError: LEASE_NOT_FOUND, LEASE_NOT_FORFEITED, and the ledger's.
        """
        customer, _ = await owner_of(self._ledger, Kind.LEASE, principal, id)
        answer = await self._submit(principal, WriteOff(id, customer))
        log.warning("lease %s of %s/%s was released by %s", id, principal.tenant, customer, principal.service)
        return answer

    async def _submit(self, principal: Principal, work: Work) -> Answer:
        entry = await self._lanes.submit(principal.tenant, [work])
        answer = entry.results[0]
        if isinstance(answer, MetergateError):
            raise answer
        assert isinstance(answer, Answer), "works on holds are answered"
        return answer


def _mark(report: Report, owner: HoldOwner | None) -> Mark | MetergateError:
    if owner is None or owner.kind != Kind.LEASE:
        return not_found(Kind.LEASE, report.id)
    return Mark(report.id, owner.customer, report.spent, report.returned, report.wanted, report.close)
