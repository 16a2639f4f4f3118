"""What the servicers share: calls that are done once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from google.protobuf.message import Message

from metergate.app.stores import Once
from metergate.rpc.pages import once

M = TypeVar("M", bound=Message)
R = TypeVar("R")


async def done_once(
    request: Any, kind: type[M], run: Callable[[Once | None], Awaitable[R]], encode: Callable[[R], M]
) -> M:
    """Runs a verb; a repeat under the same request id gets the answer of the first."""
    first = once(request, kind.DESCRIPTOR.name.removesuffix("Response"), encode)
    made = await run(first)
    return encode(made) if first is None or first.answer is None else kind.FromString(first.answer)
