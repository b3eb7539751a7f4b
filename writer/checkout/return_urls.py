"""Where Stripe may send a customer back to: hosts that the project lists, so that nobody is led elsewhere. Pure."""

import re
from collections.abc import Collection
from typing import Final
from urllib.parse import SplitResult, urlsplit

from common.problems import Problem, bad_request

SESSION_TEMPLATE: Final = "{CHECKOUT_SESSION_ID}"
"""Stripe puts the session's id in its place."""

_HTTPS_PORT: Final = 443
_LONGEST: Final = 2_048
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
# A browser takes a backslash for a slash and drops white space; a text that it reads otherwise than we do is refused.
_READ_ALIKE: Final = re.compile(r"[!-\[\]-~]+")
_HOST: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|[0-9a-f:]+:[0-9a-f:]*")


def check(name: str, url: str, hosts: Collection[str], *, livemode: bool) -> str:
    """`url`, if it may be returned to: https on one of `hosts` (`host`, or `host:port` for another port than 443).

    In test mode a loopback host also passes, and with http. `name` is the field that a problem names.
    Problems: 400 `invalid_return_url`, `return_host_not_allowed`.
    """
    parts = _split(name, url)
    host = parts.hostname or ""
    if host in _LOOPBACK or host.endswith(".localhost"):
        if livemode:
            raise _not_allowed(name, host, hosts, " (a loopback host is good in test mode only)")
        return url
    if parts.scheme != "https":
        raise bad_request("invalid_return_url", f"{name} must begin with https:// (http:// is for loopback hosts)")
    port = parts.port or _HTTPS_PORT
    if f"{host}:{port}" not in hosts and (port != _HTTPS_PORT or host not in hosts):
        raise _not_allowed(name, host, hosts)
    return url


def with_session_id(url: str) -> str:
    """`url` with the session's id in its query, unless it has a place for it already."""
    if SESSION_TEMPLATE in url:
        return url
    front, mark, fragment = url.partition("#")
    joint = "" if front.endswith(("?", "&")) else "&" if "?" in front else "?"
    return f"{front}{joint}session_id={SESSION_TEMPLATE}{mark}{fragment}"


def _split(name: str, url: str) -> SplitResult:
    if len(url) > _LONGEST or not _READ_ALIKE.fullmatch(url):
        detail = f"{name} must be a URL of at most {_LONGEST} ASCII characters, without spaces and backslashes"
        raise bad_request("invalid_return_url", detail)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0 or parts.scheme not in {"https", "http"} or not _HOST.fullmatch(host):
        raise bad_request("invalid_return_url", f"{name} must be a whole URL, such as https://app.example.com/paid")
    if "@" in parts.netloc:
        raise bad_request("invalid_return_url", f"{name} must not hold a user name or password")
    return parts


def _not_allowed(name: str, host: str, hosts: Collection[str], why: str = "") -> Problem:
    known = ", ".join(sorted(hosts)) or "none"
    return bad_request(
        "return_host_not_allowed",
        f"{name} leads to {host}, which is none of the project's return hosts{why}; allowed: {known}",
    )
