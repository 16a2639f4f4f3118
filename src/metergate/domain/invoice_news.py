"""What is told of invoices: that they were finalized, paid or voided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metergate.domain import money, settling
from metergate.domain.invoice import Invoice
from metergate.domain.news import NewsKind
from metergate.domain.outbox import News, envelope
from metergate.domain.period import to_text


def invoice_news(kind: NewsKind, invoices: Sequence[Invoice], seqs: Mapping[str, int], now: int) -> list[News]:
    """One piece of news for each; `seqs` is the place of this commit in each customer's order of facts."""
    places = dict.fromkeys(seqs, 0)
    news = []
    for one in invoices:
        place, seq = places[one.customer], seqs[one.customer]
        places[one.customer] = place + 1
        body = envelope(kind.value, now, {"customer": one.customer, "seq": seq, "invoice": _invoice(one)})
        news.append(News(one.customer, seq, place, kind.value, now, body))
    return news


def _invoice(one: Invoice) -> dict[str, Any]:
    """Its sums are in whole units of its currency. Its lines are asked for by its id."""
    amounts = {"total": one.total, "paid": one.paid, "credited": one.credited, "due": settling.rest(one)}
    told: dict[str, Any] = {
        "id": one.id,
        "number": one.number,
        "subscription": one.subscription,
        "state": one.state.name,
        "currency": one.currency,
        "period": {"start_time": to_text(one.period.start), "end_time": to_text(one.period.end)},
        **{name: money.to_text(minor, one.currency) for name, minor in amounts.items()},
    }
    times = {"due_time": one.due_at, "paid_time": one.paid_at, "void_time": one.voided_at}
    return told | {name: to_text(at) for name, at in times.items() if at is not None}
