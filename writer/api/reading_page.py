"""The OpenAPI document as one page of plain HTML: no script, nothing loaded, readable on a phone and printed."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

import orjson

_METHODS: Final = ("get", "post", "put", "patch", "delete")
_KEYS: Final = {"projectKey": "project key", "adminKey": "admin key", "stripeSignature": "Stripe's signature"}

STYLE: Final = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:62rem;padding:1rem}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin:2rem 0 .5rem;text-transform:capitalize}
nav ul{columns:14rem;padding:0;list-style:none}nav a{text-decoration:none}
details{border:1px solid var(--line);border-radius:.4rem;margin:.4rem 0;padding:.3rem .7rem}
details details{border:0;border-top:1px solid var(--line);border-radius:0;padding:.3rem 0}
summary{cursor:pointer;overflow-wrap:anywhere}
.method{display:inline-block;min-width:4.2rem;font-weight:700}
code,pre{font:.9em ui-monospace,monospace}
pre{background:var(--soft);overflow:auto;padding:.6rem;white-space:pre-wrap;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;margin:.4rem 0}
th,td{border-bottom:1px solid var(--line);padding:.25rem .5rem .25rem 0;text-align:left;vertical-align:top}
td{overflow-wrap:anywhere}
"""


def render(document: Mapping[str, Any]) -> str:
    """The page."""
    info = document["info"]
    by_tag: dict[str, list[str]] = defaultdict(list)
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                by_tag[methods[method]["tags"][0]].append(_operation(method, path, methods[method]))
    title = escape(info["title"])
    tags = "".join(f'<li><a href="#{escape(tag)}">{escape(tag)}</a></li>' for tag in by_tag)
    sections = "".join(
        f'<section><h2 id="{escape(tag)}">{escape(tag)}</h2>{"".join(operations)}</section>'
        for tag, operations in by_tag.items()
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head><body>'
        f"<header><h1>{title} {escape(info['version'])}</h1><p>{escape(info['description'])} "
        f'For programs: <a href="/openapi.json">/openapi.json</a>.</p></header>'
        f'<nav aria-label="Groups"><ul>{tags}<li><a href="#schemas">schemas</a></li></ul></nav><main>{sections}'
        f'<section><h2 id="schemas">schemas</h2>{_schemas(document)}</section></main></body></html>'
    )


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parts = [f"<p>{escape(operation['description'])}</p>" if "description" in operation else ""]
    named = [_KEYS[name] for one in operation["security"] for name in one]
    parts.append(f"<p>Takes: {' or '.join(named) or 'no key'}.</p>")
    if "parameters" in operation:
        parts.append(_table(("parameter", "in", "what", "form"), _parameters(operation["parameters"])))
    if "requestBody" in operation:
        for media, content in operation["requestBody"]["content"].items():
            parts.append(f"<p>Body, <code>{escape(media)}</code>: {_form(content['schema'])}</p>")
    parts.append(_table(("status", "what", "form"), _responses(operation["responses"])))
    head = f'<span class="method">{method.upper()}</span> <code>{escape(path)}</code> — {escape(operation["summary"])}'
    return f'<details id="{escape(operation["operationId"])}"><summary>{head}</summary>{"".join(parts)}</details>'


def _parameters(parameters: list[Any]) -> Iterator[tuple[str, ...]]:
    for one in parameters:
        name = f"<code>{escape(one['name'])}</code>{' (required)' if one['required'] else ''}"
        yield name, escape(one["in"]), _words(one["description"]), _form(one["schema"])


def _responses(responses: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for status, response in responses.items():
        forms = [] if status >= "400" else [_form(one["schema"]) for one in response.get("content", {}).values()]
        yield escape(status), _words(response["description"]), "".join(forms)


def _schemas(document: Mapping[str, Any]) -> str:
    return "".join(
        f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f"<pre>{_json(schema)}</pre></details>"
        for name, schema in sorted(document["components"]["schemas"].items())
    )


def _form(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#schema-{name}"><code>{name}</code></a>'
    return f"<code>{_json(schema, indent=False)}</code>"


def _words(text: str) -> str:
    """Text with `code` marked."""
    return "".join(
        f"<code>{escape(part)}</code>" if index % 2 else escape(part) for index, part in enumerate(text.split("`"))
    )


def _table(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    head = "".join(f'<th scope="col">{one}</th>' for one in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _json(value: Any, *, indent: bool = True) -> str:
    return escape(orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else 0).decode())
