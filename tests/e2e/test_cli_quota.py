"""`metergate quota` against a server: take, reserve, look, and have it explained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.commands import command, done
from tests.e2e.test_cli_first_minutes import REPOSITORY


@dataclass(frozen=True, slots=True)
class Limited:
    """A customer with a HARD limit of 10 a month on a meter."""

    server: Any
    meter: str
    customer: str

    def state(self) -> dict[str, str]:
        """The limit as the ledger has it."""
        found = json.loads(done(self.server, "quota", "limits", self.customer, "--meter", self.meter, "--json"))
        limit: dict[str, str] = found["limits"][0]
        return limit


@pytest.fixture
def limited(server: Any) -> Limited:
    name = uuid.uuid4().hex[:8]
    done(server, "limit", "set", f"calls-{name}", "10", "--per", "month")
    done(server, "customer", "create", f"customer-{name}")
    return Limited(server, f"calls-{name}", f"customer-{name}")


def test_p2_p3_consume_until_it_is_refused_and_have_both_explained(limited: Limited) -> None:
    consume = ["quota", "consume", limited.meter, "7", "--subject", limited.customer, "--id", "first"]
    first = done(limited.server, *consume).splitlines()
    assert first[0].startswith("allowed · 7 used · 3 left · resets ")
    assert first[1].startswith("accepted first · decision ")
    again = done(limited.server, *consume).splitlines()
    assert again[0].startswith("allowed")
    assert again[1].startswith("duplicate first")
    refused = command(limited.server, "quota", "consume", limited.meter, "4", "--subject", limited.customer)
    assert refused.returncode == 4, refused
    lines = refused.stdout.splitlines()
    assert lines[0].startswith(f"refused by {limited.meter}/month · 3 would fit")
    assert lines[0].endswith("nothing charged")
    assert limited.state()["used"] == "7"
    for line, words in ((first[1], "allowed · 7 used · 3 left"), (lines[1], f"refused by {limited.meter}/month")):
        explained = done(limited.server, "quota", "explain", line.rpartition(" ")[2])
        assert explained.startswith(words)
        assert "that is what was answered" in explained
        assert "first" in explained


def test_reserve_extend_commit_and_release(limited: Limited) -> None:
    reserve = ["quota", "reserve", f"{limited.meter}=6", "--subject", limited.customer]
    first = done(limited.server, *reserve).strip()
    assert limited.state()["reserved"] == "6"
    assert "reserved" in done(limited.server, "quota", "limits", limited.customer)
    refused = command(limited.server, *reserve)
    assert (refused.returncode, refused.stdout) == (4, "")
    second = json.loads(done(limited.server, *reserve, "--partial", "--json"))["reservation"]
    assert second["amounts"][0]["amount"] == "4"
    assert done(limited.server, "quota", "extend", first, "--ttl", "1h").startswith(f"{first} is open until ")
    assert f"{second['id']} is released" in done(limited.server, "quota", "release", second["id"])
    assert f"{second['id']} is released" in done(limited.server, "quota", "release", second["id"])
    commit = ["quota", "commit", first, f"{limited.meter}=8"]
    assert done(limited.server, *commit).startswith(f"{first} is committed")
    assert f"duplicate {first}/{limited.meter}" in done(limited.server, *commit)
    state = limited.state()
    assert (state["used"], state["reserved"], state["remaining"]) == ("8", "0", "2")
    closed = command(limited.server, "quota", "release", first)
    assert closed.returncode == 1
    assert "make another with `metergate quota reserve`" in closed.stderr


def test_watch_without_a_terminal(limited: Limited) -> None:
    watch = ["quota", "watch", "--subject", limited.customer, "--every", "0.1", "--count", "2"]
    assert done(limited.server, *watch).count(f"{limited.meter}/month") == 2
    assert len(done(limited.server, *watch, "--json").splitlines()) == 2


def test_the_example_that_reserves(limited: Limited) -> None:
    def run(most: str, *job: str) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        given = {"METERGATE_URL": limited.server.grpc_url, "METERGATE_KEY": limited.server.key, "PATH": path}
        script = [str(REPOSITORY / "examples" / "reserve.sh"), limited.customer, limited.meter, most, *job]
        return subprocess.run(
            script, env=os.environ | given, capture_output=True, text=True, timeout=60, check=False
        )  # fmt: skip

    assert run("9", "echo", "3").returncode == 0
    assert run("9", "echo", "3").returncode == 4
    assert run("7", "false").returncode == 1
    state = limited.state()
    assert (state["used"], state["reserved"]) == ("3", "0")


def test_p12_what_is_not_there_is_one_sentence(limited: Limited) -> None:
    meter, customer = limited.meter, limited.customer
    for arguments in (
        ["quota", "consume", "no-such-meter", "--subject", customer],
        ["quota", "consume", meter, "0x1", "--subject", customer],
        ["quota", "reserve", "no-such-meter=1", "--subject", customer],
        ["quota", "reserve", f"{meter}=-1", "--subject", customer],
        ["quota", "reserve", f"{meter}=1", "--subject", customer, "--ttl", "25h"],
        ["quota", "extend", "no-such-reservation"],
        ["quota", "commit", "no-such-reservation", f"{meter}=1", "--subject", customer],
        ["quota", "release", "no-such-reservation"],
        ["quota", "explain", "no-such-decision"],
    ):
        ran = command(limited.server, *arguments)
        assert ran.returncode == 1, (arguments, ran)
        assert ran.stderr.startswith("Error: "), (arguments, ran)
        assert ran.stderr.count("\n") == 1, (arguments, ran)


def test_a_customers_own_terms_and_the_thresholds_that_were_reached(limited: Limited) -> None:
    server, meter, customer = limited.server, limited.meter, limited.customer
    limit = f"{meter}/month"
    done(server, "limit", "set", meter, "10", "--per", "month", "--threshold", "80")
    consume = ["quota", "consume", meter, "12", "--subject", customer]
    assert command(server, *consume).returncode == 4
    assert "unlimited" in done(server, "customer", "override", "set", customer, limit, "unlimited")
    done(server, "customer", "override", "set", customer, limit, "15", "--to", "2199-01-01")
    done(server, *consume)
    assert (limited.state()["max"], limited.state()["remaining"]) == ("15", "3")
    [event] = json.loads(done(server, "quota", "events", "--customer", customer, "--json"))
    assert (event["limit"], event["threshold"], event["taken"], event["max"]) == (limit, 80, "12", "15")
    assert "2199-01-01T00:00Z" in done(server, "customer", "override", "list", customer)
    assert done(server, "customer", "override", "delete", customer, limit) == f"{customer} has no overrides\n"
    assert limited.state()["overrun"] == "2"
    assert "anchored at 2026-01-31T00:00Z" in done(server, "customer", "update", customer, "--anchor", "2026-01-31")
    wrong = command(server, "customer", "override", "set", customer, "no-such-limit", "1")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1)
