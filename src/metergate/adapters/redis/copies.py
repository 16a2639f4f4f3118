"""Copies of hashes that this process has read, kept until Redis says that one changed.

Redis remembers which keys a connection has read (client-side caching, Redis 6 or newer) and sends word on that
same connection when one is written, so that a copy is dropped in the order in which things happened. Without
the connection there is no word, and so there are no copies.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from metergate.app.ports.view import Seen
from metergate.domain.quota import CounterKey

COPIES_MOST = 50_000  # hashes; about 25 MB

# Whose counters these are: a tenant under one catalog version.
Scope = tuple[str, int]


@dataclass(slots=True)
class _Hash:
    """A hash of which there are copies: its `seq`, and the counters that were read."""

    seq: int
    scope: Scope
    keys: set[CounterKey]


class Copies:
    """Counters by scope and key. A hash's copies are of one `seq`; another `seq` begins them anew."""

    def __init__(self) -> None:
        self._counters: dict[Scope, dict[CounterKey, Seen]] = {}
        self._hashes: OrderedDict[str, _Hash] = OrderedDict()
        self.changes = 0

    def counters(self, scope: Scope) -> Mapping[CounterKey, Seen]:
        """The counters of which there are copies."""
        return self._counters.get(scope, _NONE)

    def seq(self, name: str) -> int:
        """The `seq` of a hash's copies; -1 without any."""
        found = self._hashes.get(name)
        return -1 if found is None else found.seq

    def put(self, name: str, seq: int, scope: Scope, key: CounterKey, seen: Seen, changes: int) -> None:
        """Keeps a counter that was just read; not if anything changed since it was asked for (`changes` then): the
        answer and the word that it is old may have come together."""
        if changes != self.changes:
            return
        found = self._hashes.get(name)
        if found is not None and found.seq != seq:
            self._drop(name)
            found = None
        if found is None:
            found = self._hashes[name] = _Hash(seq, scope, set())
            if len(self._hashes) > COPIES_MOST:
                self._drop(next(iter(self._hashes)))
        found.keys.add(key)
        self._counters.setdefault(scope, {})[key] = seen

    def drop(self, names: list[bytes] | None) -> None:
        """Redis says that these hashes changed; None = all may have."""
        self.changes += 1
        if names is None:
            self._hashes.clear()
            self._counters.clear()
        else:
            for name in names:
                self._drop(name.decode())

    def drop_one(self, name: str) -> None:
        """We have changed this hash ourselves."""
        self.changes += 1
        self._drop(name)

    def _drop(self, name: str) -> None:
        gone = self._hashes.pop(name, None)
        if gone is None:
            return
        counters = self._counters.get(gone.scope, {})
        for key in gone.keys:
            counters.pop(key, None)
        if not counters:
            self._counters.pop(gone.scope, None)


_NONE: Mapping[CounterKey, Seen] = {}
