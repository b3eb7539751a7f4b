"""Every route with every kind of key. Routes come from the running writer's router: a new one is tried by itself."""

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from tests.contract.api.conftest import ADMIN, MARK, Running
from writer import throttle
from writer.api.document import build
from writer.api.pages import served_routes
from writer.api.parameters import PROJECT_IN_PATH, Place
from writer.api.routes import Access, Route, declared_in

SAMPLES: dict[str, Any] = {
    "project": "shop", "app": "web", "user_id": "ada", "feature": "pro", "epoch": "1", "after": "0",
    "price_id": "price_1",    "session_id": "cs_1", "success_url": "http://localhost:3000/", "cancel_url": "http://localhost:3000/",
    "return_url": "http://localhost:3000/", "project_id": "shop",
}  # fmt: skip
"""What is put where a route wants something of that name; `1` where none stands here."""

NO_KEYS = {
    "none": (None, "missing_key"),
    "garbage": ("nonsense", "invalid_key"),
    "no key of ours": (f"bk_{'0' * 64}", "invalid_key"),
}
OVER = {"expired": "expired_key", "revoked": "revoked_key", "disabled": "disabled_app"}


def _path(route: Route) -> str:
    names = {one.name: SAMPLES.get(one.name, "1") for one in route.takes if one.place is Place.PATH}
    return route.path.format(**names)


def _query(route: Route, **more: str) -> dict[str, str]:
    required = (one.name for one in route.takes if one.place is Place.QUERY and one.required)
    return {**{name: SAMPLES.get(name, "1") for name in required}, **more}


def _body(route: Route, document: dict[str, Any], project: str) -> dict[str, Any]:
    """A body that can be read, naming the project where it takes one."""
    if route.body is None or route.body.schema is not None:
        return {}
    schema = document["components"]["schemas"][route.body.shape.__name__]
    filled = {name: SAMPLES.get(name, "1") for name in schema.get("required", ())}
    return {**filled, "project_id": project} if "project_id" in schema["properties"] else filled


def _tried(route: Route) -> Iterator[tuple[str, str | None, int, str]]:
    """Each kind of key that a route must refuse: the kind, the key's name or text, status and code."""
    for kind, (key, code) in NO_KEYS.items():
        if route.access is Access.ADMIN and key is not None and key.startswith("bk_"):
            yield kind, key, 403, "admin_key_required"
        else:
            yield kind, key, 401, code
    for name, code in OVER.items():
        yield name, name, *((403, "admin_key_required") if route.access is Access.ADMIN else (401, code))
    if route.access is Access.ADMIN:
        yield "a project's", "shop", 403, "admin_key_required"
    if route.access is Access.PROJECT:
        yield "the admin's", ADMIN, 403, "project_key_required"


async def _leaks(running: Running, document: dict[str, Any], route: Route) -> list[tuple[str, Any]]:
    """What a good key of another project is answered that it must not be."""
    blog, found = running.keys["blog"], []
    if route.access is Access.PROJECT_OR_ADMIN:
        named = await _ask(running, document, route, blog, project_id="shop")
        unnamed = await _ask(running, document, route, blog)
    elif route.access is Access.PROJECT:
        named = await _ask(running, document, route, blog)
        unnamed = await _ask(running, document, route, blog, project="blog")
        if unnamed[0] < 400:  # whatever it asks for is the project shop's
            found.append(("what is another project's", unnamed))
    else:
        return []
    if named[0] != 403 or "wrong_project" not in named[1]:
        found.append(("naming another project", named))
    if MARK in unnamed[1]:
        found.append(("what is another project's", unnamed))
    return found


async def _ask(
    running: Running, document: dict[str, Any], route: Route, key: str | None, project: str = "shop", **query: str
) -> tuple[int, str]:
    more = {} if route.body is None else {"json": _body(route, document, project)}
    return await running.ask(route.method, _path(route), key=key, params=_query(route, **query), **more)


async def test_every_route_with_every_kind_of_key(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, a wrong one, one that is over, another project's, the other side's: each is refused as it must be.

    Another project's key learns nothing, whether it names the project in the query, the body or the path, or only
    what is the project's.
    """
    monkeypatch.setattr(throttle, "BURST", 100_000)
    assert [str(one.resource) for one, declared in declared_in(running.app) if declared is None] == []
    routes = served_routes(running.app)
    document = build(routes, "test")
    asked = [route for route in routes if route.access not in {Access.NOBODY_ASKED, Access.SIGNATURE}]
    assert len(asked) > 40
    wrong: list[tuple[str, str, str, Any]] = []
    for route in asked:
        for kind, key, status, code in _tried(route):
            answer = await _ask(running, document, route, running.keys.get(key or "", key))
            if answer[0] != status or f'"code":"{code}"' not in answer[1]:
                wrong.append((route.method, route.path, kind, answer))
        wrong += [(route.method, route.path, *leak) for leak in await _leaks(running, document, route)]
    assert wrong == []


async def test_an_operator_names_the_project_where_an_app_need_not(running: Running) -> None:
    """400 without a project, 404 for one that does not exist."""
    routes = [route for route in served_routes(running.app) if route.access is Access.PROJECT_OR_ADMIN]
    assert routes
    for route in routes:
        path, query = _path(route), _query(route)
        if PROJECT_IN_PATH in route.takes:
            nobodys = route.path.format(project="none")
            assert (await running.ask(route.method, nobodys, params=query))[0] == 404
            continue
        assert (await running.ask(route.method, path, params=query))[0] == 400
        assert (await running.ask(route.method, path, params={**query, "project_id": "none"}))[0] == 404


async def test_what_asks_nobody_tells_nothing_of_a_project(running: Running) -> None:
    """Probes, metrics and the description answer everybody alike, and name no user, key or feature of anybody's."""
    for route in served_routes(running.app):
        if route.access is Access.NOBODY_ASKED:
            status, text = await running.ask(route.method, route.path, key=None)
            assert status == 200, route.path
            assert MARK not in text
            assert not any(key in text for key in running.keys.values())
        elif route.access is Access.SIGNATURE:
            status, text = await running.ask(route.method, route.path, key=ADMIN, json={})
            assert (status, "missing_signature" in text) == (400, True)


async def test_the_description_is_of_what_is_served_and_loads_nothing(running: Running) -> None:
    """Every operation stands in the document and on the page, which may run and load nothing but its own style."""
    _, text = await running.ask("GET", "/openapi.json", key=None)
    document = orjson.loads(text)
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    served = {(one.method, one.resource.canonical) for one, _ in declared_in(running.app) if one.resource is not None}
    assert described == {(method, path) for method, path in served if method != "HEAD"}
    async with running.http.get(f"{running.url}/docs") as answer:
        page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(set(ids)) == len(ids) == len(described)
    assert [one for one in ids if f'id="{one}"' not in page] == []
    style = page.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert not re.search(r"<script|\son\w+=|src=|href=\"(?!#|/)|url\(|style=", page)
