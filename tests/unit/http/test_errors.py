"""P12 over HTTP: each bad request gets its status, Connect's code and exactly one ErrorInfo."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo

from metergate.domain.errors import MetergateError, Reason
from metergate.http.body import MESSAGE_MOST
from tests.unit.http.example import BATCH, CHECK, QUESTION, RECORD, Example, error_info

JSON = {"Content-Type": "application/json"}
BINARY = {"Content-Type": "application/proto"}


def _detail(response: httpx.Response, name: str) -> bytes:
    value = next(one["value"] for one in response.json()["details"] if one["type"] == name)
    return base64.b64decode(value + "=" * (-len(value) % 4))


def _refused(response: httpx.Response, status: int, code: str, reason: Reason) -> dict[str, Any]:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    info = error_info(response)
    assert info.reason == reason
    assert "Traceback" not in response.text
    return dict(info.metadata)


@pytest.mark.parametrize(
    ("reason", "status", "code"),
    [
        (Reason.METER_NOT_FOUND, 404, "not_found"),
        (Reason.KEY_MISSING, 401, "unauthenticated"),
        (Reason.EVENT_CONFLICT, 409, "already_exists"),
        (Reason.TIME_TOO_OLD, 400, "invalid_argument"),
        (Reason.PLAN_IN_USE, 400, "failed_precondition"),
        (Reason.LIMIT_REACHED, 429, "resource_exhausted"),
        (Reason.OVERLOADED, 503, "unavailable"),
        (Reason.DEADLINE_PASSED, 504, "deadline_exceeded"),
    ],
)
async def test_p12_a_failure_keeps_its_code_and_details(
    example: Example, client: httpx.AsyncClient, reason: Reason, status: int, code: str
) -> None:
    example.answer = MetergateError(reason, "no such thing: “x”", {"meter": "x"})
    response = await client.post(CHECK, json=QUESTION)
    assert _refused(response, status, code, reason) == {"meter": "x"}
    assert response.json()["message"] == "no such thing: “x”"
    assert ("retry-after" in response.headers) == (code == "unavailable")
    assert ("www-authenticate" in response.headers) == (code == "unauthenticated")


async def test_p10_overload_says_when_to_come_back(example: Example, client: httpx.AsyncClient) -> None:
    example.answer = MetergateError(Reason.OVERLOADED, "busy")
    response = await client.post(CHECK, json=QUESTION)
    assert response.headers["retry-after"] == "1"
    retry = RetryInfo.FromString(_detail(response, "google.rpc.RetryInfo"))
    assert retry.retry_delay.ToMilliseconds() == 200


async def test_p12_field_violations_arrive(client: httpx.AsyncClient) -> None:
    response = await client.post("/metergate.v1.UsageService/RecordUsage", json={})
    assert _refused(response, 400, "invalid_argument", Reason.FIELD_INVALID) == {"field": "event"}
    bad = BadRequest.FromString(_detail(response, "google.rpc.BadRequest"))
    assert [violation.field for violation in bad.field_violations] == ["event"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "CheckQuotaRequest"),
        (b"{", "CheckQuotaRequest"),
        (b"[]", "CheckQuotaRequest"),
        (b'{"subject": "a", "colour": "red"}', '"colour"'),
        (b'{"amounts": [{"metre": "m"}]}', '"metre"'),
        (b'{"subject": 7}', "subject"),
        (b'{"amounts": "many"}', "amounts"),
        (b'{"subject": "a", "subject": "b"}', "subject"),
        (b'{"subject": NaN}', "subject"),
        (b'{"subject": "\\ud800"}', "CheckQuotaRequest"),
        (b'{"subject": "\xff"}', "UTF-8"),
        (b'\xef\xbb\xbf{"subject": "a"}', "CheckQuotaRequest"),
        (b"[" * 100_000, "CheckQuotaRequest"),
        (b'{"amounts":' * 50_000, "CheckQuotaRequest"),
        (b"9" * 100_000, "CheckQuotaRequest"),
        (bytes(range(256)) * 40, "UTF-8"),
    ],
)
async def test_p12_json_that_is_no_request(client: httpx.AsyncClient, content: bytes, told: str) -> None:
    response = await client.post(CHECK, content=content, headers=JSON)
    assert _refused(response, 400, "invalid_argument", Reason.MESSAGE_MALFORMED) == {}
    assert told in response.json()["message"]
    assert len(response.json()["message"]) < 600


@pytest.mark.parametrize("content", [b"\xff" * 50, b"\x0a\x02\xff\xfe", b"\x0a\x7fshort"])
async def test_p12_protobuf_that_is_no_request(client: httpx.AsyncClient, content: bytes) -> None:
    response = await client.post(CHECK, content=content, headers=BINARY)
    _refused(response, 400, "invalid_argument", Reason.MESSAGE_MALFORMED)


async def test_p12_unknown_paths_and_methods(client: httpx.AsyncClient) -> None:
    for path in (
        "/metergate.v1.QuotaService/Nope",
        "/nope",
        "/metergate.v1.QuotaService/",
        CHECK + "/",
        "/%ff%00",
        "/" + "x" * 3_000,
    ):
        response = await client.post(path, json=QUESTION)
        metadata = _refused(response, 404, "unimplemented", Reason.METHOD_NOT_FOUND)
        assert len(metadata["method"]) <= 200
    response = await client.get(RECORD, params={"encoding": "json", "message": "{}"})
    assert _refused(response, 405, "unimplemented", Reason.METHOD_NOT_FOUND) == {"method": RECORD}
    assert response.headers["allow"] == "POST"
    response = await client.put(CHECK, json=QUESTION)
    assert _refused(response, 405, "unimplemented", Reason.METHOD_NOT_FOUND) == {"method": CHECK}
    assert response.headers["allow"] == "GET, POST"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/grpc"},
        {"Content-Type": "application/grpc-web+proto"},
        {"Content-Type": "application/connect+json"},
        {"Content-Type": "application/json", "Content-Encoding": "br"},
    ],
)
async def test_p12_types_that_are_not_spoken(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    response = await client.post(CHECK, content=json.dumps(QUESTION), headers=headers)
    _refused(response, 415, "invalid_argument", Reason.MESSAGE_MALFORMED)


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({}, 415),
        ({"encoding": "xml", "message": "{}"}, 415),
        ({"encoding": "json"}, 400),
        ({"encoding": "json", "message": "{"}, 400),
        ({"encoding": "json", "base64": "1", "message": "*"}, 400),
        ({"encoding": "json", "base64": "1", "message": "é"}, 400),
        ({"encoding": "json", "compression": "gzip", "message": "plain"}, 400),
        ({"encoding": "json", "compression": "br", "message": "{}"}, 415),
    ],
)
async def test_p12_bad_queries(client: httpx.AsyncClient, params: dict[str, str], status: int) -> None:
    response = await client.get(CHECK, params=params)
    _refused(response, status, "invalid_argument", Reason.MESSAGE_MALFORMED)


async def test_p12_a_declared_size_is_refused_before_it_is_sent(example: Example) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(example.url.rpartition(":")[2]))
    length = MESSAGE_MOST + 1
    head = f"POST {CHECK} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    writer.write(head.encode())
    assert b"413" in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()


async def test_p12_a_body_over_the_limit(example: Example, client: httpx.AsyncClient) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(200):
            sent += 65_536
            yield b" " * 65_536

    for content in (b" " * (MESSAGE_MOST + 1), chunks(), gzip.compress(b" " * (MESSAGE_MOST + 1))):
        headers = JSON | ({"Content-Encoding": "gzip"} if isinstance(content, bytes) and content[0] == 0x1F else {})
        response = await client.post(BATCH, content=content, headers=headers)
        metadata = _refused(response, 413, "resource_exhausted", Reason.MESSAGE_TOO_LARGE)
        assert metadata == {"maximum_bytes": str(MESSAGE_MOST)}
    assert not example.asked


async def test_p12_gzip_that_is_none(client: httpx.AsyncClient) -> None:
    for content in (b"plain", gzip.compress(b"{}")[:-6]):
        response = await client.post(CHECK, content=content, headers=JSON | {"Content-Encoding": "gzip"})
        _refused(response, 400, "invalid_argument", Reason.MESSAGE_MALFORMED)


async def test_p12_a_fault_tells_no_trace(example: Example, client: httpx.AsyncClient) -> None:
    for fault in (RuntimeError("secret"), TimeoutError("secret")):
        example.answer = fault
        response = await client.post(CHECK, json=QUESTION)
        assert "correlation_id" in _refused(response, 503, "unavailable", Reason.SERVER_FAULT)
        assert "secret" not in response.text


async def test_p12_a_fault_while_writing_the_answer(
    example: Example, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metergate.http.codecs.BinaryCodec.encode", lambda self, message: 1 / 0)
    content = b"\x0a\x04acme\x12\x0b\x0a\x09api_calls"
    response = await client.post(CHECK, content=content, headers=BINARY)
    assert "correlation_id" in _refused(response, 503, "unavailable", Reason.SERVER_FAULT)
