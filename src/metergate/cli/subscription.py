"""`metergate subscription`: who has subscribed to what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from google.protobuf.message import Message

from metergate.cli import messages, times, yaml_files
from metergate.cli.billing_words import items, segment_table, subscription_in_words
from metergate.cli.budget import budget
from metergate.cli.connection import Connection, connect
from metergate.cli.errors import CliError
from metergate.cli.options import request_id
from metergate.cli.screen import screen
from metergate.v1 import billing_pb2 as pb
from metergate.v1.price_pb2 import Price
from metergate.v1.subscription_pb2 import Subscription, SubscriptionItem

app = typer.Typer(no_args_is_help=True, help="Subscriptions: who is on which plans, for how long.")
SubscriptionId = Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="The subscription's id.")]
Items = Annotated[
    list[str], typer.Argument(metavar="PLAN...", help="The plan, then add-ons: pro, pro@2 (a version), seats*3.")
]
OwnPrices = Annotated[
    Path | None, typer.Option(help="A YAML list of the customer's own prices, as those of plans in a catalog.")
]
AtPeriodEnd = Annotated[bool, typer.Option("--at-period-end", help="Then, and not now.")]
_SERVICE = "BillingService"
_PAGE = 1000
_ITEM = re.compile(r"([^@*]+)(?:@(\d{1,9}))?(?:\*([0-9.]+))?", re.ASCII)
app.command("budget")(budget)


@app.command("create")
def create(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")],
    plans: Items,
    *,
    currency: Annotated[str, typer.Option(help="By default the plan's only one.")] = "",
    interval: Annotated[
        Literal["month", "quarter", "year"] | None, typer.Option(help="Of its flat prices; by default a month.")
    ] = None,
    start: Annotated[str, typer.Option(help="When it begins, in RFC 3339; by default now.")] = "",
    trial_days: Annotated[int | None, typer.Option(min=0, help="By default the plan's.")] = None,
    trial_end: Annotated[str, typer.Option(help="When the trial ends, in RFC 3339.")] = "",
    cancel_after_trial: Annotated[
        bool, typer.Option("--cancel-after-trial", help="It ends with its trial, unless activated before.")
    ] = False,
    anchor_day: Annotated[
        int, typer.Option(min=0, max=31, help="The day of the month on which its periods begin.")
    ] = 0,
    coupon: Annotated[list[str] | None, typer.Option(help="A coupon of the catalog. Repeat for more.")] = None,
    own_prices: OwnPrices = None,
) -> None:
    """Subscribes a customer; the plan's limits hold from then on."""
    request = pb.CreateSubscriptionRequest(
        customer=customer,
        items=read_items(plans),
        currency=currency,
        interval=f"PRICE_INTERVAL_{interval.upper()}" if interval else None,
        start_time=times.moment_option(start) if start else None,
        trial_end_time=times.moment_option(trial_end) if trial_end else None,
        trial_days=trial_days,
        cancel_after_trial=cancel_after_trial,
        anchor_day=anchor_day,
        coupons=coupon or [],
        custom_prices=read_prices(own_prices),
        request_id=request_id(),
    )
    _do("CreateSubscription", request, pb.CreateSubscriptionResponse)


@app.command("change")
def change(
    subscription: SubscriptionId, plans: Items, *, at_period_end: AtPeriodEnd = False, own_prices: OwnPrices = None
) -> None:
    """Puts other plans in the place of all; what was charged in advance and not used is credited."""
    request = pb.ChangeSubscriptionRequest(
        id=subscription,
        items=read_items(plans),
        custom_prices=read_prices(own_prices),
        at_period_end=at_period_end,
        request_id=request_id(),
    )
    _do("ChangeSubscription", request, pb.ChangeSubscriptionResponse)


@app.command("activate")
def activate(subscription: SubscriptionId) -> None:
    """Ends its trial now."""
    request = pb.ActivateSubscriptionRequest(id=subscription, request_id=request_id())
    _do("ActivateSubscription", request, pb.ActivateSubscriptionResponse)


@app.command("pause")
def pause(subscription: SubscriptionId) -> None:
    """Charges nothing from now on; the customer has the limits of the default plan."""
    request = pb.PauseSubscriptionRequest(id=subscription, request_id=request_id())
    _do("PauseSubscription", request, pb.PauseSubscriptionResponse)


@app.command("resume")
def resume(subscription: SubscriptionId) -> None:
    """Ends a pause."""
    request = pb.ResumeSubscriptionRequest(id=subscription, request_id=request_id())
    _do("ResumeSubscription", request, pb.ResumeSubscriptionResponse)


@app.command("cancel")
def cancel(subscription: SubscriptionId, *, at_period_end: AtPeriodEnd = False) -> None:
    """Ends it, now or at its period's end."""
    request = pb.CancelSubscriptionRequest(id=subscription, at_period_end=at_period_end, request_id=request_id())
    _do("CancelSubscription", request, pb.CancelSubscriptionResponse)


@app.command("undo")
def undo(subscription: SubscriptionId) -> None:
    """Takes away what is still to come: a change or the end at the period's end."""
    request = pb.UndoSubscriptionRequest(id=subscription, request_id=request_id())
    _do("UndoSubscription", request, pb.UndoSubscriptionResponse)


@app.command("coupon")
def coupon(
    subscription: SubscriptionId,
    name: Annotated[str, typer.Argument(metavar="COUPON", help="A coupon of the catalog.")],
) -> None:
    """Gives it a coupon, from now on."""
    request = pb.ApplyCouponRequest(id=subscription, coupon=name, request_id=request_id())
    _do("ApplyCoupon", request, pb.ApplyCouponResponse)


@app.command("list")
def list_subscriptions(
    customer: Annotated[str, typer.Option(help="Only of this customer; by default of all.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="The most to print.")] = 100,
) -> None:
    """Lists subscriptions in order of their creation."""
    with connect() as connection:
        found = list(islice(_pages(connection, customer), limit))
    if screen.json:
        screen.data([messages.to_plain(one) for one in found])
        return
    rows = [
        (
            one.id, one.customer, messages.enum_name(one, "state"), items(one), messages.enum_name(one, "interval"),
            one.currency, times.show(one.start_time),
            times.show(one.period_end_time) if one.HasField("period_end_time") else "",
        )
        for one in found
    ]  # fmt: skip
    columns = ["subscription", "customer", "state", "items", "interval", "currency", "from", "period until"]
    screen.table(columns, rows)


@app.command("show")
def show(subscription: SubscriptionId) -> None:
    """Shows a subscription with its time line, what is to come included."""
    with connect() as connection:
        request = pb.GetSubscriptionRequest(id=subscription)
        found = connection.call(_SERVICE, "GetSubscription", request, pb.GetSubscriptionResponse).subscription
    if screen.json:
        screen.data(messages.to_plain(found))
        return
    screen.line(subscription_in_words(found))
    if found.coupons:
        screen.line("coupons: " + ", ".join(one.coupon for one in found.coupons))
    screen.show(segment_table(found))


def read_items(plans: Sequence[str]) -> list[SubscriptionItem]:
    """Items as `plan`, `plan@version`, `plan*quantity` or `plan@version*quantity`. Raises CliError."""
    made = []
    for text in plans:
        parts = _ITEM.fullmatch(text)
        if parts is None:
            raise CliError(f"{text!r} is no item: write a plan, plan@2 for its version, plan*3 for three of it.")
        made.append(SubscriptionItem(plan=parts[1], version=int(parts[2] or 0), quantity=parts[3] or ""))
    return made


def read_prices(path: Path | None) -> list[Price]:
    """A list of prices from a YAML file. Raises CliError naming the file and the place."""
    if path is None:
        return []
    plain = yaml_files.read(path)
    if not isinstance(plain, list):
        raise CliError(f"{path} holds no list of prices.")
    try:
        return [messages.from_plain(Price, one) for one in plain]
    except CliError as error:
        raise CliError(f"{path}: {error.message}") from error


def _do(method: str, request: Message, reply: type[Any]) -> None:
    with connect() as connection:
        made: Subscription = connection.call(_SERVICE, method, request, reply).subscription
    if screen.json:
        screen.data(messages.to_plain(made))
    else:
        screen.line(subscription_in_words(made))


def _pages(connection: Connection, customer: str) -> Iterator[Subscription]:
    token = ""
    while True:
        request = pb.ListSubscriptionsRequest(customer=customer, page_size=_PAGE, page_token=token)
        page = connection.call(_SERVICE, "ListSubscriptions", request, pb.ListSubscriptionsResponse)
        yield from page.subscriptions
        if not (token := page.next_page_token):
            return
