"""Promise P12 on every method: whatever bytes come, there is a clear answer, and nothing is half-written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings

from metergate import wiring
from metergate.v1 import backfill_pb2, billing_pb2
from tests.databases import elsewhere
from tests.e2e.calls import METHODS, encoded, path_of, read_failure, request_type, response_type
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

BILLING = {one.name for one in billing_pb2.DESCRIPTOR.services_by_name["BillingService"].methods}
# gRPC's own bound on a message: what is longer never reaches us, and has gRPC's status without a reason.
LONGEST = 4 * 1024 * 1024
BOUNDED = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


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


@pytest.fixture
def fuzzed(server: Server, request: pytest.FixtureRequest) -> Iterator[Blocking]:
    """A tenant with a catalog, a customer and something of all that can be named, and good requests that name it."""
    with grpc.insecure_channel(server.grpc_url) as channel:
        calls = Blocking(channel, server.key)
        calls.must("ApplyCatalog", catalog={name: part for name, part in CATALOG.items() if name != "default_plan"})
        for customer in ("acme", "group"):
            calls.must("CreateCustomer", customer={"id": customer})
        assert not calls.reason("CreateSubject", calls.good["CreateSubject"])
        callspec = getattr(request.node, "callspec", None)
        asked = callspec.params.get("method", "") if callspec else ""
        ids = _made(calls, committed=asked in ("", "RevertBackfill"))
        calls.good = good_requests(_billed(calls, ids) if asked in ("", *BILLING) else ids)
        assert not calls.reason("RecordUsage", calls.good["RecordUsage"])
        yield calls


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


def _billed(calls: Blocking, ids: Ids) -> Ids:
    """What can be named of billing; only who asks for it waits for it."""
    calls.must("CreateCustomer", customer={"id": "payer"})
    wanted = {"customer": "payer", "items": [{"plan": "sold"}]}
    made = [calls.must("CreateSubscription", **wanted).subscription.id for _ in range(5)]
    subscription, paused, changing, canceled, _ = made
    trialing = calls.must("CreateSubscription", **wanted, trial_days=1).subscription.id
    while len(calls.must("ListInvoices", customer="payer").invoices) < len(made):  # a worker closes them as well
        calls.reason("ClosePeriods", request_type("ClosePeriods")(subscriptions=made))
    calls.must("PauseSubscription", id=paused)
    calls.must("CancelSubscription", id=changing, at_period_end=True)
    draft, *closed = [one.id for one in calls.must("ListInvoices", customer="payer").invoices]
    for one in closed:
        calls.must("FinalizeInvoice", id=one)
    paid, voided, lost, credited = closed
    return replace(
        ids, subscription=subscription, trialing=trialing, paused=paused, changing=changing, canceled=canceled,
        draft=draft, paid=paid, voided=voided, lost=lost, credited=credited,
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _nothing_half_written(_dev_server: Any) -> Iterator[None]:
    yield
    server = _dev_server.with_a_tenant()
    findings = elsewhere(lambda: asyncio.run(wiring.diagnose(server.settings)))
    assert [one for one in findings if not one.ok] == []


def test_each_method_has_a_request_that_makes_sense(fuzzed: Blocking) -> None:
    good = fuzzed.good
    reasons = {method: fuzzed.reason(method, request) for method, request in good.items() if method != "CreateCustomer"}
    # An operator releases what is forfeited, and nothing of this lease is; what is over is closed already.
    assert {method: reason for method, reason in reasons.items() if reason} == {
        "ReleaseLease": "LEASE_NOT_FORFEITED", "ClosePeriods": "PERIOD_OPEN",
    }  # fmt: skip
    assert set(good) == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_p12_invalid_utf8(fuzzed: Blocking, method: str) -> None:
    for request in with_bad_utf8(fuzzed.good[method]):
        assert fuzzed.reason(method, request) == "MESSAGE_MALFORMED"


@pytest.mark.parametrize("method", METHODS)
def test_p12_each_text_and_number_in_turn(fuzzed: Blocking, method: str) -> None:
    for text in NASTY:
        for request in with_each_text(fuzzed.good[method], text):
            fuzzed.reason(method, request)
    for request in with_each_number(fuzzed.good[method]):
        fuzzed.reason(method, request)


@pytest.mark.parametrize("method", METHODS)
def test_p12_random_bytes(fuzzed: Blocking, method: str) -> None:
    @BOUNDED
    @given(broken(fuzzed.good[method]))
    def answers(request: bytes) -> None:
        fuzzed.reason(method, request)

    answers()


@pytest.mark.parametrize("method", METHODS)
def test_p12_well_formed_messages_of_strange_values(fuzzed: Blocking, method: str) -> None:
    @BOUNDED
    @given(spoilt(fuzzed.good[method]))
    def answers(request: Message) -> None:
        fuzzed.reason(method, request)

    answers()
