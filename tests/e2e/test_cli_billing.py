"""`metergate subscription`, `invoice` and `customer billing` against a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import commands
from tests.e2e.billing import days_ago
from tests.e2e.calls import eventually

Done = Callable[..., str]

CATALOG = """
meters: [{name: calls}]
tax_rates: [{name: de, percent: "19", country: DE, display_name: USt}]
coupons: [{name: TENTH, percent: "10", duration: once}]
seller: {name: Example Ltd, series: EX}
plans:
  - {name: default}
  - name: pro
    prices:
      - {name: base, model: flat, currency: USD, unit_amount: "10"}
      - {name: calls, model: unit, currency: USD, meter: calls, unit_amount: "0.10", included: "100"}
  - name: seats
    add_on: true
    prices: [{name: seat, model: flat, currency: USD, unit_amount: "3"}]
"""
OWN = '[{name: base, model: flat, currency: USD, unit_amount: "8", display_name: Old friends}]'


@pytest.fixture
def done(server: Any, tmp_path: Path) -> Done:
    """What a command that succeeds prints, in a tenant that sells plans and has a customer."""

    def out(*arguments: str | Path) -> str:
        return commands.done(server, *arguments)

    path = tmp_path / "catalog.yaml"
    path.write_text(CATALOG)
    out("catalog", "apply", path)
    out("customer", "create", "acme")
    return out


async def test_from_a_subscription_to_a_credit_note(done: Done, tmp_path: Path) -> None:
    start = days_ago(33)
    details = ["--name", "Acme GmbH", "--address", "Weg 1", "--country", "DE", "--tax-id", "DE1"]
    said = done("customer", "billing", "set", "acme", *details).splitlines()
    assert said == ["acme is billed to", "name: Acme GmbH", "address: Weg 1", "place: DE", "tax ids: DE1"]
    assert "notes: PO 7" in done("customer", "billing", "set", "acme", "--notes", "PO 7")
    at = (start + timedelta(days=3)).isoformat()
    done("usage", "record", "calls", "200", "--subject", "acme", "--time", at)
    made = done("subscription", "create", "acme", "pro", "seats*2", "--start", start.isoformat())
    subscription = made.split()[0]
    assert made.startswith(
        f"{subscription} of acme is active · pro@1 + seats@1*2 · by the month in USD · period until "
    )

    async def closed() -> bool:
        found = json.loads(done("invoice", "list", "--subscription", subscription, "--json"))
        return len(found) == 2

    await eventually(closed, within=30)
    listed = done("invoice", "list", "--customer", "acme", "--state", "draft").splitlines()
    assert listed[0].split()[:4] == ["invoice", "number", "customer", "state"]
    invoice = listed[1].split()[0]
    shown = done("invoice", "show", invoice)
    for part in ("subtotal: 26.00 USD", "USt (19 %): 4.94 USD", "total: 30.94 USD", " usage ", " 0.1 "):
        assert part in shown, part
    finalized = done("invoice", "finalize", invoice, "--notes", "PO 7", "--metadata", "crm=42")
    assert finalized.startswith(f"{invoice} (EX-000001) is open · total 30.94 USD · 30.94 USD due on ")
    assert done("invoice", "pay", invoice, "0.94", "--method", "transfer").split(" · ")[2].startswith("30.00 USD")
    number = next(line.split()[0] for line in shown.splitlines() if " usage " in line)
    explained = done("invoice", "explain", invoice, number)
    assert "computed anew: 200 make 10.00 USD, as invoiced · 1 events" in explained
    credited = done("invoice", "credit", invoice, f"{number}=5.00", "--reason", "Broken")
    assert credited.split()[1:] == f"(CN-000001) takes back 5.95 USD of {invoice}".split()
    assert done("invoice", "pay", invoice).startswith(f"{invoice} (EX-000001) is paid")
    path = tmp_path / "invoice.pdf"
    assert done("invoice", "pdf", invoice, path).startswith(f"{path}: ")
    assert path.read_bytes().startswith(b"%PDF")
    note = json.loads(done("invoice", "show", invoice, "--json"))
    assert (note["credited"]["text"], note["state"]) == ("5.95", "paid")
    assert (note["notes"], note["metadata"]) == ("PO 7", {"crm": "42"})


def test_a_subscriptions_life(done: Done, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(OWN)
    made = done("subscription", "create", "acme", "pro", "--own-prices", own, "--trial-days", "14")
    subscription = made.split()[0]
    assert " is trialing · pro@1 · by the month in USD · trial until " in made
    assert " is active " in done("subscription", "activate", subscription)
    assert "base" in done("subscription", "show", subscription).splitlines()[-1]
    changed = done("subscription", "change", subscription, "pro", "seats*3", "--at-period-end")
    assert " · pro@1 · " in changed
    assert "pro@1 + seats@1*3" in done("subscription", "show", subscription).splitlines()[-1]
    done("subscription", "undo", subscription)
    done("subscription", "coupon", subscription, "TENTH")
    assert "coupons: TENTH" in done("subscription", "show", subscription)
    assert " is paused " in done("subscription", "pause", subscription)
    assert " is active " in done("subscription", "resume", subscription)
    preview = done("invoice", "preview", subscription)
    assert preview.startswith("preview is draft · total ")
    assert " · ends " in done("subscription", "cancel", subscription, "--at-period-end")
    assert " is canceled " in done("subscription", "cancel", subscription)
    table = done("subscription", "list", "--customer", "acme").splitlines()
    assert table[1].split()[:3] == [subscription, "acme", "canceled"]


def test_void_and_uncollectible(done: Done) -> None:
    for _ in range(2):
        done("subscription", "create", "acme", "pro")
    found: list[Any] = []
    while len(found) < 2:
        found = json.loads(done("invoice", "list", "--customer", "acme", "--json"))
    ids = [one["id"] for one in found]
    for invoice in ids:
        done("invoice", "finalize", invoice)
    assert done("invoice", "void", ids[0]).startswith(f"{ids[0]} (EX-00000")
    assert " is uncollectible " in done("invoice", "uncollectible", ids[1])


def test_p12_what_is_refused_is_one_sentence(done: Done, server: Any, tmp_path: Path) -> None:
    assert "acme" in done("customer", "list")
    broken = tmp_path / "broken.yaml"
    broken.write_text("{name: base}")
    for arguments in (
        ["subscription", "create", "acme", "none"], ["subscription", "create", "acme", "pro@"],
        ["subscription", "create", "acme", "pro", "--own-prices", str(broken)], ["subscription", "show", "sub_none"],
        ["subscription", "create", "acme", "default"], ["subscription", "change", "sub_none", "pro"],
        ["invoice", "show", "inv_none"], ["invoice", "pdf", "inv_none"], ["invoice", "pay", "inv_none", "5"],
        ["invoice", "credit", "inv_none", "x"], ["invoice", "preview", "sub_none"],
        ["customer", "billing", "show", "nobody"], ["customer", "billing", "set", "acme", "--country", "Germany"],
        ["customer", "billing", "set", "acme", "--tax-rate", "none"],
    ):  # fmt: skip
        ran = commands.command(server, *arguments)
        assert ran.returncode == 1, (arguments, ran)
        assert ran.stderr.startswith("Error: "), (arguments, ran)
