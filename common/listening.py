"""Serving an application on a TCP address or a unix socket."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from aiohttp import web

from common.connection import ConnectionServer
from common.settings import Address, TcpAddress, UnixAddress

Connections = Callable[[web.Server], ConnectionServer]

_FOR_ALL: Final = 0o666
"""To connect is to write. An app in the container beside has a user of its own, which owns nothing of ours."""

_SHUTDOWN_SECONDS: Final = 3.0  # longer than the longest wait of a request


@asynccontextmanager
async def listening(
    app: web.Application, address: Address, connections: Connections = ConnectionServer.instead_of
) -> AsyncIterator[str]:
    """Serve `app`; gives the address that is really bound, such as 127.0.0.1:41234 or unix:/path.

    `connections` makes a server of connections out of aiohttp's own.
    """
    runner = _Runner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    runner.connections = connections
    await runner.setup()
    try:
        match address:
            case TcpAddress(host, port):
                await web.TCPSite(runner, host, port, backlog=1024).start()
            case UnixAddress(path):
                with suppress(FileNotFoundError):
                    os.unlink(path)  # noqa: PTH108 - what an earlier process left there
                await web.UnixSite(runner, path, backlog=1024).start()
                os.chmod(path, _FOR_ALL)  # noqa: PTH101 - the folder says who may come so far
        yield _bound(runner, address)
    finally:
        await runner.cleanup()


class _Runner(web.AppRunner):
    connections: Connections

    async def _make_server(self) -> ConnectionServer:
        return self.connections(await super()._make_server())


def _bound(runner: web.AppRunner, address: Address) -> str:
    if isinstance(address, UnixAddress):
        return f"unix:{address.path}"
    host, port = runner.addresses[0][:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
