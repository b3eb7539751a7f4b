"""Routes under `/_sandbox/`, which no Stripe has: they move time, play customer and bank, and cause faults."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from sandbox.stripe import disputes, refunds, webhook_endpoints
from sandbox.stripe.checkout_completion import Act, act
from sandbox.stripe.errors import StripeError, invalid
from sandbox.stripe.faults import Fault, OutageMode, Rule
from sandbox.stripe.payment_methods import Outcome
from sandbox.stripe.shapes import JsonObject

if TYPE_CHECKING:
    from sandbox.stripe.server import StripeStandIn

Control = Callable[[JsonObject, str], Awaitable[JsonObject]]
RULE_FIELDS: Final = {one.name for one in fields(Rule)} - {"fault", "types"}


class ControlRoutes:
    """The control routes of one stand-in. Bodies and answers are JSON; errors are 400 with `error`."""

    def __init__(self, standin: "StripeStandIn") -> None:
        self._standin = standin
        self._ledger = standin.ledger

    def add(self, router: web.UrlDispatcher) -> None:
        """Serve the routes."""
        for method, path, control in (
            ("GET", "clock", self._now),
            ("POST", "clock", self._move_clock),
            ("POST", "pay/{id}", self._pay),
            ("POST", "payment_method/{id}", self._payment_method),
            ("POST", "disputes", self._dispute),
            ("POST", "disputes/{id}", self._close_dispute),
            ("POST", "refunds/next", self._next_refund),
            ("POST", "refunds/{id}", self._move_refund),
            ("POST", "events", self._inject),
            ("POST", "faults", self._add_fault),
            ("DELETE", "faults", self._clear_faults),
            ("POST", "hold", self._hold),
            ("POST", "release", self._release),
            ("POST", "outage", self._outage),
            ("POST", "endpoints", self._endpoint),
            ("POST", "endpoints/{id}", self._change_endpoint),
            ("POST", "settings", self._settings),
            ("GET", "deliveries", self._deliveries),
            ("GET", "requests", self._requests),
            ("GET", "state", self._state),
        ):
            router.add_route(method, f"/_sandbox/{path}", _served(control))

    async def _now(self, _: JsonObject, __: str) -> JsonObject:
        return {"now": self._ledger.clock.now()}

    async def _move_clock(self, body: JsonObject, _: str) -> JsonObject:
        now = self._ledger.clock.now()
        done = self._standin.advance(to=int(body["to"]) if "to" in body else now + int(body["advance"]))
        return {"now": self._ledger.clock.now(), "happened": done}

    async def _pay(self, body: JsonObject, name: str) -> JsonObject:
        session = self._ledger.store.get("checkout.session", name)
        try:
            act(self._ledger, session, Act(body.get("outcome", "pay")), email=body.get("email"))
        except StripeError as error:
            if body.get("outcome") != Act.FAIL:
                raise
            return {"session": session, "error": error.error}
        return {"session": session}

    async def _payment_method(self, body: JsonObject, name: str) -> JsonObject:
        customer = self._ledger.store.get("customer", name)
        outcome = Outcome(body["outcome"])
        self._ledger.store.note("customer_outcomes")[customer["id"]] = outcome.value
        return {"customer": customer["id"], "outcome": outcome.value}

    async def _dispute(self, body: JsonObject, _: str) -> JsonObject:
        charge = refunds.charge_named(self._ledger, body.get("charge"), body.get("payment_intent"))
        chosen = {name: body[name] for name in ("amount", "reason", "status") if name in body}
        return disputes.disputed(self._ledger, charge, **chosen)

    async def _close_dispute(self, body: JsonObject, name: str) -> JsonObject:
        dispute = self._ledger.store.get("dispute", name)
        disputes.closed(self._ledger, dispute, body["status"])
        return dispute

    async def _next_refund(self, body: JsonObject, _: str) -> JsonObject:
        self._ledger.store.note("next_refund")["status"] = body["status"]
        return {"status": body["status"]}

    async def _move_refund(self, body: JsonObject, name: str) -> JsonObject:
        refund = self._ledger.store.get("refund", name)
        refunds.move(self._ledger, refund, body["status"])
        return refund

    async def _inject(self, body: JsonObject, _: str) -> JsonObject:
        """Send an event of the caller's own making: `type`, `object`, and fields of the event to overwrite."""
        event = self._standin.inject(body["type"], body["object"], body.get("event", {}))
        return {"id": event["id"]}

    async def _add_fault(self, body: JsonObject, _: str) -> JsonObject:
        if "seed" in body:
            self._standin.faults.reseed(int(body["seed"]))
        chosen: dict[str, Any] = {name: body[name] for name in RULE_FIELDS if name in body}
        rule = Rule(Fault(body["fault"]), tuple(body.get("types", ["*"])), **chosen)
        return asdict(self._standin.faults.add(rule))

    async def _clear_faults(self, _: JsonObject, __: str) -> JsonObject:
        self._standin.faults.clear()
        return {"rules": []}

    async def _hold(self, _: JsonObject, __: str) -> JsonObject:
        self._standin.faults.holding = True
        return {"holding": True}

    async def _release(self, body: JsonObject, _: str) -> JsonObject:
        deliveries = self._standin.deliveries
        made = await deliveries.release(body.get("order"), keep_holding=bool(body.get("keep_holding")))
        return {"delivered": made, "held": [job.event for job in deliveries.held]}

    async def _outage(self, body: JsonObject, _: str) -> JsonObject:
        mode = OutageMode(body["mode"])
        self._standin.outage.begin(
            mode,
            seconds=body.get("seconds"),
            requests=body.get("requests"),
            delay=float(body.get("delay", 1.0)),
            retry_after=body.get("retry_after"),
        )
        return {"mode": mode.value}

    async def _endpoint(self, body: JsonObject, _: str) -> JsonObject:
        endpoint = webhook_endpoints.new_endpoint(
            self._ledger,
            body["url"],
            secret=body.get("secret"),
            version=body.get("api_version"),
            events=body.get("enabled_events"),
        )
        return await self._change_endpoint(body, endpoint["id"])

    async def _change_endpoint(self, body: JsonObject, name: str) -> JsonObject:
        """Change `url`, `api_version`, `enabled_events`, `secrets` (several sign while one is rolled) or `thin`."""
        store = self._ledger.store
        endpoint = store.get("webhook_endpoint", name)
        endpoint |= {key: body[key] for key in ("url", "api_version", "enabled_events", "status") if key in body}
        if "secrets" in body:
            store.note("secrets")[name] = list(body["secrets"])
        if "thin" in body:
            store.note("thin_endpoints")[name] = bool(body["thin"])
        store.put(endpoint)
        return endpoint | {"secrets": store.note("secrets")[name]}

    async def _settings(self, body: JsonObject, _: str) -> JsonObject:
        if "retry_scale" in body:
            self._standin.deliveries.retry_scale = float(body.pop("retry_scale"))
        if "dunning" in body:
            body["dunning"] = tuple(body["dunning"])
        self._ledger.settings = replace(self._ledger.settings, **body)
        return asdict(self._ledger.settings)

    async def _deliveries(self, _: JsonObject, __: str) -> JsonObject:
        deliveries = self._standin.deliveries
        held = [job.event for job in deliveries.held]
        return {"attempts": [asdict(one) for one in deliveries.attempts], "held": held}

    async def _requests(self, _: JsonObject, __: str) -> JsonObject:
        return {"requests": [list(one) for one in self._standin.requests]}

    async def _state(self, _: JsonObject, __: str) -> JsonObject:
        state = self._ledger.store.dump()
        return {"now": self._ledger.clock.now(), "objects": state["tables"]}


def _served(control: Control) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(request: web.Request) -> web.Response:
        try:
            text = await request.text()
            body = orjson.loads(text) if text else {}
            if not isinstance(body, dict):
                raise invalid("the body must be a JSON object")
            return _json(await control(body, request.match_info.get("id", "")))
        except StripeError as error:
            return _json({"error": error.error}, error.status)
        except KeyError as error:
            return _json({"error": {"message": f"missing: {error.args[0]}"}}, 400)
        except (ValueError, TypeError) as error:
            return _json({"error": {"message": str(error)}}, 400)

    return serve


def _json(body: JsonObject, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")
