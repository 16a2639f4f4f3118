"""Reading a request's body within bounds: of one, and of all together."""

from __future__ import annotations

from collections.abc import Callable

from connectrpc.compression.gzip import GzipCompression
from connectrpc.errors import ConnectError
from starlette.requests import Request

from metergate.domain.errors import MetergateError, Reason
from metergate.http.errors import ProtocolError, malformed

MESSAGE_MOST = 4 * 1024 * 1024  # bytes, as with gRPC
UNREAD_MOST = 128 * 1024 * 1024  # bytes of all bodies that are being received

_GZIP = GzipCompression()


class BodyReader:
    """Reads bodies. Callers are not known yet, so what they may make us hold is bounded."""

    def __init__(self, most: int = UNREAD_MOST) -> None:
        self._left = most

    async def read(self, request: Request) -> bytes:
        """The body, decompressed.

        Raises:
            MetergateError: MESSAGE_TOO_LARGE, MESSAGE_MALFORMED, OVERLOADED.
            ClientDisconnect: the client went away first.
        """
        unpack = decompressor(request.headers.get("content-encoding", ""))
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > MESSAGE_MOST:
            raise _too_large()
        return unpack(await self._received(request))

    async def _received(self, request: Request) -> bytes:
        body = bytearray()
        try:
            async for chunk in request.stream():
                if len(chunk) > self._left:
                    raise MetergateError(Reason.OVERLOADED, "the server receives as much as it can hold")
                self._left -= len(chunk)
                body += chunk
                if len(body) > MESSAGE_MOST:
                    raise _too_large()
            return bytes(body)
        finally:
            self._left += len(body)


def decompressor(encoding: str) -> Callable[[bytes], bytes]:
    """What undoes a content encoding.

    Raises:
        MetergateError: MESSAGE_MALFORMED, the encoding is not known here.
    """
    if encoding in ("", "identity"):
        return lambda body: body
    if encoding == "gzip":
        return _unzipped
    message = "the body's encoding must be gzip or identity"
    raise ProtocolError(415, Reason.MESSAGE_MALFORMED, message, headers={"accept-encoding": "gzip"})


def _unzipped(body: bytes) -> bytes:
    try:
        return _GZIP.decompress(body, MESSAGE_MOST)
    except ConnectError:
        raise _too_large() from None
    except Exception as error:
        raise malformed("the body is not gzip") from error


def _too_large() -> ProtocolError:
    message = f"the message is larger than {MESSAGE_MOST:,} bytes"
    return ProtocolError(413, Reason.MESSAGE_TOO_LARGE, message, {"maximum_bytes": str(MESSAGE_MOST)})
