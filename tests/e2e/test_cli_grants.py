"""`metergate customer grant` against a server."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.commands import command, done


def test_give_use_and_take_back(server: Any) -> None:
    assert done(server, "limit", "set", "calls", "grants").startswith(
        "calls/grants: hard what grants hold per customer on plan 'default'\n"
    )
    done(server, "customer", "create", "acme")
    refused = command(server, "quota", "consume", "calls", "1", "--subject", "acme")
    assert refused.returncode == 4, refused
    made = done(server, "customer", "grant", "create", "acme", "calls", "1000", "--priority", "1")
    first = made.split()[0]
    assert made == f"{first} is active · 1,000 calls · 1,000 left\n"
    recurring = ["calls", "50", "--recurs", "month", "--rollover-max", "20"]
    second = json.loads(done(server, "customer", "grant", "create", "acme", *recurring, "--json"))["grant"]
    assert (second["recurs"], second["rollover_max"], second["left"]) == ("month", "20", "50")
    used = done(server, "quota", "consume", "calls", "60", "--subject", "acme").splitlines()
    assert used[0].startswith("allowed · 60 used · 990 left")
    explained = done(server, "quota", "explain", used[1].rpartition(" ")[2])
    assert "that is what was answered" in explained
    assert [line.split()[1:] for line in explained.splitlines() if line.startswith("g_")] == [
        ["50", "50", "0"], ["1,000", "10", "0"],
    ]  # fmt: skip
    listed = json.loads(done(server, "customer", "grant", "list", "acme", "--json"))
    assert [(one["id"], one["left"], one["state"]) for one in listed] == [
        (second["id"], "0", "active"), (first, "990", "active"),
    ]  # fmt: skip
    assert done(server, "customer", "grant", "void", first) == f"{first} is voided · 1,000 calls · 0 left\n"
    table = done(server, "customer", "grant", "list", "acme", "--ended").splitlines()
    assert table[0].split() == [
        "grant", "meter", "state", "priority", "starts", "ends", "amount", "rolled", "burned", "lost", "left",
    ]  # fmt: skip
    assert table[2].split()[-5:] == ["1,000", "0", "10", "990", "0"]
    history = done(server, "customer", "grant", "history", "acme").splitlines()
    assert [line.split()[-2] for line in history[1:]] == ["void", "burn", "burn", "start", "start", "base"]


def test_p12_what_cannot_be_given(server: Any) -> None:
    done(server, "limit", "set", "calls", "grants")
    assert command(server, "limit", "set", "calls", "grants", "--per", "day").returncode == 2
    for arguments in (
        ["create", "nobody", "calls", "5"], ["void", "g_none"], ["list", "nobody"], ["history", "nobody"],
        ["create", "nobody", "calls", "5", "--start", "soon"],
    ):  # fmt: skip
        ran = command(server, "customer", "grant", *arguments)
        assert ran.returncode == 1, (arguments, ran)
        assert ran.stderr.startswith("Error: "), (arguments, ran)
