"""The OpenAPI 3.1 document, made of what the routes declare and of the types that read the bodies."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from writer.api.bodies import Body
from writer.api.parameters import Parameter
from writer.api.replies import HEADER, KEPT, REPLAYED
from writer.api.replies import PROBLEMS as KEY_PROBLEMS
from writer.api.routes import Access, Answer, Route

_REF: Final = "#/components/schemas/{name}"
_PROBLEM_MEDIA: Final = "application/problem+json"

_SECURITY: Final[Mapping[Access, list[dict[str, list[str]]]]] = {
    Access.NOBODY_ASKED: [],
    Access.SIGNATURE: [{"stripeSignature": []}],
    Access.PROJECT: [{"projectKey": []}],
    Access.PROJECT_OR_ADMIN: [{"projectKey": []}, {"adminKey": []}],
    Access.ADMIN: [{"adminKey": []}],
}
_NO_GOOD_KEY: Final = ("401 missing_key", "401 invalid_key", "429 too_many_failures")
_PROJECT_KEY: Final = (*_NO_GOOD_KEY, "401 expired_key", "401 revoked_key", "401 disabled_app", "403 wrong_project")
_BY_ACCESS: Final[Mapping[Access, tuple[str, ...]]] = {
    Access.NOBODY_ASKED: (),
    Access.SIGNATURE: (),
    Access.PROJECT: (*_PROJECT_KEY, "403 project_key_required"),
    Access.PROJECT_OR_ADMIN: (*_PROJECT_KEY, "400 project_required", "404 unknown_project"),
    Access.ADMIN: (*_NO_GOOD_KEY, "403 admin_key_required"),
}
_OF_BODIES: Final = (
    "400 malformed_body",
    "408 body_too_slow",
    "413 body_too_large",
    "415 unsupported_media_type",
    "415 unsupported_content_encoding",
)
_OF_ALL: Final = ("400 malformed_request", "500 internal_error")
_OF_THE_DATABASE: Final = ("503 database_unavailable", "503 changed_meanwhile")

_SCHEMES: Final = {
    "projectKey": {"type": "http", "scheme": "bearer", "description": "A project's key, `bk_…`."},
    "adminKey": {"type": "http", "scheme": "bearer", "description": "One of those in `ADMIN_API_KEY`."},
    "stripeSignature": {"type": "apiKey", "in": "header", "name": "Stripe-Signature"},
}
_PROBLEM: Final = {
    "type": "object",
    "description": "RFC 9457. `code` is stable, `detail` says what is wrong and how to mend it.",
    "properties": {
        "type": {"type": "string", "pattern": "^urn:billing:problem:"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status", "code", "detail"],
}
_TEXT: Final = "^[^\\u0000]*$"


def build(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The document of these routes."""
    declared = list(routes)
    shapes = [answer.shape for one in declared for answer in one.answers if answer.shape is not None]
    shapes += [one.body.shape for one in declared if one.body is not None and one.body.schema is None]
    schemas, components = msgspec.json.schema_components(shapes, ref_template=_REF)
    by_shape = dict(zip(map(_name, shapes), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for one in declared:
        paths[one.path][one.method.lower()] = _operation(one, by_shape)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Billing and entitlements: the writer",
            "version": version,
            "description": "Made of the code that reads the requests. Recipes and examples stand in docs/api.md.",
        },
        "tags": [{"name": name} for name in dict.fromkeys(one.tag for one in declared)],
        "paths": dict(paths),
        "components": {
            "schemas": {"Problem": _PROBLEM, **{name: _kept_texts(one) for name, one in components.items()}},
            "securitySchemes": _SCHEMES,
        },
    }


def problems_of(route: Route) -> dict[HTTPStatus, list[str]]:
    """Every problem that a route can answer, by status."""
    every = [*_OF_ALL, *_BY_ACCESS[route.access], *route.problems]
    every += [problem for parameter in route.parameters for problem in parameter.problems]
    if route.body is not None:
        every += [*_OF_BODIES, *route.body.problems]
    if route.access is not Access.NOBODY_ASKED:
        every += _OF_THE_DATABASE
    if route.is_admin_write:
        every += KEY_PROBLEMS
    if route.once:
        every.append("409 shown_once")
    found: dict[HTTPStatus, list[str]] = defaultdict(list)
    for problem in dict.fromkeys(every):
        status, code = problem.split()
        found[HTTPStatus(int(status))].append(code)
    return {status: sorted(found[status]) for status in sorted(found)}


def _operation(route: Route, schemas: Mapping[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "tags": [route.tag],
        "summary": route.summary,
        "security": _SECURITY[route.access],
        "responses": {
            **{str(answer.status.value): _answer(answer, schemas) for answer in route.answers},
            **{str(status.value): _refusal(status, codes) for status, codes in problems_of(route).items()},
        },
    }
    if route.description:
        operation["description"] = route.description
    parameters = [_parameter(parameter) for parameter in route.parameters]
    if route.is_admin_write:
        parameters.append(_KEY_PARAMETER)
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = _body(route.body, schemas)
    return operation


def _operation_id(route: Route) -> str:
    parts = route.path.removeprefix("/api/v1/").strip("/").replace("{", "").replace("}", "")
    return "_".join([route.method.lower(), *parts.replace("-", "_").replace(".", "_").split("/")])


def _parameter(parameter: Parameter[Any]) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place.value,
        "required": parameter.required,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _body(body: Body[Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    schema = schemas[_name(body.shape)] if body.schema is None else body.schema
    return {"required": body.required, "content": {body.media: {"schema": schema}}}


def _answer(answer: Answer, schemas: Mapping[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.description or answer.status.phrase}
    if answer.status is not HTTPStatus.NOT_MODIFIED:
        schema = {"type": "string"} if answer.shape is None else schemas[_name(answer.shape)]
        described["content"] = {answer.media: {"schema": schema}}
    return described


def _refusal(status: HTTPStatus, codes: list[str]) -> dict[str, Any]:
    schema = {"allOf": [{"$ref": _REF.format(name="Problem")}, {"properties": {"code": {"enum": codes}}}]}
    named = ", ".join(f"`{code}`" for code in codes)
    return {"description": f"{status.phrase}: {named}", "content": {_PROBLEM_MEDIA: {"schema": schema}}}


def _name(shape: Any) -> str:
    return repr(shape)


def _kept_texts(schema: Any) -> Any:
    """The schema, with what is so of every text: Postgres keeps no U+0000."""
    if isinstance(schema, list):
        return [_kept_texts(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _kept_texts(one) for name, one in schema.items()}
    if found.get("type") == "string" and not found.keys() & {"pattern", "enum", "format", "const"}:
        found["pattern"] = _TEXT
    return found


_KEY_PARAMETER: Final = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": (
        f"The same request with the same key is carried out once, and answered alike for {KEPT.days * 24} hours, "
        f"with `{REPLAYED}: true`."
    ),
    "schema": {"type": "string", "pattern": "^[\\u0020-\\u007e]{1,255}$"},
}
