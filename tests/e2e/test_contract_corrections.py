"""AmendUsage, VoidUsage, GetUsageHistory and backfills as clients see them."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from metergate.v1 import backfill_pb2, usage_pb2
from tests.e2e.calls import Caller, eventually, stamp, total, used

HOUR, DAY = 3_600, 86_400
CATALOG = {
    "meters": [{"name": "calls", "accept_window": {"seconds": 20 * DAY}, "late_policy": "LATE_POLICY_DO_NOT_BILL"}],
    "plans": [{"name": "default", "limits": [{"meter": "calls", "max": "1000"}]}],
}


@pytest.fixture
async def ready(api: Caller) -> Caller:
    await api("ApplyCatalog", catalog=CATALOG)
    for customer in ("acme", "beta"):
        await api("CreateCustomer", customer={"id": customer})
    return api


def event(id: str = "e", **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "calls", "subject": "acme", "amount": "5", **fields}


async def test_amend_void_and_history(ready: Caller) -> None:
    await ready("RecordUsage", event=event())
    amended = await ready(
        "AmendUsage", event=event(amount="7", subject="beta"), reason="wrong customer", request_id="r"
    )
    assert (amended.receipt.version, amended.receipt.taken_back.customer, amended.receipt.counted.customer) == (
        2, "acme", "beta",
    )  # fmt: skip
    assert amended.receipt.counted.count_time == amended.receipt.taken_back.count_time
    assert await used(ready, "calls", "acme", token=amended.token) == "0"
    assert await used(ready, "calls", "beta", token=amended.token) == "7"
    repeat = await ready("AmendUsage", event=event(amount="7", subject="beta"), reason="wrong customer", request_id="r")
    assert repeat == amended
    [listed] = (await ready("ListUsageEvents", customer="beta")).events
    assert (listed.version, listed.event.amount, listed.taken_back) == (2, "7", False)
    assert not (await ready("ListUsageEvents", customer="acme")).events
    assert [one.event.amount for one in (await ready("ListUsageEvents")).events] == ["7"]
    voided = await ready("VoidUsage", id="e", reason="never happened")
    assert voided.receipt.version == 3
    assert not voided.receipt.HasField("counted")
    assert (await total(ready, "calls", "acme"), await total(ready, "calls", "beta")) == ("0", "0")
    first = await ready("GetUsageHistory", id="e", page_size=2)
    rest = await ready("GetUsageHistory", id="e", page_size=2, page_token=first.next_page_token)
    assert not rest.next_page_token
    versions = [*first.versions, *rest.versions]
    assert [usage_pb2.CorrectionKind.Name(one.kind) for one in versions] == [
        "CORRECTION_KIND_RECORDED", "CORRECTION_KIND_AMENDED", "CORRECTION_KIND_VOIDED",
    ]  # fmt: skip
    assert [(one.version, one.event.amount, one.reason, one.service) for one in versions] == [
        (1, "5", "", ""), (2, "7", "wrong customer", "test"), (3, "", "never happened", "test"),
    ]  # fmt: skip
    assert versions[1].key_id
    assert (await ready("RecordUsage", event=event())).receipt.outcome == 2
    assert (await ready.refused("RecordUsage", event=event(amount="7"))).reason == "EVENT_CONFLICT"


FAR = {"count_time": {"seconds": 2**62}}


@pytest.mark.parametrize(
    ("method", "fields", "code", "reason", "field"),
    [
        ("AmendUsage", {"event": event("unknown")}, "NOT_FOUND", "EVENT_NOT_FOUND", ""),
        ("AmendUsage", {"event": event(source="else")}, "NOT_FOUND", "EVENT_NOT_FOUND", ""),
        ("VoidUsage", {"id": "unknown"}, "NOT_FOUND", "EVENT_NOT_FOUND", ""),
        ("VoidUsage", {"id": "?", "customer": "acme", "count_time": stamp(0)}, "NOT_FOUND", "EVENT_NOT_FOUND", ""),
        ("GetUsageHistory", {"id": "unknown"}, "NOT_FOUND", "EVENT_NOT_FOUND", ""),
        ("AmendUsage", {"event": event("voided")}, "FAILED_PRECONDITION", "EVENT_VOIDED", ""),
        ("VoidUsage", {"id": "voided"}, "FAILED_PRECONDITION", "EVENT_VOIDED", ""),
        ("AmendUsage", {"event": event(), "expected_version": 2}, "FAILED_PRECONDITION", "EVENT_CHANGED", ""),
        ("VoidUsage", {"id": "e", "expected_version": -1}, "INVALID_ARGUMENT", "FIELD_INVALID", "expected_version"),
        ("AmendUsage", {}, "INVALID_ARGUMENT", "FIELD_INVALID", "event"),
        ("AmendUsage", {"event": {"id": "e"}}, "INVALID_ARGUMENT", "FIELD_INVALID", "type"),
        ("AmendUsage", {"event": event(amount="x")}, "INVALID_ARGUMENT", "QUANTITY_INVALID", "amount"),
        ("AmendUsage", {"event": event(amount="-1")}, "INVALID_ARGUMENT", "QUANTITY_NEGATIVE", "amount"),
        ("AmendUsage", {"event": event(settles="r")}, "INVALID_ARGUMENT", "FIELD_INVALID", "event.settles"),
        ("AmendUsage", {"event": event(time=stamp(-21 * DAY))}, "INVALID_ARGUMENT", "TIME_TOO_OLD", "time"),
        ("AmendUsage", {"event": event(time=stamp(DAY))}, "INVALID_ARGUMENT", "TIME_IN_FUTURE", "time"),
        ("AmendUsage", {"event": event(), "reason": "x" * 501}, "INVALID_ARGUMENT", "FIELD_INVALID", "reason"),
        ("VoidUsage", {"id": "e", "customer": "acme"}, "INVALID_ARGUMENT", "FIELD_INVALID", "count_time"),
        ("VoidUsage", {"id": "e", "customer": "a", **FAR}, "INVALID_ARGUMENT", "FIELD_INVALID", "count_time"),
        ("VoidUsage", {"id": ""}, "INVALID_ARGUMENT", "FIELD_INVALID", "id"),
        ("VoidUsage", {"id": "e", "request_id": "first"}, "INVALID_ARGUMENT", "REQUEST_ID_REUSED", ""),
        ("AmendUsage", {"event": event("unknown"), "request_id": "first"}, "INVALID_ARGUMENT", "REQUEST_ID_REUSED", ""),
        ("GetUsageHistory", {"id": "e", "page_token": "x"}, "INVALID_ARGUMENT", "TOKEN_INVALID", "page_token"),
    ],
)  # fmt: skip
async def test_p12_what_cannot_be_corrected(
    ready: Caller, method: str, fields: dict[str, Any], code: str, reason: str, field: str
) -> None:
    await ready("BatchRecordUsage", events=[event(), event("voided")])
    await ready("VoidUsage", id="voided", request_id="first")
    answer = await ready.refused(method, **fields)
    assert (answer.code.name, answer.reason, answer.metadata.get("field", "")) == (code, reason, field)
    assert await total(ready, "calls") == "5"


async def _in_state(api: Caller, id: str, state: str) -> Any:
    async def there() -> bool:
        found = (await api("GetBackfill", id=id)).backfill
        return bool(backfill_pb2.BackfillState.Name(found.state) == f"BACKFILL_STATE_{state}")

    await eventually(there, within=20)
    return (await api("GetBackfill", id=id)).backfill


async def test_a_backfill_from_opening_to_reverting(ready: Caller) -> None:
    await ready("RecordUsage", event=event("kept", time=stamp(-HOUR)))
    await ready("RecordUsage", event=event("gone", time=stamp(-2 * HOUR), amount="3"))
    scope = {"customers": ["acme"], "types": ["calls"], "end_time": stamp(0)}
    opened = await ready("OpenBackfill", reason="export was wrong", replace=scope, request_id="open")
    assert await ready("OpenBackfill", reason="export was wrong", replace=scope, request_id="open") == opened
    id_ = opened.backfill.id
    old = event("old", time=stamp(-300 * DAY), amount="11", subject="beta")
    kept = [one.event for one in (await ready("ListUsageEvents", customer="acme")).events if one.event.id == "kept"]
    loaded = await ready("LoadBackfill", id=id_, events=[old, old, {**old, "amount": "12"}, *kept, event("timeless")])
    assert [one.outcome for one in loaded.receipts] == [1, 2, 3, 1, 4]
    preview = await ready("PreviewBackfill", id=id_, page_size=1)
    assert (preview.new_count, preview.voided_count, preview.duplicate_count, preview.problem_count) == (1, 1, 1, 0)
    page = await ready("PreviewBackfill", id=id_, page_size=1, page_token=preview.next_page_token)
    assert [(one.customer, one.before, one.after) for one in (*preview.differences, *page.differences)] == [
        ("acme", "8", "5"), ("beta", "", "11"),
    ]  # fmt: skip
    await ready("CommitBackfill", id=id_)
    done = await _in_state(ready, id_, "COMMITTED")
    assert (done.applied_count, done.duplicate_count) == (2, 1)
    assert (await total(ready, "calls", "acme"), await total(ready, "calls", "beta")) == ("5", "11")
    await ready("RevertBackfill", id=id_)
    assert (await _in_state(ready, id_, "REVERTED")).reverted_count == 2
    assert (await total(ready, "calls", "acme"), await total(ready, "calls", "beta")) == ("8", "0")
    assert [one.id for one in (await ready("ListBackfills", state="BACKFILL_STATE_REVERTED")).backfills] == [id_]
    assert not (await ready("ListBackfillProblems", id=id_)).problems


async def test_p12_what_a_backfill_refuses(ready: Caller) -> None:
    await ready("RecordUsage", event=event(time=stamp(-HOUR)))
    for scope, reason in (
        ({}, "FIELD_INVALID"), ({"types": ["calls"]}, "FIELD_INVALID"),
        ({"customers": ["acme"], "subjects": ["acme"]}, "FIELD_INVALID"),
        ({"customers": ["acme"], "start_time": stamp(0), "end_time": stamp(-5)}, "FIELD_INVALID"),
        ({"customers": [""]}, "FIELD_INVALID"), ({"customers": ["nobody"]}, "CUSTOMER_NOT_FOUND"),
        ({"subjects": ["nobody"]}, "SUBJECT_NOT_FOUND"),
    ):  # fmt: skip
        assert (await ready.refused("OpenBackfill", replace=scope)).reason == reason, scope
    id_ = (await ready("OpenBackfill", request_id="open")).backfill.id
    assert (await ready.refused("OpenBackfill", reason="x", request_id="open")).reason == "REQUEST_ID_REUSED"
    many = [event(f"{n}") for n in range(5_001)]
    assert (await ready.refused("LoadBackfill", id=id_, events=many)).reason == "BATCH_TOO_LARGE"
    loaded = await ready(
        "LoadBackfill", id=id_,
        events=[event(time=stamp(-9)), event("x", time=stamp(DAY)), {"id": "y"}, event(time=stamp(-9), settles="r")],
    )  # fmt: skip
    assert [one.outcome for one in loaded.receipts] == [3, 4, 4, 4]
    await ready("PreviewBackfill", id=id_)
    [problem] = (await ready("ListBackfillProblems", id=id_)).problems
    assert (problem.event_id, problem.reason) == ("e", 8)
    for method in ("PreviewBackfill", "CommitBackfill", "RevertBackfill", "GetBackfill", "LoadBackfill"):
        answer = await ready.refused(method, id="b_none")
        assert (answer.code, answer.reason) == (grpc.StatusCode.NOT_FOUND, "BACKFILL_NOT_FOUND")
    assert (await ready.refused("RevertBackfill", id=id_)).metadata["state"] == "OPEN"
    await ready("DiscardBackfill", id=id_)
    answer = await ready.refused("LoadBackfill", id=id_, events=[event()])
    assert (answer.code, answer.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "BACKFILL_CLOSED")
    assert answer.metadata == {"backfill": id_, "state": "DISCARDED"}


async def test_p12_late_usage(ready: Caller) -> None:
    """A meter's own accept window is shorter than the server's, and its policy is one that there is."""
    answer = await ready.refused("RecordUsage", event=event(time=stamp(-21 * DAY)))
    assert answer.reason == "TIME_TOO_OLD"
    await ready("RecordUsage", event=event(time=stamp(-21 * DAY)), backfill=True)
    await ready("RecordUsage", event=event("2", time=stamp(-19 * DAY)))
    [meter] = (await ready("GetCatalog")).catalog.meters
    assert (meter.accept_window.seconds, meter.late_policy) == (20 * DAY, 3)
    for wrong in ({"accept_window": {"seconds": -1}}, {"accept_window": {"seconds": 0}}, {"late_policy": 99}):
        meters = [{**CATALOG["meters"][0], **wrong}]  # type: ignore[dict-item]
        answer = await ready.refused("ApplyCatalog", catalog={**CATALOG, "meters": meters})
        assert answer.code is grpc.StatusCode.INVALID_ARGUMENT, wrong
