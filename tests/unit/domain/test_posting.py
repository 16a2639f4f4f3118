"""Posting: what one commit makes of a batch, without a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from metergate.domain import period
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.counting import move, needed
from metergate.domain.errors import Reason
from metergate.domain.meter import Meter
from metergate.domain.period import DAY, HOUR, QUARTER, Period, window_at
from metergate.domain.posting import (
    NOBODY,
    Head,
    Known,
    Ledger,
    Posting,
    RollupKey,
    Use,
    post,
)
from metergate.domain.quota import CounterKey, Figures, Limit, Scope
from metergate.domain.usage import AcceptWindow, Event, Outcome, Receipt, make_event
from metergate.domain.work import Fact

NOW = 1_795_000_000_000_000 // QUARTER * QUARTER + 7 * period.MINUTE
TOKENS = Meter("tokens", "llm", value="tokens", dimensions=("model",))
CALLS = Meter("calls", "llm", "count")
DELTA = Meter("seats", "seats", allow_negative=True)
LIMITS = tuple([Limit(f"{meter.name}/month", meter.name, None) for meter in (TOKENS, DELTA)])
CATALOG = Catalog((TOKENS, CALLS, DELTA), (Plan("default", LIMITS),))


def event(id: str, type: str = "llm", **fields: Any) -> Event:
    values = fields.get("values", {"tokens": "10"} if type == "llm" else {})
    return make_event(
        id, fields.get("source", "api"), type, fields.get("subject", "acme"), fields.get("time"),
        fields.get("amount", ""), values, fields.get("labels", {}), fields.get("settles", ""),
    )  # fmt: skip


def ledger(
    known: Mapping[tuple[str, str], Known] | None = None,
    catalog: Catalog = CATALOG,
    tried: Mapping[str, int] | None = None,
    time_zone: str = "UTC",
) -> Ledger:
    heads = {name: Head(name, 41, "", time_zone, 0) for name in (NOBODY, "acme", "beta")}
    return Ledger(heads, known or {}, catalog, NOW, AcceptWindow(), tried or {})


class Posted(Posting):
    """A posting with the receipts of what it was made from."""

    receipts: list[Receipt]


def posted(*events: Event, customer: str = "acme", backfill: bool = False, **more: Any) -> Posted:
    posting = Posted()
    posting.receipts = post([Fact(one, customer, backfill) for one in events], ledger(**more), posting)
    return posting


def outcomes(posting: Posted) -> list[str]:
    return [receipt.outcome.value for receipt in posting.receipts]


def reasons(posting: Posted) -> list[Reason | None]:
    return [receipt.error.reason if receipt.error else None for receipt in posting.receipts]


def test_an_event_is_appended_and_counted_in_each_meter() -> None:
    one = event("1", labels={"model": "m", "other": "x"})
    posting = posted(one)
    assert outcomes(posting) == ["accepted"]
    assert [(row.event, row.customer, row.seq, row.counted_at) for row in posting.rows] == [(one, "acme", 42, NOW)]
    quarter = NOW - 7 * period.MINUTE
    assert posting.rollups == {
        RollupKey("acme", TOKENS.measure, quarter, "acme", ("m",)): (1, Decimal(10)),
        RollupKey("acme", CALLS.measure, quarter, "acme", ()): (1, Decimal(1)),
    }
    # Nobody limits calls: no counter is moved by them.
    assert posting.uses == {("acme", "tokens"): [Use(NOW, "acme", one.labels, Decimal(10))]}


def test_an_event_counts_at_its_own_time_and_a_missing_label_is_empty() -> None:
    posting = posted(event("1", time=NOW - 3 * DAY), event("2", time=NOW - 3 * DAY))
    quarter = NOW - 3 * DAY - 7 * period.MINUTE
    assert posting.rollups[RollupKey("acme", TOKENS.measure, quarter, "acme", ("",))] == (2, Decimal(20))


def test_p1_the_same_id_twice_in_one_batch_counts_once() -> None:
    posting = posted(event("1"), event("1"), event("1", amount="5"), event("1", source="other"))
    assert outcomes(posting) == ["accepted", "duplicate", "conflict", "accepted"]
    assert posting.receipts[2].error
    assert posting.receipts[2].error.field == "amount"
    assert len(posting.rows) == 2


def test_p1_a_refused_event_does_not_take_its_id() -> None:
    posting = posted(event("1", "seats-", time=NOW - 40 * DAY), event("1", "seats-", time=NOW))
    assert outcomes(posting) == ["rejected", "accepted"]


def test_p1_a_known_id_is_a_duplicate_and_other_content_a_conflict() -> None:
    first, other = event("1", amount="2"), event("1", amount="3")
    known = {("api", "1"): Known("acme", 7, first.digest, None)}
    assert outcomes(posted(first, first, known=known)) == ["duplicate", "duplicate"]
    known = {("api", "1"): Known("acme", 7, first.digest, first)}
    posting = posted(other, known=known)
    assert outcomes(posting) == ["conflict"]
    assert posting.receipts[0].error
    assert posting.receipts[0].error.metadata == {"id": "1", "field": "amount"}
    assert (posting.rows, posting.rollups, posting.uses) == ([], {}, {})


def test_p1_look_up_comes_before_age_and_sign() -> None:
    old = event("1", time=NOW - 40 * DAY)
    negative = event("2", values={"tokens": "-5"})
    known = {("api", one.id): Known("acme", 7, one.digest, None) for one in (old, negative)}
    assert outcomes(posted(old, negative, known=known)) == ["duplicate", "duplicate"]
    assert reasons(posted(old, negative)) == [Reason.TIME_TOO_OLD, Reason.QUANTITY_NEGATIVE]


def test_p1_what_an_unanswered_try_wrote_is_ours_and_not_a_duplicate() -> None:
    one = event("1")
    known = {("api", "1"): Known("acme", 42, one.digest, None)}
    assert outcomes(posted(one, known=known, tried={"acme": 42})) == ["accepted"]
    assert outcomes(posted(one, known=known, tried={"acme": 41})) == ["duplicate"]
    assert outcomes(posted(one, known=known, tried={"beta": 42})) == ["duplicate"]


def test_p12_one_bad_event_does_not_harm_the_others() -> None:
    posting = posted(event("1"), event("2", time=NOW + HOUR), event("3"))
    assert outcomes(posting) == ["accepted", "rejected", "accepted"]
    assert reasons(posting)[1] is Reason.TIME_IN_FUTURE
    assert [row.event.id for row in posting.rows] == ["1", "3"]


def test_negative_usage_is_refused_where_a_meter_only_grows_and_nothing_of_it_counts() -> None:
    posting = posted(event("1", values={"tokens": "-1"}), event("2", "seats", amount="-3"))
    assert outcomes(posting) == ["rejected", "accepted"]
    assert posting.receipts[0].error
    assert posting.receipts[0].error.field == "values.tokens"
    assert posting.receipts[0].error.metadata["meter"] == "tokens"
    assert posting.rollups == {RollupKey("acme", DELTA.measure, NOW - 7 * period.MINUTE, "acme", ()): (1, Decimal(-3))}
    growing = Catalog((Meter("calls", "calls", "count"),))
    refused = posted(event("3", "calls", amount="-1"), catalog=growing)
    assert refused.receipts[0].error
    assert refused.receipts[0].error.field == "amount"


def test_what_matches_no_meter_or_has_no_value_is_kept_as_unmatched() -> None:
    posting = posted(event("1", "unknown"), event("2", values={}), catalog=Catalog((TOKENS,)))
    assert [receipt.unmatched for receipt in posting.receipts] == ["meter", "meter"]
    assert outcomes(posting) == ["accepted", "accepted"]
    assert len(posting.rows) == 2
    assert (posting.rollups, posting.uses) == ({}, {})


def test_what_has_no_customer_waits_and_counts_nowhere() -> None:
    posting = posted(event("1"), customer=NOBODY)
    assert posting.receipts[0].unmatched == "subject"
    assert posting.rows[0].customer == NOBODY
    assert (posting.rollups, posting.uses) == ({}, {})


def test_backfill_lifts_the_age_and_counts_in_its_own_window() -> None:
    old = event("1", time=NOW - 400 * DAY)
    assert outcomes(posted(old)) == ["rejected"]
    posting = posted(old, backfill=True)
    assert posting.rows[0].counted_at == NOW - 400 * DAY


def limited(*limits: Limit) -> Catalog:
    return replace(CATALOG, plans=(Plan("default", limits),))


def test_needed_are_the_counters_of_limits_in_force_in_windows_that_go_on() -> None:
    catalog = limited(
        Limit("tokens/month", "tokens", Decimal(5)),
        Limit("tokens/model", "tokens", None, Period.DAY, per_labels=("model",), scope=Scope.SUBJECT),
        Limit("tokens/m2", "tokens", Decimal(5), Period.HOUR, labels=(("model", "m2"),)),
    )
    state = ledger(catalog=catalog, time_zone="Europe/Berlin")
    events = [event("1", labels={"model": "m1"}), event("2", time=NOW - 60 * DAY, labels={"model": "m2"})]
    posting = Posting()
    post([Fact(one, "acme", True) for one in events], state, posting)
    keys = {key: limit.period for key, limit in needed(posting, state).items()}
    month = window_at(Period.MONTH, "Europe/Berlin", NOW)
    day = window_at(Period.DAY, "Europe/Berlin", NOW)
    assert keys == {
        CounterKey("acme", "tokens", "", "", month.start, month.end): Period.MONTH,
        CounterKey("acme", "tokens", "acme", '{"model":"m1"}', day.start, day.end): Period.DAY,
    }


def counter(subject: str = "", filter: str = "", start: int = NOW - DAY, end: int = NOW + DAY) -> CounterKey:
    return CounterKey("acme", "tokens", subject, filter, start, end)


def moved(counters: Sequence[CounterKey], *uses: Use) -> dict[CounterKey, Decimal]:
    figures = {key: Figures(Decimal(100), reserved=Decimal(7)) for key in counters}
    found = move(figures, {("acme", "tokens"): list(uses)})
    assert all(one.reserved == 7 for one in found.values())
    return {key: one.used - 100 for key, one in found.items()}


def test_a_counter_counts_whatever_lies_in_its_window_and_matches() -> None:
    uses = [
        Use(NOW, "alice", {"model": "a"}, Decimal(1)),
        Use(NOW, "bob", {"model": "b"}, Decimal(10)),
        Use(NOW - 2 * DAY, "bob", {}, Decimal(100)),
    ]
    found = moved(
        [
            counter(), counter("alice"), counter("bob"), counter("", '{"model":"b"}'), counter("", '{"model":""}'),
            counter("alice", '{"model":"b"}'), counter("", "", NOW - 3 * DAY, NOW - 2 * DAY + 1),
            counter("", "", NOW, NOW + 1), counter("", "", NOW + 1, NOW + 2), counter("", "", NOW - 1, NOW),
        ],
        *uses,
    )  # fmt: skip
    assert found == {
        counter(): 11, counter("alice"): 1, counter("bob"): 10, counter("", '{"model":"b"}'): 10,
        counter("", "", NOW - 3 * DAY, NOW - 2 * DAY + 1): 100, counter("", "", NOW, NOW + 1): 11,
    }  # fmt: skip


def test_counters_of_other_customers_and_meters_stay() -> None:
    key = counter()._replace(customer="beta")
    assert moved([key, counter()._replace(meter="calls")], Use(NOW, "a", {}, Decimal(1))) == {}


def test_a_zero_moves_a_counter_too_so_that_it_is_born() -> None:
    assert moved([counter()], Use(NOW, "a", {}, Decimal(0))) == {counter(): 0}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_outcomes_are_published_words(outcome: Outcome) -> None:
    assert outcome.value == outcome.name.lower()
