"""What a commit writes does not depend on order or repetition, and nothing is lost or made up."""

from __future__ import annotations

import json
from collections import Counter as Tally
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from metergate.domain.counting import move
from metergate.domain.period import QUARTER
from metergate.domain.posting import NOBODY, Head, Known, Ledger, Posting, Use, post
from metergate.domain.quantity import ZERO
from metergate.domain.quota import CounterKey, Figures, write_filter
from metergate.domain.usage import AcceptWindow, Event, Outcome, Receipt
from metergate.domain.work import Fact
from tests.property.strategies import CATALOG, METERS, NOW, events, small, words

HEADS = {name: Head(name, 9, "", "UTC", 0) for name in ("", "c0", "c1", "c2")}


def customer_of(event: Event) -> str:
    return f"c{sum(event.subject.encode()) % 3}"


class Posted(Posting):
    """A posting with the receipts of what it was made from."""

    receipts: list[Receipt]


def run(batch: list[Event], known: dict[tuple[str, str], Known] | None = None) -> Posted:
    ledger = Ledger(HEADS, known or {}, CATALOG, NOW, AcceptWindow())
    posted = Posted()
    posted.receipts = post([Fact(one, customer_of(one), False) for one in batch], ledger, posted)
    return posted


def remembered(posting: Posting) -> dict[tuple[str, str], Known]:
    """What the ledger knows after the commit."""
    return {
        (row.event.source, row.event.id): Known(row.customer, row.seq, row.event.digest, row.event)
        for row in posting.rows
    }


unique = st.lists(events(), max_size=8, unique_by=lambda event: (event.source, event.id))
colliding = st.lists(events(ids=st.sampled_from("123")), max_size=8)


@given(unique, st.randoms(use_true_random=False), st.data())
def test_p1_order_and_repetition_change_nothing(batch: list[Event], random: object, data: st.DataObject) -> None:
    repeated = batch + (data.draw(st.lists(st.sampled_from(batch), max_size=8)) if batch else [])
    shuffled = data.draw(st.permutations(repeated))
    first, second = run(batch), run(shuffled)
    assert first.rollups == second.rollups
    assert {row.event.id for row in first.rows} == {row.event.id for row in second.rows}
    assert len(second.rows) == len(first.rows)
    accepted = Tally((one.event_id, one.outcome) for one in second.receipts if one.outcome is Outcome.ACCEPTED)
    assert all(count <= 2 for count in accepted.values())  # one from each source


@given(colliding, colliding)
def test_p1_a_batch_cut_in_two_commits_is_the_batch(one: list[Event], two: list[Event]) -> None:
    together = run(one + two)
    first = run(one)
    second = run(two, remembered(first))
    apart = first.receipts + second.receipts
    assert [(receipt.event_id, receipt.outcome) for receipt in together.receipts] == [
        (receipt.event_id, receipt.outcome) for receipt in apart
    ]
    assert [row.event for row in together.rows] == [row.event for row in first.rows + second.rows]
    for key in {**first.rollups, **second.rollups, **together.rollups}:
        parts = [posting.rollups.get(key, (0, ZERO)) for posting in (first, second)]
        assert together.rollups.get(key) == (sum(count for count, _ in parts), sum(total for _, total in parts))


@given(colliding)
def test_p1_a_repeat_of_a_commit_writes_nothing(batch: list[Event]) -> None:
    first = run(batch)
    again = run(batch, remembered(first))
    assert (again.rows, again.rollups, again.uses) == ([], {}, {})
    for before, after in zip(first.receipts, again.receipts, strict=True):
        if before.outcome is Outcome.REJECTED:  # an id that was taken later in the batch is looked up first
            assert after.outcome in (Outcome.REJECTED, Outcome.CONFLICT)
        else:
            expected = Outcome.DUPLICATE if before.outcome is Outcome.ACCEPTED else before.outcome
            assert after.outcome is expected


@given(colliding)
def test_p4_rollups_are_the_sum_over_the_rows(batch: list[Event]) -> None:
    posting = run(batch)
    assert len({(row.event.source, row.event.id) for row in posting.rows}) == len(posting.rows)
    for meter in METERS:
        parts = [(row, meter.contribution(row.event)) for row in posting.rows if row.event.type == meter.event_type]
        counted = [(row, value) for row, value in parts if value is not None]
        rollups = {key: value for key, value in posting.rollups.items() if key.measure == meter.measure}
        assert sum(count for count, _ in rollups.values()) == len(counted)
        assert sum((total for _, total in rollups.values()), ZERO) == sum((value for _, value in counted), ZERO)
        for key, (count, total) in rollups.items():
            mine = [
                value
                for row, value in counted
                if (row.customer, row.event.subject) == (key.customer, key.subject)
                and key.quarter <= row.counted_at < key.quarter + QUARTER
                and key.dimensions == tuple(row.event.labels.get(name, "") for name in meter.dimensions)
            ]
            assert (count, total) == (len(mine), sum(mine, ZERO))


@given(colliding)
def test_p1_each_event_has_its_receipt_in_its_place(batch: list[Event]) -> None:
    posting = run(batch)
    assert [receipt.event_id for receipt in posting.receipts] == [event.id for event in batch]
    assert len(posting.rows) == sum(receipt.outcome is Outcome.ACCEPTED for receipt in posting.receipts)
    for receipt in posting.receipts:
        assert (receipt.error is None) is (receipt.outcome in (Outcome.ACCEPTED, Outcome.DUPLICATE))


@given(colliding)
def test_what_waits_for_its_customer_counts_nowhere(batch: list[Event]) -> None:
    ledger = Ledger(HEADS, {}, CATALOG, NOW, AcceptWindow())
    posting = Posted()
    posting.receipts = post([Fact(one, NOBODY, False) for one in batch], ledger, posting)
    assert (posting.rollups, posting.uses) == ({}, {})
    assert {receipt.unmatched for receipt in posting.receipts if receipt.outcome is Outcome.ACCEPTED} <= {"subject"}


labels = st.dictionaries(st.sampled_from("xy"), st.sampled_from(["", "1", "2"]), max_size=2)
uses = st.builds(Use, st.integers(0, 20), words, labels, small)
keys = st.builds(
    CounterKey,
    st.sampled_from(["c", "d"]),
    st.sampled_from(["m", "n"]),
    st.just("") | words,
    labels.map(lambda pairs: write_filter(list(pairs.items()))),
    st.integers(0, 15),
    st.integers(1, 21),
)


@given(
    st.dictionaries(keys, small.map(Figures), max_size=8),
    st.dictionaries(st.tuples(st.sampled_from("cd"), st.sampled_from("mn")), st.lists(uses, max_size=8)),
)
def test_p4_counters_move_by_what_lies_in_their_window(
    counters: dict[CounterKey, Figures], used: dict[tuple[str, str], list[Use]]
) -> None:
    moved = move(counters, used)
    for key, figures in counters.items():
        wanted: dict[str, str] = {}
        if key.filter:
            wanted = json.loads(key.filter)
        matching = [
            one.value
            for one in used.get((key.customer, key.meter), [])
            if key.start <= one.counted_at < key.end
            and key.subject in ("", one.subject)
            and all(one.labels.get(name, "") == value for name, value in wanted.items())
        ]
        assert (key in moved) is bool(matching)
        if matching:
            assert moved[key] == Figures(figures.used + sum(matching, Decimal(0)))
