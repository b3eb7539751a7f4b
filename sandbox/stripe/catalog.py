"""Products, prices, and the entitlement features attached to products."""

from typing import Final

from sandbox.stripe.amounts import MODES, tiers_of
from sandbox.stripe.errors import invalid, missing, required
from sandbox.stripe.ledger import Ledger
from sandbox.stripe.listing import matching, page
from sandbox.stripe.params import Params
from sandbox.stripe.routing import Call, Routes
from sandbox.stripe.shapes import JsonObject, copied

INTERVALS: Final = ("day", "week", "month", "year")


def _new_product(ledger: Ledger, params: Params) -> JsonObject:
    product = ledger.new(
        "product",
        "prod",
        id=params.text("id"),
        active=params.flag("active", default=True),
        default_price=None,
        description=params.text("description"),
        images=params.texts("images"),
        marketing_features=[{"name": entry.need("name")} for entry in params.hashes("marketing_features")],
        metadata=params.metadata(),
        name=params.need("name"),
        package_dimensions=None,
        shippable=None,
        statement_descriptor=params.text("statement_descriptor"),
        tax_code=params.text("tax_code"),
        unit_label=params.text("unit_label"),
        updated=ledger.clock.now(),
        url=params.text("url"),
    )
    ledger.emit("product.created", product)
    return product


def new_price(ledger: Ledger, params: Params) -> JsonObject:
    """A price with `params`, of a product that is named or described in `product_data`; announced."""
    store, recurring = ledger.store, params.hash("recurring")
    currency = params.need("currency").lower()
    scheme = params.choice("billing_scheme", ("per_unit", "tiered"), "per_unit")
    tiers = tiers_of(params) if scheme == "tiered" else None
    amount = None if tiers else _amount(params)
    if params.given("product"):
        product = store.get("product", params.need("product"), params.named("product"))
    elif params.given("product_data"):
        product = _new_product(ledger, params.hash("product_data"))
    else:
        raise required(params.named("product"))
    price = ledger.new(
        "price",
        "price",
        active=params.flag("active", default=True),
        billing_scheme=scheme,
        currency=currency,
        custom_unit_amount=None,
        lookup_key=_claim_lookup_key(ledger, params),
        metadata=params.metadata(),
        nickname=params.text("nickname"),
        product=product["id"],
        recurring=_recurring(recurring) if recurring.values else None,
        tax_behavior=params.text("tax_behavior", "unspecified"),
        tiers_mode=params.choice("tiers_mode", MODES) if tiers else None,
        transform_quantity=None,
        type="recurring" if recurring.values else "one_time",
        unit_amount=amount,
        unit_amount_decimal=None if amount is None else str(amount),
    )
    if tiers:
        store.note("tiers")[price["id"]] = tiers
    ledger.emit("price.created", price)
    return price


def _amount(params: Params) -> int:
    amount = params.integer("unit_amount", minimum=0)
    if amount is None and params.given("unit_amount_decimal"):
        amount = round(float(params.need("unit_amount_decimal")))
    if amount is None:
        raise required(params.named("unit_amount"))
    return amount


def _recurring(params: Params) -> JsonObject:
    params.need("interval")
    return {
        "interval": params.choice("interval", INTERVALS),
        "interval_count": params.integer("interval_count", 1, minimum=1),
        "meter": params.text("meter"),
        "usage_type": params.choice("usage_type", ("licensed", "metered"), "licensed"),
    }


def _claim_lookup_key(ledger: Ledger, params: Params) -> str | None:
    key = params.text("lookup_key")
    for holder in ledger.store.where("price", lookup_key=key) if key else ():
        if not params.flag("transfer_lookup_key"):
            raise invalid(f"A price (`{holder['id']}`) already uses that lookup key.", params.named("lookup_key"))
        with ledger.changing(holder, "price.updated"):
            holder["lookup_key"] = None
    return key


def _create_product(ledger: Ledger, call: Call) -> JsonObject:
    if call.params.given("id") and ledger.store.find("product", call.params.need("id")):
        raise invalid("Product already exists.", "id", "resource_already_exists")
    product = _new_product(ledger, call.params)
    data = call.params.hash("default_price_data")
    if data.values:
        price = new_price(ledger, Params(data.values | {"product": product["id"]}, data.path))
        with ledger.changing(product, "product.updated"):
            product["default_price"] = price["id"]
    return product


def _update_product(ledger: Ledger, call: Call) -> JsonObject:
    product, params = ledger.store.get("product", call.id), call.params
    with ledger.changing(product, "product.updated"):
        for name in ("name", "description", "default_price", "tax_code", "unit_label", "url", "statement_descriptor"):
            if name in params:
                product[name] = params.text(name)
        if "active" in params:
            product["active"] = params.flag("active")
        if "marketing_features" in params:
            product["marketing_features"] = [{"name": one.need("name")} for one in params.hashes("marketing_features")]
        if "images" in params:
            product["images"] = params.texts("images")
        product["metadata"] = params.metadata(product["metadata"])
        product["updated"] = ledger.clock.now()
    return product


def _delete_product(ledger: Ledger, call: Call) -> JsonObject:
    product = ledger.store.get("product", call.id)
    if ledger.store.where("price", product=product["id"]):
        raise invalid("This product cannot be deleted because it has one or more user-created prices.")
    ledger.emit("product.deleted", product)
    ledger.store.remove("product", product["id"])
    gone = {"id": product["id"], "object": "product", "deleted": True}
    ledger.store.note("deleted")[product["id"]] = gone
    return gone


def _list_products(ledger: Ledger, call: Call) -> JsonObject:
    found = matching(ledger.store.all("product"), call.params, "active", "url")
    wanted = call.params.texts("ids")
    return page([one for one in found if not wanted or one["id"] in wanted], call.params, call.path)


def _create_price(ledger: Ledger, call: Call) -> JsonObject:
    return new_price(ledger, call.params)


def _update_price(ledger: Ledger, call: Call) -> JsonObject:
    price, params = ledger.store.get("price", call.id), call.params
    with ledger.changing(price, "price.updated"):
        if "active" in params:
            price["active"] = params.flag("active")
        if "nickname" in params:
            price["nickname"] = params.text("nickname")
        if "lookup_key" in params:
            price["lookup_key"] = _claim_lookup_key(ledger, params)
        price["metadata"] = params.metadata(price["metadata"])
    for item in ledger.store.all("subscription_item"):
        if item["price"]["id"] == price["id"]:
            item["price"] = copied(price)
    return price


def _list_prices(ledger: Ledger, call: Call) -> JsonObject:
    found = matching(ledger.store.all("price"), call.params, "active", "currency", "product", "type")
    keys = call.params.texts("lookup_keys")
    recurring = call.params.hash("recurring").values
    chosen = [
        one
        for one in found
        if (not keys or one["lookup_key"] in keys)
        and all((one["recurring"] or {}).get(name) == value for name, value in recurring.items())
    ]
    return page(chosen, call.params, call.path)


def _create_feature(ledger: Ledger, call: Call) -> JsonObject:
    key = call.params.need("lookup_key")
    if ledger.store.where("entitlements.feature", lookup_key=key):
        raise invalid(f"An active feature already uses the lookup key `{key}`.", "lookup_key")
    feature = ledger.new(
        "entitlements.feature",
        "feat",
        active=True,
        lookup_key=key,
        metadata=call.params.metadata(),
        name=call.params.need("name"),
    )
    del feature["created"]
    return feature


def _update_feature(ledger: Ledger, call: Call) -> JsonObject:
    feature, params = ledger.store.get("entitlements.feature", call.id), call.params
    feature["active"] = params.flag("active", default=feature["active"])
    feature["name"] = params.text("name", feature["name"])
    feature["metadata"] = params.metadata(feature["metadata"])
    for attached in ledger.store.all("product_feature"):
        if attached["entitlement_feature"]["id"] == feature["id"]:
            ledger.store.put(attached | {"entitlement_feature": dict(feature)})
    return ledger.store.put(feature)


def _list_features(ledger: Ledger, call: Call) -> JsonObject:
    archived = call.params.flag("archived")
    found = matching(ledger.store.all("entitlements.feature"), call.params, "lookup_key")
    return page([one for one in found if one["active"] is not archived], call.params, call.path)


def _attach_feature(ledger: Ledger, call: Call) -> JsonObject:
    product = ledger.store.get("product", call.id)
    param = "entitlement_feature"
    feature = ledger.store.get("entitlements.feature", call.params.need(param), param)
    if not feature["active"]:
        raise invalid(f"The feature `{feature['id']}` is archived and cannot be attached to a product.", param)
    if any(one["entitlement_feature"]["id"] == feature["id"] for one in _attached_to(ledger, product["id"])):
        raise invalid(f"The feature `{feature['id']}` is already attached to this product.", param)
    attached = ledger.new("product_feature", "prodft", entitlement_feature=dict(feature))
    del attached["created"]
    ledger.store.note("product_of_feature")[attached["id"]] = product["id"]
    with ledger.changing(product, "product.updated"):
        product["updated"] = ledger.clock.now()
    return attached


def _attached_to(ledger: Ledger, product_id: str) -> list[JsonObject]:
    owner = ledger.store.note("product_of_feature")
    return [one for one in ledger.store.all("product_feature") if owner.get(one["id"]) == product_id]


def _features_of(ledger: Ledger, call: Call) -> JsonObject:
    product = ledger.store.get("product", call.id)
    return page(_attached_to(ledger, product["id"]), call.params, call.path)


def _retrieve_attached(ledger: Ledger, call: Call) -> JsonObject:
    product, wanted = ledger.store.get("product", call.id), call.args["feature"]
    for one in _attached_to(ledger, product["id"]):
        if one["id"] == wanted:
            return one
    raise missing("product_feature", wanted, "id", status=404)


def _detach_feature(ledger: Ledger, call: Call) -> JsonObject:
    attached = _retrieve_attached(ledger, call)
    ledger.store.remove("product_feature", attached["id"])
    return {"id": attached["id"], "object": "product_feature", "deleted": True}


def _retrieve_product(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get("product", call.id)


def _retrieve_price(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get("price", call.id)


def _retrieve_feature(ledger: Ledger, call: Call) -> JsonObject:
    return ledger.store.get("entitlements.feature", call.id)


ROUTES: Routes = (
    ("POST", "/v1/products", _create_product),
    ("GET", "/v1/products", _list_products),
    ("GET", "/v1/products/{id}", _retrieve_product),
    ("POST", "/v1/products/{id}", _update_product),
    ("DELETE", "/v1/products/{id}", _delete_product),
    ("GET", "/v1/products/{id}/features", _features_of),
    ("POST", "/v1/products/{id}/features", _attach_feature),
    ("GET", "/v1/products/{id}/features/{feature}", _retrieve_attached),
    ("DELETE", "/v1/products/{id}/features/{feature}", _detach_feature),
    ("POST", "/v1/prices", _create_price),
    ("GET", "/v1/prices", _list_prices),
    ("GET", "/v1/prices/{id}", _retrieve_price),
    ("POST", "/v1/prices/{id}", _update_price),
    ("POST", "/v1/entitlements/features", _create_feature),
    ("GET", "/v1/entitlements/features", _list_features),
    ("GET", "/v1/entitlements/features/{id}", _retrieve_feature),
    ("POST", "/v1/entitlements/features/{id}", _update_feature),
)
