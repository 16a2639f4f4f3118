"""Keys that are missing, mistyped, of another tenant, or revoked: who may not, sees nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from metergate import wiring
from metergate.domain.access import new_key, parse_key
from tests.e2e.calls import BILLING, METHODS, Caller, caller, eventually, request_type, stamp, total, used
from tests.e2e.messages import NOBODY_LISTENS
from tests.server import Server

METER = {"name": "calls", "dimensions": ["region"]}
PLAN = {"name": "default", "limits": [{"meter": "calls", "max": "100"}]}
EVENT = {"id": "spy", "type": "calls", "subject": "acme"}
# What a foreign key may do is done to its own tenant; all other methods must find nothing.
WRITES = {"ApplyCatalog", "SetLimit", "RecordUsage", "BatchRecordUsage", "CreateEndpoint"}


def _other_last(text: str) -> str:
    return text[:-1] + ("0" if text[-1] != "0" else "1")


@pytest.mark.parametrize("method", METHODS)
async def test_p12_no_method_answers_without_a_key(api: Caller, method: str) -> None:
    answer = await api.answer(method, request_type(method)(), authorization="")
    assert answer.short == ("UNAUTHENTICATED", "KEY_MISSING")


async def test_p12_keys_that_are_none(api: Caller) -> None:
    swapped = api.key[:5] + ("a" if api.key[5] != "a" else "b") + api.key[6:]
    unknown = str(new_key())
    wrong_secret = str(new_key()).split("_")[2]
    for authorization in (
        "Bearer",
        "Bearer ",
        "Bearer mg_",
        f"Bearer {api.key[:-1]}",
        f"Bearer {api.key}x",
        f"Bearer {_other_last(api.key)}",
        f"Bearer {swapped}",
        f"Bearer {api.key.upper()}",
        f"Bearer {unknown}",
        f"Bearer mg_{api.key.split('_')[1]}_{wrong_secret}",
        f"Basic {api.key}",
        api.key,
        "Bearer " + "x" * 4_000,
    ):
        answer = await api.answer("GetCatalog", b"", authorization=authorization)
        assert answer.short == ("UNAUTHENTICATED", "KEY_INVALID"), authorization
    for authorization in (f"Bearer {api.key}", f"bearer {api.key}", f"Bearer  {api.key} "):
        assert (await api.answer("GetCatalog", b"", authorization=authorization)).code is grpc.StatusCode.OK


async def test_p12_who_is_nobody_learns_nothing_about_his_request(api: Caller) -> None:
    for request in (b"\xff" * 100, request_type("CheckQuota")()):
        answer = await api.answer("CheckQuota", request, authorization="Bearer mg_nonsense")
        assert answer.short == ("UNAUTHENTICATED", "KEY_INVALID")


async def test_a_revoked_key_ends_within_a_second(api: Caller, server: Server) -> None:
    text = await server.new_key()
    key = parse_key(text)
    assert key is not None
    async with caller(server.grpc_url, text) as other:
        await other("GetCatalog")  # the server knows the key by heart now
        assert await wiring.revoke_key(server.settings, key.id)

        async def refused() -> bool:
            return (await other.answer("GetCatalog", b"")).short == ("UNAUTHENTICATED", "KEY_INVALID")

        await eventually(refused, within=1)
        await asyncio.sleep(0.1)
        assert await refused()
    await api("GetCatalog")  # the tenant's other key goes on


@pytest.fixture
async def foreign(server: Server) -> AsyncIterator[Caller]:
    """A caller of another tenant on the same server."""
    async with caller(server.grpc_url, await server.new_key(f"other-{server.tenant}")) as calling:
        yield calling


async def _furnish(api: Caller) -> dict[str, str]:
    """Gives the first tenant something of everything; returns its tokens and the ids of what it holds."""
    await api("ApplyCatalog", catalog={"meters": [METER], "plans": [PLAN, {"name": "pro"}]}, request_id="first")
    for name in ("acme", "beta"):
        await api("CreateCustomer", customer={"id": name})
        await api("CreateSubject", subject={"id": f"{name}-key", "customer": name})
        await api("CreateSubject", subject={"id": f"{name}-site", "customer": name})
    events = [{"id": f"e{n}", "type": "calls", "subject": "acme-key", "labels": {"region": "eu"}} for n in range(3)]
    written = await api("BatchRecordUsage", events=events)
    pages = {
        "ListCustomers": await api("ListCustomers", page_size=1),
        "ListSubjects": await api("ListSubjects", customer="acme", page_size=1),
        "ListUsageEvents": await api("ListUsageEvents", page_size=1),
    }
    reserved = await api("ReserveQuota", subject="acme", amounts=[{"meter": "calls"}], request_id="first")
    leased = await api("AcquireLease", subject="acme", meter="calls", amount="1", holder="h", request_id="first")
    await api("ReleaseReservation", reservation_id=reserved.reservation.id)
    await api("ReturnLease", lease_id=leased.lease.id)
    held = {"r": reserved.reservation.id, "l": leased.lease.id, "d": reserved.decision.decision_id}
    held["w"] = (await api("CreateEndpoint", endpoint={"url": NOBODY_LISTENS})).endpoint.id
    held["b"] = (await api("OpenBackfill", replace={"customers": ["acme"]})).backfill.id
    held["g"] = (await api("CreateGrant", customer="acme", meter="calls", amount="1", request_id="first")).grant.id
    return {"write": written.token} | held | {name: page.next_page_token for name, page in pages.items()}


async def test_p9_a_foreign_key_sees_nothing(api: Caller, foreign: Caller) -> None:
    tokens = await _furnish(api)
    ask = {"subject": "acme", "amounts": [{"meter": "calls"}]}
    wrote = {"subject": "acme", "token": tokens["write"]}
    asked: list[tuple[str, dict[str, Any], str]] = [
        ("GetCustomer", {"id": "acme"}, "CUSTOMER_NOT_FOUND"),
        ("ListSubjects", {"customer": "acme"}, "CUSTOMER_NOT_FOUND"),
        ("ListSubjects", {"customer": "acme", "page_token": tokens["ListSubjects"]}, "TOKEN_INVALID"),
        ("ListCustomers", {"page_token": tokens["ListCustomers"]}, "TOKEN_INVALID"),
        ("AssignPlan", {"customer": "acme"}, "CUSTOMER_NOT_FOUND"),
        ("AssignPool", {"customer": "acme", "pool": "beta"}, "CUSTOMER_NOT_FOUND"),
        ("UpdateCustomer", {"customer": {"id": "acme", "name": "mine"}}, "CUSTOMER_NOT_FOUND"),
        ("SetLimitOverride", {"customer": "acme", "limit": "calls/month", "max": "1"}, "CUSTOMER_NOT_FOUND"),
        ("DeleteLimitOverride", {"customer": "acme", "limit": "calls/month"}, "CUSTOMER_NOT_FOUND"),
        ("ListLimitEvents", {"customer": "acme"}, "CUSTOMER_NOT_FOUND"),
        ("CreateGrant", {"customer": "acme", "meter": "calls", "amount": "1"}, "CUSTOMER_NOT_FOUND"),
        ("VoidGrant", {"grant_id": tokens["g"]}, "GRANT_NOT_FOUND"),
        ("ListGrants", {"customer": "acme"}, "CUSTOMER_NOT_FOUND"),
        ("ListGrantMoves", {"customer": "acme", "grant_id": tokens["g"]}, "CUSTOMER_NOT_FOUND"),
        ("AssignPlan", {"customer": "acme", "plan": "pro"}, "PLAN_NOT_FOUND"),
        ("CheckFeature", {"subject": "acme", "feature": "calls"}, "SUBJECT_NOT_FOUND"),
        ("CreateSubject", {"subject": {"id": "spy", "customer": "acme"}}, "CUSTOMER_NOT_FOUND"),
        ("CreateCustomer", {"customer": {"id": "acme", "plan": "pro"}}, "PLAN_NOT_FOUND"),
        ("ReconcileUsage", {"customer": "acme"}, "CUSTOMER_NOT_FOUND"),
        ("GetUsageSummary", {"customer": "acme"}, "CUSTOMER_NOT_FOUND"),
        ("GetUsageSummary", {"subject": "acme-key"}, "SUBJECT_NOT_FOUND"),
        ("GetUsageSummary", {"customer": "acme", "token": tokens["write"]}, "TOKEN_INVALID"),
        ("WatchUsage", {"customer": "acme", "after_seq": 0}, "CUSTOMER_NOT_FOUND"),
        ("WatchUsage", {"subject": "acme-key"}, "SUBJECT_NOT_FOUND"),
        ("AmendUsage", {"event": {**EVENT, "id": "e0"}}, "EVENT_NOT_FOUND"),
        ("VoidUsage", {"id": "e0"}, "EVENT_NOT_FOUND"),
        ("VoidUsage", {"id": "e0", "customer": "acme", "count_time": stamp(0)}, "EVENT_NOT_FOUND"),
        ("GetUsageHistory", {"id": "e0"}, "EVENT_NOT_FOUND"),
        ("OpenBackfill", {"replace": {"customers": ["acme"]}}, "CUSTOMER_NOT_FOUND"),
        ("OpenBackfill", {"replace": {"subjects": ["acme-key"]}}, "SUBJECT_NOT_FOUND"),
        ("LoadBackfill", {"id": tokens["b"], "events": [EVENT]}, "BACKFILL_NOT_FOUND"),
        *[
            (method, {"id": tokens["b"]}, "BACKFILL_NOT_FOUND")
            for method in (
                "PreviewBackfill",
                "CommitBackfill",
                "DiscardBackfill",
                "RevertBackfill",
                "GetBackfill",
                "ListBackfillProblems",
            )
        ],
        ("ListUsageEvents", {"customer": "acme"}, "CUSTOMER_NOT_FOUND"),
        ("ListUsageEvents", {"page_token": tokens["ListUsageEvents"]}, "TOKEN_INVALID"),
        ("CheckQuota", ask, "SUBJECT_NOT_FOUND"),
        ("CheckQuota", ask | wrote, "TOKEN_INVALID"),
        ("ListLimits", {"subject": "acme"}, "SUBJECT_NOT_FOUND"),
        ("ListLimits", {"subject": "acme", "meters": ["calls"]}, "METER_NOT_FOUND"),
        ("ConsumeQuota", {"events": [EVENT]}, "SUBJECT_NOT_FOUND"),
        ("ReserveQuota", ask | {"request_id": "first"}, "SUBJECT_NOT_FOUND"),
        ("ExtendReservation", {"reservation_id": tokens["r"], "ttl": {"seconds": 60}}, "RESERVATION_NOT_FOUND"),
        ("CommitReservation", {"reservation_id": tokens["r"]}, "RESERVATION_NOT_FOUND"),
        ("CommitReservation", {"reservation_id": tokens["r"], "events": [EVENT]}, "RESERVATION_NOT_FOUND"),
        ("ReleaseReservation", {"reservation_id": tokens["r"]}, "RESERVATION_NOT_FOUND"),
        ("AcquireLease", {"subject": "acme", "meter": "calls", "amount": "1", "holder": "h"}, "SUBJECT_NOT_FOUND"),
        ("ReturnLease", {"lease_id": tokens["l"]}, "LEASE_NOT_FOUND"),
        ("ReleaseLease", {"lease_id": tokens["l"]}, "LEASE_NOT_FOUND"),
        ("ExplainDecision", {"decision_id": tokens["d"]}, "TOKEN_INVALID"),
        ("MoveSubject", {"subject": "acme", "customer": "acme"}, "SUBJECT_NOT_FOUND"),
        ("MergeCustomers", {"customer": "acme", "into": "other"}, "CUSTOMER_NOT_FOUND"),
        ("ListSubjectMoves", {"customer": "acme"}, "CUSTOMER_NOT_FOUND"),
        ("ExportCustomer", {"customer": "acme"}, "CUSTOMER_NOT_FOUND"),
        ("EraseCustomer", {"customer": "acme"}, "CUSTOMER_NOT_FOUND"),
        ("UpdateEndpoint", {"endpoint": {"id": tokens["w"], "disabled": True}}, "ENDPOINT_NOT_FOUND"),
        ("DeleteEndpoint", {"id": tokens["w"]}, "ENDPOINT_NOT_FOUND"),
        ("RotateEndpointSecret", {"id": tokens["w"]}, "ENDPOINT_NOT_FOUND"),
        ("SendTestEvent", {"id": tokens["w"]}, "ENDPOINT_NOT_FOUND"),
        ("ListDeliveries", {"endpoint": tokens["w"]}, "ENDPOINT_NOT_FOUND"),
        ("ReplayDeliveries", {"endpoint": tokens["w"]}, "ENDPOINT_NOT_FOUND"),
    ]
    for method, request, reason in asked:
        answer = await foreign.refused(method, **request)
        assert answer.reason == reason, (method, request, answer)
        assert answer.code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)
        assert (answer.code is grpc.StatusCode.INVALID_ARGUMENT) == (reason == "TOKEN_INVALID")

    batch = await foreign("BatchCheckQuota", checks=[ask, ask | wrote])
    assert [one.error_reason for one in batch.results] == ["SUBJECT_NOT_FOUND", "TOKEN_INVALID"]
    batch = await foreign("BatchConsumeQuota", consumes=[{"events": [EVENT]}])
    assert [one.error_reason for one in batch.results] == ["SUBJECT_NOT_FOUND"]
    batch = await foreign("SyncLeases", marks=[{"lease_id": tokens["l"], "close": True}])
    assert [one.error_reason for one in batch.results] == ["LEASE_NOT_FOUND"]
    catalog = await foreign("GetCatalog")
    assert (len(catalog.catalog.meters), len(catalog.catalog.plans), catalog.version) == (0, 0, 0)
    assert not (await foreign("ListCustomers")).customers
    assert not (await foreign("ListEndpoints")).endpoints
    assert not (await foreign("ListErasures")).erasures
    assert not (await foreign("ListSubjectMoves")).moves
    assert not (await foreign("ListLimitEvents")).events
    assert not (await foreign("ListBackfills")).backfills
    assert not (await foreign("ListPrices")).entries
    assert not (await foreign("ListUsageEvents")).events
    assert not (await foreign("ListUsageEvents", subject="acme-key")).events
    assert foreign.called == set(METHODS) - WRITES - BILLING  # see `test_bad_input_billing`


async def test_p9_what_a_foreign_key_does_stays_with_its_tenant(api: Caller, foreign: Caller) -> None:
    await _furnish(api)
    catalog = {"meters": [METER], "plans": [{"name": "default", "limits": [{"meter": "calls", "max": "7"}]}]}
    applied = await foreign("ApplyCatalog", catalog=catalog, request_id="first")
    assert applied.version == 1  # the other tenant's request id of the same name is another one
    await foreign("SetLimit", limit={"meter": "calls", "max": "8"})
    await foreign("CreateCustomer", customer={"id": "acme", "time_zone": "Asia/Tokyo"})
    await foreign("CreateSubject", subject={"id": "acme-key", "customer": "acme"})
    receipt = (await foreign("RecordUsage", event={"id": "e0", "type": "calls", "subject": "acme-key"})).receipt
    assert receipt.outcome == 1  # accepted: ids are a tenant's own
    other = {"id": "e1", "type": "calls", "subject": "acme-key", "amount": "40"}
    [receipt] = (await foreign("BatchRecordUsage", events=[other])).receipts
    assert receipt.outcome == 1
    await foreign("CreateEndpoint", endpoint={"url": NOBODY_LISTENS})
    assert len((await api("ListEndpoints")).endpoints) == 1
    assert foreign.called >= WRITES

    assert (await total(foreign, "calls"), await used(foreign, "calls", "acme-key")) == ("41", "41")
    assert (await total(api, "calls"), await used(api, "calls", "acme-key")) == ("3", "3")
    [limit] = (await api("ListLimits", subject="acme-key")).limits
    assert limit.max == "100"
    assert (await api("GetCustomer", id="acme")).customer.time_zone == "UTC"
    assert len((await api("ListUsageEvents", customer="acme")).events) == 3
