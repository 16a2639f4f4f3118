"""`metergate usage import`: CSV files and web access logs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from metergate.cli import times
from metergate.cli.connection import connect
from metergate.cli.errors import CliError
from metergate.cli.importing.ids import RowIds
from metergate.cli.importing.mapping import ACCESS_LOG, Entry, RowMapping, check_columns, to_event
from metergate.cli.importing.mapping_file import MappingFile, read_mapping
from metergate.cli.importing.rejected import RejectedFile
from metergate.cli.importing.rows import BadRow, Row
from metergate.cli.importing.sender import Sender
from metergate.cli.importing.source import Format, RowSource, open_rows
from metergate.cli.importing.tally import Tally
from metergate.cli.options import pairs
from metergate.cli.screen import screen
from metergate.v1.usage_event_pb2 import UsageReceipt

SOME_ROWS_BAD = 3
_DELIMITERS = {"tab": "\t", "\\t": "\t"}


def import_usage(
    file: Annotated[Path, typer.Argument(help="A CSV file with a header, or a web access log (common or combined).")],
    file_format: Annotated[Format, typer.Option("--format", help="What the file is.")] = "auto",
    mapping: Annotated[Path | None, typer.Option(help="A YAML file that says which columns are what.")] = None,
    subject: Annotated[str | None, typer.Option(help="The subject of all rows.")] = None,
    subject_column: Annotated[str | None, typer.Option(help="The column of the subject.")] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="The event type of all rows.")] = None,
    type_column: Annotated[str | None, typer.Option(help="The column of the event type.")] = None,
    time: Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the time.")] = None,
    on_arrival: Annotated[bool, typer.Option("--on-arrival", help="The rows have no time: they happen now.")] = False,
    time_zone: Annotated[str, typer.Option(help="The zone of times that name none; by default UTC.")] = "",
    event_id: Annotated[
        str | None, typer.Option("--id", metavar="COLUMN", help="The column of ids; by default made from the rows.")
    ] = None,
    amount: Annotated[str | None, typer.Option(metavar="COLUMN", help="The column of the amount; else 1.")] = None,
    value: Annotated[list[str] | None, typer.Option(metavar="NAME=COLUMN", help="A named value. Repeatable.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="NAME=COLUMN", help="A label. Repeatable.")] = None,
    label_constant: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A label that all rows have. Repeatable.")
    ] = None,
    delimiter: Annotated[str, typer.Option(help="Between columns, or `tab`; by default as in the header.")] = "",
    source: Annotated[str, typer.Option(help='The source of the events; by default "import".')] = "",
    series: Annotated[str, typer.Option(help="Tells rows apart that read the same in files of different series.")] = "",
    backfill: Annotated[bool, typer.Option("--backfill", help="Take usage of any age.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to go on while no server answers.")] = 60,
    rejected: Annotated[Path | None, typer.Option(help="Where bad rows go; by default FILE.rejected.csv.")] = None,
) -> None:
    """Imports usage; a second import adds nothing. Bad rows go into a file beside the input, with exit code 3.

    A row's id is made from its bytes and from how many rows before it read the same, not from the mapping.
    """
    saved = read_mapping(mapping) if mapping else MappingFile()
    labels = _columns(label, "--label") | {
        name: Entry(constant=text) for name, text in pairs(label_constant or [], "--label-constant").items()
    }
    flags = RowMapping(
        id=_column(event_id),
        time=_column(time),
        subject=_either(subject, subject_column, "--subject"),
        type=_either(event_type, type_column, "--type"),
        amount=_column(amount),
        values=_columns(value, "--value"),
        labels=labels,
        zone=times.zone(time_zone or saved.time_zone or "UTC"),
        source=source or saved.source or "import",
    ).over(saved.mapping)
    delimiter = delimiter or saved.delimiter
    with open_rows(file, _format(file_format, saved), _DELIMITERS.get(delimiter, delimiter)) as rows:
        chosen = _complete(flags, rows, on_arrival)
        ids = RowIds(series or saved.series)
        bad_path = rejected or file.with_name(file.name + ".rejected.csv")
        tally = _run(rows, chosen, ids, bad_path, backfill=backfill, wait=wait)
    _print(tally, bad_path)
    if tally.conflicts or tally.rejected:
        raise typer.Exit(SOME_ROWS_BAD)


def _run(rows: RowSource, mapping: RowMapping, ids: RowIds, bad_path: Path, *, backfill: bool, wait: float) -> Tally:
    tally = Tally()
    with connect() as connection, RejectedFile(bad_path) as bad, _progress() as progress:
        task = progress.add_task("importing", total=_size(rows), rows=0, rate=0.0)

        def refuse(row: BadRow) -> None:
            tally.rejected += 1
            bad.add(row)

        def on_receipt(row: Row, receipt: UsageReceipt) -> None:
            if (not_taken := tally.count(row, receipt)) is not None:
                bad.add(not_taken)
            if tally.settled % 1000 == 0:
                rate = tally.settled / max(tally.seconds, 1e-9)
                progress.update(task, completed=rows.file.tell(), rows=tally.settled, rate=rate)

        sender = Sender(connection, backfill=backfill, wait_seconds=wait, on_receipt=on_receipt)
        try:
            for row in rows.rows:
                tally.rows += 1
                if isinstance(row, BadRow):
                    refuse(row)
                elif isinstance(event := to_event(row, mapping, ids.next(row.raw)), BadRow):
                    refuse(event)
                else:
                    sender.add(row, event)
            sender.finish()
        except CliError as error:
            raise _stopped(error, tally) from error
    return tally


def _stopped(error: CliError, tally: Tally) -> CliError:
    done = f"{tally.accepted + tally.duplicates:,} rows are in"
    return CliError(f"{error.message} The import stopped: {done}; run it again to go on.", reason=error.reason)


def _complete(mapping: RowMapping, rows: RowSource, on_arrival: bool) -> RowMapping:
    """Adds the format's defaults and checks that nothing is missing."""
    full = mapping.over(ACCESS_LOG) if rows.format == "access-log" else mapping
    if full.subject is None:
        raise CliError("Say whose usage it is with --subject NAME or --subject-column COLUMN.")
    if full.type is None:
        raise CliError("Say what the usage is with --type TYPE or --type-column COLUMN.")
    if full.time is None and not on_arrival:
        raise CliError("Say when it happened with --time COLUMN, or give --on-arrival if the rows have no time.")
    check_columns(full, rows.columns)
    return full


def _print(tally: Tally, bad_path: Path) -> None:
    not_taken = tally.conflicts + tally.rejected
    if screen.json:
        screen.data(tally.summary() | {"rejected_file": str(bad_path) if not_taken else None})
        return
    summary = tally.summary()
    figures = [f"{summary[name]:,}" for name in summary]
    screen.table([name.replace("_per_", "/") for name in summary], [figures], right=["rows", *list(summary)])
    if tally.unmatched:
        screen.line(f"{tally.unmatched:,} count in no meter yet: `metergate usage events --unmatched` says why.")
    if not_taken:
        screen.line(f"{not_taken:,} rows were not taken: {bad_path} says why.")


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    rate = TextColumn("{task.fields[rows]:,} rows · {task.fields[rate]:,.0f} rows/s")
    console = screen.err
    return Progress(*columns, rate, console=console, transient=True, disable=screen.json or not console.is_terminal)


def _size(rows: RowSource) -> int:
    return Path(rows.file.name).stat().st_size


def _format(given: Format, saved: MappingFile) -> Format:
    for known in ("csv", "access-log"):
        if (saved.format if given == "auto" else given) == known:
            return known
    if saved.format not in ("", "auto") and given == "auto":
        raise CliError(f"The mapping file's format is {saved.format!r}, but must be auto, csv or access-log.")
    return "auto"


def _column(name: str | None) -> Entry | None:
    return Entry(column=name) if name is not None else None


def _columns(given: list[str] | None, option: str) -> dict[str, Entry]:
    return {name: Entry(column=column) for name, column in pairs(given or [], option).items()}


def _either(constant: str | None, column: str | None, option: str) -> Entry | None:
    if constant is not None and column is not None:
        raise typer.BadParameter(f"give either {option} or {option}-column.", param_hint=option)
    if constant is not None:
        return Entry(constant=constant)
    return _column(column)
