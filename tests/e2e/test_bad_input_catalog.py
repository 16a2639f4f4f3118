"""Catalogs that contradict themselves, and changes that would leave customers behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from metergate.v1 import catalog_pb2
from tests.e2e.calls import Caller

METER = {"name": "calls", "dimensions": ["region"]}
SHRINKS = {"name": "balance", "allow_negative": True}


def _limited(**limit: Any) -> dict[str, Any]:
    """A catalog whose one limit is wrong in some way."""
    limits = [{"meter": "calls", "max": "1", **limit}]
    return {"meters": [METER, SHRINKS], "plans": [{"name": "default", "limits": limits}]}


def _meter(**meter: Any) -> dict[str, Any]:
    return {"meters": [{**METER, **meter}]}


LIMIT = "plans[0].limits[0]"
FILTER = "meters[0].filters[0]"
COUNT, UNIQUE, PERCENTILE, LEVEL = (
    catalog_pb2.Aggregation.Value(f"AGGREGATION_{name}") for name in ("COUNT", "UNIQUE", "PERCENTILE", "LEVEL")
)
SHRINKING = {
    name: catalog_pb2.Aggregation.Value(f"AGGREGATION_{name}")
    for name in ("AVG", "MIN", "MAX", "LATEST", "PERCENTILE")
}  # fmt: skip
HARD, SOFT, GRACE = (catalog_pb2.Policy.Value(f"POLICY_{name}") for name in ("HARD", "SOFT", "GRACE"))
RATE, CONCURRENCY, GRANTS = (
    catalog_pb2.LimitKind.Value(f"LIMIT_KIND_{name}") for name in ("RATE", "CONCURRENCY", "GRANTS")
)
EQUALS, IN, PREFIX = (catalog_pb2.LabelFilter.Op.Value(f"OP_{name}") for name in ("EQUALS", "IN", "PREFIX"))


def _filter(**filter_: Any) -> dict[str, Any]:
    return {"label": "region", "values": ["eu"], **filter_}


def _on(aggregation: int, **limit: Any) -> dict[str, Any]:
    """A limit on a meter of that aggregation."""
    more = {"percentile": "95"} if aggregation == PERCENTILE else {}
    limits = [{"meter": "calls", "max": "1", **limit}]
    return {
        "meters": [{**METER, "aggregation": aggregation, **more}],
        "plans": [{"name": "default", "limits": limits}],
    }


CATALOGS: dict[str, tuple[dict[str, Any], str, str]] = {
    "a limit on an unknown meter": (_limited(meter="nope"), "CATALOG_INVALID", f"{LIMIT}.meter"),
    "a negative limit": (_limited(max="-1"), "FIELD_INVALID", f"{LIMIT}.max"),
    "a limit without a maximum": (_limited(max=""), "QUANTITY_INVALID", f"{LIMIT}.max"),
    "a limit that is NaN": (_limited(max="NaN"), "QUANTITY_INVALID", f"{LIMIT}.max"),
    "a limit of -1 for unlimited": (_limited(max="-1"), "FIELD_INVALID", f"{LIMIT}.max"),
    "an undeclared label": (_limited(labels={"route": "/"}), "CATALOG_INVALID", f"{LIMIT}.labels"),
    "an undeclared label to split by": (_limited(per_labels=["route"]), "CATALOG_INVALID", f"{LIMIT}.labels"),
    "a label fixed and split by": (
        _limited(labels={"region": "eu"}, per_labels=["region"]), "CATALOG_INVALID", f"{LIMIT}.per_labels",
    ),
    "a label split by twice": (
        _limited(per_labels=["region", "region"]), "CATALOG_INVALID", f"{LIMIT}.per_labels",
    ),
    "a label that Postgres cannot hold": (
        _limited(labels={"region": "a\x00b"}), "CATALOG_INVALID", f"{LIMIT}.labels",
    ),
    "HARD on a meter that can shrink": (_limited(meter="balance"), "CATALOG_INVALID", f"{LIMIT}.policy"),
    "an unknown period": (_limited(period=99), "FIELD_INVALID", f"{LIMIT}.period"),
    "an unknown policy": (_limited(policy=-1), "FIELD_INVALID", f"{LIMIT}.policy"),
    "an unknown scope": (_limited(scope=2**31 - 1), "FIELD_INVALID", f"{LIMIT}.scope"),
    "an unknown aggregation": (_meter(aggregation=99), "FIELD_INVALID", "meters[0].aggregation"),
    "a limit's bad name": (_limited(name="a b"), "CATALOG_INVALID", f"{LIMIT}.name"),
    "a meter without a name": (_meter(name=""), "CATALOG_INVALID", "meters[0].name"),
    "a meter's name over 64": (_meter(name="m" * 65), "CATALOG_INVALID", "meters[0].name"),
    "a meter's name with a line's end": (_meter(name="calls\n"), "CATALOG_INVALID", "meters[0].name"),
    "a meter's long event type": (_meter(event_type="t" * 129), "CATALOG_INVALID", "meters[0].event_type"),
    "a meter's long value": (_meter(value="v" * 65), "CATALOG_INVALID", "meters[0].value"),
    "6 dimensions": (_meter(dimensions=list("abcdef")), "CATALOG_INVALID", "meters[0].dimensions"),
    "a dimension twice": (_meter(dimensions=["a", "a"]), "CATALOG_INVALID", "meters[0].dimensions"),
    "a dimension called subject": (_meter(dimensions=["subject"]), "CATALOG_INVALID", "meters[0].dimensions"),
    "a unit that Postgres cannot hold": (_meter(unit="a\x00"), "CATALOG_INVALID", "meters[0].unit"),
    "a description that Postgres cannot hold": (
        _meter(description="a\x00"), "CATALOG_INVALID", "meters[0].description",
    ),
    "a display name that Postgres cannot hold": (
        {"plans": [{"name": "default", "display_name": "a\x00"}]}, "CATALOG_INVALID", "plans[0].display_name",
    ),
    "a scale of nothing": (_meter(scale="0"), "CATALOG_INVALID", "meters[0].scale"),
    "a negative scale": (_meter(scale="-1"), "QUANTITY_INVALID", "meters[0].scale"),
    "a scale that is no number": (_meter(scale="1e-9"), "QUANTITY_INVALID", "meters[0].scale"),
    "a scale of 31 places": (_meter(scale="0." + "0" * 30 + "1"), "QUANTITY_INVALID", "meters[0].scale"),
    "a scale of what only counts": (_meter(aggregation=COUNT, scale="2"), "CATALOG_INVALID", "meters[0].scale"),
    "a scale of what tells apart": (_meter(aggregation=UNIQUE, scale="2"), "CATALOG_INVALID", "meters[0].scale"),
    "a percentile without per cent": (_meter(aggregation=PERCENTILE), "CATALOG_INVALID", "meters[0].percentile"),
    "a percentile of 0": (_meter(aggregation=PERCENTILE, percentile="0"), "CATALOG_INVALID", "meters[0].percentile"),
    "a percentile over 100": (
        _meter(aggregation=PERCENTILE, percentile="100.1"), "CATALOG_INVALID", "meters[0].percentile",
    ),
    "a percentile in words": (
        _meter(aggregation=PERCENTILE, percentile="p95"), "QUANTITY_INVALID", "meters[0].percentile",
    ),
    "per cent of a sum": (_meter(percentile="95"), "CATALOG_INVALID", "meters[0].percentile"),
    "a level's unit of a sum": (_meter(level_unit=1), "CATALOG_INVALID", "meters[0].level_unit"),
    "an unknown unit of a level": (_meter(aggregation=LEVEL, level_unit=9), "FIELD_INVALID", "meters[0].level_unit"),
    "different values that are negative": (
        _meter(aggregation=UNIQUE, allow_negative=True), "CATALOG_INVALID", "meters[0].allow_negative",
    ),
    "an accept window of nothing": (
        _meter(accept_window={"seconds": 0}), "CATALOG_INVALID", "meters[0].accept_window",
    ),
    "an accept window of 20 years": (
        _meter(accept_window={"seconds": 20 * 365 * 86_400}), "CATALOG_INVALID", "meters[0].accept_window",
    ),
    "an unknown late policy": (_meter(late_policy=17), "FIELD_INVALID", "meters[0].late_policy"),
    "11 filters": (
        _meter(filters=[_filter(label=f"l{number}") for number in range(11)]), "CATALOG_INVALID", "meters[0].filters",
    ),
    "a filter without a label": (_meter(filters=[_filter(label="")]), "CATALOG_INVALID", f"{FILTER}.label"),
    "a filter's label with a line's end": (
        _meter(filters=[_filter(label="a\n")]), "CATALOG_INVALID", f"{FILTER}.label",
    ),
    "a filter's long label": (_meter(filters=[_filter(label="l" * 65)]), "CATALOG_INVALID", f"{FILTER}.label"),
    "a filter without values": (_meter(filters=[_filter(values=[])]), "CATALOG_INVALID", f"{FILTER}.values"),
    "a filter of 101 values": (
        _meter(filters=[_filter(op=IN, values=[f"{number}" for number in range(101)])]), "CATALOG_INVALID",
        f"{FILTER}.values",
    ),
    "a filter's value twice": (
        _meter(filters=[_filter(op=IN, values=["a", "a"])]), "CATALOG_INVALID", f"{FILTER}.values",
    ),
    "a filter that equals two values": (
        _meter(filters=[_filter(op=EQUALS, values=["a", "b"])]), "CATALOG_INVALID", f"{FILTER}.values",
    ),
    "a filter by a prefix of nothing": (
        _meter(filters=[_filter(op=PREFIX, values=[""])]), "CATALOG_INVALID", f"{FILTER}.values",
    ),
    "a filter's value that Postgres cannot hold": (
        _meter(filters=[_filter(values=["a\x00"])]), "CATALOG_INVALID", f"{FILTER}.values",
    ),
    "a filter's long value": (_meter(filters=[_filter(values=["v" * 257])]), "CATALOG_INVALID", f"{FILTER}.values"),
    "an unknown comparison": (_meter(filters=[_filter(op=99)]), "FIELD_INVALID", f"{FILTER}.op"),
    "a limit on a level": (_on(LEVEL, policy=SOFT), "CATALOG_INVALID", f"{LIMIT}.meter"),
    **{
        f"HARD on {name}": (_on(aggregation, policy=HARD), "CATALOG_INVALID", f"{LIMIT}.policy")
        for name, aggregation in SHRINKING.items()
    },
    **{
        f"GRACE on {name}": (_on(aggregation, policy=GRACE, grace="1"), "CATALOG_INVALID", f"{LIMIT}.policy")
        for name, aggregation in SHRINKING.items()
    },
    **{
        f"a {kind} of different values": (_on(UNIQUE, kind=number, **more), "CATALOG_INVALID", f"{LIMIT}.kind")
        for kind, number, more in (("rate", RATE, {"length": {"seconds": 1}}), ("concurrency", CONCURRENCY, {}))
    },
    "grants of different values": (_on(UNIQUE, kind=GRANTS, max=""), "CATALOG_INVALID", f"{LIMIT}.kind"),
    "two meters of one name": ({"meters": [METER, METER]}, "CATALOG_INVALID", "meters[0].name"),
    "two plans of one name": ({"plans": [{"name": "default"}] * 2}, "CATALOG_INVALID", "plans[0].name"),
    "a default plan that is none": (
        {"plans": [{"name": "pro"}], "default_plan": "basic"}, "CATALOG_INVALID", "default_plan",
    ),
    "a long default plan that is none": (
        {"plans": [{"name": "pro"}], "default_plan": "b" * 100_000}, "CATALOG_INVALID", "default_plan",
    ),
    "a default plan that is no name": ({"default_plan": "a\x00b"}, "CATALOG_INVALID", "default_plan"),
    "501 meters": (
        {"meters": [{"name": f"m{number}"} for number in range(501)]}, "CATALOG_INVALID", "meters",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CATALOGS)
async def test_p12_a_catalog_that_contradicts_itself(api: Caller, what: str) -> None:
    catalog, reason, field = CATALOGS[what]
    for dry_run in (True, False):
        answer = await api.refused("ApplyCatalog", catalog=catalog, dry_run=dry_run)
        assert answer.short == ("INVALID_ARGUMENT", reason)
        assert answer.field == field
        assert field in answer.violations
    assert (await api("GetCatalog")).version == 0


async def test_p12_every_contradiction_is_named(api: Caller) -> None:
    limits = [{"meter": "nope", "max": "1"}, {"meter": "calls", "max": "1", "per_labels": ["route"]}]
    catalog = {"meters": [METER, METER], "plans": [{"name": "default", "limits": limits}]}
    answer = await api.refused("ApplyCatalog", catalog=catalog)
    assert list(answer.violations) == [
        "meters[0].name", "meters[1].name", f"{LIMIT}.meter", "plans[0].limits[1].labels",
    ]  # fmt: skip


async def test_p12_a_catalog_of_nothing_but_contradictions_still_gets_a_clear_answer(api: Caller) -> None:
    """The answer travels in a header, which clients take only up to 8 KiB."""
    name = "\N{ZERO WIDTH SPACE}" * 100
    answer = await api.refused("ApplyCatalog", catalog={"meters": [{"name": name}] * 400})
    assert answer.short == ("INVALID_ARGUMENT", "CATALOG_INVALID")
    assert "meters[0].name" in answer.violations


SET_LIMITS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no limit": ({}, "FIELD_INVALID", "limit"),
    "no meter": ({"limit": {"max": "1"}}, "CATALOG_INVALID", "meters[0].name"),
    "no maximum": ({"limit": {"meter": "calls"}}, "QUANTITY_INVALID", "limit.max"),
    "a negative maximum": ({"limit": {"meter": "calls", "max": "-5"}}, "FIELD_INVALID", "limit.max"),
    "an unknown period": ({"limit": {"meter": "calls", "max": "1", "period": 42}}, "FIELD_INVALID", "limit.period"),
    "an undeclared label": (
        {"limit": {"meter": "calls", "max": "1", "labels": {"a": "b"}}}, "CATALOG_INVALID", f"{LIMIT}.labels",
    ),
    "a plan that is no name": (
        {"plan": "a b", "limit": {"meter": "calls", "max": "1"}}, "CATALOG_INVALID", "plans[1].name",
    ),
    "a long request id": (
        {"limit": {"meter": "calls", "max": "1"}, "request_id": "x" * 65}, "FIELD_INVALID", "request_id",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", SET_LIMITS)
async def test_p12_a_limit_that_cannot_be_set(api: Caller, what: str) -> None:
    request, reason, field = SET_LIMITS[what]
    answer = await api.refused("SetLimit", **request)
    assert (answer.short, answer.field) == (("INVALID_ARGUMENT", reason), field)
    assert (await api("GetCatalog")).version == 0


async def test_a_plan_that_customers_are_on_cannot_go(api: Caller) -> None:
    plans = [{"name": "default"}, {"name": "pro"}, {"name": "free"}]
    await api("ApplyCatalog", catalog={"plans": plans})
    for name in ("acme", "beta"):
        await api("CreateCustomer", customer={"id": name, "plan": "pro"})
    for dry_run in (True, False):
        answer = await api.refused("ApplyCatalog", catalog={"plans": plans[:1]}, dry_run=dry_run)
        assert answer.short == ("FAILED_PRECONDITION", "PLAN_IN_USE")
        assert answer.metadata == {"plan": "pro", "customers": "2"}
    assert len((await api("GetCatalog")).catalog.plans) == 3
    for name in ("acme", "beta"):
        await api("AssignPlan", customer=name, plan="free")
    assert (await api.refused("ApplyCatalog", catalog={"plans": plans[:2]})).metadata["plan"] == "free"
    await api("ApplyCatalog", catalog={"plans": [plans[0], plans[2]]})


async def test_catalogs_applied_at_once_come_one_after_the_other(api: Caller) -> None:
    calls = (api("SetLimit", limit={"meter": f"meter-{number}", "max": "1"}) for number in range(10))
    versions = sorted(answer.version for answer in await asyncio.gather(*calls))
    assert versions == list(range(1, 11))
    catalog = (await api("GetCatalog")).catalog
    assert (len(catalog.meters), len(catalog.plans[0].limits)) == (10, 10)


CUSTOMERS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "no customer": ("CreateCustomer", {}, "FIELD_INVALID", "customer"),
    "no id": ("CreateCustomer", {"customer": {"name": "x"}}, "FIELD_INVALID", "customer.id"),
    "a long id": ("CreateCustomer", {"customer": {"id": "x" * 129}}, "FIELD_INVALID", "customer.id"),
    "a control character": ("CreateCustomer", {"customer": {"id": "a\x1f"}}, "FIELD_INVALID", "customer.id"),
    "a long name": ("CreateCustomer", {"customer": {"id": "x", "name": "n" * 257}}, "FIELD_INVALID", "customer.name"),
    "an unknown zone": (
        "CreateCustomer", {"customer": {"id": "x", "time_zone": "Mars/Olympus"}}, "FIELD_INVALID", "time_zone",
    ),
    "an unknown plan": ("CreateCustomer", {"customer": {"id": "x", "plan": "nope"}}, "PLAN_NOT_FOUND", ""),
    "an unknown plan of a long name": (
        "CreateCustomer", {"customer": {"id": "x", "plan": "p" * 100_000}}, "PLAN_NOT_FOUND", "",
    ),
    "no subject": ("CreateSubject", {}, "FIELD_INVALID", "subject"),
    "a subject without an id": ("CreateSubject", {"subject": {"customer": "acme"}}, "FIELD_INVALID", "subject.id"),
    "a subject of nobody": ("CreateSubject", {"subject": {"id": "s"}}, "FIELD_INVALID", "subject.customer"),
    "a subject of an unknown customer": (
        "CreateSubject", {"subject": {"id": "s", "customer": "nobody"}}, "CUSTOMER_NOT_FOUND", "",
    ),
    "an unknown customer": ("GetCustomer", {"id": "nobody"}, "CUSTOMER_NOT_FOUND", ""),
    "no customer's id": ("GetCustomer", {}, "FIELD_INVALID", "id"),
    "subjects of an unknown customer": ("ListSubjects", {"customer": "nobody"}, "CUSTOMER_NOT_FOUND", ""),
    "a plan for an unknown customer": ("AssignPlan", {"customer": "nobody"}, "CUSTOMER_NOT_FOUND", ""),
    "an unknown plan for a customer": ("AssignPlan", {"customer": "acme", "plan": "nope"}, "PLAN_NOT_FOUND", ""),
}  # fmt: skip


@pytest.mark.parametrize("what", CUSTOMERS)
async def test_p12_customers_that_cannot_be(api: Caller, what: str) -> None:
    method, request, reason, field = CUSTOMERS[what]
    await api("CreateCustomer", customer={"id": "acme"})
    answer = await api.refused(method, **request)
    code = "NOT_FOUND" if reason.endswith("_NOT_FOUND") else "INVALID_ARGUMENT"
    assert (answer.short, answer.field) == ((code, reason), field)
    assert [one.id for one in (await api("ListCustomers")).customers] == ["acme"]


async def test_p12_customers_and_subjects_that_exist_already(api: Caller) -> None:
    acme = {"id": "acme", "name": "Acme", "time_zone": "Europe/Paris"}
    first = await api("CreateCustomer", customer=acme)
    assert await api("CreateCustomer", customer=acme) == first
    for other in ({"name": "Other"}, {"time_zone": "UTC"}):
        answer = await api.refused("CreateCustomer", customer=acme | other)
        assert answer.short == ("ALREADY_EXISTS", "CUSTOMER_EXISTS")
    await api("CreateCustomer", customer={"id": "beta"})
    await api("CreateSubject", subject={"id": "key", "customer": "acme"})
    for method, request, subject in (
        ("CreateSubject", {"subject": {"id": "key", "customer": "beta"}}, "key"),
        ("CreateSubject", {"subject": {"id": "acme", "customer": "beta"}}, "acme"),
        ("CreateCustomer", {"customer": {"id": "key"}}, "key"),
    ):
        answer = await api.refused(method, **request)
        assert answer.short == ("ALREADY_EXISTS", "SUBJECT_EXISTS")
        assert answer.metadata == {"subject": subject, "customer": "acme"}
    assert [one.id for one in (await api("ListSubjects", customer="acme")).subjects] == ["acme", "key"]
