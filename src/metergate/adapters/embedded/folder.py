"""The data folder: what lies where in it, and the lock that lets one Metergate at a time use it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from metergate.adapters.embedded.errors import AlreadyRunning, EmbeddedError

# A socket's path may have 103 bytes on macOS and 107 on Linux; ".s.PGSQL.5432" and "/" take 14 of them.
LONGEST_SOCKET_FOLDER = 88


def run_folder(data: Path) -> Path:
    """Where the sockets of `data` lie: inside it, or under a short name of its own when its path is too long."""
    inside = data.absolute() / "run"
    if len(os.fsencode(inside)) <= LONGEST_SOCKET_FOLDER:
        return inside
    name = f"metergate-{hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:16]}"
    outside = Path(tempfile.gettempdir()) / name
    return outside if len(os.fsencode(outside)) <= LONGEST_SOCKET_FOLDER else Path("/tmp") / name


def make_data_folder(path: Path) -> None:
    """Create the data folder, private; one that exists keeps its mode, since it may hold other things (--data .)."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def make_private(path: Path) -> Path:
    """Create `path` for us alone (0700); raises EmbeddedError when it is a link or belongs to someone else.

    root may own what an account that it drops to wrote, so root is not refused.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if path.is_symlink() or os.geteuid() not in (0, status.st_uid):
        raise EmbeddedError(f"{path} belongs to someone else: name another --data folder")
    path.chmod(0o700)
    return path


class DataFolder:
    """A folder held by this process from acquire() to release(), or until the process dies in any way."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    def acquire(self) -> None:
        """Make the folder and take its lock; raises AlreadyRunning when another process has it."""
        make_data_folder(self.path)
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 32).strip()
            os.close(lock)
            raise AlreadyRunning(self.path, int(holder) if holder.isdigit() else None) from None
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        self._lock = lock

    def release(self) -> None:
        """Let the folder go; the lock file stays, since removing it would race with the next holder."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
