"""`metergate quota explain`: what stood behind a decision."""

from __future__ import annotations

from typing import Annotated

import typer

from metergate.cli import messages
from metergate.cli.connection import connect
from metergate.cli.quota_words import HELD, in_words, limit_table, plain
from metergate.cli.screen import grouped, screen
from metergate.v1 import quota_pb2 as pb


def explain(
    decision_id: Annotated[str, typer.Argument(help="The decision's id, as `quota consume` prints it.")],
    events: Annotated[int, typer.Option(min=1, max=1000, help="The most events to list of each limit.")] = 20,
) -> None:
    """Works a decision out again from the ledger, as it was then, and shows what stood behind its figures."""
    request = pb.ExplainDecisionRequest(decision_id=decision_id, events=events)
    with connect() as connection:
        answer = connection.call("QuotaService", "ExplainDecision", request, pb.ExplainDecisionResponse)
    if screen.json:
        decision = {"decision": plain(answer.decision), "confirmed": answer.confirmed}
        screen.data(messages.to_plain(answer) | decision)
        return
    screen.line(in_words(answer.decision))
    said = "that is what was answered" if answer.confirmed else "but something else was answered"
    screen.line(f"customer {answer.customer}, worked out again from the ledger at seq {answer.seq}: {said}")
    screen.show(limit_table([limit.state for limit in answer.limits]))
    for limit in answer.limits:
        _show(limit)


def _show(limit: pb.ExplainedLimit) -> None:
    """The events, the holds and the grants of one limit."""
    listed = f", the newest {len(limit.events)}" if len(limit.events) < limit.event_count else ""
    screen.line(f"\n{limit.state.name}: {grouped(str(limit.event_count))} events{listed}")
    if limit.events:
        rows = [(event.id, event.source, grouped(event.value), str(event.seq)) for event in limit.events]
        screen.table(["event", "source", "counts", "seq"], rows, right=["counts", "seq"])
    if limit.holds:
        held = [[hold.id, *(grouped(getattr(hold, name) or "0") for name in HELD)] for hold in limit.holds]
        screen.table(["held by", *HELD], held, right=HELD)
    if limit.grants:
        figures = ("brought", "burned", "lost")
        burned = [[grant.id, *(grouped(getattr(grant, name)) for name in figures)] for grant in limit.grants]
        screen.table(["grant", *figures], burned, right=figures)
