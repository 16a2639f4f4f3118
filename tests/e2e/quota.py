"""What the tests of consuming, reserving and leasing share: a tenant with meters and limits, and the calls' bodies."""

from __future__ import annotations

import itertools
from typing import Any

import asyncpg

from metergate.adapters.postgres.connect import plain_url
from tests.e2e.calls import Caller, eventually
from tests.server import Server

METERS = [
    {"name": "calls", "dimensions": ["region"]},
    {"name": "tokens", "event_type": "llm", "value": "tokens"},
    {"name": "balance", "allow_negative": True},
]
MONTH = {"name": "month", "meter": "calls", "max": "2000"}
_numbers = itertools.count(1)


async def furnish(api: Caller, *limits: dict[str, Any]) -> None:
    """Applies a catalog with these limits (none: 2,000 calls a month) and makes acme with a subject, and beta."""
    await limit(api, *(limits or (MONTH,)))
    for customer in ("acme", "beta"):
        await api("CreateCustomer", customer={"id": customer})
    await api("CreateSubject", subject={"id": "acme-key", "customer": "acme"})


async def limit(api: Caller, *limits: dict[str, Any]) -> None:
    """Puts these limits in force, in place of all others."""
    limited = [{"meter": "calls", **one} for one in limits]
    await api("ApplyCatalog", catalog={"meters": METERS, "plans": [{"name": "default", "limits": limited}]})


def event(amount: str = "1", **fields: Any) -> dict[str, Any]:
    """An event of acme with an id of its own."""
    return {"id": f"q-{next(_numbers)}", "type": "calls", "subject": "acme", "amount": amount, **fields}


async def consume(api: Caller, amount: str = "1", **fields: Any) -> Any:
    """Consumes one event; the decision."""
    return (await api("ConsumeQuota", events=[event(amount, **fields)])).decision


async def record(api: Caller, amount: str = "1", **fields: Any) -> Any:
    """Records one event; its receipt."""
    return (await api("RecordUsage", event=event(amount, **fields))).receipt


async def reserve(api: Caller, amount: str = "5", **fields: Any) -> Any:
    """Reserves calls, which has to be allowed; the reservation."""
    amounts = [{"meter": "calls", "amount": amount}]
    response = await api("ReserveQuota", **{"subject": "acme", "amounts": amounts, **fields})
    assert response.decision.allowed, response
    return response.reservation


async def acquire(api: Caller, amount: str = "10", **fields: Any) -> Any:
    """Acquires a lease on calls, which has to be allowed; the lease."""
    body = {"subject": "acme", "meter": "calls", "amount": amount, "holder": "h", **fields}
    response = await api("AcquireLease", **body)
    assert response.decision.allowed, response
    return response.lease


async def sync(api: Caller, lease: Any, spent: str, **fields: Any) -> Any:
    """Reports one mark; its result."""
    [result] = (await api("SyncLeases", marks=[{"lease_id": lease.id, "spent": spent, **fields}])).results
    return result


async def figures(api: Caller, name: str = "month", subject: str = "acme") -> dict[str, str]:
    """What ListLimits says of a limit, without zeros."""
    limits = (await api("ListLimits", subject=subject)).limits
    [found] = [one for one in limits if one.name == name]
    columns = ("used", "reserved", "leased", "forfeited", "overrun")
    return {column: getattr(found, column) for column in columns if getattr(found, column) != "0"}


async def let_end(server: Server, hold_id: str) -> None:
    """Lets the time of a reservation or a lease have run out a minute ago, and waits until the server has seen it."""
    connection = await asyncpg.connect(plain_url(server.postgres_url))
    try:
        statement = "UPDATE hold SET end_at = now() - interval '1 minute' WHERE tenant = $1 AND id = $2"
        assert await connection.execute(statement, server.tenant, hold_id) == "UPDATE 1"

        async def seen() -> bool:
            state = "SELECT state FROM hold WHERE tenant = $1 AND id = $2"
            return bool(await connection.fetchval(state, server.tenant, hold_id) != "open")

        await eventually(seen, within=30)
    finally:
        await connection.close()
