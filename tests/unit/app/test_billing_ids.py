"""Ids of what is billed sort by when they were made, and are UUIDs of version 7."""

from __future__ import annotations

from uuid import RFC_4122, UUID

from metergate.app.billing.ids import new_id


def test_ids_are_uuids_of_version_7_and_sort_by_time() -> None:
    made = [new_id("sub", at * 1_000_000) for at in (0, 1, 1_700_000_000, 1_700_000_001)]
    assert made == sorted(made)
    for id_, at in zip(made, (0, 1_000, 1_700_000_000_000, 1_700_000_001_000), strict=True):
        prefix, _, digits = id_.partition("_")
        number = UUID(hex=digits)
        assert (prefix, number.version, number.variant, number.int >> 80) == ("sub", 7, RFC_4122, at)
    assert len({new_id("sub", 1) for _ in range(1000)}) == 1000
