"""The same calls over HTTP: what a browser or curl sees of a whole server."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

USAGE, QUOTA = "/metergate.v1.UsageService", "/metergate.v1.QuotaService"
CATALOG, CUSTOMER = "/metergate.v1.CatalogService", "/metergate.v1.CustomerService"


@pytest.fixture
def http(server: Any) -> Iterator[httpx.Client]:
    """A client with the test server's key."""
    headers = {"Authorization": f"Bearer {server.key}"}
    with httpx.Client(base_url=server.http_url, headers=headers, timeout=30, trust_env=False) as client:
        yield client


def _done(http: httpx.Client, path: str, request: dict[str, Any]) -> dict[str, Any]:
    response = http.post(path, json=request)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def _reason(response: httpx.Response) -> str:
    infos = [one["debug"] for one in response.json()["details"] if one["type"] == "google.rpc.ErrorInfo"]
    assert len(infos) == 1, response.text
    assert infos[0]["domain"] == "metergate.dev"
    return str(infos[0]["reason"])


@pytest.fixture
def meter(http: httpx.Client) -> str:
    """A meter of the test's own, with a hard limit of 100 a month."""
    name = f"calls-{uuid.uuid4().hex[:8]}"
    _done(http, f"{CATALOG}/SetLimit", {"limit": {"meter": name, "max": "100", "period": "PERIOD_MONTH"}})
    return name


@pytest.fixture
def subject(http: httpx.Client) -> str:
    """A customer of the test's own."""
    name = f"customer-{uuid.uuid4().hex[:8]}"
    _done(http, f"{CUSTOMER}/CreateCustomer", {"customer": {"id": name}})
    return name


def test_record_check_and_summarize(http: httpx.Client, meter: str, subject: str) -> None:
    event = {"id": f"e-{subject}", "type": meter, "subject": subject, "amount": "40"}
    outcomes = [_done(http, f"{USAGE}/RecordUsage", {"event": event})["receipt"]["outcome"] for _ in range(2)]
    assert outcomes == ["OUTCOME_ACCEPTED", "OUTCOME_DUPLICATE"]

    question = {"subject": subject, "amounts": [{"meter": meter, "amount": "60"}]}
    decision = _done(http, f"{QUOTA}/CheckQuota", question)["decision"]
    assert decision["allowed"] is True
    assert (decision["limits"][0]["used"], decision["limits"][0]["remaining"]) == ("40", "60")
    question["amounts"] = [{"meter": meter, "amount": "60.5"}]
    decision = _done(http, f"{QUOTA}/CheckQuota", question)["decision"]
    assert "allowed" not in decision  # proto3's JSON leaves false out
    assert decision["bindingLimit"] == f"{meter}/month"

    by_query = http.get(f"{QUOTA}/CheckQuota", params={"encoding": "json", "message": json.dumps(question)})
    assert by_query.json()["decision"]["bindingLimit"] == f"{meter}/month"

    wanted = {"subject": subject, "meters": [meter]}
    summary = _done(http, f"{USAGE}/GetUsageSummary", wanted)
    assert [series["total"] for series in summary["series"]] == ["40"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_readmes_curl(server: Any, meter: str, subject: str) -> None:
    question = {"subject": subject, "amounts": [{"meter": meter, "amount": "1"}]}
    ran = subprocess.run(
        [
            "curl", "-s", f"{server.http_url}{QUOTA}/CheckQuota", "-H", f"Authorization: Bearer {server.key}",
            "-H", "Content-Type: application/json", "-d", json.dumps(question),
        ],
        capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    assert json.loads(ran.stdout)["decision"]["allowed"] is True


def test_p12_bad_input_over_http(http: httpx.Client, meter: str, subject: str) -> None:
    endless = [{"meter": meter, "amount": "1e400"}]
    refused: list[tuple[str, Any, int, str]] = [
        ("CheckQuota", {"subject": subject, "amounts": [{"meter": "no-such-meter"}]}, 404, "METER_NOT_FOUND"),
        ("CheckQuota", {"subject": "nobody-here", "amounts": [{"meter": meter}]}, 404, "SUBJECT_NOT_FOUND"),
        ("CheckQuota", {"subject": subject}, 400, "FIELD_INVALID"),
        ("CheckQuota", {"subject": subject, "amounts": endless}, 400, "QUANTITY_INVALID"),
        ("CheckQuota", {"subject": subject, "colour": "red"}, 400, "MESSAGE_MALFORMED"),
        ("BatchCheckQuota", {"checks": [{}] * 5_001}, 400, "BATCH_TOO_LARGE"),
        ("Nope", {}, 404, "METHOD_NOT_FOUND"),
    ]
    for method, request, status, reason in refused:
        response = http.post(f"{QUOTA}/{method}", json=request)
        assert (response.status_code, _reason(response)) == (status, reason), response.text


def test_p9_p12_keys_over_http(http: httpx.Client, meter: str) -> None:
    question = {"subject": "acme", "amounts": [{"meter": meter}]}
    for key, reason in (("", "KEY_MISSING"), ("Bearer mg_nonsense", "KEY_INVALID"), ("Basic YTpi", "KEY_INVALID")):
        response = http.post(f"{QUOTA}/CheckQuota", json=question, headers={"Authorization": key})
        assert (response.status_code, _reason(response)) == (401, reason)
        assert response.headers["www-authenticate"] == "Bearer"


def test_pages_of_a_whole_server(http: httpx.Client, meter: str) -> None:
    http.post(f"{QUOTA}/CheckQuota", json={"subject": "acme", "amounts": [{"meter": meter}]})
    assert (http.get("/healthz").status_code, http.get("/readyz").status_code) == (200, 200)
    metrics = http.get("/metrics").text
    assert 'metergate_calls_total{code="' in metrics
    assert f'method="{QUOTA}/CheckQuota"' in metrics
