"""Promise P12 on every method: whatever bytes come, there is a clear answer, and nothing is half-written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings

from metergate import wiring
from tests.databases import elsewhere
from tests.e2e.calls import METHODS, encoded, path_of, read_failure, response_type
from tests.e2e.messages import (
    CATALOG,
    NASTY,
    broken,
    good_requests,
    spoilt,
    with_bad_utf8,
    with_each_number,
    with_each_text,
)
from tests.server import Server

GOOD = good_requests()
BOUNDED = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@dataclass
class Blocking:
    """Calls a server from a test that has no loop."""

    channel: grpc.Channel
    key: str

    def reason(self, method: str, request: Message | bytes) -> str:
        """The reason of the failure, "" where there is none. What P12 forbids fails here, and faults of ours do."""
        call = self.channel.unary_unary(path_of(METHODS[method]), encoded, response_type(method).FromString)
        try:
            call(request, timeout=10, metadata=(("authorization", f"Bearer {self.key}"),))
        except grpc.RpcError as error:
            answer = read_failure(error)
            assert answer.code in (
                grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS,
                grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.RESOURCE_EXHAUSTED,
            ), answer  # fmt: skip
            assert answer.reason, answer
            return answer.reason
        return ""


@pytest.fixture
def fuzzed(server: Server) -> Iterator[Blocking]:
    """A tenant with a catalog and a customer, and the ledger's own check afterwards."""
    with grpc.insecure_channel(server.grpc_url) as channel:
        calls = Blocking(channel, server.key)
        catalog = {"meters": CATALOG["meters"], "plans": CATALOG["plans"]}
        apply = type(GOOD["ApplyCatalog"])
        customer = type(GOOD["CreateCustomer"])
        assert not calls.reason("ApplyCatalog", apply(catalog=catalog))
        assert not calls.reason("CreateCustomer", customer(customer={"id": "acme"}))
        assert not calls.reason("CreateSubject", GOOD["CreateSubject"])
        assert not calls.reason("RecordUsage", GOOD["RecordUsage"])
        yield calls


@pytest.fixture(scope="module", autouse=True)
def _nothing_half_written(_dev_server: Any) -> Iterator[None]:
    yield
    server = _dev_server.with_a_tenant()
    findings = elsewhere(lambda: asyncio.run(wiring.diagnose(server.settings)))
    assert [one for one in findings if not one.ok] == []


def test_each_method_has_a_request_that_makes_sense(fuzzed: Blocking) -> None:
    reasons = {method: fuzzed.reason(method, request) for method, request in GOOD.items() if method != "CreateCustomer"}
    assert {method: reason for method, reason in reasons.items() if reason} == {}
    assert set(GOOD) == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_p12_invalid_utf8(fuzzed: Blocking, method: str) -> None:
    for request in with_bad_utf8(GOOD[method]):
        assert fuzzed.reason(method, request) == "MESSAGE_MALFORMED"


@pytest.mark.parametrize("method", METHODS)
def test_p12_each_text_and_number_in_turn(fuzzed: Blocking, method: str) -> None:
    for text in NASTY:
        for request in with_each_text(GOOD[method], text):
            fuzzed.reason(method, request)
    for request in with_each_number(GOOD[method]):
        fuzzed.reason(method, request)


@pytest.mark.parametrize("method", METHODS)
def test_p12_random_bytes(fuzzed: Blocking, method: str) -> None:
    @BOUNDED
    @given(broken(GOOD[method]))
    def answers(request: bytes) -> None:
        fuzzed.reason(method, request)

    answers()


@pytest.mark.parametrize("method", METHODS)
def test_p12_well_formed_messages_of_strange_values(fuzzed: Blocking, method: str) -> None:
    @BOUNDED
    @given(spoilt(GOOD[method]))
    def answers(request: Message) -> None:
        fuzzed.reason(method, request)

    answers()
