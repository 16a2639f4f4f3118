"""The file of the rows that were not taken, beside the input: `<input>.rejected.csv`."""

from __future__ import annotations

import csv
from pathlib import Path
from types import TracebackType
from typing import TextIO

from metergate.cli.errors import CliError
from metergate.cli.importing.rows import BadRow


class RejectedFile:
    """Written from the first bad row on; a file of an earlier import is replaced, or removed when all is well."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._file: TextIO | None = None

    def __enter__(self) -> RejectedFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
        elif kind is None:
            self.path.unlink(missing_ok=True)

    def add(self, row: BadRow) -> None:
        """Writes one row. Raises CliError when the file cannot be written."""
        try:
            if self._file is None:
                self._file = self.path.open("w", encoding="utf-8", newline="")
                csv.writer(self._file).writerow(["line", "reason", "field", "message", "raw"])
            raw = row.raw.decode("utf-8", "backslashreplace")
            csv.writer(self._file).writerow([row.line, row.reason, row.field, row.message, raw])
        except OSError as error:
            why = f"{self.path} cannot be written ({error.strerror}): name another place with --rejected"
            raise CliError(f"{why}.") from error
        self.count += 1
