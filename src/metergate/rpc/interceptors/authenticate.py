"""authenticate: every call carries an API key."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from metergate.app.access.authenticate import Authenticate
from metergate.rpc.call import Call, Handler, Method
from metergate.rpc.interceptors.chain import Interceptor


def authenticate(verb: Authenticate) -> Interceptor:
    """Sets the call's principal from its bearer key."""

    def wrap(method: Method, handle: Handler) -> Handler:
        async def authenticated(request: Any, call: Call) -> Message:
            authorization = call.metadata.get("authorization")
            call.principal = verb.known(authorization) or await verb.principal(authorization)
            return await handle(request, call)

        return authenticated

    return wrap
