"""Exact quantities and moments go in; exact ones come out, and they read well."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from metergate_client import Event, Receipt, Receipts
from metergate_client.calls import quota, usage
from metergate_client.calls.usage import to_pb_event
from metergate_client.decode import from_pb_decision, from_pb_limits, from_pb_recorded_event, from_pb_usage
from metergate_client.exact import amount_text, moment_text
from metergate_client.v1 import decision_pb2, quota_pb2, usage_event_pb2, usage_pb2

DECEMBER = Timestamp(seconds=int(datetime(2026, 12, 1, tzinfo=UTC).timestamp()))


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (3, "3"),
        (-(10**18), "-1000000000000000000"),
        (Decimal("0.10"), "0.10"),
        (Decimal("1E+6"), "1000000"),
        (Decimal("1E-12"), "0.000000000001"),
        ("0.000000000001", "0.000000000001"),
        (Decimal("1E+400"), "1E+400"),
        (Decimal("NaN"), "NaN"),
    ],
)
def test_p7_an_amount_is_sent_as_a_plain_decimal_and_nonsense_as_written_for_the_server_to_refuse(
    amount: Any, text: str
) -> None:
    assert amount_text(amount) == text


@pytest.mark.parametrize(
    "make",
    [
        lambda wrong: Event("api_calls", "acme", wrong),
        lambda wrong: Event("llm.request", "acme", values={"input_tokens": wrong}),
        lambda wrong: usage.record("api_calls", wrong, subject="acme"),
        lambda wrong: quota.check("api_calls", wrong, subject="acme"),
    ],
)
def test_p7_a_float_is_refused_with_advice(make: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match=r"0\.1 is a float, and quantities are exact: write Decimal\('0\.1'\)"):
        make(0.1)


@pytest.mark.parametrize("wrong", [True, None, b"1", [1]])
def test_p7_what_is_no_number_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="a quantity is an int, a Decimal or a str"):
        amount_text(wrong)


def test_a_time_without_a_zone_is_refused_and_others_are_sent_in_utc() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        Event("api_calls", "acme", time=datetime(2026, 11, 20, 9, 0))  # noqa: DTZ001
    there = datetime(2026, 11, 20, 9, 0, 0, 123456, timezone(timedelta(hours=5, minutes=30)))
    event = Event("api_calls", "acme", time=there)
    assert event.time == there
    assert to_pb_event(event).time.ToDatetime(tzinfo=UTC) == there
    assert not to_pb_event(Event("api_calls", "acme", time=None)).HasField("time")


def test_p1_an_events_content_is_fixed_when_it_is_made() -> None:
    labels, values = {"region": "eu"}, {"input_tokens": 5}
    event = Event("llm.request", "acme", values=values, labels=labels)
    first = to_pb_event(event)
    labels["region"], values["input_tokens"] = "us", 6
    assert to_pb_event(event) == first
    assert first.id
    assert first.HasField("time")
    assert (dict(first.values), dict(first.labels), first.amount) == ({"input_tokens": "5"}, {"region": "eu"}, "")


def test_a_recorded_event_comes_back_as_it_went_in() -> None:
    event = Event("llm.request", "acme", Decimal("1.50"), {"tokens": Decimal(7)}, {"region": "eu"}, source="api")
    recorded = usage_pb2.RecordedEvent(event=to_pb_event(event), customer="acme", seq=4, meters=["tokens"])
    read = from_pb_recorded_event(recorded)
    assert read.event == event
    assert repr(read) == f"llm.request 1.50 · acme · {event.id} · counts in tokens"
    on_arrival = from_pb_recorded_event(
        usage_pb2.RecordedEvent(event=usage_event_pb2.UsageEvent(id="x"), unmatched="meter")
    )
    assert on_arrival.event.time is None
    assert repr(on_arrival).endswith("x · unknown meter")


def limit(**fields: Any) -> decision_pb2.LimitState:
    given = {"name": "api_calls/month", "meter": "api_calls", "max": "100", "used": "1", "remaining": "99"}
    return decision_pb2.LimitState(
        **{**given, "would_fit": "99", "policy": "POLICY_HARD", "reset_time": DECEMBER, **fields}
    )


@pytest.mark.parametrize(
    ("decision", "text"),
    [
        ({"allowed": True, "limits": [limit()]}, "allowed · 1 used · 99 left · resets 2026-12-01T00:00Z"),
        ({"allowed": True}, "allowed · no limit"),
        (
            {"allowed": True, "limits": [limit(max="unlimited", remaining="", would_fit="", reset_time=None)]},
            "allowed · 1 used · unlimited",
        ),
        (
            {"allowed": True, "limits": [limit(), limit(name="api_calls/day", remaining="9", labels={"region": "eu"})]},
            "allowed · api_calls/day{region=eu}: 1 used · 9 left · resets 2026-12-01T00:00Z",
        ),
        (
            {"allowed": True, "limits": [limit(used="120", remaining="0", overrun="20")], "degraded": True},
            "allowed · 120 used · 0 left · 20 over · resets 2026-12-01T00:00Z · degraded",
        ),
        (
            {"allowed": False, "binding_limit": "api_calls/month", "limits": [limit(name="other"), limit()]},
            "refused by api_calls/month · 99 would fit",
        ),
    ],
)
def test_a_decision_reads_as_a_sentence(decision: dict[str, Any], text: str) -> None:
    read = from_pb_decision(decision_pb2.Decision(**decision))
    assert (str(read), repr(read)) == (text, text)


def test_p5_a_decision_says_how_good_it_is() -> None:
    read = from_pb_decision(
        decision_pb2.Decision(
            allowed=True, plan="default", limits=[limit(reserved="2.5")], as_of=DECEMBER, answered_by="ANSWERED_BY_VIEW"
        )
    )
    assert (read.answered_by, read.as_of, read.degraded) == ("view", datetime(2026, 12, 1, tzinfo=UTC), False)
    assert read.limit is not None
    assert (read.limit.policy, read.limit.reserved, read.limit.forfeited) == ("hard", Decimal("2.5"), Decimal(0))
    assert from_pb_decision(decision_pb2.Decision(answered_by=99)).answered_by == "99", "newer than this client"  # type: ignore[arg-type]


def test_p7_totals_are_exact_decimals_of_any_size() -> None:
    huge = "123456789012345678901234567890.000000000001"
    one = from_pb_usage(usage_pb2.GetUsageSummaryResponse(series=[usage_pb2.UsageSeries(meter="m", total=huge)]))
    assert str(one.total) == huge
    assert repr(one) == f"m {huge}"
    none = from_pb_usage(usage_pb2.GetUsageSummaryResponse())
    assert (none.total, none.points, repr(none)) == (Decimal(0), (), "no usage")


def test_p8_a_range_that_begins_in_1970_is_a_range() -> None:
    window = decision_pb2.Window(start_time=Timestamp(), end_time=DECEMBER)
    answer = from_pb_usage(usage_pb2.GetUsageSummaryResponse(window=window))
    assert (answer.start_time, answer.as_of) == (datetime(1970, 1, 1, tzinfo=UTC), None)
    assert repr(answer) == "no usage · 1970-01-01T00:00Z to 2026-12-01T00:00Z"


def test_a_total_over_several_series_is_never_guessed() -> None:
    groups = [usage_pb2.UsageSeries(meter="m", group={"region": r}, total="1") for r in ("eu", "us")]
    answer = from_pb_usage(usage_pb2.GetUsageSummaryResponse(series=groups))
    assert repr(answer) == "m{region=eu} 1 · m{region=us} 1"
    with pytest.raises(ValueError, match="2 series"):
        _ = answer.total


def test_receipts_read_well_and_know_which_failed() -> None:
    refused = Receipt("d", "rejected", reason="QUANTITY_INVALID", message="not a decimal")
    waiting = Receipt("b", "accepted", unmatched="subject")
    receipts = Receipts((Receipt("a", "accepted"), waiting, Receipt("c", "duplicate"), refused))
    assert repr(receipts) == "2 accepted · 1 duplicate · 1 rejected"
    assert [repr(receipt) for receipt in receipts][1:] == [
        "accepted · b · does not count yet: unknown subject",
        "duplicate · c",
        "rejected · d · QUANTITY_INVALID: not a decimal",
    ]
    assert [receipt.event_id for receipt in receipts.failed] == ["d"]
    assert (len(receipts), receipts[2].duplicate, receipts[2].ok, receipts.count("accepted")) == (4, True, True, 2)


def test_limits_are_found_by_name() -> None:
    listed = from_pb_limits(quota_pb2.ListLimitsResponse(customer="acme", plan="pro", limits=[limit()]))
    assert listed["api_calls/month"].remaining == Decimal(99)
    assert repr(listed).splitlines() == [
        "acme · plan pro",
        "  api_calls/month: 1 used · 99 left · resets 2026-12-01T00:00Z",
    ]
    with pytest.raises(KeyError):
        _ = listed["nope"]


def test_a_moment_is_as_fine_as_it_needs_to_be() -> None:
    base = datetime(2026, 12, 1, tzinfo=UTC)
    assert moment_text(base + timedelta(seconds=5)) == "2026-12-01T00:00:05Z"
    assert moment_text(base + timedelta(microseconds=5)) == "2026-12-01T00:00:00.000005Z"
