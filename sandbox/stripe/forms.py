"""Stripe's form encoding: `items[0][price]=price_1&expand[]=customer` to nested dicts and lists of strings."""

import re
from typing import Any, Final
from urllib.parse import parse_qsl

from sandbox.stripe.errors import invalid
from sandbox.stripe.shapes import JsonObject

KEY: Final = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
PART: Final = re.compile(r"\[([^\[\]]*)\]")
APPENDED: Final = "[]"


def decode(encoded: str) -> JsonObject:
    """Nested parameters; every leaf is a string. An empty string stays: it means "unset" to Stripe.

    Raises:
        StripeError: 400 when a key's brackets do not match, or one key is both a value and a hash.
    """
    tree: JsonObject = {}
    for key, value in parse_qsl(encoded, keep_blank_values=True, max_num_fields=2000):
        match = KEY.match(key)
        if match is None:
            raise invalid(f"Invalid parameter name: {key}", param=key)
        _insert(tree, [match[1], *PART.findall(match[2])], value, key)
    return {name: _with_lists(branch) for name, branch in tree.items()}


def _insert(tree: JsonObject, path: list[str], value: str, key: str) -> None:
    node = tree
    for depth, part in enumerate(path[:-1]):
        name = _slot(node, path[depth + 1 :]) if part == "" else part
        node = node.setdefault(name, {})
        if not isinstance(node, dict):
            raise invalid(f"Invalid parameter: {key} is given as a value and as a hash", param=key)
    last = path[-1] or f"{APPENDED}{len(node)}"
    if isinstance(node.get(last), dict):
        raise invalid(f"Invalid parameter: {key} is given as a value and as a hash", param=key)
    node[last] = value


def _slot(node: JsonObject, rest: list[str]) -> str:
    """`items[][price]=a&items[][price]=b` begins a new entry when a key comes again."""
    current = f"{APPENDED}{len(node) - 1}"
    if current in node and isinstance(node[current], dict) and rest[0] not in node[current]:
        return current
    return f"{APPENDED}{len(node)}"


def _with_lists(branch: Any) -> Any:
    if not isinstance(branch, dict):
        return branch
    children = {name: _with_lists(child) for name, child in branch.items()}
    if children and all(name.isdigit() for name in children):
        return [children[name] for name in sorted(children, key=int)]
    if children and all(name.startswith(APPENDED) for name in children):
        return list(children.values())
    return children
