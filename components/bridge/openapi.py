"""The API's own description: an OpenAPI document from the table of routes, and a page to read it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from components.bridge.answers import ErrorAnswer
from components.bridge.signing import NONCE_HEADER, SIGNATURE_HEADER, TIME_HEADER

LARGEST_BODY_BYTES = 2 * 1024 * 1024
_REFERENCE = "#/components/schemas/{model}"
_ERRORS = {
    "400": "A part of the request is wrong; the answer names the field.",
    "401": "Not signed, or not acceptably: missing_header, bad_header, bad_signature, clock_drift, replayed. Carries the server's time.",
    "404": "What the request names does not exist.",
    "409": "Refused; the code names the rule.",
    "413": "The body is larger than 2 MB, or that of a whole book larger than 12 MB.",
    "503": "Retry later, with the same ids.",
}


@dataclass(frozen=True)
class Route:
    """One row of the API's table: `function(bridge, sent, *path_arguments)` where `sent` is the checked `body` or `query`."""

    method: str
    path: str
    summary: str
    function: Callable[..., Any]
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    is_signed: bool = True
    largest_body_bytes: int = LARGEST_BODY_BYTES
    media_type: str = "application/json"

    @property
    def open_path(self) -> str:
        """The path with its arguments in braces."""
        return re.sub(r"<([a-z_]+)>", r"{\1}", self.path)


def openapi_document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """OpenAPI 3.1 of the routes."""
    models: set[type[BaseModel]] = {ErrorAnswer}
    for route in routes:
        models |= {model for model in (route.body, route.query, route.answer) if model is not None and model is not BaseModel}
    listed = sorted(models, key=lambda model: model.__name__)
    _, definitions = models_json_schema([(model, "validation") for model in listed], ref_template=_REFERENCE)
    schemas = definitions["$defs"]
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.open_path, {})[route.method.lower()] = _operation(route, schemas)
    signature = {
        name: {"type": "apiKey", "in": "header", "name": name, "description": text}
        for name, text in (
            (TIME_HEADER, "Sender's clock, epoch milliseconds UTC."),
            (NONCE_HEADER, "8 to 64 of A-Za-z0-9_-, never used twice."),
            (
                SIGNATURE_HEADER,
                "Hexadecimal HMAC-SHA256 over METHOD, path with query, time, nonce and hexadecimal SHA-256 of the body, one per line.",
            ),
        )
    }
    description = (
        "Loopback API between the platform and MetaTrader 5 terminals. Requests are signed with the key in the file api_key of the platform's home. Times are epoch"
        " milliseconds UTC, prices JSON numbers, tickets strings. Every request may be repeated: ids are the sender's, and what is known is ignored."
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Sequence FX", "version": version, "description": description},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": signature},
    }


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    codes = [code for code in _ERRORS if route.is_signed or code == "503"]
    error = {"application/json": {"schema": {"$ref": _REFERENCE.format(model="ErrorAnswer")}}}
    answers: dict[str, Any] = {code: {"description": _ERRORS[code], "content": error} for code in codes}
    schema = {"$ref": _REFERENCE.format(model=route.answer.__name__)} if route.answer is not None else {}
    answers["200"] = {"description": "Done.", "content": {route.media_type: {"schema": schema}}}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in re.findall(r"{([a-z_]+)}", route.open_path)
    ]
    if route.query is not None:
        described = schemas[route.query.__name__]
        for name, schema in described["properties"].items():
            parameters.append({"name": name, "in": "query", "required": name in described.get("required", []), "schema": schema})
    operation: dict[str, Any] = {"summary": route.summary, "operationId": route.function.__name__, "responses": dict(sorted(answers.items()))}
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        name = route.body.__name__
        schema = {"$ref": _REFERENCE.format(model=name)} if name in schemas else {"type": "object"}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if route.is_signed:
        operation["security"] = [{TIME_HEADER: [], NONCE_HEADER: [], SIGNATURE_HEADER: []}]
    return operation


_STYLE = """
:root{color-scheme:dark}body{background:#040a06;color:#b8e6c4;font:15px/1.55 ui-monospace,Menlo,Consolas,monospace;margin:0 auto;max-width:70rem;padding:2rem}
h1,h2,h3,a,code{color:#00ff66}h1{letter-spacing:.08em}section{border:1px solid #0d4d26;border-radius:6px;margin:1rem 0;padding:.4rem 1.2rem 1rem}
.method{border:1px solid #00ff66;border-radius:4px;padding:.1rem .5rem;margin-right:.6rem}.note{color:#6fae83}
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #0d3319;padding:.25rem .8rem .25rem 0;text-align:left;vertical-align:top}th{color:#6fae83;font-weight:normal}
"""


def docs_page(document: dict[str, Any]) -> str:
    """The document as one readable page that needs nothing from elsewhere."""
    info, schemas = document["info"], document["components"]["schemas"]
    parts = [f"<h1>{escape(info['title'])} API</h1><p>{escape(info['description'])}</p>"]
    parts.append('<p>The same for programs: <a href="/api/v1/openapi.json">/api/v1/openapi.json</a></p>')
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts.append(_section(method.upper(), path, operation))
    parts.append("<h2>Shapes</h2>")
    parts += [f'<section id="{escape(name)}"><h3>{escape(name)}</h3>{_shape(schema)}</section>' for name, schema in sorted(schemas.items())]
    title = escape(info["title"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title} API</title><style>{_STYLE}</style><body>{"".join(parts)}</body></html>'
    )


def _section(method: str, path: str, operation: dict[str, Any]) -> str:
    signed = "signed" if "security" in operation else "open"
    rows = [
        f'<section><h2><span class="method">{method}</span>{escape(path)}</h2><p>{escape(operation["summary"])} <span class="note">({signed})</span></p>'
    ]
    if "parameters" in operation:
        rows.append("<table><tr><th>argument<th>in<th>type</tr>")
        for parameter in operation["parameters"]:
            star = "" if parameter["required"] else " (optional)"
            rows.append(f"<tr><td><code>{escape(parameter['name'])}</code>{star}<td>{parameter['in']}<td>{_type(parameter['schema'])}</tr>")
        rows.append("</table>")
    if "requestBody" in operation:
        rows.append(f"<p>Body: {_type(operation['requestBody']['content']['application/json']['schema'])}</p>")
    for code, answer in operation["responses"].items():
        media_type, content = next(iter(answer["content"].items()))
        shown = (_type(content["schema"]) if content["schema"] else escape(media_type)) if code == "200" else ""
        rows.append(f'<p class="note">{code}: {escape(answer["description"])} {shown}</p>')
    return "".join(rows) + "</section>"


def _shape(schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [f"<p>{escape(schema.get('description', ''))}</p><table><tr><th>field<th>type<th></tr>"]
    for name, field in schema.get("properties", {}).items():
        star = "" if name in required else " (optional)"
        rows.append(f'<tr><td><code>{escape(name)}</code>{star}<td>{_type(field)}<td class="note">{escape(field.get("description", ""))}</tr>')
    return "".join(rows) + "</table>"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[-1])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(choice) for choice in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    limits = {"exclusiveMinimum": "&gt; ", "minimum": "≥ ", "exclusiveMaximum": "&lt; ", "maximum": "≤ ", "pattern": "matches "}
    bounds = ", ".join(sign + f"<code>{escape(str(schema[name]))}</code>" for name, sign in limits.items() if name in schema)
    return escape(str(schema.get("type", "any"))) + (f" ({bounds})" if bounds else "")
