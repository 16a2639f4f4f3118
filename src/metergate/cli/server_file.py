"""`<data>/server.json`: where the servers that `metergate serve` started can be reached, while it runs."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from metergate.cli.errors import CliError
from metergate.cli.files import write_private

DEFAULT_DATA = Path(".metergate")


@dataclass(frozen=True, slots=True)
class ServerFile:
    """The running server's process and addresses; the URLs are those of its Postgres and its Redis."""

    pid: int
    postgres: str
    redis: str
    grpc: str
    http: str

    def write(self, data: Path) -> None:
        """Writes it for the owner alone; the URLs may hold passwords."""
        write_private(_path(data), json.dumps(asdict(self)) + "\n")


def read(data: Path) -> ServerFile | None:
    """What runs on a data folder, or None; a killed server leaves its file. Raises CliError when it is damaged."""
    try:
        found = ServerFile(**json.loads(_path(data).read_text(encoding="utf-8")))
        return found if _lives(found.pid) else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise CliError(f"{_path(data)} cannot be read: stop the server and start it again.") from error


def remove(data: Path) -> None:
    """Removes it, for the holder of the folder: when the server stops, and what a killed one left."""
    _path(data).unlink(missing_ok=True)


def _path(data: Path) -> Path:
    return data / "server.json"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's
        return True
    return True
