"""Rows of a file, and CSV: one record at a time, with its line number and its bytes as they stand."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from metergate.cli.errors import CliError

MAX_ROW_BYTES = 256 * 1024
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: where it begins, its bytes without the line end, and its columns by name."""

    line: int
    raw: bytes
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that did not become a recorded event, and why; `reason` is a published `ErrorReason` or ROW_MALFORMED."""

    line: int
    raw: bytes
    reason: str
    field: str
    message: str


def malformed(line: int, raw: bytes, message: str) -> BadRow:
    """A row that cannot be read at all."""
    return BadRow(line, raw, "ROW_MALFORMED", "", message)


def read_lines(file: BinaryIO) -> Iterator[bytes]:
    """The file's lines without line end and byte order mark; of one longer than MAX_ROW_BYTES only the beginning."""
    first = True
    while line := file.readline(MAX_ROW_BYTES + 2):
        rest = line
        while len(rest) == MAX_ROW_BYTES + 2 and not rest.endswith(b"\n"):
            rest = file.readline(MAX_ROW_BYTES + 2)
        yield (line.removeprefix(_BOM) if first else line).rstrip(b"\r\n")
        first = False


class CsvRows:
    """The rows of CSV lines, of which the first names the columns. No row may hold more than MAX_ROW_BYTES."""

    def __init__(self, lines: Iterable[bytes], delimiter: str = ",") -> None:
        """Reads the header. Raises CliError when there is none that names each column once."""
        self._lines = enumerate(lines, 1)
        self._ahead: deque[tuple[int, bytes]] = deque()
        self._delimiter = delimiter
        self.columns = self._header()

    def __iter__(self) -> Iterator[Row | BadRow]:
        while (start := self._next_line()) is not None:
            if start[1].strip():
                yield self._row(*start)

    def _header(self) -> list[str]:
        cells = self._cells((self._next_line() or (1, b""))[1])
        if not isinstance(cells, list) or not any(cell.strip() for cell in cells):
            raise CliError("The first line must name the columns.")
        names = [cell.strip() for cell in cells]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise CliError(f"The first line names the column {twice[0]!r} more than once.")
        return names

    def _row(self, line: int, raw: bytes) -> Row | BadRow:
        cells, taken = self._cells(raw), [(line, raw)]
        while cells == _OPEN_QUOTE and sum(len(more) + 1 for _, more in taken) <= MAX_ROW_BYTES:
            following = self._next_line()
            if following is None:
                break
            taken.append(following)
            if b'"' in following[1]:  # only such a line can close the quote
                cells = self._cells(b"\n".join(more for _, more in taken))
        if isinstance(cells, list) and len(cells) == len(self.columns):
            return Row(line, b"\n".join(more for _, more in taken), dict(zip(self.columns, cells, strict=True)))
        # A quote that is closed rows later, or never, must not swallow the rows between: only its first line is bad.
        self._ahead.extendleft(reversed(taken[1:]))
        if isinstance(cells, list):
            cells = f"{len(cells)} columns where the first line has {len(self.columns)}"
        return malformed(line, raw, cells)

    def _cells(self, raw: bytes) -> list[str] | str:
        """The columns of one record, or why there are none."""
        if len(raw) > MAX_ROW_BYTES:
            return f"longer than {MAX_ROW_BYTES:,} bytes"
        try:
            return next(csv.reader([raw.decode()], delimiter=self._delimiter, strict=True), [])
        except UnicodeDecodeError:
            return "not UTF-8 text"
        except csv.Error as error:
            return str(error)

    def _next_line(self) -> tuple[int, bytes] | None:
        return self._ahead.popleft() if self._ahead else next(self._lines, None)


# What the csv module says of a quote that the text does not close.
_OPEN_QUOTE = "unexpected end of data"
