"""What the client sends and reads of customers' terms, grants, explanations, limit events and silent leases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import grpc
import pytest
from clients.python.tests.fakes import status
from clients.python.tests.unit.conftest import Play
from google.protobuf.json_format import ParseDict
from google.rpc import error_details_pb2

from metergate_client import Conflict, LimitOverride, Metergate
from metergate_client.calls import catalog, customers, grants
from metergate_client.calls.call import Call
from metergate_client.decode import from_pb_decision
from metergate_client.v1 import catalog_pb2, customer_pb2, decision_pb2, grant_pb2, quota_pb2

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
STAMP = {"seconds": int(DECEMBER.timestamp())}
OVERRIDE = {"limit": "calls/month", "max": "unlimited", "start_time": "2026-12-01T00:00:00Z"}
ACME = {"id": "acme", "anchor_time": "2026-12-01T00:00:00Z", "pool": "group", "limit_overrides": [OVERRIDE]}
GRANT = {
    "id": "g_1.2", "customer": "acme", "meter": "calls", "amount": "1000", "priority": 3, "recurs": "PERIOD_MONTH",
    "start_time": "2026-12-01T00:00:00Z", "end_time": "2027-01-01T00:00:00Z", "rollover_max": "100", "rolled": "50",
    "burned": "10.5", "left": "1039.5", "state": "STATE_ACTIVE", "seq": "7",
}  # fmt: skip
LIMIT: dict[str, Any] = {"name": "calls/month", "meter": "calls", "max": "100", "used": "1", "remaining": "99"}

# Each change with its arguments, and what it sends besides the request id.
CHANGES: list[tuple[Callable[[], Call[Any, Any]], Any]] = [
    (
        lambda: customers.create_customer("acme", anchor=DECEMBER),
        customer_pb2.CreateCustomerRequest(customer={"id": "acme", "anchor_time": STAMP}),
    ),
    (
        lambda: customers.update_customer("acme", name="", time_zone="Europe/Paris"),
        customer_pb2.UpdateCustomerRequest(
            customer={"id": "acme", "time_zone": "Europe/Paris"}, update_mask={"paths": ["name", "time_zone"]}
        ),
    ),
    (
        lambda: customers.update_customer("acme", no_anchor=True),
        customer_pb2.UpdateCustomerRequest(customer={"id": "acme"}, update_mask={"paths": ["anchor_time"]}),
    ),
    (
        lambda: customers.create_subject("key-7", customer="acme"),
        customer_pb2.CreateSubjectRequest(subject={"id": "key-7", "customer": "acme"}),
    ),
    (lambda: customers.assign_plan("acme"), customer_pb2.AssignPlanRequest(customer="acme")),
    (
        lambda: customers.assign_pool("acme", "group"),
        customer_pb2.AssignPoolRequest(customer="acme", pool="group"),
    ),
    (
        lambda: customers.set_limit_override("acme", "calls/month", None),
        customer_pb2.SetLimitOverrideRequest(customer="acme", limit="calls/month", max="unlimited"),
    ),
    (
        lambda: customers.delete_limit_override("acme", "calls/month", start=DECEMBER),
        customer_pb2.DeleteLimitOverrideRequest(
            customer="acme", limit="calls/month", start_time=STAMP
        ),
    ),
    (
        lambda: grants.create_grant("acme", "calls", Decimal("0.50"), recurs="month", rollover_max=2, priority=1),
        grant_pb2.CreateGrantRequest(
            customer="acme", meter="calls", amount="0.50", recurs="PERIOD_MONTH", rollover_min="0", rollover_max="2",
            priority=1,
        ),
    ),
    (
        lambda: catalog.set_limit("calls", 5, kind="rate", length=2, burst=9, thresholds=[80], when_view_gone="deny"),
        catalog_pb2.SetLimitRequest(
            limit={
                "meter": "calls", "max": "5", "policy": "POLICY_HARD", "scope": "SCOPE_CUSTOMER", "burst": "9",
                "kind": "LIMIT_KIND_RATE", "length": {"seconds": 2}, "thresholds": [80],
                "when_view_gone": "WHEN_VIEW_GONE_DENY",
            },
        ),
    ),
    (
        lambda: catalog.set_limit("calls", None, kind="grants"),
        catalog_pb2.SetLimitRequest(
            limit={
                "meter": "calls", "policy": "POLICY_HARD", "scope": "SCOPE_CUSTOMER", "kind": "LIMIT_KIND_GRANTS",
                "when_view_gone": "WHEN_VIEW_GONE_LEDGER",
            },
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("build", "expected"), CHANGES)
def test_p1_a_change_is_sent_as_asked_with_a_request_id_of_its_own(
    build: Callable[[], Call[Any, Any]], expected: Any
) -> None:
    first: Any = build().request
    second: Any = build().request
    assert len(first.request_id) == 36
    assert first.request_id != second.request_id, "two calls are two changes"
    expected.request_id = first.request_id
    assert first == expected


def test_a_request_id_of_the_callers_own_makes_a_repeat_the_same_grant() -> None:
    request: Any = grants.create_grant("acme", "calls", 1, request_id="order-17").request
    assert request.request_id == "order-17"


@pytest.mark.parametrize("changed", [{}, {"anchor": DECEMBER, "no_anchor": True}])
def test_p12_an_update_that_says_nothing_or_both_is_refused_here(changed: Any) -> None:
    with pytest.raises(ValueError, match="no_anchor"):
        Metergate("h:1", "k").update_customer("acme", **changed)


def test_a_customer_has_its_anchor_its_overrides_and_its_pool(play: Play) -> None:
    reply = ParseDict({"customer": ACME}, customer_pb2.GetCustomerResponse())
    request, done = play.call("CustomerService.GetCustomer", lambda mg: mg.customer("acme"), reply)
    assert request.id == "acme"
    customer = done.result()
    assert (customer.anchor_time, customer.pool) == (DECEMBER, "group")
    assert customer.limit_overrides == (LimitOverride("calls/month", None, DECEMBER, None),)


def test_p7_a_grant_comes_back_exact_and_with_the_writes_token(play: Play) -> None:
    reply = ParseDict({"grant": GRANT, "token": "t"}, grant_pb2.CreateGrantResponse())
    _, done = play.call("CustomerService.CreateGrant", lambda mg: mg.create_grant("acme", "calls", 1000), reply)
    grant = done.result()
    assert (grant.amount, grant.rolled, grant.burned, grant.lost) == (1000, 50, Decimal("10.5"), 0)
    assert (grant.priority, grant.recurs, grant.state, grant.seq, grant.token) == (3, "month", "active", 7, "t")
    assert (grant.start_time, grant.until_time) == (DECEMBER, None)
    assert repr(grant) == "g_1.2 · active · 1039.5 of 1050 left calls · until 2027-01-01T00:00Z · again each month"


def test_lists_are_fetched_page_by_page(play: Play) -> None:
    first = ParseDict({"grants": [GRANT], "next_page_token": "p2"}, grant_pb2.ListGrantsResponse())
    walk = play.client.grants("acme", meter="calls", include_ended=True, page_size=1)
    request, done = play.call("CustomerService.ListGrants", lambda _: next(walk), first)
    assert request == grant_pb2.ListGrantsRequest(customer="acme", meter="calls", include_ended=True, page_size=1)
    assert done.result().token == ""
    request, done = play.call("CustomerService.ListGrants", lambda _: list(walk), grant_pb2.ListGrantsResponse())
    assert request == grant_pb2.ListGrantsRequest(
        customer="acme", meter="calls", include_ended=True, page_size=1, page_token="p2"
    )
    assert done.result() == []


def test_what_became_of_grants(play: Play) -> None:
    moves = [{"seq": "9", "meter": "calls", "grant": "g_1", "kind": "KIND_BURN", "amount": "2.5"}]
    reply = ParseDict({"moves": moves}, grant_pb2.ListGrantMovesResponse())
    request, done = play.call(
        "CustomerService.ListGrantMoves", lambda mg: list(mg.grant_moves("acme", grant_id="g_1")), reply
    )
    assert (request.customer, request.grant_id, request.page_size) == ("acme", "g_1", 500)
    [move] = done.result()
    assert (move.seq, move.kind, move.amount, repr(move)) == (9, "burn", Decimal("2.5"), "g_1 · burn 2.5 calls")


def test_p4_an_explanation_shows_what_stood_behind_each_limit(play: Play) -> None:
    behind = {
        "state": LIMIT,
        "events": [{"id": "e-1", "source": "s", "seq": "3", "value": "1"}],
        "event_count": "1",
        "holds": [{"id": "r-1", "reserved": "5"}],
        "grants": [{"id": "g_1", "brought": "10", "burned": "4", "lost": "6"}],
    }
    answer = {"decision": {"allowed": True, "limits": [LIMIT]}, "customer": "acme", "seq": "3", "limits": [behind]}
    reply = ParseDict(answer | {"confirmed": True}, quota_pb2.ExplainDecisionResponse())
    request, done = play.call("QuotaService.ExplainDecision", lambda mg: mg.explain("d-1", events=20), reply)
    assert request == quota_pb2.ExplainDecisionRequest(decision_id="d-1", events=20)
    explained = done.result()
    assert (explained.confirmed, explained.customer, explained.seq) == (True, "acme", 3)
    limit = explained["calls/month"]
    assert [limit] == list(explained)
    assert limit.state == explained.decision.limits[0]
    assert limit.events == (("e-1", "s", 3, Decimal(1)),)
    assert limit.holds == (("r-1", Decimal(5), Decimal(0), Decimal(0)),)
    assert limit.grants == (("g_1", Decimal(10), Decimal(4), Decimal(6)),)
    assert repr(explained).splitlines() == [
        "allowed · 1 used · 99 left · acme at seq 3 · as it was answered",
        "  calls/month: 1 used · 99 left · from 1 events, 1 holds, 1 grants",
    ]
    with pytest.raises(KeyError):
        _ = explained["nope"]


def test_limit_events_say_what_was_reached(play: Play) -> None:
    event = {
        "customer": "acme", "subject": "key-7", "limit": "calls/day", "meter": "calls", "labels": {"region": "eu"},
        "window": {"start_time": "2026-12-01T00:00:00Z"}, "threshold": 80, "taken": "80", "max": "100", "seq": "5",
        "create_time": "2026-12-01T10:00:00Z",
    }  # fmt: skip
    reply = ParseDict({"events": [event]}, quota_pb2.ListLimitEventsResponse())
    request, done = play.call("QuotaService.ListLimitEvents", lambda mg: list(mg.limit_events(customer="acme")), reply)
    assert (request.customer, request.page_size) == ("acme", 500)
    [found] = done.result()
    assert (found.threshold, found.taken, found.max, found.start_time) == (80, 80, 100, DECEMBER)
    assert repr(found) == "2026-12-01T10:00Z · acme · key-7 · calls/day{region=eu} at 80% · 80 of 100"


def test_a_silent_lease_is_released(play: Play) -> None:
    lease = {
        "id": "l-1",
        "holder": "worker-1",
        "meter": "calls",
        "granted": "40",
        "settled": "5",
        "state": "STATE_RELEASED",
    }
    reply = ParseDict({"lease": lease}, quota_pb2.ReleaseLeaseResponse())
    request, done = play.call("QuotaService.ReleaseLease", lambda mg: mg.release_lease("l-1"), reply)
    assert request.lease_id == "l-1"
    released = done.result()
    assert (released.granted, released.settled, released.state) == (40, 5, "released")
    assert repr(released) == "l-1 of worker-1 · released · 5 of 40 calls settled"


def test_p12_a_lease_that_is_not_forfeited_raises_with_its_reason(play: Play) -> None:
    info = error_details_pb2.ErrorInfo(
        reason="LEASE_NOT_FORFEITED", domain="metergate.dev", metadata={"lease": "l-1", "state": "open"}
    )
    rich = status(grpc.StatusCode.FAILED_PRECONDITION, "the lease is open", info)
    _, done = play.call("QuotaService.ReleaseLease", lambda mg: mg.release_lease("l-1"), error=rich)
    with pytest.raises(Conflict, match=r"the lease is open \(LEASE_NOT_FORFEITED\)") as caught:
        done.result()
    assert caught.value.metadata["state"] == "open"


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        ({"kind": "LIMIT_KIND_GRANTS", "name": "calls/grants"}, "calls/grants: hard what grants hold · plan pro"),
        ({"kind": "LIMIT_KIND_RATE", "length": "1s", "max": "5"}, "l: hard 5 per 1 s · plan pro"),
        ({"kind": "LIMIT_KIND_ROLLING", "length": "3600s", "max": "5"}, "l: hard 5 in any 3600 s · plan pro"),
        ({"kind": "LIMIT_KIND_LIFETIME", "max": "5", "shadow": True}, "l: shadow hard 5 in all · plan pro"),
        ({"kind": "LIMIT_KIND_CONCURRENCY", "max": "unlimited"}, "l: hard unlimited at once · plan pro"),
        ({"kind": "LIMIT_KIND_CALENDAR", "max": "5", "period": "PERIOD_HOUR"}, "l: hard 5 an hour · plan pro"),
        (
            {"kind": "LIMIT_KIND_ANCHORED", "max": "5", "period": "PERIOD_MONTH"},
            "l: hard 5 a month from the customer's anchor · plan pro",
        ),
    ],
)
def test_limits_of_all_kinds_read_well(play: Play, limit: dict[str, Any], text: str) -> None:
    answer = {"limit": {"name": "l", "policy": "POLICY_HARD", **limit}, "plan": "pro"}
    reply = ParseDict(answer, catalog_pb2.SetLimitResponse())
    _, done = play.call("CatalogService.SetLimit", lambda mg: mg.set_limit("calls", 5), reply)
    assert repr(done.result()) == text


def test_a_set_limit_reads_back_all_that_it_holds(play: Play) -> None:
    limit = {"kind": "LIMIT_KIND_RATE", "length": "2s", "burst": "9", "grace": "1.5", "thresholds": [80, 100]}
    reply = ParseDict({"limit": limit}, catalog_pb2.SetLimitResponse())
    _, done = play.call("CatalogService.SetLimit", lambda mg: mg.set_limit("calls", 5), reply)
    read = done.result()
    assert (read.kind, read.length, read.burst, read.grace, read.thresholds) == (
        "rate", timedelta(seconds=2), 9, Decimal("1.5"), (80, 100),
    )  # fmt: skip


def test_a_shadow_limit_is_told_of_and_is_not_the_one_that_counts() -> None:
    shadow = LIMIT | {"name": "stricter", "remaining": "0", "shadow": True, "would_refuse": True}
    pooled = LIMIT | {"pool": "group", "overridden": True, "kind": "LIMIT_KIND_ROLLING"}
    decision = from_pb_decision(ParseDict({"allowed": True, "limits": [shadow, pooled]}, decision_pb2.Decision()))
    assert repr(decision) == "allowed · calls/month: 1 used · 99 left · stricter would refuse"
    assert decision.limit is not None
    assert (decision.limit.pool, decision.limit.overridden, decision.limit.kind) == ("group", True, "rolling")


@pytest.mark.parametrize(
    ("decision", "text"),
    [
        ({"allowed": True}, "allowed · not looked up · degraded"),
        ({"binding_limit": "calls/month"}, "refused by calls/month · not looked up · degraded"),
    ],
)
def test_p5_a_counter_that_was_not_looked_up_shows_no_figures(decision: dict[str, Any], text: str) -> None:
    unknown = {"name": "calls/month", "max": "100", "would_fit": "0", "unknown": True}
    answer = decision | {"degraded": True, "limits": [unknown]}
    assert repr(from_pb_decision(ParseDict(answer, decision_pb2.Decision()))) == text
