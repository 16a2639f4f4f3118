"""The blocking client over grpcio-testing's channel: what is sent, how answers and errors are read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import grpc
import pytest
from clients.python.tests.fakes import status
from clients.python.tests.unit.conftest import METHODS, Play
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from metergate_client import (
    Check,
    Conflict,
    Event,
    InvalidArgument,
    Metergate,
    MetergateError,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from metergate_client.calls import customers, explain, grants, reserve, usage
from metergate_client.channel import is_repeatable, service_config
from metergate_client.leases.model import Acquire, Key, Now, Record, Sync
from metergate_client.leases.wire import to_call
from metergate_client.v1 import catalog_pb2, customer_pb2, quota_pb2, usage_pb2

LEASE_REQUESTS = [Acquire("r", Key("x", "s"), 1, Now(0, 0)), Sync([], Now(0, 0)), Record([], Now(0, 0))]


def test_record_sends_one_event_with_an_id_and_a_time(play: Play) -> None:
    before = datetime.now(UTC)
    request, done = play.call(
        "UsageService.RecordUsage",
        lambda mg: mg.record("api_calls", Decimal("2.50"), subject="acme", labels={"region": "eu"}, backfill=True),
        usage_pb2.RecordUsageResponse(receipt={"event_id": "e", "outcome": "OUTCOME_ACCEPTED"}, token="t"),
    )
    event = request.event
    assert (event.type, event.subject, event.amount, dict(event.labels)) == (
        "api_calls",
        "acme",
        "2.50",
        {"region": "eu"},
    )
    assert before <= event.time.ToDatetime(tzinfo=UTC) <= datetime.now(UTC)
    assert len(event.id) == 36
    assert request.backfill
    receipt = done.result()
    assert (receipt.outcome, receipt.ok, receipt.token, repr(receipt)) == ("accepted", True, "t", "accepted · e")


def test_record_without_an_amount_sends_none_and_limits_come_when_asked_for(play: Play) -> None:
    request, done = play.call(
        "UsageService.RecordUsage",
        lambda mg: mg.record("llm", subject="acme", values={"tokens": 5}, event_id="mine", include_limits=True),
        usage_pb2.RecordUsageResponse(
            receipt={"event_id": "mine", "outcome": "OUTCOME_DUPLICATE"},
            limits=[{"name": "l", "max": "5", "used": "6"}],
        ),
    )
    assert (request.event.id, request.event.amount, dict(request.event.values)) == ("mine", "", {"tokens": "5"})
    assert request.include_limits
    assert done.result().duplicate
    assert done.result().limits[0].used == Decimal(6)


@pytest.mark.parametrize(("outcome", "kind"), [("OUTCOME_CONFLICT", Conflict), ("OUTCOME_REJECTED", InvalidArgument)])
def test_p1_a_single_event_that_was_not_taken_raises_also_when_it_comes_as_a_receipt(
    play: Play, outcome: Any, kind: type[MetergateError]
) -> None:
    _, done = play.call(
        "UsageService.RecordUsage",
        lambda mg: mg.record("api_calls", subject="acme"),
        usage_pb2.RecordUsageResponse(
            receipt={"event_id": "e", "outcome": outcome, "reason": "ERROR_REASON_EVENT_CONFLICT", "field": "amount"}
        ),
    )
    with pytest.raises(kind) as caught:
        done.result()
    assert (caught.value.reason, caught.value.metadata["field"]) == ("EVENT_CONFLICT", "amount")


def test_p12_a_batch_never_raises_for_one_bad_event(play: Play) -> None:
    events = [Event("api_calls", "acme"), Event("api_calls", "acme", "nonsense")]
    request, done = play.call(
        "UsageService.BatchRecordUsage",
        lambda mg: mg.record_batch(iter(events)),
        usage_pb2.BatchRecordUsageResponse(
            receipts=[
                {"event_id": events[0].id, "outcome": "OUTCOME_ACCEPTED"},
                {"event_id": events[1].id, "outcome": "OUTCOME_REJECTED", "reason": "ERROR_REASON_QUANTITY_INVALID"},
            ],
            token="t",
        ),
    )
    assert [event.id for event in request.events] == [event.id for event in events]
    receipts = done.result()
    assert [(receipt.outcome, receipt.reason) for receipt in receipts] == [
        ("accepted", ""),
        ("rejected", "QUANTITY_INVALID"),
    ]
    assert receipts.token == "t"


def test_check_asks_and_reads_the_decision(play: Play) -> None:
    request, done = play.call(
        "QuotaService.CheckQuota",
        lambda mg: mg.check("api_calls", 5, subject="acme", labels={"region": "eu"}, token="t"),
        quota_pb2.CheckQuotaResponse(decision={"binding_limit": "api_calls/month", "retry_after": Duration(seconds=9)}),
    )
    amount = {"meter": "api_calls", "amount": "5", "labels": {"region": "eu"}}
    assert request == quota_pb2.CheckQuotaRequest(subject="acme", amounts=[amount], token="t")
    assert (done.result().allowed, done.result().retry_after) == (False, timedelta(seconds=9))


def test_check_batch_answers_each_question_by_itself(play: Play) -> None:
    request, done = play.call(
        "QuotaService.BatchCheckQuota",
        lambda mg: mg.check_batch([Check("acme", {"in": 1, "out": 2}), Check("nobody", {"in": 1})]),
        quota_pb2.BatchCheckQuotaResponse(
            results=[{"decision": {"allowed": True}}, {"error_reason": "SUBJECT_NOT_FOUND", "error_message": "unknown"}]
        ),
    )
    assert [[amount.meter for amount in check.amounts] for check in request.checks] == [["in", "out"], ["in"]]
    assert [repr(result) for result in done.result()] == ["allowed · no limit", "SUBJECT_NOT_FOUND: unknown"]


def test_usage_asks_for_range_points_groups_and_filters(play: Play) -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    request, done = play.call(
        "UsageService.GetUsageSummary",
        lambda mg: mg.usage(
            "api_calls",
            subject="acme",
            start=start,
            end=start + timedelta(days=1),
            granularity="day",
            time_zone="Asia/Kolkata",
            group_by="region",
            filters={"route": "/v1"},
        ),
        usage_pb2.GetUsageSummaryResponse(
            series=[{"meter": "api_calls", "total": "8", "event_count": 8, "points": [{"value": "8"}]}]
        ),
    )
    assert list(request.meters) == ["api_calls"]
    assert request.granularity == usage_pb2.GRANULARITY_DAY
    assert (request.start_time.ToDatetime(tzinfo=UTC), request.time_zone) == (start, "Asia/Kolkata")
    assert (list(request.group_by), dict(request.filters)) == (["region"], {"route": "/v1"})
    assert done.result().total == Decimal(8)
    assert done.result().points[0].value == Decimal(8)


def test_p12_a_word_that_is_none_lists_those_that_are() -> None:
    wrong: Any = "fortnight"
    with pytest.raises(ValueError, match="'fortnight' is none of: none, minute, hour, day, week, month"):
        Metergate("h:1", "k").usage("api_calls", subject="acme", granularity=wrong)


def test_set_limit_and_customers(play: Play) -> None:
    request, done = play.call(
        "CatalogService.SetLimit",
        lambda mg: mg.set_limit("api_calls", 100),
        catalog_pb2.SetLimitResponse(
            limit={
                "name": "api_calls/month",
                "meter": "api_calls",
                "max": "100",
                "period": "PERIOD_MONTH",
                "policy": 1,
            },
            plan="default",
        ),
    )
    assert (request.limit.max, request.limit.period, request.limit.policy) == ("100", 0, 1)
    assert repr(done.result()) == "api_calls/month: hard 100 a month · plan default"
    request, done = play.call(
        "CustomerService.CreateCustomer",
        lambda mg: mg.create_customer("acme", name="Acme", plan="pro", time_zone="Europe/Paris"),
        customer_pb2.CreateCustomerResponse(customer={"id": "acme", "plan": "pro"}),
    )
    assert (request.customer.id, request.customer.time_zone) == ("acme", "Europe/Paris")
    assert done.result().plan == "pro"
    request, done = play.call(
        "CustomerService.CreateSubject",
        lambda mg: mg.create_subject("key-7", customer="acme"),
        customer_pb2.CreateSubjectResponse(subject={"id": "key-7", "customer": "acme"}),
    )
    assert (request.subject.id, done.result().customer) == ("key-7", "acme")
    request, done = play.call(
        "CustomerService.AssignPlan",
        lambda mg: mg.assign_plan("acme", "free"),
        customer_pb2.AssignPlanResponse(customer={"id": "acme", "plan": "free"}),
    )
    assert (request.customer, request.plan, done.result().plan) == ("acme", "free", "free")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.NOT_FOUND, NotFound),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidArgument),
        (grpc.StatusCode.ALREADY_EXISTS, Conflict),
        (grpc.StatusCode.FAILED_PRECONDITION, Conflict),
        (grpc.StatusCode.UNAUTHENTICATED, Unauthenticated),
        (grpc.StatusCode.UNAVAILABLE, Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Unavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, MetergateError),
    ],
)
def test_p12_an_error_carries_reason_metadata_violations_and_wait(
    play: Play, code: grpc.StatusCode, kind: type[MetergateError]
) -> None:
    rich = status(
        code,
        "in words",
        error_details_pb2.ErrorInfo(reason="SOME_REASON", domain="metergate.dev", metadata={"field": "amount"}),
        error_details_pb2.BadRequest(field_violations=[{"field": "event.amount", "description": "not a decimal"}]),
        error_details_pb2.RetryInfo(retry_delay=Duration(nanos=500_000_000)),
    )
    _, done = play.call("UsageService.RecordUsage", lambda mg: mg.record("x", subject="acme", event_id="e"), error=rich)
    with pytest.raises(kind) as caught:
        done.result()
    error = caught.value
    assert type(error) is kind
    assert (error.reason, error.message, error.metadata) == ("SOME_REASON", "in words", {"field": "amount"})
    assert (error.code, error.retry_after) == (code, timedelta(seconds=0.5))
    assert [event.id for event in error.events] == ["e"]
    assert str(error) == "in words (SOME_REASON)\n  event.amount: not a decimal"


def test_p12_an_error_without_or_with_foreign_details_is_still_told(play: Play) -> None:
    foreign = error_details_pb2.ErrorInfo(reason="PROXY_SAYS_NO", domain="proxy.example")
    rich = status(grpc.StatusCode.UNAVAILABLE, "no healthy upstream", foreign)
    _, done = play.call("QuotaService.CheckQuota", lambda mg: mg.check("x", subject="acme"), error=rich)
    with pytest.raises(Unavailable, match=r"^no healthy upstream \(UNAVAILABLE\)$") as caught:
        done.result()
    assert (caught.value.reason, caught.value.retry_after, caught.value.events) == ("", None, ())


def test_p12_damaged_details_do_not_hide_the_error(play: Play) -> None:
    done = play.pool.submit(play.client.check, "x", subject="acme")
    _, _, rpc = play.channel.take_unary_unary(METHODS["QuotaService.CheckQuota"])
    rpc.terminate(None, (("grpc-status-details-bin", b"\xff\xff\xff"),), grpc.StatusCode.NOT_FOUND, "gone")
    with pytest.raises(NotFound, match="gone"):
        done.result()


def test_every_call_names_a_method_of_the_contract_with_its_types() -> None:
    mg = Metergate("h:1", "k")
    seen: list[Any] = []
    mg.run = seen.append  # type: ignore[method-assign,assignment]
    mg.record("x", subject="s")
    mg.record_batch([])
    mg.usage(subject="s")
    mg.check("x", subject="s")
    mg.check_batch([])
    mg.limits(subject="s")
    mg.consume("x", subject="s")
    mg.consume_batch([])
    seen.append(reserve.reserve("x", subject="s"))
    seen.append(reserve.extend("r", timedelta(minutes=1)))
    seen.append(reserve.commit("r", []))
    seen.append(reserve.release("r"))
    seen += [to_call(request, "w") for request in LEASE_REQUESTS]
    mg.set_limit("x", None)
    mg.create_customer("c")
    mg.create_subject("s", customer="c")
    mg.assign_plan("c")
    mg.explain("d")
    mg.release_lease("l")
    mg.customer("c")
    mg.update_customer("c", name="C")
    mg.assign_pool("c")
    mg.set_limit_override("c", "l", 1)
    mg.delete_limit_override("c", "l")
    mg.create_grant("c", "x", 1)
    mg.void_grant("g")
    lists = [usage.events(), explain.limit_events(), customers.customers(), customers.subjects("c")]
    seen += [pages.at("") for pages in [*lists, grants.grants("c"), grants.grant_moves("c")]]
    for call in seen:
        method = METHODS[call.path.removeprefix("/metergate.v1.").replace("/", ".")]
        assert (method.input_type, method.output_type) == (call.request.DESCRIPTOR, call.reply.DESCRIPTOR)
    assert len({call.path for call in seen}) == 33


def test_only_calls_that_may_be_repeated_are_retried() -> None:
    retried = {name for name, method in METHODS.items() if is_repeatable(method)}
    assert set(METHODS) - retried == {
        "CatalogService.ApplyCatalog",
        "UsageService.AmendUsage",
        "UsageService.ReconcileUsage",
        "UsageService.VoidUsage",
    }, "which this client does not call"
    changing = {name for name in retried if name.startswith(("CatalogService", "CustomerService"))}
    without_id = {name for name in changing if "request_id" not in METHODS[name].input_type.fields_by_name}
    assert without_id == {
        "CatalogService.GetCatalog",
        "CatalogService.ListPrices",
        "CustomerService.CheckFeature",
        "CustomerService.GetCustomer",
        "CustomerService.ListCustomers",
        "CustomerService.ListSubjects",
        "CustomerService.ListGrants",
        "CustomerService.ListGrantMoves",
        "CustomerService.VoidGrant",
    }, "what is repeated reads, carries a request id, or stays as it is"
    policy = service_config()["methodConfig"][0]["retryPolicy"]
    assert (policy["maxAttempts"], policy["retryableStatusCodes"]) == (5, ["UNAVAILABLE"])
