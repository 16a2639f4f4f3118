"""Batches: what a commit is made of goes when the commit is done, and decisions are made where they are wanted."""

from __future__ import annotations

import gc
import weakref

from metergate.domain.answer import Answer
from metergate.domain.batch import Batch
from metergate.domain.catalog import Catalog, Plan
from metergate.domain.meter import Meter
from metergate.domain.posting import Head, Ledger
from metergate.domain.quantity import parse
from metergate.domain.quota import Figures, Limit
from metergate.domain.usage import AcceptWindow, make_event
from metergate.domain.work import Consume, Fact


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


def test_what_was_admitted_has_a_decision_where_details_are_wanted_and_what_was_refused_always() -> None:
    catalog = Catalog((Meter("api", "calls"),), (Plan("default", (Limit("api/month", "api", parse("2", "max")),)),))
    ledger = Ledger({"acme": Head("acme", 1, "default", "UTC", 0)}, {}, catalog, 10**15, AcceptWindow())
    works = [
        Consume((make_event(id_, "api", "calls", "acme", None, "1", {}, {}, ""),), "acme", details)
        for id_, details in (("1", False), ("2", True), ("3", False))
    ]
    batch = Batch(works, ledger, {})
    batch.begin()
    batch.conclude(batch.finish(dict.fromkeys(batch.wanted(), Figures())))
    answers = [one for one in batch.results if isinstance(one, Answer)]
    assert [(one.allowed, one.decision is not None) for one in answers] == [(True, False), (True, True), (False, True)]
