"""Answers and refusals in the form of each door. The codes are in ``domain/errors.py``; nothing is decided here."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from workdocket.domain.diff import pointer
from workdocket.domain.errors import Finding, WorkError

log = logging.getLogger("workdocket.problems")

MOST_FINDINGS = 100
LONGEST_PATH = 200


def as_text(answer: Mapping[str, Any]) -> str:
    """An answer as compact JSON, the same bytes at every door."""
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False)


def one_line(error: WorkError) -> str:
    text = f"{error.code}: {error.message.rstrip('.')}. {error.hint}".strip()
    findings = error.details.get("findings", [])
    if len(findings) > 1:
        text += " Findings: " + "; ".join(f"{row['path'] or '/'} {row['message']}" for row in findings[:20])
    return " ".join(text.split())


def problem(error: WorkError) -> tuple[int, dict[str, Any]]:
    """The same for HTTP: status and an RFC 9457 body."""
    body = {
        "type": f"urn:workdocket:{error.code}",
        "title": error.kind.meaning,
        "status": error.kind.http,
        "detail": error.message,
        **error.as_dict(),
    }
    return error.kind.http, body


def rpc_code(error: WorkError) -> int:
    """The same for what MCP answers with a JSON-RPC error: invalid parameters, an internal error, or a request that is
    refused."""
    if error.kind.http in (404, 422):
        return -32602
    return -32603 if error.kind.http >= 500 else -32600


def unexpected(error: BaseException, what: str) -> WorkError:
    """A defect: its text goes to the log under an id, the id to the caller."""
    request_id = secrets.token_hex(6)
    log.error("request %s (%s) failed", request_id, what, exc_info=error)
    return WorkError("internal", "something went wrong here", request_id=request_id)


def misfit(error: ValidationError, schema: Mapping[str, Any]) -> WorkError:
    """Arguments that do not fit the tool's schema, every finding at once."""
    rows = error.errors(include_url=False, include_context=False)
    findings = [_finding(dict(row), _known(schema, row["loc"])) for row in rows[:MOST_FINDINGS]]
    if len(rows) > MOST_FINDINGS:
        findings.append(Finding("more", "", f"{len(rows) - MOST_FINDINGS} more"))
    first = findings[0]
    where = f" at {first.path}" if first.path else ""
    return WorkError("invalid_request", f"{first.message}{where}", findings=findings)


def _finding(row: dict[str, Any], known: list[str]) -> Finding:
    path = ""
    for part in row["loc"]:
        path = pointer(path, part)[:LONGEST_PATH]
    code = CODES.get(row["type"], row["type"])
    if code != "additionalProperties":
        return Finding(code, path, str(row["msg"]))
    name = str(row["loc"][-1])
    return Finding(code, path, f"there is no parameter {name[:60]!r}{nearest(name, known)}")


def _known(schema: Mapping[str, Any], place: Sequence[str | int]) -> list[str]:
    """The names that there are beside the one at a place."""
    for part in place[:-1]:
        schema = schema.get("items", {}) if isinstance(part, int) else schema.get("properties", {}).get(part, {})
    return list(schema.get("properties", ()))


def nearest(name: str, known: list[str]) -> str:
    close = get_close_matches(name[:LONGEST_PATH], known, 1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}" if known else ""


CODES = {
    "extra_forbidden": "additionalProperties",
    "missing": "required",
    "literal_error": "enum",
    "greater_than_equal": "minimum",
    "less_than_equal": "maximum",
    "string_too_long": "maxLength",
    "string_too_short": "minLength",
    "string_pattern_mismatch": "pattern",
    "too_long": "maxItems",
    "too_short": "minItems",
    "string_type": "type",
    "int_type": "type",
    "int_parsing": "type",
    "int_from_float": "type",
    "float_type": "type",
    "float_parsing": "type",
    "bool_type": "type",
    "bool_parsing": "type",
    "dict_type": "type",
    "list_type": "type",
}
"""pydantic's words for what JSON Schema has a keyword for."""
