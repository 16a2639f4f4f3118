"""`metergate customer`: who is billed, and what is metered for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from metergate.cli import customer_grant, messages, times
from metergate.cli.connection import Connection, connect
from metergate.cli.options import request_id
from metergate.cli.screen import screen
from metergate.v1 import customer_pb2 as pb

app = typer.Typer(no_args_is_help=True, help="Customers and their subjects.")
subject_app = typer.Typer(no_args_is_help=True, help="Subjects of a customer.")
app.add_typer(subject_app, name="subject")
app.add_typer(customer_grant.app, name="grant")

CustomerId = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")]
_PAGE = 1000


@app.command("create")
def create(
    customer: CustomerId,
    name: Annotated[str, typer.Option(help="A name for people.")] = "",
    plan: Annotated[str, typer.Option(help="The plan; by default the tenant's default plan.")] = "",
    time_zone: Annotated[str, typer.Option(help="The IANA zone of its days and months; by default UTC.")] = "",
) -> None:
    """Makes a customer; an identical one stays as it is."""
    made = pb.Customer(id=customer, name=name, plan=plan, time_zone=time_zone)
    request = pb.CreateCustomerRequest(customer=made, request_id=request_id())
    with connect() as connection:
        answer = connection.call("CustomerService", "CreateCustomer", request, pb.CreateCustomerResponse)
    if screen.json:
        screen.data(messages.to_plain(answer))
    else:
        screen.line(f"{_in_words(answer.customer)}{_adopted(answer.adopted_events)}")


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
    """Shows a customer and its subjects."""
    with connect() as connection:
        request = pb.GetCustomerRequest(id=customer)
        found = connection.call("CustomerService", "GetCustomer", request, pb.GetCustomerResponse).customer
        subjects = list(_subjects(connection, customer))
    if screen.json:
        plain = [messages.to_plain(subject) for subject in subjects]
        screen.data({"customer": messages.to_plain(found), "subjects": plain})
    else:
        screen.line(_in_words(found))
        screen.line("subjects: " + (", ".join(subject.id for subject in subjects) or "none besides itself"))


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
        screen.line(_in_words(answer.customer))


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


def _in_words(customer: pb.Customer) -> str:
    name = f" ({customer.name})" if customer.name else ""
    return f"{customer.id}{name} is on {customer.plan or 'the default plan'}, in {customer.time_zone or 'UTC'}"


def _adopted(count: int) -> str:
    return f"; {count:,} waiting events were counted" if count else ""
