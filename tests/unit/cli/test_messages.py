"""YAML and JSON as people see them, and the contract's messages."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from metergate.cli import messages, yaml_files
from metergate.cli.catalog import read_catalog
from metergate.cli.errors import CliError
from metergate.v1.catalog_pb2 import Aggregation, Catalog, Limit, Meter, Period, Plan, Policy, Scope
from metergate.v1.error_reason_pb2 import ErrorReason
from metergate.v1.usage_event_pb2 import UsageReceipt

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
CATALOG = Catalog(
    default_plan="free",
    meters=[Meter(name="tokens", aggregation=Aggregation.AGGREGATION_SUM, dimensions=["model"], allow_negative=True)],
    plans=[
        Plan(
            name="free",
            limits=[
                Limit(
                    meter="tokens",
                    max="0.10",
                    period=Period.PERIOD_DAY,
                    policy=Policy.POLICY_SOFT,
                    scope=Scope.SCOPE_SUBJECT,
                    labels={"model": "a"},
                )
            ],
        )
    ],
)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "catalog.yaml"
    path.write_text(text)
    return path


def test_a_catalog_written_is_the_catalog_read(tmp_path: Path) -> None:
    text = yaml_files.write(messages.to_plain(CATALOG))
    assert "period: day" in text
    assert read_catalog(write(tmp_path, text)) == CATALOG


def test_p7_numbers_in_yaml_keep_their_digits(tmp_path: Path) -> None:
    text = "plans: [{name: no, limits: [{meter: a, max: 123456789012345678.100000000010}, {meter: b, max: 1000}]}]"
    plan = read_catalog(write(tmp_path, text)).plans[0]
    assert plan.name == "no"  # which YAML 1.1 would read as false
    assert [limit.max for limit in plan.limits] == ["123456789012345678.100000000010", "1000"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no catalog"),
        ("[]", "holds no catalog"),
        ("meters: x", "meters must be a list"),
        ("meters: [x]", r"meters\[0\] must be a mapping"),
        ("meters: [{name: a, agregation: sum}]", r"meters\[0\].agregation is not known: did you mean 'aggregation'"),
        ("meters: [{name: a, aggregation: mean}]", r"aggregation is 'mean', but must be one of sum, count, avg"),
        ("meters: [{name: a, allow_negative: ja}]", "must be true or false"),
        ("meters: [{name: {a: b}}]", "must be one value"),
        ("plans: [{name: a, limits: [{labels: [x]}]}]", "labels must be a mapping"),
        ("meters: [", "is not YAML"),
    ],
)
def test_p12_a_wrong_catalog_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(CliError, match=said):
        read_catalog(write(tmp_path, text))


def test_p12_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="cannot be read: No such file"):
        read_catalog(tmp_path / "none.yaml")


def test_reasons_keep_their_published_names() -> None:
    receipt = UsageReceipt(reason=ErrorReason.ERROR_REASON_TIME_TOO_OLD, outcome="OUTCOME_REJECTED")
    assert messages.to_plain(receipt) == {"outcome": "rejected", "reason": "TIME_TOO_OLD"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_example_is_a_catalog_without_contradiction(path: Path) -> None:
    catalog = read_catalog(path)
    meters = {meter.name: meter for meter in catalog.meters}
    assert len(meters) == len(catalog.meters)
    assert catalog.default_plan in {plan.name for plan in catalog.plans}
    for meter in catalog.meters:
        assert meter.aggregation
        assert len(meter.dimensions) <= 5
    for plan in catalog.plans:
        names = [limit.name or (limit.meter, limit.kind, limit.period, limit.length.seconds) for limit in plan.limits]
        assert len(set(names)) == len(names)
        for limit in plan.limits:
            assert {*limit.labels, *limit.per_labels} <= set(meters[limit.meter].dimensions)
            assert limit.period or limit.kind
            assert limit.policy


def test_there_are_the_examples_that_are_told_of() -> None:
    names = {
        "dev", "llm_api", "web_site", "tiers", "pipeline", "base_plus_metered", "quotas", "aggregations",
        "catalog-billing",
    }  # fmt: skip
    assert {path.stem for path in EXAMPLES} == names


def test_the_tiers_are_those_of_the_mission() -> None:
    tiers = read_catalog(next(path for path in EXAMPLES if path.stem == "tiers"))
    limits = {plan.name: {limit.meter: limit for limit in plan.limits} for plan in tiers.plans}
    order = ["api_calls", "ai_queries", "exports", "designs", "predictions"]
    assert {plan: [limits[plan][meter].max for meter in order] for plan in limits} == {
        "free": ["100", "10", "5", "3", "10"],
        "starter": ["1000", "100", "50", "50", "100"],
        "professional": ["10000", "1000", "500", "unlimited", "1000"],
        "enterprise": ["unlimited"] * 5,
    }
    soft = {(plan, meter) for plan in limits for meter in order if limits[plan][meter].policy == Policy.POLICY_SOFT}
    paid, priced = ("starter", "professional", "enterprise"), ("api_calls", "ai_queries", "exports")
    assert soft == {(plan, meter) for plan in paid for meter in priced}
    unlimited = {meter.name for meter in tiers.meters} - set(order)
    assert unlimited == {"rooms", "fixtures", "facility_dashboards"}


def test_yaml_builds_no_objects(tmp_path: Path) -> None:
    path = write(tmp_path, "meters: !!python/object/apply:os.getcwd []")
    assert yaml_files.read(path) == {"meters": []}
    assert yaml.BaseLoader is not yaml.UnsafeLoader
