"""Promise P12 on every method: whatever bytes come, there is a clear answer, and nothing is half-written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings

from metergate import wiring
from metergate.v1 import backfill_pb2
from tests.databases import elsewhere
from tests.e2e.calls import BILLING, METHODS, encoded, path_of, read_failure, request_type, response_type
from tests.e2e.messages import (
    CATALOG,
    NASTY,
    NOBODY_LISTENS,
    Ids,
    broken,
    good_requests,
    spoilt,
    with_bad_utf8,
    with_each_number,
    with_each_text,
)
from tests.server import Server

TO_GO_ON = ("subscription", "trialing", "paused", "changing", "canceled")  # names of Ids
TO_CLOSE = ("draft", "paid", "voided", "lost", "credited")
# gRPC's own bound on a message: what is longer never reaches us, and has gRPC's status without a reason.
LONGEST = 4 * 1024 * 1024
BOUNDED = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@dataclass
class Blocking:
    """Calls a server from a test that has no loop."""

    channel: grpc.Channel
    key: str
    good: dict[str, Message] = field(default_factory=good_requests)

    def must(self, method: str, **fields: Any) -> Any:
        """Makes a call that has to succeed."""
        return self._call(method, request_type(method)(**fields))

    def _call(self, method: str, request: Message | bytes) -> Any:
        path, decode = path_of(METHODS[method]), response_type(method).FromString
        metadata = (("authorization", f"Bearer {self.key}"),)
        if not METHODS[method].server_streaming:
            return self.channel.unary_unary(path, encoded, decode)(request, timeout=10, metadata=metadata)
        stream = self.channel.unary_stream(path, encoded, decode)(request, timeout=10, metadata=metadata)
        first = next(stream)
        stream.cancel()
        return first

    def reason(self, method: str, request: Message | bytes) -> str:
        """The reason of the failure, "" where there is none. What P12 forbids fails here, and faults of ours do."""
        try:
            assert "SERVER_FAULT" not in str(self._call(method, request))  # of one entry of a batch
            assert len(encoded(request)) <= LONGEST
        except grpc.RpcError as error:
            answer = read_failure(error)
            if len(encoded(request)) > LONGEST:
                assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED
                return "(too long)"
            assert answer.code in (
                grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS,
                grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.RESOURCE_EXHAUSTED,
            ), answer  # fmt: skip
            assert answer.reason, answer
            return answer.reason
        return ""


@contextmanager
def _tenant(servers: Any, asked: str = "") -> Iterator[Blocking]:
    """A tenant with a catalog, a customer and something of all that can be named, and good requests that name it: what
    the method that is asked for needs, "" = what all of them do."""
    server: Server = servers.with_a_tenant()
    with grpc.insecure_channel(server.grpc_url) as channel:
        calls = Blocking(channel, server.key)
        calls.must("ApplyCatalog", catalog={name: part for name, part in CATALOG.items() if name != "default_plan"})
        for customer in ("acme", "group"):
            calls.must("CreateCustomer", customer={"id": customer})
        assert not calls.reason("CreateSubject", calls.good["CreateSubject"])
        ids = Ids() if asked in BILLING else _made(calls, committed=asked in ("", "RevertBackfill"))
        calls.good = good_requests(_billed(calls, ids, asked) if asked in ("", *BILLING) else ids)
        assert not calls.reason("RecordUsage", calls.good["RecordUsage"])
        yield calls


@pytest.fixture
def tenant(_dev_server: Any) -> Iterator[Blocking]:
    """One on which nothing was tried yet."""
    with _tenant(_dev_server) as calls:
        yield calls


@pytest.fixture(scope="module", params=METHODS)
def fuzzed(_dev_server: Any, request: pytest.FixtureRequest) -> Iterator[tuple[Blocking, str]]:
    """One tenant for all that is tried on a method, and the method."""
    with _tenant(_dev_server, request.param) as calls:
        yield calls, request.param


def _made(calls: Blocking, committed: bool) -> Ids:
    """What can be named. A worker commits backfills: only who asks for one waits for it."""
    amounts, lease = [{"meter": "tokens"}], {"meter": "tokens", "labels": {"region": "eu"}, "amount": "5"}
    reservations = [calls.must("ReserveQuota", subject="acme-a", amounts=amounts) for _ in range(3)]
    leases = [calls.must("AcquireLease", subject="acme-a", holder="h", **lease).lease.id for _ in range(3)]
    grant = calls.must("CreateGrant", customer="acme", meter="calls", amount="1").grant.id
    hooks = [calls.must("CreateEndpoint", endpoint={"url": NOBODY_LISTENS}).endpoint.id for _ in range(2)]
    for name in "abcd":
        calls.must("CreateCustomer", customer={"id": f"spare-{name}"})
    calls.must("CreateSubject", subject={"id": "spare-s", "customer": "spare-a"})
    backfills = [calls.must("OpenBackfill").backfill.id for _ in range(4)]
    if committed:
        calls.must("CommitBackfill", id=backfills[-1])
        while calls.must("GetBackfill", id=backfills[-1]).backfill.state == backfill_pb2.BACKFILL_STATE_COMMITTING:
            time.sleep(0.05)
    held = [one.reservation.id for one in reservations]
    return Ids(*held, *leases, reservations[0].decision.decision_id, grant, *hooks, *backfills)


def _billed(calls: Blocking, ids: Ids, asked: str) -> Ids:
    """What the request that is asked for names of billing; "" = what all of them do."""
    request = str(calls.good[asked]) if asked else ""
    subscriptions, invoices = [
        [name for name in names if not asked or f'"{getattr(ids, name)}"' in request] for names in (TO_GO_ON, TO_CLOSE)
    ]
    calls.must("CreateCustomer", customer={"id": "payer"})
    made = {name: _subscription(calls, name) for name in subscriptions} | {
        name: _invoice(calls, name) for name in invoices
    }
    return replace(ids, **made)


def _subscription(calls: Blocking, name: str) -> str:
    trial = 1 if name == "trialing" else 0
    wanted = {"customer": "payer", "items": [{"plan": "sold"}], "trial_days": trial}
    made = str(calls.must("CreateSubscription", **wanted).subscription.id)
    if name == "paused":
        calls.must("PauseSubscription", id=made)
    if name == "changing":
        calls.must("CancelSubscription", id=made, at_period_end=True)
    return made


def _invoice(calls: Blocking, name: str) -> str:
    subscription = _subscription(calls, name)
    while not (found := calls.must("ListInvoices", subscription=subscription).invoices):  # a worker closes it as well
        calls.reason("ClosePeriods", request_type("ClosePeriods")(subscriptions=[subscription]))
    if name != "draft":
        calls.must("FinalizeInvoice", id=found[0].id)
    return str(found[0].id)


@pytest.fixture(scope="module", autouse=True)
def _nothing_half_written(_dev_server: Any) -> Iterator[None]:
    yield
    server = _dev_server.with_a_tenant()
    findings = elsewhere(lambda: asyncio.run(wiring.diagnose(server.settings)))
    assert [one for one in findings if not one.ok] == []


def test_each_method_has_a_request_that_makes_sense(tenant: Blocking) -> None:
    good = tenant.good
    reasons = {method: tenant.reason(method, request) for method, request in good.items() if method != "CreateCustomer"}
    # What is over is closed by a worker too; an operator releases what is forfeited, and nothing of this lease is.
    assert reasons.pop("ClosePeriods") in ("", "PERIOD_OPEN")
    assert {method: reason for method, reason in reasons.items() if reason} == {"ReleaseLease": "LEASE_NOT_FORFEITED"}
    assert set(good) == set(METHODS)


def test_p12_invalid_utf8(fuzzed: tuple[Blocking, str]) -> None:
    calls, method = fuzzed
    for request in with_bad_utf8(calls.good[method]):
        assert calls.reason(method, request) == "MESSAGE_MALFORMED"


def test_p12_each_text_and_number_in_turn(fuzzed: tuple[Blocking, str]) -> None:
    calls, method = fuzzed
    for text in NASTY:
        for request in with_each_text(calls.good[method], text):
            calls.reason(method, request)
    for request in with_each_number(calls.good[method]):
        calls.reason(method, request)


def test_p12_random_bytes(fuzzed: tuple[Blocking, str]) -> None:
    calls, method = fuzzed

    @BOUNDED
    @given(broken(calls.good[method]))
    def answers(request: bytes) -> None:
        calls.reason(method, request)

    answers()


def test_p12_well_formed_messages_of_strange_values(fuzzed: tuple[Blocking, str]) -> None:
    calls, method = fuzzed

    @BOUNDED
    @given(spoilt(calls.good[method]))
    def answers(request: Message) -> None:
        calls.reason(method, request)

    answers()
