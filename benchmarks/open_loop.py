"""An open loop: requests leave when they are due, and each is timed from then, whether or not a connection was free.

`python -m benchmarks.open_loop JSON`. It spins on a core of its own: timers of event loops are a millisecond coarse,
which is more than what is measured. A request that waits for a connection has its waiting counted, so a server that
stops for a while is seen by all who came meanwhile (no coordinated omission).
"""

import gc
import random
import select
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

_WARM: Final = 200
"""Requests that are not timed."""
_PATIENCE_NS: Final = 10_000_000_000
_OK: Final = b"HTTP/1.1 200 "
_LENGTH: Final = b"content-length: "


@dataclass(frozen=True, slots=True)
class Task:
    """What to do."""

    port: int
    request: str
    users: int
    connections: int
    per_second: int
    seconds: float

    def requests(self) -> list[bytes]:
        """All of them, made before the first is sent."""
        number = int(self.per_second * self.seconds)
        if not self.users:
            return [self.request.encode()] * number
        dice = random.Random(self.users)  # noqa: S311 - repeatable, not secret
        return [self.request.replace("%07d", f"{dice.randrange(self.users):07d}").encode() for _ in range(number)]


@dataclass(slots=True)
class Loop:
    """Connections that take turns."""

    free: deque[socket.socket]
    poll: Any = field(default_factory=select.epoll)
    by_number: dict[int, socket.socket] = field(default_factory=dict)
    due: dict[int, int] = field(default_factory=dict)
    """When the request that a connection is busy with was due (nanoseconds), by the connection's number."""
    partial: dict[int, bytes] = field(default_factory=dict)
    took: list[int] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    """By how much the load itself was late (nanoseconds), where a connection was free."""

    @classmethod
    def connected(cls, port: int, connections: int) -> "Loop":
        """With so many connections."""
        loop = cls(deque())
        for _ in range(connections):
            one = socket.create_connection(("127.0.0.1", port))
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.setblocking(False)
            loop.poll.register(one.fileno(), select.EPOLLIN)
            loop.by_number[one.fileno()] = one
            loop.free.append(one)
        return loop

    def close(self) -> None:
        """Disconnect."""
        self.poll.close()
        for one in self.by_number.values():
            one.close()

    def run(self, requests: list[bytes], interval: int) -> None:
        """Send each when it is due; RuntimeError for an answer that is none."""
        began, number, total, kept_back = time.perf_counter_ns(), 0, len(requests), False
        end = began + interval * total + _PATIENCE_NS
        while number < total or self.due:
            now = time.perf_counter_ns()
            due = began + interval * number
            if number < total and due <= now and self.free:
                self._send(requests[number], due)
                if not kept_back:
                    self.late.append(now - due)
                number, kept_back = number + 1, False
            else:
                kept_back = kept_back or (number < total and due <= now)  # it is the server that keeps it back
                self._receive()
            if now > end:
                raise RuntimeError("the server does not answer all requests")

    def _send(self, request: bytes, due: int) -> None:
        connection = self.free.popleft()
        if connection.send(request) != len(request):
            raise RuntimeError("the server does not read")
        self.due[connection.fileno()] = due

    def _receive(self) -> None:
        for number, _ in self.poll.poll(0):
            connection = self.by_number[number]
            data = self.partial.pop(number, b"") + connection.recv(65_536)
            if not whole(data):
                self.partial[number] = data
                continue
            self.took.append(time.perf_counter_ns() - self.due.pop(number))
            self.free.append(connection)


def whole(data: bytes) -> bool:
    """Whether it is a whole answer; RuntimeError where it is no good one."""
    head, found, body = data.partition(b"\r\n\r\n")
    if not data.startswith(_OK[: len(data)]) or not data:
        raise RuntimeError(f"answered {data[:200]!r}")
    if not found:
        return False
    _, told, rest = head.lower().partition(_LENGTH)
    if not told:
        raise RuntimeError(f"an answer without a length: {head!r}")
    return len(body) >= int(rest.partition(b"\r")[0])


def measure(task: Task) -> dict[str, float]:
    """Milliseconds."""
    requests, loop = task.requests(), Loop.connected(task.port, task.connections)
    interval = 1_000_000_000 // task.per_second
    gc.collect()
    gc.disable()
    try:
        loop.run(requests[:_WARM], interval)
        loop.took, loop.late = [], []
        began = time.perf_counter()
        loop.run(requests, interval)
        seconds = time.perf_counter() - began
    finally:
        gc.enable()
        loop.close()
    took, late = sorted(loop.took), sorted(loop.late)
    parts = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}
    figures = {name: took[int((len(took) - 1) * part)] / 1e6 for name, part in parts.items()}
    late_ms = late[int((len(late) - 1) * 0.99)] / 1e6 if late else 0.0
    sent = len(took) + min(_WARM, len(took))
    return {"requests": len(took), "sent": sent, "seconds": seconds, "late_ms": late_ms, **figures}


if __name__ == "__main__":
    print(msgspec.json.encode(measure(msgspec.json.decode(sys.argv[1], type=Task))).decode())
