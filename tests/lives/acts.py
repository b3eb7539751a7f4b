"""The acts of a life, as customers, shops and banks do them at Stripe. A name that means nothing yet is passed over."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from tests.lives.account import Json
from tests.lives.oracle import DAY
from tests.lives.plan import Act
from tests.lives.stripe_api import RefusedError
from tests.lives.town import Town

GHOST: Final = "gamma"
"""A project that nobody has made."""


class _MissingError(RefusedError):
    """What the act is about never came to be."""


def names(details: Any) -> Json:
    """The metadata by which a buyer is named; see `life.NAMING`."""
    user, project = details["user"], details["project"]
    match details["naming"]:
        case "full":
            return {"user_id": user, "project_id": project}
        case "user":
            return {"user_id": user}
        case "wrong":
            return {"user_id": user, "project_id": "beta" if project == "alpha" else "alpha"}
        case "ghost":
            return {"user_id": user, "project_id": GHOST}
        case "bad":
            return {"user_id": user * 80}
        case _:
            return {}


def _lines(town: Town, lines: Any) -> list[Json]:
    return [{"price": town.price(price), "quantity": quantity} for price, quantity in lines]


def _need(town: Town, kind: str, act: Act, name: str) -> Json:
    found = town.find(kind, act.who, act.details[name])
    if found is None:
        raise _MissingError(name)
    return found


async def _customer(town: Town, act: Act) -> None:
    told = act.details
    params: Json = {"metadata": names(told)}
    if told["card"]:
        method = {"ok": "pm_card_visa", "declined": "pm_card_chargeCustomerFail"}[told["card"]]
        params |= {"payment_method": method, "invoice_settings": {"default_payment_method": method}}
    town.ids[act.who, told["name"]] = (await town.api.post("customers", **params))["id"]


async def _subscribe(town: Town, act: Act) -> None:
    told, customer = act.details, _need(town, "customer", act, "customer")
    params: Json = {"customer": customer["id"], "items": _lines(town, told["lines"]), "metadata": names(told)}
    if told.get("trial_days"):
        params["trial_period_days"] = told["trial_days"]
        params["trial_settings"] = {"end_behavior": {"missing_payment_method": told.get("missing", "create_invoice")}}
    if told.get("coupon"):
        params["discounts"] = [{"coupon": told["coupon"]}]
    if told.get("by_invoice"):
        params |= {"collection_method": "send_invoice", "days_until_due": 14}
    if told.get("cancel_days"):
        params["cancel_at"] = town.now + told["cancel_days"] * DAY
    made = await town.api.post("subscriptions", **params)
    town.ids[act.who, told["name"]] = made["id"]


async def _checkout(town: Town, act: Act) -> None:
    told = act.details
    params: Json = {"mode": told["mode"], "line_items": _lines(town, told["lines"]), "success_url": "http://x.example"}
    customer = told.get("customer")
    if customer is not None:
        params["customer"] = _need(town, "customer", act, "customer")["id"]
    params |= {"client_reference_id": told["user"]} if told["naming"] == "reference" else {"metadata": names(told)}
    if told["mode"] == "subscription":
        data: Json = {"metadata": names(told)} if told.get("names_subscription") else {}
        if told.get("trial_days"):
            data["trial_period_days"] = told["trial_days"]
        params |= {"subscription_data": data} if data else {}
    if told.get("coupon"):
        params["discounts"] = [{"coupon": told["coupon"]}]
    session = (await town.api.post("checkout/sessions", **params))["id"]
    town.ids[act.who, told["name"]] = session
    await pay(town, session, told["outcome"])
    found = town.standin.store.get("checkout.session", session)
    if found["subscription"]:
        town.ids[act.who, f"{told['name']}.subscription"] = found["subscription"]


async def pay(town: Town, session: str, outcome: str) -> None:
    """What a buyer does on the checkout page; RefusedError where it is closed."""
    if outcome == "fail then pay":
        await town.api.control(f"pay/{session}", outcome="fail")
        outcome = "pay"
    if outcome != "leave":
        await town.api.control(f"pay/{session}", outcome=outcome)


async def _settle(town: Town, act: Act) -> None:
    session = _need(town, "checkout.session", act, "session")
    await town.api.control(f"pay/{session['id']}", outcome=act.details["outcome"])


async def _change_item(town: Town, act: Act) -> None:
    told, subscription = act.details, _need(town, "subscription", act, "subscription")
    items = subscription["items"]["data"]
    item: Json = {"id": items[told["item"] % len(items)]["id"]}
    item |= {"price": town.price(told["price"])} if told.get("price") else {}
    item |= {"quantity": told["quantity"]} if told.get("quantity") is not None else {}
    if told.get("removed"):
        if len(items) == 1:
            raise RefusedError("a subscription keeps one item")
        item |= {"deleted": True}
    await town.api.post(
        f"subscriptions/{subscription['id']}", items=[item], proration_behavior=told.get("proration", "none")
    )


async def _add_item(town: Town, act: Act) -> None:
    told, subscription = act.details, _need(town, "subscription", act, "subscription")
    await town.api.post(
        "subscription_items",
        subscription=subscription["id"],
        price=town.price(told["price"]),
        quantity=told["quantity"],
        proration_behavior=told.get("proration", "none"),
    )


async def _cancel(town: Town, act: Act) -> None:
    subscription, how = _need(town, "subscription", act, "subscription"), act.details["how"]
    path = f"subscriptions/{subscription['id']}"
    match how:
        case "now":
            await town.api.delete(path)
        case "period_end":
            await town.api.post(path, cancel_at_period_end=True)
        case "undo":
            await town.api.post(path, cancel_at_period_end=False)
        case _:
            await town.api.post(path, cancel_at=town.now + how * DAY)


async def _pause(town: Town, act: Act) -> None:
    subscription, how = _need(town, "subscription", act, "subscription"), act.details["how"]
    path = f"subscriptions/{subscription['id']}"
    if how == "resume":
        await town.api.post(f"{path}/resume", billing_cycle_anchor="now")
    elif how == "collect":
        await town.api.post(path, pause_collection="")
    else:
        await town.api.post(path, pause_collection={"behavior": how})


async def _card(town: Town, act: Act) -> None:
    customer = _need(town, "customer", act, "customer")
    await town.api.control(f"payment_method/{customer['id']}", outcome=act.details["outcome"])


async def _invoice(town: Town, act: Act) -> None:
    subscription = _need(town, "subscription", act, "subscription")
    await town.api.post(f"invoices/{subscription['latest_invoice']}/{act.details['how']}")


def _intent(town: Town, act: Act) -> str:
    session = _need(town, "checkout.session", act, "session")
    if session["payment_intent"] is None:
        raise _MissingError("payment_intent")
    return str(session["payment_intent"])


async def _refund(town: Town, act: Act) -> None:
    told, intent = act.details, _intent(town, act)
    if told.get("status"):
        await town.api.control("refunds/next", status=told["status"])
    amount = town.standin.store.get("payment_intent", intent)["amount"]
    part = {"amount": max(1, amount // told["parts"])} if told["parts"] > 1 else {}
    made = await town.api.post("refunds", payment_intent=intent, **part)
    town.ids[act.who, told["name"]] = made["id"]


async def _move_refund(town: Town, act: Act) -> None:
    refund = _need(town, "refund", act, "refund")
    await town.api.control(f"refunds/{refund['id']}", status=act.details["status"])


async def _dispute(town: Town, act: Act) -> None:
    intent = _intent(town, act)
    made = await town.api.control("disputes", payment_intent=intent, status=act.details["status"])
    town.ids[act.who, act.details["name"]] = made["id"]


async def _close_dispute(town: Town, act: Act) -> None:
    dispute = _need(town, "dispute", act, "dispute")
    await town.api.control(f"disputes/{dispute['id']}", status=act.details["status"])


async def _delete_customer(town: Town, act: Act) -> None:
    await town.api.delete(f"customers/{_need(town, 'customer', act, 'customer')['id']}")


async def _name(town: Town, act: Act) -> None:
    """Edit the metadata that say whose something is."""
    kind, path = {"subscription": ("subscription", "subscriptions"), "customer": ("customer", "customers")}[
        act.details["kind"]
    ]
    found = _need(town, kind, act, "of")
    await town.api.post(f"{path}/{found['id']}", metadata=names(act.details))


async def _edit_price(town: Town, act: Act) -> None:
    told = act.details
    await town.api.post(f"prices/{town.price(told['price'])}", metadata={told["key"]: told["value"]})


async def _edit_product(town: Town, act: Act) -> None:
    told = act.details
    await town.api.post(f"products/{town.goods[told['product']]}", metadata={told["key"]: told["value"]})


async def _archive(town: Town, act: Act) -> None:
    await town.api.post(f"prices/{town.price(act.details['price'])}", active=act.details["active"])


AT_STRIPE: Final[dict[str, Callable[[Town, Act], Awaitable[None]]]] = {
    "customer": _customer,
    "subscribe": _subscribe,
    "checkout": _checkout,
    "settle": _settle,
    "change_item": _change_item,
    "add_item": _add_item,
    "cancel": _cancel,
    "pause": _pause,
    "card": _card,
    "invoice": _invoice,
    "refund": _refund,
    "move_refund": _move_refund,
    "dispute": _dispute,
    "close_dispute": _close_dispute,
    "delete_customer": _delete_customer,
    "name": _name,
    "edit_price": _edit_price,
    "edit_product": _edit_product,
    "archive": _archive,
}
"""Acts by name; those that are done at the writer stand in `stage`."""


async def play(town: Town, act: Act) -> None:
    """Do it, and count it: as done, or as refused where Stripe does not do that now."""
    try:
        await AT_STRIPE[act.what](town, act)
    except RefusedError:
        town.refused[act.what] += 1
    else:
        town.done[act.what] += 1
