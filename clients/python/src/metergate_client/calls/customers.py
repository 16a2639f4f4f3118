"""Calls of CustomerService: who is billed, on which terms, and what is metered for them.

Each change carries a request id that is made before the first try, so that a retry neither does it twice nor undoes
what came after it.
"""

from __future__ import annotations

from datetime import datetime

from metergate_client.calls.call import Call, Pages, paged, to_pb_most, to_pb_time
from metergate_client.customers import Customer, Subject
from metergate_client.decode import from_pb_customer, from_pb_subject
from metergate_client.exact import Amount
from metergate_client.ids import new_id
from metergate_client.v1 import customer_pb2

_SERVICE = "/metergate.v1.CustomerService/"


def create_customer(
    customer: str, *, name: str = "", plan: str = "", time_zone: str = "", anchor: datetime | None = None
) -> Call[customer_pb2.CreateCustomerResponse, Customer]:
    """Make a customer of this id. An identical one that exists already is returned, so this may be repeated.

    Without ``plan`` it is on the tenant's default plan; its windows begin and end in ``time_zone`` (UTC). ``anchor``,
    such as the start of its subscription, is the moment from which its anchored windows are counted.

    Raises:
        Conflict: There is one of this id with other content.
        NotFound: No such plan.
    """
    made = customer_pb2.Customer(id=customer, name=name, plan=plan, time_zone=time_zone, anchor_time=to_pb_time(anchor))
    request = customer_pb2.CreateCustomerRequest(customer=made, request_id=new_id())
    return Call(f"{_SERVICE}CreateCustomer", request, customer_pb2.CreateCustomerResponse, _customer)


def customer(customer: str) -> Call[customer_pb2.GetCustomerResponse, Customer]:
    """A customer as it stands, with its overrides and its pool.

    Raises:
        NotFound: No such customer.
    """
    request = customer_pb2.GetCustomerRequest(id=customer)
    return Call(f"{_SERVICE}GetCustomer", request, customer_pb2.GetCustomerResponse, _customer)


def customers(*, page_size: int = 500) -> Pages[Customer]:
    """Iterate over the tenant's customers by id; pages of ``page_size`` (at most 1,000) are fetched as needed."""
    return paged(
        f"{_SERVICE}ListCustomers",
        customer_pb2.ListCustomersRequest(page_size=page_size),
        customer_pb2.ListCustomersResponse,
        lambda reply: map(from_pb_customer, reply.customers),
    )


def update_customer(
    customer: str,
    *,
    name: str | None = None,
    time_zone: str | None = None,
    anchor: datetime | None = None,
    no_anchor: bool = False,
) -> Call[customer_pb2.UpdateCustomerResponse, Customer]:
    """Change a customer at once: what is not given stays. What was used counts in the windows that there are then.

    ``no_anchor`` takes the anchor away: its windows are those of the calendar again.

    Raises:
        NotFound: No such customer.
        InvalidArgument: No such time zone.
        ValueError: Nothing is to be changed, or there is both an anchor and none.
    """
    if anchor is not None and no_anchor:
        raise ValueError("there is either an anchor or none: leave out anchor or no_anchor.")
    given = {"name": name is not None, "time_zone": time_zone is not None, "anchor_time": bool(anchor) or no_anchor}
    if not any(given.values()):
        raise ValueError("name what to change: name, time_zone, anchor or no_anchor.")
    request = customer_pb2.UpdateCustomerRequest(
        customer=customer_pb2.Customer(id=customer, name=name, time_zone=time_zone, anchor_time=to_pb_time(anchor)),
        request_id=new_id(),
    )
    request.update_mask.paths.extend(path for path, changed in given.items() if changed)
    return Call(f"{_SERVICE}UpdateCustomer", request, customer_pb2.UpdateCustomerResponse, _customer)


def create_subject(subject: str, *, customer: str) -> Call[customer_pb2.CreateSubjectResponse, Subject]:
    """Make a subject of a customer. Usage that waited for it is counted in the same commit.

    Raises:
        Conflict: The subject belongs to another customer.
        NotFound: No such customer.
    """
    made = customer_pb2.Subject(id=subject, customer=customer)
    request = customer_pb2.CreateSubjectRequest(subject=made, request_id=new_id())
    reply = customer_pb2.CreateSubjectResponse
    return Call(f"{_SERVICE}CreateSubject", request, reply, lambda answer: from_pb_subject(answer.subject))


def subjects(customer: str, *, page_size: int = 500) -> Pages[Subject]:
    """Iterate over a customer's subjects by id, its own id among them; pages are fetched as they are needed.

    Raises:
        NotFound: No such customer.
    """
    return paged(
        f"{_SERVICE}ListSubjects",
        customer_pb2.ListSubjectsRequest(customer=customer, page_size=page_size),
        customer_pb2.ListSubjectsResponse,
        lambda reply: map(from_pb_subject, reply.subjects),
    )


def assign_plan(customer: str, plan: str = "") -> Call[customer_pb2.AssignPlanResponse, Customer]:
    """Put a customer on a plan at once; without one, on the tenant's default plan. What was used stays used.

    Raises:
        NotFound: No such customer or plan.
    """
    request = customer_pb2.AssignPlanRequest(customer=customer, plan=plan, request_id=new_id())
    return Call(f"{_SERVICE}AssignPlan", request, customer_pb2.AssignPlanResponse, _customer)


def assign_pool(customer: str, pool: str = "") -> Call[customer_pb2.AssignPoolResponse, Customer]:
    """Have a customer share the limits of another one, its pool: from now on its usage counts in both.

    A pool is a customer like any other, with a plan of its own; it is in no pool itself. Without ``pool`` the customer
    leaves the one that it is in.

    Raises:
        NotFound: No such customer.
        Conflict: The one is in a pool itself, or the other is one.
    """
    request = customer_pb2.AssignPoolRequest(customer=customer, pool=pool, request_id=new_id())
    return Call(f"{_SERVICE}AssignPool", request, customer_pb2.AssignPoolResponse, _customer)


def set_limit_override(
    customer: str, limit: str, maximum: Amount | None, *, start: datetime | None = None, end: datetime | None = None
) -> Call[customer_pb2.SetLimitOverrideResponse, Customer]:
    """Put another maximum in the place of one limit's, for this customer; None is unlimited.

    It holds from ``start`` (now; also in the past) to just before ``end`` (for good), at the next decision everywhere.
    What was used stays used. An override of this limit with the same start is replaced.

    Raises:
        NotFound: No such customer.
        InvalidArgument: No plan has a limit of this name, or it would end before it begins.
    """
    request = customer_pb2.SetLimitOverrideRequest(
        customer=customer,
        limit=limit,
        max=to_pb_most(maximum),
        start_time=to_pb_time(start),
        end_time=to_pb_time(end),
        request_id=new_id(),
    )
    return Call(f"{_SERVICE}SetLimitOverride", request, customer_pb2.SetLimitOverrideResponse, _customer)


def delete_limit_override(
    customer: str, limit: str, *, start: datetime | None = None
) -> Call[customer_pb2.DeleteLimitOverrideResponse, Customer]:
    """Take a limit's overrides away from a customer, or only the one that begins at ``start``: the plan's maximum is in
    force again. One that is not there stays away.

    Raises:
        NotFound: No such customer.
    """
    request = customer_pb2.DeleteLimitOverrideRequest(
        customer=customer, limit=limit, start_time=to_pb_time(start), request_id=new_id()
    )
    return Call(f"{_SERVICE}DeleteLimitOverride", request, customer_pb2.DeleteLimitOverrideResponse, _customer)


def _customer(
    reply: customer_pb2.CreateCustomerResponse
    | customer_pb2.GetCustomerResponse
    | customer_pb2.UpdateCustomerResponse
    | customer_pb2.AssignPlanResponse
    | customer_pb2.AssignPoolResponse
    | customer_pb2.SetLimitOverrideResponse
    | customer_pb2.DeleteLimitOverrideResponse,
) -> Customer:
    return from_pb_customer(reply.customer)
