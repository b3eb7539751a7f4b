"""Coupons, promotion codes and the discounts they give."""

from typing import Final

from sandbox.stripe.errors import invalid, required
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.listing import matching, page
from sandbox.stripe.params import Params
from sandbox.stripe.periods import boundary
from sandbox.stripe.routing import Call, Routes
from sandbox.stripe.shapes import JsonObject

DURATIONS: Final = ("forever", "once", "repeating")


def chosen_coupons(ledger: Ledger, params: Params) -> list[tuple[str, str | None]]:
    """The coupons that `discounts[]` names, each with its promotion code where one was given."""
    found: list[tuple[str, str | None]] = []
    for entry in params.hashes("discounts"):
        if entry.given("promotion_code"):
            code = ledger.store.get("promotion_code", entry.need("promotion_code"), entry.named("promotion_code"))
            if not code["active"]:
                raise invalid("This promotion code is inactive.", entry.named("promotion_code"))
            found.append((code["promotion"]["coupon"], code["id"]))
        else:
            coupon = ledger.store.get("coupon", entry.need("coupon"), entry.named("coupon"))
            if not coupon["valid"]:
                raise invalid(f"Coupon expired: {coupon['id']}", entry.named("coupon"), "coupon_expired")
            found.append((coupon["id"], None))
    return found


def new_discount(
    ledger: Ledger,
    coupon_id: str,
    code: str | None,
    customer: str | None,
    *,
    subscription: str | None = None,
    session: str | None = None,
) -> JsonObject:
    """A coupon put to use."""
    coupon, now = ledger.store.get("coupon", coupon_id), ledger.clock.now()
    coupon["times_redeemed"] += 1
    months = coupon["duration_in_months"]
    end = boundary(now, {"interval": "month", "interval_count": 1}, months) if months else None
    discount = ledger.new(
        "discount",
        "di",
        checkout_session=session,
        customer=customer,
        end=end,
        invoice=None,
        invoice_item=None,
        promotion_code=code,
        source={"coupon": coupon_id, "type": "coupon"},
        start=now,
        subscription=subscription,
        subscription_item=None,
    )
    del discount["created"], discount["livemode"]
    return discount


def taken_off(ledger: Ledger, discounts: list[str], subtotal: int) -> list[JsonObject]:
    """What each discount takes off `subtotal`, in the currency's smallest unit."""
    amounts, left = [], max(0, subtotal)
    for name in discounts:
        coupon = ledger.store.get("discount", name)["source"]["coupon"]
        off = min(left, coupon_amount(ledger, coupon, left))
        left -= off
        amounts.append({"amount": off, "discount": name})
    return amounts


def coupon_amount(ledger: Ledger, coupon_id: str, amount: int) -> int:
    """What a coupon takes off `amount`."""
    coupon = ledger.store.get("coupon", coupon_id)
    percent = coupon["percent_off"]
    return round(amount * percent / 100) if percent is not None else int(coupon["amount_off"])


def lasting(ledger: Ledger, discounts: list[str]) -> list[str]:
    """The discounts that also count for the next invoice."""
    now, kept = ledger.clock.now(), []
    for name in discounts:
        discount = ledger.store.get("discount", name)
        once = ledger.store.get("coupon", discount["source"]["coupon"])["duration"] == "once"
        if not once and (discount["end"] is None or discount["end"] > now):
            kept.append(name)
    return kept


def _create_coupon(ledger: Ledger, call: Call) -> JsonObject:
    params = call.params
    percent = params.text("percent_off")
    if percent is None and not params.given("amount_off"):
        raise required("percent_off")
    coupon = ledger.new(
        "coupon",
        "coupon",
        id=params.text("id") or ledger.store.new_id("x", 8)[2:],
        amount_off=params.integer("amount_off"),
        currency=params.text("currency"),
        duration=params.choice("duration", DURATIONS, "once"),
        duration_in_months=params.integer("duration_in_months"),
        max_redemptions=params.integer("max_redemptions"),
        metadata=params.metadata(),
        name=params.text("name"),
        percent_off=None if percent is None else float(percent),
        redeem_by=params.integer("redeem_by"),
        times_redeemed=0,
        valid=True,
    )
    ledger.emit("coupon.created", coupon)
    return coupon


def _create_code(ledger: Ledger, call: Call) -> JsonObject:
    params = call.params
    promotion = params.hash("promotion")
    name = promotion.text("coupon") or params.text("coupon")
    if name is None:
        raise required("promotion[coupon]")
    ledger.store.get("coupon", name, "promotion[coupon]")
    code = ledger.new(
        "promotion_code",
        "promo",
        active=params.flag("active", default=True),
        code=params.text("code") or ledger.store.new_id("x", 8)[2:].upper(),
        customer=params.text("customer"),
        expires_at=params.integer("expires_at"),
        max_redemptions=params.integer("max_redemptions"),
        metadata=params.metadata(),
        promotion={"coupon": name, "type": "coupon"},
        restrictions={"first_time_transaction": False, "minimum_amount": None, "minimum_amount_currency": None},
        times_redeemed=0,
    )
    ledger.emit("promotion_code.created", code)
    return code


def _delete_coupon(ledger: Ledger, call: Call) -> JsonObject:
    coupon = ledger.store.get("coupon", call.id)
    coupon["valid"] = False
    ledger.emit("coupon.deleted", coupon)
    return {"id": coupon["id"], "object": "coupon", "deleted": True}


def _list_coupons(ledger: Ledger, call: Call) -> JsonObject:
    return page(ledger.store.all("coupon"), call.params, call.path)


def _list_codes(ledger: Ledger, call: Call) -> JsonObject:
    return page(matching(ledger.store.all("promotion_code"), call.params, "code", "active"), call.params, call.path)


def _retrieve_coupon(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get("coupon", call.id)


def _retrieve_code(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get("promotion_code", call.id)


ROUTES: Routes = (
    ("POST", "/v1/coupons", _create_coupon),
    ("GET", "/v1/coupons", _list_coupons),
    ("GET", "/v1/coupons/{id}", _retrieve_coupon),
    ("DELETE", "/v1/coupons/{id}", _delete_coupon),
    ("POST", "/v1/promotion_codes", _create_code),
    ("GET", "/v1/promotion_codes", _list_codes),
    ("GET", "/v1/promotion_codes/{id}", _retrieve_code),
)
