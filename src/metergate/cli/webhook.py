"""`metergate webhook`: where news go."""

from __future__ import annotations

from typing import Annotated

import typer

from metergate.cli import messages
from metergate.cli.connection import connect
from metergate.cli.options import request_id
from metergate.cli.screen import screen
from metergate.cli.webhook_deliveries import deliveries, replay
from metergate.v1 import notification_pb2 as pb

app = typer.Typer(no_args_is_help=True, help="Webhooks: where news of usage and limits go.")
app.command("deliveries")(deliveries)
app.command("replay")(replay)
_SERVICE = "NotificationService"
EndpointId = Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint's id.")]
_TYPES = (
    "usage.recorded, usage.corrected, billing.threshold_exceeded, limit.exceeded, invoice.finalized, invoice.paid or "
    "invoice.voided. Repeat for more; by default all."
)


@app.command("add")
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="An https URL.")],
    type_: Annotated[list[str] | None, typer.Option("--type", help=_TYPES)] = None,
    description: Annotated[str, typer.Option(help="For people.")] = "",
) -> None:
    """Makes an endpoint; what is recorded from now on goes there. Its secret is shown this once."""
    endpoint = pb.Endpoint(url=url, types=type_ or [], description=description)
    with connect() as connection:
        request = pb.CreateEndpointRequest(endpoint=endpoint, request_id=request_id())
        made = connection.call(_SERVICE, "CreateEndpoint", request, pb.CreateEndpointResponse)
    _show(made, f"{made.endpoint.id} gets {', '.join(made.endpoint.types)}\n{made.secret}")


@app.command("list")
def list_endpoints() -> None:
    """Lists the endpoints, oldest first."""
    with connect() as connection:
        request = pb.ListEndpointsRequest()
        found = connection.call(_SERVICE, "ListEndpoints", request, pb.ListEndpointsResponse).endpoints
    if screen.json:
        screen.data([messages.to_plain(one) for one in found])
        return
    rows = [(one.id, one.url, ", ".join(one.types), _state(one), one.description) for one in found]
    screen.table(["endpoint", "url", "types", "state", "description"], rows)


@app.command("update")
def update(
    endpoint: EndpointId,
    *,
    url: Annotated[str | None, typer.Option(help="Another https URL.")] = None,
    type_: Annotated[list[str] | None, typer.Option("--type", help=_TYPES)] = None,
    description: Annotated[str | None, typer.Option(help="For people.")] = None,
    enable: Annotated[bool | None, typer.Option("--enable/--disable", help="Turns it on or off.")] = None,
) -> None:
    """Changes an endpoint. What is recorded while it is turned off is not sent later, but for a replay."""
    wanted = pb.UpdateEndpointRequest(endpoint=pb.Endpoint(id=endpoint), request_id=request_id())
    disabled = None if enable is None else not enable
    for field, value in (("url", url), ("description", description), ("disabled", disabled)):
        if value is not None:
            setattr(wanted.endpoint, field, value)
            wanted.update_mask.paths.append(field)
    if type_:
        wanted.endpoint.types.extend(type_)
        wanted.update_mask.paths.append("types")
    if not wanted.update_mask.paths:
        raise typer.BadParameter(
            "say what to change.", param_hint="--url, --type, --description, --enable or --disable"
        )
    with connect() as connection:
        made = connection.call(_SERVICE, "UpdateEndpoint", wanted, pb.UpdateEndpointResponse)
    _show(made, f"{made.endpoint.id} is {_state(made.endpoint)} and gets {', '.join(made.endpoint.types)}")


@app.command("remove")
def remove(endpoint: EndpointId) -> None:
    """Takes an endpoint away, with its deliveries."""
    with connect() as connection:
        request = pb.DeleteEndpointRequest(id=endpoint, request_id=request_id())
        answer = connection.call(_SERVICE, "DeleteEndpoint", request, pb.DeleteEndpointResponse)
    _show(answer, f"{endpoint} is removed")


@app.command("rotate")
def rotate(endpoint: EndpointId) -> None:
    """Gives an endpoint a new secret, shown this once; for a day the one before signs too."""
    with connect() as connection:
        request = pb.RotateEndpointSecretRequest(id=endpoint, request_id=request_id())
        made = connection.call(_SERVICE, "RotateEndpointSecret", request, pb.RotateEndpointSecretResponse)
    _show(made, made.secret)


@app.command("test")
def test(endpoint: EndpointId) -> None:
    """Sends an event of the type endpoint.test, and says what was answered; fails where it was not taken."""
    with connect() as connection:
        request = pb.SendTestEventRequest(id=endpoint)
        answer = connection.call(_SERVICE, "SendTestEvent", request, pb.SendTestEventResponse)
    answered = f"answered {answer.status}" if answer.status else answer.error
    _show(answer, f"{'delivered' if answer.delivered else 'not delivered'} · {answered}")
    if not answer.delivered:
        raise typer.Exit(1)


def _show(
    answer: pb.CreateEndpointResponse
    | pb.UpdateEndpointResponse
    | pb.DeleteEndpointResponse
    | pb.RotateEndpointSecretResponse
    | pb.SendTestEventResponse,
    words: str,
) -> None:
    if screen.json:
        screen.data(messages.to_plain(answer))
    else:
        screen.line(words)


def _state(endpoint: pb.Endpoint) -> str:
    if not endpoint.disabled:
        return "on"
    return f"off: {endpoint.disabled_reason}" if endpoint.disabled_reason else "off"
