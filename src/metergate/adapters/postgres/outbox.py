"""The outbox in PostgreSQL: news as a commit writes them. How they are delivered is in `queues`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from metergate.domain.outbox import News

_WRITE = """
INSERT INTO outbox (tenant, customer, seq, place, kind, recorded_at, body)
SELECT $1, q.* FROM unnest($2::text[], $3::bigint[], $4::integer[], $5::text[], $6::timestamptz[], $7::text[]) q"""


async def write_outbox(connection: Any, tenant: str, news: Sequence[News]) -> None:
    """Appends the news. Their keys are of heads that the commit holds, so none is there already."""
    rows = [(*one[:5], orjson.dumps(one.body).decode()) for one in sorted(news, key=lambda one: one[:3])]
    await connection.execute(_WRITE, tenant, *[list(column) for column in zip(*rows, strict=True)])
