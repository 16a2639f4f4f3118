"""`metergate backfill`: much usage of any age, loaded beside the ledger, previewed, and applied as a whole."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Annotated, Literal

import typer

from metergate.cli import messages, times
from metergate.cli.connection import Connection, connect
from metergate.cli.errors import CliError
from metergate.cli.options import request_id
from metergate.cli.screen import grouped, screen
from metergate.v1 import backfill_pb2 as pb
from metergate.v1.error_reason_pb2 import ErrorReason
from metergate.v1.usage_event_pb2 import Outcome, UsageEvent, UsageReceipt

app = typer.Typer(no_args_is_help=True, help="Backfills: much usage of any age, previewed and applied as a whole.")
SOME_EVENTS_BAD = 3
_SERVICE = "BackfillService"
_PAGE, _EVENTS, _BYTES = 1000, 5000, 2 * 1024 * 1024  # far below gRPC's usual limit of 4 MiB
_WAIT_SECONDS = 0.5
BackfillId = Annotated[str, typer.Argument(metavar="ID", help="The backfill's id.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it is done.")]


@app.command("open")
def open_(
    *,
    reason: Annotated[str, typer.Option(help="Why; it stands in the history of the events.")] = "",
    customer: Annotated[
        list[str] | None, typer.Option(help="Replace what stands of this customer. Repeatable.")
    ] = None,
    subject: Annotated[list[str] | None, typer.Option(help="Replace what stands of this subject. Repeatable.")] = None,
    kind: Annotated[list[str] | None, typer.Option("--type", help="Replace only this event type. Repeatable.")] = None,
    start: Annotated[str, typer.Option("--from", help="Replace what counts from this moment on.")] = "",
    end: Annotated[str, typer.Option("--to", help="Replace what counts before this moment.")] = "",
) -> None:
    """Opens a backfill and prints its id. With --customer or --subject it replaces the events that stand there."""
    scope = None
    if customer or subject or kind or start or end:
        scope = pb.BackfillScope(
            customers=customer or [], subjects=subject or [], types=kind or [],
            start_time=times.moment_option(start) if start else None,
            end_time=times.moment_option(end) if end else None,
        )  # fmt: skip
    request = pb.OpenBackfillRequest(reason=reason, replace=scope, request_id=request_id())
    with connect() as connection:
        answer = connection.call(_SERVICE, "OpenBackfill", request, pb.OpenBackfillResponse)
    if screen.json:
        screen.data(messages.to_plain(answer.backfill))
    else:
        screen.line(answer.backfill.id)


@app.command("load")
def load(
    id_: BackfillId,
    file: Annotated[
        Path, typer.Argument(help="JSON lines, an event each, with the contract's field names; - = stdin.")
    ],
) -> None:
    """Loads events; a second load adds nothing. Those that are not taken are listed, with exit code 3."""
    counts = {"accepted": 0, "duplicate": 0, "conflict": 0, "rejected": 0}
    with connect() as connection, _opened(file) as lines:
        for events in _chunks(_events(lines)):
            request = pb.LoadBackfillRequest(id=id_, events=events)
            for receipt in connection.call(_SERVICE, "LoadBackfill", request, pb.LoadBackfillResponse).receipts:
                counts[messages.enum_name(receipt, "outcome")] += 1
                if receipt.outcome not in (Outcome.OUTCOME_ACCEPTED, Outcome.OUTCOME_DUPLICATE):
                    screen.note(_problem(receipt.event_id, receipt))
    if screen.json:
        screen.data(counts)
    else:
        screen.line(" · ".join(f"{number:,} {name}" for name, number in counts.items()))
    if counts["conflict"] or counts["rejected"]:
        raise typer.Exit(SOME_EVENTS_BAD)


def _opened(file: Path) -> AbstractContextManager[IO[str]]:
    return nullcontext(sys.stdin) if str(file) == "-" else file.open(encoding="utf-8")


def _events(lines: Iterable[str]) -> Iterator[UsageEvent]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield messages.from_plain(UsageEvent, json.loads(line))
            except (ValueError, CliError) as error:
                raise CliError(f"Line {number} is not an event: {error}") from error


def _chunks(events: Iterable[UsageEvent]) -> Iterator[list[UsageEvent]]:
    chunk: list[UsageEvent] = []
    size = 0
    for event in events:
        length = event.ByteSize() + 8
        if chunk and (len(chunk) == _EVENTS or size + length > _BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(event)
        size += length
    if chunk:
        yield chunk


@app.command("preview")
def preview(id_: BackfillId) -> None:
    """Shows what a commit would change, by customer and meter."""
    with connect() as connection:
        pages = list(_preview(connection, id_))
    plan, found = pages[0], [one for page in pages for one in page.differences]
    names = ("new_count", "amended_count", "voided_count", "duplicate_count", "problem_count")
    if screen.json:
        counts = {name: getattr(plan, name) for name in names}
        screen.data(counts | {"differences": [messages.to_plain(one) for one in found]})
        return
    rows = [(one.customer, one.meter, _figure(one.before), _figure(one.after)) for one in found]
    screen.table(["customer", "meter", "before", "after"], rows, right=["before", "after"])
    counted = [f"{getattr(plan, name):,} {name.removesuffix('_count')}" for name in names]
    span = ""
    if plan.HasField("start_time"):
        span = f" · counting {times.show(plan.start_time)} to {times.show(plan.last_time)}"
    screen.line(" · ".join(counted) + span)
    if plan.problem_count:
        screen.line(f"`metergate backfill problems {id_}` says what cannot be taken.")


def _preview(connection: Connection, id_: str) -> Iterator[pb.PreviewBackfillResponse]:
    token = ""
    while True:
        request = pb.PreviewBackfillRequest(id=id_, page_size=_PAGE, page_token=token)
        page = connection.call(_SERVICE, "PreviewBackfill", request, pb.PreviewBackfillResponse)
        yield page
        if not (token := page.next_page_token):
            return


def _figure(text: str) -> str:
    return grouped(text) if text else "-"


@app.command("commit")
def commit(id_: BackfillId, *, wait: Wait = False) -> None:
    """Has it applied."""
    with connect() as connection:
        request = pb.CommitBackfillRequest(id=id_)
        found = connection.call(_SERVICE, "CommitBackfill", request, pb.CommitBackfillResponse).backfill
        _show(_done(connection, found) if wait else found)


@app.command("discard")
def discard(id_: BackfillId) -> None:
    """Throws it away."""
    with connect() as connection:
        request = pb.DiscardBackfillRequest(id=id_)
        _show(connection.call(_SERVICE, "DiscardBackfill", request, pb.DiscardBackfillResponse).backfill)


@app.command("revert")
def revert(id_: BackfillId, *, wait: Wait = False) -> None:
    """Has all of it undone: what it loaded is voided, what it replaced is restored."""
    with connect() as connection:
        request = pb.RevertBackfillRequest(id=id_)
        found = connection.call(_SERVICE, "RevertBackfill", request, pb.RevertBackfillResponse).backfill
        _show(_done(connection, found) if wait else found)


@app.command("show")
def show(id_: BackfillId) -> None:
    """Shows a backfill and its progress."""
    with connect() as connection:
        _show(_get(connection, id_))


@app.command("problems")
def problems(id_: BackfillId) -> None:
    """Lists the events that it cannot take, or could not undo, and why."""
    with connect() as connection:
        found = list(_problems(connection, id_))
    if screen.json:
        screen.data([messages.to_plain(one) for one in found])
        return
    rows = [(one.source, one.event_id, ErrorReason.Name(one.reason)[13:], one.message) for one in found]
    screen.table(["source", "id", "reason", "why"], rows)


@app.command("list")
def list_backfills(
    *,
    state: Annotated[
        Literal["open", "committing", "committed", "reverting", "reverted", "discarded"] | None,
        typer.Option(help="Only those in this state."),
    ] = None,
) -> None:
    """Lists backfills, newest first."""
    with connect() as connection:
        found = list(_all(connection, f"BACKFILL_STATE_{state.upper()}" if state else None))
    if screen.json:
        screen.data([messages.to_plain(one) for one in found])
        return
    names = ("pending", "applied", "duplicate", "problem", "reverted")
    rows = [
        (one.id, messages.enum_name(one, "state"), times.show(one.create_time), one.service,
         *(f"{getattr(one, name + '_count'):,}" for name in names), one.reason)
        for one in found
    ]  # fmt: skip
    screen.table(["backfill", "state", "opened", "by", *names, "reason"], rows, right=names)


def _all(connection: Connection, state: str | None) -> Iterator[pb.Backfill]:
    token = ""
    while True:
        request = pb.ListBackfillsRequest(state=state, page_size=_PAGE, page_token=token)
        page = connection.call(_SERVICE, "ListBackfills", request, pb.ListBackfillsResponse)
        yield from page.backfills
        if not (token := page.next_page_token):
            return


def _problems(connection: Connection, id_: str) -> Iterator[pb.BackfillProblem]:
    token = ""
    while True:
        request = pb.ListBackfillProblemsRequest(id=id_, page_size=_PAGE, page_token=token)
        page = connection.call(_SERVICE, "ListBackfillProblems", request, pb.ListBackfillProblemsResponse)
        yield from page.problems
        if not (token := page.next_page_token):
            return


def _get(connection: Connection, id_: str) -> pb.Backfill:
    return connection.call(_SERVICE, "GetBackfill", pb.GetBackfillRequest(id=id_), pb.GetBackfillResponse).backfill


def _done(connection: Connection, found: pb.Backfill) -> pb.Backfill:
    """Waits until it is in a last state."""
    while found.state in (pb.BACKFILL_STATE_COMMITTING, pb.BACKFILL_STATE_REVERTING):
        time.sleep(_WAIT_SECONDS)
        found = _get(connection, found.id)
    return found


_COUNTED = ("pending", "applied", "duplicate", "problem", "reverted")


def _show(found: pb.Backfill) -> None:
    if screen.json:
        screen.data(messages.to_plain(found))
        return
    state = messages.enum_name(found, "state")
    words = [f"{found.id} is {state}" + (" (it was left open for a day)" if found.expired else "")]
    numbers = {name: getattr(found, f"{name}_count") for name in _COUNTED}
    words += [f"{number:,} {name}" for name, number in numbers.items() if number]
    screen.line(" · ".join(words))


def _problem(event_id: str, receipt: UsageReceipt) -> str:
    return f"{event_id}: {receipt.message or ErrorReason.Name(receipt.reason)[13:]}"
