"""Connect's protocol over the contract's methods; `stream.py` has what is particular to those that stream.

The connectrpc library brings the codecs and gzip. Its server is not used: it answers unknown paths, wrong types, bad
timeouts and oversized bodies by itself, without the ErrorInfo that every error of ours carries.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from metergate.domain.errors import MetergateError, Reason
from metergate.http import stream
from metergate.http.body import BodyReader, decompressor
from metergate.http.codecs import CODECS, Codec
from metergate.http.contract import FailureLike, MakeCall, MethodLike, ToFailure
from metergate.http.errors import ProtocolError, error_body, error_response, malformed
from metergate.http.stream import StreamResponse

CALL_SECONDS = 60.0  # for calls that name no deadline; their bodies come from strangers
_ASIDE_FROM = 32 * 1024  # bytes
_PATH_SHOWN = 200  # characters
_TIMEOUT_DIGITS = 10

log = logging.getLogger(__name__)


class Connect:
    """An ASGI app that answers `POST /package.Service/Method`, and GET where the method only reads."""

    def __init__(
        self, methods: Sequence[MethodLike], failure: type[Exception], make_call: MakeCall, to_failure: ToFailure
    ) -> None:
        self._methods = {method.path: method for method in methods}
        self._failure = failure
        self._make_call = make_call
        self._to_failure = to_failure
        self._bodies = BodyReader()
        # 4 MiB of JSON can take seconds; on a thread it delays other calls by milliseconds.
        self._translators = ThreadPoolExecutor(2, "metergate-json")

    def close(self) -> None:
        """Ends the threads. Nothing is answered afterwards."""
        self._translators.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        try:
            response = await self._response(Request(scope, receive))
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _response(self, request: Request) -> ASGIApp:
        try:
            return await self._answer(request)
        except self._failure as failure:
            return error_response(cast("FailureLike", failure))
        except ProtocolError as error:
            return error_response(self._as_failure(error), error.status, error.headers)
        except MetergateError as error:
            return error_response(self._as_failure(error))
        except ClientDisconnect:
            raise
        except asyncio.CancelledError:  # only a server whose time to drain is over does that
            message = "the server stopped during the call; repeat the call to learn what became of it"
            return error_response(self._as_failure(MetergateError(Reason.OUTCOME_UNKNOWN, message)))
        except Exception:
            correlation_id = secrets.token_hex(8)
            log.exception("fault %s in %s", correlation_id, request.url.path)
            message = f"a fault in the server; its log tells more under {correlation_id}"
            fault = MetergateError(Reason.SERVER_FAULT, message, {"correlation_id": correlation_id})
            return error_response(self._as_failure(fault))

    def _as_failure(self, error: MetergateError) -> FailureLike:
        return cast("FailureLike", self._to_failure(error))

    async def _answer(self, request: Request) -> ASGIApp:
        method = self._method(request)
        if method.streams:
            return await self._stream(request, method)
        reads = request.method == "GET"
        codec = _codec_of_query(request) if reads else _codec_of_body(request)
        limit = asyncio.timeout(_seconds(request))
        try:
            async with limit:
                body = _query_message(request) if reads else await self._bodies.read(request)
                call = self._make_call(dict(request.headers))

                async def decoded() -> Any:
                    return await self._aside(len(body), codec.decode, body, method.request_type)

                async with _while_connected(request, limit):
                    # Decoded behind the interceptors that know the caller: a stranger's JSON is never parsed.
                    response = await method.handle(decoded, call)
                encoded = await self._aside(response.ByteSize(), codec.encode, response)
        except TimeoutError:
            if not limit.expired():
                raise
            raise MetergateError(Reason.DEADLINE_PASSED, "the call's deadline passed before its answer") from None
        return Response(encoded, media_type=codec.media_type)

    async def _stream(self, request: Request, method: MethodLike) -> StreamResponse:
        media_type, codec = stream.codec_of(request)
        seconds = _seconds(request) if "connect-timeout-ms" in request.headers else None
        async with asyncio.timeout(CALL_SECONDS):
            body = stream.opened(await self._bodies.read(request))
        call = self._make_call(dict(request.headers))

        async def decoded() -> Any:
            return await self._aside(len(body), codec.decode, body, method.request_type)

        return StreamResponse(media_type, self._chunks(method.handle(decoded, call), codec, seconds))

    async def _chunks(self, begun: Awaitable[Any], codec: Codec, seconds: float | None) -> AsyncGenerator[bytes]:
        """The messages of a stream, each in its envelope, and how it ended."""
        failure: FailureLike | None = None
        until = None if seconds is None else asyncio.get_running_loop().time() + seconds
        try:
            async with aclosing(await begun) as messages:
                while True:
                    async with asyncio.timeout_at(until):
                        message = await anext(messages)
                    yield stream.enveloped(codec.encode(message))
        except StopAsyncIteration:
            pass  # it ended by itself
        except TimeoutError:
            message = "the call's deadline passed before the stream ended"
            failure = self._as_failure(MetergateError(Reason.DEADLINE_PASSED, message))
        except self._failure as error:
            failure = cast("FailureLike", error)
        yield stream.ended(None if failure is None else error_body(failure))

    async def _aside(self, size: int, work: Callable[..., Any], *arguments: Any) -> Any:
        if size <= _ASIDE_FROM:
            return work(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self._translators, work, *arguments)

    def _method(self, request: Request) -> MethodLike:
        path = request.url.path
        method = self._methods.get(path)
        shown = path[:_PATH_SHOWN]
        if method is None:
            message = f"there is no {shown}; GET / names what there is"
            raise ProtocolError(404, Reason.METHOD_NOT_FOUND, message, {"method": shown})
        allowed = ("GET", "POST") if method.reads_only else ("POST",)
        if request.method not in allowed:
            message = f"{shown} takes {' or '.join(allowed)}"
            headers = {"allow": ", ".join(allowed)}
            raise ProtocolError(405, Reason.METHOD_NOT_FOUND, message, {"method": shown}, headers)
        return method


def _codec_of_body(request: Request) -> Codec:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    codec = CODECS.get(media_type)
    if codec is None:
        known = ", ".join(CODECS)
        message = f"the Content-Type must be one of {known}"
        raise ProtocolError(415, Reason.MESSAGE_MALFORMED, message, headers={"accept-post": known})
    return codec


def _codec_of_query(request: Request) -> Codec:
    codec = CODECS.get(f"application/{request.query_params.get('encoding', '')}")
    if codec is None:
        raise ProtocolError(415, Reason.MESSAGE_MALFORMED, "the query's encoding must be json or proto")
    return codec


def _query_message(request: Request) -> bytes:
    params = request.query_params
    text = params.get("message")
    if text is None:
        raise malformed("the query holds no message")
    unpack = decompressor(params.get("compression", ""))
    if params.get("base64") != "1":
        return unpack(text.encode())
    try:
        bare = text.rstrip("=")  # padding is optional
        return unpack(base64.b64decode(bare + "=" * (-len(bare) % 4), b"-_", validate=True))
    except ValueError:
        raise malformed("the query's message is not base64url") from None


def _seconds(request: Request) -> float:
    text = request.headers.get("connect-timeout-ms")
    if text is None:
        return CALL_SECONDS
    if not (text.isascii() and text.isdecimal() and len(text) <= _TIMEOUT_DIGITS):
        raise malformed(f"Connect-Timeout-Ms must be a whole number of at most {_TIMEOUT_DIGITS} digits")
    return int(text) / 1000


@asynccontextmanager
async def _while_connected(request: Request, limit: asyncio.Timeout) -> AsyncGenerator[None]:
    """Ends the call's time when the client goes away: nobody waits for the answer."""

    async def watch() -> None:
        event: dict[str, Any] = {}
        while event.get("type") != "http.disconnect":
            event = dict(await request.receive())
        if not limit.expired():
            limit.reschedule(asyncio.get_running_loop().time())

    watcher = asyncio.create_task(watch())
    try:
        yield
    finally:
        watcher.cancel()
