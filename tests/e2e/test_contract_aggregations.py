"""Meters of every aggregation, as clients meet them: in the catalog, in decisions and where they cannot be used."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from metergate.cli.catalog import read_catalog
from metergate.rpc.convert_catalog import from_pb_catalog
from metergate.v1 import catalog_pb2 as pb
from tests.e2e.calls import Caller

EXAMPLES = sorted(Path(__file__).parents[2].joinpath("examples").glob("*.yaml"))
_ids = itertools.count()


def _login(user: str, **fields: Any) -> dict[str, Any]:
    return {"id": f"u-{next(_ids)}", "type": "login", "subject": "acme", "labels": {"user": user}, **fields}


async def _furnish(api: Caller, *limits: dict[str, Any], **meter: Any) -> None:
    meters = [{"name": "users", "event_type": "login", "aggregation": "AGGREGATION_UNIQUE", "value": "user", **meter}]
    limited = [{"meter": "users", "max": "2", **limit} for limit in limits or ({},)]
    await api("ApplyCatalog", catalog={"meters": meters, "plans": [{"name": "default", "limits": limited}]})


async def _consume(api: Caller, *users: str) -> Any:
    return (await api("ConsumeQuota", events=[_login(user) for user in users])).decision


async def _check(api: Caller, user: str, **more: Any) -> Any:
    amounts = [{"meter": "users", "labels": {"user": user}, **more}]
    return (await api("CheckQuota", subject="acme", amounts=amounts)).decision


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_is_a_catalog_that_no_rule_forbids(path: Path) -> None:
    from_pb_catalog(read_catalog(path)).check()


async def test_a_catalog_of_every_aggregation_comes_back_as_it_was_sent(api: Caller) -> None:
    (path,) = [path for path in EXAMPLES if path.stem == "aggregations"]
    sent = read_catalog(path)
    assert {meter.aggregation for meter in sent.meters} == set(pb.Aggregation.values()) - {pb.AGGREGATION_UNSPECIFIED}
    await api("ApplyCatalog", catalog=sent)
    got = (await api("GetCatalog")).catalog
    by_name = {meter.name: meter for meter in got.meters}
    for meter in sent.meters:
        assert from_pb_catalog(pb.Catalog(meters=[by_name[meter.name]])) == from_pb_catalog(pb.Catalog(meters=[meter]))
    assert not (await api("ApplyCatalog", catalog=got, dry_run=True)).changes


async def test_a_dry_run_says_in_words_what_would_change_of_a_meter(api: Caller) -> None:
    await api("ApplyCatalog", catalog={"meters": [{"name": "size", "aggregation": "AGGREGATION_MAX"}]})
    new = {
        "name": "size",
        "aggregation": "AGGREGATION_PERCENTILE",
        "percentile": "99.5",
        "scale": "0.001",
        "filters": [
            {"label": "region", "op": "OP_IN", "values": ["eu", "us"]}, {"label": "ok", "op": "OP_NOT", "values": [""]},
        ],
        "accept_window": {"seconds": 86_400},
        "late_policy": "LATE_POLICY_REOPEN_DRAFT",
    }  # fmt: skip
    (change,) = (await api("ApplyCatalog", catalog={"meters": [new]}, dry_run=True)).changes
    assert list(change.differences) == [
        "aggregation: max -> percentile",
        "filters: [] -> [region in eu|us, ok not '']",
        "scale: 1 -> 0.001",
        "percentile: none -> 99.5",
        "accept_window: none -> 1d",
        "late_policy: next_invoice -> reopen_draft",
    ]
    level = {"name": "size", "aggregation": "AGGREGATION_LEVEL", "level_unit": "LEVEL_UNIT_DAY"}
    (change,) = (await api("ApplyCatalog", catalog={"meters": [level]}, dry_run=True)).changes
    assert list(change.differences) == ["aggregation: max -> level", "level_unit: none -> day"]
    assert (await api("GetCatalog")).version == 1


async def test_p2_the_next_user_is_refused_and_those_there_are_go_on(api: Caller) -> None:
    await _furnish(api)
    await api("CreateCustomer", customer={"id": "acme"})
    allowed = [(await _consume(api, user)).allowed for user in "abacb"]
    assert allowed == [True, True, True, False, True]
    refused = await _consume(api, "a", "c")
    assert (refused.allowed, refused.reason) == (False, "users/month allows 2 per month; 0 left")
    explained = await api("ExplainDecision", decision_id=refused.decision_id)
    assert explained.confirmed
    assert not explained.decision.allowed


async def test_a_question_is_answered_by_what_the_value_would_add(api: Caller) -> None:
    await _furnish(api)
    await api("CreateCustomer", customer={"id": "acme"})
    assert (await _check(api, "a")).allowed
    assert (await _check(api, "a", amount="2")).allowed
    await _consume(api, "a", "b")
    token = (await api("ConsumeQuota", events=[_login("a")])).token
    amounts = [{"meter": "users", "labels": {"user": "a"}}]
    known = await api("CheckQuota", subject="acme", amounts=amounts, token=token)
    assert known.decision.allowed
    assert not (await _check(api, "c")).allowed
    assert not (await _check(api, "a", amount="2")).allowed


async def test_what_is_told_apart_cannot_be_held(api: Caller) -> None:
    await _furnish(api)
    await api("CreateCustomer", customer={"id": "acme"})
    for method, request in (
        ("ReserveQuota", {"amounts": [{"meter": "users", "amount": "1"}]}),
        ("AcquireLease", {"meter": "users", "amount": "1", "holder": "h"}),
        ("CreateGrant", {"customer": "acme", "meter": "users", "amount": "1"}),
    ):
        asked = request if method == "CreateGrant" else {"subject": "acme", **request}
        answer = await api.refused(method, **asked)
        assert answer.short == ("FAILED_PRECONDITION", "METER_CAN_SHRINK"), method
        assert answer.metadata == {"meter": "users"}


async def test_events_that_their_meter_takes_no_more_are_refused(api: Caller) -> None:
    """An event type whose meters all have a window accepts as long as one of them does."""
    meters = [
        {"name": "short", "event_type": "reading", "accept_window": {"seconds": 3600}},
        {"name": "long", "event_type": "reading", "aggregation": "AGGREGATION_MAX", "accept_window": {"seconds": 7200}},
    ]
    await api("ApplyCatalog", catalog={"meters": meters})
    await api("CreateCustomer", customer={"id": "acme"})

    def reading(hours: float) -> dict[str, Any]:
        return {**_login("a"), "type": "reading", "time": datetime.now(UTC) - timedelta(hours=hours)}

    await api("RecordUsage", event=reading(1.5))
    answer = await api.refused("RecordUsage", event=reading(2.5))
    assert answer.short == ("INVALID_ARGUMENT", "TIME_TOO_OLD")
    await api("RecordUsage", event={**reading(2.5), "type": "other"})
