"""A large project read from Redis by several processes at once; see `share_reader`. They are gone afterwards."""

import asyncio
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import orjson
from redis.exceptions import RedisError

from common import wire
from common.document import DocumentError
from common.position import Position
from common.redis_faults import explained
from common.redis_pool import find_primary
from common.redis_url import NodeAddress, parse
from common.settings import Secret
from sidecar.pages import BETWEEN, EMPTY, Pages
from sidecar.records import Grants, Records
from sidecar.replica import Copy
from sidecar.share_reader import LENGTH_BYTES, NOTHING, Job
from sidecar.sources import UnavailableError

_log = logging.getLogger(__name__)

WORTH_IT: Final = 20_000
"""Users from which on starting processes is quicker than reading alone."""

_MOST_PROCESSES: Final = 4  # more would only wait for Redis, which has one core
_SECONDS: Final = 30.0
_USERS_A_SECOND: Final = 5_000  # whoever is slower than that is stuck
_PROGRAM: Final = (
    "from common import lean; lean.leave_out(); from sidecar.share_reader import main; raise SystemExit(main())"
)
_LIMIT: Final = 1024 * 1024


class ShareError(Exception):
    """Processes cannot be used here, or one went wrong by itself: read alone."""


@dataclass(frozen=True, slots=True)
class _Share:
    told: dict[str, Any]
    pages: list[bytes]


class Shares:
    """Reads from one Redis. `processes`: how many at most, of which a power of two is used; all cores by default."""

    def __init__(self, url: Secret, processes: int | None = None) -> None:
        self._url = url
        cores = processes or min(len(os.sched_getaffinity(0)), _MOST_PROCESSES)
        self._processes = 1 << (cores.bit_length() - 1)

    async def fill(self, copy: Copy, users: int) -> list[DocumentError]:
        """Fill an empty copy that will hold about `users` users; what was refused on the way.

        Raises:
            UnavailableError: Redis does not answer.
            ShareError: it cannot be done this way.
        """
        job = Job(self._url.reveal(), await _primary(self._url), copy.project, users, 0, self._processes)
        tasks = [asyncio.create_task(_read(replace(job, share=share))) for share in range(self._processes)]
        try:
            async with asyncio.timeout(_SECONDS + users / _USERS_A_SECOND):
                shares = await asyncio.gather(*tasks)
            return _put_together(copy, shares)
        except TimeoutError as error:
            raise ShareError("it took too long") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ShareError(f"{type(error).__name__}: {error}") from error
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _primary(url: Secret) -> NodeAddress | None:
    try:
        return await find_primary(parse(url.reveal()))
    except (RedisError, OSError) as error:
        raise UnavailableError(f"redis: {explained(error)}") from error


async def _read(job: Job) -> _Share:
    if not sys.executable:
        raise ShareError("there is no interpreter to start")
    process = await _start(sys.executable)
    try:
        return await _converse(process, job)
    except asyncio.IncompleteReadError as error:
        raise ShareError("a process ended early") from error
    finally:
        await _end(process)


async def _start(interpreter: str) -> Process:
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(interpreter, "-c", _PROGRAM, stdin=PIPE, stdout=PIPE, limit=_LIMIT)
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _end(await starting)  # cancelled itself, asyncio would forget the process that it has begun
        raise


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    ending = asyncio.ensure_future(process.wait())
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await ending  # it was killed, so this is soon; left alone, nobody would bury it
        raise


async def _converse(process: Process, job: Job) -> _Share:
    if process.stdin is None or process.stdout is None:
        raise ShareError("a process has no pipes")
    process.stdin.write(orjson.dumps(asdict(job)))
    process.stdin.close()
    told = orjson.loads(await _frame(process.stdout))
    if "error" in told:
        raise UnavailableError(f"redis: {told['error']}")
    wanted = len(job.pages().pages[job.share :: job.shares])
    pages: list[bytes] = []
    while len(pages) < wanted:
        pages += (await _frame(process.stdout)).split(BETWEEN)
        await asyncio.sleep(0)
    await process.wait()
    return _Share(told, pages)


async def _frame(stream: asyncio.StreamReader) -> bytes:
    return await stream.readexactly(int.from_bytes(await stream.readexactly(LENGTH_BYTES), "big"))


def _put_together(copy: Copy, shares: list[_Share]) -> list[DocumentError]:
    """Make one copy of the shares; what they refused."""
    refused: list[DocumentError] = []
    pages: list[bytes] = [EMPTY] * sum(len(share.pages) for share in shares)
    grants: list[list[Any]] = []
    count = 0
    for number, share in enumerate(shares):
        listed: list[list[Any]] = share.told["grants"]
        grants += [NOTHING] * (len(listed) - len(grants))
        grants[number : len(listed) : len(shares)] = listed[number :: len(shares)]
        pages[number :: len(shares)] = share.pages
        count += share.told["count"]
        copy.digest ^= wire.parse_digest(share.told["digest"])
        copy.horizon = max(copy.horizon, Position.parse(share.told["horizon"]))
        told = [DocumentError(text) for text in share.told["refused"]]
        refused += told + told[-1:] * (share.told["refusals"] - len(told))
    copy.records = Records.restored(copy.project, Grants(grants), Pages(pages, count))
    return refused
