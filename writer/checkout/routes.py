"""The payer's routes: checkout, confirm, portal and subscriptions."""

import re
from typing import Annotated, Any, Final, Protocol

import msgspec
from aiohttp import web
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.answers import parse_user
from common.clock import format_time
from common.http import json_response
from common.problems import bad_request
from writer.auth import KeyHolder
from writer.bodies import read_body
from writer.checkout import return_urls
from writer.checkout.checkout import Checkout
from writer.checkout.confirm import Confirm
from writer.checkout.order import Order
from writer.checkout.portal import Portal
from writer.checkout.stripe_problems import as_problems
from writer.checkout.subscriptions import Subscriptions
from writer.db.transaction import Transactions

_IDEMPOTENCY_KEY: Final = re.compile(r"[!-~]{1,255}")
_StripeId = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\s/]+\Z")]


class CheckoutBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /api/v1/checkout/create`."""

    user_id: str
    price_id: _StripeId
    success_url: str
    cancel_url: str
    quantity: Annotated[int, msgspec.Meta(ge=1, le=999_999)] = 1
    email: Annotated[str, msgspec.Meta(min_length=3, max_length=512, pattern=r"^[^\s@]+@[^\s@]+\Z")] | None = None
    trial_days: Annotated[int, msgspec.Meta(ge=1, le=730)] | None = None
    allow_promotion_codes: bool = False
    project_id: str | None = None


class ConfirmBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /api/v1/checkout/confirm`."""

    session_id: _StripeId
    user_id: str | None = None
    project_id: str | None = None


class PortalBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /api/v1/portal/create-session`."""

    user_id: str
    return_url: str
    project_id: str | None = None


class Auth(Protocol):
    """Who calls."""

    async def project(self, request: web.Request, named: str | None = None) -> KeyHolder:
        """The holder of the request's project key."""
        ...

    async def project_or_admin(self, request: web.Request, project: str | None) -> KeyHolder:
        """The same, or the operator for a project that the request names."""
        ...


class CheckoutRoutes:
    """Handlers; each takes a project's key."""

    def __init__(
        self,
        auth: Auth,
        transactions: Transactions,
        checkout: Checkout,
        confirm: Confirm,
        portal: Portal,
        subscriptions: Subscriptions,
        *,
        livemode: bool,
    ) -> None:
        self._auth = auth
        self._transactions = transactions
        self._checkout = checkout
        self._confirm = confirm
        self._portal = portal
        self._subscriptions = subscriptions
        self._livemode = livemode

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return [
            web.post("/api/v1/checkout/create", self.create),
            web.post("/api/v1/checkout/confirm", self.confirm),
            web.post("/api/v1/portal/create-session", self.open_portal),
            web.get("/api/v1/subscriptions", self.list_subscriptions),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Open a checkout: `{session_id, url, expires_at}`."""
        await self._auth.project(request)  # before the body is read
        body = await read_body(request, CheckoutBody)
        holder = await self._auth.project(request, body.project_id)
        order = Order(
            holder=holder,
            user=parse_user(body.user_id),
            price_id=body.price_id,
            quantity=body.quantity,
            success_url=await self._return_url(holder, "success_url", body.success_url),
            cancel_url=await self._return_url(holder, "cancel_url", body.cancel_url),
            email=body.email,
            trial_days=body.trial_days,
            allow_promotion_codes=body.allow_promotion_codes,
            idempotency_key=_idempotency_key(request),
        )
        with as_problems():
            session = await self._checkout.create(order)
        return json_response(
            {"session_id": session.id, "url": session.url, "expires_at": format_time(session.expires_at)}
        )

    async def confirm(self, request: web.Request) -> web.Response:
        """Apply a session that a payer came back from: `{status, pending, entitlements, token, …}`."""
        await self._auth.project(request)
        body = await read_body(request, ConfirmBody)
        holder = await self._auth.project(request, body.project_id)
        user = None if body.user_id is None else parse_user(body.user_id)
        with as_problems():
            done = await self._confirm.confirm(holder, body.session_id, user)
        answer: dict[str, Any] = {
            "session_id": done.session_id,
            "status": done.status,
            "pending": done.pending,
            "user_id": done.user,
            "project_id": holder.project,
            "entitlements": done.entitlements,
            "token": done.position.token,
            "epoch": done.position.epoch,
            "revision": done.position.revision,
        }
        return json_response(answer)

    async def open_portal(self, request: web.Request) -> web.Response:
        """Open the billing portal: `{url}`."""
        await self._auth.project(request)
        body = await read_body(request, PortalBody)
        holder = await self._auth.project(request, body.project_id)
        user = parse_user(body.user_id)
        return_url = await self._return_url(holder, "return_url", body.return_url)
        with as_problems():
            return json_response({"url": await self._portal.open(holder, user, return_url)})

    async def list_subscriptions(self, request: web.Request) -> web.Response:
        """A user's subscriptions."""
        holder = await self._auth.project_or_admin(request, request.query.get("project_id"))
        user = parse_user(request.query.get("user_id"))
        found = await self._subscriptions.of(holder, user)
        return json_response({"user_id": user, "project_id": holder.project, "subscriptions": found})

    async def _return_url(self, holder: KeyHolder, name: str, url: str) -> str:
        async def read(connection: AsyncConnection) -> list[str]:
            return list((await connection.execute(_RETURN_HOSTS, {"id": holder.project_id})).scalar_one())

        hosts = await self._transactions.run(read)
        return return_urls.check(name, url, hosts, livemode=self._livemode)


def _idempotency_key(request: web.Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None or _IDEMPOTENCY_KEY.fullmatch(key):
        return key
    detail = "Idempotency-Key must have 1 to 255 visible ASCII characters, such as a UUID"
    raise bad_request("invalid_idempotency_key", detail)


_RETURN_HOSTS: Final = text("SELECT return_hosts FROM projects WHERE id = :id")
