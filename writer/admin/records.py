"""`/api/v1/admin/{grants,audit,keys,apps}`: what was given, who did what, and what keys and apps there are."""

from datetime import timedelta
from http import HTTPStatus
from typing import Final

from aiohttp import web

from common.answers import parse_user
from common.clock import SECOND, Clock, Instant
from common.http import json_response
from common.identifiers import UserId
from writer.admin.bodies import AppBody
from writer.api import parameters
from writer.api.bodies import Body
from writer.api.cursors import Cursor, Kind
from writer.api.parameters import NAME_SCHEMA, PROJECT_IN_PATH, SOME_FEATURE, SOME_PROJECT, USER_SCHEMA
from writer.api.project_answers import KeysAnswer
from writer.api.record_answers import ActsAnswer, AppAnswer, AppsAnswer, GrantsAnswer, ImportedAnswer
from writer.api.routes import Access, Answer, Call, route, served
from writer.auth import Authenticator
from writer.operations import apps, audit_log, grant_import, granted, keys
from writer.operations.apps import AppChanges
from writer.operations.audit_log import AuditFilter
from writer.operations.granted import GrantFilter, GrantState
from writer.operations.operations import Operations

_GRANTS: Final = Cursor("grants", Kind.ID)
_ACTS: Final = Cursor("audit", Kind.ID)
_KEYS: Final = Cursor("all keys", Kind.ID)
_APPS: Final = Cursor("apps", Kind.ID)
_SOME_USER: Final[parameters.Parameter[UserId | None]] = parameters.optional(
    "user_id", parse_user, USER_SCHEMA, "Only this user's", None, "400 invalid_user", "400 user_required"
)
_STATE: Final = parameters.choice("state", GrantState, "invalid_state", "What the grant is at the moment")
_DRY_RUN: Final = parameters.flag("dry_run", "Only tell what the file would come to")
_ACTOR: Final = parameters.text("actor", "Who; `cli:*` means all that begin so")
_ACTION: Final = parameters.text("action", "What was done; `key.*` means all that begin so")
_SUBJECT: Final = parameters.text("subject", "What it was done to, such as user:ada or key:12")
_SINCE: Final = parameters.time("since", "Done then or later")
_UNTIL: Final = parameters.time("until", "Done before")
_UNUSED_DAYS: Final[parameters.Parameter[int | None]] = parameters.optional(
    "unused_days", lambda sent: parameters.number(sent, 1, 3_650, "invalid_limit", "unused_days"),
    {"type": "integer", "minimum": 1, "maximum": 3_650},
    "Only keys that are good and that nobody has shown for so many days", None, "400 invalid_limit",
)  # fmt: skip
_APP: Final = parameters.in_path("app", str, NAME_SCHEMA, "The app's name")
_CSV: Final[Body[bytes]] = Body(
    bytes, media="text/csv", limit=grant_import.MOST_BYTES, read=bytes, problems=("400 invalid_import",),
    schema={"type": "string", "description": f"The columns {', '.join(grant_import.COLUMNS)}; a line for each grant"},
)  # fmt: skip


class RecordRoutes:
    """Handlers; each takes the admin key."""

    def __init__(self, auth: Authenticator, operations: Operations, clock: Clock) -> None:
        self._auth = auth
        self._operations = operations
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return served(self, self._auth)

    @route(
        "GET", "/api/v1/admin/grants", Access.ADMIN, Answer(HTTPStatus.OK, GrantsAnswer),
        takes=(SOME_PROJECT, _SOME_USER, SOME_FEATURE, _STATE, *_GRANTS.takes), problems=("404 unknown_project",),
        tag="entitlements",
    )  # fmt: skip
    async def grants(self, call: Call[None]) -> web.Response:
        """Manual grants, the newest first, also those that are over."""
        chosen = GrantFilter(user=call[_SOME_USER], feature=call[SOME_FEATURE], state=call[_STATE])
        after, limit = call[_GRANTS.after], call[_GRANTS.limit]
        found = await self._operations.records.grants(
            call[SOME_PROJECT], chosen, after[0] if after else None, limit + 1
        )
        page = _GRANTS.page(found, limit, lambda one: (one.id,))
        return json_response({"grants": [granted.to_json(one) for one in page.rows], "next": page.next})

    @route(
        "POST", "/api/v1/admin/grants/import", Access.ADMIN, Answer(HTTPStatus.OK, ImportedAnswer),
        takes=(_DRY_RUN,), body=_CSV, tag="entitlements",
    )  # fmt: skip
    async def import_grants(self, call: Call[bytes]) -> web.Response:
        """Grants in bulk, out of a CSV file of up to 10,000 rows.

        With one fault nothing is done, and `faults` names each line. Sent again, what was granted is passed over.
        """
        dry_run = call[_DRY_RUN]
        told = await self._operations.imports.run(call.body, call.actor, dry_run=dry_run)
        return json_response(grant_import.to_json(told, dry_run=dry_run))

    @route(
        "GET", "/api/v1/admin/audit", Access.ADMIN, Answer(HTTPStatus.OK, ActsAnswer),
        takes=(SOME_PROJECT, _ACTOR, _ACTION, _SUBJECT, _SINCE, _UNTIL, *_ACTS.takes),
        problems=("404 unknown_project",), tag="audit",
    )  # fmt: skip
    async def audit(self, call: Call[None]) -> web.Response:
        """Who did what, when, from where, and what was there before and after; the newest first."""
        chosen = AuditFilter(call[_ACTOR], call[_ACTION], None, call[_SUBJECT], since=call[_SINCE], until=call[_UNTIL])
        after, limit = call[_ACTS.after], call[_ACTS.limit]
        found = await self._operations.records.audit(call[SOME_PROJECT], chosen, after[0] if after else None, limit + 1)
        page = _ACTS.page(found, limit, lambda act: (act.id,))
        return json_response({"acts": [audit_log.to_json(one) for one in page.rows], "next": page.next})

    @route(
        "GET", "/api/v1/admin/keys", Access.ADMIN, Answer(HTTPStatus.OK, KeysAnswer),
        takes=(SOME_PROJECT, _UNUSED_DAYS, *_KEYS.takes), problems=("404 unknown_project",), tag="keys",
    )  # fmt: skip
    async def keys(self, call: Call[None]) -> web.Response:
        """Keys of all projects, the oldest first; those that nobody uses."""
        days = call[_UNUSED_DAYS]
        since = (
            None if days is None else Instant(self._clock.now() - int(timedelta(days=days).total_seconds()) * SECOND)
        )
        after, limit = call[_KEYS.after], call[_KEYS.limit]
        found = await self._operations.list_keys(call[SOME_PROJECT], after[0] if after else 0, limit + 1, since)
        page = _KEYS.page(found, limit, lambda key: (key.id,))
        return json_response({"keys": [keys.to_json(one) for one in page.rows], "next": page.next})

    @route(
        "GET", "/api/v1/admin/projects/{project}/apps", Access.ADMIN, Answer(HTTPStatus.OK, AppsAnswer),
        takes=(PROJECT_IN_PATH, *_APPS.takes), problems=("404 unknown_project",), tag="apps",
    )  # fmt: skip
    async def apps(self, call: Call[None]) -> web.Response:
        """Apps of a project, the oldest first, with how many good keys each has and when one was last used."""
        after, limit = call[_APPS.after], call[_APPS.limit]
        found = await self._operations.apps.list(call[PROJECT_IN_PATH], after[0] if after else 0, limit + 1)
        page = _APPS.page(found, limit, lambda app: (app.id,))
        return json_response({"apps": [apps.to_json(one) for one in page.rows], "next": page.next})

    @route(
        "PATCH", "/api/v1/admin/projects/{project}/apps/{app}", Access.ADMIN, Answer(HTTPStatus.OK, AppAnswer),
        takes=(PROJECT_IN_PATH, _APP), body=Body(AppBody), tag="apps",
        problems=("404 unknown_project", "404 unknown_app", "400 invalid_app", "409 app_exists"),
    )  # fmt: skip
    async def update_app(self, call: Call[AppBody]) -> web.Response:
        """Rename an app, disable it, enable it again; every writer knows within two seconds."""
        changes = AppChanges(call.body.name, call.body.disabled)
        app = await self._operations.apps.update(
            call[PROJECT_IN_PATH], call[_APP], changes, call.body.reason, call.actor
        )
        return json_response(apps.to_json(app))
