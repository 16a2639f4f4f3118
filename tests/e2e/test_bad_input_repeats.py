"""Requests that come again with something else in them, and clients whose clocks jump."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.e2e.calls import Caller, request_type, stamp
from tests.e2e.quota import acquire, consume, event, figures, furnish, limit, record, reserve

DAY = 86_400


@pytest.fixture
async def quota(api: Caller) -> Caller:
    """A tenant with a limit of 2,000 calls a month, the customers acme and beta, and a subject of acme."""
    await furnish(api)
    return api


def _want(**fields: Any) -> dict[str, Any]:
    return {"subject": "acme", "amounts": [{"meter": "calls"}], **fields}


# --- repeats that are none ----------------------------------------------------------------------------------------


LEASE = {"subject": "acme", "meter": "calls", "holder": "h", "amount": "10"}
OTHERS: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]]]] = {
    "ReserveQuota": ("reservation", _want(), [
        {"subject": "acme-key"}, {"subject": "beta"}, {"partial_ok": True}, {"ttl": {"seconds": 1}},
        {"amounts": [{"meter": "calls", "amount": "2"}]}, {"amounts": [{"meter": "tokens"}]},
        {"amounts": [{"meter": "calls", "labels": {"region": "eu"}}]}, {"amounts": [{"meter": "nope"}]},
    ]),
    "AcquireLease": ("lease", LEASE, [
        {"subject": "beta"}, {"meter": "tokens"}, {"holder": "g"}, {"amount": "11"}, {"labels": {"region": "eu"}},
        {"meter": "nope"},
    ]),
}  # fmt: skip


@pytest.mark.parametrize("method", OTHERS)
async def test_p12_a_request_id_with_another_body(quota: Caller, method: str) -> None:
    field, body, others = OTHERS[method]
    first = getattr(await quota(method, **body, request_id="r-1"), field)
    for other in others:
        answer = await quota.refused(method, **{**body, **other}, request_id="r-1")
        assert answer.short == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED"), other
        assert answer.metadata == {"request_id": "r-1"}
    assert getattr(await quota(method, **body, request_id="r-1"), field).id == first.id
    assert await figures(quota) == ({"reserved": "1"} if field == "reservation" else {"leased": "10"})


@pytest.mark.parametrize("method", OTHERS)
async def test_p12_a_request_id_with_other_bodies_at_once(quota: Caller, method: str) -> None:
    field, body, others = OTHERS[method]
    bodies = [body, {**body, **others[3]}] * 4
    made = await asyncio.gather(
        *(quota.answer(method, request_type(method)(**one, request_id="r-1")) for one in bodies)
    )
    ids = {getattr(one.response, field).id for one in made if one.response is not None}
    refused = [one.reason for one in made if one.response is None]
    assert (len(ids), refused) == (1, ["REQUEST_ID_REUSED"] * 4)


async def test_p1_a_unit_of_which_some_ids_are_known(quota: Caller) -> None:
    first = [event(id="a"), event(id="b")]
    await quota("ConsumeQuota", events=first)
    await record(quota, id="fact", amount="1")
    for unit in ([*first, event(id="new")], [event(id="new"), event(id="fact")], [event(id="new"), first[0]]):
        answer = await quota.refused("ConsumeQuota", events=unit)
        assert answer.short == ("ALREADY_EXISTS", "UNIT_PARTLY_KNOWN")
        assert answer.metadata["id"] in ("a", "b", "fact")
    other = [event(id="a"), event(id="b", amount="2")]
    assert (await quota.refused("ConsumeQuota", events=other)).short == ("ALREADY_EXISTS", "EVENT_CONFLICT")
    assert await figures(quota) == {"used": "3"}


async def test_p1_a_batch_in_which_units_share_ids(quota: Caller) -> None:
    units = [[event(id="a"), event(id="b")], [event(id="b"), event(id="c")], [event(id="a", amount="7")]]
    results = (await quota("BatchConsumeQuota", consumes=[{"events": unit} for unit in units])).results
    assert [(one.allowed, one.error_reason) for one in results] == [
        (True, ""), (False, "UNIT_PARTLY_KNOWN"), (False, "EVENT_CONFLICT"),
    ]  # fmt: skip
    assert await figures(quota) == {"used": "2"}


# --- clocks that jump ---------------------------------------------------------------------------------------------


async def test_p12_times_of_clients_far_off(quota: Caller) -> None:
    for seconds, reason in ((-40 * DAY, "TIME_TOO_OLD"), (3_600, "TIME_IN_FUTURE")):
        answer = await quota.refused("ConsumeQuota", events=[event(), event(time=stamp(seconds))])
        assert answer.short == ("INVALID_ARGUMENT", reason)
        assert {"earliest", "latest"} <= answer.metadata.keys()
    assert await figures(quota) == {}


async def test_p2_what_is_consumed_counts_now_whatever_its_time_says(quota: Caller) -> None:
    await limit(quota, {"name": "month", "max": "3"})
    for seconds in (-34 * DAY, 200, -1):
        assert (await consume(quota, time=stamp(seconds))).allowed
    assert not (await consume(quota, time=stamp(-34 * DAY))).allowed
    assert await figures(quota) == {"used": "3"}


async def test_p2_what_settles_counts_with_its_hold_whatever_its_time_says(quota: Caller) -> None:
    reserved, leased = await reserve(quota, "4"), await acquire(quota, "4")
    for seconds in (-34 * DAY, 200):
        for held in (reserved, leased):
            receipt = await record(quota, "2", settles=held.id, time=stamp(seconds))
            assert (receipt.outcome, receipt.unsettled) == (1, "")
    assert await figures(quota) == {"used": "8"}
    done = await quota("CommitReservation", reservation_id=reserved.id, events=[event(time=stamp(-34 * DAY))])
    assert done.late is False
    assert await figures(quota) == {"used": "9"}


async def test_p1_a_repeat_with_another_time_is_a_conflict(quota: Caller) -> None:
    first = event(time=stamp(-5))
    await quota("ConsumeQuota", events=[first])
    answer = await quota.refused("ConsumeQuota", events=[{**first, "time": stamp(-4)}])
    assert (*answer.short, answer.field) == ("ALREADY_EXISTS", "EVENT_CONFLICT", "time")
    again = await quota("ConsumeQuota", events=[first])
    assert [one.outcome for one in again.receipts] == [2]
