"""Calls of CustomerService."""

from __future__ import annotations

from metergate_client.calls.call import Call
from metergate_client.customers import Customer, Subject
from metergate_client.decode import from_pb_customer, from_pb_subject
from metergate_client.v1 import customer_pb2

_SERVICE = "/metergate.v1.CustomerService/"


def create_customer(
    customer: str, *, name: str = "", plan: str = "", time_zone: str = ""
) -> Call[customer_pb2.CreateCustomerResponse, Customer]:
    """Make a customer of this id. An identical one that exists already is returned, so this may be repeated.

    Without ``plan`` it is on the tenant's default plan; its windows begin and end in ``time_zone`` (UTC).

    Raises:
        Conflict: There is one of this id with other content.
        NotFound: No such plan.
    """
    made = customer_pb2.Customer(id=customer, name=name, plan=plan, time_zone=time_zone)
    return Call(
        f"{_SERVICE}CreateCustomer",
        customer_pb2.CreateCustomerRequest(customer=made),
        customer_pb2.CreateCustomerResponse,
        lambda reply: from_pb_customer(reply.customer),
    )


def create_subject(subject: str, *, customer: str) -> Call[customer_pb2.CreateSubjectResponse, Subject]:
    """Make a subject of a customer. Usage that waited for it is counted in the same commit.

    Raises:
        Conflict: The subject belongs to another customer.
        NotFound: No such customer.
    """
    return Call(
        f"{_SERVICE}CreateSubject",
        customer_pb2.CreateSubjectRequest(subject=customer_pb2.Subject(id=subject, customer=customer)),
        customer_pb2.CreateSubjectResponse,
        lambda reply: from_pb_subject(reply.subject),
    )


def assign_plan(customer: str, plan: str = "") -> Call[customer_pb2.AssignPlanResponse, Customer]:
    """Put a customer on a plan at once; without one, on the tenant's default plan. What was used stays used.

    Raises:
        NotFound: No such customer or plan.
    """
    return Call(
        f"{_SERVICE}AssignPlan",
        customer_pb2.AssignPlanRequest(customer=customer, plan=plan),
        customer_pb2.AssignPlanResponse,
        lambda reply: from_pb_customer(reply.customer),
    )
