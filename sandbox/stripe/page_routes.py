"""Serving the customer's pages: paying a session, and the billing portal."""

from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from sandbox.stripe import pages, portal
from sandbox.stripe.agenda import Agenda
from sandbox.stripe.checkout_completion import Act, act
from sandbox.stripe.errors import StripeError
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.shapes import JsonObject
from sandbox.stripe.subscribed_items import items_of
from sandbox.stripe.subscription_state import ENDED

PLACEHOLDER: Final = "{CHECKOUT_SESSION_ID}"
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Pages:
    """The handlers of both pages."""

    def __init__(self, ledger: Ledger, agenda: Agenda) -> None:
        self._ledger = ledger
        self._agenda = agenda

    def add(self, router: web.UrlDispatcher) -> None:
        """Serve the pages."""
        router.add_get("/c/pay/{id}", self._checkout)
        router.add_post("/c/pay/{id}", self._pay)
        router.add_get("/p/session/{id}", self._portal)
        router.add_post("/p/session/{id}", self._choose)

    def _session(self, request: web.Request, kind: str) -> JsonObject:
        self._agenda.run_until(self._ledger.clock.now())
        session = self._ledger.store.find(kind, request.match_info["id"])
        if session is None:
            text = pages.notice("Not found", "This link names no session of this sandbox.")
            raise web.HTTPNotFound(text=text, content_type="text/html")
        return session

    async def _checkout(self, request: web.Request) -> web.Response:
        session = self._session(request, "checkout.session")
        return self._shown(session)

    def _shown(self, session: JsonObject, error: str | None = None, status: int = 200) -> web.Response:
        if session["status"] != "open":
            return _html(pages.notice("Checkout", f"This session is {session['status']}."))
        lines = self._ledger.store.note("session_lines")[session["id"]]
        return _html(pages.checkout(session, lines, error), status)

    async def _pay(self, request: web.Request) -> web.Response:
        session = self._session(request, "checkout.session")
        form = await request.post()
        pressed = str(form.get("act", "pay"))
        if pressed == "cancel" and session["cancel_url"]:
            raise web.HTTPSeeOther(session["cancel_url"])
        try:
            act(self._ledger, session, Act(pressed), email=str(form.get("email") or "") or None)
        except ValueError:
            return self._shown(session, "Choose one of the buttons.", 400)
        except StripeError as error:
            return self._shown(session, str(error), error.status)
        finally:
            self._ledger.store.changes += 1
        target = session["success_url"] or ""
        raise web.HTTPSeeOther(target.replace(PLACEHOLDER, session["id"]))

    async def _portal(self, request: web.Request) -> web.Response:
        return self._portal_page(self._session(request, "billing_portal.session"))

    def _portal_page(self, session: JsonObject, error: str | None = None, status: int = 200) -> web.Response:
        found = self._ledger.store.where("subscription", customer=session["customer"])
        entries = [self._entry(session, one) for one in found if one["status"] not in ENDED]
        return _html(pages.portal(session, entries, error), status)

    def _entry(self, session: JsonObject, subscription: JsonObject) -> tuple[JsonObject, list[str], str]:
        mode = portal.cancel_mode(self._ledger, session)
        ending = subscription["cancel_at"] is not None
        choices = ["resume"] if ending else [portal.Choice.CANCEL_AT_PERIOD_END] if mode else []
        if mode is not None:
            choices.append(portal.Choice.CANCEL_NOW)
        items = items_of(self._ledger, subscription)
        names = ", ".join(self._ledger.store.get("product", item["price"]["product"])["name"] for item in items)
        moment = subscription["cancel_at"] or min(item["current_period_end"] for item in items)
        day = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")
        return subscription, [str(one) for one in choices], f"{names}: {'ends' if ending else 'renews'} {day}"

    async def _choose(self, request: web.Request) -> web.Response:
        session = self._session(request, "billing_portal.session")
        form = await request.post()
        try:
            choice = portal.Choice(str(form.get("choice")))
            portal.choose(self._ledger, session, str(form.get("subscription")), choice)
        except ValueError:
            return self._portal_page(session, "Choose one of the buttons.", 400)
        except StripeError as error:
            return self._portal_page(session, str(error), error.status)
        finally:
            self._ledger.store.changes += 1
        raise web.HTTPSeeOther(request.rel_url.path)


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)
