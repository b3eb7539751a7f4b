"""What Redis refuses, in words that name the setting and never its value."""

import re
from collections.abc import Mapping
from typing import Any, Final

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

LEAST_VERSION: Final = 7
"""The oldest major version that is tested."""

_COMMAND: Final = re.compile(r"'([A-Za-z|]+)' command")
_NO_CLUSTER: Final = "cluster support disabled"
_NODE_OF_A_CLUSTER: Final = "it leads to a node of a cluster; write it as redis+cluster://host:port,host:port"
_UNKNOWN_COMMAND: Final = "unknown command"

Facts = Mapping[bytes, Any]
"""What a server says of itself: `server`, `version`, `mode`, `role`."""


class RedisSettingError(RedisError):
    """`REDIS_URL` leads to something that cannot be used; the message says so."""


def explained(error: BaseException) -> str:
    """What went wrong; where `REDIS_URL` is the reason, that and what to mend."""
    match error:
        case RedisSettingError():
            return str(error)
        case AuthenticationError() | AuthenticationWrongNumberOfArgsError():
            why = "the server refuses the user or the password that it names, or wants one"
        case NoPermissionError():
            why = f"the server does not let its user {_denied(error)}; docs/engines.md lists the rights"
        case ReadOnlyError():
            why = "it leads to a read-only replica; name the primary"
        case AskError():
            why = _NODE_OF_A_CLUSTER
        case ResponseError() if _NO_CLUSTER in str(error):
            why = "it says redis+cluster://, and the server is not part of a cluster; write it as redis://"
        case _ if "CERTIFICATE_VERIFY_FAILED" in str(error):
            why = "the server's certificate is not signed by whom we trust, or is for another name; see ssl_ca_certs"
        case _:
            return f"{type(error).__name__}: {error}"
    return f"REDIS_URL: {why}"


def check_server(facts: Facts, *, primary: bool, cluster: bool) -> None:
    """RedisSettingError for a server of the wrong kind.

    `primary`: a replica is of the wrong kind too; `cluster`: nodes of a cluster are of the right one.
    """
    major = facts.get(b"version", b"").decode(errors="replace").partition(".")[0]
    if major.isdecimal() and int(major) < LEAST_VERSION:
        raise _too_old(major)
    if facts.get(b"mode") == b"sentinel":
        raise RedisSettingError("REDIS_URL: it leads to a sentinel; write it as redis+sentinel://host:port/NAME")
    if not cluster and facts.get(b"mode") == b"cluster":
        raise RedisSettingError(f"REDIS_URL: {_NODE_OF_A_CLUSTER}")
    if primary and facts.get(b"role") not in {b"master", None}:
        raise RedisSettingError("REDIS_URL: it leads to a read-only replica; name the primary")


def is_too_old(error: ResponseError) -> bool:
    """Whether this answers a question that each version of today knows."""
    return _UNKNOWN_COMMAND in str(error)


def too_old() -> RedisSettingError:
    """For a server that does not even say how old it is."""
    return _too_old("5 or older")


def _too_old(major: str) -> RedisSettingError:
    return RedisSettingError(
        f"REDIS_URL: it leads to a server of version {major}; {LEAST_VERSION} or newer is needed, or Valkey"
    )


def _denied(error: NoPermissionError) -> str:
    named = _COMMAND.search(str(error))
    if named:
        return f"run {named[1].upper()}"
    return "use a channel that is needed" if "channel" in str(error) else "use a key that is needed"
