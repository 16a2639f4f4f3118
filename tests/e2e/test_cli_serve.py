"""`metergate serve` on a data folder: from nothing to serving, stopping, starting again."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.server import free_port

START_SECONDS = 90
STOP_SECONDS = 30
Start = Callable[..., "Serving"]


class Serving:
    """One `metergate serve` and the folder that it runs on."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("METERGATE_")}
        self.environment |= {"METERGATE_CONFIG": str(folder / "config.toml"), "COLUMNS": "200"}
        self.grpc, self.http = (f"127.0.0.1:{free_port()}" for _ in range(2))
        where = ["--data", str(self.data), "--grpc", self.grpc, "--http", self.http]
        self.process = self._start("serve", *where, *arguments)

    def wait_ready(self) -> dict[str, Any]:
        """Waits until it says where it listens; gives server.json."""
        deadline = time.monotonic() + START_SECONDS
        while (said := self._said()).get("pid") != self.process.pid:
            if self.process.poll() is not None:
                pytest.fail(f"it ended: {self.process.communicate()}")
            assert time.monotonic() < deadline, "not ready in time"
            time.sleep(0.02)
        return said

    def _said(self) -> dict[str, Any]:
        """What server.json says; one that was killed leaves its own."""
        path = self.data / "server.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another command with the same profile."""
        process = self._start(*arguments)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def stop(self, number: signal.Signals) -> tuple[int, str, str]:
        """Sends a signal and waits; gives exit code and what it printed."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=STOP_SECONDS)
        return self.process.returncode, out, err

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        program = [sys.executable, "-m", "metergate.cli", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(program, cwd=self.folder, env=self.environment, stdout=pipe, stderr=pipe, text=True)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers on the test's folder; what still runs at the end is killed."""
    started: list[Serving] = []

    def starts(*arguments: str) -> Serving:
        started.append(Serving(tmp_path, *arguments))
        return started[-1]

    yield starts
    for serving in started:
        if serving.process.poll() is None:
            serving.process.kill()
        serving.process.communicate()


def living_on(folder: Path) -> list[str]:
    """Processes that were started for a folder."""
    return [
        str(process.info["cmdline"])
        for process in psutil.process_iter(["cmdline", "cwd"])
        if any(str(folder) in part for part in [*(process.info["cmdline"] or []), process.info["cwd"] or ""])
    ]


@pytest.mark.slow
def test_p11_serve_from_nothing_stop_and_again(start: Start, tmp_path: Path) -> None:
    serving = start()
    said = serving.wait_ready()
    assert said["grpc"] == serving.grpc
    assert stat.S_IMODE((serving.data / "server.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "config.toml").stat().st_mode) == 0o600
    key = serving.run("key").stdout
    assert key.startswith("mg_")
    assert serving.run("limit", "set", "api_calls", "100", "--per", "month").returncode == 0
    assert serving.run("usage", "record", "api_calls", "--subject", "acme").returncode == 0
    assert serving.run("quota", "check", "api_calls", "--subject", "acme").stdout.startswith(
        "allowed · 1 used · 99 left"
    )
    assert serving.run("quota", "check", "api_calls", "100", "--subject", "acme").returncode == 4
    assert serving.run("doctor", "--data", str(serving.data)).returncode == 0
    assert serving.run("doctor", "--liveness").stdout == "SERVING\n"
    assert "api_calls" in serving.run("usage", "tail", "--once").stdout

    second = serving.run("serve", "--data", str(serving.data))
    assert second.returncode == 1
    assert "already running" in second.stderr
    assert "Traceback" not in second.stderr

    code, out, err = serving.stop(signal.SIGTERM)
    assert (code, "Traceback" in err) == (0, False), err
    assert serving.grpc in out
    assert "limit set api_calls 100" in out
    assert not (serving.data / "server.json").exists()
    assert living_on(serving.data) == []
    assert serving.run("doctor", "--liveness").returncode == 1

    began = time.monotonic()
    again = start()
    again.wait_ready()
    assert time.monotonic() - began < 10  # 5 s on a machine that does nothing else
    assert again.run("key").stdout == key
    assert again.run("quota", "check", "api_calls", "--subject", "acme").stdout.startswith("allowed · 1 used")
    again.process.kill()
    again.process.communicate()

    third = start()
    third.wait_ready()
    assert third.run("quota", "check", "api_calls", "--subject", "acme").stdout.startswith("allowed · 1 used")
    code, _, err = third.stop(signal.SIGINT)
    assert (code, "Traceback" in err) == (0, False), err
    assert living_on(third.data) == []


def test_p12_a_port_in_use_is_one_sentence(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        serving = start("--grpc", address)
        out, err = serving.process.communicate(timeout=START_SECONDS)
    assert serving.process.returncode == 1
    assert err.startswith(f"Error: {address} cannot be listened on")
    assert (err.count("\n"), out) == (1, "")


@pytest.mark.slow
def test_p11_sigterm_while_starting_leaves_nothing(start: Start) -> None:
    serving = start()
    deadline = time.monotonic() + START_SECONDS
    while not (serving.data / "postgres").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    _, _, err = serving.stop(signal.SIGTERM)
    assert "Traceback" not in err
    deadline = time.monotonic() + STOP_SECONDS
    while living_on(serving.data) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert living_on(serving.data) == []
