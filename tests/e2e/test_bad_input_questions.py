"""Questions that cannot be answered: unknown meters and subjects, ranges without sense, pages that are not ours."""

from __future__ import annotations

import base64
from typing import Any

import grpc
import pytest

from tests.e2e.calls import Caller, request_type, stamp

DAY = 86_400
YEAR = {"start_time": {"seconds": 1_700_000_000}, "end_time": {"seconds": 1_700_000_000 + 365 * DAY}}


@pytest.fixture
async def asked(api: Caller) -> Caller:
    """A tenant with two meters, two customers with two subjects each, and three events."""
    meters = [{"name": "calls", "dimensions": ["region"]}, {"name": "bytes", "dimensions": ["route"]}]
    limits = [{"meter": "calls", "max": "10"}]
    await api("ApplyCatalog", catalog={"meters": meters, "plans": [{"name": "default", "limits": limits}]})
    for customer in ("acme", "beta"):
        await api("CreateCustomer", customer={"id": customer})
        for name in ("a", "b"):
            await api("CreateSubject", subject={"id": f"{customer}-{name}", "customer": customer})
    events = [{"id": f"e{number}", "type": "calls", "subject": "acme-a"} for number in range(3)]
    await api("BatchRecordUsage", events=events)
    return api


def _check(subject: str = "acme", **amount: Any) -> dict[str, Any]:
    return {"subject": subject, "amounts": [{"meter": "calls", **amount}]}


CHECKS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "an unknown meter": (_check(meter="nope"), "NOT_FOUND", "METER_NOT_FOUND", ""),
    "an unknown meter of a long name": (_check(meter="m" * 100_000), "NOT_FOUND", "METER_NOT_FOUND", ""),
    "no meter": (_check(meter=""), "NOT_FOUND", "METER_NOT_FOUND", ""),
    "an unknown subject": (_check("nobody"), "NOT_FOUND", "SUBJECT_NOT_FOUND", ""),
    "no subject": (_check(""), "INVALID_ARGUMENT", "FIELD_INVALID", "subject"),
    "a subject over 256 bytes": (_check("s" * 257), "INVALID_ARGUMENT", "FIELD_INVALID", "subject"),
    "a control character": (_check("a\x00"), "INVALID_ARGUMENT", "FIELD_INVALID", "subject"),
    "no amounts": ({"subject": "acme"}, "INVALID_ARGUMENT", "FIELD_INVALID", "amounts"),
    "17 amounts": (
        {"subject": "acme", "amounts": [{"meter": "calls"}] * 17}, "INVALID_ARGUMENT", "FIELD_INVALID", "amounts",
    ),
    "1e400": (_check(amount="1e400"), "INVALID_ARGUMENT", "QUANTITY_INVALID", "amounts[0].amount"),
    "a negative amount": (_check(amount="-1"), "INVALID_ARGUMENT", "FIELD_INVALID", "amounts[0].amount"),
    "a token that is none": (_check() | {"token": "nonsense"}, "INVALID_ARGUMENT", "TOKEN_INVALID", "token"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHECKS)
async def test_p12_a_check_that_cannot_be_answered(asked: Caller, what: str) -> None:
    request, code, reason, field = CHECKS[what]
    answer = await asked.refused("CheckQuota", **request)
    assert answer.short == (code, reason)
    assert answer.field == field


async def test_p12_a_bad_check_in_a_batch_does_not_stop_the_others(asked: Caller) -> None:
    checks = [check for request, *_ in CHECKS.values() for check in (_check(), request)]
    results = (await asked("BatchCheckQuota", checks=checks)).results
    for number, (_, _, reason, _) in enumerate(CHECKS.values()):
        good, bad = results[2 * number : 2 * number + 2]
        assert (good.error_reason, good.decision.allowed) == ("", True)
        assert (bad.error_reason, bad.HasField("decision")) == (reason, False)
        assert bad.error_message
    answer = await asked.refused("BatchCheckQuota", checks=[_check()] * 5_001)
    assert answer.short == ("INVALID_ARGUMENT", "BATCH_TOO_LARGE")


async def test_p12_unknown_things_in_production(production: Caller) -> None:
    await production("SetLimit", limit={"meter": "calls", "max": "10"})
    for subject, meter, reason in (("acme", "calls", "SUBJECT_NOT_FOUND"), ("acme", "nope", "SUBJECT_NOT_FOUND")):
        answer = await production.refused("CheckQuota", subject=subject, amounts=[{"meter": meter}])
        assert answer.short == ("NOT_FOUND", reason)
        assert answer.metadata["subject"] == "acme"
    await production("CreateCustomer", customer={"id": "acme"})
    answer = await production.refused("CheckQuota", subject="acme", amounts=[{"meter": "nope"}])
    assert (answer.short, answer.metadata["meter"]) == (("NOT_FOUND", "METER_NOT_FOUND"), "nope")
    for method, request in (("ListLimits", {"subject": "nobody"}), ("GetUsageSummary", {"subject": "nobody"})):
        assert (await production.refused(method, **request)).reason == "SUBJECT_NOT_FOUND"


async def test_asking_makes_nothing_even_in_dev(asked: Caller) -> None:
    await asked.refused("CheckQuota", **_check("newcomer"))
    assert (await asked.refused("GetCustomer", id="newcomer")).reason == "CUSTOMER_NOT_FOUND"


SUMMARIES: dict[str, tuple[dict[str, Any], str, str]] = {
    "the end before the start": (
        {"start_time": {"seconds": 200}, "end_time": {"seconds": 100}}, "FIELD_INVALID", "end_time",
    ),
    "the end at the start": (
        {"start_time": {"seconds": 100}, "end_time": {"seconds": 100}}, "FIELD_INVALID", "end_time",
    ),
    "before 1970": ({"start_time": {"seconds": -1}}, "FIELD_INVALID", "start_time"),
    "after 2200": ({"end_time": {"seconds": 2**60}}, "FIELD_INVALID", "end_time"),
    "a nanosecond too many": ({"end_time": {"nanos": 10**9}}, "FIELD_INVALID", "end_time"),
    "a year by minute": (YEAR | {"granularity": "GRANULARITY_MINUTE"}, "TOO_MANY_POINTS", "granularity"),
    "all time by minute": (
        {"start_time": {}, "end_time": {"seconds": 7_000_000_000}, "granularity": "GRANULARITY_MINUTE"},
        "TOO_MANY_POINTS", "granularity",
    ),
    "an unknown granularity": ({"granularity": 99}, "FIELD_INVALID", "granularity"),
    "an unknown zone": ({"time_zone": "Europe/Atlantis"}, "FIELD_INVALID", "time_zone"),
    "a zone that is a folder": ({"time_zone": "Europe"}, "FIELD_INVALID", "time_zone"),
    "a zone that is a path": ({"time_zone": "../../etc/passwd"}, "FIELD_INVALID", "time_zone"),
    "the zone of the machine": ({"time_zone": "localtime"}, "FIELD_INVALID", "time_zone"),
    "a zone over 256 bytes": ({"time_zone": "x" * 257}, "FIELD_INVALID", "time_zone"),
    "a long group": ({"group_by": ["g" * 100_000]}, "FIELD_INVALID", "group_by"),
    "a label without a name": ({"group_by": [""]}, "FIELD_INVALID", "group_by"),
    "eleven labels": ({"group_by": [f"label{number}" for number in range(11)]}, "FIELD_INVALID", "group_by"),
    "a label in both filters": (
        {"filters": {"region": "eu"}, "filters_any": {"region": {"values": ["eu"]}}}, "FIELD_INVALID", "filters_any",
    ),
    "a filter without values": ({"filters_any": {"region": {}}}, "FIELD_INVALID", "filters"),
    "a filter of too many values": (
        {"filters_any": {"region": {"values": [str(number) for number in range(101)]}}}, "FIELD_INVALID", "filters",
    ),
    "the top over the cap": ({"group_by": ["region"], "top": 1_001}, "FIELD_INVALID", "top"),
    "a negative top": ({"group_by": ["region"], "top": -1}, "FIELD_INVALID", "top"),
    "the top of no groups": ({"top": 3}, "FIELD_INVALID", "top"),
    "an unknown projection": ({"projection": 9}, "FIELD_INVALID", "projection"),
    "known at a seq and a moment": (
        {"known_at_seq": 1, "known_at_time": {"seconds": 5}}, "FIELD_INVALID", "known_at_time",
    ),
    "known at a seq to come": ({"known_at_seq": 2**62}, "FIELD_INVALID", "known_at_seq"),
    "known at a negative seq": ({"known_at_seq": -1}, "FIELD_INVALID", "known_at_seq"),
    "known at a moment to come": ({"known_at_time": stamp(3_600)}, "FIELD_INVALID", "known_at_time"),
    "known before 1970": ({"known_at_time": {"seconds": -5}}, "FIELD_INVALID", "known_at_time"),
    "known at half a nanosecond": ({"known_at_time": {"nanos": -1}}, "FIELD_INVALID", "known_at_time"),
    "known then and projected": (
        {"known_at_seq": 1, "projection": "PROJECTION_METHOD_LINEAR"}, "FIELD_INVALID", "projection",
    ),
    "a long filter": ({"filters": {"f" * 100_000: "/"}}, "FIELD_INVALID", "filters"),
    "a filter that Postgres cannot hold": ({"filters": {"region": "a\x00b"}}, "FIELD_INVALID", "filters"),
    "an unknown meter": ({"meters": ["nope"]}, "METER_NOT_FOUND", ""),
    "an unknown meter of a long name": ({"meters": ["m" * 100_000]}, "METER_NOT_FOUND", ""),
    "21 meters": ({"meters": ["calls"] * 21}, "FIELD_INVALID", "meters"),
    "customer and subject": ({"subject": "acme-a"}, "FIELD_INVALID", "customer"),
    "neither of them": ({"customer": ""}, "FIELD_INVALID", "customer"),
    "an unknown customer": ({"customer": "nobody"}, "CUSTOMER_NOT_FOUND", ""),
    "an unknown subject": ({"customer": "", "subject": "nobody"}, "SUBJECT_NOT_FOUND", ""),
    "a customer over 256 bytes": ({"customer": "x" * 257}, "FIELD_INVALID", "customer"),
    "a token that is none": ({"token": "nonsense"}, "TOKEN_INVALID", "token"),
}  # fmt: skip


@pytest.mark.parametrize("what", SUMMARIES)
async def test_p12_a_summary_that_makes_no_sense(asked: Caller, what: str) -> None:
    wrong, reason, field = SUMMARIES[what]
    answer = await asked.refused("GetUsageSummary", **{"customer": "acme", "meters": ["calls"], **wrong})
    code = "NOT_FOUND" if reason.endswith("_NOT_FOUND") else "INVALID_ARGUMENT"
    assert answer.short == (code, reason)
    assert answer.field == field


async def test_a_year_by_minute_says_how_many_points(asked: Caller) -> None:
    answer = await asked.refused("GetUsageSummary", customer="acme", granularity="GRANULARITY_MINUTE", **YEAR)
    assert (answer.metadata["points"], answer.metadata["maximum"]) == ("525600", "10000")
    assert len((await asked("GetUsageSummary", customer="acme", granularity="GRANULARITY_HOUR", **YEAR)).series) == 2


LISTINGS: dict[str, tuple[dict[str, Any], str, str]] = {
    "the end before the start": ({"start_time": stamp(0), "end_time": stamp(-60)}, "FIELD_INVALID", "end_time"),
    "before 1970": ({"start_time": {"seconds": -1}}, "FIELD_INVALID", "start_time"),
    "a subject of another customer": ({"customer": "beta", "subject": "acme-a"}, "FIELD_INVALID", "subject"),
    "an unknown customer": ({"customer": "nobody"}, "CUSTOMER_NOT_FOUND", ""),
    "a type over 256 bytes": ({"type": "x" * 257}, "FIELD_INVALID", "type"),
    "a control character": ({"type": "a\x00"}, "FIELD_INVALID", "type"),
}


@pytest.mark.parametrize("what", LISTINGS)
async def test_p12_a_listing_that_makes_no_sense(asked: Caller, what: str) -> None:
    wrong, reason, field = LISTINGS[what]
    answer = await asked.refused("ListUsageEvents", **wrong)
    assert (answer.reason, answer.field) == (reason, field)


async def test_p12_limits_of_unknown_things(asked: Caller) -> None:
    for request, reason in (
        ({"subject": ""}, "FIELD_INVALID"),
        ({"subject": "nobody"}, "SUBJECT_NOT_FOUND"),
        ({"subject": "acme", "meters": ["nope"]}, "METER_NOT_FOUND"),
        ({"subject": "acme", "meters": ["m" * 100_000]}, "METER_NOT_FOUND"),
        ({"subject": "acme", "meters": ["calls"] * 101}, "FIELD_INVALID"),
    ):
        assert (await asked.refused("ListLimits", **request)).reason == reason


# Each list, and how many entries it has in all.
LISTS: dict[str, tuple[dict[str, Any], int]] = {
    "ListCustomers": ({}, 2),
    "ListSubjects": ({"customer": "acme"}, 3),  # its own id is one of them
    "ListUsageEvents": ({}, 3),
}


def _entries(response: Any) -> list[Any]:
    return [one for field, value in response.ListFields() if field.is_repeated for one in value]


@pytest.mark.parametrize("method", LISTS)
async def test_p12_page_sizes(asked: Caller, method: str) -> None:
    request, count = LISTS[method]
    for size in (-1, -(2**31)):
        answer = await asked.refused(method, **request, page_size=size)
        assert (answer.short, answer.field) == (("INVALID_ARGUMENT", "FIELD_INVALID"), "page_size")
    for size in (0, 1_000, 1_001, 2**31 - 1):
        response = await asked(method, **request, page_size=size)
        assert (len(_entries(response)), response.next_page_token) == (count, "")


@pytest.mark.parametrize("method", LISTS)
async def test_pages_join_without_gaps(asked: Caller, method: str) -> None:
    request, count = LISTS[method]
    found, token = [], ""
    while len(found) < count:
        page = await asked(method, **request, page_size=1, page_token=token)
        found += [one.SerializeToString() for one in _entries(page)]
        token = page.next_page_token
    assert (len(set(found)), token) == (count, "")


@pytest.mark.parametrize("method", LISTS)
async def test_p12_page_tokens_of_another_request(asked: Caller, method: str) -> None:
    tokens = {name: (await asked(name, **request, page_size=1)).next_page_token for name, (request, _) in LISTS.items()}
    request, _ = LISTS[method]
    wrong = [(request, token) for name, token in tokens.items() if name != method]
    if method == "ListSubjects":
        wrong.append(({"customer": "beta"}, tokens[method]))
    if method == "ListUsageEvents":
        others: list[dict[str, Any]] = [
            {"customer": "acme"}, {"subject": "acme-a"}, {"type": "calls"}, {"unmatched_only": True},
            {"start_time": stamp(-60)},
        ]  # fmt: skip
        wrong += [(other, tokens[method]) for other in others]
    wrong += [(request, "nonsense"), (request, "é"), (request, "AAAA" * 10), (request, "=" * 40), (request, "A")]
    for asking, token in wrong:
        answer = await asked.refused(method, **asking, page_token=token)
        assert answer.short == ("INVALID_ARGUMENT", "TOKEN_INVALID"), (asking, token)
        assert answer.field == "page_token"


@pytest.mark.parametrize("method", LISTS)
async def test_p12_page_tokens_with_a_changed_byte(asked: Caller, method: str) -> None:
    request, _ = LISTS[method]
    token = (await asked(method, **request, page_size=1)).next_page_token
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        text = base64.urlsafe_b64encode(changed).rstrip(b"=").decode()
        answer = await asked.refused(method, **request, page_token=text)
        assert answer.short == ("INVALID_ARGUMENT", "TOKEN_INVALID"), place
    for text in (token[:-1], token + "A", token + "=", "!" + token, token[:5] + "\n" + token[5:]):
        assert (await asked.refused(method, **request, page_token=text)).reason == "TOKEN_INVALID", text


async def test_p12_write_tokens_that_are_none(asked: Caller) -> None:
    event = {"id": "e-token", "type": "calls", "subject": "acme"}
    token = (await asked("RecordUsage", event=event)).token
    page = (await asked("ListCustomers", page_size=1)).next_page_token
    wrong = (page, token[:-2], token[1:], token.swapcase())
    for text in wrong:
        assert (await asked.refused("CheckQuota", **_check(), token=text)).reason == "TOKEN_INVALID"
        assert (await asked.refused("GetUsageSummary", customer="acme", token=text)).reason == "TOKEN_INVALID"
    assert (await asked.refused("ListCustomers", page_token=token)).reason == "TOKEN_INVALID"
    right = await asked.answer("CheckQuota", request_type("CheckQuota")(**_check(), token=token))
    assert right.code is grpc.StatusCode.OK
