"""Budgets: what the usage of a period costs is told when it reaches parts of one, once."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tests.e2e.billing import customer, flat, meter, metered, plan, subscribe, use
from tests.e2e.calls import Caller, eventually
from tests.e2e.commands import command, done
from tests.receiver import receiver
from tests.server import Server

CATALOG = {
    "meters": [meter("calls")],
    "plans": [plan("default"), plan("basic", flat("10"), metered("UNIT", "calls", unit_amount="0.01"))],
}


async def test_each_threshold_is_told_once_with_usage_and_cost(api: Caller) -> None:
    await api("ApplyCatalog", catalog=CATALOG)
    async with receiver() as hook:
        await api("CreateEndpoint", endpoint={"url": hook.url, "types": ["billing.threshold_exceeded"]})
        who = await customer(api)
        sub = (await subscribe(api, who, "basic")).id
        made = (await api("SetBudget", subscription=sub, amount="100")).budget
        assert (made.amount, made.currency, list(made.thresholds), made.spent) == ("100.00", "USD", [80, 100], "")

        async def looked_at(spent: str) -> None:
            async def there() -> bool:
                return (await api("GetBudget", subscription=sub)).budget.spent == spent

            await eventually(there, within=40)

        await use(api, who, datetime.now(UTC), {"calls": 7_999})
        await looked_at("79.99")
        assert not hook.got
        await use(api, who, datetime.now(UTC), {"calls": 1})
        await looked_at("80.00")
        again = (await api("SetBudget", subscription=sub, amount="80", thresholds=[100, 80, 100])).budget
        assert (again.amount, list(again.thresholds), list(again.reached)) == ("80.00", [80, 100], [80])
        await use(api, who, datetime.now(UTC), {"calls": 5})
        await looked_at("80.05")

        async def both() -> bool:
            return len(hook.got) == 2

        await eventually(both, within=20)
        told = [got.body["data"] for got in hook.got]
    assert [(one["threshold"], one["budget"], one["estimated_cost"]["USD"]) for one in told[:1]] == [
        (80, {"USD": "100.00"}, "80.00")
    ]
    assert (told[1]["threshold"], told[1]["budget"], told[1]["subscription"]) == (100, {"USD": "80.00"}, sub)
    assert not (await api("SetBudget", subscription=sub)).HasField("budget")
    assert not (await api("GetBudget", subscription=sub)).HasField("budget")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "1.001"}, "amount"),
        ({"amount": "a lot"}, "amount"),
        ({"amount": "1", "thresholds": [0]}, "thresholds"),
        ({"amount": "1", "thresholds": list(range(1, 22))}, "thresholds"),
    ],
)
async def test_p12_bad_input(api: Caller, fields: dict[str, object], field: str) -> None:
    await api("ApplyCatalog", catalog=CATALOG)
    sub = (await subscribe(api, await customer(api), "basic")).id
    refused = await api.refused("SetBudget", subscription=sub, **fields)
    assert (refused.code.name, refused.field) == ("INVALID_ARGUMENT", field)


async def test_p12_of_no_subscription(api: Caller) -> None:
    for method in ("SetBudget", "GetBudget"):
        refused = await api.refused(method, subscription="sub_none")
        assert refused.short == ("NOT_FOUND", "SUBSCRIPTION_NOT_FOUND")


async def test_the_command(server: Server, api: Caller) -> None:
    await api("ApplyCatalog", catalog=CATALOG)
    sub = (await subscribe(api, await customer(api), "basic")).id
    assert done(server, "subscription", "budget", sub) == f"{sub} has no budget\n"
    assert done(server, "subscription", "budget", sub, "100", "--at", "50").startswith("100.00 USD a period · ")
    assert json.loads(done(server, "subscription", "budget", sub, "--json"))["budget"]["thresholds"] == [50]
    assert done(server, "subscription", "budget", sub, "--remove") == f"{sub} has no budget\n"
    assert command(server, "subscription", "budget", "sub_none").returncode == 1
