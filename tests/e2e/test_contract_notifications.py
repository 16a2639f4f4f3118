"""Webhooks as clients meet them: made, tried, told of usage and limits, listed, replayed, and what is refused."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from metergate.domain.signature import sign
from metergate.v1 import notification_pb2 as pb
from tests.e2e.calls import Caller, eventually, stamp
from tests.e2e.quota import furnish, record
from tests.receiver import Receiver, receiver


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver() as made:
        yield made


async def came(hook: Receiver, count: int) -> None:
    """Waits until so many came."""

    async def enough() -> bool:
        return len(hook.got) >= count

    await eventually(enough, 20)


async def endpoint(api: Caller, url: str, *types: str) -> Any:
    """Makes an endpoint; the answer."""
    return await api("CreateEndpoint", endpoint={"url": url, "types": types})


async def test_usage_thresholds_and_overruns_reach_an_endpoint(api: Caller, hook: Receiver) -> None:
    await furnish(api, {"name": "soft", "max": "10", "policy": "POLICY_SOFT", "thresholds": [50]})
    made = await endpoint(api, hook.url)
    assert (made.endpoint.url, list(made.endpoint.types)) == (
        hook.url,
        [
            "usage.recorded", "usage.corrected", "billing.threshold_exceeded", "limit.exceeded", "invoice.finalized",
            "invoice.paid", "invoice.voided",
        ],
    )  # fmt: skip
    await record(api, "6", id="e1")
    await came(hook, 2)
    await record(api, "6", id="e2")
    await came(hook, 4)
    assert [got.body["type"] for got in hook.got] == [
        "usage.recorded", "billing.threshold_exceeded", "usage.recorded", "limit.exceeded",
    ]  # fmt: skip
    threshold, overrun = hook.got[1].body["data"], hook.got[3].body["data"]
    assert {name: threshold[name] for name in ("limit", "meter", "threshold", "usage", "max")} == {
        "limit": "soft", "meter": "calls", "threshold": 50, "usage": "6", "max": "10",
    }  # fmt: skip
    assert set(threshold["window"]) == {"start_time", "end_time"}
    assert (overrun["usage"], overrun["overrun"], overrun["customer"]) == ("12", "2", "acme")
    for got in hook.got:
        id_, seconds = got.headers["webhook-id"], int(got.headers["webhook-timestamp"])
        assert got.headers["webhook-signature"] == sign(made.secret, id_, seconds, got.payload)
        assert abs(seconds - time.time()) < 60
    events = (await api("ListLimitEvents", customer="acme")).events
    assert [(event.limit, event.threshold) for event in events] == [("soft", 0), ("soft", 50)]
    listed = (await api("ListDeliveries", endpoint=made.endpoint.id)).deliveries
    assert [one.id for one in reversed(listed)] == [got.headers["webhook-id"] for got in hook.got]
    assert {(one.state, one.attempts, one.status) for one in listed} == {(pb.Delivery.STATE_DELIVERED, 1, 204)}


async def test_dead_letters_are_listed_and_replayed(api: Caller, hook: Receiver) -> None:
    await furnish(api)
    made = (await endpoint(api, hook.url, "usage.recorded")).endpoint
    hook.answers(503)
    await record(api, id="e1")

    async def dead() -> bool:
        found = await api("ListDeliveries", endpoint=made.id, state="STATE_DEAD", customer="acme")
        return len(found.deliveries) == 1

    await eventually(dead, 20)
    [letter] = (await api("ListDeliveries", state="STATE_DEAD")).deliveries
    assert (letter.status, letter.error, letter.type) == (503, "answered 503", "usage.recorded")
    tries = letter.attempts
    assert 1 <= tries == len(hook.got) <= 3  # a slow machine's patience is over sooner
    hook.answers(200)
    await record(api, id="e2")
    await came(hook, tries + 1)
    assert (await api("ReplayDeliveries", endpoint=made.id)).replayed == 1
    await came(hook, tries + 2)
    assert [got.ids for got in hook.got] == [["e1"]] * tries + [["e2"], ["e1"]]

    async def none_dead() -> bool:
        return not (await api("ListDeliveries", state="STATE_DEAD")).deliveries

    await eventually(none_dead, 20)
    asked = {"start_time": stamp(-60), "end_time": stamp(60)}
    assert (await api("ReplayDeliveries", endpoint=made.id, customer="nobody", **asked)).replayed == 0
    assert (await api("ReplayDeliveries", endpoint=made.id, **asked)).replayed == 2
    first = await api("ListDeliveries", page_size=1)
    rest = await api("ListDeliveries", page_size=1, page_token=first.next_page_token)
    assert {one.seq for one in (*first.deliveries, *rest.deliveries)} == {1, 2}
    assert not rest.next_page_token


async def test_endpoints_are_made_once_changed_and_taken_away(api: Caller, hook: Receiver) -> None:
    asked = {"endpoint": {"url": hook.url, "description": "books"}, "request_id": "r1"}
    made = await api("CreateEndpoint", **asked)
    assert await api("CreateEndpoint", **asked) == made
    again = await api.refused("CreateEndpoint", endpoint={"url": hook.url}, request_id="r1")
    assert again.reason == "REQUEST_ID_REUSED"
    id_ = made.endpoint.id
    rotated = await api("RotateEndpointSecret", id=id_, request_id="r2")
    assert await api("RotateEndpointSecret", id=id_, request_id="r2") == rotated
    assert rotated.secret != made.secret
    assert rotated.endpoint.HasField("previous_secret_end_time")
    changed = await api("UpdateEndpoint", endpoint={"id": id_, "types": ["limit.exceeded"], "disabled": True})
    assert (list(changed.endpoint.types), changed.endpoint.disabled) == (["limit.exceeded"], True)
    mask = {"paths": ["disabled", "description"]}
    on = (await api("UpdateEndpoint", endpoint={"id": id_, "url": "ignored"}, update_mask=mask)).endpoint
    assert (on.url, on.description, on.disabled) == (hook.url, "", False)
    assert list((await api("ListEndpoints")).endpoints) == [on]
    await api("DeleteEndpoint", id=id_, request_id="r3")
    await api("DeleteEndpoint", id=id_, request_id="r3")
    assert not (await api("ListEndpoints")).endpoints
    assert (await api.refused("DeleteEndpoint", id=id_)).reason == "ENDPOINT_NOT_FOUND"


async def test_an_endpoint_can_be_tried(api: Caller, hook: Receiver) -> None:
    made = await endpoint(api, hook.url)
    answer = await api("SendTestEvent", id=made.endpoint.id)
    assert (answer.delivered, answer.status, answer.error) == (True, 204, "")
    [got] = hook.got
    assert got.body["type"] == "endpoint.test"
    hook.answers(302, "location: https://example.com/")
    answer = await api("SendTestEvent", id=made.endpoint.id)
    assert (answer.delivered, answer.status, answer.error) == (False, 302, "redirects are not followed")


BAD_URLS = {
    "": "FIELD_INVALID",
    "example.com/hook": "FIELD_INVALID",
    "ftp://example.com/": "FIELD_INVALID",
    "https://user:secret@example.com/": "FIELD_INVALID",
    "https://example.com/#x": "FIELD_INVALID",
    "https://" + "x" * 3000: "FIELD_INVALID",
    "https://10.0.0.1/": "ADDRESS_REFUSED",
    "https://169.254.169.254/latest/meta-data": "ADDRESS_REFUSED",
    "https://[::1]:5432/": "ADDRESS_REFUSED",
    "https://[::ffff:10.0.0.1]/": "ADDRESS_REFUSED",
    "http://8.8.8.8/": "ADDRESS_REFUSED",
    "https://[::ffff:127.0.0.1]/": "ADDRESS_REFUSED",
}


@pytest.mark.parametrize("url", BAD_URLS)
async def test_p12_urls_that_are_not_taken(api: Caller, url: str) -> None:
    refused = await api.refused("CreateEndpoint", endpoint={"url": url})
    assert refused.short == ("INVALID_ARGUMENT", BAD_URLS[url])
    assert refused.field == "endpoint.url"
    assert not (await api("ListEndpoints")).endpoints


async def test_p12_what_else_is_refused(api: Caller, hook: Receiver) -> None:
    made = (await endpoint(api, hook.url)).endpoint
    for method, fields in (
        ("DeleteEndpoint", {"id": "we_none"}),
        ("RotateEndpointSecret", {"id": "we_none"}),
        ("SendTestEvent", {"id": "we_none"}),
        ("UpdateEndpoint", {"endpoint": {"id": "we_none", "disabled": True}}),
        ("ReplayDeliveries", {"endpoint": "we_none"}),
        ("ListDeliveries", {"endpoint": "we_none"}),
    ):
        assert (await api.refused(method, **fields)).short == ("NOT_FOUND", "ENDPOINT_NOT_FOUND"), method
    for method, fields, field in (
        ("CreateEndpoint", {}, "endpoint"),
        ("CreateEndpoint", {"endpoint": {"url": hook.url, "types": ["usage"]}}, "endpoint.types[0]"),
        ("CreateEndpoint", {"endpoint": {"url": hook.url, "description": "x" * 257}}, "endpoint.description"),
        ("UpdateEndpoint", {"endpoint": {"id": made.id}, "update_mask": {"paths": ["secret"]}}, "update_mask"),
        ("UpdateEndpoint", {"endpoint": {"id": made.id, "url": "x"}}, "endpoint.url"),
        ("ListDeliveries", {"state": 9}, "state"),
        ("ListDeliveries", {"page_size": -1}, "page_size"),
        ("ReplayDeliveries", {}, "endpoint"),
        ("ReplayDeliveries", {"endpoint": made.id, "start_time": stamp(5), "end_time": stamp(0)}, "end_time"),
        ("ReplayDeliveries", {"endpoint": made.id, "start_time": {"nanos": -1}}, "start_time"),
        ("SendTestEvent", {}, "id"),
    ):  # fmt: skip
        refused = await api.refused(method, **fields)
        assert (refused.reason, refused.field) == ("FIELD_INVALID", field), (method, refused)
    assert (await api.refused("ListDeliveries", page_token="x")).reason == "TOKEN_INVALID"
    await api("UpdateEndpoint", endpoint={"id": made.id, "disabled": True})
    refused = await api.refused("ReplayDeliveries", endpoint=made.id)
    assert refused.short == ("FAILED_PRECONDITION", "ENDPOINT_DISABLED")


async def test_p12_there_are_only_so_many(api: Caller, hook: Receiver) -> None:
    for _ in range(20):
        await endpoint(api, hook.url)
    refused = await api.refused("CreateEndpoint", endpoint={"url": hook.url})
    assert refused.short == ("FAILED_PRECONDITION", "TOO_MANY_ENDPOINTS")
    assert refused.metadata == {"maximum": "20"}
