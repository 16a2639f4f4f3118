"""What the tests of the command share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from metergate.cli.main import main
from tests.unit.cli.fake_server import FakeServer, fake_server


@dataclass(frozen=True, slots=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """A server that fails as it is told."""
    with fake_server() as server:
        yield server


@pytest.fixture
def run(fake: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process, against the fake server."""
    monkeypatch.setenv("METERGATE_CONFIG", str(tmp_path / "no-config.toml"))
    monkeypatch.setenv("METERGATE_URL", fake.url)
    monkeypatch.setenv("METERGATE_KEY", fake.key)
    monkeypatch.setenv("COLUMNS", "200")

    def runs(*arguments: str) -> Done:
        code = 0
        try:
            main(arguments)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return runs
