"""The chain that every call walks through, whichever face it came in by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from metergate.rpc.call import Handler, Method

# Wraps the handler of one method; built once per method, not once per call.
Interceptor = Callable[[Method, Handler], Handler]


def intercepted(method: Method, interceptors: Sequence[tuple[str, Interceptor]]) -> Method:
    """The method with its handler behind the interceptors, the first one outermost."""
    handler = method.handle
    for _, interceptor in reversed(interceptors):
        handler = interceptor(method, handler)
    return replace(method, handle=handler)
