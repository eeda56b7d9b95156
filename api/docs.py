"""The API reference as one self-contained page, rendered from the OpenAPI document: it works without internet."""

import json
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #0a7d55; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 1.5rem; }
h1 { margin-bottom: 0; } h2 { border-bottom: 1px solid var(--line); margin-top: 2.5rem; }
nav a { margin-right: 1rem; } a { color: var(--accent); }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; }
summary { cursor: pointer; padding: .5rem .75rem; } details > div { padding: 0 .75rem .75rem; }
.method { display: inline-block; font-weight: 700; width: 3.5rem; color: var(--accent); }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { background: var(--soft); border-radius: 6px; overflow-x: auto; padding: .75rem; }
table { border-collapse: collapse; width: 100%; } td, th { border-top: 1px solid var(--line); padding: .3rem .5rem;
text-align: left; vertical-align: top; } .said { float: right; opacity: .75; }
"""


def render(document: dict[str, Any]) -> str:
    """HTML of the whole document: operations by tag, each with parameters, body, answers and examples."""
    tags = [tag["name"] for tag in document.get("tags", [])]
    sections = "".join(_section(tag, document) for tag in document.get("tags", []))
    links = "".join(f'<a href="#{escape(tag)}">{escape(tag)}</a>' for tag in tags)
    title = escape(f"{document['info']['title']} API {document['info']['version']}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        f"<h1>{title}</h1><p>{_prose(document['info'].get('description', ''))}</p><p>Send the token as "
        f"<code>Authorization: Bearer …</code>. The same as a document: "
        f'<a href="/api/v1/openapi.json">openapi.json</a>.</p>'
        f"<nav>{links}</nav>{sections}</body></html>"
    )


def _section(tag: dict[str, Any], document: dict[str, Any]) -> str:
    found = [
        _operation(method, path, operation, document)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if tag["name"] in operation.get("tags", [])
    ]
    name = escape(tag["name"])
    return f'<h2 id="{name}">{name}</h2><p>{_prose(tag.get("description", ""))}</p>{"".join(found)}'


def _operation(method: str, path: str, operation: dict[str, Any], document: dict[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {})
    answers = "".join(_answer(status, answer) for status, answer in operation["responses"].items())
    return (
        f'<details id="{escape(operation["operationId"])}"><summary><span class="method">{method.upper()}</span>'
        f'<code>{escape(path)}</code><span class="said">{escape(operation.get("summary", ""))}</span></summary><div>'
        f"<p>{_prose(operation.get('description', ''))}</p>{_parameters(operation.get('parameters', []))}"
        f"{_body(body, document)}<h4>Answers</h4>{answers}</div></details>"
    )


def _parameters(parameters: list[dict[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(each['in'])}"
        f"{', required' if each.get('required') else ''}</td><td>{escape(_kind(each.get('schema', {})))}</td>"
        f"<td>{_prose(each.get('description', ''))}</td></tr>"
        for each in parameters
    )
    return f"<h4>Parameters</h4><table>{rows}</table>" if rows else ""


def _body(content: dict[str, Any], document: dict[str, Any]) -> str:
    if not content:
        return ""
    media = next(iter(content.values()))
    schema = _model(media.get("schema", {}), document)
    required = schema.get("required", [])
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{'required' if name in required else ''}</td>"
        f"<td>{escape(_kind(field))}</td><td>{_prose(field.get('description', ''))}</td></tr>"
        for name, field in schema.get("properties", {}).items()
    )
    return f"<h4>Body</h4><table>{rows}</table>{_example(media)}"


def _model(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    for option in (schema, *schema.get("anyOf", [])):
        if "$ref" in option:
            found: dict[str, Any] = document["components"]["schemas"][option["$ref"].rsplit("/", 1)[-1]]
            return found
    return schema


def _answer(status: str, answer: dict[str, Any]) -> str:
    examples = "".join(_example(media) for media in answer.get("content", {}).values())
    return f"<p><b>{escape(status)}</b> {_prose(answer.get('description', ''))}</p>{examples}"


def _example(media: dict[str, Any]) -> str:
    if "example" not in media:
        return ""
    return f"<pre>{escape(json.dumps(media['example'], indent=2, ensure_ascii=False))}</pre>"


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[-1])
    if "anyOf" in schema:
        return " or ".join(_kind(option) for option in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return " ".join(str(schema[key]) for key in ("type", "format") if key in schema)


def _prose(text: str) -> str:
    """Escaped, with `code` marked as such."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
