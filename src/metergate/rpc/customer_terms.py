"""CustomerService, the part that changes a customer's terms: decode, call one verb, encode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message

from metergate.app.customer.terms import ChangeTerms, CustomerUpdate
from metergate.app.stores import Customer, Once
from metergate.domain.errors import invalid
from metergate.domain.usage import MAX_NAME, check_text
from metergate.rpc.call import Call
from metergate.rpc.convert import from_pb_max, from_pb_time
from metergate.rpc.customer import MAX_DISPLAY_NAME, to_pb_customer
from metergate.rpc.pages import once
from metergate.v1 import customer_pb2 as pb

R = TypeVar("R", bound=Message)

_CHANGEABLE = ("name", "time_zone", "anchor_time")


@dataclass(frozen=True, slots=True)
class TermsService:
    """The servicer."""

    terms: ChangeTerms

    async def UpdateCustomer(self, request: pb.UpdateCustomerRequest, call: Call) -> pb.UpdateCustomerResponse:
        """Changes a customer's name, zone or anchor."""
        check_text(request.customer.id, "customer.id", MAX_NAME)
        first = _once(request, "UpdateCustomer", pb.UpdateCustomerResponse)
        customer = await self.terms.update(call.caller, request.customer.id, _update(request), first)
        return _answer(first, customer, pb.UpdateCustomerResponse)

    async def AssignPlan(self, request: pb.AssignPlanRequest, call: Call) -> pb.AssignPlanResponse:
        """Puts a customer on a plan."""
        first = _once(request, "AssignPlan", pb.AssignPlanResponse)
        customer = await self.terms.assign_plan(call.caller, request.customer, request.plan, first)
        return _answer(first, customer, pb.AssignPlanResponse)

    async def AssignPool(self, request: pb.AssignPoolRequest, call: Call) -> pb.AssignPoolResponse:
        """Has a customer share another one's limits."""
        first = _once(request, "AssignPool", pb.AssignPoolResponse)
        customer = await self.terms.assign_pool(call.caller, request.customer, request.pool, first)
        return _answer(first, customer, pb.AssignPoolResponse)

    async def SetLimitOverride(self, request: pb.SetLimitOverrideRequest, call: Call) -> pb.SetLimitOverrideResponse:
        """Puts another maximum in the place of a limit's."""
        first = _once(request, "SetLimitOverride", pb.SetLimitOverrideResponse)
        customer = await self.terms.set_override(
            call.caller,
            request.customer,
            request.limit,
            from_pb_max(request.max, "max"),
            _moment(request, "start_time"),
            _moment(request, "end_time"),
            first,
        )
        return _answer(first, customer, pb.SetLimitOverrideResponse)

    async def DeleteLimitOverride(
        self, request: pb.DeleteLimitOverrideRequest, call: Call
    ) -> pb.DeleteLimitOverrideResponse:
        """Takes overrides of a limit away."""
        first = _once(request, "DeleteLimitOverride", pb.DeleteLimitOverrideResponse)
        start = _moment(request, "start_time")
        customer = await self.terms.delete_override(call.caller, request.customer, request.limit, start, first)
        return _answer(first, customer, pb.DeleteLimitOverrideResponse)


def _moment(request: Any, field: str) -> int | None:
    return from_pb_time(getattr(request, field), field) if request.HasField(field) else None


def _update(request: pb.UpdateCustomerRequest) -> CustomerUpdate:
    asked, paths = request.customer, set(request.update_mask.paths)
    if unknown := sorted(paths.difference(_CHANGEABLE)):
        raise invalid("update_mask", f"{unknown[0][:80]!r} is not one of {', '.join(_CHANGEABLE)}")
    if not paths:
        paths = {field.name for field, _ in asked.ListFields()}
    if "name" in paths and asked.name:
        check_text(asked.name, "customer.name", MAX_DISPLAY_NAME)
    anchored = asked.HasField("anchor_time")
    return CustomerUpdate(
        name=asked.name if "name" in paths else None,
        time_zone=(asked.time_zone or "UTC") if "time_zone" in paths else None,
        anchor=from_pb_time(asked.anchor_time, "anchor_time") if "anchor_time" in paths and anchored else None,
        no_anchor="anchor_time" in paths and not anchored,
    )


def _once(request: Any, method: str, kind: type[Any]) -> Once | None:
    return once(request, method, lambda customer: kind(customer=to_pb_customer(customer)))


def _answer(first: Once | None, customer: Customer, kind: type[R]) -> R:
    """What was answered first, or the customer as it stands."""
    if first is not None and first.answer is not None:
        return kind.FromString(first.answer)
    return kind(customer=to_pb_customer(customer))
