"""Who really asks where proxies stand before the writer: said by those that are trusted, and by nobody else."""

from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from aiohttp import web
from aiohttp.typedefs import Middleware

from common.settings import Network

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def behind(trusted: Sequence[Network]) -> list[Middleware]:
    """What puts a request's `remote` and `scheme` right; nothing where no proxy is trusted.

    Of `X-Forwarded-For` the last address counts that is no trusted proxy's: what stands before it anybody may write.
    """
    if not trusted:
        return []

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _is_of(trusted, request.remote):
            return await handler(request)
        told = request.headers.getall("X-Forwarded-Proto", [request.scheme])[-1].rpartition(",")[2].strip().lower()
        scheme = told if told in {"http", "https"} else request.scheme
        return await handler(request.clone(scheme=scheme, remote=_client(trusted, request)))

    return [middleware]


def _client(trusted: Sequence[Network], request: web.Request) -> str:
    told = ",".join(request.headers.getall("X-Forwarded-For", []))
    client = request.remote or ""
    for hop in reversed([part.strip() for part in told.split(",") if part.strip()]):
        address = _address(hop)
        if address is None:
            break
        client = str(address)
        if not _is_of(trusted, client):
            break
    return client


def _is_of(trusted: Sequence[Network], remote: str | None) -> bool:
    address = _address(remote or "")
    return address is not None and any(address in network for network in trusted)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address without a port; an IPv4 address in an IPv6 dress as what it is."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
