"""A real streaming replica: what may lag is read there, what must be current never is."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from sandbox.ports import free_port
from sandbox.stack import RunningApp, Stack, StackConfig
from tests.support.ledger import open_engine
from tests.support.read_replica import ReadReplica
from tests.support.waiting import eventually
from writer.db.readings import Readings
from writer.operations import projects

pytestmark = pytest.mark.timeout(120)

ADMIN = "/api/v1/admin"


class Asking:
    """What an operator, an app and a sidecar ask of the writer."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    @property
    def notes(self) -> RunningApp:
        """The app under test."""
        return self._stack.apps["notes"]

    async def get(self, path: str, **query: str) -> Any:
        """As an operator."""
        return await self._stack.admin.call("GET", f"{ADMIN}/{path}", query=query)

    async def post(self, path: str, **body: Any) -> Any:
        """As an operator."""
        return await self._stack.admin.call("POST", f"{ADMIN}/{path}", body=body)

    async def lists(self, project: str) -> bool:
        """Whether the list of projects has it."""
        return project in {one["project_id"] for one in (await self.get("projects"))["projects"]}

    async def remembers(self, user: str) -> bool:
        """Whether the history knows that the user was given something."""
        return bool((await self.get("history", project_id="notes", user_id=user))["changes"])

    async def snapshot(self) -> str:
        """Every document, as a sidecar loads it."""
        url = f"{self._stack.writer_url}/api/v1/snapshot"
        headers = {"Authorization": f"Bearer {self.notes.key}"}
        async with self._stack.session.get(url, params={"project_id": "notes"}, headers=headers) as response:
            assert response.status == 200
            return await response.text()


async def test_only_what_may_lag_is_read_from_the_replica(tmp_path: Path) -> None:
    """With replay paused lists and history stand still; answers, documents, snapshots, changes and keys do not."""
    port = free_port()
    read_url = f"postgresql://billing_user:billing_pass@127.0.0.1:{port}/billing_db"
    config = StackConfig(tmp_path / "logs", writer_settings={"DATABASE_READ_URL": read_url})
    async with Stack(config) as stack:
        asking = Asking(stack)
        assert await asking.lists("notes"), "without the replica the primary answers"
        async with ReadReplica(stack.postgres, tmp_path / "replica", port) as replica:
            await eventually(lambda: asking.lists("notes"))
            await replica.pause()
            before = await asking.notes.sidecar.standing()
            await asking.post("projects", project_id="late", name="Late")
            granted = await asking.post(
                "grant", project_id="notes", user_id="zoe", feature="export", reason="a test of the replica"
            )
            await asking.post("projects/notes/keys", app="late-app")

            assert not await asking.lists("late")
            assert not await asking.remembers("zoe")

            assert (await asking.get("projects/late"))["project_id"] == "late"
            keys = (await asking.get("projects/notes/keys"))["keys"]
            assert "late-app" in {one["app"] for one in keys}
            answer = await asking.notes.writer.api.call(
                "GET", "/api/v1/check", query={"user_id": "zoe", "feature": "export"}
            )
            assert answer["allowed"]
            assert (await asking.notes.sidecar.check("zoe", "export", granted["token"]))["allowed"]
            assert '"zoe"' in await asking.snapshot()
            changes = await asking.notes.writer.changes(before["epoch"], before["revision"])
            assert [message["document"]["user_id"] for message in changes if message["op"] == "user"] == ["zoe"]

            await replica.resume()
            await eventually(lambda: asking.lists("late"))
            await eventually(lambda: asking.remembers("zoe"))
            await replica.kill()
            assert await asking.lists("late"), "with the replica gone the primary answers"
    assert "the read replica is away" in (tmp_path / "logs" / "writer.log").read_text(encoding="utf-8")


async def test_a_replica_without_the_newest_tables_is_passed_over(database_url: str, empty_database_url: str) -> None:
    """As long as it has not heard of a migration the primary answers; what is wrong at both is a fault."""
    primary, replica = open_engine(database_url), open_engine(empty_database_url)
    readings = Readings(primary, replica)
    assert await readings.run(projects.list_all) == []
    with pytest.raises(ProgrammingError):
        await readings.run(lambda connection: connection.execute(text("SELECT 1 FROM nowhere")))
    with pytest.raises(DBAPIError, match="read-only"):
        await readings.run(lambda connection: connection.execute(text("CREATE TABLE somewhere ()")))
    await replica.dispose()
    await primary.dispose()
