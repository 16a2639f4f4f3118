"""What `metergate plan` and `customer feature` ask and print, against a server whose answers are given."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from metergate.cli.catalog import read_catalog
from metergate.cli.errors import CliError
from metergate.v1 import catalog_pb2 as pb
from metergate.v1 import customer_pb2
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_server import FakeServer
from tests.unit.cli.test_commands import answers

PRICES: list[dict[str, Any]] = [
    {"name": "base", "model": "PRICE_MODEL_FLAT", "unit_amount": "1099.5", "display_name": "Base fee"},
    {"name": "setup", "model": "PRICE_MODEL_ONE_OFF", "unit_amount": "50"},
    {
        "name": "calls", "model": "PRICE_MODEL_GRADUATED", "meter": "calls", "minimum": "5", "per_labels": ["region"],
        "tiers": [
            {"above": "0", "up_to": "10000", "unit_amount": "0.1"},
            {"above": "10000", "unit_amount": "0.05", "flat_amount": "1000"},
        ],
    },
    {
        "name": "requests", "model": "PRICE_MODEL_PACKAGE", "meter": "requests", "unit_amount": "1",
        "package_size": "1000",
    },
    {"name": "fee", "model": "PRICE_MODEL_PERCENT", "meter": "paid", "percent": "2.9", "included": "100"},
    {
        "name": "jobs", "model": "PRICE_MODEL_UNIT", "meter": "jobs", "unit_amount": "0.0000025", "included": "10000",
        "labels": {"kind": "ai"}, "maximum": "5000", "timing": "PRICE_TIMING_ARREARS",
    },
]  # fmt: skip
FEATURES = [
    {"feature": "jobs", "kind": "FEATURE_KIND_METERED", "included": "10000", "overage": "0.01", "display_name": "Jobs"},
    {"feature": "exports", "kind": "FEATURE_KIND_METERED", "included": "5"},
    {"feature": "seats", "kind": "FEATURE_KIND_METERED", "included": "unlimited"},
    {"feature": "sso", "kind": "FEATURE_KIND_BOOLEAN"},
    {"feature": "support", "kind": "FEATURE_KIND_STATIC", "value": "24h"},
]
ENTRY = {
    "plan": "pro", "display_name": "Professional", "version": 2, "currency": "USD", "trial_days": 14,
    "interval": "PRICE_INTERVAL_MONTH", "prices": PRICES, "features": FEATURES,
}  # fmt: skip
LIMITS = [{"name": "calls/month", "meter": "calls", "max": "100000", "period": "PERIOD_MONTH"}]
PLAN = {"name": "pro", "display_name": "Professional", "version": 2, "trial_days": 14, "limits": LIMITS}


def price_list(fake: FakeServer) -> list[pb.ListPricesRequest]:
    reply = json_format.ParseDict({"entries": [ENTRY]}, pb.ListPricesResponse())
    return answers(fake, "CatalogService/ListPrices", reply)


def test_plans_are_listed_with_their_prices(run: Run, fake: FakeServer) -> None:
    asked = price_list(fake)
    said = run("plan", "list", "--currency", "usd", "--interval", "year").out.splitlines()
    assert (asked[0].currency, asked[0].interval) == ("USD", 3)
    assert [" ".join(line.split()) for line in said] == [
        "plan name version per currency prices trial",
        "pro Professional 2 month USD 1,099.5 Base fee 14 days",
        "50 setup once",
        "0.1, 0.05 per calls (graduated)",
        "1 per 1,000 requests",
        "2.9 % of paid beyond 100",
        "0.0000025 per jobs beyond 10,000",
    ]
    assert json.loads(run("plan", "list", "--json").out)["entries"][0]["plan"] == "pro"


def test_a_plan_is_shown_tier_by_tier(run: Run, fake: FakeServer) -> None:
    asked = price_list(fake)
    catalog = json_format.ParseDict({"catalog": {"plans": [PLAN], "default_plan": "pro"}}, pb.GetCatalogResponse())
    answers(fake, "CatalogService/GetCatalog", catalog)
    lines = [" ".join(line.split()) for line in run("plan", "show", "pro").out.splitlines()]
    assert list(asked[0].plans) == ["pro"]
    assert [line for line in lines if line] == [
        "pro (Professional) · version 2 · 14 days of trial · the default plan",
        "per month in USD:",
        "price model of quantity unit price more",
        "Base fee flat 1,099.5",
        "setup one_off 50",
        "calls graduated calls 0 to 10,000 0.1 for each region, at least 5",
        "above 10,000 0.05 1,000 once",
        "requests package requests 1 per 1,000, a begun block counts whole",
        "fee percent paid above 100 2.9 %",
        "jobs unit jobs above 10,000 0.0000025 where kind=ai, at most 5,000, in arrears",
        "features:",
        "feature kind gives beyond",
        "Jobs metered 10,000 a month 0.01 USD each",
        "exports metered 5 a month refused",
        "seats metered unlimited a month",
        "sso boolean yes",
        "support static 24h",
        "limits:",
        "limit meter max window",
        "calls/month calls 100,000 a month",
    ]
    assert json.loads(run("plan", "show", "pro", "--json").out)["plan"]["version"] == 2
    refused = run("plan", "show", "nope")
    assert (refused.code, refused.err) == (1, "Error: No plan is called 'nope'.\n")


@pytest.mark.parametrize(
    ("answer", "words", "code"),
    [
        ({"allowed": True, "plan": "pro"}, "plan pro gives sso\n", 0),
        ({"allowed": True, "plan": "pro", "value": "24h"}, "plan pro gives sso: 24h\n", 0),
        ({"allowed": False, "plan": "free"}, "plan free does not give sso\n", 4),
        (
            {"allowed": True, "plan": "pro", "included": "1000", "decision": {"allowed": True}},
            "sso on plan pro: 1,000 a month · allowed · no limit\n", 0,
        ),
    ],
)  # fmt: skip
def test_a_feature(run: Run, fake: FakeServer, answer: dict[str, Any], words: str, code: int) -> None:
    reply = json_format.ParseDict(answer, customer_pb2.CheckFeatureResponse())
    asked = answers(fake, "CustomerService/CheckFeature", reply)
    said = run("customer", "feature", "acme", "sso")
    assert (said.out, said.code) == (words, code)
    assert (asked[0].subject, asked[0].feature) == ("acme", "sso")
    assert json.loads(run("customer", "feature", "acme", "sso", "--json").out)["plan"] == answer["plan"]


def test_the_logo_is_a_picture_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "logo.svg").write_bytes(b"<svg/>")
    (tmp_path / "catalog.yaml").write_text("seller: {name: Us, logo: logo.svg}")
    assert read_catalog(tmp_path / "catalog.yaml").seller.logo == b"<svg/>"
    (tmp_path / "catalog.yaml").write_text("seller: {logo: PHN2Zy8+}")  # as `catalog get` writes it
    assert read_catalog(tmp_path / "catalog.yaml").seller.logo == b64decode("PHN2Zy8+") == b"<svg/>"
    (tmp_path / "catalog.yaml").write_text("seller: {logo: none.png}")
    with pytest.raises(CliError, match=r"seller\.logo: none\.png cannot be read"):
        read_catalog(tmp_path / "catalog.yaml")
