"""The sidecar's settings: read once at start, every fault at once."""

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from common import tracing
from common.catalogue import OnStale
from common.identifiers import IdentifierError, ProjectId, project_id
from common.logs import LogFormat, LogLevel
from common.redis_url import read_optional_redis_url
from common.settings import Address, Reader, Secret, TcpAddress
from sidecar.freshness import StalePolicy

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the sidecar is told from outside."""

    projects: Mapping[ProjectId, Secret | None]
    """Each project's API key; None without a writer."""
    redis_url: Secret | None
    writer_url: str | None
    listen: Address
    management_listen: Address
    policy: StalePolicy
    snapshot_dir: Path | None
    """Where copies are kept; None: nowhere."""
    snapshot_every: float
    """Seconds between two saves."""
    log_level: LogLevel
    log_format: LogFormat
    tracing: bool
    """Whether spans are sent; where to, OpenTelemetry's own variables say."""
    instance: str
    user_header: str
    """The header in which proxies tell `/authz` who asks."""
    max_streams: int
    expiring_ahead: float
    """Seconds before the end of a grant at which streams announce it."""

    @classmethod
    def from_mapping(cls, environment: Mapping[str, str]) -> Self:
        """Read an environment; SettingsError with every fault."""
        reader = Reader(environment)
        names = _projects(reader)
        redis_url = read_optional_redis_url(reader, "REDIS_URL")
        writer_url = reader.optional_url("WRITER_URL", "http", "https")
        if not reader.optional_text("REDIS_URL") and not reader.optional_text("WRITER_URL"):
            reader.fault("REDIS_URL", "is not set, and neither is WRITER_URL: the sidecar needs one, better both")
        api_keys = reader.secrets("SIDECAR_API_KEY") if writer_url or reader.optional_text("SIDECAR_API_KEY") else ()
        if names and api_keys and len(names) != len(api_keys):
            reader.fault(
                "SIDECAR_API_KEY", f"must hold one key for each project: {len(api_keys)} for {len(names)} projects"
            )
        settings = cls(
            projects=dict(zip(names, api_keys or (None,) * len(names), strict=False)),
            redis_url=redis_url,
            writer_url=writer_url,
            listen=reader.address("SIDECAR_LISTEN", TcpAddress("127.0.0.1", 7070)),
            management_listen=reader.address("SIDECAR_MANAGEMENT_LISTEN", TcpAddress("127.0.0.1", 7071)),
            policy=_policy(reader),
            snapshot_dir=_folder(reader),
            snapshot_every=reader.duration("SIDECAR_SNAPSHOT_EVERY", 60.0, least=0.1),
            log_level=reader.choice("LOG_LEVEL", LogLevel, LogLevel.INFO),
            log_format=reader.choice("LOG_FORMAT", LogFormat, LogFormat.AUTO),
            tracing=tracing.read_enabled(reader),
            instance=reader.text("SIDECAR_INSTANCE", f"{socket.gethostname()}-{os.getpid()}"),
            user_header=_header(reader),
            # Each is a connection, and open files are bounded; a change of the catalogue wakes all of them.
            max_streams=reader.whole("SIDECAR_MAX_STREAMS", 1_000, least=0, most=100_000),
            expiring_ahead=reader.duration("SIDECAR_EXPIRING_AHEAD", 86_400.0, most=365 * 86_400.0),
        )
        reader.finish()
        return settings


def _projects(reader: Reader) -> tuple[ProjectId, ...]:
    names: list[ProjectId] = []
    for name in reader.names("SIDECAR_PROJECT"):
        try:
            names.append(project_id(name))
        except IdentifierError as error:
            reader.fault("SIDECAR_PROJECT", str(error))
    if len(set(names)) != len(names):
        reader.fault("SIDECAR_PROJECT", "names a project twice")
    return tuple(names)


def _folder(reader: Reader) -> Path | None:
    text = reader.optional_text("SIDECAR_SNAPSHOT_DIR")
    if text is not None and not text.startswith("/"):
        reader.fault("SIDECAR_SNAPSHOT_DIR", "must be an absolute path: what the process is started in may change")
    return None if text is None else Path(text)


def _header(reader: Reader) -> str:
    name = reader.text("SIDECAR_USER_HEADER", "X-User-Id")
    if not _HEADER_NAME.fullmatch(name):
        reader.fault("SIDECAR_USER_HEADER", "must be a header's name, such as X-User-Id")
    elif name.lower().startswith("x-entitlement-"):
        reader.fault("SIDECAR_USER_HEADER", "must not begin with X-Entitlement-: those are answers")
    return name


def _policy(reader: Reader) -> StalePolicy:
    # Heartbeats come each second: a bound near that makes answers turn stale and back, as an app's own tests may want.
    stale_after = reader.duration("SIDECAR_STALE_AFTER", 5.0, least=0.1)
    max_stale = reader.optional_duration("SIDECAR_MAX_STALE", least=0.1)
    on_stale = reader.choice("SIDECAR_ON_STALE", OnStale, OnStale.SERVE)
    if max_stale is not None and max_stale < stale_after:
        reader.fault("SIDECAR_MAX_STALE", "must not be shorter than SIDECAR_STALE_AFTER")
    return StalePolicy(stale_after, max_stale, on_stale)
