"""`/api/v1/admin/projects`: projects and their keys."""

from datetime import timedelta
from http import HTTPStatus
from typing import Final

from aiohttp import web

from common.http import json_response
from writer.admin.bodies import KeyBody, ProjectBody, ProjectChangesBody, ReasonBody, RotateBody, time_of
from writer.api.bodies import Body
from writer.api.cursors import Cursor, Kind
from writer.api.parameters import PROJECT_IN_PATH, row_id
from writer.api.project_answers import KeyAnswer, KeysAnswer, NewKeyAnswer, ProjectAnswer, ProjectsAnswer
from writer.api.routes import Access, Answer, Call, route, served
from writer.auth import Authenticator
from writer.operations import keys, projects
from writer.operations.keys import NewKey
from writer.operations.operations import Operations
from writer.operations.projects import Changes

PATH: Final = "/api/v1/admin/projects"
_ONE: Final = f"{PATH}/{{project}}"
_KEYS: Final = f"{_ONE}/keys"
_KEY: Final = row_id("key", "invalid_key_id", "a key")
_PROJECTS: Final = Cursor("projects", Kind.TEXT)
_LISTED_KEYS: Final = Cursor("keys", Kind.ID)
_UNKNOWN: Final = ("404 unknown_project",)
_SETTINGS: Final = ("400 invalid_project", "400 invalid_name", "400 invalid_return_hosts")


class ProjectRoutes:
    """Handlers; each takes the admin key."""

    def __init__(self, auth: Authenticator, operations: Operations) -> None:
        self._auth = auth
        self._operations = operations

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return served(self, self._auth)

    @route(
        "POST", PATH, Access.ADMIN, Answer(HTTPStatus.CREATED, ProjectAnswer),
        body=Body(ProjectBody), problems=(*_SETTINGS, "409 project_exists"), tag="projects",
    )  # fmt: skip
    async def create(self, call: Call[ProjectBody]) -> web.Response:
        """A new project, with an empty catalogue."""
        body = call.body
        name = body.project_id if body.name is None else body.name
        project = await self._operations.create_project(body.project_id, name, body.return_hosts, call.actor)
        return json_response(projects.to_json(project), HTTPStatus.CREATED)

    @route("GET", PATH, Access.ADMIN, Answer(HTTPStatus.OK, ProjectsAnswer), takes=_PROJECTS.takes, tag="projects")
    async def list(self, call: Call[None]) -> web.Response:
        """Projects, by id."""
        after, limit = call[_PROJECTS.after], call[_PROJECTS.limit]
        found = await self._operations.list_projects(after[0] if after else None, limit + 1)
        page = _PROJECTS.page(found, limit, lambda project: (project.public_id,))
        return json_response({"projects": [projects.to_json(one) for one in page.rows], "next": page.next})

    @route(
        "GET", _ONE, Access.ADMIN, Answer(HTTPStatus.OK, ProjectAnswer),
        takes=(PROJECT_IN_PATH,), problems=_UNKNOWN, tag="projects",
    )  # fmt: skip
    async def show(self, call: Call[None]) -> web.Response:
        """One project."""
        return json_response(projects.to_json(await self._operations.project(call[PROJECT_IN_PATH])))

    @route(
        "PATCH", _ONE, Access.ADMIN, Answer(HTTPStatus.OK, ProjectAnswer),
        takes=(PROJECT_IN_PATH,), body=Body(ProjectChangesBody), tag="projects",
        problems=(*_UNKNOWN, *_SETTINGS, "400 invalid_portal_configuration"),
    )  # fmt: skip
    async def update(self, call: Call[ProjectChangesBody]) -> web.Response:
        """Change name, return hosts, portal configuration."""
        changes = Changes(call.body.name, call.body.return_hosts, call.body.portal_configuration)
        project = await self._operations.update_project(call[PROJECT_IN_PATH], changes, call.actor)
        return json_response(projects.to_json(project))

    @route(
        "POST", _KEYS, Access.ADMIN, Answer(HTTPStatus.CREATED, NewKeyAnswer),
        takes=(PROJECT_IN_PATH,), body=Body(KeyBody), tag="keys", once=("key",),
        problems=(*_UNKNOWN, "400 invalid_app", "400 invalid_expiry", "400 invalid_time", "409 app_disabled"),
    )  # fmt: skip
    async def create_key(self, call: Call[KeyBody]) -> web.Response:
        """A new key; the answer is the only one that shows it."""
        expires_at = time_of("expires_at", call.body.expires_at)
        return _shown_once(
            await self._operations.create_key(call[PROJECT_IN_PATH], call.body.app, expires_at, call.actor)
        )

    @route(
        "GET", _KEYS, Access.ADMIN, Answer(HTTPStatus.OK, KeysAnswer),
        takes=(PROJECT_IN_PATH, *_LISTED_KEYS.takes), problems=_UNKNOWN, tag="keys",
    )  # fmt: skip
    async def list_keys(self, call: Call[None]) -> web.Response:
        """Keys without their secrets, the oldest first, also those that are no longer good."""
        after, limit = call[_LISTED_KEYS.after], call[_LISTED_KEYS.limit]
        found = await self._operations.list_keys(call[PROJECT_IN_PATH], after[0] if after else 0, limit + 1)
        page = _LISTED_KEYS.page(found, limit, lambda key: (key.id,))
        return json_response({"keys": [keys.to_json(key) for key in page.rows], "next": page.next})

    @route(
        "POST", f"{_KEYS}/{{key}}/rotate", Access.ADMIN, Answer(HTTPStatus.CREATED, NewKeyAnswer),
        takes=(PROJECT_IN_PATH, _KEY), body=Body(RotateBody, required=False), tag="keys", once=("key",),
        problems=(*_UNKNOWN, "404 unknown_key", "409 key_not_active", "409 app_disabled"),
    )  # fmt: skip
    async def rotate_key(self, call: Call[RotateBody]) -> web.Response:
        """A successor; the old key stays good for the overlap."""
        overlap = timedelta(seconds=call.body.overlap_seconds)
        return _shown_once(await self._operations.rotate_key(call[PROJECT_IN_PATH], call[_KEY], overlap, call.actor))

    @route(
        "POST", f"{_KEYS}/{{key}}/revoke", Access.ADMIN, Answer(HTTPStatus.OK, KeyAnswer),
        takes=(PROJECT_IN_PATH, _KEY), body=Body(ReasonBody, required=False), tag="keys",
        problems=(*_UNKNOWN, "404 unknown_key"),
    )  # fmt: skip
    async def revoke_key(self, call: Call[ReasonBody]) -> web.Response:
        """End a key; every writer knows within two seconds."""
        key = await self._operations.revoke_key(call[PROJECT_IN_PATH], call[_KEY], call.body.reason, call.actor)
        return json_response(keys.to_json(key))


def _shown_once(new: NewKey) -> web.Response:
    body = {**keys.to_json(new.key), "key": new.secret.reveal()}
    return json_response(body, HTTPStatus.CREATED, headers={"Cache-Control": "no-store"})
