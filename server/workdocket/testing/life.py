"""An example's whole life through the real product, on a store of its own: proposed, worked on, reviewed, applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from workdocket.app import App, open_app
from workdocket.domain.errors import Refused, WorkError
from workdocket.domain.model import WorkOrder
from workdocket.registry import Registry, TypeEntry
from workdocket.service.desk import must_find_order
from workdocket.service.hooks import HookRaised
from workdocket.settings import load_settings
from workdocket.surfaces.dispatch import run_tool
from workdocket.surfaces.identity import local_caller
from workdocket.testing.calling import same
from workdocket.testing.example import Example, World
from workdocket.testing.problems import Book, said, short

MOST_ITEMS = 200
RAISED_IN = {"plan": "plan_raises", "preview": "check_raises", "apply": "apply_raises"}


class Halted(Exception):
    """The life ended early; the book says why."""


@dataclass
class Life:
    """One store with one type and those it files follow-ups of. The store is not in the example's folder."""

    entry: TypeEntry
    others: Sequence[TypeEntry]
    home: Path
    book: Book

    async def whole(self, world: World) -> WorkOrder | None:
        """The order as it was approved; nothing when it did not get that far."""
        async with self._open() as app:
            try:
                return await Walk(self, app, world.fresh()).to_the_end()
            except Halted:
                return None

    async def handed_in(self, world: World, *, backwards: bool) -> WorkOrder | None:
        """The order when all its results are in; ``backwards``: parts sent last to first, and every one twice."""
        async with self._open() as app:
            try:
                return await Walk(self, app, world.fresh(), backwards).to_review()
            except Halted:
                return None

    async def answers(self, payloads: Sequence[Any]) -> list[WorkError | None]:
        """How the product refuses payloads, each planned and not stored."""
        async with self._open() as app:
            return [await self._refusal(app, payload) for payload in payloads]

    async def _refusal(self, app: App, payload: Any) -> WorkError | None:
        arguments = {"type": self.entry.name, "payload": payload, "validate_only": True}
        try:
            await run_tool(app, local_caller("planner", kind="user"), "propose", arguments)
        except WorkError as error:
            return error
        return None

    def _open(self) -> Any:
        self.home.mkdir(parents=True, exist_ok=True)
        database = self.home / f"{len(list(self.home.iterdir()))}.db"
        settings = load_settings({"database": str(database), "log_level": "error"}, cwd=self.home, environ={})
        return open_app(settings, registry=Registry([self.entry, *self.others]))


@dataclass
class Walk:
    """One order on its way."""

    life: Life
    app: App
    world: World
    backwards: bool = False

    @property
    def example(self) -> Example:
        return self.world.example

    async def to_the_end(self) -> WorkOrder:
        before = self.world.seen()
        order = await self.to_review()
        order_id = order.id
        if self.life.entry.type.approval != "auto":
            await self._approved(order_id)
        seen = await self._settled(order_id)
        if not same(before, self.world.seen()) and not (seen.get("diff") or {}).get("has_changes"):
            self.life.book.problem(
                "diff_lies", "approved the example's order", "the world changed; the diff has no changes"
            )
        return order

    async def to_review(self) -> WorkOrder:
        """Filed, and every item worked on in the order in which it is handed out."""
        answer = await self._do(
            "filed the payload", "planner", "propose", type=self.life.entry.name, payload=self.example.payload
        )
        order_id = answer["order"]["id"]
        reason = await self._worked_off(order_id)
        order = await self.app.desk.store.read(lambda tx: must_find_order(tx, order_id, results=True))
        if order.state in ("queued", "checked_out", "in_progress"):
            self._halt(
                f"worked on every item of {order_id} that was handed out", f"the order is {order.state}: {reason}"
            )
        return order

    async def _worked_off(self, order_id: str) -> str:
        """Every item that is handed out; why there was none left."""
        wanted = {"order_id": order_id, "skills": await self._skills(order_id)}
        for _ in range(MOST_ITEMS):
            taken = await self._do("checked an item out", "worker", "checkout", **wanted)
            if not taken["items"]:
                return str(taken["reason"])
            await self._work_on(taken["items"][0])
        return f"more than {MOST_ITEMS} items"

    async def _skills(self, order_id: str) -> list[str]:
        order = await self.app.desk.store.read(lambda tx: must_find_order(tx, order_id, items=True))
        return sorted({skill for item in order.items for skill in item.skills})

    async def _work_on(self, item: Mapping[str, Any]) -> None:
        held = {"item_id": item["id"], "lease_token": item["lease"]["token"]}
        full = (await self._do("read the item", "worker", "get_item", item_id=item["id"]))["item"]
        named = f"{item['id']}" + (f" ({full['key']})" if full.get("key") else "")
        parts, result = self.example.parts_for(full), self.example.result_for(full)
        if parts:
            for key, seq, payload in [*reversed(parts), *parts] if self.backwards else parts:
                numbered = {} if seq is None else {"seq": seq}
                await self._do(
                    f"sent the part {key!r} of {named}",
                    "worker",
                    "submit_part",
                    **held,
                    part_key=key,
                    payload=payload,
                    **numbered,
                )
            await self._do(f"finalized {named}", "worker", "finalize", **held)
        elif result is not None:
            await self._do(f"handed in the result of {named}", "worker", "submit", **held, result=result)
        else:
            self._halt(f"came to {named}", "the example has neither a result nor parts for it")

    async def _approved(self, order_id: str) -> None:
        packet = await self._do("reviewed the order", "reviewer", "review", order_id=order_id)
        if packet["findings"]:
            self._halt("reviewed the order", f"findings: {short(packet['findings'])}")
        shown = {"order_id": order_id, "digest": packet["digest"]}
        for n in range(self.life.entry.type.quorum):
            await self._do("approved the order with the digest shown", f"reviewer-{n}", "approve", **shown)

    async def _settled(self, order_id: str) -> dict[str, Any]:
        """The order when its effects have ended."""
        for _ in range(20):
            tick = self.app.desk.store.tick
            pending = await self.app.desk.store.read(
                lambda tx: [one for one in tx.effects(order_id) if one.state == "pending"]
            )
            if not pending:
                break
            if any(one.error for one in pending):
                self._halt(f"ran {pending[0].kind}", str(pending[0].error), "apply_raises")
            await self.app.desk.store.wait(tick, 1.0)
        seen = await self._do("looked at the order", "reviewer", "get_order", order_id=order_id)
        if seen["order"]["state"] != "completed":
            self._halt(
                "waited for the order to be completed",
                f"it is {seen['order']['state']}; findings: {short(seen['findings'])}",
            )
        return seen

    async def _do(self, did: str, who: str, tool: str, **arguments: Any) -> dict[str, Any]:
        try:
            return await run_tool(self.app, local_caller(who, kind="user"), tool, arguments)
        except WorkError as error:
            code = "apply_raises" if error.code == "apply_failed" else raised_code(error) or "example_refused"
            self._halt(did, told(error), code)

    def _halt(self, did: str, saw: str, code: str = "example_refused") -> NoReturn:
        self.life.book.problem(code, did, saw)
        raise Halted


def raised_code(error: WorkError) -> str | None:
    """The code for a hook that raised, or returned what it must not."""
    if error.code != "internal":
        return None
    return RAISED_IN.get(str((error.details or {}).get("hook")), "check_raises")


def told(error: WorkError) -> str:
    cause = error.__cause__
    if isinstance(cause, HookRaised):
        return f"{error.message}: {said(cause.cause)}"
    findings = (error.details or {}).get("findings")
    return f"{error.code}: {error.message}" + (
        f": {short([f.as_dict() if hasattr(f, 'as_dict') else f for f in findings])}" if findings else ""
    )


def polite(error: WorkError) -> bool:
    """Whether the type itself said no."""
    return isinstance(error.__cause__, Refused)
