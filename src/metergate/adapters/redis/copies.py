"""Copies of hashes that this process has read, kept until Redis says that one changed.

Redis remembers which keys a connection has read (client-side caching, Redis 6 or newer) and sends word on that
same connection when one is written, so that a copy is dropped in the order in which things happened. Without
the connection there is no word, and so there are no copies.
"""

from __future__ import annotations

from collections import OrderedDict

from metergate.app.ports import Seen
from metergate.domain.quota import CounterKey

COPIES_MOST = 50_000  # hashes; about 25 MB


class Copies:
    """Counters by hash. A copy is of one `seq`; another `seq` begins it anew."""

    def __init__(self) -> None:
        self._hashes: OrderedDict[str, tuple[int, dict[CounterKey, Seen]]] = OrderedDict()
        self.changes = 0

    def get(self, name: str, key: CounterKey, at_least: int) -> Seen | None:
        """The counter, if there is a copy of its hash at that `seq` or a later one."""
        found = self._hashes.get(name)
        if found is None or found[0] < at_least:
            return None
        return found[1].get(key)

    def put(self, name: str, seq: int, key: CounterKey, seen: Seen, changes: int) -> None:
        """Keeps a counter that was just read; not if anything changed since it was asked for (`changes` then): the
        answer and the word that it is old may have come together."""
        if changes != self.changes:
            return
        found = self._hashes.get(name)
        if found is None or found[0] != seq:
            self._hashes[name] = (seq, {key: seen})
            if len(self._hashes) > COPIES_MOST:
                self._hashes.popitem(last=False)
        else:
            found[1][key] = seen

    def drop(self, names: list[bytes] | None) -> None:
        """Redis says that these hashes changed; None = all may have."""
        self.changes += 1
        if names is None:
            self._hashes.clear()
        else:
            for name in names:
                self._hashes.pop(name.decode(), None)

    def drop_one(self, name: str) -> None:
        """We have changed this hash ourselves."""
        self.changes += 1
        self._hashes.pop(name, None)
