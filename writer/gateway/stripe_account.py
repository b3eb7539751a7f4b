"""The account's own side of Stripe: webhook endpoints, the portal's configurations, deliveries, what the key may do."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from common.clock import Instant
from writer.gateway.errors import KeyRefusedError, StripeRefusedError
from writer.gateway.pages import Json, Pages, escaped
from writer.gateway.rate_limit import Urgency
from writer.gateway.transport import Method, StripeTransport

_ENDPOINTS: Final = "/v1/webhook_endpoints"
_CONFIGURATIONS: Final = "/v1/billing_portal/configurations"
_PAGE: Final = 100


class StripeAccount:
    """Asked by operators. Every method raises StripeUnavailableError and StripeRefusedError only."""

    def __init__(self, transport: StripeTransport) -> None:
        self._transport = transport
        self._pages = Pages(transport, Urgency.PAYER)

    async def account(self) -> tuple[Json, Instant]:
        """The account that the key is of, and Stripe's time when the request began, in whole seconds."""
        reply = await self._transport.call("get", "/v1/account", {}, Urgency.PAYER)
        return reply.body, reply.as_of

    async def webhook_endpoints(self) -> list[Json]:
        """Every webhook endpoint of the account in this mode."""
        return await self._all(_ENDPOINTS, {})

    async def create_webhook_endpoint(self, url: str, events: Sequence[str], api_version: str) -> Json:
        """A new endpoint; the answer alone holds its `secret`."""
        params = {
            "url": url,
            "enabled_events": list(events),
            "api_version": api_version,
            "description": "Billing and entitlements",
        }
        return await self._post(_ENDPOINTS, params)

    async def update_webhook_endpoint(self, id: str, events: Sequence[str]) -> Json:  # noqa: A002 - Stripe's word
        """Have the endpoint enabled and get exactly these events. Its API version cannot be changed."""
        return await self._post(f"{_ENDPOINTS}/{escaped(id)}", {"enabled_events": list(events), "disabled": "false"})

    async def delete_webhook_endpoint(self, id: str) -> None:  # noqa: A002
        """Remove an endpoint; what it did not deliver yet is never delivered to it."""
        await self._transport.call("delete", f"{_ENDPOINTS}/{escaped(id)}", {}, Urgency.PAYER)

    async def portal_configurations(self) -> list[Json]:
        """The active configurations of the billing portal."""
        return await self._all(_CONFIGURATIONS, {"active": "true"})

    async def create_portal_configuration(self, params: Mapping[str, Any]) -> Json:
        """A new configuration."""
        return await self._post(_CONFIGURATIONS, params)

    async def newest_events(self, *, undelivered: bool = False) -> list[Json]:
        """The last hundred events, the newest first; `undelivered`: those that some endpoint has not taken."""
        wanted = {"delivery_success": "false"} if undelivered else {}
        params = {"limit": _PAGE, **wanted}
        return list((await self._transport.call("get", "/v1/events", params, Urgency.PAYER)).body["data"])

    async def may(self, method: Method, path: str, params: Mapping[str, Any]) -> bool:
        """Whether the key may send this request, which must name nothing that exists. KeyRefusedError: no good key."""
        return await self.refusal(method, path, params) is None

    async def refusal(self, method: Method, path: str, params: Mapping[str, Any]) -> KeyRefusedError | None:
        """Why the key may not send this request; None: it may. KeyRefusedError: no good key."""
        try:
            await self._transport.call(method, path, params, Urgency.PAYER)
        except KeyRefusedError as error:
            if not error.forbidden:
                raise
            return error
        except StripeRefusedError:
            return None  # permissions are looked at before what the request says
        return None

    async def _all(self, path: str, params: Mapping[str, Any]) -> list[Json]:
        fetched = await self._pages.whole(path, params)
        return [] if fetched.object is None else list(fetched.object["data"])

    async def _post(self, path: str, params: Mapping[str, Any]) -> Json:
        return (await self._transport.call("post", path, params, Urgency.PAYER)).body
