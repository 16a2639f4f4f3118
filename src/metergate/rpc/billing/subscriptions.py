"""BillingService, the part on subscriptions and billing details: decode, call one verb, encode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from metergate.app.billing.subscribe import Subscriptions
from metergate.app.tokens import Sealer
from metergate.domain.subscription import Subscription
from metergate.rpc.billing.answers import done_once
from metergate.rpc.billing.convert_invoice import from_pb_details, to_pb_details
from metergate.rpc.billing.convert_subscription import from_pb_changed, from_pb_wanted, to_pb_subscription
from metergate.rpc.call import Call
from metergate.rpc.pages import page_size, request_digest
from metergate.v1 import billing_pb2 as pb

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class SubscriptionService:
    """The servicer."""

    verbs: Subscriptions
    sealer: Sealer

    async def CreateSubscription(
        self, request: pb.CreateSubscriptionRequest, call: Call
    ) -> pb.CreateSubscriptionResponse:
        """Subscribes a customer."""
        wanted, kind = from_pb_wanted(request), pb.CreateSubscriptionResponse
        return await done_once(request, kind, lambda once: self.verbs.create(call.caller, wanted, once), _in(kind))

    async def ChangeSubscription(
        self, request: pb.ChangeSubscriptionRequest, call: Call
    ) -> pb.ChangeSubscriptionResponse:
        """Puts other items in the place of all."""
        changed, kind = from_pb_changed(request), pb.ChangeSubscriptionResponse
        return await done_once(
            request, kind, lambda once: self.verbs.change(call.caller, request.id, changed, once), _in(kind)
        )

    async def ActivateSubscription(
        self, request: pb.ActivateSubscriptionRequest, call: Call
    ) -> pb.ActivateSubscriptionResponse:
        """Ends a trial."""
        kind = pb.ActivateSubscriptionResponse
        return await done_once(
            request, kind, lambda once: self.verbs.activate(call.caller, request.id, once), _in(kind)
        )

    async def PauseSubscription(self, request: pb.PauseSubscriptionRequest, call: Call) -> pb.PauseSubscriptionResponse:
        """Begins a pause."""
        kind = pb.PauseSubscriptionResponse
        return await done_once(request, kind, lambda once: self.verbs.pause(call.caller, request.id, once), _in(kind))

    async def ResumeSubscription(
        self, request: pb.ResumeSubscriptionRequest, call: Call
    ) -> pb.ResumeSubscriptionResponse:
        """Ends a pause."""
        kind = pb.ResumeSubscriptionResponse
        return await done_once(request, kind, lambda once: self.verbs.resume(call.caller, request.id, once), _in(kind))

    async def CancelSubscription(
        self, request: pb.CancelSubscriptionRequest, call: Call
    ) -> pb.CancelSubscriptionResponse:
        """Ends it."""
        at_end, kind = request.at_period_end, pb.CancelSubscriptionResponse
        return await done_once(
            request, kind, lambda once: self.verbs.cancel(call.caller, request.id, at_end, once), _in(kind)
        )

    async def UndoSubscription(self, request: pb.UndoSubscriptionRequest, call: Call) -> pb.UndoSubscriptionResponse:
        """Takes away what is to come."""
        kind = pb.UndoSubscriptionResponse
        return await done_once(request, kind, lambda once: self.verbs.undo(call.caller, request.id, once), _in(kind))

    async def ApplyCoupon(self, request: pb.ApplyCouponRequest, call: Call) -> pb.ApplyCouponResponse:
        """Gives it a coupon."""
        kind = pb.ApplyCouponResponse
        return await done_once(
            request,
            kind,
            lambda once: self.verbs.apply_coupon(call.caller, request.id, request.coupon, once),
            _in(kind),
        )

    async def GetSubscription(self, request: pb.GetSubscriptionRequest, call: Call) -> pb.GetSubscriptionResponse:
        """One subscription."""
        return _in(pb.GetSubscriptionResponse)(await self.verbs.get(call.caller, request.id))

    async def ListSubscriptions(self, request: pb.ListSubscriptionsRequest, call: Call) -> pb.ListSubscriptionsResponse:
        """A page of subscriptions."""
        tenant, digest, size = call.caller.tenant, request_digest(request), page_size(request.page_size)
        place = self.sealer.open_page(tenant, digest, request.page_token)
        found = await self.verbs.list(call.caller, request.customer, place[0] if place else "", size + 1)
        page = found[:size]
        token = self.sealer.page(tenant, digest, [page[-1].id]) if len(found) > size else ""
        return pb.ListSubscriptionsResponse(
            subscriptions=[to_pb_subscription(one) for one in page], next_page_token=token
        )

    async def SetBillingDetails(self, request: pb.SetBillingDetailsRequest, call: Call) -> pb.SetBillingDetailsResponse:
        """Says to whom a customer's invoices go."""
        details, kind = from_pb_details(request.details), pb.SetBillingDetailsResponse
        return await done_once(
            request,
            kind,
            lambda once: self.verbs.set_details(call.caller, request.customer, details, once),
            lambda kept: kind(details=to_pb_details(kept)),
        )

    async def GetBillingDetails(self, request: pb.GetBillingDetailsRequest, call: Call) -> pb.GetBillingDetailsResponse:
        """To whom a customer's invoices go."""
        found = await self.verbs.details(call.caller, request.customer)
        return pb.GetBillingDetailsResponse(details=to_pb_details(found))


def _in(kind: Callable[..., M]) -> Callable[[Any], M]:
    """What makes the response that holds a subscription."""

    def encode(made: Subscription) -> M:
        return kind(subscription=to_pb_subscription(made))

    return encode
