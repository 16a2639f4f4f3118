"""ConsumeQuota: usage is admitted and recorded in one commit, or refused and nothing changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metergate.app.directory import Directory
from metergate.app.ports.ledger import LedgerUnavailableError
from metergate.app.quota.decisions import FirstDecisions
from metergate.app.quota.refusals import Refusals
from metergate.app.usage.lane import Lanes
from metergate.domain.access import Principal
from metergate.domain.answer import Answer
from metergate.domain.errors import MetergateError, Reason, invalid, subject_not_found
from metergate.domain.usage import Event
from metergate.domain.work import Consume

Unit = tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Consumed:
    """An answer or an error for each unit, in order, and the `seq` at which each customer's usage was written."""

    answers: list[Answer | MetergateError]
    seqs: dict[str, int]


class ConsumeQuota:
    """The verb. Units of one tenant share commits, and are decided in order of arrival."""

    def __init__(self, lanes: Lanes, directory: Directory, first: FirstDecisions, refusals: Refusals) -> None:
        self._lanes = lanes
        self._directory = directory
        self._first = first
        self._refusals = refusals

    async def consume(
        self, principal: Principal, units: Sequence[Unit | MetergateError], details: bool = True
    ) -> Consumed:
        """Decides on each unit by itself; those that are errors already pass through in their place.

        Without `details` a unit that is or was admitted comes without a decision.

        Raises:
            MetergateError: OVERLOADED, LEDGER_UNAVAILABLE, OUTCOME_UNKNOWN: nothing is known to be recorded,
                and the same call may be repeated.
        """
        tenant = principal.tenant
        subjects = {event.subject for unit in units if not isinstance(unit, MetergateError) for event in unit}
        owners = await self._directory.owners(tenant, subjects)
        works = [unit if isinstance(unit, MetergateError) else _work(unit, owners, details) for unit in units]
        answers, seqs = await self._decide(tenant, [work for work in works if isinstance(work, Consume)])
        decided = iter(answers)
        merged = [work if isinstance(work, MetergateError) else next(decided) for work in works]
        if details:
            await self._first.fill(tenant, [answer for answer in merged if isinstance(answer, Answer)])
        return Consumed(merged, seqs)

    async def _decide(
        self, tenant: str, works: Sequence[Consume]
    ) -> tuple[list[Answer | MetergateError], dict[str, int]]:
        """From the memory of refusals, or else by a commit."""
        try:
            remembered = await self._refusals.recall(tenant, [work.events for work in works])
        except LedgerUnavailableError:
            raise MetergateError(Reason.LEDGER_UNAVAILABLE, "the database cannot be reached") from None
        asking = [work for work, answer in zip(works, remembered, strict=True) if answer is None]
        entry = await self._lanes.submit(tenant, asking) if asking else None
        results = zip(asking, entry.results if entry else (), strict=True)
        answers: list[Answer | MetergateError] = []
        for answer in remembered:
            if answer is not None:
                answers.append(answer)
                continue
            work, result = next(results)
            assert isinstance(result, Answer | MetergateError), "admissions are answered"
            if isinstance(result, Answer) and not result.allowed:
                self._refusals.remember(tenant, work.events, result)
            answers.append(result)
        return answers, entry.seqs if entry else {}


def _work(unit: Unit, owners: Mapping[str, str], details: bool) -> Consume | MetergateError:
    customers = {owners.get(event.subject) for event in unit}
    if None in customers:
        unknown = next(event.subject for event in unit if event.subject not in owners)
        return subject_not_found(unknown)
    if any(event.settles for event in unit):
        return invalid("settles", "consuming settles nothing: record the event, or commit the reservation")
    if len(customers) > 1:
        return invalid("events", "a unit is of one customer")
    return Consume(unit, owners[unit[0].subject], details)
