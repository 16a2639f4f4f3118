"""Consuming, reserving, leasing and explaining over HTTP with JSON: the same answers, in the words of Connect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.server import Server

SERVICE = "/metergate.v1."
CATALOG = {
    "meters": [{"name": "calls", "dimensions": ["region"]}],
    "plans": [{"name": "default", "limits": [{"name": "month", "meter": "calls", "max": "2000"}]}],
}


class Http:
    """Calls over HTTP with the test server's key."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def post(self, method: str, **body: Any) -> httpx.Response:
        """The response to a call of QuotaService, or of the service that is named before the method."""
        path = method if "/" in method else f"QuotaService/{method}"
        return self._client.post(SERVICE + path, json=body)

    def __call__(self, method: str, **body: Any) -> Any:
        """Makes a call that has to succeed."""
        response = self.post(method, **body)
        assert response.status_code == 200, response.text
        return response.json()

    def refused(self, method: str, **body: Any) -> tuple[int, str]:
        """Makes a call that has to fail: its status and its one reason."""
        response = self.post(method, **body)
        infos = [one["debug"] for one in response.json()["details"] if one["type"] == "google.rpc.ErrorInfo"]
        assert len(infos) == 1, response.text
        return response.status_code, infos[0]["reason"]


@pytest.fixture
def http(server: Server) -> Iterator[Http]:
    """A tenant with a limit of 2,000 calls a month and a customer."""
    headers = {"Authorization": f"Bearer {server.key}"}
    with httpx.Client(base_url=server.http_url, headers=headers, timeout=30, trust_env=False) as client:
        made = Http(client)
        made("CatalogService/ApplyCatalog", catalog=CATALOG)
        made("CustomerService/CreateCustomer", customer={"id": "acme"})
        yield made


def _event(id_: str, amount: str = "1", **fields: Any) -> dict[str, Any]:
    return {"id": id_, "type": "calls", "subject": "acme", "amount": amount, **fields}


def _limit(http: Http) -> dict[str, str]:
    [limit] = http("ListLimits", subject="acme")["limits"]
    return {name: limit[name] for name in ("used", "reserved", "leased", "forfeited")}


def test_consume_and_explain(http: Http) -> None:
    unit = [_event("a", "1500"), _event("b", "100.25")]
    admitted = http("ConsumeQuota", events=unit)
    assert admitted["decision"]["allowed"] is True
    assert [one["outcome"] for one in admitted["receipts"]] == ["OUTCOME_ACCEPTED"] * 2
    assert http("ConsumeQuota", events=unit)["receipts"][0]["outcome"] == "OUTCOME_DUPLICATE"
    refused = http("ConsumeQuota", events=[_event("c", "400")])["decision"]
    assert "allowed" not in refused  # proto3's JSON leaves false out
    assert (refused["bindingLimit"], refused["limits"][0]["wouldFit"]) == ("month", "399.75")
    assert refused["retryAfter"].endswith("s")
    explained = http("ExplainDecision", decisionId=refused["decisionId"])
    assert explained["confirmed"] is True
    assert explained["decision"] == refused
    assert [one["id"] for one in explained["limits"][0]["events"]] == ["a", "b"]
    token = admitted["token"]
    seen = http("CheckQuota", subject="acme", amounts=[{"meter": "calls"}], token=token)["decision"]
    assert seen["limits"][0]["used"] == "1600.25"


def test_a_refusal_as_a_status(http: Http) -> None:
    response = http.post("ConsumeQuota", events=[_event("a", "2001")], refuseAsStatus=True)
    assert (response.status_code, response.json()["code"]) == (429, "resource_exhausted")
    kinds = [one["type"] for one in response.json()["details"]]
    assert sorted(kinds) == ["google.rpc.ErrorInfo", "google.rpc.QuotaFailure"]
    assert _limit(http)["used"] == "0"


def test_consume_in_batches(http: Http) -> None:
    units = [{"events": [_event("a", "1999")]}, {"events": [_event("b", "2")]}, {"events": [_event("c", "x")]}]
    first, second, third = http("BatchConsumeQuota", consumes=units)["results"]
    assert first == {"allowed": True, "outcome": "OUTCOME_ACCEPTED"}
    assert (second["bindingLimit"], "decision" in second) == ("month", False)
    assert third["errorReason"] == "QUANTITY_INVALID"
    again = http("BatchConsumeQuota", consumes=units, details=True)["results"]
    assert again[0]["outcome"] == "OUTCOME_DUPLICATE"
    assert [one["decision"]["limits"][0]["used"] for one in again[:2]] == ["1999", "1999"]


def test_reserve_extend_commit_and_release(http: Http) -> None:
    wanted = {"subject": "acme", "amounts": [{"meter": "calls", "amount": "10"}], "ttl": "60s", "requestId": "r-1"}
    held = http("ReserveQuota", **wanted)["reservation"]
    assert (held["state"], held["amounts"]) == ("STATE_OPEN", [{"meter": "calls", "amount": "10", "used": "0"}])
    assert http("ReserveQuota", **wanted)["reservation"]["id"] == held["id"]
    assert _limit(http) == {"used": "0", "reserved": "10", "leased": "0", "forfeited": "0"}
    longer = http("ExtendReservation", reservationId=held["id"], ttl="3600s")["reservation"]
    assert longer["expireTime"] > held["expireTime"]
    done = http("CommitReservation", reservationId=held["id"], events=[{"id": "a", "type": "calls", "amount": "7"}])
    assert (done["reservation"]["state"], done.get("late", False)) == ("STATE_COMMITTED", False)
    assert _limit(http) == {"used": "7", "reserved": "0", "leased": "0", "forfeited": "0"}
    other = http("ReserveQuota", **{**wanted, "requestId": "r-2"})["reservation"]
    assert http("ReleaseReservation", reservationId=other["id"])["reservation"]["state"] == "STATE_RELEASED"


def test_acquire_sync_and_return_a_lease(http: Http) -> None:
    wanted = {"subject": "acme", "meter": "calls", "holder": "h", "amount": "20"}
    lease = http("AcquireLease", **wanted)["lease"]
    assert (lease["granted"], lease["state"]) == ("20", "STATE_OPEN")
    marks = [{"leaseId": lease["id"], "spent": "12", "wanted": "30"}, {"leaseId": "l_none"}]
    first, second = http("SyncLeases", marks=marks)["results"]
    assert (first["lease"]["granted"], first["lease"]["spent"]) == ("30", "12")
    assert second["errorReason"] == "LEASE_NOT_FOUND"
    http("UsageService/RecordUsage", event=_event("a", "12", settles=lease["id"]))
    assert _limit(http) == {"used": "12", "reserved": "0", "leased": "18", "forfeited": "0"}
    assert http("ReturnLease", leaseId=lease["id"], spent="12")["lease"]["state"] == "STATE_RETURNED"
    assert _limit(http) == {"used": "12", "reserved": "0", "leased": "0", "forfeited": "0"}


def test_p12_bad_input_over_http(http: Http) -> None:
    wanted = {"subject": "acme", "amounts": [{"meter": "calls"}]}
    held = http("ReserveQuota", **wanted, requestId="r-1")["reservation"]["id"]
    http("ReleaseReservation", reservationId=held)
    lease = {"subject": "acme", "meter": "calls", "holder": "h"}
    refused: list[tuple[str, dict[str, Any], int, str]] = [
        ("ConsumeQuota", {}, 400, "FIELD_INVALID"),
        ("ConsumeQuota", {"events": [_event("a", "-1")]}, 400, "QUANTITY_NEGATIVE"),
        ("ConsumeQuota", {"events": [_event("a", "1e400")]}, 400, "QUANTITY_INVALID"),
        ("ConsumeQuota", {"events": [{**_event("a"), "amount": 1.5}]}, 400, "MESSAGE_MALFORMED"),
        ("ConsumeQuota", {"events": [{**_event("a"), "subject": "nobody"}]}, 404, "SUBJECT_NOT_FOUND"),
        ("BatchConsumeQuota", {"consumes": [{}]}, 400, "FIELD_INVALID"),
        ("ReserveQuota", {**wanted, "ttl": "86401s"}, 400, "FIELD_INVALID"),
        ("ReserveQuota", {**wanted, "ttl": "forever"}, 400, "MESSAGE_MALFORMED"),
        ("ReserveQuota", {**wanted, "requestId": "r-1", "partialOk": True}, 400, "REQUEST_ID_REUSED"),
        ("ExtendReservation", {"reservationId": held, "ttl": "60s"}, 400, "RESERVATION_CLOSED"),
        ("CommitReservation", {"reservationId": "r_none"}, 404, "RESERVATION_NOT_FOUND"),
        ("AcquireLease", {**lease, "amount": "0"}, 400, "FIELD_INVALID"),
        ("AcquireLease", {**lease, "amount": "1", "meter": "nope"}, 404, "METER_NOT_FOUND"),
        ("SyncLeases", {}, 400, "FIELD_INVALID"),
        ("ReturnLease", {"leaseId": held}, 404, "LEASE_NOT_FOUND"),
        ("ReleaseLease", {"leaseId": "l_none"}, 404, "LEASE_NOT_FOUND"),
        ("ExplainDecision", {"decisionId": "nonsense"}, 400, "TOKEN_INVALID"),
    ]
    for method, body, status, reason in refused:
        assert http.refused(method, **body) == (status, reason), (method, body)
