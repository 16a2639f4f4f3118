"""CustomerService, the part that makes and shows: decode, call one verb, encode."""

from __future__ import annotations

from dataclasses import dataclass

from metergate.app.customer.manage import Made, ManageCustomers
from metergate.app.stores import Customer, Subject
from metergate.app.tokens import Sealer
from metergate.domain import plan_terms
from metergate.domain.override import Override
from metergate.domain.quota import text_of_max
from metergate.domain.usage import MAX_NAME, check_text
from metergate.rpc.call import Call
from metergate.rpc.convert import from_pb_time, to_pb_time
from metergate.rpc.pages import once, page_size, request_digest
from metergate.v1 import customer_pb2 as pb

MAX_DISPLAY_NAME = 256  # bytes


@dataclass(frozen=True, slots=True)
class CustomerService:
    """The servicer."""

    manage: ManageCustomers
    sealer: Sealer

    async def CreateCustomer(self, request: pb.CreateCustomerRequest, call: Call) -> pb.CreateCustomerResponse:
        """Makes a customer."""
        asked = request.customer
        check_text(asked.id, "customer.id", MAX_NAME)
        if asked.name:
            check_text(asked.name, "customer.name", MAX_DISPLAY_NAME)

        def encode(made: Made) -> pb.CreateCustomerResponse:
            return pb.CreateCustomerResponse(customer=to_pb_customer(made.customer), adopted_events=made.adopted)

        first = once(request, "CreateCustomer", encode)
        anchor = from_pb_time(asked.anchor_time, "anchor_time") if asked.HasField("anchor_time") else None
        wanted = Customer(asked.id, asked.name, asked.plan, asked.time_zone or "UTC", 0, anchor)
        made = await self.manage.create(call.caller, wanted, first)
        if first is not None and first.answer is not None:
            return pb.CreateCustomerResponse.FromString(first.answer)
        return encode(made)

    async def GetCustomer(self, request: pb.GetCustomerRequest, call: Call) -> pb.GetCustomerResponse:
        """One customer."""
        return pb.GetCustomerResponse(customer=to_pb_customer(await self.manage.get(call.caller, request.id)))

    async def ListCustomers(self, request: pb.ListCustomersRequest, call: Call) -> pb.ListCustomersResponse:
        """A page of customers."""
        tenant, digest, size = call.caller.tenant, request_digest(request), page_size(request.page_size)
        place = self.sealer.open_page(tenant, digest, request.page_token)
        found = await self.manage.list(call.caller, place[0] if place else "", size + 1)
        page = found[:size]
        token = self.sealer.page(tenant, digest, [page[-1].id]) if len(found) > size else ""
        return pb.ListCustomersResponse(customers=[to_pb_customer(one) for one in page], next_page_token=token)

    async def CreateSubject(self, request: pb.CreateSubjectRequest, call: Call) -> pb.CreateSubjectResponse:
        """Makes a subject of a customer."""
        check_text(request.subject.id, "subject.id", MAX_NAME)
        check_text(request.subject.customer, "subject.customer", MAX_NAME)

        def encode(made: Made) -> pb.CreateSubjectResponse:
            assert made.subject is not None, "a subject was made"
            return pb.CreateSubjectResponse(subject=_to_pb_subject(made.subject), adopted_events=made.adopted)

        first = once(request, "CreateSubject", encode)
        made = await self.manage.create_subject(call.caller, request.subject.id, request.subject.customer, first)
        if first is not None and first.answer is not None:
            return pb.CreateSubjectResponse.FromString(first.answer)
        return encode(made)

    async def ListSubjects(self, request: pb.ListSubjectsRequest, call: Call) -> pb.ListSubjectsResponse:
        """A page of a customer's subjects."""
        tenant, digest, size = call.caller.tenant, request_digest(request), page_size(request.page_size)
        place = self.sealer.open_page(tenant, digest, request.page_token)
        found = await self.manage.subjects(call.caller, request.customer, place[0] if place else "", size + 1)
        page = found[:size]
        token = self.sealer.page(tenant, digest, [page[-1].id]) if len(found) > size else ""
        return pb.ListSubjectsResponse(subjects=[_to_pb_subject(one) for one in page], next_page_token=token)


def to_pb_customer(customer: Customer) -> pb.Customer:
    """The customer as a message."""
    return pb.Customer(
        id=customer.id,
        name=customer.name,
        plan=plan_terms.shown(customer.plan),
        time_zone=customer.time_zone,
        create_time=to_pb_time(customer.created_at),
        anchor_time=None if customer.anchor is None else to_pb_time(customer.anchor),
        limit_overrides=[_to_pb_override(one) for one in customer.overrides],
        pool=customer.pool,
        merged_into=customer.merged_into,
    )


def _to_pb_override(override: Override) -> pb.LimitOverride:
    return pb.LimitOverride(
        limit=override.limit,
        max=text_of_max(override.max),
        start_time=to_pb_time(override.start),
        end_time=None if override.end is None else to_pb_time(override.end),
    )


def _to_pb_subject(subject: Subject) -> pb.Subject:
    return pb.Subject(id=subject.id, customer=subject.customer, create_time=to_pb_time(subject.created_at))
