"""Between leases and what the journal holds of them."""

from __future__ import annotations

from metergate_client.leases.model import Entry, Lease, Now, Part, State


def to_entry(lease: Lease, mark: int, now: Now, *, gone: bool = False) -> Entry:
    """What the journal is to hold of the lease. ``mark``: how far it may be spent once this is durable."""
    return Entry(
        request_id=lease.request_id,
        key=lease.key,
        form=lease.form,
        asked=lease.asked,
        lease_id=lease.id,
        mark=max(mark, lease.floor),
        spent=lease.spent,
        time=lease.part_time or now.wall,
        covered=lease.covered,
        last_part=lease.last_part,
        parts=tuple((part.number, part.amount, part.time) for part in lease.parts),
        gone=gone,
    )


def from_entry(entry: Entry) -> Lease:
    """A former run's lease, to be closed: with the mark that it may have been spent up to, and with events for what it
    had been spent for certain. One whose request was not answered is asked for again, and closed when it is there."""
    return Lease(
        request_id=entry.request_id,
        key=entry.key,
        form=entry.form,
        asked=entry.asked,
        state=State.CLOSING if entry.lease_id else State.ASKED,
        unwanted=True,
        id=entry.lease_id,
        spent=entry.spent,
        floor=entry.mark,
        mark=entry.mark,
        claimed=entry.mark,
        covered=entry.covered,
        last_part=entry.last_part,
        parts=[Part(*part, journaled=True) for part in entry.parts],
        part_time=entry.time,
        dirty=False,
        journaled=True,
    )
