"""Small order types for tests, found the way anybody's are: by path. Loaded by servers too, so no test code in here."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from workdocket import (
    ApplyContext,
    Diff,
    Finding,
    ItemSpec,
    OrderType,
    Part,
    PartSpec,
    Refused,
    WorkItem,
    WorkOrder,
)

OBJECT = {"type": "object"}


class Echo(OrderType):
    """One item; the result says what was said."""

    name = "test.echo"
    title = "Echo"
    instructions = "Say it back."
    payload = {
        "type": "object",
        "required": ["message"],
        "properties": {"message": {"type": "string", "minLength": 1}, "tenant": {"type": "string"}},
        "additionalProperties": False,
    }
    result = {
        "type": "object",
        "required": ["message", "verified"],
        "properties": {
            "message": {"type": "string", "x-messages": {"type": "The echo must be text."}},
            "verified": {"type": "boolean"},
        },
    }

    def check_result(self, item: WorkItem, result: Any) -> list[Finding]:
        return [] if result["verified"] else [Finding("unverified", "/verified", "verify it first")]

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return Diff.between({}, {item.id: item.result["message"] for item in order.items})


class Batch(OrderType):
    """One item per batch; fit for approval only when every count is above 0."""

    name = "test.batch"
    payload = {
        "type": "object",
        "required": ["batches"],
        "properties": {"batches": {"type": "integer", "minimum": 0, "maximum": 1000}},
    }
    result = {"type": "object", "required": ["count"], "properties": {"count": {"type": "integer"}}}

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        return [ItemSpec({"batch": n}, key=f"b{n}", max_attempts=3) for n in range(1, order.payload["batches"] + 1)]

    def check_order(self, order: WorkOrder) -> list[Finding]:
        return [
            Finding("empty_batch", f"/items/{item.number}", f"{item.id} processed nothing")
            for item in order.items
            if not (item.result or {}).get("count", 0) > 0
        ]

    def preview(self, order: WorkOrder) -> Diff:
        return _processed(order)

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return _processed(order)


def _processed(order: WorkOrder) -> Diff:
    total = sum((item.result or {}).get("count", 0) for item in order.items)
    return Diff.between({"processed": 0, "batches": 0}, {"processed": total, "batches": len(order.items)})


class Partial(OrderType):
    """Parts identity and contacts are required; log is a sequence, remarks are optional."""

    name = "test.partial"
    payload = OBJECT
    parts = {
        "identity": PartSpec({"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}),
        "contacts": PartSpec(OBJECT),
        "remarks": PartSpec(required=False),
        "log": PartSpec(OBJECT, required=False, mode="sequence"),
    }
    result = {"type": "object", "maxProperties": 4}

    def check_part(self, item: WorkItem, part: Part) -> list[Finding]:
        bad = part.key == "contacts" and part.payload.get("fake")
        return [Finding("fake", "/fake", "real contacts only")] if bad else []

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return Diff.between(None, [item.result for item in order.items])


class Free(OrderType):
    """No result schema, no declared parts."""

    name = "test.free"
    payload = OBJECT

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return Diff.between({}, {})


class Chain(OrderType):
    """Items first, second (after first), last (after both)."""

    name = "test.chain"
    payload = OBJECT

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        return [
            ItemSpec({}, key="first"),
            ItemSpec({}, key="second", after=["first"]),
            ItemSpec({}, key="last", after=["first", "second"]),
        ]

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return Diff.between(None, len(order.items))


class Planned(OrderType):
    """The plan is what the payload says, good or bad."""

    name = "test.planned"
    payload = OBJECT

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        if order.payload.get("refuse"):
            raise Refused("this cannot be planned")
        return [ItemSpec(**spec) for spec in order.payload.get("items", [])]

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return Diff.between(None, True)


class Automatic(Batch):
    """As a batch, approved by the system when nothing is found against it."""

    name = "test.automatic"
    approval = "auto"


class Solo(Batch):
    """As a batch, at most one lease at a time."""

    name = "test.solo"
    max_leases = 1


class Tenant(OrderType):
    """As many items as the payload says, which take turns with those of other tenants."""

    name = "test.tenant"
    payload = {"type": "object", "properties": {"tenant": {}, "items": {"type": "integer"}}}
    result = {"type": "object", "properties": {"message": {"type": "string"}}}
    concurrency_key = "/tenant"
    max_leases_per_key = 2

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        return [ItemSpec({"n": n}) for n in range(order.payload.get("items", 1))]

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return Diff.between(None, len(order.items))


class Skilled(Echo):
    """Only for those who can do SQL."""

    name = "test.skilled"
    skills = ("sql",)


class FourEyes(Echo):
    name = "test.four_eyes"
    approval = "four_eyes"
    quorum = 2


class Human(Echo):
    name = "test.human"
    approval = "human"


class Raising(OrderType):
    """Raises in the hook that the payload names."""

    name = "test.raising"
    payload = OBJECT
    parts = {"only": PartSpec(required=True)}

    def _maybe(self, hook: str, payload: Any) -> None:
        if payload.get("raise_in") == hook:
            raise RuntimeError("secret detail of the plug-in")

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        self._maybe("plan", order.payload)
        return [ItemSpec(order.payload)]

    def check_result(self, item: WorkItem, result: Any) -> list[Finding]:
        self._maybe("check_result", item.input)
        return []

    def check_part(self, item: WorkItem, part: Part) -> list[Finding]:
        self._maybe("check_part", item.input)
        return []

    def check_order(self, order: WorkOrder) -> list[Finding]:
        self._maybe("check_order", order.payload)
        return []

    def preview(self, order: WorkOrder) -> Diff | None:
        self._maybe("preview", order.payload)
        return None

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        self._maybe("apply", order.payload)
        return Diff.between(None, "done")


class Ledger(OrderType):
    """Appends a line to the file in the payload, once per key. Meets whoever kills it at the points it is told.

    ``fail_times`` makes that many attempts raise; ``pause_before`` and ``pause_after`` name FIFOs: it opens one for
    writing there, and so waits until somebody reads.
    """

    name = "test.ledger"
    payload = {"type": "object", "required": ["file"], "properties": {"file": {"type": "string"}}}
    apply_attempts = 3
    backoff_seconds = 0.01

    def preview(self, order: WorkOrder) -> Diff | None:
        shown = order.payload.get("shown")
        return Diff.between(None, Path(shown).read_text()) if shown else None

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        file = Path(order.payload["file"])
        attempts = Path(f"{file}.attempts")
        with attempts.open("a") as log:
            log.write(f"{ctx.attempt} {os.getpid()}\n")
        if len(attempts.read_text().splitlines()) <= order.payload.get("fail_times", 0):
            raise RuntimeError("the ledger is closed")
        _meet(order.payload.get("pause_before"))
        known = file.read_text().splitlines() if file.exists() else []
        if not any(json.loads(line)["key"] == ctx.idempotency_key for line in known):
            with file.open("a") as ledger:
                ledger.write(json.dumps({"key": ctx.idempotency_key, "order": order.id}) + "\n")
                ledger.flush()
                os.fsync(ledger.fileno())
        _meet(order.payload.get("pause_after"))
        return Diff.between({"lines": len(known)}, {"lines": len(file.read_text().splitlines())})


def _meet(fifo: str | None) -> None:
    if fifo and Path(fifo).exists():
        Path(fifo).write_text("here\n")


class FollowUp(Echo):
    """Files an echo once it is completed."""

    name = "test.follow_up"
    backoff_seconds = 0.01

    async def after_apply(self, order: WorkOrder, diff: Diff, ctx: ApplyContext) -> None:
        await ctx.propose("test.echo", {"message": f"after {order.id}"})
        if order.payload["message"] == "stumble" and ctx.attempt == 1:
            raise RuntimeError("stumbled after filing")


class Form(OrderType):
    """A payload with fields of every kind."""

    name = "test.form"
    payload = {
        "type": "object",
        "required": ["name", "email"],
        "properties": {
            "name": {"type": "string", "minLength": 2, "maxLength": 10_000, "pattern": "^[A-Z]"},
            "email": {"type": "string", "format": "email"},
            "age": {"type": "number", "minimum": 18, "maximum": 99},
            "role": {"enum": ["admin", "member"]},
            "plan": {"enum": ["free", "paid"]},
            "active": {"type": "boolean"},
            "tags": {"type": "array", "minItems": 2, "items": {"type": "string"}},
            "address": {
                "type": "object",
                "required": ["street"],
                "properties": {"street": {"type": "string", "minLength": 3}, "note": {"type": "string"}},
            },
        },
    }

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return Diff.between(None, order.payload)


class Gated(OrderType):
    """Its check of a result says at one FIFO of the payload that it has begun, and waits at the other to go on."""

    name = "test.gated"
    payload = OBJECT
    parts = {"one": PartSpec(), "two": PartSpec(required=False)}

    def check_result(self, item: WorkItem, result: Any) -> list[Finding]:
        _meet(item.input.get("begun"))
        _meet(item.input.get("go_on"))
        return []

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return Diff.between(None, [item.result for item in order.items])


class Fickle(Echo):
    """Its world moves by itself: every preview takes the next line of the file, and the last line stays."""

    name = "test.fickle"
    payload = {"type": "object", "required": ["file"], "properties": {"file": {"type": "string"}}}

    def preview(self, order: WorkOrder) -> Diff:
        file = Path(order.payload["file"])
        line, *rest = file.read_text().splitlines()
        file.write_text("\n".join(rest or [line]))
        return Diff.between(None, line)


class Odd(OrderType):
    """Its apply returns a diff that has no exact form in JSON, or raises words that no database takes."""

    name = "test.odd"
    payload = OBJECT

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        if order.payload.get("raise"):
            raise RuntimeError("\udcff" + "x" * 100_000)
        return Diff.between({}, {"nan": float("nan"), "where": Path("here"), ("a", 1): {1}, "text": "a\udcffb"})


class Watched(Fickle):
    """As fickle, with two reviewers."""

    name = "test.watched"
    approval = "four_eyes"
    quorum = 2


class Seen(Fickle):
    """As fickle, and only a person may say yes to what it shows."""

    name = "test.seen"
    approval = "human"


class Careful(Batch):
    """As a batch, for two persons to approve."""

    name = "test.careful"
    approval = "human"
    quorum = 2


class Narrow(Planned):
    """As planned, at most four leases at a time."""

    name = "test.narrow"
    max_leases = 4
