"""What the page's buttons do: pay, come back from Stripe, cancel, take the money back."""

import time
from http import HTTPStatus
from urllib.parse import urlencode

from sandbox.clients import CallError, Json
from sandbox.stack import RunningApp
from sandbox.toy.backstage import Backstage


class Actions:
    """Each returns a sentence for the user, or raises CallError; `home` is the page's own URL."""

    def __init__(self, stack: Backstage, home: str) -> None:
        self._stack = stack
        self._home = home

    @property
    def _notes(self) -> RunningApp:
        return self._stack.apps["notes"]

    async def checkout(self, user: str, *, once: bool) -> str:
        """The URL of Stripe's page for the subscription, or for what is bought once."""
        prices = self._notes.prices
        back = f"{self._home}return?{urlencode({'user': user})}"
        session = await self._notes.writer.checkout(user, prices.purchase if once else prices.subscription, back)
        return str(session["url"])

    async def confirm(self, user: str, session_id: str) -> str:
        """On return from Stripe: apply the session, then read it from the sidecar at that revision."""
        began = time.perf_counter()
        confirmed = await self._notes.writer.confirm(session_id)
        if confirmed["pending"]:
            return "Paid by a slow method: unlocked once the money has arrived."
        token = confirmed["token"]
        answer = await self._notes.sidecar.check(user, "export", min_revision=token)
        spent = (time.perf_counter() - began) * 1000
        state = "behind" if answer.get("behind") else "up to date"
        return f"Welcome back. Confirmed with the token {token}, and the sidecar is {state}: {spent:.0f} ms in all."

    async def cancel(self, user: str) -> str:
        """Cancel the user's subscriptions at Stripe, as support would."""
        found = await self._stack.stripe.get("subscriptions", limit="100")
        mine = [one for one in found["data"] if one["metadata"].get("user_id") == user]
        for one in mine:
            await self._stack.stripe.delete(f"subscriptions/{one['id']}")
        return "Cancelled at Stripe." if mine else "There is no subscription to cancel."

    async def refund(self, user: str) -> str:
        """Give back at Stripe what the user bought once."""
        found = await self._stack.stripe.get("checkout/sessions", limit="100")
        bought = [
            one for one in found["data"] if one["mode"] == "payment" and _is_of(one, user) and one["payment_intent"]
        ]
        refunded = [one for one in bought if await self._refunded(one["payment_intent"])]
        return "Refunded at Stripe." if refunded else "There is nothing to refund."

    async def _refunded(self, intent: str) -> bool:
        try:
            await self._stack.stripe.post("refunds", payment_intent=intent)
        except CallError as error:
            if error.status != HTTPStatus.BAD_REQUEST:  # unpaid, or given back already
                raise
            return False
        return True


def _is_of(session: Json, user: str) -> bool:
    return user in {session["metadata"].get("user_id"), session["client_reference_id"]}
