"""Child processes that die with this one, even when it is killed, and that Ctrl-C in the terminal does not reach."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import psutil

from metergate.adapters.embedded.errors import StartFailed, StillRunning

LAUNCHER = Path(__file__).with_name("launch.py")
LOG_BYTES_KEPT = 5_000_000
LOG_LINES_SHOWN = 12

# "Die with your parent" means the parent THREAD. This one lives as long as the process, whoever calls us.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="metergate-embedded")


def _launch(program: Sequence[str | Path], identity: str, on_orphaned: signal.Signals) -> list[str]:
    launcher = [sys.executable, "-I", "-S", "-B", str(LAUNCHER), str(int(on_orphaned)), str(os.getpid())]
    return [*launcher, identity, *map(str, program)]


def run(program: Sequence[str | Path], identity: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program to its end with `text` as its input; its output and errors are in the answer's `stdout`.

    `identity` is launch.py's: who the program runs as.
    """
    command = _launch(program, identity, signal.SIGKILL)
    return _spawner.submit(
        subprocess.run, command, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True, cwd="/",
    ).result()  # fmt: skip


class Child:
    """One server process, its log, and how it is told to end."""

    def __init__(self, name: str, log: Path, *, on_stop: signal.Signals) -> None:
        self.name = name
        self._log = log
        self._on_stop = on_stop
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process, None when it is not running."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self, program: Sequence[str | Path], folder: Path, identity: str = "same") -> None:
        """Start the program with `folder` as its working directory; it gets the stop signal when we die."""
        if self.pid is not None:
            raise StartFailed(self.name, "is running already", "")
        with self._open_log() as log:
            command = _launch(program, identity, self._on_stop)
            self._process = _spawner.submit(
                subprocess.Popen, command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                start_new_session=True,
            ).result()  # fmt: skip

    def wait_ready(self, ready: Callable[[], bool], timeout: float) -> None:
        """Wait until ready() holds; raises StartFailed, and leaves no process, when it ends or takes too long."""
        deadline = time.monotonic() + timeout
        while not ready():
            if self.pid is None:
                raise StartFailed(self.name, "ended while it was starting; its log says:", self.last_log_lines())
            if time.monotonic() > deadline:
                self.stop(timeout=5)
                raise StartFailed(self.name, f"was not ready in {timeout:g} s; its log says:", self.last_log_lines())
            time.sleep(0.01)

    def stop(self, timeout: float) -> None:
        """Ask it to end, and kill it when it has not after `timeout` seconds; nothing when it is not running."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(self._on_stop)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """SIGKILL, without a chance to tidy up."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def last_log_lines(self) -> str:
        """The end of the log, for people."""
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return "\n".join(f"  {line}" for line in lines[-LOG_LINES_SHOWN:])

    def _open_log(self) -> IO[bytes]:
        self._log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._log.exists() and self._log.stat().st_size > LOG_BYTES_KEPT:
            self._log.replace(self._log.with_suffix(".old.log"))
        return self._log.open("ab")


def living_in(folder: Path) -> Iterator[psutil.Process]:
    """Processes whose working directory is `folder`: servers of an earlier run, whatever a stale pid file says."""
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder):
                yield process
        except psutil.Error:
            continue  # ended meanwhile, or someone else's: neither is ours


def wait_for_earlier(folder: Path, patience: float = 10, limit: float = 30) -> None:
    """Wait until nothing lives in `folder`; after `patience` seconds send SIGQUIT.

    Raises StillRunning after `limit` seconds.
    """
    folder = folder.resolve()
    begin = time.monotonic()
    asked = False
    while earlier := list(living_in(folder)):
        waited = time.monotonic() - begin
        if waited > limit:
            raise StillRunning(folder, [process.pid for process in earlier])
        if waited > patience and not asked:
            asked = True
            for process in earlier:
                process.send_signal(signal.SIGQUIT)
        time.sleep(0.02)
