"""The envelope of MCP's messages, for every door: one that does not fit is answered, where its sender waits for that.

Further in it would be dropped without a word, or answered in words of the framework.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp.types import INVALID_REQUEST, PARSE_ERROR, jsonrpc_message_adapter
from pydantic import ValidationError
from pydantic_core import from_json

from workdocket.domain.errors import WorkError
from workdocket.surfaces.problems import as_text, one_line

Id = int | str

MARK = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[][{}]', re.DOTALL)
ID = re.compile(rb'\s*:\s*("[^"\\]{1,100}"|-?\d{1,18})\s*[,}]')


@dataclass(frozen=True)
class Unfit(Exception):
    """What is wrong with a message, and the ids under which its sender waits for an answer."""

    code: int
    fault: str
    ids: tuple[Id, ...] = ()

    def answer(self, number: Id | None) -> str:
        """A JSON-RPC error, since whom the message was for is not known either."""
        refusal = WorkError("invalid_request", self.fault[:300], hint="Send one JSON-RPC 2.0 message.")
        error = {"code": self.code, "message": one_line(refusal), "data": {"error": refusal.as_dict()}}
        return as_text({"jsonrpc": "2.0", "id": number, "error": error})


def opened(raw: bytes) -> Mapping[str, Any]:
    """The message; raises ``Unfit`` where there is none."""
    try:
        message = from_json(raw.decode())
    except ValueError as error:
        fault = "not UTF-8" if isinstance(error, UnicodeDecodeError) else f"not JSON that can be read: {error}"
        number = id_of(raw)
        raise Unfit(PARSE_ERROR, f"the message is {fault}", () if number is None else (number,)) from None
    misfit = _misfit(message)
    if misfit is not None:
        waiting = [one for one in (message if isinstance(message, list) else [message]) if _waits(one)]
        raise Unfit(INVALID_REQUEST, misfit, tuple(one["id"] for one in waiting))
    found: Mapping[str, Any] = message
    return found


def _misfit(message: Any) -> str | None:
    if isinstance(message, list):
        return "messages are sent one at a time, not as a batch"
    if not isinstance(message, dict):
        return "a message is a JSON object"
    if message.get("jsonrpc") != "2.0":
        return 'jsonrpc has to be "2.0"'
    if "method" not in message:
        return None if _is_answer(message) else "a message needs a method"
    if not isinstance(message["method"], str):
        return "method has to be a text"
    if not isinstance(message.get("params"), dict | None):
        return "params has to be an object"
    if "id" in message and not _is_id(message["id"]):
        return "id has to be a text or a whole number"
    return None


def _is_id(value: Any) -> bool:
    return isinstance(value, str) or (type(value) is int and abs(value) < 1 << 63)


def _is_answer(message: Mapping[str, Any]) -> bool:
    try:
        jsonrpc_message_adapter.validate_python(message, by_name=False)
    except ValidationError:
        return False
    return True


def _waits(message: Any) -> bool:
    """Nobody waits for an answer to an answer."""
    return isinstance(message, dict) and _is_id(message.get("id")) and not message.keys() & {"result", "error"}


def id_of(raw: bytes) -> Id | None:
    """The id of a request of which the rest can't be read; never one from deeper within it."""
    depth = 0
    for mark in MARK.finditer(raw):
        if mark[0] in (b"{", b"["):
            depth += 1
        elif mark[0] in (b"}", b"]"):
            depth -= 1
        elif mark[0] == b'"id"' and depth == 1:
            found = ID.match(raw, mark.end())
            if found is not None:
                number: Id = json.loads(found[1].decode("utf-8", "replace"))
                return number
    return None
