"""Turns what a handler found into a page: Jinja2 with everything escaped, and the files that pages load."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib import resources
from typing import Any, Final

import orjson
from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from common.clock import Instant, format_time, from_seconds
from common.problems import Problem
from writer.console.charts import bars
from writer.console.forms import Form
from writer.console.session import Session
from writer.domain.money import written

PREFIX: Final = "/console"
SESSION: Final = web.RequestKey("session", Session)
FORM: Final = web.RequestKey("form", Form)
TOKEN: Final = web.RequestKey("token", str)

_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FOREVER: Final = "public, max-age=31536000, immutable"

NAVIGATION: Final = (
    ("", "Overview"),
    ("customers", "Customers"),
    ("events", "Events"),
    ("unassigned", "Unassigned"),
    ("projects", "Projects and keys"),
    ("catalogue", "Catalogue"),
    ("sidecars", "Sidecars"),
    ("reconcile", "Reconcile"),
    ("audit", "Audit"),
)
"""The first part of each page's path, and what its link says."""

DONE: Final[Mapping[str, str]] = {
    "granted": "The grant is made.",
    "repeated": "That grant had been made already; nothing was done again.",
    "revoked": "The grant is taken back.",
    "revoked_before": "Everything there was revoked before; nothing was done.",
    "recomputed": "Computed again: the entitlements changed.",
    "right": "Computed again: the entitlements were right already.",
    "job": "A job was made; a writer works it off in the background.",
    "replayed": "The event is pending again; a writer works on it within a second.",
    "claimed": "The claim is made.",
    "key_revoked": "The key is revoked; every writer knows within two seconds.",
    "project_created": "The project is created.",
    "project_updated": "The project is changed.",
    "released": "The lease is free; a writer that runs takes it within a second.",
    "catalogue": "The catalogue is in force.",
    "catalogue_same": "The catalogue said the same already; nothing was changed.",
}
"""What a page says after an act, by the word in its address: no text of anybody's comes in that way."""


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    content_type: str
    version: str


class Pages:
    """Renders pages, and serves the few files that they load."""

    def __init__(self) -> None:
        self._files = _files()
        self._templates = Environment(
            loader=PackageLoader("writer.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= _FILTERS
        self._templates.globals |= {"file": self._address, "bars": bars, "navigation": NAVIGATION, "prefix": PREFIX}

    def render(
        self, request: web.Request, template: str, status: HTTPStatus = HTTPStatus.OK, **context: Any
    ) -> web.Response:
        """A page; it knows who is signed in, and says what was done where the address says so."""
        session = request.get(SESSION)
        place = request.path.removeprefix(PREFIX).strip("/").partition("/")[0]
        known = {
            "actor": None if session is None else session.actor,
            "token": request.get(TOKEN, ""),
            "place": place,
            "done": DONE.get(request.query.get("done", "")),
            "path": request.path_qs,
        }
        text = self._templates.get_template(template).render(**known, **context)
        return web.Response(status=status, text=text, content_type="text/html")

    def problem(self, request: web.Request, problem: Problem) -> web.Response:
        """What was wrong, as a page."""
        response = self.render(request, "problem.html", problem.status, problem=problem)
        response.headers.update(problem.headers or {})
        return response

    async def file(self, request: web.Request) -> web.Response:
        """A static file; an address with its version may be kept for good."""
        found = self._files.get(request.match_info["file"])
        if found is None:
            raise web.HTTPNotFound
        kept = _FOREVER if request.query.get("v") == found.version else "no-cache"
        return web.Response(body=found.body, content_type=found.content_type, headers={"Cache-Control": kept})

    def _address(self, name: str) -> str:
        return f"{PREFIX}/static/{name}?v={self._files[name].version}"


def _files() -> Mapping[str, _File]:
    found = {}
    for entry in resources.files("writer.console").joinpath("static").iterdir():
        body = entry.read_bytes()
        kind = _TYPES[entry.name.rpartition(".")[2]]
        found[entry.name] = _File(body, kind, hashlib.sha256(body).hexdigest()[:12])
    return found


def _time(moment: Instant | str | None) -> str:
    """For people: to the second, in UTC."""
    if moment is None:
        return ""
    text = _rfc(moment)
    return f"{text[:10]} {text[11:19]} UTC"


def _rfc(moment: Instant | str) -> str:
    return moment if isinstance(moment, str) else format_time(moment)


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _count(number: int) -> str:
    return f"{number:,}"


def _money(amount: int | None, currency: str | None) -> str:
    return "" if amount is None else written(amount, currency or "")


def _value(value: Any) -> str:
    """A grant's value in a line."""
    return "" if value is None else value if isinstance(value, str) else orjson.dumps(value).decode()


_FILTERS: Final = {
    "count": _count,
    "json": _json,
    "money": _money,
    "rfc": _rfc,
    "time": _time,
    "unix": from_seconds,
    "value": _value,
}
