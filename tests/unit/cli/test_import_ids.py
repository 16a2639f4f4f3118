"""Ids made from rows: a second import adds nothing, an equal row in the same file is another event."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metergate.cli.importing.ids import RowIds

# Few letters, so that rows that read the same are common.
rows = st.lists(st.binary(max_size=3) | st.sampled_from([b"a", b"b", b"a,1"]), max_size=40)


def ids_of(raws: list[bytes], series: str = "") -> list[str]:
    ids = RowIds(series)
    return [ids.next(raw) for raw in raws]


@given(rows)
def test_each_row_of_a_file_has_its_own_id(raws: list[bytes]) -> None:
    made = ids_of(raws)
    assert len(set(made)) == len(raws)
    assert all(len(one) == 32 for one in made)


@given(rows)
def test_the_same_file_again_gives_the_same_ids(raws: list[bytes]) -> None:
    assert ids_of(raws) == ids_of(raws)


@given(rows, rows)
def test_appended_rows_leave_the_earlier_ids_alone(raws: list[bytes], more: list[bytes]) -> None:
    assert ids_of(raws + more)[: len(raws)] == ids_of(raws)


@given(rows, st.randoms())
def test_the_order_of_rows_changes_no_id(raws: list[bytes], random: object) -> None:
    shuffled = list(raws)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sorted(ids_of(shuffled)) == sorted(ids_of(raws))


@given(rows)
def test_another_series_gives_other_ids(raws: list[bytes]) -> None:
    assert not set(ids_of(raws, "web-1")) & set(ids_of(raws, "web-2"))


def test_ids_stay_as_they_are_between_versions() -> None:
    # Were these to change, a second import with a newer version would count everything twice.
    assert ids_of([b"2023-11-16 18:17:03.9799600,4808,10"] * 2) == [
        "71c303720cc9a69fb824fe41579b41b1",
        "0bb30d3f0ed790de7c65b507f28c2609",
    ]
    assert ids_of([b"x"], "web-1") == ["3fe2ae0f9d55f5e43c435f5e738794e0"]
