"""`metergate customer export|erase|merge|move-subject|history`: what is kept of a customer, and whose a subject is."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import typer

from metergate.cli import messages, times
from metergate.cli.connection import Connection, connect
from metergate.cli.errors import CliError
from metergate.cli.options import request_id
from metergate.cli.screen import screen
from metergate.v1 import customer_data_pb2 as pb

CustomerId = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")]
_PAGE = 1000
_SERVICE = "CustomerDataService"


def add_to(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("export")(export)
    app.command("erase")(erase)
    app.command("merge")(merge)
    app.command("move-subject")(move_subject)
    app.command("history")(history)


def export(
    customer: CustomerId,
    file: Annotated[Path, typer.Argument(help="The file to write: .jsonl, or .jsonl.gz to compress it.")],
) -> None:
    """Writes all that is kept of a customer into a file, a JSON object per line; the last one is the manifest."""
    last = ""
    with connect() as connection, _written(file) as out:
        for last in _lines(connection, customer):
            out.write(last + "\n")
    manifest = json.loads(last)
    if screen.json:
        screen.data({"file": str(file), **manifest})
        return
    rows = sum(manifest["counts"].values())
    screen.line(f"{file}: {rows:,} rows of {customer}, of which {manifest['counts'].get('event', 0):,} are events")


def erase(
    customer: CustomerId,
    *,
    dimensions: Annotated[
        bool, typer.Option("--dimensions", help="Also the values of labels that meters read.")
    ] = False,
    event_ids: Annotated[
        bool, typer.Option("--event-ids", help="Event ids at once: a copy that comes later counts again.")
    ] = False,
    new_id: Annotated[str, typer.Option(help="Another id for the customer; by default it keeps its own.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Takes a customer's personal data out for good, and keeps the sums."""
    if not yes:
        typer.confirm(f"Erase the personal data of {customer!r}? This cannot be undone.", abort=True)
    request = pb.EraseCustomerRequest(
        customer=customer,
        erase_dimensions=dimensions,
        erase_event_ids=event_ids,
        new_id=new_id,
        request_id=request_id(),
    )
    with connect() as connection:
        while True:
            answer = connection.call(_SERVICE, "EraseCustomer", request, pb.EraseCustomerResponse)
            if answer.erasure.HasField("finish_time"):
                break
    erasure = answer.erasure
    if screen.json:
        screen.data(messages.to_plain(answer))
        return
    rows = ", ".join(f"{count:,} {table}" for table, count in sorted(erasure.rows.items()) if count)
    screen.line(f"{erasure.customer}: personal data erased ({rows or 'there were none'})")


def merge(
    customer: CustomerId,
    into: Annotated[str, typer.Argument(metavar="INTO", help="The customer that takes its subjects.")],
) -> None:
    """Moves all subjects of a customer to another one, and closes it; its past stays its own."""
    request = pb.MergeCustomersRequest(customer=customer, into=into, request_id=request_id())
    with connect() as connection:
        answer = connection.call(_SERVICE, "MergeCustomers", request, pb.MergeCustomersResponse)
    if screen.json:
        screen.data(messages.to_plain(answer))
    else:
        screen.line(f"{customer} is closed: {answer.moved_subjects:,} subjects count for {into} now")


def move_subject(
    subject: Annotated[str, typer.Argument(help="The subject's id.")],
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer that it shall belong to.")],
) -> None:
    """Has a subject's usage count for another customer from now on; its past stays where it was counted."""
    request = pb.MoveSubjectRequest(subject=subject, customer=customer, request_id=request_id())
    with connect() as connection:
        answer = connection.call(_SERVICE, "MoveSubject", request, pb.MoveSubjectResponse)
    if screen.json:
        screen.data(messages.to_plain(answer))
    elif answer.HasField("move"):
        screen.line(f"{subject} moved from {answer.move.from_customer} to {answer.move.to_customer}")
    else:
        screen.line(f"{subject} belongs to {customer} already")


def history(
    customer: CustomerId,
    most: Annotated[int, typer.Option(min=1, max=_PAGE, help="The most of each to list.")] = 100,
) -> None:
    """Lists the subjects that came to a customer or left it, and its erasures, newest first."""
    with connect() as connection:
        request = pb.ListSubjectMovesRequest(customer=customer, page_size=most)
        moves = connection.call(_SERVICE, "ListSubjectMoves", request, pb.ListSubjectMovesResponse).moves
        asked = pb.ListErasuresRequest(customer=customer, page_size=most)
        erasures = connection.call(_SERVICE, "ListErasures", asked, pb.ListErasuresResponse).erasures
    if screen.json:
        plain = [messages.to_plain(one) for one in moves]
        screen.data({"moves": plain, "erasures": [messages.to_plain(one) for one in erasures]})
        return
    rows = [
        (
            times.show(one.create_time), "merge" if one.merged else "move", one.subject, one.from_customer,
            one.to_customer, one.service, one.key_id,
        )
        for one in moves
    ]  # fmt: skip
    screen.table(["when", "what", "subject", "from", "to", "by", "key"], rows)
    for erasure in erasures:
        end = times.show(erasure.finish_time) if erasure.HasField("finish_time") else "not finished"
        screen.line(f"erased {times.show(erasure.create_time)} by {erasure.service} ({erasure.key_id}): {end}")


def _lines(connection: Connection, customer: str) -> Iterator[str]:
    token = ""
    while True:
        request = pb.ExportCustomerRequest(customer=customer, page_size=_PAGE, page_token=token)
        page = connection.call(_SERVICE, "ExportCustomer", request, pb.ExportCustomerResponse)
        yield from page.lines
        if not (token := page.next_page_token):
            return


@contextmanager
def _written(path: Path) -> Iterator[IO[str]]:
    """A file that is there whole or not at all. Raises CliError."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        with _opened(temporary, path.suffix == ".gz") as out:
            yield out
        temporary.replace(path)
    except OSError as error:
        raise CliError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _opened(path: Path, compressed: bool) -> IO[str]:
    return gzip.open(path, "wt", encoding="utf-8") if compressed else path.open("w", encoding="utf-8")
