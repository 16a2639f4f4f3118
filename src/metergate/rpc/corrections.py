"""UsageService, the part that corrects events: decode, call one verb, encode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metergate.app.tokens import Sealer
from metergate.app.usage.correct import Correction, CorrectUsage
from metergate.app.usage.history import UsageHistory, Version
from metergate.domain.correction import Corrected, Kind, Place
from metergate.domain.errors import invalid
from metergate.domain.period import EARLIEST, LATEST
from metergate.rpc.call import Call
from metergate.rpc.convert import from_pb_event, from_pb_time, to_pb_event, to_pb_time
from metergate.rpc.pages import page_size, request_digest
from metergate.v1 import usage_pb2 as pb

_KINDS: Mapping[Kind | None, pb.CorrectionKind] = {
    None: pb.CORRECTION_KIND_RECORDED,
    Kind.AMEND: pb.CORRECTION_KIND_AMENDED,
    Kind.VOID: pb.CORRECTION_KIND_VOIDED,
    Kind.RESTORE: pb.CORRECTION_KIND_RESTORED,
}


@dataclass(frozen=True, slots=True)
class CorrectionService:
    """The servicer."""

    corrections: CorrectUsage
    histories: UsageHistory
    sealer: Sealer

    async def AmendUsage(self, request: pb.AmendUsageRequest, call: Call) -> pb.AmendUsageResponse:
        """Puts other content in the place of what an event says."""
        event = from_pb_event(request.event, call.caller.service)
        asked = Correction(
            event.source, event.id, event, request.reason, request.request_id, request_digest(request),
            request.backfill, request.expected_version, _hint(request),
        )  # fmt: skip
        done = await self.corrections.correct(call.caller, asked)
        token = self.sealer.write(call.caller.tenant, done.seqs)
        return pb.AmendUsageResponse(receipt=_to_pb_receipt(done.corrected), token=token)

    async def VoidUsage(self, request: pb.VoidUsageRequest, call: Call) -> pb.VoidUsageResponse:
        """Takes an event back."""
        asked = Correction(
            request.source or call.caller.service, request.id, None, request.reason, request.request_id,
            request_digest(request), False, request.expected_version, _hint(request),
        )  # fmt: skip
        done = await self.corrections.correct(call.caller, asked)
        token = self.sealer.write(call.caller.tenant, done.seqs)
        return pb.VoidUsageResponse(receipt=_to_pb_receipt(done.corrected), token=token)

    async def GetUsageHistory(self, request: pb.GetUsageHistoryRequest, call: Call) -> pb.GetUsageHistoryResponse:
        """A page of an event's versions."""
        tenant, digest, size = call.caller.tenant, request_digest(request), page_size(request.page_size)
        place = self.sealer.open_page(tenant, digest, request.page_token)
        source = request.source or call.caller.service
        found = await self.histories.get(call.caller, source, request.id, place[0] if place else 0, size + 1)
        page = found[:size]
        token = self.sealer.page(tenant, digest, [page[-1].version]) if len(found) > size else ""
        return pb.GetUsageHistoryResponse(versions=[_to_pb_version(one) for one in page], next_page_token=token)


def _hint(request: Any) -> tuple[str, int] | None:
    if not request.customer:
        return None
    counted_at = from_pb_time(request.count_time, "count_time")
    if not EARLIEST <= counted_at < LATEST:
        raise invalid("count_time", "must lie between 1970 and 2200")
    return request.customer, counted_at


def _to_pb_receipt(corrected: Corrected) -> pb.CorrectionReceipt:
    return pb.CorrectionReceipt(
        event_id=corrected.id,
        source=corrected.source,
        version=corrected.version,
        taken_back=_to_pb_place(corrected.taken),
        counted=_to_pb_place(corrected.put),
        unmatched=corrected.unmatched,
    )


def _to_pb_place(place: Place | None) -> pb.UsagePlace | None:
    if place is None:
        return None
    return pb.UsagePlace(customer=place.customer, count_time=to_pb_time(place.counted_at), seq=place.seq)


def _to_pb_version(one: Version) -> pb.UsageVersion:
    return pb.UsageVersion(
        version=one.version,
        kind=_KINDS[one.kind],
        event=to_pb_event(one.event) if one.event else None,
        taken_back=_to_pb_place(one.taken),
        counted=_to_pb_place(one.put),
        record_time=to_pb_time(one.recorded_at),
        reason=one.reason,
        service=one.service,
        key_id=one.key_id,
        backfill=one.backfill,
    )
