"""The client for Python apps."""

import asyncio
import socket
import threading
from pathlib import Path

import pytest

from sidecar import AsyncEntitlementsClient, Check, EntitlementsClient, OnFailure
from sidecar.client import EntitlementsError, UnavailableError
from tests.support.publisher import Publisher
from tests.support.sidecars import Running, StartSidecar, until
from tests.support.writer_double import WriterDouble


@pytest.fixture(params=["tcp", "unix"])
async def address(
    request: pytest.FixtureRequest,
    redis_url: str,
    publisher: Publisher,
    writer: WriterDouble,
    start_sidecar: StartSidecar,
    tmp_path: Path,
) -> str:
    """Where a sidecar in step listens."""
    listen = {"SIDECAR_LISTEN": f"unix:{tmp_path / 'sidecar.sock'}"} if request.param == "unix" else {}
    running: Running = await start_sidecar(redis_url, writer.url, **listen)
    await until(lambda: running.project.replica.synced)
    await publisher.heartbeat()
    served = running.sidecar.address
    return served if served.startswith("unix:") else f"http://{served}"


async def test_both_clients_give_typed_answers(address: str) -> None:
    """Members have their types, an answer is true or false by itself, and many questions go over one connection."""
    blocking = EntitlementsClient(address, project="shop")
    async with AsyncEntitlementsClient(address, project="shop") as client:
        for user, feature, used in (("ann", "pro", None), ("bob", "seats", 2), ("zoë&=?", "pro", None)):
            one = await client.check(user, feature, used=used)
            other = await asyncio.to_thread(blocking.check, user, feature, used=used)
            assert isinstance(one, Check)
            assert (one.allowed, one.user_id, one.value, one.remaining, one.unlocked_by) == (
                other.allowed, other.user_id, other.value, other.remaining, other.unlocked_by,
            )  # fmt: skip
        assert await client.check("ann", "pro")
        assert not await client.check("nobody", "pro")
        assert (await client.check("bob", "seats", used=2)).remaining == 3
        assert (await client.check("ann", "pro", min_revision="1.1", expected=False)).reason == "granted"
    blocking.close()


async def test_a_refused_question_is_an_error_of_its_own(address: str) -> None:
    """Whatever the policy: a misspelt question must not look like an outage."""
    with EntitlementsClient(address, on_failure=OnFailure.ALLOW) as client:
        with pytest.raises(EntitlementsError, match="invalid_feature"):
            await asyncio.to_thread(client.check, "ann", "p/ro")
        assert await asyncio.to_thread(client.check, "ann", "pro")


def _nobody() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


async def test_without_a_sidecar_the_policy_answers() -> None:
    """Deny unless told otherwise, for all features or for one; or raise."""
    address = _nobody()
    async with AsyncEntitlementsClient(address, on_failure_of={"export": OnFailure.ALLOW}) as client:
        denied, allowed = await client.check("ann", "pro"), await client.check("ann", "export")
        assert (denied.allowed, denied.reason, denied.stale) == (False, "unavailable", True)
        assert (allowed.allowed, allowed.reason) == (True, "unavailable")
    with pytest.raises(UnavailableError):
        EntitlementsClient(address, on_failure=OnFailure.RAISE).check("ann", "pro")
    assert not EntitlementsClient("unix:/nowhere/sidecar.sock").check("ann", "pro")


async def test_a_cold_sidecar_is_as_good_as_none(start_sidecar: StartSidecar) -> None:
    """503 while nothing is loaded is not an answer."""
    running = await start_sidecar(writer_url=_nobody())
    async with AsyncEntitlementsClient(f"http://{running.sidecar.address}") as client:
        assert (await client.check("ann", "pro")).reason == "unavailable"


def test_a_connection_that_was_closed_meanwhile_costs_no_answer() -> None:
    """A server that ends each connection after its answer is asked again on another one."""
    body = b'{"allowed":true,"user_id":"ann","project_id":"shop","feature":"pro","reason":"granted"}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(3):
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with EntitlementsClient(f"http://127.0.0.1:{server.getsockname()[1]}") as client:
            assert [client.check("ann", "pro").allowed for _ in range(3)] == [True] * 3
        thread.join()


@pytest.mark.parametrize("address", ["127.0.0.1:7070", "https://x", "ftp://x", "", "http://"])
def test_an_address_is_one(address: str) -> None:
    """What is no address is told when the client is made."""
    with pytest.raises(ValueError, match="address must be"):
        EntitlementsClient(address)
