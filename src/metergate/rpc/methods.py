"""The contract's methods and what answers them, found by the names in the protos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message_factory import GetMessageClass

from metergate.rpc.call import Method
from metergate.rpc.interceptors.chain import Interceptor, intercepted
from metergate.v1 import (
    backfill_pb2,
    billing_pb2,
    catalog_pb2,
    customer_data_pb2,
    customer_pb2,
    notification_pb2,
    quota_pb2,
    usage_pb2,
)

FILES: tuple[FileDescriptor, ...] = (
    usage_pb2.DESCRIPTOR,
    backfill_pb2.DESCRIPTOR,
    quota_pb2.DESCRIPTOR,
    catalog_pb2.DESCRIPTOR,
    customer_pb2.DESCRIPTOR,
    customer_data_pb2.DESCRIPTOR,
    notification_pb2.DESCRIPTOR,
    billing_pb2.DESCRIPTOR,
)
_READS = ("Get", "List", "Check", "BatchCheck", "Export")


def methods(servicers: Sequence[Any], interceptors: Sequence[tuple[str, Interceptor]]) -> list[Method]:
    """Every method of every service, behind the interceptors. A service may be answered by several servicers, each by
    those of its methods that are named like the contract's."""
    answering = {
        name: getattr(servicer, name) for servicer in servicers for name in dir(type(servicer)) if name[0].isupper()
    }
    found = []
    for file in FILES:
        for service in file.services_by_name.values():
            for method in service.methods:
                bare = Method(
                    service.full_name,
                    method.name,
                    GetMessageClass(method.input_type),
                    GetMessageClass(method.output_type),
                    answering[method.name],
                    method.name.startswith(_READS),
                    method.server_streaming,
                )
                found.append(intercepted(bare, interceptors))
    return found
