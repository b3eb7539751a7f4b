"""Projects, their settings, and their keys."""

from datetime import timedelta
from typing import Final

from aiohttp import web

from common.clock import Clock, Instant
from common.problems import bad_request
from writer.console.confirm import Ask, ask, is_confirmed
from writer.console.forms import Form, Refusal
from writer.console.guard import actor_of, to
from writer.console.pages import FORM, Pages
from writer.operations.keys import Key, NewKey
from writer.operations.operations import Operations
from writer.operations.projects import Changes, Project
from writer.refusals import UnknownError

_OVERLAPS: Final = (
    ("86400", "1 day: time for a deployment"),
    ("3600", "1 hour"),
    ("604800", "7 days"),
    ("0", "none: it ends now"),
)


class ProjectPages:
    """The list, and each project's page."""

    def __init__(self, pages: Pages, operations: Operations, clock: Clock) -> None:
        self._pages = pages
        self._operations = operations
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        one = "/projects/{project}"
        return [
            web.get("/projects", self.list),
            web.post("/projects", self.create),
            web.get(one, self.show),
            web.post(one, self.update),
            web.get(one + "/recompute", self.ask_to_recompute),
            web.post(one + "/recompute", self.recompute),
            web.post(one + "/keys", self.create_key),
            web.get(one + "/keys/{key}/rotate", self.ask_to_rotate),
            web.post(one + "/keys/{key}/rotate", self.rotate),
            web.get(one + "/keys/{key}/revoke", self.ask_to_revoke),
            web.post(one + "/keys/{key}/revoke", self.revoke),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """Every project, and a form for another."""
        return await self._list(request, Form())

    async def create(self, request: web.Request) -> web.StreamResponse:
        """A new project, with an empty catalogue."""
        form = request[FORM]
        name = form.get("project_id")
        hosts = form.get("return_hosts").split()
        try:
            await self._operations.create_project(name, form.get("name") or name, hosts, actor_of(request))
        except Refusal as error:
            return await self._list(request, form.refused(error))
        return to(f"projects/{name}", done="project_created")

    async def show(self, request: web.Request) -> web.Response:
        """One project."""
        project = await self._operations.project(request.match_info["project"])
        return await self._show(request, project, _settings(project))

    async def update(self, request: web.Request) -> web.StreamResponse:
        """Change its settings."""
        form, project = request[FORM], await self._operations.project(request.match_info["project"])
        changes = Changes(form.get("name"), form.get("return_hosts").split(), form.get("portal_configuration"))
        try:
            await self._operations.update_project(project.public_id, changes, actor_of(request))
        except Refusal as error:
            return await self._show(request, project, form.refused(error))
        return to(f"projects/{project.public_id}", done="project_updated")

    async def ask_to_recompute(self, request: web.Request) -> web.Response:
        """Show for how many."""
        project = await self._operations.project(request.match_info["project"])
        here = f"projects/{project.public_id}"
        lines = [
            f"{project.user_count:,} users are computed again in the background",
            "It does no harm, and takes time",
        ]
        question = Ask("Compute everybody again?", lines, "Compute again", f"{here}/recompute", here, takes_away=False)
        return ask(self._pages, request, question)

    async def recompute(self, request: web.Request) -> web.StreamResponse:
        """Have all of its users computed again."""
        name = request.match_info["project"]
        if not is_confirmed(request[FORM]):
            return await self.ask_to_recompute(request)
        await self._operations.recompute_project(name, actor_of(request))
        return to("catalogue", done="job")

    async def create_key(self, request: web.Request) -> web.StreamResponse:
        """A new key; the answer is the only page that shows it."""
        form, project = request[FORM], await self._operations.project(request.match_info["project"])
        try:
            ends = form.time("expires_at")
            new = await self._operations.create_key(project.public_id, form.get("app"), ends, actor_of(request))
        except Refusal as error:
            kept = Form({**_settings(project).values, **form.values}).refused(error)
            return await self._show(request, project, kept)
        return self._shown_once(request, project, new, None)

    async def ask_to_rotate(self, request: web.Request) -> web.Response:
        """Show what becomes of the old one."""
        project, key = await self._key(request)
        lines = [
            f"{key.app} gets a new key, which is shown once",
            f"{key.prefix}… stays good for the overlap, then ends",
        ]
        here = f"projects/{project.public_id}"
        question = Ask(
            f"Rotate {key.prefix}…?", lines, "Make the new key", f"{here}/keys/{key.id}/rotate", here,
            choices=[("overlap_seconds", "How long the old key stays good", _OVERLAPS)],
        )  # fmt: skip
        return ask(self._pages, request, question)

    async def rotate(self, request: web.Request) -> web.StreamResponse:
        """A successor."""
        project, key = await self._key(request)
        form = request[FORM]
        if not is_confirmed(form):
            return await self.ask_to_rotate(request)
        chosen = form.get("overlap_seconds")
        if chosen not in {value for value, _ in _OVERLAPS}:
            raise bad_request("invalid_body", "overlap_seconds must be one of those that the page offers")
        overlap = timedelta(seconds=int(chosen))
        new = await self._operations.rotate_key(project.public_id, key.id, overlap, actor_of(request))
        old = next(one for one in await self._operations.list_keys(project.public_id) if one.id == key.id)
        return self._shown_once(request, project, new, old.expires_at)

    async def ask_to_revoke(self, request: web.Request) -> web.Response:
        """Show whom it would cut off."""
        return await self._ask_to_revoke(request, Form())

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        """End a key."""
        project, key = await self._key(request)
        form = request[FORM]
        if not is_confirmed(form):
            return await self._ask_to_revoke(request, form)
        reason = form.get("reason") or None
        await self._operations.revoke_key(project.public_id, key.id, reason, actor_of(request))
        return to(f"projects/{project.public_id}", done="key_revoked")

    async def _ask_to_revoke(self, request: web.Request, form: Form) -> web.Response:
        project, key = await self._key(request)
        used = "was never used" if key.last_used_at is None else "is in use"
        lines = [
            f"{key.prefix}… of {key.app} {used}; whoever shows it is refused within two seconds",
            "It cannot be undone",
        ]
        here = f"projects/{project.public_id}"
        question = Ask(
            f"Revoke {key.prefix}…?", lines, "Revoke", f"{here}/keys/{key.id}/revoke", here, reason="optional"
        )
        return ask(self._pages, request, question, form)

    async def _key(self, request: web.Request) -> tuple[Project, Key]:
        project = await self._operations.project(request.match_info["project"])
        keys = await self._operations.list_keys(project.public_id)
        for key in keys:
            if str(key.id) == request.match_info["key"]:
                return project, key
        raise UnknownError("unknown_key", f"project {project.public_id} has no such key")

    async def _list(self, request: web.Request, form: Form) -> web.Response:
        now = self._clock.now()
        rows = []
        for project in await self._operations.list_projects():
            keys = await self._operations.list_keys(project.public_id)
            rows.append((project, sum(_is_good(key, now) for key in keys)))
        return self._pages.render(request, "projects.html", form.status, form=form, projects=rows)

    async def _show(self, request: web.Request, project: Project, form: Form) -> web.Response:
        keys = await self._operations.list_keys(project.public_id)
        return self._pages.render(
            request, "project.html", form.status, form=form, project=project, keys=keys, now=self._clock.now()
        )

    def _shown_once(
        self, request: web.Request, project: Project, new: NewKey, old_ends: Instant | None
    ) -> web.Response:
        return self._pages.render(
            request, "new_key.html", project=project.public_id, key=new.key, secret=new.secret.reveal(),
            old_ends=old_ends,
        )  # fmt: skip


def _settings(project: Project) -> Form:
    return Form(
        {
            "name": project.name,
            "return_hosts": " ".join(project.return_hosts),
            "portal_configuration": project.portal_configuration or "",
        }
    )


def _is_good(key: Key, now: Instant) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)
