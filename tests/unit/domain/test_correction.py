"""Corrections: what a commit appends and moves, and what it refuses."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from metergate.domain.catalog import Catalog, Plan
from metergate.domain.correction import Corrected, Elsewhere, Kind, Place, Standing, correct
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.meter import Meter, Shape
from metergate.domain.period import DAY, HOUR
from metergate.domain.posting import Head, Ledger, Posting, Use
from metergate.domain.quota import Limit
from metergate.domain.usage import AcceptWindow, Event, make_event
from metergate.domain.work import Correct, events_of, heads_of, hold_ids, weight_of

NOW = 1_700_000_000_000_000 - 1_700_000_000_000_000 % (900 * 1_000_000)
ALL = (Shape(False, ()),)
METERS = (
    Meter("calls", "calls", shapes=ALL),
    Meter("peak", "calls", aggregation="max", shapes=ALL, dimensions=("model",)),
    Meter("users", "calls", aggregation="unique", value="user", shapes=ALL),
)
CATALOG = Catalog(METERS, (Plan("default", (Limit("calls/month", "calls", Decimal(10)),)),))


def event(**fields: Any) -> Event:
    time = fields.get("time")
    return make_event(
        "1", "api", fields.get("type", "calls"), fields.get("subject", "acme"), time, fields.get("amount", "5"), {},
        fields.get("labels", {}), fields.get("settles", ""),
    )  # fmt: skip


def ledger(standing: Standing | None, pools: dict[str, str] | None = None, **more: Any) -> Ledger:
    pools = pools or {}
    heads = {
        name: Head(name, seq, "", "UTC", 0, pool=pools.get(name, ""))
        for name, seq in (("acme", 10), ("beta", 20), ("group", 30))
    }
    found = {("api", "1"): standing} if standing else {}
    return Ledger(heads, {}, CATALOG, NOW, AcceptWindow(), standing=found, **more)


STANDS = Standing(event(time=NOW - HOUR, labels={"user": "u"}), Place("acme", NOW - HOUR, 7))


def work(new: Event | None, to: str = "acme", **fields: Any) -> Correct:
    return Correct("api", "1", "acme", to if new else "", new, **fields)


def done(work: Correct, ledger: Ledger, posting: Posting | None = None) -> Corrected:
    made = correct(work, ledger, Posting() if posting is None else posting)
    assert isinstance(made, Corrected), made
    return made


def test_an_amendment_takes_back_and_puts() -> None:
    posting = Posting()
    made = done(work(event(time=NOW - HOUR, amount="3", labels={"user": "v"})), ledger(STANDS), posting)
    assert (made.version, made.kind) == (2, Kind.AMEND)
    assert (made.taken, made.put) == (Place("acme", NOW - HOUR, 11), Place("acme", NOW - HOUR, 11))
    assert [(one.sign, one.version, one.row.event.amount) for one in posting.signed] == [(-1, 1, 5), (1, 2, 3)]
    assert posting.uses == {
        ("acme", "calls"): [
            Use(NOW - HOUR, "acme", {"user": "u"}, Decimal(-5)), Use(NOW - HOUR, "acme", {"user": "v"}, Decimal(3)),
        ]
    }  # fmt: skip
    assert [use.value for use in posting.sightings["acme", "users"]] == [-1, 1]
    assert [use.value for use in posting.recounts["acme", "peak"]] == [-5, 3]
    sums = {CATALOG.measure_of[key.measure].name: moved for key, moved in posting.rollups.items()}
    assert (sums["calls"], sums["peak"]) == ((0, -2), (0, -2))
    assert {CATALOG.measure_of[key.measure].name for key in posting.shrunk} == {"peak"}
    assert posting.customers == {"acme"}
    assert posting.rows == []


def test_a_void_puts_nothing() -> None:
    posting = Posting()
    made = done(work(None), ledger(STANDS), posting)
    assert (made.kind, made.put, made.content) == (Kind.VOID, None, 1)
    assert [(one.sign, one.version) for one in posting.signed] == [(-1, 1)]
    assert posting.standing["api", "1"] == Standing(STANDS.event, STANDS.place, 2, True, 1)


@pytest.mark.parametrize(
    ("new", "counted_at"),
    [(None, NOW - 2 * HOUR), (NOW - HOUR, NOW - 2 * HOUR), (NOW - DAY, NOW - DAY)],
)
def test_the_same_time_or_none_leaves_it_where_it_counted(new: int | None, counted_at: int) -> None:
    """An event that settled a hold counts in the hold's window, and not at its time."""
    stands = Standing(STANDS.event, Place("acme", NOW - 2 * HOUR, 7))
    put = done(work(event(time=new)), ledger(stands)).put
    assert put is not None
    assert put.counted_at == counted_at


def test_a_pool_keeps_what_counted_in_it_and_another_customer_brings_its_own() -> None:
    stands = Standing(STANDS.event, Place("acme", NOW - HOUR, 7, "group"))
    posting = Posting()
    done(work(event(amount="3")), ledger(stands), posting)
    assert [use.value for use in posting.uses["group", "calls"]] == [-5, 3]
    assert posting.customers == {"acme", "group"}
    posting = Posting()
    made = done(work(event(amount="3", subject="b"), "beta"), ledger(stands, {"beta": ""}), posting)
    assert made.put == Place("beta", NOW - HOUR, 21)
    assert [use.value for use in posting.uses["group", "calls"]] == [-5]
    assert made.seqs == {"acme": 11, "beta": 21}
    posting = Posting()
    done(work(event(amount="3", subject="b"), "beta"), ledger(STANDS, {"beta": "group"}), posting)
    assert [use.value for use in posting.uses["group", "calls"]] == [3]


def test_one_that_stands_elsewhere_comes_again() -> None:
    stands = Standing(STANDS.event, Place("beta", NOW, 7))
    found = correct(work(None), ledger(stands), Posting())
    assert isinstance(found, Elsewhere)
    assert found.work.customer == "beta"
    stands = Standing(STANDS.event, Place("acme", NOW, 7, "left"))
    posting = Posting()
    found = correct(work(None), ledger(stands), posting)
    assert isinstance(found, Elsewhere)
    assert heads_of(found.work) == ("acme", "left")
    assert posting.customers == set()


@pytest.mark.parametrize(
    ("asked", "standing", "reason"),
    [
        (work(None), None, Reason.EVENT_NOT_FOUND),
        (work(None), Standing(STANDS.event, STANDS.place, 2, True), Reason.EVENT_VOIDED),
        (work(event()), Standing(STANDS.event, STANDS.place, 2, True), Reason.EVENT_VOIDED),
        (work(event(), expected=1), Standing(STANDS.event, STANDS.place, 2, True), Reason.EVENT_CHANGED),
        (work(event(settles="r")), STANDS, Reason.FIELD_INVALID),
        (work(event(time=NOW - 40 * DAY)), STANDS, Reason.TIME_TOO_OLD),
        (work(event(time=NOW + DAY), backfill=True), STANDS, Reason.TIME_IN_FUTURE),
        (work(event(amount="-1")), STANDS, Reason.QUANTITY_NEGATIVE),
    ],
)
def test_what_is_refused_changes_nothing(asked: Correct, standing: Standing | None, reason: Reason) -> None:
    posting = Posting()
    found = correct(asked, ledger(standing), posting)
    assert isinstance(found, MetergateError)
    assert found.reason is reason
    assert posting == Posting()


def test_an_old_event_may_stay_old_and_a_backfill_may_make_one_so() -> None:
    stands = Standing(event(time=NOW - 90 * DAY), Place("acme", NOW - 90 * DAY, 7))
    assert done(work(event(time=NOW - 90 * DAY, amount="1")), ledger(stands)).version == 2
    assert done(work(event(time=NOW - 80 * DAY), backfill=True), ledger(stands)).version == 2


def test_a_repeat_in_the_same_commit_or_later() -> None:
    posting = Posting()
    first = done(work(event(amount="3"), request_id="r", digest=b"1"), ledger(STANDS), posting)
    assert done(work(event(amount="3"), request_id="r", digest=b"1"), ledger(STANDS), posting) is first
    reused = correct(work(None, request_id="r", digest=b"2"), ledger(STANDS), posting)
    assert isinstance(reused, MetergateError)
    assert reused.reason is Reason.REQUEST_ID_REUSED
    assert len(posting.corrected) == 1
    later = ledger(posting.standing["api", "1"], corrected={("", "r"): first})
    assert done(work(event(amount="3"), request_id="r", digest=b"1"), later) is first


def test_what_follows_in_one_commit_sees_what_came_before() -> None:
    posting = Posting()
    for amount in ("3", "4"):
        done(work(event(amount=amount)), ledger(STANDS), posting)
    made = done(work(None), ledger(STANDS), posting)
    assert made.version == 4
    assert [(one.sign, one.version) for one in posting.signed] == [(-1, 1), (1, 2), (-1, 2), (1, 3), (-1, 3)]
    assert sum(use.value for use in posting.uses["acme", "calls"]) == -5


def test_a_voided_event_is_restored_where_it_was() -> None:
    stands = Standing(STANDS.event, STANDS.place, 2, True, 1)
    posting = Posting()
    made = done(work(event(amount="5"), restores=True, counted_at=NOW - DAY, expected=2), ledger(stands), posting)
    assert (made.kind, made.version, made.taken) == (Kind.RESTORE, 3, None)
    assert made.put == Place("acme", NOW - DAY, 11)
    assert [(one.sign, one.version) for one in posting.signed] == [(1, 3)]


def test_what_does_not_count_moves_no_counters() -> None:
    posting = Posting()
    made = done(work(event(type="other"), "acme"), ledger(STANDS), posting)
    assert made.unmatched == "meter"
    nobody = Head("", 3, "", "UTC", 0)
    read = ledger(STANDS)
    waiting = Ledger({**read.heads, "": nobody}, {}, CATALOG, NOW, AcceptWindow(), standing=read.standing)
    posting = Posting()
    assert done(work(event(subject="x"), ""), waiting, posting).unmatched == "subject"
    assert [use.value for use in posting.uses["acme", "calls"]] == [-5]
    assert ("", "calls") not in posting.uses


def test_as_a_work_it_brings_no_events_and_names_no_holds() -> None:
    asked = work(event(), "beta")
    assert (events_of(asked), hold_ids(asked), weight_of(asked)) == ((), (), 1)
    assert heads_of(asked) == ("acme", "beta")
    assert heads_of(work(None)) == ("acme",)


def test_usage_of_a_subject_that_moved_since_stays() -> None:
    assert done(work(event(amount="3"), "beta"), ledger(STANDS)).put == Place("acme", NOW - HOUR, 11)
