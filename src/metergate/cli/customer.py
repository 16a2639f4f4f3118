"""`metergate customer`: who is billed, and what is metered for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from metergate.cli import (
    customer_billing,
    customer_data,
    customer_feature,
    customer_grant,
    customer_override,
    messages,
    times,
)
from metergate.cli.connection import Connection, connect
from metergate.cli.customer_words import in_words, override_table
from metergate.cli.options import request_id
from metergate.cli.screen import screen
from metergate.v1 import customer_pb2 as pb

app = typer.Typer(no_args_is_help=True, help="Customers and their subjects.")
subject_app = typer.Typer(no_args_is_help=True, help="Subjects of a customer.")
app.add_typer(subject_app, name="subject")
app.add_typer(customer_override.app, name="override")
app.add_typer(customer_grant.app, name="grant")
app.add_typer(customer_billing.app, name="billing")
customer_data.add_to(app)
app.command("feature")(customer_feature.feature)

CustomerId = customer_override.CustomerId
_PAGE = 1000
_ANCHOR = "The moment from which its anchored windows are counted, such as the start of its subscription."


@app.command("create")
def create(
    customer: CustomerId,
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    plan: Annotated[str, typer.Option(help="The plan; by default the tenant's default plan.")] = "",
    time_zone: Annotated[str, typer.Option(help="The IANA zone of its days and months; by default UTC.")] = "",
    anchor: Annotated[str, typer.Option(help=_ANCHOR)] = "",
) -> None:
    """Makes a customer; an identical one stays as it is."""
    anchor_time = times.moment_option(anchor) if anchor else None
    made = pb.Customer(id=customer, name=name, plan=plan, time_zone=time_zone, anchor_time=anchor_time)
    request = pb.CreateCustomerRequest(customer=made, request_id=request_id())
    with connect() as connection:
        answer = connection.call("CustomerService", "CreateCustomer", request, pb.CreateCustomerResponse)
    if screen.json:
        screen.data(messages.to_plain(answer))
    else:
        screen.line(f"{in_words(answer.customer)}{_adopted(answer.adopted_events)}")


@app.command("update")
def update(
    customer: CustomerId,
    name: Annotated[str | None, typer.Option(help="A name for people.")] = None,
    time_zone: Annotated[str, typer.Option(help="The IANA zone of its days and months.")] = "",
    anchor: Annotated[str, typer.Option(help=_ANCHOR)] = "",
    no_anchor: Annotated[bool, typer.Option("--no-anchor", help="Count windows by the calendar again.")] = False,
) -> None:
    """Changes a customer at once; what was used counts in the windows that there are then."""
    if anchor and no_anchor:
        raise typer.BadParameter("there is either an anchor or none.", param_hint="--anchor")
    given = {"name": name is not None, "time_zone": bool(time_zone), "anchor_time": bool(anchor) or no_anchor}
    if not any(given.values()):
        raise typer.BadParameter("name what to change.", param_hint="--name, --time-zone, --anchor or --no-anchor")
    anchor_time = times.moment_option(anchor) if anchor else None
    request = pb.UpdateCustomerRequest(
        customer=pb.Customer(id=customer, name=name or "", time_zone=time_zone, anchor_time=anchor_time),
        update_mask=FieldMask(paths=[path for path, changed in given.items() if changed]),
        request_id=request_id(),
    )
    with connect() as connection:
        answer = connection.call("CustomerService", "UpdateCustomer", request, pb.UpdateCustomerResponse)
    if screen.json:
        screen.data(messages.to_plain(answer))
    else:
        screen.line(in_words(answer.customer))


@app.command("list")
def list_customers() -> None:
    """Lists all customers by id."""
    with connect() as connection:
        found = list(_customers(connection))
    if screen.json:
        screen.data([messages.to_plain(customer) for customer in found])
        return
    rows = [(item.id, item.name, item.plan, item.time_zone or "UTC", times.show(item.create_time)) for item in found]
    screen.table(["customer", "name", "plan", "time zone", "made"], rows)


@app.command("show")
def show(customer: CustomerId) -> None:
    """Shows a customer, its subjects and its overrides."""
    with connect() as connection:
        request = pb.GetCustomerRequest(id=customer)
        found = connection.call("CustomerService", "GetCustomer", request, pb.GetCustomerResponse).customer
        subjects = list(_subjects(connection, customer))
    if screen.json:
        plain = [messages.to_plain(subject) for subject in subjects]
        screen.data({"customer": messages.to_plain(found), "subjects": plain})
    else:
        screen.line(in_words(found))
        screen.line("subjects: " + (", ".join(subject.id for subject in subjects) or "none besides itself"))
        if found.limit_overrides:
            screen.show(override_table(found.limit_overrides))


@app.command("assign")
def assign(
    customer: CustomerId,
    plan: Annotated[str, typer.Argument(help="The plan; left out: the tenant's default plan.")] = "",
) -> None:
    """Puts a customer on a plan at once; what was used stays used."""
    request = pb.AssignPlanRequest(customer=customer, plan=plan, request_id=request_id())
    with connect() as connection:
        answer = connection.call("CustomerService", "AssignPlan", request, pb.AssignPlanResponse)
    if screen.json:
        screen.data(messages.to_plain(answer))
    else:
        screen.line(in_words(answer.customer))


@app.command("pool")
def assign_pool(
    customer: CustomerId,
    pool: Annotated[str, typer.Argument(help="The customer whose limits it shares; left out: none any more.")] = "",
) -> None:
    """Has a customer share another one's limits beside its own."""
    request = pb.AssignPoolRequest(customer=customer, pool=pool, request_id=request_id())
    with connect() as connection:
        answer = connection.call("CustomerService", "AssignPool", request, pb.AssignPoolResponse)
    if screen.json:
        screen.data(messages.to_plain(answer))
    else:
        screen.line(in_words(answer.customer))


@subject_app.command("add")
def add_subject(
    customer: CustomerId,
    subject: Annotated[str, typer.Argument(help="The subject's id: a user, an API key, a facility.")],
) -> None:
    """Adds a subject; usage that waited for it is counted now."""
    made = pb.Subject(id=subject, customer=customer)
    request = pb.CreateSubjectRequest(subject=made, request_id=request_id())
    with connect() as connection:
        answer = connection.call("CustomerService", "CreateSubject", request, pb.CreateSubjectResponse)
    if screen.json:
        screen.data(messages.to_plain(answer))
    else:
        screen.line(f"{answer.subject.id} belongs to {answer.subject.customer}{_adopted(answer.adopted_events)}")


@subject_app.command("list")
def list_subjects(customer: CustomerId) -> None:
    """Lists a customer's subjects by id."""
    with connect() as connection:
        found = list(_subjects(connection, customer))
    if screen.json:
        screen.data([messages.to_plain(subject) for subject in found])
    else:
        screen.table(["subject", "made"], [(item.id, times.show(item.create_time)) for item in found])


def _customers(connection: Connection) -> Iterator[pb.Customer]:
    token = ""
    while True:
        request = pb.ListCustomersRequest(page_size=_PAGE, page_token=token)
        page = connection.call("CustomerService", "ListCustomers", request, pb.ListCustomersResponse)
        yield from page.customers
        if not (token := page.next_page_token):
            return


def _subjects(connection: Connection, customer: str) -> Iterator[pb.Subject]:
    token = ""
    while True:
        request = pb.ListSubjectsRequest(customer=customer, page_size=_PAGE, page_token=token)
        page = connection.call("CustomerService", "ListSubjects", request, pb.ListSubjectsResponse)
        yield from page.subjects
        if not (token := page.next_page_token):
            return


def _adopted(count: int) -> str:
    return f"; {count:,} waiting events were counted" if count else ""
