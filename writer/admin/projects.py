"""`/api/v1/admin/projects`: projects and their keys."""

from datetime import timedelta
from http import HTTPStatus
from typing import Final, TypeVar

from aiohttp import web

from common.http import json_response
from common.problems import bad_request
from writer.admin.bodies import KeyBody, ProjectBody, ProjectChangesBody, ReasonBody, RotateBody, time_of
from writer.auth import Authenticator
from writer.bodies import decode, read_body
from writer.operations import keys, projects
from writer.operations.keys import NewKey
from writer.operations.operations import Operations
from writer.operations.projects import Changes
from writer.refusals import answered

_PATH: Final = "/api/v1/admin/projects"
_MAX_ID: Final = 2**63 - 1

T = TypeVar("T")


class ProjectRoutes:
    """Handlers; each takes the admin key."""

    def __init__(self, auth: Authenticator, operations: Operations) -> None:
        self._auth = auth
        self._operations = operations

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        one, key = _PATH + "/{project}", _PATH + "/{project}/keys"
        return [
            web.post(_PATH, answered(self.create)),
            web.get(_PATH, answered(self.list)),
            web.get(one, answered(self.show)),
            web.patch(one, answered(self.update)),
            web.post(key, answered(self.create_key)),
            web.get(key, answered(self.list_keys)),
            web.post(key + "/{key}/rotate", answered(self.rotate_key)),
            web.post(key + "/{key}/revoke", answered(self.revoke_key)),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """A new project, with an empty catalogue."""
        actor = await self._auth.admin(request)
        body = await read_body(request, ProjectBody)
        name = body.project_id if body.name is None else body.name
        project = await self._operations.create_project(body.project_id, name, body.return_hosts, actor)
        return json_response(projects.to_json(project), HTTPStatus.CREATED)

    async def list(self, request: web.Request) -> web.Response:
        """Every project."""
        await self._auth.admin(request)
        found = await self._operations.list_projects()
        return json_response({"projects": [projects.to_json(project) for project in found]})

    async def show(self, request: web.Request) -> web.Response:
        """One project."""
        await self._auth.admin(request)
        return json_response(projects.to_json(await self._operations.project(request.match_info["project"])))

    async def update(self, request: web.Request) -> web.Response:
        """Change name, return hosts, portal configuration."""
        actor = await self._auth.admin(request)
        body = await read_body(request, ProjectChangesBody)
        changes = Changes(body.name, body.return_hosts, body.portal_configuration)
        project = await self._operations.update_project(request.match_info["project"], changes, actor)
        return json_response(projects.to_json(project))

    async def create_key(self, request: web.Request) -> web.Response:
        """A new key; the answer is the only one that shows it."""
        actor = await self._auth.admin(request)
        body = await read_body(request, KeyBody)
        expires_at = time_of("expires_at", body.expires_at)
        new = await self._operations.create_key(request.match_info["project"], body.app, expires_at, actor)
        return _shown_once(new)

    async def list_keys(self, request: web.Request) -> web.Response:
        """The project's keys, without their secrets."""
        await self._auth.admin(request)
        found = await self._operations.list_keys(request.match_info["project"])
        return json_response({"keys": [keys.to_json(key) for key in found]})

    async def rotate_key(self, request: web.Request) -> web.Response:
        """A successor; the old key stays good for the overlap."""
        actor = await self._auth.admin(request)
        body = await _optional(request, RotateBody)
        overlap = timedelta(seconds=body.overlap_seconds)
        new = await self._operations.rotate_key(request.match_info["project"], _key_id(request), overlap, actor)
        return _shown_once(new)

    async def revoke_key(self, request: web.Request) -> web.Response:
        """End a key; every writer knows within two seconds."""
        actor = await self._auth.admin(request)
        body = await _optional(request, ReasonBody)
        key = await self._operations.revoke_key(request.match_info["project"], _key_id(request), body.reason, actor)
        return json_response(keys.to_json(key))


async def _optional(request: web.Request, type_: type[T]) -> T:
    return await read_body(request, type_) if request.can_read_body else decode(b"{}", type_)


def _shown_once(new: NewKey) -> web.Response:
    body = {**keys.to_json(new.key), "key": new.secret.reveal()}
    return json_response(body, HTTPStatus.CREATED, headers={"Cache-Control": "no-store"})


def _key_id(request: web.Request) -> int:
    text = request.match_info["key"]
    if not (text.isascii() and text.isdecimal()) or int(text) > _MAX_ID:
        raise bad_request("invalid_key_id", "a key is named by its id, a whole number; list the keys to see it")
    return int(text)
