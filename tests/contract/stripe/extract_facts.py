"""Make two extracts of Stripe's OpenAPI description: `python extract_facts.py spec3.json FACTS PARAMETERS`.

FACTS is `openapi_facts.json` beside this file, PARAMETERS is `sandbox/stripe/parameters.json`: the names that each
request may send, by which the stand-in refuses others as Stripe does.

A fact is a name, whether it is required, and what types it may have. Stripe publishes the description at
github.com/stripe/openapi. Run this again when the API version that the service pins moves on.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any, Final

ROOTS: Final = (
    "balance",
    "billing_portal.configuration",
    "billing_portal.session",
    "charge",
    "checkout.session",
    "coupon",
    "customer",
    "discount",
    "dispute",
    "entitlements.feature",
    "event",
    "invoice",
    "invoice_payment",
    "item",
    "line_item",
    "payment_intent",
    "payment_method",
    "price",
    "product",
    "product_feature",
    "promotion_code",
    "refund",
    "subscription",
    "subscription_item",
    "subscription_schedule",
    "test_helpers.test_clock",
    "webhook_endpoint",
)
KEPT_METHODS: Final = {"card", "sepa_debit"}
METHOD_UNIONS: Final = {"payment_method", "payment_method_details", "dispute_payment_method_details"}
"""Unions over every payment method: two branches stand for all."""
OPAQUE: Final = {
    "api_errors",
    "checkout_session_payment_method_options",
    "invoices_payment_method_options",
    "payment_intent_next_action",
    "payment_intent_payment_method_options",
    "payment_intent_processing",
    "payment_pages_checkout_session_shipping_address_collection",
    "payment_pages_checkout_session_custom_fields",
    "payment_pages_checkout_session_tax_id",
    "invoices_resource_invoice_tax_id",
    "payment_method_card_generated_card",
    "payment_method_card_wallet",
    "payment_method_details_card_wallet",
    "refund_destination_details",
    "subscriptions_resource_payment_method_options",
}
"""Followed no further: long, and nothing here reads them."""

SERVED: Final = tuple(
    f"/v1/{name}"
    for name in (
        "billing_portal/",
        "charges",
        "checkout/",
        "coupons",
        "customers",
        "disputes",
        "entitlements/",
        "events",
        "invoice_payments",
        "invoiceitems",
        "invoices",
        "payment_intents",
        "prices",
        "products",
        "promotion_codes",
        "refunds",
        "subscription_items",
        "subscription_schedules",
        "subscriptions",
        "test_helpers/test_clocks",
        "webhook_endpoints",
    )
)
DEPTH: Final = 3
"""Objects within objects are followed so far; what lies deeper is only named."""

Json = dict[str, Any]


def fact(schema: Json) -> Json:
    """One field's types: JSON types, `ref:NAME` for a described object, values of an enum."""
    if "$ref" in schema:
        return {"types": [f"ref:{schema['$ref'].rsplit('/', maxsplit=1)[-1]}"]}
    if "anyOf" in schema:
        found = [fact(branch) for branch in schema["anyOf"]]
        merged: Json = {"types": sorted({name for one in found for name in one["types"]})}
    elif schema.get("type") == "array":
        merged = {"types": ["array"], "items": fact(schema["items"])}
    elif schema.get("type") == "object" and "data" in schema.get("properties", {}):
        merged = {"types": ["list"], "items": fact(schema["properties"]["data"]["items"])}
    else:
        merged = {"types": [schema.get("type", "object")]}
    if "enum" in schema:
        merged["enum"] = schema["enum"]
    if schema.get("nullable"):
        merged["nullable"] = True
    return merged


def described(name: str, schema: Json) -> Json:
    """The facts of one object."""
    properties: Json = schema.get("properties", {})
    if name in METHOD_UNIONS:
        methods = {field for field in properties if field in METHODS}
        properties = {field: value for field, value in properties.items() if field not in methods - KEPT_METHODS}
    fields = {field: fact(value) for field, value in sorted(properties.items())}
    return {"fields": fields, "required": sorted(schema.get("required", []))}


def referenced(facts: Json) -> set[str]:
    """Every object that the facts name."""
    text = json.dumps(facts)
    return {part.split('"', maxsplit=1)[0] for part in text.split('"ref:')[1:]}


METHODS: set[str] = set()


def extract(spec: Json) -> Json:
    """The facts of all roots and of what they are made of; other resources are named, not followed."""
    schemas = spec["components"]["schemas"]
    METHODS.update(schemas["payment_method"]["properties"]["type"]["enum"])
    resources = {name for name, one in schemas.items() if "id" in one.get("properties", {})}
    objects: Json = {}
    level = set(ROOTS)
    for _ in range(DEPTH):
        found: set[str] = set()
        for name in level:
            objects[name] = described(name, schemas[name])
            found |= referenced(objects[name]) - resources - OPAQUE
        level = {one for one in found - set(objects) if "properties" in schemas[one]}
    hook = spec["paths"]["/v1/webhook_endpoints"]["post"]["requestBody"]["content"]
    body = hook["application/x-www-form-urlencoded"]["schema"]
    types = body["properties"]["enabled_events"]["items"]["enum"]
    return {"api_version": spec["info"]["version"], "event_types": sorted(set(types) - {"*"}), "objects": objects}


def parameters(spec: Json) -> dict[str, list[str]]:
    """The parameters of each request that the stand-in serves, by method and path with its ids as `{}`."""
    found: dict[str, list[str]] = {}
    for path, methods in spec["paths"].items():
        if not path.startswith(SERVED):
            continue
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/x-www-form-urlencoded", {})
            names = set(body.get("schema", {}).get("properties", {}))
            names |= {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
            found[f"{method.upper()} {re.sub('{[^}]*}', '{}', path)}"] = sorted(names)
    return found


def main() -> None:
    """Read the description, write the facts."""
    source, target, names = (Path(name) for name in sys.argv[1:4])
    spec = json.loads(source.read_text())
    facts = extract(spec)
    lines = [f"{json.dumps(name)}:{json.dumps(sent)}" for name, sent in sorted(parameters(spec).items())]
    names.write_text("{" + ",\n".join(lines) + "}\n")
    target.write_text(json.dumps(facts, sort_keys=True, separators=(",", ":")).replace('},"', '},\n"') + "\n")


if __name__ == "__main__":
    main()
