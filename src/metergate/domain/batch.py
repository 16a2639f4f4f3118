"""A batch: all that one commit does, in its order. Facts and what frees capacity, then admissions as they came."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from metergate.domain import need
from metergate.domain.admission import (
    Asked,
    Demand,
    Passed,
    Running,
    conclude,
    demand,
    only_grows,
)
from metergate.domain.answer import Answer, Result
from metergate.domain.correction import correct
from metergate.domain.counting import Place, hit, move, pace
from metergate.domain.decision import Decision
from metergate.domain.distinct import Numbers, moves_of, told_apart
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.granting import Granting
from metergate.domain.hold import Column, Hold, Kind, Part, State
from metergate.domain.holding import Kept, change
from metergate.domain.leasing import Leasing
from metergate.domain.meter import Meter
from metergate.domain.posting import (
    Known,
    Ledger,
    Posting,
    accepted,
    again,
    append,
    contributions,
    post,
    shifted,
)
from metergate.domain.quantity import ZERO
from metergate.domain.quota import REACHED, CounterKey, Figures, Limit
from metergate.domain.threshold import LimitEvent, Told, reached
from metergate.domain.usage import Event, Outcome, Receipt, compare, conflict
from metergate.domain.work import Acquire, Consume, Correct, Fact, Load, Mark, OnGrants, Reserve, Want, Work

_ASKING = (Consume, Reserve, Acquire)


class Batch:
    """The works of one commit on what was read under the locks. Call `begin`, then `finish` with the counters."""

    def __init__(self, works: Sequence[Work], ledger: Ledger, holders: Mapping[tuple[str, str], int]) -> None:
        self.works = works
        self.ledger = ledger
        self.posting = Posting()
        self.results: list[Result] = [None] * len(works)
        self.counters: Mapping[CounterKey, Figures] = {}
        self._holders = dict(holders)
        self._demands: dict[int, Demand] = {}
        self._same: dict[object, Demand] = {}
        self._parts: dict[int, list[list[tuple[Meter, Decimal]]]] = {}
        self._granting = Granting(ledger, self.posting)
        self._standing: Numbers = {}
        self._running: Running | None = None
        self.value_moves: Numbers = {}

    def begin(self) -> None:
        """Decides on facts and on holds that there are, and works out what the admissions ask."""
        if all(isinstance(work, Fact) for work in self.works):
            self.results = list(post(self.works, self.ledger, self.posting))  # type: ignore[arg-type]
            return
        asking: list[tuple[int, Consume | Reserve | Acquire]] = []
        for place, work in enumerate(self.works):
            if isinstance(work, _ASKING):
                asking.append((place, work))
            elif isinstance(work, Fact):
                (self.results[place],) = post((work,), self.ledger, self.posting)
            elif isinstance(work, Load):
                fact = Fact(work.event, work.customer, backfill=True)
                (self.results[place],) = post((fact,), self.ledger, self.posting)
            elif isinstance(work, Correct):
                self.results[place] = correct(work, self.ledger, self.posting)
            elif not isinstance(work, OnGrants):
                self._keep(place, work)
        for place, work in asking:
            try:
                self._ask(place, work)
            except MetergateError as error:
                self.results[place] = error

    def _keep(self, place: int, work: Work) -> None:
        kept = change(work, self.ledger, self.posting)  # type: ignore[arg-type]
        if not isinstance(kept, Kept):
            self.results[place] = kept
            return
        hold, head = kept.hold, self.ledger.heads[work.customer]
        wants = [Asked(hold.subject, Want(part.meter, ZERO, part.labels)) for part in hold.parts]
        at = self.ledger.now if isinstance(work, Mark) else hold.counted_at
        asked = demand(self.ledger.accounts(work.customer), self.ledger.catalog, at, wants, self.ledger.now)
        self._demands[place] = asked
        self.results[place] = Answer(asked, True, head.seq, at, None, kept.receipts, hold, kept.late)

    def _ask(self, place: int, work: Consume | Reserve | Acquire) -> None:
        if isinstance(work, Consume):
            self._ask_events(place, work)
            return
        found = self.ledger.hold(self.posting, work.id)
        wants = work.wants if isinstance(work, Reserve) else (work.want,)
        if found is None:
            for want in wants:
                only_grows(self.ledger.catalog, want)
            self._demands[place] = self._demand(work.customer, [Asked(work.subject, want) for want in wants])
        else:
            self.results[place] = self._before(work, found)

    def _before(self, work: Reserve | Acquire, hold: Hold) -> Answer:
        """The answer to a request whose hold there is."""
        if hold.digest != work.digest or hold.customer != work.customer:
            message = "the request id was used before with another body"
            raise MetergateError(Reason.REQUEST_ID_REUSED, message, {"hold": hold.id})
        wants = [Asked(hold.subject, Want(part.meter, part.granted, part.labels)) for part in hold.parts]
        asked = demand(self.ledger.accounts(hold.customer), self.ledger.catalog, hold.counted_at, wants)
        return Answer(asked, True, hold.seq, hold.counted_at, hold=hold, repeated=True)

    def _ask_events(self, place: int, work: Consume) -> None:
        ledger = self.ledger
        if len(work.events) > 1 and len({(event.source, event.id) for event in work.events}) < len(work.events):
            raise invalid("events", "must each have an id of its own")
        asked: list[Asked] = []
        all_parts = self._parts[place] = []
        for event in work.events:
            parts = contributions(event, ledger.catalog)
            if isinstance(parts, MetergateError):
                raise parts
            all_parts.append(parts)
            asked += [Asked(event.subject, Want(meter.name, value, event.labels)) for meter, value in parts]
            if not parts and (event.source, event.id) not in ledger.known:
                message = f"no meter counts events of type {event.type!r} with these values"
                raise MetergateError(Reason.METER_NOT_FOUND, message, {"type": event.type})
        known = [ledger.known.get((event.source, event.id)) for event in work.events]
        if not any(known):
            for event in work.events:
                if error := accepted(event, ledger):
                    raise error
            self._demands[place] = self._demand(work.customer, asked)
            return
        self._recorded_before(place, work, asked, known)

    def _recorded_before(
        self, place: int, work: Consume, asked: Sequence[Asked], known: Sequence[Known | None]
    ) -> None:
        """The answer to a unit of which ids are known."""
        ledger, fresh = self.ledger, self.posting.fresh
        receipts: list[Receipt] = []
        for event, first in zip(work.events, known, strict=True):
            if first is None:
                raise _partly_known(work.events, [one is not None for one in known])
            receipt = again(event, first, ledger.tried)
            if receipt.error is not None:
                raise receipt.error
            if (event.source, event.id) in fresh:  # a work of this batch came first
                receipt.outcome = Outcome.DUPLICATE
            elif receipt.outcome is Outcome.ACCEPTED:
                fresh[event.source, event.id] = event
            receipts.append(receipt)
        first = known[0]
        assert first is not None, "looked at above"
        demanded = demand(ledger.accounts(work.customer), ledger.catalog, first.counted_at, asked)
        self.results[place] = Answer(demanded, True, first.seq, first.counted_at, receipts=receipts, repeated=True)

    def _demand(self, customer: str, asked: Sequence[Asked]) -> Demand:
        """What is asked, now. Works that ask the same share the object and, in the end, the decision."""
        one = asked[0] if len(asked) == 1 else None
        same = one and (customer, one.subject, one.want.meter, one.want.amount, *one.want.labels.items())
        if same and (found := self._same.get(same)):
            return found
        made = demand(self.ledger.accounts(customer), self.ledger.catalog, self.ledger.now, asked)
        if same:
            self._same[same] = made
        return made

    @property
    def _asked(self) -> Collection[Demand]:
        """What is asked, each once."""
        return {id(one): one for one in self._demands.values()}.values()

    def places(self) -> set[Place]:
        """See `need.places`."""
        return need.places(self.ledger, self.posting, self._asked)

    def oldest(self) -> int:
        """See `need.oldest`."""
        holds = [one.hold.counted_at for one in self.results if isinstance(one, Answer) and one.hold is not None]
        return need.oldest(self.ledger, self.posting, self._asked, holds)

    def wanted(self) -> dict[CounterKey, Limit]:
        """See `need.wanted`."""
        return need.wanted(self.ledger, self.posting, self._asked)

    def sought(self, counters: Collection[CounterKey]) -> dict[CounterKey, set[str]]:
        """See `need.sought`."""
        return need.sought(self.ledger, self.posting, self._asked, counters)

    def finish(
        self, counters: Mapping[CounterKey, Figures], standing: Numbers | None = None
    ) -> dict[CounterKey, Figures]:
        """Decides on the admissions, in order of arrival; `standing` are the numbers of what is `sought`. Returns the
        counters that change; those of `recounted` are to be counted anew once the rows are written. Then call
        `conclude`."""
        self._standing = standing or {}
        granting = self._granting if self.ledger.grants else None
        if granting:
            counters, granted = granting.open(self.works, counters)
            for place, result in granted.items():
                self.results[place] = result
        self.counters = counters
        before, standing_then = self._moved(counters)
        pace(before, counters, self.posting, self.ledger)
        if not self._demands:
            return granting.close(counters, before) if granting else before
        running = self._running = Running({**counters, **before}, self.ledger.now, standing_then)
        for place in sorted(self._demands):
            try:
                self._admit(place, self.works[place], running)
            except MetergateError as error:
                self.results[place] = error
        moved, _ = self._moved(counters)
        for key, figures in running.figures.items():
            if (figures.tat, figures.pace) != (counters[key].tat, counters[key].pace):
                moved[key] = moved.get(key, counters[key])._replace(tat=figures.tat, pace=figures.pace)
        if granting:
            moved = granting.close(counters, moved)
        return moved

    def _moved(self, counters: Mapping[CounterKey, Figures]) -> tuple[dict[CounterKey, Figures], Numbers]:
        """The counters that change by what the posting holds so far, and the numbers of values then."""
        changed = move(counters, self.posting.uses, shifted(self.posting, self.ledger))
        if not self.posting.sightings:
            return changed, self._standing
        self.value_moves = moves_of(counters, self.posting.sightings, self.ledger.catalog.meter_of)
        distinct, numbers = told_apart(counters, self._standing, self.value_moves)
        return changed | distinct, numbers

    def recounted(self) -> list[CounterKey]:
        """The counters of other meters that do not add up in which something changes."""
        return hit(self.counters, self.posting.recounts) if self.posting.recounts else []

    def with_grace(self, changed: dict[CounterKey, Figures]) -> dict[CounterKey, Figures]:
        """The counters that change, with limits that are reached by now and have a grace of time."""
        graced = self.ledger.catalog.graced
        if not graced:
            return changed
        figures, written = {**self.counters, **changed}, self.posting.customers & self.ledger.heads.keys()
        keys = [key for key in figures if key.meter in graced and key.customer in written]
        for event in reached(self.ledger, figures, keys, lambda key, name: _told(figures, key, name)):
            key = event.key
            if event.threshold == REACHED and key in figures and event.limit in graced[key.meter]:
                before = changed.get(key, figures[key])
                changed[key] = before._replace(reached=(*before.reached, (event.limit, self.ledger.now)))
        return changed

    def limit_events(self, changed: Mapping[CounterKey, Figures], told: Told) -> list[LimitEvent]:
        """The thresholds that are reached by what the changed counters are after the commit, and were not told."""
        if self.ledger.catalog.thresholds_look_back is None:
            return []
        return reached(self.ledger, {**self.counters, **changed}, changed, told)

    def _admit(self, place: int, work: Work, running: Running) -> None:
        if isinstance(work, Consume):
            self.results[place] = self._consume(place, work, running)
        elif isinstance(work, Reserve):
            self.results[place] = self._reserve(place, work, running)
        elif isinstance(work, Acquire):
            self.results[place] = self._acquire(place, work, running)
        elif isinstance(work, Mark):
            answer = self.results[place]
            assert isinstance(answer, Answer), "kept before"
            self._leasing().renew(work, self._demands[place], answer, running)

    def _consume(self, place: int, work: Consume, running: Running) -> Answer:
        ledger, posting, asked = self.ledger, self.posting, self._demands[place]
        head = ledger.heads[work.customer]
        for event in work.events:
            if (event.source, event.id) in posting.fresh:
                return self._same_batch(work, asked)
        if not running.admits(asked):
            return Answer(asked, False, head.seq, ledger.now)
        passed = running.take(asked)
        for event, parts in zip(work.events, self._parts[place], strict=True):
            append(posting, ledger, event, work.customer, ledger.now, parts)
        receipts = [Receipt(event.id, Outcome.ACCEPTED) for event in work.events]
        return Answer(asked, True, head.seq + 1, ledger.now, receipts=receipts, passed=passed)

    def _same_batch(self, work: Consume, asked: Demand) -> Answer:
        """Its ids were recorded earlier in this very commit."""
        fresh = [self.posting.fresh.get((event.source, event.id)) for event in work.events]
        for event, first in zip(work.events, fresh, strict=True):
            if first is not None and (field_ := compare(first, event)) is not None:
                raise conflict(event, field_)
        if not all(fresh):
            raise _partly_known(work.events, [one is not None for one in fresh])
        receipts = [Receipt(event.id, Outcome.DUPLICATE) for event in work.events]
        head = self.ledger.heads[work.customer]
        return Answer(asked, True, head.seq + 1, self.ledger.now, receipts=receipts)

    def _reserve(self, place: int, work: Reserve, running: Running) -> Answer:
        if (found := self.posting.holds.get(work.id)) is not None:
            return self._before(work, found)
        head, now = self.ledger.heads[work.customer], self.ledger.now
        wants = work.wants
        if work.partial:
            wants = self._what_is_left(work, running)
            if not any(want.amount for want in wants) and any(want.amount for want in work.wants):
                return Answer(self._demands[place], False, head.seq, now)
        asked = self._demand(work.customer, [Asked(work.subject, want) for want in wants])
        if not running.admits(asked):
            return Answer(asked, False, head.seq, now)
        passed = running.take(asked, Column.RESERVED)
        parts = tuple([Part(want.meter, want.labels, want.amount) for want in wants])
        hold = Hold(
            work.id, Kind.RESERVATION, work.customer, work.subject, "", head.seq + 1, now, now + work.ttl,
            State.OPEN, parts, work.digest, head.pool,
        )  # fmt: skip
        self.posting.holds[hold.id] = hold
        return Answer(asked, True, head.seq + 1, now, hold=hold, passed=passed)

    def _leasing(self) -> Leasing:
        """Made where it is needed: one that were kept would hold the batch in a circle, until a collection."""
        return Leasing(self.ledger, self.posting, self._holders, self._demand)

    def _what_is_left(self, work: Reserve, running: Running) -> tuple[Want, ...]:
        """As much of each amount as fits beside those before it."""
        trial = Running(running.figures, self.ledger.now)
        fitting: list[Want] = []
        for want in work.wants:
            left = trial.room(self._demand(work.customer, [Asked(work.subject, want)]))
            fit = want if left is None else want._replace(amount=min(left, want.amount))
            trial.take(self._demand(work.customer, [Asked(work.subject, fit)]), Column.RESERVED)
            fitting.append(fit)
        return tuple(fitting)

    def _acquire(self, place: int, work: Acquire, running: Running) -> Answer:
        if (found := self.posting.holds.get(work.id)) is not None:
            return self._before(work, found)
        return self._leasing().acquire(work, self._demands[place], running)

    def conclude(self, changed: Mapping[CounterKey, Figures]) -> None:
        """The decisions, by what the counters are after the commit, those that changed and the others."""
        if not any(isinstance(answer, Answer) for answer in self.results):
            return
        figures = {**self.counters, **changed}
        catalog, heads, now = self.ledger.catalog, self.ledger.heads, self.ledger.now
        written = self.posting.customers
        made: dict[tuple[int, bool, Passed], tuple[Demand, Decision]] = {}
        for work, answer in zip(self.works, self.results, strict=True):
            if not isinstance(answer, Answer):
                continue
            answer.now, answer.catalog_version = now, catalog.version
            if answer.repeated:
                continue
            asked = answer.demand
            head = heads[asked.customer]
            answer.seq = head.seq + (asked.customer in written)
            if answer.allowed and isinstance(work, Consume) and not work.details:
                continue
            key = (id(asked), answer.allowed, answer.passed)
            if key not in made:
                if asked.values and not answer.allowed and self._running is not None:
                    asked = replace(asked, amounts=self._running.amounts(asked))
                plan = catalog.plan_in_force(head.plan)
                made[key] = asked, conclude(asked, answer.allowed, figures, plan, now, answer.passed)
            answer.demand, answer.decision = made[key]


def _told(figures: Mapping[CounterKey, Figures], key: CounterKey, limit: str) -> tuple[int, ...]:
    return (REACHED,) if key in figures and limit in dict(figures[key].reached) else ()


def _partly_known(events: Sequence[Event], known: Sequence[bool]) -> MetergateError:
    id_ = next((event.id for event, one in zip(events, known, strict=True) if one), events[0].id)
    message = "some events of the unit were recorded before and others were not; nothing changed"
    return MetergateError(Reason.UNIT_PARTLY_KNOWN, message, {"id": id_})
