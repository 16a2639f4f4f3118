"""`metergate webhook` against a server."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

from tests.e2e.calls import eventually
from tests.e2e.commands import command, done
from tests.receiver import receiver


async def test_add_try_list_replay_and_remove(server: Any) -> None:
    async with receiver() as hook:
        call, fail = partial(asyncio.to_thread, done), partial(asyncio.to_thread, command)
        added = (await call(server, "webhook", "add", hook.url, "--type", "usage.recorded")).splitlines()
        id_ = added[0].split()[0]
        assert added[0] == f"{id_} gets usage.recorded"
        assert added[1].startswith("whsec_")
        assert await call(server, "webhook", "test", id_) == "delivered · answered 204\n"
        await call(server, "usage", "record", "calls", "--subject", "acme")

        async def came() -> bool:
            return len(hook.got) == 2

        await eventually(came, 20)
        listed = json.loads(await call(server, "webhook", "list", "--json"))
        assert [(one["id"], one["url"], one["types"]) for one in listed] == [(id_, hook.url, ["usage.recorded"])]
        [delivery] = json.loads(await call(server, "webhook", "deliveries", "--customer", "acme", "--json"))
        assert (delivery["state"], delivery["type"]) == ("delivered", "usage.recorded")
        assert (await call(server, "webhook", "deliveries")).splitlines()[1].split()[-2:] == ["delivered", "1"]
        assert await call(server, "webhook", "replay", id_) == "0 to be sent again\n"
        assert json.loads(await call(server, "webhook", "replay", id_, "--start", "2020-01-01", "--json")) == {
            "replayed": 1
        }
        rotated = await call(server, "webhook", "rotate", id_)
        assert rotated.startswith("whsec_")
        assert rotated.strip() != added[1]
        hook.answers(500)
        tried = await fail(server, "webhook", "test", id_)
        assert (tried.returncode, tried.stdout) == (1, "not delivered · answered 500\n")
        updated = await call(server, "webhook", "update", id_, "--disable", "--type", "limit.exceeded")
        assert updated == f"{id_} is off and gets limit.exceeded\n"
        refused = await fail(server, "webhook", "replay", id_)
        assert (refused.returncode, "--enable" in refused.stderr) == (1, True)
        assert await call(server, "webhook", "remove", id_) == f"{id_} is removed\n"
        assert json.loads(await call(server, "webhook", "list", "--json")) == []


def test_p12_what_is_not_taken(server: Any) -> None:
    for arguments, word in (
        (["add", "https://10.0.0.1/"], "not public"),
        (["add", "nowhere"], "https"),
        (["add", "https://example.com/", "--type", "all"], "usage.recorded"),
        (["test", "we_none"], "webhook list"),
        (["remove", "we_none"], "webhook list"),
        (["deliveries", "--endpoint", "we_none"], "webhook list"),
        (["replay", "we_none", "--start", "soon"], "soon"),
    ):
        ran = command(server, "webhook", *arguments)
        assert ran.returncode == 1, (arguments, ran)
        assert ran.stderr.startswith("Error: "), ran
        assert word in ran.stderr, ran
    assert command(server, "webhook", "update", "we_none").returncode == 2
