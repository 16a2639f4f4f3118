"""Routing: under whose head a work belongs, where subjects have come or gone.

Whose a subject is was looked up before the head was locked. A move holds both heads, so that under a head the answer
is final; and a head says whether it ever lost or took a subject, so that nobody else is asked. What began with one
customer ends with it: a repeat meets what it repeats, and usage that settles a hold counts where the hold does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from metergate.domain.errors import MetergateError, Reason, invalid, subject_not_found
from metergate.domain.posting import NOBODY, Head, Known
from metergate.domain.work import Acquire, Consume, Correct, CreateGrant, Fact, Load, Mark, Reserve, Work


class RouteQuestion(NamedTuple):
    """A subject, and a hold that may be of it. Of a hold alone, its own subject is meant."""

    subject: str
    hold: str = ""


class Route(NamedTuple):
    """Whose the subject is now, and whose the hold is, of which subject; None = there is none. `was_there` says that
    the subject was that customer's before."""

    owner: str | None
    hold_customer: str | None = None
    hold_subject: str | None = None
    was_there: bool = False


Routed = Work | MetergateError
"""The work, with its customer, or why there is none."""


def questions(
    work: Work, heads: Mapping[str, Head], known: Mapping[tuple[str, str], Known]
) -> tuple[RouteQuestion, ...]:
    """What to ask about a work whose head is locked; nothing where no subject came or went."""
    if isinstance(work, Correct):
        moved = work.event is not None and work.to in heads and heads[work.to].moved
        return (RouteQuestion(work.event.subject),) if moved and work.event is not None else ()
    if not heads[work.customer].moved:
        return ()
    match work:
        case Fact(event) | Load(event):
            return () if (event.source, event.id) in known else (RouteQuestion(event.subject, event.settles),)
        case Consume(events):
            return tuple([RouteQuestion(event.subject) for event in events])
        case Reserve() | Acquire():
            return (RouteQuestion(work.subject, work.id),)
        case Mark():
            return (RouteQuestion("", work.id),)
        case CreateGrant():
            return (RouteQuestion(work.customer),)
        case _:
            return ()


def routed(work: Work, routes: Sequence[Route], known: Mapping[tuple[str, str], Known]) -> Routed:
    """The work under the customer that it belongs to, by the answers to its questions."""
    first = routes[0]
    match work:
        case Correct(restores=True):
            return work
        case Correct():
            return work._replace(to=first.owner or NOBODY)
        case Fact() | Load():
            owner = first.hold_customer if first.was_there else first.owner
            return work._replace(customer=owner or NOBODY)
        case Consume(events):
            return _unit(work, [known.get((event.source, event.id)) for event in events], routes)
        case Reserve() | Acquire():
            again = first.hold_customer is not None and first.hold_subject == work.subject
            owner = first.hold_customer if again else first.owner
            return work._replace(customer=owner) if owner else subject_not_found(work.subject)
        case Mark():
            return work._replace(runs_out=first.owner != work.customer)
        case _:
            return work if first.owner == work.customer else closed(work.customer, first.owner or "")


def _unit(work: Consume, known: Sequence[Known | None], routes: Sequence[Route]) -> Routed:
    """A unit is of one customer; one that was recorded before is that of the customer who recorded it."""
    recorded = next((one.customer for one in known if one is not None), None)
    if recorded is not None:
        return work._replace(customer=recorded)
    owners = {route.owner for route in routes}
    if None in owners:
        unknown = next(event.subject for event, route in zip(work.events, routes, strict=True) if route.owner is None)
        return subject_not_found(unknown)
    if len(owners) > 1:
        return invalid("events", "a unit is of one customer")
    return work._replace(customer=routes[0].owner or NOBODY)


def closed(customer: str, merged_into: str) -> MetergateError:
    """The customer was merged into another one."""
    message = f"customer {customer!r} was merged into {merged_into!r} and is closed: ask for that one"
    return MetergateError(Reason.CUSTOMER_MERGED, message, {"customer": customer, "merged_into": merged_into})
