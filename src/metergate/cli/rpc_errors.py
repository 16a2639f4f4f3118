"""What a failed call says to a person: the server's words, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from metergate.cli.errors import CliError, sentence

_CURES = {
    "KEY_MISSING": "set METERGATE_KEY, or start a dev server with `make run`, which saves a profile",
    "KEY_INVALID": "make a new key with `metergate key create`, or check METERGATE_KEY and the profile",
    "METER_NOT_FOUND": "make it with `metergate limit set METER MAX`, or see `metergate catalog get`",
    "SUBJECT_NOT_FOUND": "add it with `metergate customer subject add CUSTOMER SUBJECT`",
    "CUSTOMER_NOT_FOUND": "make it with `metergate customer create ID`",
    "PLAN_NOT_FOUND": "see the plans with `metergate catalog get`",
    "PLAN_IN_USE": "put its customers on another plan with `metergate customer assign` first",
    "TIME_TOO_OLD": "add --backfill to import old usage",
    "TOO_MANY_POINTS": "take a shorter range or a longer --by",
    "TOO_EXPENSIVE": "declare the label in the catalog, or take a shorter range",
    "OVERLOADED": "try again in a moment",
    "SHUTTING_DOWN": "try again when it is up",
    "LEDGER_UNAVAILABLE": "see what is wrong with `metergate doctor`",
    "EVENT_CONFLICT": "repeat what was sent first, or give it an --id of its own",
    "EVENT_NOT_FOUND": "see the ids with `metergate usage events`, and name its --source where that is another one",
    "EVENT_VOIDED": "see what became of it with `metergate usage history`, and record it under another id",
    "EVENT_CHANGED": "see what it says now with `metergate usage history`",
    "BACKFILL_NOT_FOUND": "see the backfills with `metergate backfill list`",
    "BACKFILL_CLOSED": "see its state with `metergate backfill show`, or open another one",
    "UNIT_PARTLY_KNOWN": "consume the new events as a unit of their own",
    "RESERVATION_NOT_FOUND": "its id is what `metergate quota reserve` printed",
    "RESERVATION_CLOSED": "see `metergate quota limits`, and make another with `metergate quota reserve`",
    "LEASE_NOT_FOUND": "acquire another one",
    "LEASE_MARK_INVALID": "report what was spent and given back of this lease since it began",
    "LEASE_NOT_POSSIBLE": "take it with `metergate quota consume`",
    "METER_CAN_SHRINK": "record its usage with `metergate usage record`, or let the meter only grow",
    "ENDPOINT_NOT_FOUND": "see the endpoints with `metergate webhook list`",
    "TOO_MANY_ENDPOINTS": "take one away with `metergate webhook remove`",
    "ENDPOINT_DISABLED": "turn it on with `metergate webhook update ENDPOINT --enable`",
    "OUTCOME_UNKNOWN": "repeat it with the same id to learn what became of it",
    "DEADLINE_PASSED": "try again, with the same id where there is one",
}
_NO_SERVER = "start one with `make run` or `metergate serve`, or set METERGATE_URL"


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failed call carried. `reason` is empty when the answer is not one of ours."""

    reason: str
    message: str
    fields: tuple[str, ...]
    retry_seconds: float


def read_failure(error: grpc.RpcError) -> Failure:
    """Reads the status and its details."""
    status = _status(error)
    reason, fields, delay = "", [], Duration()
    for detail in status.details if status else ():
        info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(bad):
            fields = [f"{violation.field}: {violation.description}" for violation in bad.field_violations]
        elif detail.Unpack(retry):
            delay = retry.retry_delay
    return Failure(reason, str(_details(error)), tuple(fields), delay.seconds + delay.nanos / 1e9)


def is_passing(error: grpc.RpcError, failure: Failure) -> bool:
    """Whether the same call may succeed later: the server is away, busy, or the connection broke in the middle."""
    code = _code(error)
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        return True
    broken = (grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
    return not failure.reason and code in broken


def to_cli_error(error: grpc.RpcError, url: str) -> CliError:
    """One sentence with what to do."""
    failure, code = read_failure(error), _code(error)
    if not failure.reason and code is grpc.StatusCode.UNAVAILABLE:
        return CliError(f"No Metergate server answers at {url}: {_NO_SERVER}.", reason="UNREACHABLE")
    if not failure.reason and code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return CliError(f"The server at {url} did not answer in time: see `metergate doctor`.", reason="UNREACHABLE")
    said = failure.message or code.name
    # A list of places says more than the summary, which may repeat them.
    places = [field for field in failure.fields if field not in said and field.partition(": ")[2] not in said]
    text = ": ".join([said.rstrip("."), "; ".join(places).rstrip(".")]) if places else said.rstrip(".")
    cure = _CURES.get(failure.reason)
    return CliError(sentence(f"{text}: {cure}" if cure else text), reason=failure.reason or code.name)


# A failed call is a grpc.Call as well as a grpc.RpcError, which the stubs do not know.
def _status(error: Any) -> Any:
    try:
        return rpc_status.from_call(error)
    except ValueError:  # the details contradict the status: some proxy wrote one of them
        return None


def _code(error: Any) -> grpc.StatusCode:
    code = error.code()
    return code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN


def _details(error: Any) -> str:
    return error.details() or ""
