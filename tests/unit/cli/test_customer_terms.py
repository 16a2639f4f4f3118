"""What `metergate customer update|override` and `quota events` ask and print, against a server with given answers."""

from __future__ import annotations

import json
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message

from metergate.v1 import customer_pb2 as pb
from metergate.v1 import quota_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_server import FakeServer
from tests.unit.cli.test_commands import answers

OVERRIDES = [
    {"limit": "calls/day", "max": "unlimited", "start_time": "2026-01-31T00:00:00Z"},
    {"limit": "calls/month", "max": "20000", "start_time": "2026-01-31T00:00:00Z", "end_time": "2026-03-01T12:30:00Z"},
]
ACME: dict[str, Any] = {"id": "acme", "time_zone": "UTC", "anchor_time": "2026-01-31T09:30:00Z"}
WORDS = "acme is on the default plan, in UTC, anchored at 2026-01-31T09:30Z"


def customer(**fields: Any) -> pb.Customer:
    return json_format.ParseDict(ACME | fields, pb.Customer())


def test_a_customer_with_an_anchor(run: Run, fake: FakeServer) -> None:
    asked = answers(fake, "CustomerService/CreateCustomer", pb.CreateCustomerResponse(customer=customer()))
    assert run("customer", "create", "acme", "--anchor", "2026-01-31 10:30+01:00").out == f"{WORDS}\n"
    assert asked[0].customer.anchor_time == customer().anchor_time


def test_update_names_what_it_changes(run: Run, fake: FakeServer) -> None:
    asked = answers(fake, "CustomerService/UpdateCustomer", pb.UpdateCustomerResponse(customer=customer()))
    for options, paths in (
        (["--name", ""], ["name"]),
        (["--time-zone", "Europe/Berlin", "--anchor", "2026-01-31T09:30Z"], ["time_zone", "anchor_time"]),
        (["--no-anchor"], ["anchor_time"]),
    ):
        assert run("customer", "update", "acme", *options).out == f"{WORDS}\n"
        assert list(asked[-1].update_mask.paths) == paths
        assert asked[-1].customer.HasField("anchor_time") == ("--anchor" in options)
        assert asked[-1].request_id
    assert asked[1].customer.time_zone == "Europe/Berlin"
    assert json.loads(run("customer", "update", "acme", "--no-anchor", "--json").out)["customer"]["id"] == "acme"
    for wrong in ([], ["--anchor", "2026-01-31", "--no-anchor"]):
        assert run("customer", "update", "acme", *wrong).code == 2
    assert run("customer", "update", "acme", "--anchor", "soon").code == 1


def test_overrides(run: Run, fake: FakeServer) -> None:
    with_both = customer(limit_overrides=OVERRIDES)
    asked = answers(fake, "CustomerService/SetLimitOverride", pb.SetLimitOverrideResponse(customer=with_both))
    deleted = answers(fake, "CustomerService/DeleteLimitOverride", pb.DeleteLimitOverrideResponse(customer=customer()))
    answers(fake, "CustomerService/GetCustomer", pb.GetCustomerResponse(customer=with_both))
    answers(fake, "CustomerService/ListSubjects", pb.ListSubjectsResponse())
    done = run("customer", "override", "set", "acme", "calls/month", "20000", "--to", "2026-03-01T12:30Z")
    for shown in (done.out, run("customer", "override", "list", "acme").out, run("customer", "show", "acme").out):
        assert [word in shown for word in ("calls/day", "unlimited", "20,000", "2026-03-01T12:30Z", "for good")] == (
            [True] * 5
        )
    request = asked[0]
    assert (request.customer, request.limit, request.max) == ("acme", "calls/month", "20000")
    assert (request.HasField("start_time"), request.end_time.seconds) == (False, 1772368200)
    assert request.request_id
    assert json.loads(run("customer", "override", "list", "acme", "--json").out) == OVERRIDES
    words = run("customer", "override", "delete", "acme", "calls/month", "--from", "2026-01-31").out
    assert words == "acme has no overrides\n"
    assert (deleted[0].limit, deleted[0].start_time.seconds) == ("calls/month", 1769817600)
    assert not run("customer", "override", "delete", "acme", "calls/month").code
    assert not deleted[1].HasField("start_time")


def test_quota_events_follow_pages(run: Run, fake: FakeServer) -> None:
    asked: list[Any] = []
    event = {
        "customer": "acme", "limit": "calls/month", "meter": "calls", "subject": "alice", "labels": {"region": "eu"},
        "threshold": 80, "taken": "1600", "max": "2000", "seq": "7", "create_time": "2026-03-03T10:00:00Z",
        "window": {"start_time": "2026-03-01T00:00:00Z", "end_time": "2026-04-01T00:00:00Z"},
    }  # fmt: skip
    other = {"customer": "beta", "limit": "ever", "threshold": 100, "taken": "3", "max": "3"}

    def page(request: quota_pb2.ListLimitEventsRequest, context: grpc.ServicerContext) -> Message:
        asked.append(request)
        given = {"events": [event, other], "next_page_token": "more" if len(asked) < 3 else ""}
        return json_format.ParseDict(given, quota_pb2.ListLimitEventsResponse())

    fake.handlers["QuotaService/ListLimitEvents"] = page
    shown = run("quota", "events", "--customer", "acme", "--limit", "3", "--json")
    assert json.loads(shown.out) == [event, other, event]
    assert [(request.customer, request.page_token) for request in asked] == [("acme", ""), ("acme", "more")]
    table = run("quota", "events").out
    for word in ("calls/month", "alice", "region=eu", "80%", "1,600", "2,000", "100%"):
        assert word in table


def test_a_pool_is_told_of(run: Run, fake: FakeServer) -> None:
    pooled = customer(pool="group")
    asked = answers(fake, "CustomerService/AssignPool", pb.AssignPoolResponse(customer=pooled))
    assert run("customer", "pool", "acme", "group").out == f"{WORDS}, and shares the limits of group\n"
    assert (asked[0].customer, asked[0].pool, bool(asked[0].request_id)) == ("acme", "group", True)
    assert json.loads(run("customer", "pool", "acme", "group", "--json").out)["customer"]["pool"] == "group"
