"""Connect's protocol of methods that stream: one message in an envelope comes in, many go out, and one that says how
it ended. The status is always 200, since it goes out before the first message.

An envelope is a byte of flags, the length of what it holds as four bytes, and that.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from metergate.domain.errors import Reason
from metergate.http.codecs import BINARY, JSON, Codec
from metergate.http.errors import ProtocolError, malformed

CODECS: dict[str, Codec] = {"application/connect+json": JSON, "application/connect+proto": BINARY}
_HEAD = struct.Struct(">BI")
_COMPRESSED, _END = 1, 2


def codec_of(request: Request) -> tuple[str, Codec]:
    """The media type of a stream, and what reads and writes its messages.

    Raises:
        ProtocolError: it is none of a stream.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    codec = CODECS.get(media_type)
    if codec is None:
        known = ", ".join(CODECS)
        message = f"this method streams: the Content-Type must be one of {known}"
        raise ProtocolError(415, Reason.MESSAGE_MALFORMED, message, headers={"accept-post": known})
    return media_type, codec


def opened(body: bytes) -> bytes:
    """What the one envelope of a request holds.

    Raises:
        MetergateError: MESSAGE_MALFORMED.
    """
    if len(body) < _HEAD.size:
        raise malformed("the body is no envelope: a byte of flags, four bytes of length, and the message")
    flags, length = _HEAD.unpack_from(body)
    if flags & _COMPRESSED:
        raise malformed("messages of a stream must not be compressed")
    if length != len(body) - _HEAD.size:
        raise malformed("the body must hold one whole envelope")
    return body[_HEAD.size :]


def enveloped(message: bytes) -> bytes:
    """A message of the answer."""
    return _HEAD.pack(0, len(message)) + message


def ended(error: dict[str, Any] | None) -> bytes:
    """The last envelope: how it ended."""
    content = json.dumps({} if error is None else {"error": error}, ensure_ascii=False).encode()
    return _HEAD.pack(_END, len(content)) + content


class StreamResponse:
    """Sends what it is given until that ends, or the client goes away."""

    def __init__(self, media_type: str, chunks: AsyncGenerator[bytes]) -> None:
        self._media_type = media_type
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """From Starlette: the response as an ASGI app."""
        headers = [(b"content-type", self._media_type.encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        sending = asyncio.create_task(_send(self._chunks, send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, gone):
                task.cancel()
            await asyncio.wait((sending, gone))
            await self._chunks.aclose()


async def _send(chunks: AsyncIterator[bytes], send: Send) -> None:
    async for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
