"""`recompute_and_store_entitlements`, as the operations guide uses it: thin, over the writer's own way."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from sqlalchemy.orm import Session

from common import document as documents
from common.answers import parse_user
from common.identifiers import UserId
from common.problems import Problem
from writer import settings
from writer.operations.audit import Actor
from writer.operations.operating import operating
from writer.refusals import UnknownError
from writer.settings import OperatorSettings


def recompute_and_store_entitlements(db: Session, user_id: str, project_id: str | int) -> dict[str, Any]:
    """Compute a user's entitlements again, commit them, and answer the document in its public shape.

    `project_id` is the public id (`"shop"`) or the internal one (`3`). It commits in a transaction of its own, not in
    `db`'s; where nothing had to change, nothing is written. ValueError: no such project, or no possible user id.
    """
    try:
        user = parse_user(user_id)
    except Problem as problem:
        raise ValueError(problem.detail) from problem
    bound = db.get_bind().engine.url.render_as_string(hide_password=False)
    told = settings.read_operator({**os.environ, "DATABASE_URL": _plain(bound)})
    # The prompt's thread may already run an event loop (IPython, a notebook): another thread has none.
    with ThreadPoolExecutor(1) as worker:
        return worker.submit(lambda: asyncio.run(_recompute(told, user, project_id))).result()


async def _recompute(told: OperatorSettings, user: UserId, project_id: str | int) -> dict[str, Any]:
    async with operating(told, application_name="billing-shell") as operations:
        try:
            project = await operations.project_by_any_id(project_id)
        except UnknownError as error:
            raise ValueError(error.detail) from error
        with suppress(UnknownError):  # somebody who never was has an empty document
            await operations.recompute_user(project.public_id, user, Actor("shell"))
        held = await operations.document(project, user)
    return documents.to_json(held)


def _plain(url: str) -> str:
    _, _, rest = url.partition("://")
    return f"postgresql://{rest}"
