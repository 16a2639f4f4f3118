"""Calls that are answered: JSON, protobuf, gzip, GET, header fields."""

from __future__ import annotations

import base64
import gzip
import json

import httpx
import pytest

from metergate.v1 import quota_pb2, usage_pb2
from tests.unit.http.example import CHECK, QUESTION, RECORD, Example


async def test_json_in_json_out(example: Example, client: httpx.AsyncClient) -> None:
    response = await client.post(CHECK, json=QUESTION, headers={"Authorization": "Bearer mg_1", "X-Trace": "7"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "decision": {"allowed": True, "plan": "default", "answeredBy": "ANSWERED_BY_VIEW"}
    }  # fmt: skip
    request, call = example.asked[0]
    assert request == quota_pb2.CheckQuotaRequest(
        subject="acme", amounts=[quota_pb2.QuotaAmount(meter="api_calls", amount="1")]
    )
    assert call.metadata["authorization"] == "Bearer mg_1"
    assert call.metadata["x-trace"] == "7"


async def test_protobuf_in_protobuf_out(example: Example, client: httpx.AsyncClient) -> None:
    asked = quota_pb2.CheckQuotaRequest(subject="acme")
    asked.amounts.add(meter="api_calls")
    content = asked.SerializeToString()
    response = await client.post(CHECK, content=content, headers={"Content-Type": "application/proto"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/proto"
    assert quota_pb2.CheckQuotaResponse.FromString(response.content) == example.answer
    assert example.asked[0][0] == asked


async def test_a_gzipped_body(example: Example, client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8", "Content-Encoding": "gzip"}
    response = await client.post(CHECK, content=gzip.compress(json.dumps(QUESTION).encode()), headers=headers)
    assert response.status_code == 200
    assert example.asked[0][0].subject == "acme"


async def test_both_spellings_of_a_field(example: Example, client: httpx.AsyncClient) -> None:
    for name in ("includeLimits", "include_limits"):
        await client.post(RECORD, json={"event": {"id": "1", "type": "t", "subject": "s"}, name: True})
        assert example.asked.pop()[0].include_limits


@pytest.mark.parametrize(
    "params",
    [
        {"encoding": "json", "message": json.dumps(QUESTION)},
        {
            "encoding": "json",
            "base64": "1",
            "message": base64.urlsafe_b64encode(json.dumps(QUESTION).encode()).decode(),
        },
        {
            "encoding": "json",
            "base64": "1",
            "compression": "gzip",
            "message": base64.urlsafe_b64encode(gzip.compress(json.dumps(QUESTION).encode())).decode().rstrip("="),
        },
    ],
)
async def test_get_of_what_only_reads(example: Example, client: httpx.AsyncClient, params: dict[str, str]) -> None:
    response = await client.get(CHECK, params={"connect": "v1", **params})
    assert response.status_code == 200
    assert response.json()["decision"]["allowed"] is True
    assert example.asked[0][0].amounts[0].meter == "api_calls"


async def test_get_with_protobuf(example: Example, client: httpx.AsyncClient) -> None:
    asked = quota_pb2.CheckQuotaRequest(subject="acmé", amounts=[quota_pb2.QuotaAmount(meter="api_calls")])
    message = base64.urlsafe_b64encode(asked.SerializeToString()).decode()
    response = await client.get(CHECK, params={"encoding": "proto", "base64": "1", "message": message})
    assert quota_pb2.CheckQuotaResponse.FromString(response.content) == example.answer
    assert example.asked[0][0] == asked


async def test_the_largest_batch_arrives_whole(example: Example, client: httpx.AsyncClient) -> None:
    events = [{"id": f"e{n}", "type": "llm.request", "subject": "acme", "amount": "1.5"} for n in range(5_000)]
    example.answer = usage_pb2.BatchRecordUsageResponse(token="t")
    response = await client.post("/metergate.v1.UsageService/BatchRecordUsage", json={"events": events})
    assert response.json() == {"token": "t"}
    assert len(example.asked[0][0].events) == 5_000


async def test_field_bytes_that_are_not_utf8_pass(example: Example, client: httpx.AsyncClient) -> None:
    response = await client.post(CHECK, json=QUESTION, headers=[(b"X-City", b"K\xf6ln")])
    assert response.status_code == 200
    assert example.asked[0][1].metadata["x-city"] == "Köln"


async def test_no_word_to_other_sites_scripts(client: httpx.AsyncClient) -> None:
    response = await client.post(CHECK, json=QUESTION, headers={"Origin": "https://elsewhere.example"})
    assert not [name for name in response.headers if name.startswith("access-control-")]
