"""UsageService, ReconcileUsage: decode, call the verb, encode."""

from __future__ import annotations

from dataclasses import dataclass

from metergate.app.reconcile import Difference, ReconcileUsage
from metergate.app.tokens import Sealer
from metergate.rpc.call import Call
from metergate.rpc.convert import to_pb_time
from metergate.rpc.pages import request_digest
from metergate.v1 import usage_pb2


@dataclass(frozen=True, slots=True)
class ReconcileService:
    """The servicer."""

    reconcile: ReconcileUsage
    sealer: Sealer

    async def ReconcileUsage(
        self, request: usage_pb2.ReconcileUsageRequest, call: Call
    ) -> usage_pb2.ReconcileUsageResponse:
        """The next customers, or one."""
        tenant, digest = call.caller.tenant, request_digest(request)
        place = self.sealer.open_page(tenant, digest, request.page_token)
        done = await self.reconcile.reconcile(
            call.caller, request.customer, place[0] if place else "", request.repair_view, request.rebuild
        )
        found = done.found
        return usage_pb2.ReconcileUsageResponse(
            differences=[_to_pb_difference(one) for one in found.differences],
            counts=found.counts,
            customers=found.range.customers,
            last_customer=found.range.last,
            as_of=to_pb_time(found.as_of),
            view_compared=done.view_compared,
            repaired=done.repaired,
            rebuilt=done.rebuilt,
            next_page_token="" if done.next is None else self.sealer.page(tenant, digest, [done.next]),
        )


def _to_pb_difference(one: Difference) -> usage_pb2.UsageDifference:
    return usage_pb2.UsageDifference(
        kind=one.kind, customer=one.customer, what=one.what, expected=one.told, kept=one.kept
    )
