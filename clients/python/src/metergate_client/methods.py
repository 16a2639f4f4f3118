"""What both clients share in turning a pure call into a method."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import update_wrapper
from typing import TypeVar

MethodT = TypeVar("MethodT", bound=Callable[..., object])


def documented_as(build: Callable[..., object], method: MethodT) -> MethodT:
    """Give a method the name, docstring and parameters of the function that builds its call, for ``help()``."""
    update_wrapper(method, build)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    parameters = inspect.signature(build).parameters.values()
    # Without a return annotation: the builder's is a Call, and what the method returns is what that call reads.
    method.__signature__ = inspect.Signature([own, *parameters])  # type: ignore[attr-defined]
    return method
