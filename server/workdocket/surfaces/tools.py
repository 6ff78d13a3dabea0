"""The tools. Each docstring is the prompt that an agent reads: when to call it, what comes back, what to call next."""

from __future__ import annotations

import base64
import binascii
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from workdocket.app import App
from workdocket.domain.errors import Finding, WorkError
from workdocket.domain.model import millis
from workdocket.generator import Proposal
from workdocket.ports import EventQuery, OrderQuery
from workdocket.service.claim import Wanted
from workdocket.service.desk import Call
from workdocket.service.work import HandIn
from workdocket.surfaces import wire
from workdocket.surfaces.identity import Caller
from workdocket.surfaces.review_app import shown_with

Answer = dict[str, Any]
A = TypeVar("A", bound=wire.Args)
Run = Callable[[App, Caller, Any], Awaitable[Answer]]

EVERYBODY = frozenset({"requester", "worker", "reviewer"})
REQUESTER = frozenset({"requester"})
WORKER = frozenset({"worker"})
REVIEWER = frozenset({"reviewer"})

READ = (True, False, True)
WRITE = (False, False, False)
REPEATABLE = (False, False, True)
DESTRUCTIVE = (False, True, True)
"""Hints: read-only, destructive, idempotent. A repeat without a key does no harm where the last one is set."""

OBJECT, LIST, TEXT, NUMBER, FLAG = ({"type": name} for name in ("object", "array", "string", "number", "boolean"))
ROWS = {"type": "array", "items": OBJECT}


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One tool: its name and words, what it takes and gives, who may call it, and how to run it."""

    name: str
    title: str
    args: type[wire.Args]
    gives: Mapping[str, Any]
    roles: frozenset[str]
    hints: tuple[bool, bool, bool]
    run: Run

    @property
    def description(self) -> str:
        return " ".join(inspect.cleandoc(self.run.__doc__ or "").split())

    @property
    def input_schema(self) -> dict[str, Any]:
        schema = self.args.model_json_schema()
        plain: dict[str, Any] = _plain(schema, schema.get("$defs", {}))
        return plain

    @property
    def output_schema(self) -> dict[str, Any]:
        return {"type": "object", "properties": dict(self.gives)}

    @property
    def listed(self) -> dict[str, Any]:
        """As clients are told of it, and which; kept in tools.json by docs/generate.py, for it takes time to make."""
        hints = dict(zip(("readOnlyHint", "destructiveHint", "idempotentHint"), self.hints, strict=True))
        return {
            "roles": sorted(self.roles),
            "tool": {
                "name": self.name,
                "title": self.title,
                "description": self.description,
                "inputSchema": self.input_schema,
                "outputSchema": self.output_schema,
                "annotations": {**hints, "openWorldHint": False},
                **({"_meta": page} if (page := shown_with(self.name)) else {}),
            },
        }


TOOLS: dict[str, ToolSpec] = {}


def tool(
    title: str, args: type[A], roles: frozenset[str], hints: tuple[bool, bool, bool], **gives: Any
) -> Callable[[Callable[[App, Caller, A], Awaitable[Answer]]], Run]:
    def register(run: Callable[[App, Caller, A], Awaitable[Answer]]) -> Run:
        TOOLS[run.__name__] = ToolSpec(run.__name__, title, args, gives, roles, hints, run)
        return run

    return register


def call(caller: Caller, operation: str, a: wire.Mutating, lease: str | None = None) -> Call:
    request = a.model_dump(mode="json", exclude={"idempotency_key"}, exclude_defaults=True)
    return Call(caller.actor, operation, request, a.idempotency_key, lease)


def ms(time: datetime | None) -> int | None:
    return None if time is None else millis(time)


# read


@tool("Order types", wire.OrderTypes, EVERYBODY, READ, types=ROWS)
async def order_types(app: App, caller: Caller, a: wire.OrderTypes) -> Answer:
    """What kinds of work exist. With name: its schemas, approval mode and limits. Call before propose."""
    return app.orders.order_types(a.name)


@tool("File an order", wire.Propose, REQUESTER, WRITE, order=OBJECT, items=ROWS, next=TEXT)
async def propose(app: App, caller: Caller, a: wire.Propose) -> Answer:
    """File a work order; it is planned into items at once. Get the payload's schema from order_types(name) first.
    All faults come back together as findings. Then checkout works on it, or get_order follows it."""
    wanted = Proposal(
        a.type, a.payload, a.priority, a.meta, a.not_before, a.deadline, tuple(a.depends_on), a.dedupe_key
    )
    return await app.orders.propose(call(caller, "propose", a), wanted, validate_only=a.validate_only)


@tool("List orders", wire.ListOrders, EVERYBODY, READ, orders=ROWS, next_cursor=TEXT, total=NUMBER)
async def list_orders(app: App, caller: Caller, a: wire.ListOrders) -> Answer:
    """Find orders, best first. Filters combine with AND. Then get_order shows one."""
    query = OrderQuery(
        state=a.state,
        type=a.type,
        min_priority=a.min_priority,
        requested_by=a.requested_by,
        meta={key: _text(value) for key, value in (a.meta or {}).items()},
        has_available_items=a.has_available_items,
        created_after=ms(a.created_after),
        created_before=ms(a.created_before),
        item_state=a.item_state,
        sort=_sort(a.sort),
        limit=min(a.limit, 100),
        cursor=_opened(a.cursor, a.sort) if a.cursor else None,
    )
    answer = await app.orders.list_orders(query)
    if "next_cursor" in answer:
        answer["next_cursor"] = _sealed(answer["next_cursor"], a.sort)
    return answer


@tool(
    "Look at an order", wire.GetOrder, EVERYBODY, READ,
    order=OBJECT, items=ROWS, decision=OBJECT, diff=OBJECT, findings=ROWS,
    recent_events=ROWS, version=NUMBER, next=TEXT,
)  # fmt: skip
async def get_order(app: App, caller: Caller, a: wire.GetOrder) -> Answer:
    """One order with items, recent events, decision and diff. wait_seconds returns as soon as it changes."""
    return await app.orders.get_order(a.order_id, a.wait_seconds, a.since_version)


@tool("Look at an item", wire.GetItem, EVERYBODY, READ, item=OBJECT)
async def get_item(app: App, caller: Caller, a: wire.GetItem) -> Answer:
    """One item whole: input, result, parts, attempts, late results, feedback."""
    return await app.orders.get_item(a.item_id, full=a.full)


@tool("Why not?", wire.Explain, EVERYBODY, READ, state=TEXT, reasons=ROWS, totals=OBJECT)
async def explain(app: App, caller: Caller, a: wire.Explain) -> Answer:
    """Why an order, an item or (without ids) the queue does not move on, and what by whom would change that."""
    return await app.why.explain(caller.actor, a.order_id, a.item_id)


@tool("Audit log", wire.Events, EVERYBODY, READ, events=ROWS, next_cursor=TEXT)
async def events(app: App, caller: Caller, a: wire.Events) -> Answer:
    """The append-only log, oldest first: who did what, and when. Go on with next_cursor as after."""
    after = int(a.after) if a.after else 0
    return await app.orders.events(EventQuery(a.order_id, a.item_id, a.event, a.actor, after, min(a.limit, 500)))


# work


@tool("Take work", wire.Checkout, WORKER, WRITE, items=ROWS, reason=TEXT, retry_after_seconds=NUMBER, agent=TEXT)
async def checkout(app: App, caller: Caller, a: wire.Checkout) -> Answer:
    """Get the next item to work on under a lease: input, instructions, result_schema, feedback from a rejection, and
    lease.token for all further calls. Heartbeat before lease.expires_at. No items is no error: see reason."""
    me = caller.known_as(agent=a.agent, client=caller.actor.client)
    wanted = Wanted(a.type, a.order_id, a.item_id, a.min_priority, a.count, frozenset(a.skills))
    return await app.worker.checkout(call(me, "checkout", a), wanted, a.wait_seconds)


@tool("My work", wire.MyWork, WORKER, READ, agent=TEXT, leases=ROWS, returned=ROWS, awaiting_review=ROWS)
async def my_work(app: App, caller: Caller, a: wire.MyWork) -> Answer:
    """Leases you hold, with tokens, and items sent back to you. Call it when you lost track."""
    return await app.worker.my_work(caller.actor)


@tool("Keep a lease", wire.Heartbeat, WORKER, REPEATABLE, lease=OBJECT, order_state=TEXT, cancelled=FLAG)
async def heartbeat(app: App, caller: Caller, a: wire.Heartbeat) -> Answer:
    """Renew the lease while you work. cancelled: stop working."""
    return await app.worker.heartbeat(call(caller, "heartbeat", a), a.item_id, a.lease_token, a.progress, a.note)


@tool("Submit a result", wire.Submit, WORKER, REPEATABLE, item=OBJECT, order=OBJECT, next=TEXT)
async def submit(app: App, caller: Caller, a: wire.Submit) -> Answer:
    """Hand in the whole result; it is checked at once. invalid_result: mend all findings, submit again."""
    if (a.result is None) == (a.late_result is None):
        found = [Finding("required", "/result", "send a result, or name a late one, not both")]
        raise WorkError("invalid_request", found[0].message, findings=found)
    sent = HandIn(a.item_id, a.lease_token, a.result, a.evidence, a.notes)
    asked = call(caller, "submit", a, a.lease_token)
    return await app.worker.submit(asked, sent, late_result=a.late_result, validate_only=a.validate_only)


@tool("Submit a part", wire.SubmitPart, WORKER, REPEATABLE, part=OBJECT, parts=OBJECT, lease=OBJECT)
async def submit_part(app: App, caller: Caller, a: wire.SubmitPart) -> Answer:
    """Hand in one part of the result; parts survive you. Then finalize when ready_to_finalize."""
    sent = HandIn(a.item_id, a.lease_token, a.payload, a.evidence, a.notes)
    return await app.worker.submit_part(call(caller, "submit_part", a), sent, a.part_key, a.seq)


@tool("Finalize parts", wire.Finalize, WORKER, REPEATABLE, item=OBJECT, order=OBJECT, assembled=LIST, next=TEXT)
async def finalize(app: App, caller: Caller, a: wire.Finalize) -> Answer:
    """Put the parts together and submit them. parts_missing names what lacks."""
    sent = HandIn(a.item_id, a.lease_token, None)
    return await app.worker.finalize(call(caller, "finalize", a, a.lease_token), sent, a.mode)


@tool("Give an item back", wire.Release, WORKER, REPEATABLE, item=OBJECT)
async def release(app: App, caller: Caller, a: wire.Release) -> Answer:
    """Put the item back in the queue; no attempt is counted."""
    return await app.worker.release(call(caller, "release", a), a.item_id, a.lease_token, a.reason, ms(a.not_before))


@tool("Report a failure", wire.Fail, WORKER, REPEATABLE, item=OBJECT)
async def fail(app: App, caller: Caller, a: wire.Fail) -> Answer:
    """Say that the attempt failed; it is counted and retried later."""
    after = None if a.retry_after_seconds is None else round(a.retry_after_seconds * 1000)
    return await app.worker.fail(
        call(caller, "fail", a), a.item_id, a.lease_token, a.reason, retryable=a.retryable, retry_after=after
    )


# decide


@tool(
    "Review", wire.Review, REVIEWER, READ,
    orders=ROWS, order=OBJECT, items=ROWS, findings=ROWS, preview=OBJECT, digest=TEXT, gate=OBJECT, next=TEXT,
)  # fmt: skip
async def review(app: App, caller: Caller, a: wire.Review) -> Answer:
    """Without order_id: orders awaiting review. With it: payload, results, evidence, findings, preview diff, digest.
    Then approve with that digest, or reject."""
    return await app.reviews.review(caller.actor, a.order_id)


@tool("Approve and apply", wire.Approve, REVIEWER, DESTRUCTIVE, order=OBJECT, diff=OBJECT, applied=FLAG, next=TEXT)
async def approve(app: App, caller: Caller, a: wire.Approve) -> Answer:
    """Approve a submitted order; the change is applied once and its diff comes back. Pass the digest from review:
    stale means that something moved. applied=false: follow with get_order(wait_seconds=45)."""
    digest, comment = (caller.yes.digest, caller.yes.note) if caller.yes else (a.digest, a.comment)
    return await app.reviews.approve(call(caller, "approve", a), a.order_id, digest, comment)


@tool("Reject", wire.Reject, REVIEWER, DESTRUCTIVE, order=OBJECT, stopped=ROWS)
async def reject(app: App, caller: Caller, a: wire.Reject) -> Answer:
    """Refuse an order with reasons. rework=true sends items back with the reasons on them; otherwise it is over."""
    errors = [error.model_dump(mode="json", exclude_none=True) for error in a.errors]
    return await app.reviews.reject(call(caller, "reject", a), a.order_id, errors, rework=a.rework, comment=a.comment)


@tool("Cancel an order", wire.Cancel, REQUESTER, DESTRUCTIVE, order=OBJECT)
async def cancel(app: App, caller: Caller, a: wire.Cancel) -> Answer:
    """Stop an order and all of its items. Holders learn it at their next heartbeat."""
    return await app.orders.cancel(call(caller, "cancel", a), a.order_id, a.reason, own_only=not caller.sees_all)


@tool("Retry", wire.Retry, REVIEWER, WRITE, order=OBJECT)
async def retry(app: App, caller: Caller, a: wire.Retry) -> Answer:
    """Try again what failed: an order's apply or its failed items, or one item. Name exactly one."""
    if (a.order_id is None) == (a.item_id is None):
        found = [Finding("required", "/order_id", "name an order or an item, not both")]
        raise WorkError("invalid_request", "name exactly one of order_id and item_id", findings=found)
    return await app.orders.retry(call(caller, "retry", a), a.order_id, a.item_id)


# schemas and cursors


UNSAID = frozenset(
    {"title", "$defs", "minLength", "maxLength", "maxItems", "minItems", "maxProperties", "format", "pattern"}
)
"""What is checked all the same, but costs every agent more to read than a rare refusal."""


def _plain(node: Any, defs: Mapping[str, Any]) -> Any:
    """A pydantic schema as agents need it: references resolved, no titles, optional fields without a null branch."""
    if isinstance(node, list):
        return [_plain(one, defs) for one in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _plain(defs[node["$ref"].rpartition("/")[2]], defs)
    kept = {key: value for key, value in node.items() if key not in UNSAID}
    options = [option for option in kept.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        kept = {**{key: value for key, value in kept.items() if key != "anyOf"}, **options[0]}
        return _plain(kept, defs)
    if kept.get("default", 0) is None:
        kept.pop("default")
    if kept.get("type") == "object" and kept.get("additionalProperties") is True:
        kept.pop("additionalProperties")
    if "properties" in kept:
        kept["properties"] = {name: _plain(value, defs) for name, value in kept["properties"].items()}
    return {key: value if key == "properties" else _plain(value, defs) for key, value in kept.items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


SORTS = ("priority", "created_at", "changed_at", "state", "type", "id")


def _sort(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name.removeprefix("-") not in SORTS:
            found = [Finding("enum", "/sort", f"cannot sort by {name[:40]!r}; there are {', '.join(SORTS)}")]
            raise WorkError("invalid_request", found[0].message, findings=found)
    return names or ("-priority", "created_at")


def _kinds(sort: tuple[str, ...]) -> list[type]:
    """What a cursor holds for each field of a sort; the id, as a number, ends every sort."""
    names = [name.removeprefix("-") for name in sort]
    return [str if name in ("state", "type") else int for name in [*names, *({"id"} - set(names))]]


def _sealed(values: Any, sort: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([sort, list(values)]).encode()).decode().rstrip("=")


def _opened(cursor: str, sort: str) -> tuple[Any, ...]:
    try:
        made_for, values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        wire.vet(values)
        if made_for == sort and [type(value) for value in values] == _kinds(_sort(sort)):
            return tuple(values)
    except (ValueError, TypeError, binascii.Error):
        pass
    found = [Finding("cursor", "/cursor", "pass next_cursor of the page before, with the same sort")]
    raise WorkError("invalid_request", "the cursor does not fit", findings=found)
