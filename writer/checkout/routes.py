"""The payer's routes: checkout, confirm, portal and subscriptions."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.answers import parse_user
from common.clock import format_time
from common.http import json_response
from common.problems import bad_request
from writer.api.answers import CheckoutAnswer, ConfirmAnswer, PortalAnswer, SubscriptionsAnswer
from writer.api.bodies import Body
from writer.api.parameters import USER, Parameter, Place
from writer.api.routes import Access, Answer, Call, Gate, route, served
from writer.auth import KeyHolder
from writer.checkout import return_urls
from writer.checkout.checkout import Checkout
from writer.checkout.confirm import Confirm
from writer.checkout.order import Order
from writer.checkout.portal import Portal
from writer.checkout.stripe_problems import PROBLEMS as STRIPE_PROBLEMS
from writer.checkout.stripe_problems import as_problems
from writer.checkout.subscriptions import Subscriptions
from writer.db.transaction import Transactions

_KEY_PATTERN: Final = "^[!-~]{1,255}$"
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


def _idempotency_key(sent: Sequence[str]) -> str | None:
    if not sent or _IDEMPOTENCY_KEY.fullmatch(sent[0]):
        return sent[0] if sent else None
    detail = "Idempotency-Key must have 1 to 255 visible ASCII characters, such as a UUID"
    raise bad_request("invalid_idempotency_key", detail)


_KEY: Final = Parameter(
    "Idempotency-Key", Place.HEADER, _idempotency_key, {"type": "string", "pattern": _KEY_PATTERN},
    "The same key gives the same session", problems=("400 invalid_idempotency_key", "422 idempotency_key_reused"),
)  # fmt: skip
_PAYER: Final = (*STRIPE_PROBLEMS, "400 user_required", "400 invalid_user")
_RETURNS: Final = ("400 invalid_return_url", "400 return_host_not_allowed")


class CheckoutRoutes:
    """Handlers; each takes a project's key."""

    def __init__(
        self,
        gate: Gate[KeyHolder],
        transactions: Transactions,
        checkout: Checkout,
        confirm: Confirm,
        portal: Portal,
        subscriptions: Subscriptions,
        *,
        livemode: bool,
    ) -> None:
        self._gate = gate
        self._transactions = transactions
        self._checkout = checkout
        self._confirm = confirm
        self._portal = portal
        self._subscriptions = subscriptions
        self._livemode = livemode

    def routes(self) -> list[web.RouteDef]:
        """What these handlers answer."""
        return served(self, self._gate)

    @route(
        "POST", "/api/v1/checkout/create", Access.PROJECT, Answer(HTTPStatus.OK, CheckoutAnswer),
        takes=(_KEY,), body=Body(CheckoutBody), tag="paying",
        problems=(
            *_PAYER, *_RETURNS, "400 trial_not_possible", "400 quantity_not_possible", "404 unknown_price",
            "409 already_subscribed", "409 price_inactive", "409 price_of_another_project", "409 checkout_contended",
            "409 shared_customer", "409 document_too_large",
        ),
    )  # fmt: skip
    async def create(self, call: Call[CheckoutBody]) -> web.Response:
        """Open Stripe's checkout.

        A subscription or a payment once, as the price is.
        """
        body, holder = call.body, call.holder
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
            idempotency_key=call[_KEY],
        )
        with as_problems():
            session = await self._checkout.create(order)
        return json_response(
            {"session_id": session.id, "url": session.url, "expires_at": format_time(session.expires_at)}
        )

    @route(
        "POST", "/api/v1/checkout/confirm", Access.PROJECT, Answer(HTTPStatus.OK, ConfirmAnswer),
        body=Body(ConfirmBody), tag="paying",
        problems=(
            *_PAYER, "403 session_of_another_user", "404 unknown_session", "409 object_moving",
            "409 document_too_large",
        ),
    )  # fmt: skip
    async def confirm(self, call: Call[ConfirmBody]) -> web.Response:
        """Apply a session that a payer came back from, whether or not its webhook has come."""
        body, holder = call.body, call.holder
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

    @route(
        "POST", "/api/v1/portal/create-session", Access.PROJECT, Answer(HTTPStatus.OK, PortalAnswer),
        body=Body(PortalBody), problems=(*_PAYER, *_RETURNS, "404 no_customer", "409 shared_customer"), tag="paying",
    )  # fmt: skip
    async def open_portal(self, call: Call[PortalBody]) -> web.Response:
        """Open Stripe's customer portal."""
        body, holder = call.body, call.holder
        user = parse_user(body.user_id)
        return_url = await self._return_url(holder, "return_url", body.return_url)
        with as_problems():
            return json_response({"url": await self._portal.open(holder, user, return_url)})

    @route(
        "GET", "/api/v1/subscriptions", Access.PROJECT_OR_ADMIN, Answer(HTTPStatus.OK, SubscriptionsAnswer),
        takes=(USER,), tag="asking",
    )  # fmt: skip
    async def list_subscriptions(self, call: Call[None]) -> web.Response:
        """A user's subscriptions, running ones first, for an account page."""
        holder, user = call.holder, call[USER]
        found = await self._subscriptions.of(holder, user)
        return json_response({"user_id": user, "project_id": holder.project, "subscriptions": found})

    async def _return_url(self, holder: KeyHolder, name: str, url: str) -> str:
        async def read(connection: AsyncConnection) -> list[str]:
            return list((await connection.execute(_RETURN_HOSTS, {"id": holder.project_id})).scalar_one())

        hosts = await self._transactions.run(read)
        return return_urls.check(name, url, hosts, livemode=self._livemode)


_RETURN_HOSTS: Final = text("SELECT return_hosts FROM projects WHERE id = :id")
