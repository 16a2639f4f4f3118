"""A TCP proxy in front of a gRPC server that loses answers which the server has given."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_HEADERS = 0x1  # the HTTP/2 frame that begins an answer


@dataclass
class LossyProxy:
    """While ``cuts`` is above 0, the next answer's first HEADERS frame cuts its connection instead of passing.

    So the request was received and worked on (here: committed), and the client cannot know.
    """

    upstream: tuple[str, int]
    cuts: int = 0
    lost: int = 0
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: list[socket.socket] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def start(self) -> None:
        """Begin to accept."""
        self._spawn(self._accept)

    def stop(self) -> None:
        """Close everything and wait for the threads."""
        self._cut(self._listener)
        with self._lock:
            still_open = list(self._open)
        self._cut(*still_open)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # stopped
            server = socket.create_connection(self.upstream)
            with self._lock:
                self._open += [client, server]
            self._spawn(self._requests, client, server)
            self._spawn(self._answers, client, server)

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while data := client.recv(65536):
                server.sendall(data)
        except OSError:
            pass  # cut by the other direction
        self._cut(client, server)

    def _answers(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while frame := _frame(server):
                if frame[3] == _HEADERS and self._may_cut():
                    break
                client.sendall(frame)
        except OSError:
            pass  # cut by the other direction
        self._cut(client, server)

    def _may_cut(self) -> bool:
        with self._lock:
            if not self.cuts:
                return False
            self.cuts -= 1
            self.lost += 1
            return True

    def _spawn(self, work: object, *args: socket.socket) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    @staticmethod
    def _cut(*sockets: socket.socket) -> None:
        for each in sockets:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it was closed by its peer or by the other direction
            each.close()


def _frame(server: socket.socket) -> bytes:
    """The next HTTP/2 frame, whole; empty at the end of the stream."""
    head = _exactly(server, 9)
    return head + _exactly(server, int.from_bytes(head[:3])) if head else b""


def _exactly(sender: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = sender.recv(size - len(data))
        if not more:
            return b""
        data += more
    return data


@contextmanager
def lossy_proxy(upstream: str) -> Iterator[LossyProxy]:
    """Run a proxy in front of "host:port"."""
    host, _, port = upstream.rpartition(":")
    proxy = LossyProxy((host, int(port)))
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
