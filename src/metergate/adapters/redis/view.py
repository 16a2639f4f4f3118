"""The fast view of counters in Redis: `app.ports.view.View`.

One hash per customer, named by an epoch: a name that changes with anything that could make an old hash lie
(another ledger, a restored one, another Redis, one that restarted). Nothing is ever deleted for it; hashes of
an epoch that is over are not asked for again and expire.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from hashlib import blake2b
from importlib.resources import files
from typing import Final

from metergate.adapters.redis.copies import Copies, Scope
from metergate.adapters.redis.link import RedisLink, Script
from metergate.app.coalesce import Coalescer
from metergate.app.ports.view import Publication, Seen, ViewUnavailableError
from metergate.domain.quantity import to_text
from metergate.domain.quota import CounterKey, Figures

log = logging.getLogger(__name__)

_NUMBERS: Final = 7  # how many of a counter's figures are quantities; after them stands when limits were reached
LIFE_MS = 24 * 3600 * 1000
_PUBLISH = Script(files(__package__).joinpath("publish.lua").read_text())
_VERSIONS_MOST = 1_000  # catalogs within the life of a hash
_KEYS_MOST = 2_000  # keys in one call of a script


class RedisView:
    """Reads and publications each go over a connection of their own, so that neither waits for the other.

    What was read is copied, until Redis says that it changed. Reads are pipelined: those that come together
    go out and come back together.
    """

    def __init__(self, url: str, ledger_identity: Callable[[], Awaitable[str]]) -> None:
        self._ledger_identity = ledger_identity
        self._epoch = ""
        # Hashes are not read before all that was recorded is known to them or was dropped: after a connection was
        # lost, or Redis refused a commit, they may stand still.
        self._trusted = False
        self._copies = Copies()
        self._met: dict[str, str] = {}
        self._same = False
        self._reading = RedisLink(url, partial(self._found, "reading"), self._copies.drop)
        self._publishing = RedisLink(url, partial(self._found, "publishing"), lambda changed: None)
        self._publications: Coalescer[tuple[str, Publication, int], None] = Coalescer(self._publish_together)

    @property
    def up(self) -> bool:
        """Whether Redis can be reached."""
        return self._same and self._reading.up and self._publishing.up

    @property
    def trusted(self) -> bool:
        """See `app.ports.view.View`."""
        return self._trusted

    async def start(self) -> None:
        """Connects; a Redis that is away is no error."""
        await self._reading.start()
        await self._publishing.start()

    async def stop(self) -> None:
        """Closes the connections."""
        await self._reading.stop()
        await self._publishing.stop()

    async def reconsider(self) -> None:
        """The ledger may be another one now: the epoch is named anew before the view is used again."""
        await self._reading.reconnect()
        await self._publishing.reconnect()

    async def _found(self, link: str, redis_identity: str) -> None:
        """A connection met a Redis. While the two have met different ones, the view is not up, and what the other
        connection has read is of a Redis that we no longer write to."""
        identity = f"{await self._ledger_identity()}/{redis_identity}"
        self._met[link] = identity
        self._trusted = False
        epoch = blake2b(identity.encode(), digest_size=9).hexdigest()
        if epoch != self._epoch:
            self._epoch = epoch
            self._copies.drop(None)
        self._same = len(set(self._met.values())) == 1
        if not self._same:
            (self._publishing if link == "reading" else self._reading).let_go()

    def _key(self, tenant: str, catalog_version: int, customer: str) -> str:
        # Lengths keep apart what a separator could not; the braces keep a customer in one slot of a cluster.
        return f"mg:{self._epoch}:{catalog_version}:{{{len(tenant)}:{tenant}:{customer}}}"

    def held(self, tenant: str, catalog_version: int) -> Mapping[CounterKey, Seen]:
        """See `app.ports.view.View`."""
        if not self.up or not self._trusted:
            return {}
        return self._copies.counters((tenant, catalog_version))

    async def read(
        self, tenant: str, catalog_version: int, keys: Sequence[CounterKey], at_least: Mapping[str, int]
    ) -> list[Seen | None]:
        """See `app.ports.view.View`."""
        if not self.up or not self._trusted:
            raise ViewUnavailableError("not connected, or no commit can be made known")
        scope = (tenant, catalog_version)
        copies = self._copies.counters(scope)
        seen = [copies.get(key) for key in keys]
        if at_least:
            for place, key in enumerate(keys):
                if self._copies.seq(self._key(tenant, catalog_version, key.customer)) < at_least.get(key.customer, 0):
                    seen[place] = None
        if None in seen:
            await self._read(scope, keys, seen, at_least)
        return seen

    async def _read(
        self, scope: Scope, keys: Sequence[CounterKey], seen: list[Seen | None], at_least: Mapping[str, int]
    ) -> None:
        """Fills in what there are no copies of, in one round trip."""
        changes = self._copies.changes
        unknown = [place for place, one in enumerate(seen) if one is None]
        names = [self._key(*scope, keys[place].customer) for place in unknown]
        commands = [("HMGET", name, "seq", _field(keys[place])) for name, place in zip(names, unknown, strict=True)]
        answers = await self._reading.call(commands)
        for place, name, (seq, value) in zip(unknown, names, answers, strict=True):
            if value is None:
                continue
            key, one = keys[place], _seen(value)
            self._copies.put(name, int(seq), scope, key, one, changes)
            if int(seq) >= at_least.get(key.customer, 0):
                seen[place] = one

    async def stored(
        self, tenant: str, catalog_version: int, keys: Sequence[CounterKey]
    ) -> tuple[dict[str, int], dict[CounterKey, Figures]]:
        """See `app.reconcile.ViewReader`."""
        if not self.up:
            raise ViewUnavailableError("not connected")
        commands = [("HMGET", self._key(tenant, catalog_version, key.customer), "seq", _field(key)) for key in keys]
        answers = await self._reading.call(commands) if commands else []
        seqs: dict[str, int] = {}
        found = {}
        for key, (seq, value) in zip(keys, answers, strict=True):
            if value is not None:
                # Each is asked for on its own: what changed between the answers is of no one `seq`.
                seqs[key.customer] = int(seq) if seqs.get(key.customer, int(seq)) == int(seq) else -1
                found[key] = _seen(value).figures
        return seqs, found

    async def publish(self, tenant: str, catalog_version: int, now: int, publications: Sequence[Publication]) -> bool:
        """See `app.ports.view.View`."""
        if not self.up:
            self._trusted = False
            return False
        items = [(self._key(tenant, catalog_version, one.customer), one, now) for one in publications]
        try:
            await self._publications.submit_all(items)
        except ViewUnavailableError as error:
            log.debug("a publication was lost and will be swept: %s", error)
            self._trusted = False
            return False
        finally:
            for name, one, _ in items:  # whoever wrote must not read his own copy from before
                if one.whole or self._copies.seq(name) < one.seq:
                    self._copies.drop_one(name)
        return True

    async def forget(self, tenant: str, catalog_version: int, customers: Sequence[str]) -> bool:
        """See `app.ports.view.View`. Hashes of catalogs that were in force long ago have expired."""
        if not self.up:
            return False
        versions = range(max(catalog_version - _VERSIONS_MOST, 0), catalog_version + 1)
        try:
            for customer in customers:
                names = [self._key(tenant, version, customer) for version in versions]
                await self._publishing.call([("DEL", *names)])
                for name in names:
                    self._copies.drop_one(name)
        except ViewUnavailableError:
            return False
        return True

    def trust(self) -> None:
        """See `app.ports.view.View`."""
        self._trusted = True

    async def _publish_together(self, items: Sequence[tuple[str, Publication, int]]) -> list[None]:
        for start in range(0, len(items), _KEYS_MOST):
            part = items[start : start + _KEYS_MOST]
            arguments: list[str | int] = [LIFE_MS]
            for _, publication, now in part:
                _add_arguments(arguments, publication, now)
            await self._publishing.run(_PUBLISH, [key for key, _, _ in part], arguments)
        return [None] * len(items)


def _add_arguments(arguments: list[str | int], publication: Publication, now: int) -> None:
    before = "" if publication.whole else _seq(publication.before)
    arguments += (before, _seq(publication.seq), len(publication.figures), len(publication.forget))
    for key, figures in publication.figures.items():
        arguments += (_field(key), _value(figures, now))
    arguments += [_field(key) for key in publication.forget]


def _seq(seq: int) -> str:
    return f"{seq:019d}"


def _field(key: CounterKey) -> str:
    # No part holds a control character, so that the separator keeps them apart.
    return f"{key.meter}\x1f{key.subject}\x1f{key.filter}\x1f{key.start}\x1f{key.end}"


def _value(figures: Figures, now: int) -> str:
    if not any(figures[1:]):
        return f"{now}|{to_text(figures.used)}"
    texts = [to_text(number) for number in figures[:_NUMBERS]]
    # A limit's name holds none of these signs.
    return "|".join([str(now), *texts, *[f"{name}={at}" for name, at in figures.reached]])


def _seen(value: bytes) -> Seen:
    as_of, *texts = value.decode("ascii").split("|")
    figures = Figures.of([Decimal(text) for text in texts[:_NUMBERS]])
    if len(texts) > _NUMBERS:
        pairs = [text.split("=") for text in texts[_NUMBERS:]]
        figures = figures._replace(reached=tuple([(name, int(at)) for name, at in pairs]))
    return Seen(figures, int(as_of))
