"""The holder's journal: a file of JSON lines, each the whole of what is to be known of one lease; the last one holds.

It is made durable before anything that depends on it happens. ``clients/README.md`` lists the fields.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from metergate_client.errors import MetergateConfigError
from metergate_client.leases.model import Entry, EventForm, Key
from metergate_client.leases.units import from_text, to_text

try:
    import fcntl
except ImportError:  # a system without it: that only one process uses a journal is then its user's care
    fcntl = None  # type: ignore[assignment]

_VERSION = 1
_COMPACT_BYTES = 1 << 20


class Journal:
    """The journal of one holder, in use by this process alone.

    Attributes:
        found: What a former run left: its leases that are not settled and closed.

    Raises:
        MetergateConfigError: Another process uses it, it is another holder's, or it is damaged.
        OSError: It cannot be read or written.
    """

    def __init__(self, path: str | os.PathLike[str], holder: str) -> None:
        self._path = Path(path)
        self._holder = holder
        self._lock = _lock(self._path.with_name(self._path.name + ".lock"))
        self._file = -1
        self._size = 0
        try:
            self._live = _read(self._path, holder)
            self.found = tuple(self._live.values())
            self._rewrite()
        except BaseException:
            self.close()
            raise

    def write(self, entries: Iterable[Entry]) -> None:
        """Make the entries durable: when this returns they are on the disk.

        Raises:
            OSError: They are not, and whatever was written of them is swept away by the next write.
        """
        fresh = list(entries)
        for entry in fresh:
            if entry.gone:
                self._live.pop(entry.request_id, None)
            else:
                self._live[entry.request_id] = entry
        if self._size > _COMPACT_BYTES or self._file < 0:
            self._rewrite()
            return
        data = b"".join(map(_line, fresh))
        try:
            _write_all(self._file, data)
            _sync(self._file)
        except OSError:
            self._drop_file()
            raise
        self._size += len(data)

    def close(self) -> None:
        """Let go of the file. Also for the child of a fork, whose parent goes on with it."""
        self._drop_file()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _rewrite(self) -> None:
        """Write what lives into a new file, and put it in the old one's place."""
        self._drop_file()
        header = {"metergate_leases": _VERSION, "holder": self._holder}
        data = b"".join([json.dumps(header).encode() + b"\n", *map(_line, self._live.values())])
        fresh = self._path.with_name(self._path.name + ".new")
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            _write_all(file, data)
            os.fsync(file)
            fresh.replace(self._path)
            _sync_folder(self._path.parent)
        except BaseException:
            os.close(file)
            raise
        self._file, self._size = file, len(data)

    def _drop_file(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _lock(path: Path) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise MetergateConfigError(f"{path} is locked: another holder uses this journal.") from None
    return file


def _read(path: Path, holder: str) -> dict[str, Entry]:
    """What lives in the file. A last line that is not whole was never confirmed, so that nothing depended on it."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return {}
    if not lines:
        return {}
    try:
        header = json.loads(lines[0])
        if header["metergate_leases"] != _VERSION or header["holder"] != holder:
            raise MetergateConfigError(f"{path} is the journal of holder {header['holder']!r}, not of {holder!r}.")
        entries = [_entry(json.loads(line)) for line in lines[1:]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MetergateConfigError(f"{path} is damaged, or no journal of a lease holder: {error!r}") from error
    live = {entry.request_id: entry for entry in entries}
    return {name: entry for name, entry in live.items() if not entry.gone}


def _line(entry: Entry) -> bytes:
    fields = {
        "id": entry.request_id,
        "lease": entry.lease_id,
        "meter": entry.key.meter,
        "subject": entry.key.subject,
        "labels": dict(entry.key.labels),
        "type": entry.form.type,
        "value": entry.form.value,
        "asked": to_text(entry.asked),
        "mark": to_text(entry.mark),
        "spent": to_text(entry.spent),
        "time": entry.time // 1_000,
        "covered": to_text(entry.covered),
        "last_part": entry.last_part,
        "parts": [[number, to_text(amount), time // 1_000] for number, amount, time in entry.parts],
        "gone": entry.gone,
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _entry(fields: dict[str, Any]) -> Entry:
    return Entry(
        request_id=fields["id"],
        key=Key(fields["meter"], fields["subject"], tuple(sorted(fields["labels"].items()))),
        form=EventForm(fields["type"], fields["value"]),
        asked=from_text(fields["asked"]),
        lease_id=fields["lease"],
        mark=from_text(fields["mark"]),
        spent=from_text(fields["spent"]),
        time=int(fields["time"]) * 1_000,
        covered=from_text(fields["covered"]),
        last_part=int(fields["last_part"]),
        parts=tuple((int(number), from_text(amount), int(time) * 1_000) for number, amount, time in fields["parts"]),
        gone=bool(fields["gone"]),
    )


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _sync(file: int) -> None:
    getattr(os, "fdatasync", os.fsync)(file)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # elsewhere a folder cannot be opened
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
