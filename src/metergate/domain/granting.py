"""Granting: what one commit does to grants. They begin and end before anything is admitted, and burn after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from metergate.domain.admission import only_grows
from metergate.domain.catalog import Catalog
from metergate.domain.errors import MetergateError, Reason, invalid
from metergate.domain.grant import MAX_OPEN, Account, Grant, Move, State, advance, first_end, settle, void
from metergate.domain.hold import Hold
from metergate.domain.meter import Meter
from metergate.domain.period import LIFETIME
from metergate.domain.posting import NOBODY, Head, Ledger, Posting
from metergate.domain.quantity import ZERO
from metergate.domain.quota import CounterKey, Figures, Kind, Limit
from metergate.domain.usage import Event
from metergate.domain.work import (
    Acquire,
    CreateGrant,
    DueGrants,
    Fact,
    OnGrants,
    Reserve,
    VoidGrant,
    Want,
    Work,
    events_of,
)

Pair = tuple[str, str]
"""A customer and a meter."""


@dataclass(slots=True)
class Granted:
    """A grant as a commit left it, and what there was in the account: `granted` and `used` as in a counter."""

    grant: Grant
    granted: Decimal = ZERO
    used: Decimal = ZERO


def counter_of(pair: Pair) -> CounterKey:
    """The counter whose use burns the customer's grants on the meter: all that it ever used of it."""
    return CounterKey(*pair, "", "", LIFETIME.start, LIFETIME.end)


def limit_of(meter: str) -> Limit:
    """A limit of the counter's kind, for where the customer's plan has none."""
    return Limit("", meter, None, kind=Kind.GRANTS)


def touched(
    works: Sequence[Work],
    heads: Mapping[str, Head],
    holds: Mapping[str, Hold],
    catalog: Catalog,
    corrected: Iterable[tuple[str, Event]] = (),
) -> tuple[set[Pair], set[Pair], set[str]]:
    """The accounts that the works may move or decide by, those among them that have to be there, and the ids of grants
    that they name. Where no limit is of the kind GRANTS, nothing but works on grants touches any. What is used counts
    for the customer's pool as well, and burns its grants."""
    on_grants = [work for work in works if not isinstance(work, Fact) and isinstance(work, OnGrants)]
    named = {(work.customer, work.meter) for work in on_grants}
    ids = {work.id for work in on_grants if not isinstance(work, DueGrants)}
    meters = catalog.granted_meters
    if not meters:
        return named, named, ids
    pairs = set(named)
    for work in works:
        if isinstance(work, Reserve):
            pairs |= {(work.customer, want.meter) for want in work.wants if want.meter in meters}
        elif isinstance(work, Acquire) and work.want.meter in meters:
            pairs.add((work.customer, work.want.meter))
        elif work.customer != NOBODY:
            for event in events_of(work):
                for meter in catalog.meters_of_type.get(event.type, ()):
                    if meter.name in meters:
                        pairs.add((work.customer, meter.name))
    pairs |= _corrected(corrected, heads, catalog)
    for hold in holds.values():  # an event may name a hold of somebody else's, and a hold a pool that was left
        for part in hold.parts:
            if part.meter in meters:
                pairs |= {(owner, part.meter) for owner in (hold.customer, hold.pool) if owner in heads}
    pairs |= {(heads[customer].pool, meter) for customer, meter in pairs if heads[customer].pool}
    return pairs, named, ids


def _corrected(uses: Iterable[tuple[str, Event]], heads: Mapping[str, Head], catalog: Catalog) -> set[Pair]:
    """The accounts of whose use falls, or moves to somebody else."""
    return {
        (customer, meter.name)
        for customer, event in uses
        for meter in catalog.meters_of_type.get(event.type, ())
        if customer in heads and meter.name in catalog.granted_meters
    }


def with_granted(accounts: Mapping[Pair, Account], counters: dict[CounterKey, Figures]) -> dict[CounterKey, Figures]:
    """The counters with what grants allow in each that is one of grants."""
    for pair, account in accounts.items():
        key = counter_of(pair)
        if key in counters:
            counters[key] = counters[key]._replace(granted=account.granted or ZERO)
    return counters


def unkept(ledger: Ledger) -> set[CounterKey]:
    """The counters of accounts that are summed up anew each time: no limit has their shape, so that commits would not
    find them when something is used."""
    return {counter_of(pair) for pair in ledger.grants if not _is_found(ledger.catalog.meter_of.get(pair[1]))}


def _is_found(meter: Meter | None) -> bool:
    return meter is not None and limit_of(meter.name).shape in meter.shapes


class Granting:
    """The accounts of one commit. Call `open` with the counters as they were loaded, then `close` with those that the
    commit changes."""

    def __init__(self, ledger: Ledger, posting: Posting) -> None:
        self._ledger = ledger
        self._posting = posting
        self._results: list[Granted] = []

    def open(
        self, works: Sequence[Work], counters: Mapping[CounterKey, Figures]
    ) -> tuple[dict[CounterKey, Figures], dict[int, Granted | MetergateError]]:
        """Begins and ends what is due and does the works on grants. Returns the counters with what is granted now, and
        the results of those works by place."""
        for pair, account in self._ledger.grants.items():
            self._advance(pair, account, counters)
        results: dict[int, Granted | MetergateError] = {}
        for place, work in enumerate(works):
            if isinstance(work, CreateGrant | VoidGrant):
                try:
                    results[place] = self._do(work, place, counters)
                except MetergateError as error:
                    results[place] = error
        return with_granted(self._posting.grants, dict(counters)), results

    def close(
        self, counters: Mapping[CounterKey, Figures], moved: dict[CounterKey, Figures]
    ) -> dict[CounterKey, Figures]:
        """Burns what the commit uses. Returns the counters that change."""
        for pair in self._ledger.grants:
            key = counter_of(pair)
            figures = moved.get(key, counters[key])
            account, moves = settle(self._account(pair), figures.used)
            self._keep(pair, account, moves)
            if figures.granted != (self._ledger.grants[pair].granted or ZERO):
                moved[key] = figures
        for result in self._results:
            pair = (result.grant.customer, result.grant.meter)
            result.grant = next(one for one in self._account(pair).grants if one.id == result.grant.id)
            figures = moved.get(counter_of(pair), counters[counter_of(pair)])
            result.granted, result.used = figures.granted, figures.used
        return moved

    def _account(self, pair: Pair) -> Account:
        return self._posting.grants.get(pair) or self._ledger.grants[pair]

    def _keep(self, pair: Pair, account: Account, moves: Sequence[Move]) -> None:
        if account is not self._account(pair):
            self._posting.grants[pair] = account
        if moves:
            self._posting.grant_moves.setdefault(pair, []).extend(moves)

    def _advance(self, pair: Pair, account: Account, counters: Mapping[CounterKey, Figures]) -> None:
        head = self._ledger.heads[pair[0]]
        used = counters[counter_of(pair)].used
        account, moves = advance(account, used, head.time_zone, self._ledger.now, head.seq + 1)
        self._keep(pair, account, moves)

    def _do(self, work: CreateGrant | VoidGrant, place: int, counters: Mapping[CounterKey, Figures]) -> Granted:
        pair = (work.customer, work.meter)
        account = self._account(pair)
        if isinstance(work, CreateGrant):
            found = next((one for one in account.grants if one.id == work.id), None)
            if found is None:
                grant = self._made(work, place, account)
                self._advance(pair, replace(account, grants=(*account.grants, grant)), counters)
            elif found.digest != work.digest:
                message = "the request id was used before with another body"
                raise MetergateError(Reason.REQUEST_ID_REUSED, message, {"grant": work.id})
            else:
                grant = found
        else:
            grant = self._running(account, work.id)
            if grant.state is not State.VOIDED:
                self._keep(pair, *void(account, grant))
        result = Granted(grant)
        self._results.append(result)
        return result

    def _made(self, work: CreateGrant, place: int, account: Account) -> Grant:
        """The grant that the work asks for, as yet without effect.

        Raises:
            MetergateError: FIELD_INVALID, METER_NOT_FOUND, METER_CAN_SHRINK.
        """
        ledger, now = self._ledger, self._ledger.now
        only_grows(ledger.catalog, Want(work.meter, work.amount, {}))
        start = now if work.start is None else max(work.start, now)
        if work.end is not None and work.end <= start:
            raise invalid("end_time", "must be later than start_time, and than now")
        if sum(not one.over for one in account.grants) >= MAX_OPEN:
            raise invalid("meter", f"a customer has at most {MAX_OPEN} grants on a meter that are not over")
        head, anchor = ledger.heads[work.customer], start if work.start is None else work.start
        end = first_end(work.recurs, head.time_zone, anchor, start, work.end) if work.recurs else work.end
        return Grant(
            work.id, work.customer, work.meter, work.amount, start, end, work.priority, work.recurs, work.end, anchor,
            work.rollover_min, work.rollover_max, seq=head.seq + 1, place=place, created_at=now, digest=work.digest,
        )  # fmt: skip

    def _running(self, account: Account, id_: str) -> Grant:
        """The grant of that id, or the one that has followed it and is not over, or was taken back.

        Raises:
            MetergateError: GRANT_NOT_FOUND, GRANT_ENDED.
        """
        asked = next((one for one in account.grants if one.id == id_), None)
        if asked is None:
            raise not_found(id_)
        series = [one for one in account.grants if one.series == asked.series]
        for one in sorted(series, key=lambda one: one.over):
            if not one.over or one.state is State.VOIDED:
                return one
        if asked.state is State.ENDED:
            message = "the grant has ended, and nothing of it is left to take back"
            raise MetergateError(Reason.GRANT_ENDED, message, {"grant": id_})
        return asked


def not_found(id_: str) -> MetergateError:
    """No grant has the id."""
    shown = id_[:80]
    return MetergateError(Reason.GRANT_NOT_FOUND, f"there is no grant {shown!r}", {"grant": shown})
