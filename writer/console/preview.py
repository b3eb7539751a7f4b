"""What a user would have after buying, cancelling or a refund. Nothing is done there."""

from typing import Final

from aiohttp import web

from common.problems import bad_request
from writer.console.customers import named
from writer.console.forms import Form, Refusal, query_form
from writer.console.pages import Pages
from writer.domain.imagine import Act, Cancel, Refund
from writer.operations.operations import Operations
from writer.operations.preview import Purchase

ACTS: Final = (
    ("buy", "buys a price (price_…)"),
    ("cancel", "cancels a subscription (sub_…) at the period's end"),
    ("cancel_now", "cancels a subscription (sub_…) at once"),
    ("refund", "is refunded a purchase (cs_…)"),
)
_MOST_DIGITS: Final = 6


class PreviewPage:
    """One page."""

    def __init__(self, pages: Pages, operations: Operations) -> None:
        self._pages = pages
        self._operations = operations

    def routes(self) -> list[web.RouteDef]:
        """What this handler answers."""
        return [web.get("/customers/preview", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """`?project_id=&user_id=&act=&object_id=`, for a purchase `&quantity=`."""
        form, foreseen = query_form(request), None
        project, user = named(form)
        if form.get("object_id"):
            try:
                foreseen = await self._operations.preview.of(project, user, _act(form))
            except Refusal as error:
                form = form.refused(error)
        return self._pages.render(
            request, "preview.html", form.status, form=form, project=project, user=user, acts=ACTS, foreseen=foreseen
        )


def _act(form: Form) -> Act | Purchase:
    object_id, quantity = form.get("object_id"), form.get("quantity") or "1"
    match form.get("act"):
        case "buy":
            if not (quantity.isascii() and quantity.isdecimal()) or len(quantity) > _MOST_DIGITS:
                raise bad_request("invalid_quantity", f"quantity must be a whole number of up to {_MOST_DIGITS} digits")
            return Purchase(object_id, int(quantity))
        case "cancel":
            return Cancel(object_id)
        case "cancel_now":
            return Cancel(object_id, at_once=True)
        case "refund":
            return Refund(object_id)
    raise bad_request("invalid_body", f"act must be one of {', '.join(name for name, _ in ACTS)}")
