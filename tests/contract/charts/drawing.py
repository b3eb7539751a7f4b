"""Values drawn from a chart's own schema: whatever it takes must render, or be refused in words."""

from typing import Any, Final

from hypothesis import strategies as st

from tests.contract.charts.shapes import Schema

_TEXTS: Final = st.one_of(
    st.sampled_from(
        ["", "yes", "null", "1e3", "0x1F", "~", "a: b", "- a", "{{ x }}", "it's", '"', "#", "*x", "a\\b", "é"]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12),
)
"""What YAML reads as something else where it is not quoted."""


def drawn(schema: Schema) -> st.SearchStrategy[Any] | None:
    """Values that fit a schema; None where it says too little to draw something that Kubernetes takes."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    if "anyOf" in schema:
        return _any([drawn(one) for one in schema["anyOf"]])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return _any([_of(kind, schema) for kind in kinds])


def _any(found: list[st.SearchStrategy[Any] | None]) -> st.SearchStrategy[Any] | None:
    """One of them; None where one is not to be drawn."""
    known = [one for one in found if one is not None]
    return st.one_of(known) if len(known) == len(found) else None


def _of(kind: str, schema: Schema) -> st.SearchStrategy[Any] | None:
    match kind:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "integer" | "number":
            least = schema.get("minimum", 1)
            return st.integers(least, schema.get("maximum", least + 100_000))
        case "string":
            return _text(schema)
        case "array":
            items = drawn(schema["items"])
            return None if items is None else st.lists(items, min_size=schema.get("minItems", 0), max_size=2)
        case _:
            return _object(schema)


def _text(schema: Schema) -> st.SearchStrategy[str]:
    if "pattern" not in schema:
        return _TEXTS
    pattern = schema["pattern"].removeprefix("^").removesuffix("$")
    texts = st.from_regex(pattern, fullmatch=True, alphabet=st.characters(min_codepoint=32, max_codepoint=126))
    refused = schema.get("not", {}).get("const")
    return texts.filter(lambda text: text != refused and len(text) < 200)


def _object(schema: Schema) -> st.SearchStrategy[dict[str, Any]] | None:
    if "properties" not in schema:
        if "propertyNames" not in schema:
            return None
        return st.dictionaries(_text(schema["propertyNames"]), _text(schema["additionalProperties"]), max_size=2)
    parts = {name: drawn(each) for name, each in schema["properties"].items() if each is not False}
    if any(each is None for each in parts.values()) or "oneOf" in schema:
        return None
    known = {name: each for name, each in parts.items() if each is not None}
    required = {name: each for name, each in known.items() if name in schema.get("required", ())}
    return st.fixed_dictionaries(required, optional={k: v for k, v in known.items() if k not in required})
