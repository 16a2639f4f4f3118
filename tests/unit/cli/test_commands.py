"""What commands ask and print, against a server whose answers are given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from metergate.cli.main import json_first
from metergate.cli.quota_words import in_words
from metergate.v1 import catalog_pb2, customer_pb2, decision_pb2, quota_pb2, usage_event_pb2, usage_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_server import FakeServer, refuse

LIMIT: dict[str, Any] = {
    "name": "api_calls/month", "meter": "api_calls", "max": "100", "used": "1", "remaining": "99", "would_fit": "99",
    "policy": "POLICY_HARD", "reset_time": "2026-12-01T00:00:00Z", "overrun": "0",
}  # fmt: skip


def answers(fake: FakeServer, name: str, reply: Message) -> list[Any]:
    """Lets the server answer a method so; returns the list in which requests arrive."""
    asked: list[Any] = []

    def answer(request: Any, context: grpc.ServicerContext) -> Message:
        asked.append(request)
        return reply

    fake.handlers[name] = answer
    return asked


def decision(**changed: Any) -> decision_pb2.Decision:
    return json_format.ParseDict({"allowed": True, "limits": [LIMIT]} | changed, decision_pb2.Decision())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "allowed · 1 used · 99 left · resets 2026-12-01T00:00Z"),
        ({"limits": []}, "allowed · no limit"),
        (
            {"allowed": False, "binding_limit": "api_calls/month"},
            "refused by api_calls/month · 99 would fit · resets 2026-12-01T00:00Z",
        ),
        (
            {"limits": [LIMIT | {"remaining": "0", "used": "12345", "overrun": "12245", "policy": "POLICY_SOFT"}]},
            "allowed · 12,345 used · 0 left · resets 2026-12-01T00:00Z · 12,245 over the limit",
        ),
        (
            {"limits": [LIMIT | {"remaining": "", "max": "unlimited"}], "degraded": True},
            "allowed · 1 used · unlimited · resets 2026-12-01T00:00Z · degraded",
        ),
        (
            {"limits": [LIMIT, LIMIT | {"name": "day", "used": "5", "remaining": "7"}]},
            "allowed · 5 used · 7 left · resets 2026-12-01T00:00Z",
        ),
    ],
)
def test_a_decision_in_words(given: dict[str, Any], expected: str) -> None:
    assert in_words(decision(**given)) == expected


def test_quota_check(run: Run, fake: FakeServer) -> None:
    asked = answers(fake, "QuotaService/CheckQuota", quota_pb2.CheckQuotaResponse(decision=decision()))
    done = run("quota", "check", "api_calls", "2", "--subject", "acme", "--label", "model=a=b")
    assert (done.code, done.out) == (0, "allowed · 1 used · 99 left · resets 2026-12-01T00:00Z\n")
    assert asked[0].subject == "acme"
    assert dict(asked[0].amounts[0].labels) == {"model": "a=b"}
    refused = quota_pb2.CheckQuotaResponse(decision=decision(allowed=False, binding_limit="api_calls/month"))
    answers(fake, "QuotaService/CheckQuota", refused)
    done = run("quota", "check", "api_calls", "--subject", "acme", "--json")
    assert done.code == 4
    assert json.loads(done.out)["allowed"] is False


def test_quota_limits(run: Run, fake: FakeServer) -> None:
    reply = {"customer": "acme", "plan": "free", "limits": [LIMIT | {"labels": {"model": "a"}}]}
    answers(fake, "QuotaService/ListLimits", json_format.ParseDict(reply, quota_pb2.ListLimitsResponse()))
    done = run("quota", "limits", "acme")
    assert "api_calls/month [model=a]" in done.out
    assert "2026-12-01T00:00Z" in done.out


def test_limit_set(run: Run, fake: FakeServer) -> None:
    reply = {
        "plan": "default",
        "limit": {"name": "tokens/day", "meter": "tokens", "max": "5000", "period": "PERIOD_DAY",
                  "policy": "POLICY_SOFT", "scope": "SCOPE_SUBJECT", "labels": {"model": "a"},
                  "per_labels": ["region"]},
        "changes": [{"action": "ACTION_CREATE", "kind": "meter", "name": "tokens", "differences": ["unit: [a] -> b"]}],
    }  # fmt: skip
    asked = answers(fake, "CatalogService/SetLimit", json_format.ParseDict(reply, catalog_pb2.SetLimitResponse()))
    done = run(
        "limit", "set", "tokens", "5000", "--per", "day", "--soft", "--scope", "subject", "--label", "model=a",
        "--per-label", "region",
    )  # fmt: skip
    assert done.out.splitlines() == [
        "tokens/day: soft 5,000 a day per subject on plan 'default' where model=a for each region",
        "+ meter tokens",
        "    unit: [a] -> b",
    ]
    limit = asked[0].limit
    assert (limit.period, limit.policy, limit.scope) == (
        catalog_pb2.PERIOD_DAY, catalog_pb2.POLICY_SOFT, catalog_pb2.SCOPE_SUBJECT,
    )  # fmt: skip
    assert asked[0].request_id
    assert run("limit", "set", "tokens", "5000", "--per", "fortnight").code == 2


def test_catalog_get_and_apply(run: Run, fake: FakeServer, tmp_path: Path) -> None:
    held = catalog_pb2.Catalog(default_plan="free", meters=[catalog_pb2.Meter(name="a")])
    answers(fake, "CatalogService/GetCatalog", catalog_pb2.GetCatalogResponse(catalog=held, version=3))
    asked = answers(fake, "CatalogService/ApplyCatalog", catalog_pb2.ApplyCatalogResponse(version=3))
    path = tmp_path / "catalog.yaml"
    path.write_text(run("catalog", "get").out)
    done = run("catalog", "apply", str(path), "--dry-run")
    assert done.out == "Nothing would change; version 3 is in force.\n"
    assert asked[0].catalog == held
    assert asked[0].dry_run
    assert json.loads(run("catalog", "get", "--json").out)["version"] == "3"


def test_customers(run: Run, fake: FakeServer) -> None:
    customer = customer_pb2.Customer(id="acme", name="Acme", plan="free", time_zone="Europe/Berlin")
    subjects = [customer_pb2.Subject(id="acme", customer="acme"), customer_pb2.Subject(id="key-7", customer="acme")]
    made = customer_pb2.CreateCustomerResponse(customer=customer, adopted_events=1200)
    answers(fake, "CustomerService/CreateCustomer", made)
    answers(fake, "CustomerService/GetCustomer", customer_pb2.GetCustomerResponse(customer=customer))
    answers(fake, "CustomerService/AssignPlan", customer_pb2.AssignPlanResponse(customer=customer))
    answers(fake, "CustomerService/CreateSubject", customer_pb2.CreateSubjectResponse(subject=subjects[1]))
    asked = answers(fake, "CustomerService/ListSubjects", customer_pb2.ListSubjectsResponse(subjects=subjects))
    answers(fake, "CustomerService/ListCustomers", customer_pb2.ListCustomersResponse(customers=[customer]))
    words = "acme (Acme) is on free, in Europe/Berlin"
    assert run("customer", "create", "acme").out == f"{words}; 1,200 waiting events were counted\n"
    assert run("customer", "show", "acme").out == f"{words}\nsubjects: acme, key-7\n"
    assert run("customer", "assign", "acme", "free").out == f"{words}\n"
    assert run("customer", "subject", "add", "acme", "key-7").out == "key-7 belongs to acme\n"
    assert "key-7" in run("customer", "subject", "list", "acme").out
    assert "Europe/Berlin" in run("customer", "list").out
    assert json.loads(run("customer", "list", "--json").out)[0]["name"] == "Acme"
    assert {request.customer for request in asked} == {"acme"}


def test_usage_record(run: Run, fake: FakeServer) -> None:
    receipt = usage_event_pb2.UsageReceipt(event_id="e-1", outcome="OUTCOME_ACCEPTED", unmatched="meter")
    asked = answers(fake, "UsageService/RecordUsage", usage_pb2.RecordUsageResponse(receipt=receipt))
    done = run("usage", "record", "api_calls", "2", "--subject", "acme", "--time", "2026-03-01", "--value", "n=1.5")
    assert done.out == "accepted · e-1; its meter is unknown, it counts once there is one\n"
    event = asked[0].event
    assert (event.type, event.amount, event.time.seconds, dict(event.values)) == (
        "api_calls", "2", 1772323200, {"n": "1.5"},
    )  # fmt: skip
    assert event.id
    conflict = usage_event_pb2.UsageReceipt(
        outcome="OUTCOME_CONFLICT", reason="ERROR_REASON_EVENT_CONFLICT", message="it is known with another amount"
    )
    answers(fake, "UsageService/RecordUsage", usage_pb2.RecordUsageResponse(receipt=conflict))
    done = run("usage", "record", "api_calls", "--subject", "acme")
    assert (done.code, done.err) == (1, "Error: The event was not taken: it is known with another amount.\n")


def test_usage_summary(run: Run, fake: FakeServer) -> None:
    points = [
        {"start_time": "2026-03-01T00:00:00Z", "value": "1000.5"},
        {"start_time": "2026-03-02T00:00:00Z", "value": "0"},
    ]
    reply = {
        "series": [
            {"meter": "tokens", "group": {"model": "a"}, "total": "1000.5", "event_count": 12, "points": points},
            {"meter": "tokens", "group": {"model": "b"}, "total": "0", "event_count": 0},
        ]
    }
    asked = answers(
        fake, "UsageService/GetUsageSummary", json_format.ParseDict(reply, usage_pb2.GetUsageSummaryResponse())
    )
    done = run(
        "usage", "summary", "--subject", "acme", "--by", "day", "--group-by", "model", "--from", "2026-03-01",
        "--time-zone", "Europe/Berlin", "--filter", "region=eu", "--filter", "model=a", "--filter", "model=b",
    )  # fmt: skip
    assert "1,000.5" in done.out
    assert "2026-03-01T01:00+0100" in done.out
    assert "█" in done.out
    request = asked[0]
    assert request.granularity == usage_pb2.GRANULARITY_DAY
    assert request.start_time.seconds == 1772319600  # midnight in Berlin
    assert dict(request.filters) == {"region": "eu"}
    assert {name: list(one.values) for name, one in request.filters_any.items()} == {"model": ["a", "b"]}


def recorded(event_id: str, arrived: str) -> usage_pb2.RecordedEvent:
    plain = {
        "event": {"id": event_id, "type": "api_calls", "subject": "acme"},
        "record_time": arrived, "count_time": arrived, "meters": ["api_calls", "all"],
    }  # fmt: skip
    return json_format.ParseDict(plain, usage_pb2.RecordedEvent())


def test_usage_events_follow_pages(run: Run, fake: FakeServer) -> None:
    asked: list[usage_pb2.ListUsageEventsRequest] = []

    def page(request: usage_pb2.ListUsageEventsRequest, context: grpc.ServicerContext) -> Message:
        asked.append(request)
        events = [recorded(f"e-{len(asked)}", "2026-03-01T00:00:00Z")]
        return usage_pb2.ListUsageEventsResponse(events=events, next_page_token="more" if len(asked) < 3 else "")

    fake.handlers["UsageService/ListUsageEvents"] = page
    done = run("usage", "events", "--unmatched", "--json")
    assert [event["event"]["id"] for event in json.loads(done.out)] == ["e-1", "e-2", "e-3"]
    assert [request.page_token for request in asked] == ["", "more", "more"]
    assert all(request.unmatched_only for request in asked)
    asked.clear()
    assert "api_calls, all" in run("usage", "events", "--limit", "2").out
    assert len(asked) == 2


def test_usage_tail_gives_each_event_once(run: Run, fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [
        [recorded("a", "2026-03-01T00:00:10Z")],
        # "b" was recorded before "a" but committed after it; "a" is seen again.
        [recorded("b", "2026-03-01T00:00:09Z"), recorded("a", "2026-03-01T00:00:10Z")],
        [recorded("a", "2026-03-01T00:00:10Z"), recorded("c", "2026-03-01T00:01:00Z")],
    ]

    def look(request: Any, context: grpc.ServicerContext) -> Message:
        return usage_pb2.ListUsageEventsResponse(events=looks.pop(0))

    def pause(seconds: float) -> None:
        if not looks:
            raise KeyboardInterrupt

    fake.handlers["UsageService/ListUsageEvents"] = look
    monkeypatch.setattr("metergate.cli.usage_tail.time.sleep", pause)
    done = run("usage", "tail", "--since", "9999d", "--json")
    assert done.code == 0
    assert [json.loads(line)["event"]["id"] for line in done.out.splitlines()] == ["a", "b", "c"]
    looks.append([recorded("a", "2026-03-01T00:00:10Z")])
    done = run("usage", "tail", "--since", "9999d", "--once")
    assert done.out == "2026-03-01T00:00:10Z  acme  api_calls  1  → api_calls, all\n"


def test_p12_errors_are_one_sentence_with_what_to_do(run: Run, fake: FakeServer) -> None:
    def fails(*arguments: Any) -> Any:
        return lambda request, context: refuse(context, *arguments)

    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="limit.max", description="must not be negative")
    name, code = "QuotaService/ListLimits", grpc.StatusCode
    for failure, said in [
        (fails(code.NOT_FOUND, "SUBJECT_NOT_FOUND", "There is no subject 'acme'."),
         "There is no subject 'acme': add it with `metergate customer subject add CUSTOMER SUBJECT`."),
        (fails(code.INVALID_ARGUMENT, "FIELD_INVALID", "The request breaks a rule.", bad),
         "The request breaks a rule: limit.max: must not be negative."),
        (fails(code.RESOURCE_EXHAUSTED, "LIMIT_REACHED", "No more."), "No more."),
    ]:  # fmt: skip
        fake.handlers[name] = failure
        done = run("quota", "limits", "acme")
        assert (done.code, done.out, done.err) == (1, "", f"Error: {said}\n")
    fake.key = "another"
    done = run("quota", "limits", "acme", "--json")
    assert json.loads(done.err)["error"]["reason"] == "KEY_INVALID"


def test_p12_no_server_is_one_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERGATE_URL", "127.0.0.1:9")
    done = run("catalog", "get")
    assert done.code == 1
    assert done.err.startswith("Error: No Metergate server answers at 127.0.0.1:9: start one with `make run`")
    monkeypatch.setenv("METERGATE_URL", "ftp://x")
    assert "is no server's address" in run("catalog", "get").err


def test_key_prints_the_key_in_use(run: Run, fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("key").out == "mg_fake\n"
    assert json.loads(run("key", "--json").out) == {"url": fake.url, "key": "mg_fake"}
    monkeypatch.delenv("METERGATE_KEY")
    assert run("key").code == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["quota", "limits", "a", "--json"], ["--json", "quota", "limits", "a"]),
        (["--json", "key", "--json"], ["--json", "key"]),
        (["usage", "record", "--", "--json"], ["usage", "record", "--", "--json"]),
        ([], []),
    ],
)
def test_json_may_stand_anywhere(given: list[str], expected: list[str]) -> None:
    assert json_first(given) == expected


def test_wrong_usage_is_exit_code_2(run: Run) -> None:
    assert run("nonsense").code == 2
    assert run("quota", "check", "api_calls").code == 2
    assert run("--help").code == 0
