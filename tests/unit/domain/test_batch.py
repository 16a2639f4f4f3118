"""Batches: what a commit is made of goes when the commit is done."""

from __future__ import annotations

import gc
import weakref

from metergate.domain.batch import Batch
from metergate.domain.catalog import Catalog
from metergate.domain.posting import Head, Ledger
from metergate.domain.usage import AcceptWindow, make_event
from metergate.domain.work import Fact


def test_a_batch_is_freed_without_a_collection() -> None:
    """Collections are rare in a server; what waits for one would be all the events of many commits."""
    gc.disable()
    try:
        ledger = Ledger({"acme": Head("acme", 1, "", "UTC", 0)}, {}, Catalog(), 10**15, AcceptWindow())
        batch = Batch([Fact(make_event("1", "api", "calls", "acme", None, "", {}, {}, ""), "acme", False)], ledger, {})
        batch.begin()
        batch.finish({})
        gone = weakref.ref(batch)
        del batch
        assert gone() is None
    finally:
        gc.enable()
