"""Routes: each declared at its handler, once, for who is let in, what is read, and what the document says of it.

A handler is given a `Call`: whoever calls was let in, parameters and body were read by what the route declares, and
nothing else can be read out of it.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, TypeVar

from aiohttp import web
from aiohttp.web_urldispatcher import PrefixedSubAppResource
from multidict import CIMultiDictProxy

from common.identifiers import ProjectId
from writer.api.bodies import Body
from writer.api.parameters import PROJECT_IN_PATH, SOME_PROJECT, Parameter, Place
from writer.api.replies import REPLIES, Request
from writer.operations.audit import Actor
from writer.refusals import RefusedError, as_problem

B = TypeVar("B")
T = TypeVar("T")
P = ParamSpec("P")
Owner = TypeVar("Owner")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ROUTE: Final = "billing_route"
_WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Access(StrEnum):
    """Who is let in."""

    NOBODY_ASKED = "none"
    """Everybody: probes, metrics, this API's description."""
    SIGNATURE = "signature"
    """Stripe, by its signature over the body's bytes: the handler itself reads and verifies them."""
    PROJECT = "project"
    """An app, by its project's key."""
    PROJECT_OR_ADMIN = "project_or_admin"
    """An app, or an operator who names the project."""
    ADMIN = "admin"
    """An operator, by the admin key."""


class Holder(Protocol):
    """The project that a call speaks for."""

    @property
    def project_id(self) -> int:
        """projects.id."""
        ...

    @property
    def project(self) -> ProjectId:
        """The public id."""
        ...


H_co = TypeVar("H_co", bound=Holder, covariant=True)


class Gate(Protocol[H_co]):
    """Lets callers in; a Problem says why not."""

    async def project(self, request: web.Request, named: str | None = None) -> H_co:
        """An app, for its own project; `named`: the one that the request names."""
        ...

    async def project_or_admin(self, request: web.Request, project: str | None) -> H_co:
        """The same, or an operator for a project that is named."""
        ...

    async def admin(self, request: web.Request) -> Actor:
        """An operator."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route answers when it does what was asked. `shape`: a msgspec type; None: `media` says all."""

    status: HTTPStatus
    shape: Any = None
    media: str = "application/json"
    description: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """A route as declared."""

    method: str
    path: str
    access: Access
    takes: tuple[Parameter[Any], ...]
    body: Body[Any] | None
    answers: tuple[Answer, ...]
    problems: tuple[str, ...]
    """As `404 unknown_project`, besides those that follow from access, parameters and body."""
    tag: str
    head: bool
    """Whether HEAD is answered too."""
    once: tuple[str, ...]
    """Members of the answer that are secret, and shown only to the request that made them."""
    again: bool
    """Whether the act itself knows an idempotency key, so that it may be tried again where its answer was lost."""
    summary: str
    description: str

    @property
    def is_admin_write(self) -> bool:
        """Whether an `Idempotency-Key` makes it happen once."""
        return self.access is Access.ADMIN and self.method in _WRITES

    @property
    def parameters(self) -> tuple[Parameter[Any], ...]:
        """All that is read, the project that an operator names included."""
        is_named = self.access is not Access.PROJECT_OR_ADMIN or PROJECT_IN_PATH in self.takes
        return self.takes if is_named else (*self.takes, SOME_PROJECT)


@dataclass(slots=True)
class Call(Generic[B]):
    """A request that was let in and read. `holder`: whose project; `actor`: the operator; each where asked for."""

    request: web.Request
    body: B
    holder: Any
    _actor: Actor | None
    _read: dict[Parameter[Any], Any] = field(default_factory=dict)

    def __getitem__(self, parameter: Parameter[T]) -> T:
        value: T = self._read[parameter]
        return value

    @property
    def actor(self) -> Actor:
        """Who acts, for the audit log."""
        if self._actor is None:
            raise AssertionError("only a route for operators has an actor")
        return self._actor

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The request's headers."""
        return self.request.headers


Method = Callable[[Owner, Call[Any]], Awaitable[web.StreamResponse]]


def route(
    method: str,
    path: str,
    access: Access,
    *answers: Answer,
    takes: Sequence[Parameter[Any]] = (),
    body: Body[Any] | None = None,
    problems: Sequence[str] = (),
    tag: str = "admin",
    head: bool = True,
    once: Sequence[str] = (),
    again: bool = False,
) -> Callable[[Callable[Concatenate[Owner, P], Awaitable[web.StreamResponse]]], Callable[Concatenate[Owner, P], Any]]:
    """Declare a handler's route. Its docstring's first line is the route's summary, the rest its description."""

    def declare(
        handler: Callable[Concatenate[Owner, P], Awaitable[web.StreamResponse]],
    ) -> Callable[Concatenate[Owner, P], Any]:
        summary, _, description = (handler.__doc__ or "").partition("\n\n")
        vars(handler)[_ROUTE] = Route(
            method, path, access, tuple(takes), body, answers, tuple(problems), tag, head, tuple(once), again,
            " ".join(summary.split()), " ".join(description.split()),
        )  # fmt: skip
        return handler

    return declare


def served(owner: object, gate: Gate[Holder] | None = None) -> list[web.RouteDef]:
    """The routes of all handlers of `owner` that declare one, in the order in which they stand.

    `gate`: needed unless nobody is asked who he is.
    """
    found = []
    for name, member in vars(type(owner)).items():
        declared = vars(member).get(_ROUTE) if callable(member) else None
        if declared is not None:
            handler = _answering(declared, getattr(owner, name), gate)
            kwargs = {"allow_head": declared.head} if declared.method == "GET" else {}
            found.append(web.RouteDef(declared.method, declared.path, handler, kwargs))
    return found


def declared_in(app: web.Application) -> Iterator[tuple[web.AbstractRoute, Route | None]]:
    """Every route of the API that the application serves, with its declaration; None: it has none.

    An application within it, as the console is, speaks to people and has no declarations.
    """
    for resource in app.router.resources():
        if not isinstance(resource, PrefixedSubAppResource):
            for one in resource:
                yield one, vars(one.handler).get(_ROUTE)


def _answering(
    declared: Route, method: Callable[[Call[Any]], Awaitable[web.StreamResponse]], gate: Gate[Holder] | None
) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await _answer(declared, method, gate, request)
        except RefusedError as error:
            raise as_problem(error) from error

    vars(answer)[_ROUTE] = declared
    return answer


async def _answer(
    declared: Route,
    method: Callable[[Call[Any]], Awaitable[web.StreamResponse]],
    gate: Gate[Holder] | None,
    request: web.Request,
) -> web.StreamResponse:
    actor, holder = await _let_in(declared, gate, request)  # before the body is read
    read = {parameter: parameter.read(_sent(request, parameter)) for parameter in declared.parameters}
    taken = None if declared.access is Access.SIGNATURE else declared.body
    data = b"" if taken is None else await taken.bytes_of(request)
    body = None if taken is None else taken.decode(data)
    named = getattr(body, "project_id", None)
    if declared.access is Access.PROJECT and named is not None:
        _, holder = await _let_in(declared, gate, request, named)
    call = Call(request, body, holder, actor, read)
    if not declared.is_admin_write:
        return await method(call)
    asked = Request.of(request, data, again=declared.again)
    return await request.app[REPLIES].once(asked, lambda: method(call), declared.once)


async def _let_in(
    declared: Route, gate: Gate[Holder] | None, request: web.Request, named: str | None = None
) -> tuple[Actor | None, Holder | None]:
    """Whoever calls; `named`: the project that the body names."""
    if declared.access in {Access.NOBODY_ASKED, Access.SIGNATURE}:
        return None, None
    if gate is None:
        raise AssertionError(f"{declared.path} wants a key: serve it with a gate")
    if declared.access is Access.ADMIN:
        return await gate.admin(request), None
    if declared.access is Access.PROJECT:
        return None, await gate.project(request, named)
    in_path = request.match_info.get(PROJECT_IN_PATH.name)
    return None, await gate.project_or_admin(request, in_path or request.query.get(SOME_PROJECT.name))


def _sent(request: web.Request, parameter: Parameter[Any]) -> Sequence[str]:
    if parameter.place is Place.PATH:
        return (request.match_info[parameter.name],)
    if parameter.place is Place.HEADER:
        return request.headers.getall(parameter.name, [])
    return request.query.getall(parameter.name, [])
