"""One walk: two processes on one database, the model beside them, and the comparison after every step."""

from __future__ import annotations

import json
import signal
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.property.kinds import SETTINGS
from tests.property.model import Model
from tests.property.processes import Worker, Zygote
from tests.property.records import Item, Order
from tests.property.trail import Look, Row, Trail, look, within_limits
from tests.support import raw

Answer = dict[str, Any]
Doom = tuple[str, int] | None

LONGEST_LINE = 300
START = 1_790_000_000_000


@dataclass
class Step:
    """One call as it was made, so that it can be made again. ``hidden`` is for the model only."""

    tool: str
    actor: str
    arguments: Answer
    hidden: Answer
    answer: Answer | None = None


@dataclass
class Tally:
    """What walks have done so far."""

    rules: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    crashes: int = 0

    @property
    def steps(self) -> int:
        return sum(self.rules.values())

    def told(self) -> str:
        rules = ", ".join(f"{name} {times}" for name, times in self.rules.most_common())
        calls = ", ".join(f"{name} {self.accepted[name]}/{times}" for name, times in self.calls.most_common())
        refused = ", ".join(f"{name} {times}" for name, times in self.refused.most_common())
        return (
            f"{self.steps} steps, {self.crashes} crashes\nsteps: {rules}\n"
            f"calls accepted/made: {calls}\nrefused: {refused}"
        )


class Walk:
    """``call`` does one thing and holds everything against the model."""

    def __init__(self, zygote: Zygote, tally: Tally) -> None:
        self._zygote = zygote
        self.tally = tally
        self._room = tempfile.TemporaryDirectory(prefix="walk-")
        self.folder = Path(self._room.name)
        self.model = Model()
        self.model.set_time(START)
        self.trail = Trail()
        self.workers = [self._start(), self._start()]
        self.steps: list[Step] = []
        self.script: list[str] = []
        self.followed: set[str] = set()
        self.crashed = False
        self._numbers = 0

    def _start(self) -> Worker:
        return self._zygote.start(self.folder, SETTINGS)

    @property
    def now(self) -> int:
        return self.model.now

    def number(self) -> int:
        """One that was not given before, in this walk."""
        self._numbers += 1
        return self._numbers

    def at(self, now: int) -> None:
        self.script.append(f"-- the clock goes {(now - self.now) / 1000:+g} s")
        self.model.set_time(now)

    def restart(self, process: int) -> None:
        self.script.append(f"-- process {process} is closed and started again")
        assert self.workers[process].stop() == 0
        self.workers[process] = self._start()

    def close(self) -> None:
        for worker in self.workers:
            worker.stop()
        self._room.cleanup()

    # one call

    def call(
        self, tool: str, actor: str, arguments: Answer, *, process: int = 0, doom: Doom = None, **hidden: Any
    ) -> Answer:
        """The answer, or the refusal; empty if the process ended before it could say."""
        step = Step(tool, actor, arguments, hidden)
        self.tally.calls[tool] += 1
        lines = self.begun()
        request = {"at": self.now, "actor": actor, "tool": tool, "arguments": arguments, "doom": doom}
        given, alive = self.workers[process].call(request)
        end = "" if alive else f" killed {doom[0]} commit {doom[1]}" if doom else " died"
        self.script.append(
            f"{process}: {actor} {tool} {json.dumps(arguments)}{end} -> {json.dumps(given)}"[:LONGEST_LINE]
        )
        if not alive:
            self._bury(process)
        assert given is None or "broken" not in given, given
        found = look(self.folder, self.trail.seq, self.model.latest)
        news = self.trail.follow(found.events)
        self._run_out(news)
        if given is not None or doom != ("before", 1):
            self._compare(step, given, news, alive, process, lines)
        elif news:
            raise AssertionError(f"killed before the first commit, and yet: {news}")
        self._agree(found)
        return given or {}

    def _bury(self, process: int) -> None:
        assert self.workers[process].ended() == -signal.SIGKILL
        self.workers[process] = self._start()
        self.crashed = True
        self.tally.crashes += 1

    def _compare(
        self, step: Step, given: Answer | None, news: list[Row], alive: bool, process: int, lines: dict[str, int]
    ) -> None:
        answer = given.get("ok") if given is not None else self._learned(step, news, process)
        request = {**step.arguments, **step.hidden}
        if step.tool == "sweep" and not alive:
            self._goes_on(news)
            return
        codes, kept = self.model.told(step.tool, step.actor, request, answer, seen=given is not None)
        self._goes_on(news)
        order = self._order_of(step)
        raised = step.tool == "approve" and order is not None and order.raised
        if given is None:
            return
        if "refused" in given:
            code = given["refused"]["code"]
            self.tally.refused[f"{step.tool} {code}"] += 1
            assert code in (codes or ({"apply_failed"} if raised else set())), f"{code}, expected {set(codes)}: {step}"
            return
        assert not codes, f"accepted, expected {set(codes)}: {step}"
        assert answer is not None
        self.tally.accepted[step.tool] += 1
        self._same(step, kept.answer if kept else None, answer, repeated=kept is not None)
        if kept is not None:
            kept.answer = kept.answer or {name: value for name, value in answer.items() if name != "replayed"}
            return
        step.answer = answer
        self.steps.append(step)
        if alive:
            touched = list(self.model.orders.values()) if step.tool == "sweep" else [order] if order else []
            if step.tool in ("sweep", "approve", "retry", "submit", "finalize"):
                assert not self.model.undone(touched), f"not done: {self.model.undone(touched)}"

    def _same(self, step: Step, before: Answer | None, answer: Answer, *, repeated: bool) -> None:
        assert answer.get("replayed", False) == repeated, f"replayed: {answer.get('replayed')}: {step}"
        if before is None:
            return
        now = {name: value for name, value in answer.items() if name != "replayed"}
        if step.tool == "approve":  # goes on to say what became of it
            now, before = now["order"]["id"], before["order"]["id"]
        assert now == before, f"another answer to the same call: {now}, not {before}"

    def _order_of(self, step: Step) -> Order | None:
        a = step.arguments
        order_id = a.get("order_id") or a.get("item_id", "").rpartition(".")[0]
        return self.model.orders.get(order_id)

    def _learned(self, step: Step, news: list[Row], process: int) -> Answer | None:
        """What a process that was killed would have answered, as far as the model has to know."""
        if step.tool == "propose":
            filed = [row["order_id"] for row in news if row["event"] == "order.proposed"]
            return {"order": {"id": filed[0]}} if filed else None
        if step.tool != "checkout":
            return None
        taken = [row["item_id"] for row in news if row["event"] == "item.leased"]
        request = {"at": self.now, "actor": step.actor, "tool": "my_work", "arguments": {}, "doom": None}
        given, _ = self.workers[process].call(request)
        assert given is not None
        leases = {row["id"]: row["lease"] for row in given["ok"]["leases"]}
        rows = [{"id": item_id, "lease": leases[item_id]} for item_id in taken]
        return {"items": rows, "reason": self._any_reason(step.actor), "retry_after_seconds": 0}

    def _any_reason(self, actor: str) -> str:
        return "agent_limit" if self.model.live(holder=actor) >= SETTINGS["max_leases_per_agent"] else "unknown"

    # what happens by itself

    def _run_out(self, news: list[Row]) -> None:
        for row in news:
            by_system = row["actor_type"] == "system"
            if row["event"] == "item.lease_expired" or (row["event"] == "item.failed" and by_system):
                self.model.run_out(row["item_id"])

    def _goes_on(self, news: list[Row]) -> None:
        tries = self.begun()
        for row in news:
            self._goes_on_with(row, tries)

    def _goes_on_with(self, row: Row, tries: dict[str, int]) -> None:
        event, order_id, model = row["event"], row["order_id"], self.model
        by_system = row["actor_type"] == "system"
        if event == "order.approved" and by_system:
            model.by_rule(order_id)
        elif event == "approval.deferred":
            model.deferred(order_id)
        elif event.endswith("attempt_failed") and row["data"].get("interrupted"):
            assert self.crashed, f"no process ended, and yet: {row}"
        elif event == "apply.attempt_failed":
            model.attempted(order_id, tries.get(order_id, 1))
        elif event == "order.apply_failed":
            model.given_up(order_id)
        elif event == "order.applied":
            model.applied(order_id, tries.get(order_id, 1))
        elif event == "order.proposed" and by_system:
            self._follow_up(order_id)

    def _follow_up(self, order_id: str) -> None:
        [row] = raw.rows(self.folder, f"SELECT type, payload FROM orders WHERE id = '{order_id}'")
        payload = json.loads(row["payload"])
        after = self.model.orders[payload["message"].removeprefix("after ")]
        assert (after.kind.files, after.state) == (row["type"], "completed"), f"{after.id} had nothing to file"
        assert after.id not in self.followed, f"{after.id} filed twice"
        self.followed.add(after.id)
        self.model.file(order_id, "workdocket", {"type": row["type"], "payload": payload}, set())

    # what must hold

    def _agree(self, found: Look) -> None:
        """Every state, count and fence in the database, in the log and in the model is the same."""
        modelled = {item.id: (item.state, item.attempts, item.fence) for item in self.model.items.values()}
        stored = {row["id"]: (row["state"], row["attempts"], row["fence"]) for row in found.items}
        assert stored == modelled, differences(stored, modelled)
        states = {order.id: order.state for order in self.model.orders.values()}
        orders = {row["id"]: row["state"] for row in found.orders}
        assert orders == states, differences(orders, states)
        assert self.trail.orders == states, differences(self.trail.orders, states)
        assert self.trail.items == {name: row[0] for name, row in stored.items()}
        within_limits(found.leases)

    def ledger(self, order: Order) -> Path:
        return Path(order.payload["file"])

    def begun(self) -> dict[str, int]:
        """How often the change of each ledger order has been begun."""
        ledgers = [order for order in self.model.orders.values() if order.type == "test.ledger"]
        return {order.id: len(lines(Path(f"{self.ledger(order)}.attempts"))) for order in ledgers}

    def effects(self) -> None:
        """A ledger has a line of each order that is completed, none of any other that is over, and none twice."""
        for order in self.model.orders.values():
            if order.type == "test.ledger":
                made = len(lines(self.ledger(order)))
                assert made <= 1, f"{order.id} was applied {made} times"
                assert made == 1 or order.state != "completed", f"{order.id} is completed and was not applied"
                assert made == 0 or order.state in ("approved", "completed"), f"{order.id} is {order.state} and applied"
            if order.kind.files and order.state == "completed":
                assert order.id in self.followed, f"{order.id} filed nothing"

    def look(self, item: Item, process: int = 0) -> None:
        """One item and its order, as everybody sees them, are as the model has them."""
        asked = {"item_id": item.id}
        shown = self.call("get_item", "ann", asked, process=process)["ok"]["item"]
        lease = item.lease if item.lease is not None and item.lease.end is None else None
        assert shown["state"] == item.state
        assert shown["attempts_made"] == item.attempts
        assert set(shown.get("waiting_for", ())) == item.waits, (shown, item.waits)
        assert shown.get("lease_expires_at") == (iso(lease.expires) if lease else None)
        assert shown.get("leased_by") == (lease.holder if lease else None)
        assert len(shown["attempts"]) == min(item.fence, 25)
        assert len(shown["feedback"]) == item.feedback
        assert shown.get("result") == item.result
        late = sorted((one["fence"], json.dumps(one["result"])) for one in shown["late_results"])
        assert late == sorted((fence, json.dumps(value)) for fence, value in item.late)
        good = {(part["key"], part["seq"]): part["payload"] for part in shown["parts"] if part["status"] == "validated"}
        assert good == item.parts
        if self.now == self.model.latest:
            waits = item.due if item.state == "queued" and item.due is not None and item.due > self.now else None
            assert shown.get("available_at") == (None if waits is None else iso(waits)), (shown, item.due)
        order = self.call("get_order", "ann", {"order_id": item.order.id}, process=process)["ok"]["order"]
        assert order["state"] == item.order.state
        assert order["item_states"] == Counter(one.state for one in item.order.items)

    def ends_well(self) -> None:
        """Time enough for all that goes on by itself; then what was answered is still so, and nothing is lost."""
        for _ in range(6):
            self.at(self.model.latest + 20_000)
            self.call("sweep", "ann", {})
        for item in list(self.model.items.values()):
            self.look(item)
        self.effects()
        for step in list(self.steps):
            if (step.tool, step.actor, step.arguments.get("idempotency_key")) in self.model.keys:
                self.call(step.tool, step.actor, step.arguments, process=1, **step.hidden)


def iso(at: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def differences(found: dict[str, Any], expected: dict[str, Any]) -> str:
    rows = sorted(set(found.items()) ^ set(expected.items()), key=str)
    names = dict.fromkeys(name for name, _ in rows)
    return "; ".join(f"{name} is {found.get(name)}, expected {expected.get(name)}" for name in names)


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
