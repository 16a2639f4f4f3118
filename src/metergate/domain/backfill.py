"""Backfills: many events loaded beside the ledger, looked at as a whole, and then applied or thrown away.

Each id of a backfill is a row of its staging: with a content, an event to load; with a version that it replaces, a
standing event to take back; with both, one to amend. What became of a row is kept by the commit that it became of, so
a worker that was killed anywhere goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from metergate.domain.answer import Result
from metergate.domain.correction import Corrected
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.period import DAY, EARLIEST, LATEST
from metergate.domain.usage import Outcome, Receipt
from metergate.domain.work import Correct, Load, Work

OPEN_FOR = DAY
"""How long after the last load one stays open."""
NAMES_MOST = 1_000
APPLIED_AT_ONCE = 2_000


class State(StrEnum):
    """What a backfill is at."""

    OPEN = "open"
    COMMITTING = "committing"
    COMMITTED = "committed"
    REVERTING = "reverting"
    REVERTED = "reverted"
    DISCARDED = "discarded"


class RowState(StrEnum):
    """What became of one id: `DUPLICATE` stands in the ledger already, `KEPT` was corrected by somebody else since."""

    PENDING = "pending"
    APPLIED = "applied"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    REJECTED = "rejected"
    KEPT = "kept"
    REVERTED = "reverted"


class Scope(NamedTuple):
    """Whose standing events a backfill replaces: of these customers or of these subjects, of these types (none = all),
    that count from `start` and before `end`."""

    customers: tuple[str, ...]
    subjects: tuple[str, ...]
    types: tuple[str, ...]
    start: int = EARLIEST
    end: int = LATEST

    def check(self) -> None:
        """Raises FIELD_INVALID."""
        if bool(self.customers) == bool(self.subjects):
            raise invalid("replace", "must name customers or subjects")
        for name, some in (("customers", self.customers), ("subjects", self.subjects), ("types", self.types)):
            if len(some) > NAMES_MOST:
                raise invalid(f"replace.{name}", f"at most {NAMES_MOST} are allowed")
        for name, instant in (("start_time", self.start), ("end_time", self.end)):
            if not EARLIEST <= instant <= LATEST:
                raise invalid(f"replace.{name}", "must lie between 1970 and 2200")
        if self.end <= self.start:
            raise invalid("replace.end_time", "must be later than start_time")


@dataclass(frozen=True, slots=True)
class Backfill:
    """One backfill. `expires_at` is when it is discarded if it is still open; `expired` says that it was. `counts` are
    its rows by state."""

    id: str
    state: State
    reason: str
    service: str
    key_id: str
    created_at: int
    changed_at: int
    expires_at: int
    expired: bool
    scope: Scope | None
    digest: bytes
    counts: dict[RowState, int]

    def require(self, state: State, now: int) -> None:
        """Raises BACKFILL_CLOSED where it is in another state."""
        if self.expired or (self.state is State.OPEN and self.expires_at <= now):
            message = f"backfill {self.id!r} was left open for a day, and is discarded"
            raise MetergateError(Reason.BACKFILL_CLOSED, message, {"backfill": self.id, "state": "DISCARDED"})
        if self.state is not state:
            message = f"backfill {self.id!r} is {self.state}, and must be {state} for this"
            raise MetergateError(Reason.BACKFILL_CLOSED, message, {"backfill": self.id, "state": self.state.name})


class StagedMark(NamedTuple):
    """What became of an id of a backfill: `version` is what was made of it, 0 = nothing."""

    backfill: str
    source: str
    id: str
    before: RowState
    state: RowState
    version: int = 0
    reason: str = ""
    field: str = ""
    message: str = ""


def staged_marks(works: Sequence[Work], results: Sequence[Result]) -> list[StagedMark]:
    """What a commit has to keep of the backfills whose works it did, in order of their ids."""
    return sorted(_marks(works, results))


def _marks(works: Sequence[Work], results: Sequence[Result]) -> Iterable[StagedMark]:
    for work, result in zip(works, results, strict=True):
        if isinstance(work, Load) and isinstance(result, Receipt):
            yield _of_load(work, result)
        elif isinstance(work, Correct) and work.staged and isinstance(result, Corrected | MetergateError):
            yield _of_correction(work, result)


def _of_load(work: Load, receipt: Receipt) -> StagedMark:
    event, error = work.event, receipt.error
    place = (work.staged, event.source, event.id, RowState.PENDING)
    if receipt.outcome is Outcome.ACCEPTED:
        return StagedMark(*place, RowState.APPLIED, 1)
    state = RowState(receipt.outcome.value)
    return StagedMark(*place, state) if error is None else StagedMark(*place, state, 0, *words(error))


def _of_correction(work: Correct, result: Corrected | MetergateError) -> StagedMark:
    # What was applied is taken back by works that name the version that they made; see `app.backfill.apply`.
    before = RowState.APPLIED if work.reverts else RowState.PENDING
    place = (work.staged, work.source, work.id, before)
    if isinstance(result, Corrected):
        return StagedMark(*place, RowState.REVERTED if work.reverts else RowState.APPLIED, result.version)
    lost = (Reason.EVENT_CHANGED, Reason.EVENT_VOIDED, Reason.EVENT_NOT_FOUND)
    return StagedMark(*place, RowState.KEPT if result.reason in lost else RowState.REJECTED, 0, *words(result))


def words(error: MetergateError) -> tuple[str, str, str]:
    """Reason, field and sentence."""
    return error.reason.value, error.field, error.message


def not_found(id: str) -> MetergateError:
    """No backfill has the id."""
    return MetergateError(Reason.BACKFILL_NOT_FOUND, f"there is no backfill {id[:80]!r}", {"backfill": id[:80]})
