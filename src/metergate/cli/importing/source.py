"""Opens a file as rows: which format it has, and which columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Literal

from metergate.cli.errors import CliError
from metergate.cli.importing.access_log import COLUMNS, access_log_rows, looks_like_access_log
from metergate.cli.importing.rows import BadRow, CsvRows, Row, read_lines

Format = Literal["auto", "csv", "access-log"]


@dataclass(frozen=True, slots=True)
class RowSource:
    """A file's rows and columns; `file.tell()` says how far it was read."""

    format: Literal["csv", "access-log"]
    columns: list[str]
    rows: Iterable[Row | BadRow]
    file: BinaryIO


@contextmanager
def open_rows(path: Path, wanted: Format, delimiter: str) -> Iterator[RowSource]:
    """Opens the file for the time of the block. Raises CliError when it cannot be read."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}.") from error
    with file:
        try:
            yield _rows(file, wanted, delimiter)
        except IsADirectoryError as error:
            raise CliError(f"{path} is a folder.") from error


def _rows(file: BinaryIO, wanted: Format, delimiter: str) -> RowSource:
    lines = read_lines(file)
    first = next(lines, None)
    if first is None:
        raise CliError("The file is empty.")
    lines = chain([first], lines)
    if wanted == "access-log" or (wanted == "auto" and looks_like_access_log(first)):
        return RowSource("access-log", list(COLUMNS), access_log_rows(lines), file)
    found = CsvRows(lines, delimiter or _delimiter(first))
    return RowSource("csv", found.columns, found, file)


def _delimiter(header: bytes) -> str:
    """The one of comma, semicolon and tab that the header has most often."""
    return max(",", ";", "\t", key=lambda mark: header.count(mark.encode()))
