"""The OpenAPI document of the tools, made from what the tools are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import workdocket
from workdocket.domain.errors import CATALOGUE
from workdocket.surfaces.tools import TOOLS, ToolSpec

Json = dict[str, Any]

DESCRIPTION = """\
The tools of workdocket for programs: the same registry, checks and errors as over MCP. Every tool is a POST with its \
arguments as a JSON object; those that only read are there by GET as well. Refusals are application/problem+json \
(RFC 9457) with `code`, `hint`, `retryable` and, where there are any, `details.findings`."""

AS_WELL: Mapping[tuple[str, str], Json] = {("events", "after"): {"type": "integer", "minimum": 0}}
"""What a tool takes besides what its schema says to agents."""

EXAMPLES: Mapping[str, Any] = {
    "order_id": "WO-1",
    "item_id": "WO-1.1",
    "type": "content.fact.check",
    "part_key": "summary",
}

JSON_TEXT = {"type": "string", "contentMediaType": "application/json", "description": "The same as a JSON text."}

PROBLEM: Json = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "message", "hint", "retryable"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "urn:workdocket: and the code."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"enum": sorted(CATALOGUE), "type": "string"},
        "message": {"type": "string"},
        "hint": {"type": "string", "description": "What to do next."},
        "retryable": {"type": "boolean"},
        "retry_after_seconds": {"type": "number", "minimum": 0},
        "details": {"type": "object"},
    },
}
KEY_HEADER: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same as the argument idempotency_key: a repeat under it has no second effect.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
TAG_HEADER: Json = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of an earlier answer; 304 when it is still the same.",
    "schema": {"type": "string"},
}


def document(*, secured: bool) -> Json:
    """The whole document. ``secured``: whether the server asks for a token."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "workdocket", "version": workdocket.__version__, "description": DESCRIPTION},
        "paths": {**{f"/v1/{spec.name}": _path(spec) for spec in TOOLS.values()}, "/healthz": _health()},
        "components": {
            "schemas": {"Problem": PROBLEM},
            "responses": dict(_refusals()),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}] if secured else [{}, {"token": []}],
    }


@cache
def body_schema(name: str) -> Json:
    """What the body of a request must fit: the tool's arguments with all their bounds."""
    schema = TOOLS[name].args.model_json_schema()
    fields = {
        field: {**_field(name, field, _inlined(one, schema.get("$defs", {}))), **_example(field)}
        for field, one in schema.get("properties", {}).items()
    }
    required = {"required": schema["required"]} if "required" in schema else {}
    return {"type": "object", "properties": fields, **required, "additionalProperties": False}


@cache
def plain_schema(name: str) -> Json:
    """What the plain arguments of a tool must fit: text, numbers and truth values. The rest is the tool's to check."""
    fields = body_schema(name)["properties"]
    return {"properties": {field: one for field, one in fields.items() if JSON_TEXT not in one.get("anyOf", ())}}


def _field(tool: str, name: str, schema: Json) -> Json:
    """A field and, where it is an object or a list, the JSON text that is taken for it too."""
    schema = _nullable({key: one for key, one in schema.items() if (key, one) != ("default", None)})
    options = [kind for option in schema.get("anyOf", [schema]) for kind in _kinds(option)]
    described: Json = {key: schema[key] for key in ("description", "default") if key in schema}
    others = [AS_WELL[tool, name]] if (tool, name) in AS_WELL else []
    if any(_is_nested(option) for option in options):
        others.append(JSON_TEXT)
    return {**described, "anyOf": [*options, *others]} if others else schema


def _example(field: str) -> Json:
    return {"examples": [EXAMPLES[field]]} if field in EXAMPLES else {}


def _kinds(schema: Json) -> list[Json]:
    """A schema of several types, one of them nested, as one for each: generators want to know what is in a list."""
    if not _is_nested(schema):
        return [schema]
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return [_listing({**schema, "type": kind}) for kind in types]


def _listing(schema: Json) -> Json:
    return {"items": {}, **schema} if schema.get("type") == "array" else schema


def _nullable(schema: Json) -> Json:
    """A value or null without a choice between two schemas, which is worded badly where neither fits."""
    match schema.get("anyOf"):
        case [{"type": str(kind)} as value, {"type": "null"}]:
            null = {"enum": [*value["enum"], None]} if "enum" in value else {}
            rest = {key: one for key, one in schema.items() if key != "anyOf"}
            return {**rest, **value, "type": [kind, "null"], **null}
    return schema


def _is_nested(schema: Json) -> bool:
    kind = schema.get("type")
    return bool({"object", "array"} & set(kind if isinstance(kind, list) else [kind]))


def _inlined(node: Any, defs: Mapping[str, Any]) -> Any:
    """A schema without references and without the titles that pydantic makes of names."""
    if isinstance(node, list):
        return [_inlined(one, defs) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(defs[node["$ref"].rpartition("/")[2]], defs)
    named = {name: _inlined(one, defs) for name, one in node.get("properties", {}).items()}
    rest = {key: _inlined(one, defs) for key, one in node.items() if key not in ("title", "$defs", "properties")}
    return {**rest, "properties": named} if named else rest


def _path(spec: ToolSpec) -> Json:
    reads = spec.hints[0]
    post = {
        **_said(spec, "post"),
        "parameters": [TAG_HEADER] if reads else [KEY_HEADER],
        "requestBody": {
            "required": bool(body_schema(spec.name).get("required")),
            "content": {"application/json": {"schema": body_schema(spec.name)}},
        },
    }
    if not reads:
        return {"post": post}
    return {"post": post, "get": {**_said(spec, "get"), "parameters": [*_query(spec), TAG_HEADER]}}


def _said(spec: ToolSpec, method: str) -> Json:
    fields = {name: _listing(field) for name, field in spec.output_schema["properties"].items()}
    answer = {
        "description": "Done.",
        "content": {"application/json": {"schema": {"type": "object", "properties": fields}}},
    }
    unchanged = {"304": {"description": "The same as under If-None-Match."}} if spec.hints[0] else {}
    return {
        "operationId": spec.name if method == "post" else f"{spec.name}_by_query",
        "summary": spec.title,
        "description": spec.description,
        "tags": sorted(spec.roles) if len(spec.roles) == 1 else ["reading"],
        "responses": {
            "200": answer,
            **unchanged,
            **{code: {"$ref": f"#/components/responses/{code}"} for code, _ in _refusals()},
        },
    }


def _query(spec: ToolSpec) -> Iterable[Json]:
    schema = body_schema(spec.name)
    for name, field in schema["properties"].items():
        required = name in schema.get("required", ())
        yield {"name": name, "in": "query", "required": required, **_in_query(field)}


def _in_query(field: Json) -> Json:
    """A field in a query is text: an object is a JSON text, and there is no null."""
    options = [_never_null(one) for one in field.get("anyOf", [field]) if one != {"type": "null"}]
    told = {"description": field["description"]} if "description" in field else {}
    if any(_is_nested(one) for one in options):
        return {**told, "schema": {"type": "string", "contentMediaType": "application/json"}}
    plain = options[0] if len(options) == 1 else {"anyOf": options}
    kept = {key: value for key, value in plain.items() if key not in ("description",)}
    if field.get("default") is not None:
        kept["default"] = field["default"]
    return {**told, "schema": kept}


def _never_null(schema: Json) -> Json:
    match schema.get("type"):
        case [kind, "null"]:
            choice = {"enum": [one for one in schema["enum"] if one is not None]} if "enum" in schema else {}
            return {**schema, "type": kind, **choice}
    return schema


def _refusals() -> Iterable[tuple[str, Json]]:
    """One response for each status of the catalogue, and those of the protocol itself."""
    by_status: dict[int, list[str]] = {}
    for kind in CATALOGUE.values():
        by_status.setdefault(kind.http, []).append(f"`{kind.code}`: {kind.meaning}")
    by_status[405] = ["The method is not allowed."]
    by_status[408] = ["The request did not arrive in time."]
    by_status[421] = ["The Host is not this server's."]
    schema = {"$ref": "#/components/schemas/Problem"}
    for status, meanings in sorted(by_status.items()):
        yield (
            str(status),
            {
                "description": " ".join(meanings),
                "content": {"application/problem+json": {"schema": schema}},
            },
        )


def _health() -> Json:
    answer = {
        "type": "object",
        "required": ["status"],
        "properties": {
            "status": {"const": "ok"},
            "database": {"type": "string"},
            "orders": {"type": "object"},
            "leases": {"type": "object"},
        },
    }
    refused = {code: {"$ref": f"#/components/responses/{code}"} for code in ("401", "403", "421", "503")}
    return {
        "get": {
            "operationId": "health",
            "summary": "Is the server well?",
            "description": "Needs no token; a caller with one is told the numbers too.",
            "security": [{}, {"token": []}],
            "responses": {
                "200": {"description": "It is.", "content": {"application/json": {"schema": answer}}},
                **refused,
            },
        }
    }
