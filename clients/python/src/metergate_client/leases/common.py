"""What the holders of both clients share: clocks, keys, the machine's set-up, forks and the log."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, Protocol
from weakref import WeakSet

from metergate_client.admission import Admission
from metergate_client.calls.call import Call
from metergate_client.calls.consume import consume
from metergate_client.exact import Amount
from metergate_client.leases.holdings import Holdings
from metergate_client.leases.journal import Journal
from metergate_client.leases.machine import LeaseMachine
from metergate_client.leases.model import SECOND, EventForm, Key, LeasePace, Now
from metergate_client.leases.units import to_text

log = logging.getLogger("metergate_client.leases")

_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


# A clock in nanoseconds that nobody sets, and that goes on while the machine is suspended, where there is one.
boot: Callable[[], int] = time.monotonic_ns if _BOOTTIME is None else partial(time.clock_gettime_ns, _BOOTTIME)
wall: Callable[[], int] = time.time_ns


def now() -> Now:
    """One reading of both clocks."""
    return Now(boot(), wall())


def key_of(meter: str, subject: str, labels: Mapping[str, str] | None) -> Key:
    """The slice that this is spent from."""
    return Key(meter, subject, tuple(sorted(labels.items())) if labels else ())


def seconds_until(instant: int) -> float:
    """How long to sleep by the boot clock; at most a second, since suspending the machine stops the sleep's clock."""
    return min(max(instant - boot(), 0) / SECOND, 1.0)


def open_machine(
    holder: str, journal: str | os.PathLike[str] | None, pace: LeasePace | None, forms: Mapping[str, EventForm] | None
) -> tuple[LeaseMachine, Journal | None]:
    """A machine that has taken over what its journal holds.

    Raises:
        MetergateConfigError: The journal is in use, another holder's, or damaged.
        OSError: It cannot be read or written.
    """
    if not holder:
        raise ValueError("a holder has a name, the same after a restart")
    file = None if journal is None else Journal(journal, holder)
    held = Holdings(file is not None, pace or LeasePace(), dict(forms or {}))
    return LeaseMachine(held, file.found if file else ()), file


def tell(machine: LeaseMachine) -> None:
    """Write what went wrong to the log."""
    for problem in machine.problems():
        log.warning("%s", problem)


def left_of(machine: LeaseMachine) -> Decimal:
    """What is at hand, over all slices."""
    return Decimal(to_text(machine.left))


def fallback_call(
    forms: Mapping[str, EventForm], meter: str, amount: Amount, subject: str, labels: Mapping[str, str] | None
) -> Call[Any, Admission]:
    """The call that asks the server where no slice has it."""
    form = forms.get(meter) or EventForm(meter)
    if not form.value:
        return consume(form.type, amount, subject=subject, labels=labels)
    return consume(form.type, subject=subject, values={form.value: amount}, labels=labels)


class Forked(Protocol):
    """A holder, which the child of a fork must not spend from: what it holds is its parent's."""

    def _in_child(self) -> None: ...


_holders: WeakSet[Forked] = WeakSet()


def watch_forks(holder: Forked) -> None:
    """Have the holder told in the child of each fork."""
    _holders.add(holder)


def _in_child() -> None:
    for holder in list(_holders):
        holder._in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
