"""Lists: newest first, filtered, a page at a time by cursor."""

from collections.abc import Iterable
from typing import Final

from sandbox.stripe.errors import invalid, missing
from sandbox.stripe.params import Params
from sandbox.stripe.shapes import JsonObject, list_of

DEFAULT_LIMIT: Final = 10
LARGEST_LIMIT: Final = 100
BOUNDS: Final = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}


def page(items: Iterable[JsonObject], params: Params, url: str, *, newest_first: bool = True) -> JsonObject:
    """One page of `items` (oldest first), as `limit`, `starting_after`, `ending_before`, `created` ask."""
    chosen = within(list(items), params, "created")
    if newest_first:
        chosen.reverse()
    limit = params.integer("limit", DEFAULT_LIMIT, minimum=1) or DEFAULT_LIMIT
    if limit > LARGEST_LIMIT:
        raise invalid("This value must be less than or equal to 100.", "limit", "parameter_invalid_integer")
    before = params.text("ending_before")
    if before is not None:
        end = _position(chosen, before, "ending_before")
        start = max(0, end - limit)
        return list_of(chosen[start:end], url, has_more=start > 0)
    after = params.text("starting_after")
    start = 0 if after is None else _position(chosen, after, "starting_after") + 1
    return list_of(chosen[start : start + limit], url, has_more=len(chosen) > start + limit)


def within(items: list[JsonObject], params: Params, name: str) -> list[JsonObject]:
    """`items` whose `name` is the sent moment, or lies within the sent `gt gte lt lte`."""
    if not params.given(name):
        return items
    if isinstance(params.values[name], str):
        return [item for item in items if item[name] == params.integer(name)]
    bounds = params.hash(name)
    for operator in bounds.values:
        if operator not in BOUNDS:
            raise invalid(f"Received unknown parameter: {bounds.named(operator)}", bounds.named(operator))
        limit = bounds.integer(operator)
        items = [item for item in items if BOUNDS[operator](item[name], limit)]
    return items


def matching(items: Iterable[JsonObject], params: Params, *names: str) -> list[JsonObject]:
    """`items` whose fields equal the parameters of the same names, where those were sent."""
    wanted = {name: params.text(name) for name in names if params.given(name)}
    return [item for item in items if all(_equal(item.get(name), value) for name, value in wanted.items())]


def _equal(value: object, wanted: str | None) -> bool:
    return str(value).lower() == wanted if isinstance(value, bool) else value == wanted


def _position(items: list[JsonObject], object_id: str, param: str) -> int:
    for index, item in enumerate(items):
        if item["id"] == object_id:
            return index
    kind = items[0]["object"] if items else "object"
    raise missing(kind, object_id, param, status=400)
