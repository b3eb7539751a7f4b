"""The writer's settings: a frozen value, made from a mapping."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from enum import StrEnum
from pathlib import Path
from socket import gethostname

from common import tracing
from common.logs import LogFormat, LogLevel
from common.redis_url import read_redis_url
from common.settings import Address, Network, Reader, Secret, TcpAddress

_HOUR = 3_600.0
_DAY = 24 * _HOUR
_LIVE_RPS = 10  # Stripe allows 25 writes a second in some live accounts; the apps on the same account need theirs
_TEST_RPS = 5
_SWEEP_EVERY = 300.0
_EVENTS_KEPT = 90 * _DAY


class Pooler(StrEnum):
    """`DATABASE_POOLER`: what stands between us and Postgres."""

    NONE = "none"
    TRANSACTION = "transaction"
    """PgBouncer or its like, which gives each transaction a connection of its choice."""


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """How Postgres is reached. Times in seconds."""

    url: Secret
    read_url: Secret | None
    pool_size: int
    statement_timeout: float
    lock_timeout: float
    idle_timeout: float
    pooler: Pooler = Pooler.NONE


@dataclass(frozen=True, slots=True)
class StripeSettings:
    """How Stripe is reached."""

    secret_key: Secret
    publishable_key: str | None
    webhook_secrets: tuple[Secret, ...]
    api_base: str | None
    max_rps: int
    """Requests a second, of all writers and commands together."""
    poll: float | None = None
    """Seconds between two looks at Stripe's event list where no webhook arrives; None: webhooks do."""
    sweep_every: float = _SWEEP_EVERY
    """Seconds between two looks for what was never delivered."""

    @property
    def livemode(self) -> bool:
        """Whether our keys move real money: only objects of the same mode are ours."""
        return "_live_" in self.secret_key.reveal()


@dataclass(frozen=True, slots=True)
class GraceSettings:
    """How long a late webhook or an unpaid invoice is borne with. Seconds."""

    entitlement: float
    trial: float
    past_due: float


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """For how long rows are kept that nobody needs any more. Seconds; None: for ever."""

    events: float
    """Stripe's events, after they were worked on, and checkouts, after they expired."""
    history: float | None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the writer is told from outside."""

    listen: Address
    instance: str
    database: DatabaseSettings
    redis_url: Secret
    stripe: StripeSettings
    admin_keys: tuple[Secret, ...]
    grace: GraceSettings
    cache_ttl: float | None
    event_claim: float
    """For how long one writer may work on an event before others may take it over. Seconds."""
    reconcile_at: time | None
    """When everything is compared with Stripe each night, UTC; None: never by itself."""
    log_level: LogLevel
    log_format: LogFormat
    tracing: bool
    """Whether spans are sent; where to, OpenTelemetry's own variables say."""
    retention: RetentionSettings
    proxies: tuple[Network, ...] = ()
    """Of whom it is believed what they say of the client: X-Forwarded-For and X-Forwarded-Proto."""


def read(environment: Mapping[str, str]) -> Settings:
    """The settings in `environment`; SettingsError names every fault."""
    reader = Reader(environment)
    settings = Settings(
        listen=reader.address("WRITER_LISTEN", TcpAddress("0.0.0.0", 8000)),  # noqa: S104 - it serves other hosts
        instance=reader.text("WRITER_INSTANCE", gethostname()),
        database=_database(reader),
        redis_url=read_redis_url(reader, "REDIS_URL"),
        stripe=_stripe(reader, receives=True),
        admin_keys=reader.secrets("ADMIN_API_KEY"),
        grace=_grace(reader),
        # Below a minute, renewal in time would be luck.
        cache_ttl=reader.optional_duration("CACHE_TTL", least=60),
        event_claim=reader.duration("EVENT_CLAIM", 10, least=1, most=600),
        reconcile_at=reader.time_of_day("RECONCILE_AT", time(3)),
        log_level=reader.choice("LOG_LEVEL", LogLevel, LogLevel.INFO),
        log_format=reader.choice("LOG_FORMAT", LogFormat, LogFormat.AUTO),
        tracing=tracing.read_enabled(reader),
        retention=RetentionSettings(
            # Stripe's own list reaches back 30 days: what is on it must be known here.
            events=reader.duration("EVENTS_KEPT", _EVENTS_KEPT, least=35 * _DAY),
            history=reader.optional_duration("HISTORY_KEPT", least=90 * _DAY),
        ),
        proxies=reader.networks("TRUSTED_PROXIES"),
    )
    reader.finish()
    return settings


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """What is needed to work on the database beside a writer: it, and the rules that documents follow."""

    database: DatabaseSettings
    grace: GraceSettings


def read_operator(environment: Mapping[str, str]) -> OperatorSettings:
    """Only what commands need that speak to nothing but the database."""
    reader = Reader(environment)
    settings = OperatorSettings(_database(reader), _grace(reader))
    reader.finish()
    return settings


def read_stripe(environment: Mapping[str, str]) -> StripeSettings:
    """Only how Stripe is asked: commands receive no webhooks."""
    reader = Reader(environment)
    settings = _stripe(reader, receives=False)
    reader.finish()
    return settings


def read_redis(environment: Mapping[str, str]) -> Secret:
    """Only where Redis is."""
    reader = Reader(environment)
    url = read_redis_url(reader, "REDIS_URL")
    reader.finish()
    return url


def read_database(environment: Mapping[str, str]) -> DatabaseSettings:
    """Only the database's settings: for commands that need nothing else."""
    reader = Reader(environment)
    settings = _database(reader)
    reader.finish()
    return settings


@dataclass(frozen=True, slots=True)
class BackupSettings:
    """What backups need: the database itself, Postgres's programs, and where they are checked."""

    database: DatabaseSettings
    programs: Path | None
    """The folder of pg_dump and pg_restore; None: they are on the path."""
    scratch_url: Secret | None
    """A server where a backup may be loaded to be checked; None: the database's own."""


def read_backup(environment: Mapping[str, str]) -> BackupSettings:
    """Only what backups need. A pooler in transaction mode cannot be dumped through, nor restored."""
    reader = Reader(environment)
    programs = reader.optional_text("POSTGRES_BIN")
    scratch_url = reader.optional_url("BACKUP_SCRATCH_URL", "postgresql", "postgres")
    settings = BackupSettings(
        _database(reader),
        None if programs is None else Path(programs),
        None if scratch_url is None else Secret(scratch_url),
    )
    if settings.programs is not None and not settings.programs.is_dir():
        reader.fault("POSTGRES_BIN", "must be the folder with pg_dump and pg_restore")
    if settings.database.pooler is Pooler.TRANSACTION:
        reader.fault(
            "DATABASE_POOLER",
            "is set: back up and restore at Postgres itself, with its own DATABASE_URL and without DATABASE_POOLER",
        )
    reader.finish()
    return settings


def _grace(reader: Reader) -> GraceSettings:
    return GraceSettings(
        entitlement=reader.duration("ENTITLEMENT_GRACE", 72 * _HOUR, most=30 * _DAY),
        trial=_HOUR,
        past_due=reader.duration("PAST_DUE_GRACE", 30 * _DAY, most=365 * _DAY),
    )


def _database(reader: Reader) -> DatabaseSettings:
    read_url = reader.optional_url("DATABASE_READ_URL", "postgresql", "postgres")
    return DatabaseSettings(
        url=Secret(reader.url("DATABASE_URL", "postgresql", "postgres")),
        read_url=None if read_url is None else Secret(read_url),
        pool_size=reader.whole("DATABASE_POOL_SIZE", 10, least=2, most=200),
        statement_timeout=reader.duration("DATABASE_STATEMENT_TIMEOUT", 30, least=0.1, most=600),
        lock_timeout=reader.duration("DATABASE_LOCK_TIMEOUT", 10, least=0.1, most=600),
        idle_timeout=reader.duration("DATABASE_IDLE_TIMEOUT", 30, least=1, most=600),
        pooler=reader.choice("DATABASE_POOLER", Pooler, Pooler.NONE),
    )


def _stripe(reader: Reader, *, receives: bool) -> StripeSettings:
    secret_key = reader.secret("STRIPE_SECRET_KEY")
    live = "_live_" in secret_key.reveal()
    if secret_key.reveal() and not secret_key.reveal().startswith(("sk_test_", "sk_live_", "rk_test_", "rk_live_")):
        reader.fault("STRIPE_SECRET_KEY", "must begin with sk_test_, sk_live_, rk_test_ or rk_live_")
    # More often than once a second would leave none of STRIPE_MAX_RPS to payers.
    poll = reader.optional_duration("STRIPE_POLL", least=1, most=_HOUR)
    needs_secret = receives and poll is None
    webhook_secrets = reader.secrets("STRIPE_WEBHOOK_SECRET", default=None if needs_secret else ())
    if any(not secret.reveal().startswith("whsec_") for secret in webhook_secrets):
        reader.fault("STRIPE_WEBHOOK_SECRET", "must hold secrets that begin with whsec_, comma-separated")
    return StripeSettings(
        secret_key=secret_key,
        publishable_key=reader.optional_text("STRIPE_PUBLISHABLE_KEY"),
        webhook_secrets=webhook_secrets,
        api_base=reader.optional_url("STRIPE_API_BASE", "https", "http"),
        max_rps=reader.whole("STRIPE_MAX_RPS", _LIVE_RPS if live else _TEST_RPS, least=1, most=100),
        poll=poll,
        sweep_every=reader.duration("STRIPE_SWEEP_EVERY", _SWEEP_EVERY, least=1, most=_DAY),
    )
