"""Remembered refusals: a unit that was refused a moment ago is refused again without a lock.

Nothing is admitted from memory, and nothing is refused from it before its ids were looked up: a retry of what was
admitted hears so. A refusal holds while the customer's `seq` and the catalog are what they were, at most a second,
and not past the moment when something frees by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from metergate.app.coalesce import Coalescer
from metergate.app.directory import Memory
from metergate.app.ports.ledger import Ledger, Peek
from metergate.domain import period
from metergate.domain.answer import Answer
from metergate.domain.decision import AnsweredBy
from metergate.domain.usage import Event

LIVES = period.SECOND
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class _Refusal:
    answer: Answer
    until: int


class _Question(NamedTuple):
    """A unit, and the customer who was refused it."""

    tenant: str
    customer: str
    events: tuple[Event, ...]


class Refusals:
    """What one process remembers."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._refused: Memory[tuple[str, tuple[bytes, ...]], _Refusal] = Memory(_MOST)
        self._peeks: Coalescer[_Question, Peek] = Coalescer(self._peek)

    def remember(self, tenant: str, unit: tuple[Event, ...], answer: Answer) -> None:
        """Keeps a refusal. A unit with a time of its own is another one each time; a pool has a `seq` of its own."""
        decision = answer.decision
        if decision is None or decision.retry_after is None or any(event.time is not None for event in unit):
            return
        if any(state.pool for state in decision.states):
            return
        until = min(answer.at + min(LIVES, decision.retry_after), *[state.window.end for state in decision.states])
        until = min(until, answer.demand.changes_at)
        said = replace(answer, decision=replace(decision, answered_by=AnsweredBy.MEMORY))
        self._refused.keep((tenant, _key(unit)), _Refusal(said, until))

    async def recall(self, tenant: str, units: Sequence[tuple[Event, ...]]) -> list[Answer | None]:
        """The refusal of each unit that still holds; None where it has to be decided.

        Raises:
            LedgerUnavailableError
        """
        found = [self._refused.get((tenant, _key(unit))) for unit in units]
        if not any(found):
            return [None] * len(units)
        questions = [
            _Question(tenant, refusal.answer.demand.customer, unit)
            for unit, refusal in zip(units, found, strict=True)
            if refusal
        ]
        peeks = iter(await self._peeks.submit_all(questions))
        return [None if refusal is None else _holds(refusal, next(peeks)) for refusal in found]

    async def _peek(self, questions: Sequence[_Question]) -> list[Peek]:
        by_tenant: dict[str, list[_Question]] = {}
        for question in questions:
            by_tenant.setdefault(question.tenant, []).append(question)
        peeks: dict[int, Peek] = {}
        for tenant, mine in by_tenant.items():
            seen = await self._ledger.peek(tenant, [(one.customer, one.events) for one in mine])
            peeks.update({id(question): peek for question, peek in zip(mine, seen, strict=True)})
        return [peeks[id(question)] for question in questions]


def _key(unit: tuple[Event, ...]) -> tuple[bytes, ...]:
    return tuple([event.digest for event in unit])


def _holds(refusal: _Refusal, peek: Peek) -> Answer | None:
    answer = refusal.answer
    same = peek.seq == answer.seq and peek.catalog_version == answer.catalog_version
    # Before its beginning too it is no longer what holds: the clock was put back.
    return answer if same and not peek.known and answer.at <= peek.now < refusal.until else None
