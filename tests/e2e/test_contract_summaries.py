"""Summaries at depth and WatchUsage through every face: gRPC, Connect, the Python client, the command line."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from metergate import wiring
from metergate_client import AsyncMetergate, InvalidArgument, Metergate, NotFound
from tests.e2e.calls import Caller, read_failure, stamp
from tests.server import Server, ServerProcess

REPOSITORY = Path(__file__).parents[2]
WATCH = "/metergate.v1.UsageService/WatchUsage"
CATALOG = {
    "meters": [
        {"name": "calls", "dimensions": ["region"]},
        {"name": "people", "event_type": "calls", "aggregation": "AGGREGATION_UNIQUE"},
        {"name": "mean", "event_type": "calls", "aggregation": "AGGREGATION_AVG"},
    ]
}


def event(id_: str, amount: str = "1", **labels: str) -> dict[str, Any]:
    return {"id": id_, "type": "calls", "subject": "acme", "amount": amount, "labels": labels}


@pytest.fixture
async def furnished(api: Caller) -> Caller:
    """A tenant with usage of four regions and two routes."""
    await api("ApplyCatalog", catalog=CATALOG)
    await api("CreateCustomer", customer={"id": "acme"})
    events = [
        event(f"e{place}{number}", str(10 * place), region=region, route="/a" if number else "/b")
        for place, region in enumerate(("eu", "us", "ap", "af"), 1)
        for number in range(2)
    ]
    await api("BatchRecordUsage", events=events)
    return api


async def test_cost_beside_quantity(furnished: Caller) -> None:
    price = {"name": "calls", "model": "PRICE_MODEL_UNIT", "currency": "USD", "meter": "calls", "unit_amount": "0.10"}
    by_region = {**price, "currency": "EUR", "per_labels": ["region"], "included": "30"}
    plan = {"name": "default", "prices": [{**price, "included": "150"}, by_region]}
    await furnished("ApplyCatalog", catalog={**CATALOG, "plans": [plan]})

    async def costs(**asked: Any) -> list[tuple[str, str]]:
        answer = await furnished("GetUsageSummary", customer="acme", **asked)
        return [(one.total, one.cost) for one in answer.series]

    assert await costs(meters=["calls", "mean"], cost_currency="USD") == [("200", "5.00"), ("25", "")]
    assert await costs(meters=["calls"], cost_currency="EUR") == [("200", "")]
    assert await costs(meters=["calls"], group_by=["region"], cost_currency="EUR") == [
        ("80", "5.00"), ("60", "3.00"), ("40", "1.00"), ("20", "0.00"),
    ]  # fmt: skip
    assert await costs(meters=["calls"], filters={"region": "eu"}, cost_currency="USD") == [("20", "")]
    assert await costs(meters=["calls"]) == [("200", "")]
    ahead = {"start_time": stamp(-86_400), "end_time": stamp(86_400), "projection": "PROJECTION_METHOD_LINEAR"}
    answer = await furnished("GetUsageSummary", customer="acme", meters=["calls"], cost_currency="USD", **ahead)
    assert float(answer.series[0].projected_cost) >= 5
    refused = await furnished.refused("GetUsageSummary", customer="acme", cost_currency="DOLLAR")
    assert (refused.reason, refused.field) == ("FIELD_INVALID", "cost_currency")


async def test_the_answers_of_a_summary(furnished: Caller) -> None:
    answer = await furnished("GetUsageSummary", customer="acme", group_by=["region"], top=2, compare=True)
    told = {(one.meter, one.group["region"] if not one.other else "others"): one.total for one in answer.series}
    assert {key: value for key, value in told.items() if key[0] == "calls"} == {
        ("calls", "af"): "80", ("calls", "ap"): "60", ("calls", "others"): "60",
    }  # fmt: skip
    assert {one.previous_total for one in answer.series if one.meter == "calls"} == {"0"}
    assert {one.previous_total for one in answer.series if one.meter == "mean"} == {""}
    assert answer.previous_window.end_time == answer.window.start_time
    routes = await furnished("GetUsageSummary", customer="acme", meters=["calls", "mean"], group_by=["route"])
    assert {(one.meter, one.group["route"]): one.total for one in routes.series} == {
        ("calls", "/a"): "100", ("calls", "/b"): "100", ("mean", "/a"): "25", ("mean", "/b"): "25",
    }  # fmt: skip
    some = {"region": {"values": ["eu", "us"]}, "route": {"values": ["/a"]}}
    [only] = (await furnished("GetUsageSummary", customer="acme", meters=["calls"], filters_any=some)).series
    assert only.total == "30"
    [none] = (await furnished("GetUsageSummary", customer="acme", meters=["mean"], filters={"region": "xx"})).series
    assert (none.total, none.event_count) == ("", 0)
    ahead = {"end_time": stamp(86_400), "start_time": stamp(-86_400)}
    for method in ("LINEAR", "SAME_WEEKDAY"):
        projected = await furnished(
            "GetUsageSummary",
            customer="acme",
            meters=["calls", "mean"],
            projection=f"PROJECTION_METHOD_{method}",
            **ahead,
        )
        calls, mean = projected.series
        assert mean.projected_total == ""
        assert projected.projected_window == projected.window
        # Half of the time has passed, and no day before today had usage.
        assert (
            (float(calls.projected_total) == pytest.approx(400, rel=0.01))
            if method == "LINEAR"
            else (calls.projected_total == "")
        )


async def test_what_was_known_at_an_earlier_answers_seq(furnished: Caller) -> None:
    span = {"start_time": stamp(-3_600), "end_time": stamp(60)}
    before = await furnished("GetUsageSummary", customer="acme", group_by=["region"], **span)
    await furnished("RecordUsage", event=event("later", "500", region="eu"))
    await furnished("VoidUsage", id="e10")
    after = await furnished("GetUsageSummary", customer="acme", group_by=["region"], **span)
    again = await furnished("GetUsageSummary", customer="acme", group_by=["region"], known_at_seq=before.seq, **span)
    assert after.seq == before.seq + 2
    assert (list(again.series), again.seq) == (list(before.series), before.seq)
    assert list(after.series) != list(before.series)


async def test_watching_over_grpc(furnished: Caller) -> None:
    after = (await furnished("GetUsageSummary", customer="acme")).seq
    await furnished("VoidUsage", id="e10")
    answers = []
    stream = _stream(furnished, customer="acme", after_seq=0)
    async for answer in stream:
        answers.append(answer)
        if answer.seq > after:
            break
    events = [one for answer in answers for one in answer.events]
    assert [one.event.id for one in events] == [f"e{place}{number}" for place in range(1, 5) for number in range(2)] + [
        "e10"
    ]
    assert [one.taken_back for one in events] == [False] * 8 + [True]
    assert list(events[0].meters) == ["calls", "mean", "people"]
    stream.cancel()


def _stream(api: Caller, **fields: Any) -> Any:
    from tests.e2e.calls import request_type, response_type

    call: Any = api.channel.unary_stream(
        WATCH, request_type("WatchUsage").SerializeToString, response_type("WatchUsage").FromString
    )
    metadata = (("authorization", f"Bearer {api.key}"),)
    return call(request_type("WatchUsage")(**fields), metadata=metadata, timeout=60)


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "nobody": ({}, "FIELD_INVALID", "customer"),
    "both": ({"customer": "acme", "subject": "acme"}, "FIELD_INVALID", "customer"),
    "an unknown customer": ({"customer": "nobody"}, "CUSTOMER_NOT_FOUND", ""),
    "an unknown subject": ({"subject": "nobody"}, "SUBJECT_NOT_FOUND", ""),
    "an unknown meter": ({"customer": "acme", "meters": ["nope"]}, "METER_NOT_FOUND", ""),
    "a seq to come": ({"customer": "acme", "after_seq": 2**62}, "FIELD_INVALID", "after_seq"),
    "a negative seq": ({"customer": "acme", "after_seq": -1}, "FIELD_INVALID", "after_seq"),
    "101 types": ({"customer": "acme", "types": [str(one) for one in range(101)]}, "FIELD_INVALID", "types"),
    "a long name": ({"customer": "x" * 257}, "FIELD_INVALID", "customer"),
}


async def test_p12_what_cannot_be_watched(furnished: Caller) -> None:
    for what, (fields, reason, field) in BAD.items():
        refused = await furnished.refused("WatchUsage", **fields)
        assert (refused.reason, refused.field) == (reason, field), what


async def test_p9_a_stream_ends_with_its_key(furnished: Caller, server: Server) -> None:
    key = await server.new_key()
    other = Caller(server.grpc_url, key)
    stream = _stream(other, customer="acme")
    assert (await stream.read()).events == []
    await wiring.revoke_key(server.settings, key.split("_")[1])

    async def read_on() -> None:
        for number in range(100):  # word of it travels behind the answer
            await furnished("RecordUsage", event=event(f"more{number}"))
            await stream.read()

    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await read_on()
    assert read_failure(ended.value).reason == "KEY_INVALID"
    await other.close()


async def test_watching_over_connect(furnished: Caller, server: Server) -> None:
    headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/connect+json"}
    async with httpx.AsyncClient(base_url=server.http_url, headers=headers, timeout=30, trust_env=False) as http:
        body = _enveloped({"customer": "acme", "afterSeq": "0"})
        found: list[Any] = []
        async with http.stream("POST", WATCH, content=body, headers={"Connect-Timeout-Ms": "3000"}) as response:
            assert (response.status_code, response.headers["content-type"]) == (200, "application/connect+json")
            received = b"".join([chunk async for chunk in response.aiter_bytes()])
        while received:
            flags, length = struct.unpack_from(">BI", received)
            found.append((flags, json.loads(received[5 : 5 + length])))
            received = received[5 + length :]
        *messages, (end, last) = found
        assert {flags for flags, _ in messages} == {0}
        assert [one["event"]["id"] for _, message in messages for one in message.get("events", ())] == [
            f"e{place}{number}" for place in range(1, 5) for number in range(2)
        ]
        assert (end, last["error"]["code"]) == (2, "deadline_exceeded")

        refused = await http.post(WATCH, content=_enveloped({"customer": "nobody"}))
        flags, length = struct.unpack_from(">BI", refused.content)
        error = json.loads(refused.content[5 : 5 + length])["error"]
        assert (refused.status_code, flags, error["code"]) == (200, 2, "not_found")
        [info] = [one["debug"] for one in error["details"] if one["type"] == "google.rpc.ErrorInfo"]
        assert info["reason"] == "CUSTOMER_NOT_FOUND"

        for content in (b"", b"\x00\x00", b"\x00\x00\x00\x00\x09{}", b"\x01\x00\x00\x00\x02{}"):
            malformed = await http.post(WATCH, content=content)
            assert (malformed.status_code, malformed.json()["code"]) == (400, "invalid_argument"), content
        unary = await http.post(WATCH, json={"customer": "acme"}, headers={"Content-Type": "application/json"})
        assert unary.status_code == 415
        assert (await http.get(WATCH)).status_code == 405


def _enveloped(message: dict[str, Any]) -> bytes:
    content = json.dumps(message).encode()
    return struct.pack(">BI", 0, len(content)) + content


async def test_watching_with_the_asyncio_client(furnished: Caller, server: Server) -> None:
    async with AsyncMetergate(server.grpc_url, server.key, timeout=20) as mg:
        usage = await mg.usage("calls", customer="acme", group_by="route", filters={"region": ["eu", "us"]}, top=1)
        assert [(dict(one.group), one.total, one.other) for one in usage.series] == [
            ({"route": "/a"}, 30, False), ({}, 30, True),
        ]  # fmt: skip
        known = await mg.usage("calls", customer="acme", known_at_seq=usage.seq, compare=True)
        assert (known.seq, known.total, known.series[0].change_percent) == (usage.seq, 200, None)
        assert (await mg.usage("mean", customer="acme", filters={"region": "xx"})).total is None
        async with mg.watch(customer="acme", after_seq=0) as watch, asyncio.timeout(30):
            seen = []
            async for one in watch:
                seen.append(one.event.id)
                if one.event.id == "e41":
                    await mg.record("calls", 5, subject="acme", event_id="new")
                if one.event.id == "new":
                    break
        assert seen[-2:] == ["e41", "new"]
        with pytest.raises(NotFound):
            async for _ in mg.watch(customer="nobody"):
                pass
        with pytest.raises(InvalidArgument):
            async for _ in mg.watch(customer="acme", after_seq=2**60):
                pass


async def test_watching_with_threads(furnished: Caller, server: Server) -> None:
    seen: list[str] = []
    told = threading.Event()
    with Metergate(server.grpc_url, server.key, timeout=20) as mg, mg.watch(customer="acme", after_seq=0) as watch:

        def follow() -> None:
            for one in watch:
                seen.append(one.event.id)
                if len(seen) == 8:
                    told.set()

        thread = threading.Thread(target=follow)
        thread.start()
        assert await asyncio.to_thread(told.wait, 20)
        watch.close()
        await asyncio.to_thread(thread.join, 20)
        assert not thread.is_alive()
        assert len(seen) == 8


async def test_summaries_and_watching_on_the_command_line(furnished: Caller, server: Server) -> None:
    run = _command(server)
    shown = await run(
        "usage", "summary", "--customer", "acme", "--meter", "calls", "--group-by", "region", "--top", "1", "--compare",
        "--project", "linear", "--filter", "region=eu", "--filter", "region=us",
    )  # fmt: skip
    assert "(others)" in shown.stdout
    assert "before" in shown.stdout
    assert "seq " in shown.stdout
    seq = (await furnished("GetUsageSummary", customer="acme")).seq
    await furnished("RecordUsage", event=event("later", "7"))
    then = await run("usage", "summary", "--customer", "acme", "--meter", "calls", "--known-at-seq", str(seq), "--json")
    assert json.loads(then.stdout)["series"][0]["total"] == "200"
    watched = await run("usage", "watch", "--customer", "acme", "--after", str(seq), "--count", "1", "--json")
    assert json.loads(watched.stdout)["event"]["id"] == "later"
    wrong = await run("usage", "watch", "--customer", "nobody")
    assert (wrong.returncode, "customer is called 'nobody'" in wrong.stderr) == (1, True)


def _command(server: Server) -> Any:
    environment = os.environ | {"METERGATE_URL": server.grpc_url, "METERGATE_KEY": server.key, "COLUMNS": "200"}

    async def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "metergate.cli", *arguments]
        return await asyncio.to_thread(
            subprocess.run, program, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip

    return run


async def test_p11_a_watcher_goes_on_at_the_next_server(postgres_url: str, redis_url: str, tmp_path: Path) -> None:
    first, second = (ServerProcess(postgres_url, redis_url, tmp_path) for _ in range(2))
    second.grpc_url = second._arguments[second._arguments.index("--grpc") + 1] = first.grpc_url  # the same address
    first.start()
    try:
        from metergate.settings import Settings

        key = await wiring.create_key(Settings(postgres_url=postgres_url, redis_url=redis_url), "t", "test")
        async with AsyncMetergate(first.grpc_url, key, timeout=20) as mg, asyncio.timeout(60):
            await mg.set_limit("calls", 100)
            await mg.record("calls", subject="acme", event_id="1")
            seen = []
            async for one in mg.watch(customer="acme", after_seq=0):
                seen.append(one.event.id)
                if one.event.id == "1":
                    await asyncio.to_thread(first.end)
                    await asyncio.to_thread(second.start)
                    await mg.record("calls", subject="acme", event_id="2")
                if one.event.id == "2":
                    break
            assert seen == ["1", "2"]
    finally:
        first.kill()
        second.kill()
