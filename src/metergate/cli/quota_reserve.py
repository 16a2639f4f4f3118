"""`metergate quota reserve`, `extend`, `commit`, `release`: capacity held for work whose cost is known afterwards."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from google.protobuf.duration_pb2 import Duration

from metergate.cli import messages, times
from metergate.cli.connection import connect
from metergate.cli.errors import CliError
from metergate.cli.options import pairs, request_id
from metergate.cli.quota_words import REFUSED, in_words, labels_in_words, limit_table, plain
from metergate.cli.screen import grouped, screen
from metergate.v1 import quota_pb2 as pb
from metergate.v1.usage_event_pb2 import Outcome, UsageEvent, UsageReceipt

ReservationId = Annotated[str, typer.Argument(metavar="RESERVATION", help="Its id, as `reserve` printed it.")]
Label = Annotated[list[str] | None, typer.Option(help="A label of the usage, NAME=VALUE. Repeat for more.")]
_AMOUNTS = "METER=AMOUNT..."
_UNSETTLED = {
    "unknown": "there is none of that id",
    "other": "it was made for another meter, subject or label",
    "nothing left": "nothing was left of it",
}


def reserve(
    amounts: Annotated[list[str], typer.Argument(metavar=_AMOUNTS, help="How much of which meters.")],
    *,
    subject: Annotated[str, typer.Option(help="What will use it.")],
    ttl: Annotated[str, typer.Option(help="For how long: 30s, 5m, 2h; at most 1d.")] = "5m",
    partial: Annotated[bool, typer.Option("--partial", help="Take what is left where not all fits.")] = False,
    label: Label = None,
) -> None:
    """Holds capacity and prints the reservation's id; exit code 4 when it does not fit, and nothing is held.

    What there is to say besides goes to standard error.
    """
    labels = pairs(label or [], "--label")
    request = pb.ReserveQuotaRequest(
        subject=subject,
        amounts=[
            pb.QuotaAmount(meter=meter, amount=amount, labels=labels)
            for meter, amount in pairs(amounts, _AMOUNTS).items()
        ],
        ttl=_duration(ttl),
        partial_ok=partial,
        request_id=request_id(),
    )
    answer: pb.ReserveQuotaResponse = _call("ReserveQuota", request, pb.ReserveQuotaResponse)
    if screen.json:
        screen.data(messages.to_plain(answer) | {"decision": plain(answer.decision)})
    elif answer.decision.allowed:
        screen.line(answer.reservation.id)
        screen.note(_in_words(answer.reservation))
    else:
        screen.note(f"{in_words(answer.decision)} · nothing reserved")
    if not answer.decision.allowed:
        raise typer.Exit(REFUSED)


def extend(
    reservation: ReservationId,
    ttl: Annotated[str, typer.Option(help="For how long from now: 30s, 5m, 2h; at most 1d.")] = "5m",
) -> None:
    """Lets a reservation hold for longer; it never makes it end earlier."""
    request = pb.ExtendReservationRequest(reservation_id=reservation, ttl=_duration(ttl))
    _show(_call("ExtendReservation", request, pb.ExtendReservationResponse))


def commit(
    reservation: ReservationId,
    amounts: Annotated[list[str], typer.Argument(metavar=_AMOUNTS, help="How much was really used of which meters.")],
    *,
    subject: Annotated[str, typer.Option(help="What used it; by default whom it was reserved for.")] = "",
    label: Label = None,
    event_id: Annotated[
        str, typer.Option("--id", help="What the ids of the usage begin with; by default the reservation's id.")
    ] = "",
) -> None:
    """Records what the work really used and frees the rest. Never refused; the same commit again changes nothing."""
    labels = pairs(label or [], "--label")
    events = [
        UsageEvent(id=f"{event_id or reservation}/{meter}", type=meter, subject=subject, amount=amount, labels=labels)
        for meter, amount in pairs(amounts, _AMOUNTS).items()
    ]
    request = pb.CommitReservationRequest(reservation_id=reservation, events=events)
    answer: pb.CommitReservationResponse = _call("CommitReservation", request, pb.CommitReservationResponse)
    if screen.json:
        screen.data(messages.to_plain(answer) | {"late": answer.late})
    else:
        screen.line(_in_words(answer.reservation) + (" · late, it was over before" if answer.late else ""))
        for receipt in answer.receipts:
            screen.line(_receipt_in_words(receipt))
        screen.show(limit_table(answer.limits))
    if any(not _is_taken(receipt) for receipt in answer.receipts):
        raise CliError("Not all of the usage was recorded: commit the rest with another --id.")


def release(reservation: ReservationId) -> None:
    """Gives all that is left of a reservation back."""
    request = pb.ReleaseReservationRequest(reservation_id=reservation)
    _show(_call("ReleaseReservation", request, pb.ReleaseReservationResponse))


def _call(method: str, request: Any, reply: Any) -> Any:
    with connect() as connection:
        return connection.call("QuotaService", method, request, reply)


def _show(answer: pb.ExtendReservationResponse | pb.ReleaseReservationResponse) -> None:
    if screen.json:
        screen.data(messages.to_plain(answer))
    else:
        screen.line(_in_words(answer.reservation))


def _in_words(reservation: pb.Reservation) -> str:
    """What became of a reservation, and what it holds."""
    state = messages.enum_name(reservation, "state")
    until = f" until {times.show(reservation.expire_time)}" if state == "open" else ""
    return " · ".join([f"{reservation.id} is {state}{until}", *map(_amount_in_words, reservation.amounts)])


def _amount_in_words(held: pb.ReservedAmount) -> str:
    labels = f" [{labels_in_words(held.labels)}]" if held.labels else ""
    used = f", {grouped(held.used)} used" if held.used not in ("", "0") else ""
    return f"{held.meter}{labels} {grouped(held.amount)}{used}"


def _receipt_in_words(receipt: UsageReceipt) -> str:
    said = [f"{messages.enum_name(receipt, 'outcome')} {receipt.event_id}"]
    if receipt.unmatched:
        said.append(f"its {receipt.unmatched} is unknown, it counts once there is one")
    if receipt.unsettled:
        said.append(f"it counts beside the reservation: {_UNSETTLED.get(receipt.unsettled, receipt.unsettled)}")
    return " · ".join([*said, *([receipt.message.rstrip(".")] if receipt.message else [])])


def _is_taken(receipt: UsageReceipt) -> bool:
    return receipt.outcome in (Outcome.OUTCOME_ACCEPTED, Outcome.OUTCOME_DUPLICATE)


def _duration(text: str) -> Duration:
    made = Duration()
    made.FromTimedelta(times.duration_option(text))
    return made
