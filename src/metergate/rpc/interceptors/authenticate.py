"""authenticate: every call carries an API key."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from google.protobuf.message import Message

from metergate.app.access.authenticate import Authenticate
from metergate.rpc.call import Call, Handler, Method
from metergate.rpc.interceptors.chain import Interceptor


def authenticate(verb: Authenticate) -> Interceptor:
    """Sets the call's principal from its bearer key."""

    def wrap(method: Method, handle: Handler) -> Handler:
        async def authenticated(request: Any, call: Call) -> Any:
            authorization = call.metadata.get("authorization")
            call.principal = verb.known(authorization) or await verb.principal(authorization)
            return await handle(request, call)

        async def streamed(request: Any, call: Call) -> AsyncGenerator[Message]:
            return _while_known(verb, call, await authenticated(request, call))

        return streamed if method.streams else authenticated

    return wrap


async def _while_known(verb: Authenticate, call: Call, stream: Any) -> AsyncGenerator[Message]:
    """The messages, as long as the key is good."""
    authorization = call.metadata.get("authorization")
    async with aclosing(stream):
        async for message in stream:
            if verb.known(authorization) is None:
                await verb.principal(authorization)
            yield message
