"""The client processes of the quota chaos, and what their logs say."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
KINDS = ("consume", "reserve", "hold")


@dataclass
class Said:
    """What all clients wrote down. `tried` are the events that may be in the ledger, `acknowledged` those that must,
    `spent` what holders spent of each lease, `wrong` what they could not make sense of."""

    tried: dict[str, tuple[str, int]] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    spent: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    done: int = 0


class Clients:
    """Processes of `quota_worker`; one that was killed is replaced by one of another name."""

    def __init__(self, folder: Path, key: str, seed: str, servers: Sequence[str]) -> None:
        self._folder, self._key, self._seed, self._servers = folder, key, seed, servers
        self._made = 0
        self.living: dict[str, subprocess.Popen[bytes]] = {}
        self.killed: list[str] = []

    def start(self, kind: str) -> None:
        """One more."""
        self._made += 1
        name = f"{kind}{self._made}"
        command = [
            sys.executable, "-m", "tests.chaos.quota_worker", kind, name, str(self._folder / f"{name}.log"), self._key,
            self._seed, *self._servers,
        ]  # fmt: skip
        with (self._folder / "stderr").open("ab") as errors:
            self.living[name] = subprocess.Popen(command, cwd=ROOT, stderr=errors)

    def kill(self, rng: random.Random, kind: str = "") -> None:
        """SIGKILL to one of them, of that kind; another one takes its place."""
        name = rng.choice(sorted(name for name in self.living if name.startswith(kind)))
        process = self.living.pop(name)
        process.kill()
        process.wait(30)
        self.killed.append(name)
        self.start(name.rstrip("0123456789"))

    def signal(self, name: str, number: signal.Signals) -> None:
        """To one that lives, or lived a moment ago."""
        if name in self.living:
            self.living[name].send_signal(number)

    def end(self, seconds: float) -> int:
        """Lets all come to an orderly end; how many did. One that had not begun yet just ends."""
        for process in self.living.values():
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
        for process in self.living.values():
            process.wait(seconds)
        return sum(process.returncode != -signal.SIGTERM for process in self.living.values())

    def said(self) -> Said:
        """All that they wrote down."""
        said = Said()
        for path in sorted(self._folder.glob("*.log")):
            for line in path.read_bytes().splitlines():
                one = json.loads(line)
                match one["what"]:
                    case "try":
                        said.tried[one["id"]] = (one["customer"], one["amount"])
                    case "ok":
                        said.acknowledged.add(one["id"])
                    case "spend":
                        said.spent[one["lease"]] += one["amount"]
                    case "done":
                        said.done += 1
                    case "wrong":
                        said.wrong.append(f"{path.stem}: {one['error']}")
        return said

    def errors(self) -> str:
        """The last that they said on stderr."""
        return (self._folder / "stderr").read_text()[-4000:]


@contextmanager
def clients(folder: Path, key: str, seed: str, servers: Sequence[str]) -> Iterator[Clients]:
    """Those that live at the end are killed."""
    folder.mkdir()
    made = Clients(folder, key, seed, servers)
    try:
        yield made
    finally:
        for process in made.living.values():
            process.kill()
            process.wait(30)
