"""Events of a month in a file: compressed CSV as COPY writes and reads it, with a manifest beside it.

`gunzip -c FILE | psql -c "COPY usage_event FROM STDIN (FORMAT csv, HEADER match)"` brings them back to a ledger of the
same schema.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from metergate.adapters.postgres import quantities as sql
from metergate.app.retention import ExportFailedError
from metergate.domain.quantity import to_text

_CHUNK = 1 << 20
_LEVEL = 6

_BY_TENANT = (
    "SELECT tenant, events, waiting, first_at::text, last_at::text FROM closed_month WHERE month = $1 ORDER BY 1"
)
# Of what each measure reads: customers' own, what a pool counts of its members is in there once.
_BY_MEASURE = f"""
SELECT e.tenant, m.measure, m.name, sum({sql.SIGN})::bigint, sum({sql.CONTRIBUTION} * {sql.SIGN})
FROM {{partition}} e JOIN meter m ON m.tenant = e.tenant AND m.event_type = e.type AND m.leads
WHERE e.customer <> '' AND {sql.CONTRIBUTION} IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 3"""


async def write(connection: Any, partition: str, month: date, folder: Path, seconds: float) -> tuple[str, str]:
    """Writes a partition; returns the file's name in the folder and the SHA-256 of what it holds, uncompressed.

    Raises:
        ExportFailedError: the folder cannot be written.
    """
    installation = await connection.fetchval("SELECT left(generation::text, 8) FROM installation")
    name = f"{partition}.{installation}.csv.gz"
    with _failing():
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        writer = await asyncio.to_thread(_Writer, folder / name)
        try:
            await connection.copy_from_query(
                f"SELECT * FROM {partition}", output=writer.write, format="csv", header=True, timeout=seconds
            )
        except BaseException:
            writer.abandon()
            raise
        await asyncio.to_thread(writer.finish)
    manifest: dict[str, Any] = {
        "partition": partition,
        "month": f"{month:%Y-%m}",
        "file": name,
        "sha256": writer.digest,
        "rows": writer.rows,
        "tenants": [
            {"tenant": tenant, "rows": rows, "waiting": waiting, "first_counted_at": first, "last_counted_at": last}
            for tenant, rows, waiting, first, last in await connection.fetch(_BY_TENANT, month)
        ],
        "measures": [
            {"tenant": tenant, "measure": measure, "meter": meter, "count": count, "sum": to_text(total)}
            for tenant, measure, meter, count, total in await connection.fetch(
                _BY_MEASURE.format(partition=partition), timeout=seconds
            )
        ],
    }
    events = sum(one["rows"] for one in manifest["tenants"])
    if events != writer.rows:
        raise ExportFailedError(f"{name} has {writer.rows} rows, and there are {events} events")
    with _failing():
        await asyncio.to_thread(_write_manifest, folder / name, manifest)
    return name, writer.digest


async def verify(file: Path, digest: str) -> None:
    """Reads the file again.

    Raises:
        ExportFailedError: it cannot be read, or does not hold what was written.
    """
    with _failing():
        found, rows = await asyncio.to_thread(_read, file)
        manifest = json.loads(await asyncio.to_thread(_manifest_of(file).read_text))
    if not found == manifest["sha256"] == digest or rows != manifest["rows"]:
        raise ExportFailedError(f"{file} does not hold what was written to it")


class _Writer:
    """A file that is there whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.rows = -1  # but for the header
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._raw: BinaryIO = self._part.open("wb")
        self._zip = gzip.GzipFile("", "wb", _LEVEL, self._raw, mtime=0)
        self._hash = sha256()

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    async def write(self, chunk: bytes) -> None:
        await asyncio.to_thread(self._write, chunk)

    def _write(self, chunk: bytes) -> None:
        self.rows += chunk.count(b"\n")  # no text holds a line's end
        self._hash.update(chunk)
        self._zip.write(chunk)

    def finish(self) -> None:
        self._zip.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.close()
        self._part.rename(self._path)
        _sync(self._path.parent)

    def abandon(self) -> None:
        self._raw.close()


def _read(path: Path) -> tuple[str, int]:
    digest, rows = sha256(), -1
    with gzip.open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            rows += chunk.count(b"\n")
    return digest.hexdigest(), rows


def _manifest_of(file: Path) -> Path:
    return file.with_name(file.name.removesuffix(".csv.gz") + ".json")


def _write_manifest(file: Path, manifest: dict[str, Any]) -> None:
    path = _manifest_of(file)
    part = path.with_name(path.name + ".part")
    with part.open("w") as opened:
        json.dump(manifest, opened, indent=1)
        opened.write("\n")
        opened.flush()
        os.fsync(opened.fileno())
    part.rename(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _failing() -> Generator[None]:
    try:
        yield
    except (OSError, EOFError, ValueError) as error:
        raise ExportFailedError(f"events cannot be exported: {error}") from error
