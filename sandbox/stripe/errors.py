"""Stripe's errors: HTTP status and the JSON under `error`."""

from collections.abc import Mapping
from typing import Final

from sandbox.stripe.shapes import JsonObject

DOCS: Final = "https://docs.stripe.com/error-codes/"


class StripeError(Exception):
    """An error that the client is told in Stripe's shape."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.error: JsonObject = {"message": message, "type": kind}
        if code is not None:
            self.error |= {"code": code, "doc_url": DOCS + code.replace("_", "-")}
        if param is not None:
            self.error["param"] = param

    def body(self, request_id: str) -> JsonObject:
        """The whole answer."""
        return {"error": self.error | {"request_log_url": f"https://dashboard.stripe.com/test/logs/{request_id}"}}


def missing(kind: str, object_id: str, param: str = "id", *, status: int = 404) -> StripeError:
    """No such object; 404 where the path names it, 400 where a parameter does."""
    name = kind.rsplit(".", maxsplit=1)[-1]
    return StripeError(status, f"No such {name}: '{object_id}'", code="resource_missing", param=param)


def required(param: str) -> StripeError:
    """A parameter without which the request means nothing."""
    return StripeError(400, f"Missing required param: {param}.", code="parameter_missing", param=param)


def invalid(message: str, param: str | None = None, code: str | None = None) -> StripeError:
    """A request that Stripe refuses as it stands."""
    return StripeError(400, message, code=code, param=param)


def declined(payment_intent: JsonObject | None = None) -> StripeError:
    """The bank said no; with the intent that it was asked for."""
    error = StripeError(402, "Your card was declined.", kind="card_error", code="card_declined")
    error.error["decline_code"] = "generic_decline"
    if payment_intent is not None:
        error.error["payment_intent"] = payment_intent
    return error
