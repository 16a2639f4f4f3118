"""Addresses to listen on, and whether they are free."""

from __future__ import annotations

import socket

from metergate.cli.errors import CliError

_ALL = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "": "127.0.0.1"}  # read, not bound


def split(address: str, option: str) -> tuple[str, int]:
    """Reads HOST:PORT. Raises CliError."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise CliError(f"{option} {address!r} is no address: write HOST:PORT, such as 127.0.0.1:7400.")
    return host, int(port)


def reachable(address: str) -> str:
    """An address that this machine can call, for one that stands for all of its own."""
    host, _, port = address.rpartition(":")
    return f"{_ALL.get(host, host)}:{port}"


def check_free(address: str, option: str) -> None:
    """Raises CliError, with what to do, when something listens there or the host is not this machine's."""
    host, port = split(address, option)
    bare = host.strip("[]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the servers do it: a port that a stopped server left in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bare, port))
        except OSError as error:
            cure = f"stop what listens there, or give {option} HOST:PORT"
            raise CliError(f"{address} cannot be listened on ({error.strerror}): {cure}.") from error
