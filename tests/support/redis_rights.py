"""Users of Redis with just the rights that the documentation names."""

from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis

ENGINES: Final = Path(__file__).parents[2] / "docs" / "engines.md"
WRITER: Final = "billing-writer"


def documented(user: str, project: str, password: str) -> list[str]:
    """The ACL command of docs/engines.md for that user (`billing-writer` or `sidecar-PROJECT`)."""
    lines = [
        line for line in ENGINES.read_text(encoding="utf-8").splitlines() if line.startswith(f"ACL SETUSER {user}")
    ]
    (line,) = lines
    return line.replace("PASSWORD", password).replace("PROJECT", project).split()


async def let_in(client: Redis, user: str, project: str, password: str, *more: str) -> str:
    """Make the user, with further rules behind the documented ones; his name."""
    command: list[Any] = [*documented(user, project, password), *more]
    await client.execute_command(*command)  # type: ignore[no-untyped-call]
    return str(command[2])
