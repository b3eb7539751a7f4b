"""A container's health check: `python -m common.probe WRITER_LISTEN=0.0.0.0:8000 /ready` asks a server of ours once.

Where the server listens is read from the variable, as the server reads it; else it is what stands behind the equals
sign. The exit status is 0 for 200 and 1 for anything else, whose reason goes to stdout, where an engine keeps it.
"""

import os
import sys
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from socket import AF_UNIX, SOCK_STREAM, socket
from typing import Final

from common.settings import Address, Reader, SettingsError, TcpAddress, UnixAddress

_PATIENCE_SECONDS: Final = 3.0
_MOST_BYTES: Final = 500
_OF_ALL_INTERFACES: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to ask one that listens so


def reason(place: str, path: str, environment: Mapping[str, str]) -> str | None:
    """Why the server is not well; None: it is. `place` is VARIABLE=DEFAULT, SettingsError where it is wrong."""
    connection = _connection(_address(place, environment))
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read(_MOST_BYTES).decode(errors="replace")
    except (OSError, HTTPException) as error:
        return f"{path}: {type(error).__name__}: {error}"
    finally:
        connection.close()
    return None if answer.status == HTTPStatus.OK else f"{path}: {answer.status} {text}"


def _address(place: str, environment: Mapping[str, str]) -> Address:
    name, _, default = place.partition("=")
    reader = Reader({name: environment.get(name) or default})
    address = reader.address(name, TcpAddress("127.0.0.1", 0))
    reader.finish()
    return address


def _connection(address: Address) -> HTTPConnection:
    if isinstance(address, UnixAddress):
        return _UnixConnection(address.path)
    host = _OF_ALL_INTERFACES.get(address.host, address.host)
    return HTTPConnection(host, address.port, timeout=_PATIENCE_SECONDS)


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_PATIENCE_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Over a socket's path."""
        self.sock = socket(AF_UNIX, SOCK_STREAM)
        self.sock.settimeout(_PATIENCE_SECONDS)
        self.sock.connect(self._path)


def main(arguments: list[str]) -> int:
    """The exit status."""
    try:
        place, path = arguments
        why = reason(place, path, os.environ)
    except ValueError:
        why = "usage: python -m common.probe VARIABLE=HOST:PORT /PATH"
    except SettingsError as error:
        why = str(error)
    if why is not None:
        sys.stdout.write(f"{why}\n")
    return int(why is not None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
