"""What a caller is told while the database is away: 503, and when to come again, on every route alike."""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web

from common.problems import Problem
from writer.db.transaction import CatalogueMovedError, LineageMovedError
from writer.supervision import DATABASE_FAULTS, is_outage

_log = logging.getLogger(__name__)

_RETRY_AFTER_SECONDS: Final = 2


@web.middleware
async def database_problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer 503 `database_unavailable` where Postgres is away; a fault of ours stays one, and is logged as one.

    503 `changed_meanwhile` where catalogue or epoch changed again and again under the request.
    """
    try:
        return await handler(request)
    except (CatalogueMovedError, LineageMovedError) as error:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "changed_meanwhile",
            "the project's catalogue or epoch changed again and again meanwhile; nothing was done, try again",
            headers={"Retry-After": str(_RETRY_AFTER_SECONDS)},
        ) from error
    except DATABASE_FAULTS as error:
        if not is_outage(error):
            raise
        kind = type(getattr(error, "orig", None) or error).__name__
        _log.warning(
            "the database is away for a request method=%s path=%s error=%s", request.method, request.path, kind
        )
        raise database_away() from error


def database_away() -> Problem:
    """503 `database_unavailable`."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "database_unavailable",
        f"the database does not answer; try again in {_RETRY_AFTER_SECONDS} s",
        headers={"Retry-After": str(_RETRY_AFTER_SECONDS)},
    )
