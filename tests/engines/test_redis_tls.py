"""Redis with TLS: the server shows who it is, and so do we."""

import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from sandbox.identity import hand_over, server_identity
from sandbox.ports import free_port
from sandbox.redis import RedisServer
from sidecar import redis_cache
from sidecar.sources import Source
from tests.support.certificates import Authority
from tests.support.following import grant_to, until_followed
from tests.support.ledger import Ledger
from tests.support.redis import StartRedis
from tests.support.relaying import StartRelay
from tests.support.sidecars import StartSidecar, until

pytestmark = [pytest.mark.needs("redis-server"), pytest.mark.needs("openssl")]

USERS = [f"user:{number}" for number in range(40)]


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A server that speaks TLS and wants to see a certificate."""

    server: RedisServer
    port: int
    authority: Authority
    stranger: Authority
    shown: str
    """The options with the certificate that we show."""

    @property
    def options(self) -> str:
        """With the authority that signed the server."""
        return f"ssl_ca_certs={self.authority.certificate}&{self.shown}"


StartEncrypted = Callable[..., Awaitable[Encrypted]]


@pytest_asyncio.fixture
async def start_encrypted(redis_server: StartRedis, tmp_path: Path) -> StartEncrypted:
    """What starts one that its authority signed for 127.0.0.1, with further settings and arguments."""
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    own, ours = authority.sign("server"), authority.sign("writer")

    async def start(*arguments: str, **more: str) -> Encrypted:
        settings = {
            "tls-port": str(free_port()),
            "tls-cert-file": str(own.certificate),
            "tls-key-file": str(own.key),
            "tls-ca-cert-file": str(authority.certificate),
            "tls-auth-clients": "yes",
            "tls-replication": "yes",
            "tls-cluster": "yes",
            **{name.replace("_", "-"): value for name, value in more.items()},
        }
        program = Path(shutil.which("redis-server") or "")
        server = await redis_server(program=program, settings=settings, arguments=arguments)
        shown = f"ssl_certfile={ours.certificate}&ssl_keyfile={ours.key}"
        return Encrypted(server, int(settings["tls-port"]), authority, stranger, shown)

    return start


@pytest_asyncio.fixture
async def encrypted(start_encrypted: StartEncrypted) -> Encrypted:
    """One server."""
    return await start_encrypted()


async def sentinel_url(start: StartEncrypted, encrypted: Encrypted, directory: Path) -> str:
    """A sentinel that watches the server, and is asked with TLS as it asks itself."""
    file = directory / "sentinel" / "sentinel.conf"
    file.parent.mkdir()
    file.write_text(f"sentinel monitor billing 127.0.0.1 {encrypted.port} 1\n", encoding="utf-8")
    for path in (file.parent, file):
        hand_over(path, server_identity())
    sentinel = await start(str(file), "--sentinel")
    return f"rediss+sentinel://127.0.0.1:{sentinel.port}/billing"


async def cluster_url(start: StartEncrypted) -> str:
    """A cluster of one node."""
    node = await start(cluster_enabled="yes", cluster_port=str(free_port()))
    async with Redis(port=node.server.port) as client:
        await client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)  # type: ignore[no-untyped-call]
    return f"rediss+cluster://127.0.0.1:{node.port}"


@pytest.mark.parametrize("scheme", ["rediss", "rediss+sentinel", "rediss+cluster"])
async def test_writer_and_sidecars_speak_tls(
    scheme: str, start_encrypted: StartEncrypted, encrypted: Encrypted, tmp_path: Path, ledger: Ledger,
    start_relay: StartRelay, start_sidecar: StartSidecar, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Relay, following, and a start that is read in several processes where it can be."""
    match scheme:
        case "rediss+sentinel":
            place = await sentinel_url(start_encrypted, encrypted, tmp_path)
        case "rediss+cluster":
            place = await cluster_url(start_encrypted)
        case _:
            place = f"rediss://127.0.0.1:{encrypted.port}"
    url = f"{place}?{encrypted.options}"
    relaying = await start_relay(url=url)
    sidecar = await start_sidecar(url)
    await ledger.edit("pro")
    await grant_to(ledger, relaying, USERS)
    await until_followed(ledger, sidecar)
    monkeypatch.setattr(redis_cache, "WORTH_IT", 0)
    late = await start_sidecar(url, SIDECAR_INSTANCE="late")
    await until_followed(ledger, late)
    assert late.project.started is not None
    assert late.project.started.source is Source.REDIS


async def test_a_server_that_nobody_we_trust_has_signed_is_refused(
    encrypted: Encrypted, ledger: Ledger, start_relay: StartRelay, caplog: pytest.LogCaptureFixture
) -> None:
    """The setting is named."""
    trusted = encrypted.stranger.certificate
    await start_relay(url=f"rediss://127.0.0.1:{encrypted.port}?ssl_ca_certs={trusted}&{encrypted.shown}")
    await until(lambda: "REDIS_URL: the server's certificate is not signed by whom we trust" in caplog.text)


async def test_a_certificate_for_another_name_is_refused_unless_told_otherwise(
    encrypted: Encrypted, ledger: Ledger, start_relay: StartRelay, caplog: pytest.LogCaptureFixture
) -> None:
    """`ssl_check_hostname=false` accepts any name; the signature is looked at all the same."""
    url = f"rediss://localhost:{encrypted.port}?{encrypted.options}"
    strict = await start_relay(url=url)
    await until(lambda: "REDIS_URL: the server's certificate is" in caplog.text)
    await strict.stop()
    relaying = await start_relay(url=f"{url}&ssl_check_hostname=false", instance="lenient")
    await until(lambda: relaying.sample("billing_redis_up") == 1.0)
