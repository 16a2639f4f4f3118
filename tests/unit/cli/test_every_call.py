"""Each call of the contract can be made from the command line, but for those that only a program makes."""

from __future__ import annotations

import re
from pathlib import Path

from metergate import cli
from metergate.v1 import backfill_pb2, catalog_pb2, customer_pb2, quota_pb2, usage_pb2

# A lease is spent in a process, by the client's holder; batches of questions and of units are for programs.
_BY_PROGRAMS = {"AcquireLease", "SyncLeases", "ReturnLease", "BatchCheckQuota", "BatchConsumeQuota"}


def test_each_call_that_people_make_has_a_command() -> None:
    files = (usage_pb2, backfill_pb2, quota_pb2, customer_pb2, catalog_pb2)
    services = [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]
    there = {method.name for service in services for method in service.methods}
    sources = "\n".join(file.read_text() for file in Path(cli.__path__[0]).rglob("*.py"))
    assert there - set(re.findall(r'"([A-Z]\w+)"', sources)) == _BY_PROGRAMS
