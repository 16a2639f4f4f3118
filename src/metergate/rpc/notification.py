"""NotificationService: decode, call one verb, encode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from google.protobuf.message import Message

from metergate.app import clock
from metergate.app.notify.manage import Made, ManageEndpoints, Wanted
from metergate.app.notify.ports import Delivery, DeliveryQuery, Endpoint, Place, Replay, State
from metergate.app.tokens import Sealer
from metergate.domain.errors import invalid
from metergate.domain.news import parse_kinds
from metergate.domain.outbox import message_id
from metergate.domain.period import EARLIEST, LATEST
from metergate.domain.usage import check_text
from metergate.rpc.call import Call
from metergate.rpc.convert import from_pb_time, to_pb_time
from metergate.rpc.pages import once, page_size, request_digest
from metergate.v1 import notification_pb2 as pb

_STATES: Mapping[State, pb.Delivery.State] = {
    State.PENDING: pb.Delivery.STATE_PENDING,
    State.DELIVERED: pb.Delivery.STATE_DELIVERED,
    State.DEAD: pb.Delivery.STATE_DEAD,
}
_STATE_OF: Mapping[int, State | None] = {number: state for state, number in _STATES.items()} | {0: None}
_CHANGEABLE = ("url", "types", "description", "disabled")
_DESCRIPTION_MOST = 256


@dataclass(frozen=True, slots=True)
class NotificationService:
    """The servicer."""

    manage: ManageEndpoints
    sealer: Sealer

    async def CreateEndpoint(self, request: pb.CreateEndpointRequest, call: Call) -> pb.CreateEndpointResponse:
        """Makes an endpoint."""
        asked = request.endpoint
        _check_description(asked.description)
        kinds = parse_kinds(asked.types, "endpoint.types")
        first = once(request, "CreateEndpoint", _with_secret(pb.CreateEndpointResponse))
        made = await self.manage.create(call.caller, asked.url, kinds, asked.description, first)
        if first is not None and first.answer is not None:
            return pb.CreateEndpointResponse.FromString(first.answer)
        return pb.CreateEndpointResponse(endpoint=_to_pb(made.endpoint), secret=made.secret)

    async def UpdateEndpoint(self, request: pb.UpdateEndpointRequest, call: Call) -> pb.UpdateEndpointResponse:
        """Changes an endpoint."""

        def encode(made: Made) -> pb.UpdateEndpointResponse:
            return pb.UpdateEndpointResponse(endpoint=_to_pb(made.endpoint))

        first = once(request, "UpdateEndpoint", encode)
        made = await self.manage.update(call.caller, request.endpoint.id, _wanted(request), first)
        if first is not None and first.answer is not None:
            return pb.UpdateEndpointResponse.FromString(first.answer)
        return encode(made)

    async def DeleteEndpoint(self, request: pb.DeleteEndpointRequest, call: Call) -> pb.DeleteEndpointResponse:
        """Takes an endpoint away."""
        first = once(request, "DeleteEndpoint", lambda _: pb.DeleteEndpointResponse())
        await self.manage.delete(call.caller, request.id, first)
        return pb.DeleteEndpointResponse()

    async def ListEndpoints(self, request: pb.ListEndpointsRequest, call: Call) -> pb.ListEndpointsResponse:
        """All endpoints."""
        return pb.ListEndpointsResponse(endpoints=[_to_pb(one) for one in await self.manage.list(call.caller)])

    async def RotateEndpointSecret(
        self, request: pb.RotateEndpointSecretRequest, call: Call
    ) -> pb.RotateEndpointSecretResponse:
        """Gives an endpoint a new secret."""
        first = once(request, "RotateEndpointSecret", _with_secret(pb.RotateEndpointSecretResponse))
        made = await self.manage.rotate(call.caller, request.id, first)
        if first is not None and first.answer is not None:
            return pb.RotateEndpointSecretResponse.FromString(first.answer)
        return pb.RotateEndpointSecretResponse(endpoint=_to_pb(made.endpoint), secret=made.secret)

    async def SendTestEvent(self, request: pb.SendTestEventRequest, call: Call) -> pb.SendTestEventResponse:
        """Tries an endpoint out."""
        outcome = await self.manage.test(call.caller, request.id)
        return pb.SendTestEventResponse(delivered=outcome.delivered, status=outcome.status, error=outcome.error)

    async def ListDeliveries(self, request: pb.ListDeliveriesRequest, call: Call) -> pb.ListDeliveriesResponse:
        """A page of deliveries."""
        if request.state not in _STATE_OF:
            raise invalid("state", f"{request.state} is not one of its values")
        tenant, digest, size = call.caller.tenant, request_digest(request), page_size(request.page_size)
        place = self.sealer.open_page(tenant, digest, request.page_token)
        after = Place(*place) if place else None
        whose = (request.endpoint or None, request.customer or None)
        query = DeliveryQuery(*whose, _STATE_OF[request.state], after, size + 1)
        found = await self.manage.deliveries(call.caller, query)
        page = found[:size]
        token = self.sealer.page(tenant, digest, _place(page[-1])) if len(found) > size else ""
        deliveries = [_to_pb_delivery(tenant, one) for one in page]
        return pb.ListDeliveriesResponse(deliveries=deliveries, next_page_token=token)

    async def ReplayDeliveries(self, request: pb.ReplayDeliveriesRequest, call: Call) -> pb.ReplayDeliveriesResponse:
        """Sends again."""
        start, end = _moment(request, "start_time"), _moment(request, "end_time")
        if start is not None or end is not None:
            start, end = start or EARLIEST, clock.now() if end is None else end
            if start >= end:
                raise invalid("end_time", "must be later than start_time")
        replayed = await self.manage.replay(call.caller, Replay(request.endpoint, request.customer or None, start, end))
        return pb.ReplayDeliveriesResponse(replayed=replayed)


def _with_secret(
    kind: type[pb.CreateEndpointResponse] | type[pb.RotateEndpointSecretResponse],
) -> Callable[[Made], Message]:
    return lambda made: kind(endpoint=_to_pb(made.endpoint), secret=made.secret)


def _moment(request: pb.ReplayDeliveriesRequest, field: Literal["start_time", "end_time"]) -> int | None:
    if not request.HasField(field):
        return None
    instant = from_pb_time(getattr(request, field), field)
    if not EARLIEST <= instant < LATEST:
        raise invalid(field, "must lie between 1970 and 2200")
    return instant


def _check_description(text: str) -> None:
    if text:
        check_text(text, "endpoint.description", _DESCRIPTION_MOST)


def _wanted(request: pb.UpdateEndpointRequest) -> Wanted:
    asked, paths = request.endpoint, set(request.update_mask.paths)
    if unknown := sorted(paths.difference(_CHANGEABLE)):
        raise invalid("update_mask", f"{unknown[0][:80]!r} is not one of {', '.join(_CHANGEABLE)}")
    if not paths:
        paths = {field.name for field, _ in asked.ListFields()}
    _check_description(asked.description)
    return Wanted(
        url=asked.url if "url" in paths else None,
        kinds=parse_kinds(asked.types, "endpoint.types") if "types" in paths else None,
        description=asked.description if "description" in paths else None,
        enabled=not asked.disabled if "disabled" in paths else None,
    )


def _to_pb(endpoint: Endpoint) -> pb.Endpoint:
    until = endpoint.previous_until
    return pb.Endpoint(
        id=endpoint.id,
        url=endpoint.url,
        types=endpoint.kinds,
        description=endpoint.description,
        disabled=not endpoint.enabled,
        disabled_reason=endpoint.disabled_reason,
        create_time=to_pb_time(endpoint.created_at),
        previous_secret_end_time=None if until is None or until <= clock.now() else to_pb_time(until),
    )


def _place(delivery: Delivery) -> list[object]:
    return [delivery.recorded_at, delivery.endpoint, delivery.customer, delivery.seq, delivery.place]


def _to_pb_delivery(tenant: str, delivery: Delivery) -> pb.Delivery:
    one = delivery
    return pb.Delivery(
        id=message_id(tenant, one.endpoint, one.customer, one.seq, one.place),
        endpoint=one.endpoint,
        customer=one.customer,
        seq=one.seq,
        place=one.place,
        type=one.kind,
        state=_STATES[one.state],
        attempts=one.attempts,
        status=one.status,
        error=one.error,
        create_time=to_pb_time(one.recorded_at),
        try_time=None if one.tried_at is None else to_pb_time(one.tried_at),
    )
