"""Free loopback ports."""

import random
import socket
from pathlib import Path
from typing import Final

LOWEST: Final = 20_000
DEFAULT_EPHEMERAL_START: Final = 32_768
ATTEMPTS: Final = 200
_random = random.SystemRandom()
_handed_out: set[int] = set()


def free_port(preferred: int | None = None) -> int:
    """Find a loopback TCP port that nobody listens on and that this process has not handed out before.

    `preferred`, such as the one of an earlier run, is taken where it is free.
    Ports below the ephemeral range only: a client that retries a dead port inside that range can be given the same
    port as its own and so connect to itself, and an outgoing connection can take the port of a stopped server.
    """
    top = _ephemeral_start()
    for attempt in range(ATTEMPTS):
        port = _random.randrange(LOWEST, top) if top > LOWEST else 0
        if attempt == 0 and preferred is not None:
            port = preferred
        found = _bindable(port)
        if found is not None and found not in _handed_out:
            _handed_out.add(found)
            return found
    raise OSError(f"found no free TCP port on 127.0.0.1 between {LOWEST} and {top}; stop some servers and try again")


def _bindable(port: int) -> int | None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return None
        return int(probe.getsockname()[1])


def _ephemeral_start() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return DEFAULT_EPHEMERAL_START
