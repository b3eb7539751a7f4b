"""Redis behind a unix socket."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from sandbox.identity import hand_over, server_identity
from sidecar import redis_cache
from sidecar.sources import Source
from tests.support.following import grant_to, until_followed
from tests.support.ledger import Ledger
from tests.support.redis import StartRedis
from tests.support.relaying import StartRelay
from tests.support.sidecars import StartSidecar


@pytest.fixture
def socket() -> Iterator[Path]:
    """A path that is short enough for one."""
    folder = Path(tempfile.mkdtemp(prefix="billing-"))
    hand_over(folder, server_identity())
    yield folder / "redis.sock"
    shutil.rmtree(folder)


async def test_a_socket_is_as_good_as_a_port(
    socket: Path, redis_server: StartRedis, ledger: Ledger, start_relay: StartRelay, start_sidecar: StartSidecar,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """With a password and a database: relay, following, and a start that is read in several processes."""
    server = await redis_server(settings={"unixsocket": str(socket)})
    async with Redis.from_url(server.url) as client:
        await client.config_set("requirepass", "password-of-redis")
    url = f"unix://:password-of-redis@{socket}?db=3"
    relaying = await start_relay(url=url)
    await ledger.edit("pro")
    await grant_to(ledger, relaying, [f"user:{number}" for number in range(40)])
    await until_followed(ledger, await start_sidecar(url))
    monkeypatch.setattr(redis_cache, "WORTH_IT", 0)
    late = await start_sidecar(url, SIDECAR_INSTANCE="late")
    await until_followed(ledger, late)
    assert late.project.started is not None
    assert late.project.started.source is Source.REDIS
