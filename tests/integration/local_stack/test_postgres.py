"""The local Postgres."""

import os
from pathlib import Path

import asyncpg
import pytest

from sandbox import local_server
from sandbox.identity import Identity
from sandbox.ports import free_port
from sandbox.postgres import PostgresConfig, PostgresServer
from sandbox.readiness import PortTakenError, StartError
from tests.support.postgres import StartPostgres
from tests.support.waiting import is_alive, until


async def _ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_runs_with_every_identity_but_roots(
    identity: Identity, postgres_server: StartPostgres, tmp_path: Path
) -> None:
    """Postgres starts, answers and restarts as root gives its role away, and as an ordinary user."""
    server = await postgres_server(log_path=None)
    assert await _ask(server.url, "SELECT 1") == 1
    mapped = Path(f"/proc/{server.pid}/uid_map").read_text(encoding="ascii").split()[:2]
    user = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii").split("Uid:")[1].split()[0]
    match identity:
        case Identity.SAME:
            assert user == str(os.geteuid()) != "0"
        case Identity.NAMESPACE:
            assert mapped == ["65534", "0"]
        case Identity.DROP:
            assert user == "65534"
    await server.restart()
    assert await _ask(server.url, "SELECT 1") == 1


async def test_url_is_an_ordinary_owner(postgres_server: StartPostgres) -> None:
    """The product's role owns its database, may create others, and is no superuser."""
    server = await postgres_server()
    assert server.url == f"postgresql://billing_user:billing_pass@127.0.0.1:{server.port}/billing_db"
    role = "SELECT (rolsuper, rolcreatedb)::text FROM pg_roles WHERE rolname = current_user"
    assert await _ask(server.url, role) == "(f,t)"
    owner = "SELECT datdba::regrole::text FROM pg_database WHERE datname = current_database()"
    assert await _ask(server.url, owner) == "billing_user"
    assert await _ask(server.superuser_url, role) == "(t,t)"


async def test_wrong_password_is_refused(postgres_server: StartPostgres) -> None:
    """The password is really checked."""
    server = await postgres_server()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await _ask(server.url.replace("billing_pass", "wrong"), "SELECT 1")


async def test_killed_server_comes_back_with_what_was_committed(postgres_server: StartPostgres) -> None:
    """After a kill under load the same port serves the committed rows."""
    server = await postgres_server(durable=True)
    url = server.url
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
    first = server.pid
    await server.kill()
    assert not server.running
    connection.terminate()
    await server.start()
    assert (server.url, server.pid != first) == (url, True)
    assert await _ask(url, "SELECT n FROM kept") == 7


async def test_kept_directory_serves_the_next_run(tmp_path: Path) -> None:
    """Data in a named directory is there for another server object; a temporary one is gone."""
    config = PostgresConfig(data_dir=tmp_path / "a place" / "data", durable=False)
    async with PostgresServer(config) as server:
        await _ask(server.url, "CREATE TABLE kept ()")
    async with PostgresServer(config) as server:
        assert await _ask(server.url, "SELECT to_regclass('kept')::text") == "kept"


async def test_temporary_directory_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stays in the directory for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with PostgresServer(PostgresConfig(durable=False)) as server:
        pid = server.pid
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
    assert not is_alive(pid)


async def test_two_servers_never_share_a_directory(tmp_path: Path) -> None:
    """A second server on a directory in use is refused with Postgres's own words, and the first goes on."""
    config = PostgresConfig(data_dir=tmp_path / "data", durable=False)
    async with PostgresServer(config) as first:
        with pytest.raises(StartError, match="lock file"):
            await PostgresServer(config).start()
        assert await _ask(first.url, "SELECT 1") == 1


async def test_lock_of_a_process_that_is_no_postgres_is_stale(tmp_path: Path) -> None:
    """After a reboot the lock file's number may belong to any program; that stops nobody."""
    config = PostgresConfig(data_dir=tmp_path / "data", durable=False)
    async with PostgresServer(config):
        lock = (tmp_path / "data" / "postmaster.pid").read_text(encoding="utf-8").split("\n")
    stale = "\n".join([str(os.getppid()), *lock[1:]])
    (tmp_path / "data" / "postmaster.pid").write_text(stale, encoding="utf-8")
    async with PostgresServer(config) as server:
        assert await _ask(server.url, "SELECT 1") == 1


async def test_start_that_fails_says_why(postgres_server: StartPostgres) -> None:
    """The error holds the end of the server's log, and no password."""
    with pytest.raises(StartError, match="invalid value for parameter") as caught:
        await postgres_server(settings={"shared_buffers": "nonsense"})
    assert "billing_pass" not in str(caught.value)


async def test_foreign_directory_is_left_alone(tmp_path: Path) -> None:
    """A directory with somebody's files is refused and untouched."""
    (tmp_path / "letter").write_text("mine", encoding="utf-8")
    with pytest.raises(StartError, match="neither empty nor"):
        await PostgresServer(PostgresConfig(data_dir=tmp_path)).start()
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]


async def test_named_port_that_is_taken_is_an_error(postgres_server: StartPostgres, taken_port: int) -> None:
    """A port that was asked for is never exchanged silently."""
    with pytest.raises(PortTakenError, match=r"Address already in use|could not bind"):
        await postgres_server(port=taken_port)


async def test_lost_race_for_a_port_tries_another(
    postgres_server: StartPostgres, taken_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A free port that somebody took in between is replaced."""
    ports = iter([taken_port, taken_port, free_port()])
    monkeypatch.setattr(local_server, "free_port", lambda: next(ports))
    server = await postgres_server()
    assert server.port != taken_port


async def test_paused_server_answers_again_after_resume(postgres_server: StartPostgres) -> None:
    """A paused postmaster takes no connection; a resumed one does."""
    server = await postgres_server()
    server.process.pause()
    with pytest.raises(TimeoutError):
        await asyncpg.connect(server.url, timeout=0.3)
    server.process.resume()
    assert await _ask(server.url, "SELECT 1") == 1


async def test_stop_ends_every_process_of_it(postgres_server: StartPostgres) -> None:
    """No backend outlives a stop, even with a connection open."""
    server = await postgres_server()
    connection = await asyncpg.connect(server.url)
    backend = await connection.fetchval("SELECT pg_backend_pid()")
    await server.stop()
    await until(lambda: not is_alive(backend))
    connection.terminate()
