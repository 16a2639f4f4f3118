"""Deliver: takes news out of the queues to their endpoints, in order for each customer, at least once.

A queue's first message is tried until the endpoint takes it or it is given up; then comes the next. Queues of other
customers and of other endpoints go on meanwhile. Any number of processes deliver: each claims queues for a time that
it renews with each message, so that the claims of a process that died run out.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable

from metergate.app import clock
from metergate.app.directory import Memory
from metergate.app.notify.ports import Claim, Message, Outcome, Queues, Sender, State, Tally
from metergate.app.ports.ledger import DataRefusedError, LedgerUnavailableError, RaceLostError
from metergate.domain.news import BackOff
from metergate.domain.outbox import message_id
from metergate.domain.period import SECOND
from metergate.domain.signature import headers

log = logging.getLogger(__name__)

# Queues that are worked on at a time, and how many of one endpoint: few where its last try failed, so that those which
# hang leave room for the others.
_QUEUES_MOST = 128
_EACH = 16
_EACH_FAILING = 2
_FAILING_MOST = 1_000
_NEWS_AT_ONCE = 1_000
_TURN_SECONDS = 10.0  # after which a long queue lets others come first

# Turns off an endpoint of a tenant, for a reason.
TurnOff = Callable[[str, str, str], Awaitable[None]]


class Deliver:
    """The verb."""

    def __init__(self, queues: Queues, sender: Sender, turn_off: TurnOff, back_off: BackOff, tally: Tally) -> None:
        self._queues = queues
        self._sender = sender
        self._turn_off = turn_off
        self._back_off = back_off
        self._tally = tally
        self._under_way: dict[Claim, asyncio.Task[None]] = {}
        self._failing: Memory[tuple[str, str], None] = Memory(_FAILING_MOST)
        self.hurry = asyncio.Event()
        """Set when a round is worth while before its time."""

    async def begin(self) -> None:
        """Begins on all that is due and not under way.

        Raises:
            LedgerUnavailableError, RaceLostError, DataRefusedError: tried again with the next round.
        """
        await self._begin()

    async def finish(self) -> None:
        """Delivers all that is due, and waits until it is done."""
        while await self._begin() or self._under_way:
            await asyncio.wait(self._under_way.values(), return_when=asyncio.FIRST_COMPLETED)

    async def stop(self) -> None:
        """Breaks off what is under way, and gives its queues back; where that fails, their claims run out."""
        claims, tasks = list(self._under_way), list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        given_back = [self._queues.leave(claim, is_empty=False) for claim in claims]
        await asyncio.gather(*given_back, return_exceptions=True)

    async def _begin(self) -> bool:
        """Whether there was something to begin on."""
        while await self._queues.wake(_NEWS_AT_ONCE) == _NEWS_AT_ONCE:
            pass
        room = _QUEUES_MOST - len(self._under_way)
        if not room:
            return False
        claims = await self._queues.claim(room, _EACH, self._rooms())
        for claim in claims:
            self._under_way[claim] = asyncio.create_task(self._work(claim))
        return bool(claims)

    def _rooms(self) -> dict[tuple[str, str], int]:
        """How many queues more may be worked on of endpoints that are at work or failing."""
        at_work = Counter([(claim.tenant, claim.endpoint) for claim in self._under_way])
        return {
            one: (_EACH_FAILING if one in self._failing else _EACH) - at_work[one] for one in (*at_work, *self._failing)
        }

    async def _work(self, claim: Claim) -> None:
        try:
            await self._drain(claim)
        except (LedgerUnavailableError, RaceLostError, DataRefusedError) as error:
            log.info("news of %s/%s go on later: %s", claim.tenant, claim.customer, error)
        finally:
            del self._under_way[claim]
            self.hurry.set()  # its place is free

    async def _drain(self, claim: Claim) -> None:
        """Delivers what is in the queue, until it is empty, something fails, or it is the turn of others."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _TURN_SECONDS
        while True:
            message = await self._queues.first(claim)
            if message is None or loop.time() > until:
                await self._queues.leave(claim, is_empty=message is None)
                return
            outcome = await self._send(claim, message)
            if not await self._settled(claim, message, outcome):
                return

    async def _send(self, claim: Claim, message: Message) -> Outcome:
        id_ = message_id(claim.tenant, claim.endpoint, claim.customer, message.seq, message.place)
        signed = headers(id_, clock.now() // SECOND, message.body, message.secrets)
        return await self._sender.send(message.url, signed, message.body)

    async def _settled(self, claim: Claim, message: Message, outcome: Outcome) -> bool:
        """Notes how a try ended; whether the queue goes on."""
        attempts, endpoint = message.attempts + 1, (claim.tenant, claim.endpoint)
        if outcome.delivered:
            self._failing.pop(endpoint, None)
            self._tally.ended("delivered")
            return await self._queues.settle(claim, message, State.DELIVERED, outcome, None)
        self._failing.keep(endpoint, None)
        if outcome.gone or self._back_off.gives_up(attempts, message.waited):
            self._tally.ended("dead")
            goes_on = await self._queues.settle(claim, message, State.DEAD, outcome, None)
            if outcome.gone:
                await self._turn_off(claim.tenant, claim.endpoint, "410 Gone")
            return goes_on and not outcome.gone
        self._tally.ended("failed")
        pause = self._back_off.pause(attempts, random.random())
        await self._queues.settle(claim, message, State.PENDING, outcome, pause)
        return False
