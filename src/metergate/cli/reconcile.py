"""`metergate reconcile`: whether what is kept of usage is what the events say."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from metergate.cli import messages
from metergate.cli.connection import connect
from metergate.cli.screen import screen
from metergate.v1.usage_pb2 import ReconcileUsageRequest, ReconcileUsageResponse, UsageDifference

_SECONDS = 3600.0  # for one range of customers


def reconcile(
    customer: Annotated[str, typer.Option(help="Only this customer.")] = "",
    repair: Annotated[bool, typer.Option("--repair", help="Put right what the fast view says otherwise.")] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Have rollups and counters that differ made anew from the events.")
    ] = False,
) -> None:
    """Compares rollups, counters, ids, holds, grants and the fast view with the events; exit code 1 on a difference."""
    request = ReconcileUsageRequest(customer=customer, repair_view=repair, rebuild=rebuild)
    found: list[UsageDifference] = []
    counts: Counter[str] = Counter()
    customers, repaired, rebuilt, compared = 0, 0, 0, True
    with connect() as connection:
        while True:
            page = connection.call("UsageService", "ReconcileUsage", request, ReconcileUsageResponse, _SECONDS)
            found += page.differences
            counts.update(page.counts)
            customers, repaired = customers + page.customers, repaired + page.repaired
            rebuilt, compared = rebuilt + len(page.rebuilt), compared and page.view_compared
            if not page.next_page_token:
                break
            screen.note(f"{customers} customers compared, up to {page.last_customer}")
            request.page_token = page.next_page_token
    if screen.json:
        told = {"customers": customers, "counts": dict(counts), "repaired": repaired, "rebuilt": rebuilt}
        screen.data({**told, "view_compared": compared, "differences": [messages.to_plain(one) for one in found]})
    else:
        _show(found, counts, customers, compared)
        if repaired or rebuilt:
            screen.line(f"{repaired} counters of the fast view were repaired; {rebuilt} customers are made anew.")
    if counts.total() > repaired + (counts.total() - counts["view"] if rebuilt else 0):
        raise typer.Exit(1)


def _show(found: list[UsageDifference], counts: Counter[str], customers: int, compared: bool) -> None:
    if not compared:
        screen.note("The fast view cannot be reached and was not compared.")
    if not counts:
        screen.line(f"All that is kept of {customers} customers is what the events say.")
        return
    rows = [(one.kind, one.customer, one.what, one.expected, one.kept) for one in found]
    screen.table(["kind", "customer", "what", "events say", "kept is"], rows)
    screen.line("Differences: " + ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items())))
