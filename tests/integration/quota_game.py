"""The quota game: moves, each done by one of the processes and by the oracle, which must say the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from metergate.app.customer.terms import CustomerUpdate
from metergate.app.sweep import SweepView
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.errors import MetergateError
from metergate.domain.period import DAY, HOUR, MINUTE, SECOND
from metergate.domain.quantity import to_text
from tests.integration.processes import PRINCIPAL, TENANT, settle
from tests.integration.quota_lease_moves import LeaseMoves
from tests.integration.quota_oracle import Figures
from tests.integration.quota_table import CUSTOMERS, MEMBERS, METERS, MOST, POOL, STEPS, SUBJECTS, caught, limits
from tests.integration.views import command


class Game(LeaseMoves):
    """All moves: those here are of time, definitions and mishaps."""

    @property
    def moves(self) -> list[tuple[int, Callable[[], Awaitable[str]]]]:
        """How often each is made, among the others."""
        return [
            (10, self.record), (16, self.consume), (10, self.reserve), (3, self.extend), (8, self.commit),
            (4, self.release), (10, self.acquire), (14, self.sync), (3, self.operator_release), (3, self.expire),
            (6, self.step_clock), (4, self.change_limits), (2, self.assign), (3, self.override), (1, self.restart),
            (3, self.join), (2, self.anchor),
            (2, self.flush), (5, self.burst), (3, self.explain),
        ]  # fmt: skip

    async def play(self, turns: int) -> None:
        """Makes so many moves, and looks at everything after each."""
        self.players = [await self.begin(), await self.begin()]
        one = self.players[0].process
        await self.apply()
        for name, zone in CUSTOMERS.items():
            await one.customer(name, time_zone=zone)
            self.oracle.plans[name], self.oracle.zones[name] = "", zone
        await one.subject("alice", "acme")
        self.oracle.owners = dict(SUBJECTS)
        await self.verify()
        weights, moves = zip(*self.moves, strict=True)
        for turn in range(turns):
            (move,) = self.rng.choices(moves, weights)
            if turn % 25 == 0:
                await self.process.fetch("ANALYZE")  # what was empty a moment ago would be planned for as empty
            self.may_change = True
            self.log.append(f"{turn} {move.__name__}")
            self.log[-1] += f": {await move()}"
            self.counts[self.log[-1].partition(" ")[2]] = self.counts.get(self.log[-1].partition(" ")[2], 0) + 1
            await self.verify()

    async def expire(self) -> str:
        process = self.process
        before = await process.now()
        await asyncio.gather(*(player.process.expiry.finish() for player in self.players))
        after = await process.now()
        states = dict(await process.fetch("SELECT id, state FROM hold"))
        ended = 0
        for held in self.oracle.holds.values():
            if self.oracle.due(held, before) or (self.oracle.due(held, after) and states[held.id] != held.state):
                self.oracle.expire(held)
                ended += 1
        self.may_change = bool(ended)
        return "some ended" if ended else "none"

    async def step_clock(self) -> str:
        by = self.rng.choice(STEPS)
        await self.clock.step(by)
        self.may_change = False
        return f"by {by // SECOND} s" + (f", {await self.expire()}" if self.rng.random() < 0.5 else "")

    async def apply(self) -> None:
        plans = (Plan("default", limits(self.rng)), Plan("pro", limits(self.rng)))
        self.oracle.catalog = await self.process.apply(Catalog(METERS, plans))

    async def change_limits(self) -> str:
        """They hold at the next decision, in the process too that has not heard of them."""
        await self.apply()
        done = await self.consume()
        await settle([player.process for player in self.players])
        self.may_change = True  # the catalog's version stands in the heads of those that were written
        return done

    async def assign(self) -> str:
        customer, plan = self.rng.choice(list(CUSTOMERS)), self.rng.choice(["", "default", "pro"])
        await self.process.assign(customer, plan)
        self.oracle.plans[customer] = plan
        done = await self.consume()
        await settle([player.process for player in self.players])
        self.may_change = True
        return done

    async def override(self) -> str:
        """Of a limit that there is, from an instant near by to another."""
        rng, process = self.rng, self.process
        customer, now = rng.choice(list(CUSTOMERS)), await process.now()
        names = [limit.name for plan in self.oracle.catalog.plans for limit in plan.limits]
        if not names:
            return await self.change_limits()
        start = now + rng.choice([-HOUR, 0, 30 * SECOND])
        end = rng.choice([None, max(now, start) + rng.choice([MINUTE, HOUR])])
        most = rng.choice(MOST)
        made = await process.override(
            rng.choice(names), None if most is None else to_text(most), start, end, customer=customer
        )
        self.oracle.overrides[customer] = made.overrides
        done = await self.consume()
        await settle([player.process for player in self.players])
        self.may_change = True
        return done

    async def join(self) -> str:
        """A customer shares the pool's limits, or no more; not while it holds capacity."""
        customer, pool = self.rng.choice(MEMBERS), self.rng.choice([POOL, POOL, ""])
        holds = any(
            held.customer == customer and any(share.left for share in held.shares)
            for held in self.oracle.holds.values()
        )
        done = await caught(self.process.terms.assign_pool(PRINCIPAL, customer, pool))
        if isinstance(done, MetergateError):
            assert (done.reason.value, holds) == ("POOL_NOT_POSSIBLE", True)
            self.may_change = False
            return "held"
        assert not holds or pool == self.oracle.pools.get(customer, "")
        self.oracle.pools[customer] = pool
        consumed = await self.consume()
        await settle([player.process for player in self.players])
        self.may_change = True
        return consumed

    async def anchor(self) -> str:
        """A subscription begins, at some moment, or ends: anchored windows and those of fixed length are others."""
        customer = self.rng.choice(list(CUSTOMERS))
        now = await self.process.now()
        at = self.rng.choice([None, now - self.rng.randint(0, 400 * DAY), now - now % SECOND + 20 * SECOND])
        update = CustomerUpdate(anchor=at, no_anchor=at is None)
        await self.process.terms.update(PRINCIPAL, customer, update)
        self.oracle.anchors.pop(customer, None)
        if at is not None:
            self.oracle.anchors[customer] = at
        done = await self.consume()
        await settle([player.process for player in self.players])
        self.may_change = True
        return done

    async def restart(self) -> str:
        player = self.players.pop(self.rng.randrange(2))
        await player.stack.aclose()
        self.players.append(await self.begin())
        await SweepView(self.players[-1].process.usage, self.players[-1].process.view).sweep()
        self.may_change = False
        return "done"

    async def flush(self) -> str:
        await command(self.redis_url, "FLUSHDB")
        self.may_change = False
        return "done"

    async def explain(self) -> str:
        """Decisions of before are worked out again from the ledger as it was, to the same figures."""
        self.may_change = False
        for answered in self.rng.sample(self.answered, min(3, len(self.answered))):
            reader = self.process.explain._reader
            for keys in answered.limits:
                behind = await reader.behind(TENANT, answered.seq, 0, keys, 3)
                found = {key: Figures(*one[:4]) for key, one in zip(keys, behind.figures, strict=True)}
                assert found == {key: answered.figures[key] for key in keys}, answered.seq
        return "the same"
