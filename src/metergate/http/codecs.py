"""How messages are read from and written to HTTP bodies."""

from __future__ import annotations

from typing import Any, Protocol

from connectrpc.compat import google_protobuf_binary_codec, google_protobuf_json_codec

from metergate.domain.errors import MetergateError, Reason

_JSON = google_protobuf_json_codec(ignore_unknown_fields=False)
_BINARY = google_protobuf_binary_codec()
_COMPLAINT_MOST = 400  # characters


class Codec(Protocol):
    """A media type."""

    media_type: str

    def decode(self, body: bytes, request_type: type[Any]) -> Any:
        """The request as a method's handler takes it.

        Raises:
            MetergateError: MESSAGE_MALFORMED.
        """

    def encode(self, message: Any) -> bytes:
        """The message as a body."""


class JsonCodec:
    """The JSON mapping of proto3. Fields that the contract does not know are errors."""

    media_type = "application/json"

    def decode(self, body: bytes, request_type: type[Any]) -> Any:
        """The parsed request."""
        try:
            if not body.decode().lstrip(" \t\r\n").startswith("{"):
                raise ValueError("it is no object")  # protobuf takes [] for an empty message
            return _JSON.decode(body, request_type)
        except UnicodeDecodeError as error:
            complaint = f"byte {error.start} is not UTF-8"
        except Exception as error:  # noqa: BLE001 - protobuf's errors have no common base, and all are the sender's
            complaint = (str(error).splitlines() or [type(error).__name__])[0][:_COMPLAINT_MOST]
        name = request_type.DESCRIPTOR.name
        raise MetergateError(Reason.MESSAGE_MALFORMED, f"the request is not a {name} in JSON: {complaint}")

    def encode(self, message: Any) -> bytes:
        """Indented, as people read it too."""
        return _JSON.encode(message) + b"\n"


class BinaryCodec:
    """Protobuf's own encoding."""

    media_type = "application/proto"

    def decode(self, body: bytes, request_type: type[Any]) -> Any:
        """The bytes: as with gRPC, they are parsed behind the interceptor that learns who calls."""
        return body

    def encode(self, message: Any) -> bytes:
        """The serialized message."""
        return _BINARY.encode(message)


JSON: Codec = JsonCodec()
BINARY: Codec = BinaryCodec()
CODECS: dict[str, Codec] = {codec.media_type: codec for codec in (JSON, BINARY)}
