"""What each tool takes. Field names, limits and descriptions are the tool's contract and part of its prompt."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from functools import reduce
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from workdocket.domain.diff import pointer
from workdocket.domain.errors import Finding, WorkError

MAX_DEPTH = 100
MAX_INTEGER = 2**63
MAX_YEAR = 9999
LONGEST_PATH = 200


def _parsed(value: Any, info: ValidationInfo) -> Any:
    """An object or list that came as a JSON string, as some hosts send them."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        parsed = json.loads(value, object_pairs_hook=_unambiguous)
    except PydanticCustomError:
        raise
    except RecursionError as error:
        raise PydanticCustomError("depth", "nested deeper than {most} levels", {"most": MAX_DEPTH}) from error
    except ValueError:
        return value
    vet(parsed, f"/{info.field_name}")
    return parsed


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise PydanticCustomError("ambiguous", "an object in this JSON text has a name twice")
    return found


def _whole(value: Any) -> Any:
    """True is no number, although Python says so."""
    if isinstance(value, bool):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


def _utc(value: datetime) -> datetime:
    """Times are shown in UTC, and so have to be within the calendar there."""
    try:
        there = value.astimezone(UTC)
    except OverflowError as error:
        raise PydanticCustomError("range", "Input should be a time before the year 9999") from error
    if there.year >= MAX_YEAR:
        raise PydanticCustomError("range", "Input should be a time before the year 9999")
    return there


def _id(value: str) -> str:
    return value.strip().upper()


def _object_or_list(value: Any) -> Any:
    if isinstance(value, dict | list):
        return value
    raise PydanticCustomError("type", "Input should be an object or a list")


Object = Annotated[dict[str, Any], BeforeValidator(_parsed)]
OrderId = Annotated[str, AfterValidator(_id), Field(min_length=1, max_length=40, description="Order id, e.g. WO-42.")]
ItemId = Annotated[str, AfterValidator(_id), Field(min_length=1, max_length=50, description="Item id, e.g. WO-42.1.")]
Token = Annotated[str, Field(min_length=1, max_length=200, description="lease.token from checkout.")]
Wait = Annotated[float, Field(ge=0, le=50, description="Hold the call this long for news.")]
TypeName = Annotated[str, Field(max_length=120, description="Order type.")]
WHOLE = BeforeValidator(_whole)
Priority = Annotated[int, Field(ge=0, le=100, description="0 to 100, higher first."), WHOLE]
Time = Annotated[AwareDatetime, AfterValidator(_utc), Field(description="ISO 8601 time.")]
Evidence = Annotated[
    Any,
    BeforeValidator(_parsed),
    AfterValidator(_object_or_list),
    WithJsonSchema({"type": ["object", "array"], "description": "Sources, logs."}),
]
Notes = Annotated[str, Field(max_length=20_000, description="For the reviewer.")]
Reason = Annotated[str, Field(max_length=2_000, description="Why.")]
Key = Annotated[str, Field(min_length=1, max_length=255, description="Repeat-safe key.")]
Skill = Annotated[str, Field(min_length=1, max_length=60)]
ValidateOnly = Annotated[bool, Field(description="Check only, store nothing.")]
State = Literal[
    "queued", "checked_out", "in_progress", "submitted", "approved", "applied", "completed", "failed", "rejected",
    "dead_lettered", "cancelled",
]  # fmt: skip
ItemState = Literal[
    "queued", "leased", "in_progress", "submitted", "accepted", "completed", "failed", "rejected", "dead_lettered",
    "cancelled",
]  # fmt: skip


class Args(BaseModel):
    """Arguments of a tool; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Mutating(Args):
    idempotency_key: Key | None = None


class Held(Mutating):
    item_id: ItemId
    lease_token: Token


class OrderTypes(Args):
    name: TypeName | None = None


class Propose(Mutating):
    type: TypeName
    payload: Annotated[Object, Field(description="As the type's payload_schema says.")]
    priority: Priority = 0
    meta: Annotated[Object, Field(description="Your labels.")] | None = None
    not_before: Time | None = None
    deadline: Time | None = None
    depends_on: Annotated[
        list[OrderId], BeforeValidator(_parsed), Field(max_length=100, description="Orders to be completed first.")
    ] = []
    dedupe_key: (
        Annotated[str, Field(min_length=1, max_length=255, description="One order per type and key.")] | None
    ) = None
    validate_only: ValidateOnly = False


class ListOrders(Args):
    state: Annotated[State, Field(description="Order state.")] | None = None
    type: TypeName | None = None
    min_priority: Priority | None = None
    requested_by: Annotated[str, Field(max_length=200, description="Actor id.")] | None = None
    meta: Annotated[Object, Field(max_length=20, description="Meta values to equal.")] | None = None
    has_available_items: Annotated[bool, Field(description="Something to check out.")] | None = None
    created_after: Time | None = None
    created_before: Time | None = None
    item_state: (
        Annotated[ItemState, WithJsonSchema({"type": "string", "description": "State of some item."})] | None
    ) = None
    sort: Annotated[str, Field(max_length=100, description="Also changed_at, state, type, id; - descends.")] = (
        "-priority,created_at"
    )
    limit: Annotated[int, Field(ge=1, description="At most 100."), WHOLE] = 20
    cursor: Annotated[str, Field(max_length=500, description="next_cursor.")] | None = None


class GetOrder(Args):
    order_id: OrderId
    wait_seconds: Wait = 0
    since_version: Annotated[int, Field(ge=0, description="Wait past this version."), WHOLE] | None = None


class GetItem(Args):
    item_id: ItemId
    full: Annotated[bool, Field(description="Cut nothing.")] = False


class Checkout(Mutating):
    order_id: OrderId | None = None
    item_id: ItemId | None = None
    type: TypeName | None = None
    min_priority: Priority | None = None
    count: Annotated[int, Field(ge=1, le=20, description="How many."), WHOLE] = 1
    skills: Annotated[list[Skill], BeforeValidator(_parsed), Field(max_length=50, description="What you can do.")] = []
    wait_seconds: Wait = 0
    agent: Annotated[str, Field(max_length=100, description="Your label in the log.")] | None = None


class MyWork(Args):
    pass


class Heartbeat(Held):
    progress: Annotated[float, Field(ge=0, le=1, description="0 to 1.")] | None = None
    note: Annotated[str, Field(max_length=2_000, description="What you are at.")] | None = None


class Submit(Held):
    result: Annotated[Object, Field(description="As result_schema says.")] | None = None
    late_result: Annotated[str, Field(max_length=100, description="Or the key of a late result.")] | None = None
    evidence: Evidence | None = None
    notes: Notes | None = None
    validate_only: ValidateOnly = False


class SubmitPart(Held):
    part_key: Annotated[str, Field(min_length=1, max_length=120, description="Key from parts.plan.")]
    payload: Annotated[Object, Field(description="As the part's schema says.")]
    seq: Annotated[int, Field(ge=0, le=2**31, description="Place in a sequence."), WHOLE] | None = None
    evidence: Evidence | None = None
    notes: Notes | None = None


class Finalize(Held):
    mode: Annotated[
        Literal["strict", "best_effort"], Field(description="best_effort: at least one part is enough.")
    ] = "strict"


class Release(Held):
    reason: Reason | None = None
    not_before: Time | None = None


class Fail(Held):
    reason: Annotated[str, Field(min_length=1, max_length=2_000, description="What went wrong.")]
    retryable: Annotated[bool, Field(description="False: nobody can do it.")] = True
    retry_after_seconds: Annotated[float, Field(ge=0, le=31_536_000, description="Instead of the backoff.")] | None = (
        None
    )


class Review(Args):
    order_id: OrderId | None = None


class Approve(Mutating):
    order_id: OrderId
    digest: Annotated[str, Field(max_length=80, description="digest from review.")] | None = None
    comment: Notes | None = None


class ReviewError(Args):
    """One reason to reject."""

    message: Annotated[str, Field(min_length=1, max_length=2_000)]
    code: Annotated[str, Field(max_length=120)] = "rejected"
    path: Annotated[str, Field(max_length=500)] | None = None
    item_id: ItemId | None = None


class Reject(Mutating):
    order_id: OrderId
    errors: Annotated[
        list[ReviewError],
        BeforeValidator(_parsed),
        Field(min_length=1, max_length=100, description="Reasons: {message, code?, path?, item_id?}."),
    ]
    rework: Annotated[bool, Field(description="True sends the named items (default all) back to work.")] = False
    only_items: Annotated[bool, Field(description="True refuses just the named items.")] = False
    comment: Notes | None = None


class Waive(Mutating):
    item_id: ItemId
    reason: Annotated[str, Field(min_length=1, max_length=2_000, description="Why.")]


class Undo(Mutating):
    order_id: OrderId
    reason: Reason | None = None


class Cancel(Mutating):
    order_id: OrderId
    reason: Reason | None = None


class Retry(Mutating):
    order_id: OrderId | None = None
    item_id: ItemId | None = None


class Explain(Args):
    order_id: OrderId | None = None
    item_id: ItemId | None = None


class Events(Args):
    order_id: OrderId | None = None
    item_id: ItemId | None = None
    event: Annotated[str, Field(max_length=100, description="Event name, e.g. item.leased.")] | None = None
    actor: Annotated[str, Field(max_length=200, description="Actor id.")] | None = None
    after: (
        Annotated[str, BeforeValidator(str), Field(max_length=18, pattern=r"^\d+$", description="next_cursor or seq.")]
        | None
    ) = None
    limit: Annotated[int, Field(ge=1, description="At most 500."), WHOLE] = 50


Place = tuple[Any, Any] | None
"""Where in a value: the place of the parent, and the key there. A path is made of it only when it is needed."""


def vet(value: Any, root: str = "") -> None:
    """Refuse JSON that cannot be stored and shown again unchanged: too deep, not finite, not encodable."""
    findings: list[Finding] = []
    stack: list[tuple[Any, Place, int]] = [(value, None, 0)]
    while stack and len(findings) < 20:
        at, place, depth = stack.pop()
        if isinstance(at, dict | list):
            if depth >= MAX_DEPTH:
                findings.append(Finding("depth", _path(root, place), f"nested deeper than {MAX_DEPTH} levels"))
                continue
            pairs = at.items() if isinstance(at, dict) else enumerate(at)
            for key, child in pairs:
                if isinstance(key, str) and not _encodable(key):
                    message = "a name has characters that are not valid Unicode"
                    findings.append(Finding("encoding", _path(root, place), message))
                stack.append((child, (place, key), depth + 1))
        elif not _sound(at):
            findings.append(_unsound(at, _path(root, place)))
    if findings:
        raise WorkError("invalid_request", findings[0].message, findings=findings)


def _path(root: str, place: Place) -> str:
    """The JSON Pointer to a place, no longer than a message can bear."""
    keys: list[str] = []
    while place is not None:
        place, key = place
        keys.append(str(key)[:LONGEST_PATH].encode(errors="replace").decode())
    return reduce(pointer, reversed(keys), root)[:LONGEST_PATH]


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in text


def _sound(value: Any) -> bool:
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or -MAX_INTEGER <= value < MAX_INTEGER


def _unsound(value: Any, path: str) -> Finding:
    if isinstance(value, str):
        return Finding("encoding", path, "text with NUL or characters that are not valid Unicode")
    if isinstance(value, float):
        return Finding("finite", path, "a number that is not finite")
    return Finding("range", path, "a whole number beyond 64 bits; send it as text")
