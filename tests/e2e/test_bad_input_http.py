"""The same over HTTP with JSON: bad bodies of every kind, and the answers that gRPC gives as well."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.e2e.calls import METHODS, path_of
from tests.server import Server

EVENT = {"id": "e", "type": "calls", "subject": "acme"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the tenant's key."""
    headers = {"Authorization": f"Bearer {server.key}"}
    async with httpx.AsyncClient(base_url=server.http_url, headers=headers, timeout=20, trust_env=False) as client:
        yield client


def _post(http: httpx.AsyncClient, method: str, request: dict[str, Any], **options: Any) -> Any:
    return http.post(path_of(METHODS[method]), json=request, **options)


def _reason(response: httpx.Response) -> tuple[int, str]:
    """The status and the one reason."""
    infos = [one["debug"] for one in response.json()["details"] if one["type"] == "google.rpc.ErrorInfo"]
    assert len(infos) == 1, response.text
    assert infos[0]["domain"] == "metergate.dev"
    return response.status_code, infos[0]["reason"]


async def _furnish(http: httpx.AsyncClient) -> None:
    catalog = {
        "meters": [{"name": "calls"}],
        "plans": [{"name": "default", "limits": [{"name": "hard", "meter": "calls", "max": "1"}]}],
    }
    assert (await _post(http, "ApplyCatalog", {"catalog": catalog, "requestId": "r-1"})).status_code == 200
    assert (await _post(http, "RecordUsage", {"event": EVENT})).status_code == 200


REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("RecordUsage", {}, 400, "FIELD_INVALID"),
    ("RecordUsage", {"event": {**EVENT, "id": ""}}, 400, "FIELD_INVALID"),
    ("RecordUsage", {"event": {**EVENT, "id": "x" * 257}}, 400, "FIELD_INVALID"),
    ("RecordUsage", {"event": {**EVENT, "id": "new", "amount": "NaN"}}, 400, "QUANTITY_INVALID"),
    ("RecordUsage", {"event": {**EVENT, "id": "new", "amount": "1e400"}}, 400, "QUANTITY_INVALID"),
    ("RecordUsage", {"event": {**EVENT, "id": "new", "amount": "-1"}}, 400, "QUANTITY_NEGATIVE"),
    ("RecordUsage", {"event": {**EVENT, "id": "new", "time": "2020-01-01T00:00:00Z"}}, 400, "TIME_TOO_OLD"),
    ("RecordUsage", {"event": {**EVENT, "id": "new", "time": "2199-01-01T00:00:00Z"}}, 400, "TIME_IN_FUTURE"),
    ("RecordUsage", {"event": {**EVENT, "amount": "2"}}, 409, "EVENT_CONFLICT"),
    ("BatchRecordUsage", {"events": [EVENT] * 5_001}, 400, "BATCH_TOO_LARGE"),
    ("CheckQuota", {"subject": "acme", "amounts": [{"meter": "m" * 50_000}]}, 404, "METER_NOT_FOUND"),
    ("CheckQuota", {"subject": "acme", "amounts": [{"meter": "calls"}], "refuseAsStatus": True}, 429, "LIMIT_REACHED"),
    ("GetUsageSummary", {"customer": "acme", "timeZone": "Mars/Olympus"}, 400, "FIELD_INVALID"),
    (
        "GetUsageSummary",
        {"customer": "acme", "startTime": "2025-01-01T00:00:00Z", "granularity": "GRANULARITY_MINUTE"},
        400,
        "TOO_MANY_POINTS",
    ),
    ("ListCustomers", {"pageSize": -1}, 400, "FIELD_INVALID"),
    ("ListCustomers", {"pageToken": "nonsense"}, 400, "TOKEN_INVALID"),
    ("SetLimit", {"limit": {"meter": "calls", "max": "-1"}}, 400, "FIELD_INVALID"),
    ("SetLimit", {"limit": {"meter": "calls", "max": "1"}, "requestId": "r-1"}, 400, "REQUEST_ID_REUSED"),
    ("ApplyCatalog", {"catalog": {"plans": [{"name": "pro", "limits": [{"meter": "x", "max": "1"}]}]}}, 400,
     "CATALOG_INVALID"),
    ("GetCustomer", {"id": "nobody"}, 404, "CUSTOMER_NOT_FOUND"),
    ("CreateSubject", {"subject": {"id": "acme", "customer": "nobody"}}, 404, "CUSTOMER_NOT_FOUND"),
]  # fmt: skip


async def test_p12_the_answers_are_those_of_grpc(http: httpx.AsyncClient) -> None:
    await _furnish(http)
    for method, request, status, reason in REFUSED:
        response = await _post(http, method, request)
        assert _reason(response) == (status, reason), (method, response.text[:300])
    events = (await _post(http, "ListUsageEvents", {"customer": "acme"})).json()["events"]
    assert [one["event"]["id"] for one in events] == ["e"]


async def test_bad_events_in_a_batch_do_not_stop_the_others(http: httpx.AsyncClient) -> None:
    await _furnish(http)
    events = [{**EVENT, "id": "a"}, {**EVENT, "id": "b", "amount": "many"}, {**EVENT, "id": "c"}]
    receipts = (await _post(http, "BatchRecordUsage", {"events": events})).json()["receipts"]
    assert [one["outcome"] for one in receipts] == ["OUTCOME_ACCEPTED", "OUTCOME_REJECTED", "OUTCOME_ACCEPTED"]
    assert (receipts[1]["reason"], receipts[1]["field"]) == ("ERROR_REASON_QUANTITY_INVALID", "amount")


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"hello",
    "half of it": b'{"event": {"id": "x"',
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "invalid UTF-8": b'{"event": {"id": "\xff\xfe"}}',
    "half a surrogate": b'{"event": {"id": "\\ud800", "type": "calls", "subject": "acme"}}',
    "a key twice": b'{"event": {"id": "a", "id": "b", "type": "calls", "subject": "acme"}}',
    "a name that is none": b'{"events": []}',
    "NaN": b'{"event": {"id": "x", "amount": NaN}}',
    "an amount that is a number": b'{"event": {"id": "x", "type": "calls", "subject": "acme", "amount": 1.5}}',
    "a wrong type": b'{"event": {"id": {"a": 1}}}',
    "a time that is none": b'{"event": {"id": "x", "time": "yesterday"}}',
    "a time out of range": b'{"event": {"id": "x", "time": "99999-01-01T00:00:00Z"}}',
    "a huge number": b'{"backfill": 1' + b"0" * 5_000 + b"}",
    "a thousand deep": b'{"event":' * 1_000 + b"1" + b"}" * 1_000,
    "a hundred thousand deep": b"[" * 100_000 + b"]" * 100_000,
}


@pytest.mark.parametrize("what", BODIES)
async def test_p12_bodies_that_are_no_request(http: httpx.AsyncClient, what: str) -> None:
    response = await http.post(path_of(METHODS["RecordUsage"]), content=BODIES[what], headers=JSON)
    status, reason = _reason(response)
    assert (status, reason) == (400, "MESSAGE_MALFORMED")


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.server_streaming])
async def test_p12_bytes_that_are_no_message(http: httpx.AsyncClient, method: str) -> None:
    for content in (b"\xff" * 50, b"\x0a\xff", b"\x0b" * 300):
        response = await http.post(
            path_of(METHODS[method]), content=content, headers={"Content-Type": "application/proto"}
        )
        assert _reason(response) == (400, "MESSAGE_MALFORMED")


async def test_p12_a_body_over_the_size_limit(http: httpx.AsyncClient) -> None:
    content = json.dumps({"event": {**EVENT, "amount": "1" * (4 * 1024 * 1024)}}).encode()
    response = await http.post(path_of(METHODS["RecordUsage"]), content=content, headers=JSON)
    assert _reason(response)[1] == "MESSAGE_TOO_LARGE"
    assert _reason(response)[0] in (413, 429)


async def test_p9_a_foreign_key_over_http(http: httpx.AsyncClient, server: Server) -> None:
    await _furnish(http)
    await _post(http, "CreateCustomer", {"customer": {"id": "beta"}})
    token = (await _post(http, "ListCustomers", {"pageSize": 1})).json()["nextPageToken"]
    foreign = {"Authorization": f"Bearer {await server.new_key(f'other-{server.tenant}')}"}
    ask = {"subject": "acme", "amounts": [{"meter": "calls"}]}
    for method, request, expected in (
        ("CheckQuota", ask, (404, "SUBJECT_NOT_FOUND")),
        ("GetCustomer", {"id": "acme"}, (404, "CUSTOMER_NOT_FOUND")),
        ("GetUsageSummary", {"customer": "acme"}, (404, "CUSTOMER_NOT_FOUND")),
        ("ListCustomers", {"pageToken": token}, (400, "TOKEN_INVALID")),
    ):
        assert _reason(await _post(http, method, request, headers=foreign)) == expected
    assert (await _post(http, "ListCustomers", {}, headers=foreign)).json() == {}
