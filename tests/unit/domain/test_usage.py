"""Usage events: their limits, their digest, what makes two the same, and which times are accepted."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from metergate.domain import period
from metergate.domain.errors import MetergateError, Reason
from metergate.domain.usage import AcceptWindow, Event, compare, conflict, make_event

NOW = 1_795_000_000_000_000

_PLAIN: dict[str, Any] = {
    "id": "e1", "source": "api", "type": "llm.request", "subject": "acme", "time": None, "amount": "", "values": {},
    "labels": {}, "settles": "",
}  # fmt: skip


def event(**fields: Any) -> Event:
    return make_event(**{**_PLAIN, **fields})


def test_an_event_is_what_the_client_said() -> None:
    made = event(time=NOW, amount="1.50", values={"b": "2", "a": "1"}, labels={"z": "1", "y": ""}, settles="lease-1")
    assert (made.time, made.amount, made.settles) == (NOW, Decimal("1.5"), "lease-1")
    assert made.values == {"a": Decimal(1), "b": Decimal(2)}
    assert made.labels == {"y": "", "z": "1"}
    assert event().amount is None


def test_texts_at_their_limits_are_accepted() -> None:
    widest = {f"k{number:02}" + "x" * 61: "v" * 256 for number in range(16)}
    made = event(
        id="i" * 256, source="s" * 128, type="t" * 128, subject="ü" * 64, labels=widest, settles="l" * 256,
        values=dict.fromkeys(widest, "1"),
    )  # fmt: skip
    assert len(made.labels) == len(made.values) == 16


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": "x" * 257}, "id"),
        ({"id": "ü" * 129}, "id"),
        ({"id": "a\nb"}, "id"),
        ({"id": "a\x00b"}, "id"),
        ({"id": "a\x7fb"}, "id"),
        ({"id": "ü\x1f"}, "id"),
        ({"source": ""}, "source"),
        ({"source": "x" * 129}, "source"),
        ({"type": ""}, "type"),
        ({"type": "x" * 129}, "type"),
        ({"subject": ""}, "subject"),
        ({"subject": "\t"}, "subject"),
        ({"subject": "x" * 129}, "subject"),
        ({"subject": "a\x1fb"}, "subject"),
        ({"type": "a\x1fb"}, "type"),
        ({"source": "a\x1fb"}, "source"),
        ({"id": "a\x1fb"}, "id"),
        ({"values": {"a\x1fb": "1"}}, "values"),
        ({"settles": "x" * 257}, "settles"),
        ({"settles": "a\x1fb"}, "settles"),
        ({"labels": {f"k{number}": "" for number in range(17)}}, "labels"),
        ({"labels": {"": "x"}}, "labels"),
        ({"labels": {"k" * 65: "x"}}, "labels"),
        ({"labels": {"k\x1f": "x"}}, "labels"),
        ({"labels": {"k": "x" * 257}}, "labels.k"),
        ({"labels": {"k": "x\x1fy"}}, "labels.k"),
        ({"values": {f"k{number}": "1" for number in range(17)}}, "values"),
        ({"values": {"k" * 65: "1"}}, "values"),
        ({"values": {"": "1"}}, "values"),
        ({"time": -1}, "time"),
        ({"time": period.LATEST}, "time"),
    ],
)
def test_p12_a_field_beyond_its_limits_is_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(MetergateError) as refused:
        event(**fields)
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, field)


@pytest.mark.parametrize(("fields", "field"), [({"amount": "NaN"}, "amount"), ({"values": {"a": "1e400"}}, "values.a")])
def test_p12_a_bad_number_is_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(MetergateError) as refused:
        event(**fields)
    assert (refused.value.reason, refused.value.field) == (Reason.QUANTITY_INVALID, field)


def test_p1_the_digest_of_a_content_never_changes() -> None:
    """Digests are stored for weeks: a release that made another one would call each repeat a conflict."""
    full = event(
        time=NOW, amount="12.50", values={"output": "2", "input": "1.0"}, labels={"region": "eu", "ä": ""}, settles="l"
    )
    assert event().digest.hex() == "2e6e5789f31bf896661b740935ac7136"
    assert full.digest.hex() == "9dba786fc9d27f3dc2d10e2dc6d1e339"


def test_p1_the_digest_does_not_know_id_source_order_or_spelling() -> None:
    one = event(id="a", source="x", amount="1.0", values={"a": "1", "b": "2"}, labels={"k": "1", "l": "2"})
    two = event(id="b", source="y", amount="1", values={"b": "2.00", "a": "01"}, labels={"l": "2", "k": "1"})
    assert one.digest == two.digest


def test_p1_contents_that_look_alike_when_joined_have_different_digests() -> None:
    alike = [
        event(type="ab", subject="c"), event(type="a", subject="bc"), event(amount="1"), event(amount="0"), event(),
        event(time=1), event(settles="1"), event(values={"a": "1"}), event(labels={"a": "1"}), event(labels={"a": ""}),
        event(labels={"a": "1", "b": "2"}), event(values={"a": "1"}, labels={"b": "2"}),
        event(values={"a": "1", "b": "2"}),
    ]  # fmt: skip
    assert len({one.digest for one in alike}) == len(alike)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"type": "x", "subject": "x"}, "type"),
        ({"subject": "x", "time": 5}, "subject"),
        ({"time": 5, "amount": "9"}, "time"),
        ({"amount": "9", "values": {}}, "amount"),
        ({"values": {"a": "9"}, "labels": {}}, "values"),
        ({"labels": {"k": "9"}, "settles": "x"}, "labels"),
        ({"settles": "x"}, "settles"),
        ({"id": "other", "source": "other"}, None),
        ({"amount": "1.00", "values": {"a": "1.0"}}, None),
    ],
)
def test_p1_a_conflict_names_the_first_field_that_differs(changed: dict[str, Any], field: str | None) -> None:
    fields: dict[str, Any] = {"time": 4, "amount": "1", "values": {"a": "1"}, "labels": {"k": "1"}}
    first, second = event(**fields), event(**{**fields, **changed})
    assert compare(first, second) == field
    assert (first.digest == second.digest) is (field is None)


def test_p1_a_conflict_says_that_nothing_was_overwritten() -> None:
    error = conflict(event(), "amount")
    assert error.reason is Reason.EVENT_CONFLICT
    assert error.metadata == {"id": "e1", "field": "amount"}


@pytest.mark.parametrize(
    ("time", "backfill", "reason"),
    [
        (NOW, False, None),
        (NOW + 5 * period.MINUTE, False, None),
        (NOW + 5 * period.MINUTE + 1, False, Reason.TIME_IN_FUTURE),
        (NOW + 5 * period.MINUTE + 1, True, Reason.TIME_IN_FUTURE),
        (NOW - 35 * period.DAY, False, None),
        (NOW - 35 * period.DAY - 1, False, Reason.TIME_TOO_OLD),
        (NOW - 35 * period.DAY - 1, True, None),
        (0, True, None),
    ],
)
def test_the_accept_window(time: int, backfill: bool, reason: Reason | None) -> None:
    error = AcceptWindow().check(time, NOW, backfill)
    assert (error.reason if error else None) is reason
    if error:
        assert error.field == "time"
        assert error.metadata["earliest"] == period.to_text(NOW - 35 * period.DAY)
        assert error.metadata["latest"] == period.to_text(NOW + 5 * period.MINUTE)
