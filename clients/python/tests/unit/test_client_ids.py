"""Event ids: UUIDs of version 7 in the order in which they were made."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from metergate_client import new_id


def test_id_is_a_uuid_of_version_7_that_holds_its_millisecond() -> None:
    before = time.time_ns() // 1_000_000
    made = UUID(new_id())
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= made.int >> 80 <= after


@given(st.lists(st.integers(min_value=-3, max_value=3), min_size=2, max_size=300))
def test_ids_rise_and_are_unique_also_within_a_millisecond_and_when_the_clock_goes_back(steps: list[int]) -> None:
    now, ids = time.time_ns() // 1_000_000, []
    with patch("metergate_client.ids._last", 0), patch("metergate_client.ids.time.time_ns") as clock:
        for step in steps:
            now += step
            clock.return_value = now * 1_000_000
            ids.append(new_id())
    assert ids == sorted(set(ids))


def test_threads_never_make_the_same_id() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = [made for batch in pool.map(lambda _: [new_id() for _ in range(500)], range(8)) for made in batch]
    assert len(set(made)) == 4000
