"""Redis with TLS: the server shows who it is, and so do we."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from sandbox.ports import free_port
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

    port: int
    authority: Authority
    stranger: Authority
    shown: str
    """The options with the certificate that we show."""


@pytest_asyncio.fixture
async def encrypted(redis_server: StartRedis, tmp_path: Path) -> AsyncIterator[Encrypted]:
    """One that its authority signed for 127.0.0.1."""
    program = shutil.which("redis-server")
    assert program is not None
    authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    own, ours = authority.sign("server"), authority.sign("writer")
    settings = {
        "tls-port": str(free_port()),
        "tls-cert-file": str(own.certificate),
        "tls-key-file": str(own.key),
        "tls-ca-cert-file": str(authority.certificate),
        "tls-auth-clients": "yes",
    }
    await redis_server(program=Path(program), settings=settings)
    shown = f"ssl_certfile={ours.certificate}&ssl_keyfile={ours.key}"
    yield Encrypted(int(settings["tls-port"]), authority, stranger, shown)


async def test_writer_and_sidecars_speak_tls(
    encrypted: Encrypted,
    ledger: Ledger,
    start_relay: StartRelay,
    start_sidecar: StartSidecar,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Relay, following, and a start that is read in several processes."""
    url = f"rediss://127.0.0.1:{encrypted.port}?ssl_ca_certs={encrypted.authority.certificate}&{encrypted.shown}"
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
    url = f"rediss://localhost:{encrypted.port}?ssl_ca_certs={encrypted.authority.certificate}&{encrypted.shown}"
    strict = await start_relay(url=url)
    await until(lambda: "REDIS_URL: the server's certificate is" in caplog.text)
    await strict.stop()
    relaying = await start_relay(url=f"{url}&ssl_check_hostname=false", instance="lenient")
    await until(lambda: relaying.sample("billing_redis_up") == 1.0)
