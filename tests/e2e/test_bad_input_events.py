"""Events that break a rule: what a single call answers, and what a batch says of each while the others count."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from metergate.v1.usage_event_pb2 import OUTCOME_ACCEPTED, OUTCOME_CONFLICT, OUTCOME_DUPLICATE, OUTCOME_REJECTED
from tests.e2e.calls import Answer, Caller, request_type, stamp, total

DAY = 86_400
OLD, AHEAD = stamp(-36 * DAY), stamp(600)
SOME = {"type": "calls", "subject": "acme"}
MANY = {f"label-{number}": "x" for number in range(17)}


@pytest.fixture
async def metered(api: Caller) -> Caller:
    """A tenant with a meter that only grows and one that may shrink."""
    meters = [
        {"name": "calls"},
        {"name": "tokens", "event_type": "calls", "value": "tokens"},
        {"name": "balance", "allow_negative": True},
    ]
    await api("ApplyCatalog", catalog={"meters": meters, "plans": [{"name": "default"}]})
    return api


# What is wrong with the event, and the reason and field of the answer.
BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "no id": ({"id": ""}, "FIELD_INVALID", "id"),
    "an id over 256 bytes": ({"id": "x" * 257}, "FIELD_INVALID", "id"),
    "an id over 256 bytes in few characters": ({"id": "é" * 129}, "FIELD_INVALID", "id"),
    "a control character in the id": ({"id": "a\x00b"}, "FIELD_INVALID", "id"),
    "no type": ({"type": ""}, "FIELD_INVALID", "type"),
    "a type over 128 bytes": ({"type": "t" * 129}, "FIELD_INVALID", "type"),
    "no subject": ({"subject": ""}, "FIELD_INVALID", "subject"),
    "a subject over 128 bytes": ({"subject": "s" * 129}, "FIELD_INVALID", "subject"),
    "a control character in the subject": ({"subject": "a\x1fb"}, "FIELD_INVALID", "subject"),
    "a control character in the type": ({"type": "a\x1fb"}, "FIELD_INVALID", "type"),
    "a source over 128 bytes": ({"source": "s" * 129}, "FIELD_INVALID", "source"),
    "an amount that is no decimal": ({"amount": "ten"}, "QUANTITY_INVALID", "amount"),
    "NaN": ({"amount": "NaN"}, "QUANTITY_INVALID", "amount"),
    "sNaN": ({"amount": "sNaN"}, "QUANTITY_INVALID", "amount"),
    "Infinity": ({"amount": "Infinity"}, "QUANTITY_INVALID", "amount"),
    "1e400": ({"amount": "1e400"}, "QUANTITY_INVALID", "amount"),
    "1e3": ({"amount": "1e3"}, "QUANTITY_INVALID", "amount"),
    "19 digits before the point": ({"amount": "1" * 19}, "QUANTITY_INVALID", "amount"),
    "13 digits after the point": ({"amount": "0." + "1" * 13}, "QUANTITY_INVALID", "amount"),
    "a leading plus": ({"amount": "+1"}, "QUANTITY_INVALID", "amount"),
    "a space": ({"amount": " 1"}, "QUANTITY_INVALID", "amount"),
    "a line's end": ({"amount": "1\n"}, "QUANTITY_INVALID", "amount"),
    "a comma": ({"amount": "1,000"}, "QUANTITY_INVALID", "amount"),
    "an underscore": ({"amount": "1_000"}, "QUANTITY_INVALID", "amount"),
    "digits of another script": ({"amount": "١٢"}, "QUANTITY_INVALID", "amount"),
    "nothing before the point": ({"amount": ".5"}, "QUANTITY_INVALID", "amount"),
    "a megabyte of digits": ({"amount": "9" * 1_000_000}, "QUANTITY_INVALID", "amount"),
    "a value that is no decimal": ({"values": {"tokens": "NaN"}}, "QUANTITY_INVALID", "values.tokens"),
    "an empty value": ({"values": {"tokens": ""}}, "QUANTITY_INVALID", "values.tokens"),
    "17 values": ({"values": dict.fromkeys(MANY, "1")}, "FIELD_INVALID", "values"),
    "a value's name over 64 bytes": ({"values": {"v" * 65: "1"}}, "FIELD_INVALID", "values"),
    "a value without a name": ({"values": {"": "1"}}, "FIELD_INVALID", "values"),
    "negative where the meter only grows": ({"amount": "-1"}, "QUANTITY_NEGATIVE", "amount"),
    "a negative value likewise": ({"values": {"tokens": "-0.5"}}, "QUANTITY_NEGATIVE", "values.tokens"),
    "17 labels": ({"labels": MANY}, "FIELD_INVALID", "labels"),
    "a label's key over 64 bytes": ({"labels": {"k" * 65: "x"}}, "FIELD_INVALID", "labels"),
    "a label's value over 256 bytes": ({"labels": {"k": "x" * 257}}, "FIELD_INVALID", "labels.k"),
    "a label without a key": ({"labels": {"": "x"}}, "FIELD_INVALID", "labels"),
    "a separator in a label": ({"labels": {"k": "a\x1fb"}}, "FIELD_INVALID", "labels.k"),
    "a control character in a label": ({"labels": {"k": "a\x00"}}, "FIELD_INVALID", "labels.k"),
    "settles over 256 bytes": ({"settles": "s" * 257}, "FIELD_INVALID", "settles"),
    "36 days old": ({"time": OLD}, "TIME_TOO_OLD", "time"),
    "10 minutes ahead": ({"time": AHEAD}, "TIME_IN_FUTURE", "time"),
    "before 1970": ({"time": {"seconds": -1}}, "FIELD_INVALID", "time"),
    "after 2200": ({"time": {"seconds": 2**62}}, "FIELD_INVALID", "time"),
    "a nanosecond too many": ({"time": {"seconds": 1, "nanos": 10**9}}, "FIELD_INVALID", "time"),
}


@pytest.mark.parametrize("what", BAD)
async def test_p12_a_bad_event_alone(metered: Caller, what: str) -> None:
    wrong, reason, field = BAD[what]
    answer = await metered.refused("RecordUsage", event={"id": "e", **SOME, **wrong})
    assert answer.short == ("INVALID_ARGUMENT", reason)
    assert (answer.field, list(answer.violations)) == (field, [field])
    assert not (await metered("ListUsageEvents", type="calls")).events


async def test_p12_bad_events_in_a_batch_do_not_stop_the_others(metered: Caller) -> None:
    events: list[dict[str, Any]] = []
    for number, (wrong, _, _) in enumerate(BAD.values()):
        events += ({"id": f"good-{number}", **SOME}, {"id": f"bad-{number}", **SOME, **wrong})
    response = await metered("BatchRecordUsage", events=events)
    assert len(response.receipts) == len(events)
    for number, (_, reason, field) in enumerate(BAD.values()):
        good, bad = response.receipts[2 * number : 2 * number + 2]
        assert (good.event_id, good.outcome) == (f"good-{number}", OUTCOME_ACCEPTED)
        assert bad.outcome == OUTCOME_REJECTED
        assert (_reason(bad), bad.field) == (reason, field)
        assert bad.message
        assert len(bad.event_id) <= 256
    assert await total(metered, "calls") == str(len(BAD))


async def test_p12_no_event_at_all(api: Caller) -> None:
    answer = await api.refused("RecordUsage")
    assert answer.short == ("INVALID_ARGUMENT", "FIELD_INVALID")
    assert list(answer.violations) == ["event"]
    assert not (await api("BatchRecordUsage")).receipts


async def test_amounts_at_the_bounds_are_exact(metered: Caller) -> None:
    amounts = ["999999999999999999.999999999999", "0.000000000001", "000000000000000001", "0", "-0"]
    for number, amount in enumerate(amounts):
        await metered("RecordUsage", event={"id": f"e{number}", **SOME, "amount": amount})
    assert await total(metered, "calls") == "1000000000000000001"
    label = {"k" * 64: "é" * 128}
    await metered("RecordUsage", event={"id": "é" * 128, "type": "calls", "subject": "s" * 128, "labels": label})
    assert await total(metered, "calls", "s" * 128) == "1"


async def test_negative_usage_where_a_meter_allows_it(metered: Caller) -> None:
    for id_, amount in (("up", "5"), ("down", "-7.25")):
        receipt = (await metered("RecordUsage", event={**SOME, "id": id_, "type": "balance", "amount": amount})).receipt
        assert receipt.outcome == OUTCOME_ACCEPTED
    assert await total(metered, "balance") == "-2.25"


async def test_p12_times_outside_name_the_window(metered: Caller) -> None:
    for time, reason in ((OLD, "TIME_TOO_OLD"), (AHEAD, "TIME_IN_FUTURE")):
        answer = await metered.refused("RecordUsage", event={"id": "e", **SOME, "time": time})
        assert answer.short == ("INVALID_ARGUMENT", reason)
        assert _seconds(answer, "latest") - _seconds(answer, "earliest") == pytest.approx(35 * DAY + 300)
        assert _seconds(answer, "latest") == pytest.approx(stamp(300)["seconds"], abs=30)
    within = [stamp(-35 * DAY + 60), stamp(240)]
    events = [{"id": f"e{number}", **SOME, "time": time} for number, time in enumerate(within)]
    receipts = (await metered("BatchRecordUsage", events=events)).receipts
    assert [one.outcome for one in receipts] == [OUTCOME_ACCEPTED] * 2


def _seconds(answer: Answer, bound: str) -> float:
    moment = request_type("GetUsageSummary")().start_time
    moment.FromJsonString(answer.metadata[bound])
    return float(moment.ToNanoseconds() / 1e9)


async def test_p1_a_known_id_is_a_duplicate_however_old(metered: Caller) -> None:
    event = {"id": "e", **SOME, "time": OLD}
    outcomes = [(await metered("RecordUsage", event=event, backfill=True)).receipt.outcome]
    outcomes.append((await metered("RecordUsage", event=event)).receipt.outcome)
    assert outcomes == [OUTCOME_ACCEPTED, OUTCOME_DUPLICATE]
    answer = await metered.refused("RecordUsage", event={**event, "amount": "2"})
    assert answer.short == ("ALREADY_EXISTS", "EVENT_CONFLICT")  # not too old: ids are looked up first
    assert answer.metadata == {"id": "e", "field": "amount"}
    assert await total(metered, "calls") == "1"


async def test_backfill_lifts_the_age_and_not_the_future(metered: Caller) -> None:
    old = {"id": "old", **SOME, "time": {"seconds": 1_500_000_000}}
    ahead = {"id": "ahead", **SOME, "time": AHEAD}
    receipts = (await metered("BatchRecordUsage", events=[old, ahead], backfill=True)).receipts
    assert [one.outcome for one in receipts] == [OUTCOME_ACCEPTED, OUTCOME_REJECTED]
    assert _reason(receipts[1]) == "TIME_IN_FUTURE"
    answer = await metered.refused("RecordUsage", event=ahead, backfill=True)
    assert answer.reason == "TIME_IN_FUTURE"
    then = {"start_time": {"seconds": 1_500_000_000}, "end_time": {"seconds": 1_500_000_001}}
    assert await total(metered, "calls", **then) == "1"


async def test_p12_5001_events_in_a_batch(metered: Caller) -> None:
    events = [{"id": f"e{number}", **SOME} for number in range(5_001)]
    answer = await metered.refused("BatchRecordUsage", events=events)
    assert answer.short == ("INVALID_ARGUMENT", "BATCH_TOO_LARGE")
    assert answer.metadata == {"field": "events", "maximum": "5000"}
    assert not (await metered("ListUsageEvents", type="calls")).events
    receipts = (await metered("BatchRecordUsage", events=events[:5_000])).receipts
    assert {one.outcome for one in receipts} == {OUTCOME_ACCEPTED}
    assert await total(metered, "calls") == "5000"


async def test_p12_a_message_over_the_size_limit(metered: Caller) -> None:
    event = {"id": "e", **SOME, "labels": {f"key-{number}": "x" * 256 for number in range(16)}}
    request = request_type("BatchRecordUsage")(events=[event] * 1_000)
    assert request.ByteSize() > 4 * 1024 * 1024
    answer = await metered.answer("BatchRecordUsage", request)
    assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not (await metered("ListUsageEvents", type="calls")).events  # and the connection lives


async def test_p1_the_same_id_twice_in_one_batch(metered: Caller) -> None:
    first = {"id": "e", **SOME, "amount": "3", "labels": {"a": "1", "b": "2"}}
    same = {"id": "e", **SOME, "amount": "3.00", "labels": {"b": "2", "a": "1"}}
    others = {
        "amount": {**first, "amount": "4"},
        "subject": {**first, "subject": "beta"},
        "labels": {**first, "labels": {"a": "1"}},
        "time": {**first, "time": stamp(-60)},
        "type": {**first, "type": "balance"},
        "values": {**first, "values": {"tokens": "1"}},
        "settles": {**first, "settles": "lease-1"},
    }
    elsewhere = {**first, "source": "another"}
    for again in (False, True):  # in one batch, and then against the ledger
        receipts = (await metered("BatchRecordUsage", events=[first, same, *others.values(), elsewhere])).receipts
        expected = OUTCOME_DUPLICATE if again else OUTCOME_ACCEPTED
        assert [one.outcome for one in receipts[:2]] == [expected, OUTCOME_DUPLICATE]
        assert {one.outcome for one in receipts[2:-1]} == {OUTCOME_CONFLICT}
        assert [one.field for one in receipts[2:-1]] == list(others)
        assert {_reason(one) for one in receipts[2:-1]} == {"EVENT_CONFLICT"}
        assert receipts[-1].outcome == expected  # an id is unique per source
    assert await total(metered, "calls") == "6"
    assert await total(metered, "calls", "beta") == "0"


def _reason(receipt: Any) -> str:
    field = receipt.DESCRIPTOR.fields_by_name["reason"]
    return str(field.enum_type.values_by_number[receipt.reason].name.removeprefix("ERROR_REASON_"))
