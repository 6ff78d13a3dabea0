"""What an order type does to the world: one effect per key, whatever happens in between, and a diff that tells it."""

from __future__ import annotations

import copy
import json
import os
import tempfile
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workdocket.domain.diff import Diff, found_at, pointer
from workdocket.domain.errors import Refused
from workdocket.domain.model import WorkItem, WorkOrder
from workdocket.registry import TypeEntry
from workdocket.testing.calling import Attempt, called, findings_of, place_of, same, shown, tried
from workdocket.testing.elsewhere import kept_environment
from workdocket.testing.example import World
from workdocket.testing.problems import Book, said, short
from workdocket.testing.watching import Line, Own, lines_seen, meeting_at, stopping_at

KEY, OTHER = "wd-first", "wd-second"
MOST_STOPS, MOST_MEETINGS, MOST_VARIANTS = 24, 6, 6
A_MOMENT, PATIENCE = 0.05, 30.0
"""Seconds: how long one applier waits for another that may wait for it, and how long for either to end."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What apply said, and what was seen then."""

    diff: Any
    seen: Any


@dataclass
class Changing:
    """The checks of one example. Each begins in a fresh world and compares with one undisturbed apply."""

    entry: TypeEntry
    order: WorkOrder
    world: World
    own: Own
    book: Book

    def check(self) -> None:
        lines = self._undisturbed()
        if not lines:
            return
        self._delivered_twice()
        self._neighbours()
        if not self.world.renews:
            self.book.note("give the example as a function of a folder to have apply stopped, doubled and moved too")
            return
        self._another_order()
        self._world_moved()
        self._stopped(_some(lines, MOST_STOPS))
        self._at_once(_some(lines, MOST_MEETINGS))
        self._surroundings()
        self._result_matters()

    # one apply after the other

    def _undisturbed(self) -> list[Line]:
        """The lines of apply; none where it raises."""
        self.world.fresh()
        before = self.world.seen()
        shown_before = self._previews(before)
        lines: list[Line] = []
        with self.book.raising("apply_raises", "applied the example's order"):
            with lines_seen(self.own) as run:
                diff = self._apply()
            lines += run
            seen = self.world.seen()
            self.reference = Outcome(diff, seen)
            self._truthful("applied the example's order", before, seen, diff)
            if shown_before is not None and shown_before.has_changes != _has_changes(diff):
                saw = f"the preview has {_said(shown_before.has_changes)}, the diff {_said(_has_changes(diff))}"
                self._problem("preview_misleads", "previewed the order, then applied it", saw, "preview")
        return lines

    def _previews(self, before: Any) -> Diff | None:
        """The preview, asked for twice, with the world left alone."""
        first: Any = None
        with self.book.raising("check_raises", "previewed the example's order"):
            first = tried(self.entry, "preview", self.book, self.order)
            if not same(before, self.world.seen()):
                saw = f"{short(before, 120)} became {short(self.world.seen(), 120)}"
                self._problem("preview_writes", "previewed the order", saw, "preview")
            second = tried(self.entry, "preview", self.book, self.order)
            if not same(first, second):
                saw = f"{short(shown(first), 150)}, then {short(shown(second), 150)}"
                self._problem("preview_varies", "previewed the order twice", saw, "preview")
        return first if isinstance(first, Diff) else None

    def _delivered_twice(self) -> None:
        self._as_before("applied the order again with the same key", "not_once", self._attempt(KEY, 2))

    def _neighbours(self) -> None:
        """The hooks around apply, each twice, as after a crash."""
        ctx = Attempt(KEY)
        seen = self.world.seen()
        if self.entry.has("before_apply"):
            with self.book.raising("apply_raises", "called before_apply twice"):
                for _ in range(2):
                    tried(self.entry, "before_apply", self.book, self.order, ctx)
                if not same(seen, self.world.seen()):
                    self._problem("before_apply_writes", "called before_apply", "the world changed", "before_apply")
        if self.entry.has("after_apply") and isinstance(self.reference.diff, Diff):
            with self.book.raising("apply_raises", "called after_apply twice"):
                tried(self.entry, "after_apply", self.book, self.order, self.reference.diff, ctx)
                once = (self.world.seen(), len(ctx.proposed))
                tried(self.entry, "after_apply", self.book, self.order, self.reference.diff, replace(ctx, attempt=2))
                again = (self.world.seen(), len(ctx.proposed))
                if not same(once, again):
                    saw = (
                        f"the world and {once[1]} follow-ups, then {again[1]}"
                        if once[1] != again[1]
                        else "the world changed again"
                    )
                    self._problem("after_apply_repeats", "called after_apply twice", saw, "after_apply")

    def _another_order(self) -> None:
        """The order of another installation that has the same id, payload and results. It may be refused."""
        expected = self.world.fresh().example.again
        self._apply()
        before = self.world.seen()
        with self.book.raising("apply_raises", "applied a second order like the first"):
            diff = self._unless_refused(replace(self._copy(), uid="other"))
            seen = self.world.seen()
            if expected is not None and same(before, seen) != (expected == "nothing"):
                saw = "the world stayed as it was" if same(before, seen) else "the world changed again"
                self._problem("again_differs", f"applied with another key, where again is {expected!r}", saw)
            self._truthful("applied with another key", before, seen, diff)

    def _world_moved(self) -> None:
        """The world changes between preview and apply: the preview must show it, or the diff be true all the same."""
        self.world.fresh()
        with self.book.raising("check_raises", "previewed, changed the world, previewed again"):
            first = called(self.entry, "preview", self._copy())
            if self.world.example.disturb is not None:
                self.world.example.disturb()
                did = "previewed the order, disturbed the world, then applied"
            else:
                called(self.entry, "apply", replace(self._copy(), id="WO-2", number=2, uid="other"), Attempt(OTHER))
                did = "previewed the order, applied another like it, then this one"
            try:
                unnoticed = same(first, called(self.entry, "preview", self._copy()))
            except Refused:
                return  # noticed
        before = self.world.seen()
        try:
            diff = called(self.entry, "apply", self._copy(), Attempt(KEY))
        except Exception:
            return  # noticed
        seen = self.world.seen()
        if self._looks and same(before, seen) == _has_changes(diff):
            saw = f"the diff has {_said(_has_changes(diff))}, the world {_said(not same(before, seen))}"
            self._problem("stale_preview" if unnoticed else "diff_lies", did, saw)

    # stopped, doubled, moved

    def _stopped(self, lines: Sequence[Line]) -> None:
        """The process ends at a line of apply; the next attempt does what is left."""
        for line in lines:
            self.world.fresh()
            with suppress(Exception), stopping_at(self.own, line):
                self._apply()
            did = f"stopped apply before {line[0]}:{line[1]}, then tried again with the same key"
            outcome, varies = self._attempt(KEY, 2), self.world.example.varies
            self._as_before(did, "keeps_partial_effect", outcome, f"{line[0]}:{line[1]}", varies)

    def _at_once(self, lines: Sequence[Line]) -> None:
        """Two appliers with one key: the second runs while the first stands still at a line."""
        for line in lines:
            self.world.fresh()
            raised: list[Exception] = []
            second = threading.Thread(target=self._into, args=(raised, Attempt(KEY, 2)), daemon=True)

            def meet(second: threading.Thread = second) -> None:
                second.start()
                second.join(A_MOMENT)

            with meeting_at(self.own, line, meet):
                self._into(raised, Attempt(KEY))
            if second.ident is not None:
                second.join(PATIENCE)
            if second.is_alive():
                self._problem(
                    "at_once", f"applied twice at once, meeting at {line[0]}:{line[1]}", "one of them does not end"
                )
                return
            if raised:
                self._into([], Attempt(KEY, 3))
            if self._looks and not same(self.reference.seen, self.world.seen()):
                saw = f"{short(self.world.seen(), 150)} instead of {short(self.reference.seen, 150)}"
                self._problem("at_once", f"applied twice at once with one key, meeting at {line[0]}:{line[1]}", saw)
                return

    def _into(self, raised: list[Exception], ctx: Attempt) -> None:
        try:
            called(self.entry, "apply", self._copy(), ctx)
        except Exception as error:
            raised.append(error)

    def _surroundings(self) -> None:
        self.world.fresh()
        shown_here = called(self.entry, "preview", self._copy())
        with moved() as folder:
            shown_there = called(self.entry, "preview", self._copy())
            outcome = self._attempt(KEY, 1)
            left = sorted(path.name for path in folder.iterdir())
        did = "applied in another working folder, with another home and environment"
        if not same(shown_here, shown_there):
            saw = f"{short(shown(shown_there), 150)} instead of {short(shown(shown_here), 150)}"
            self._problem("surroundings", f"previewed, and {did}", saw, "preview")
        if left:
            self._problem("surroundings", did, f"it left {', '.join(left)} there")
        elif isinstance(outcome, Exception):
            self._problem("surroundings", did, said(outcome))
        elif not self._as_in_another_world(outcome.diff):
            self._problem(
                "surroundings",
                did,
                f"{short(shown(outcome.diff), 150)} instead of {short(shown(self.reference.diff), 150)}",
            )

    def _result_matters(self) -> None:
        self.world.fresh()
        variants = list(self._variants())
        for order in variants:
            self.world.fresh()
            try:
                diff = called(self.entry, "apply", order, Attempt(KEY))
            except Exception:
                return
            if not self._as_in_another_world(diff):
                return
        if variants:
            self._problem(
                "result_ignored",
                f"applied {len(variants)} other results that the checks accept",
                "the same diff, the same world",
            )
        else:
            self.book.note("no other result than the example's is accepted, so whether apply uses it was not checked")

    def _variants(self) -> Iterator[WorkOrder]:
        """The order with another value somewhere in a result, as far as the checks accept it."""
        count = 0
        for n, item in enumerate(self.order.items):
            for result in _altered(item.result):
                other = replace(item, result=result)
                order = replace(self._copy(), items=(*self.order.items[:n], other, *self.order.items[n + 1 :]))
                if self._accepted(other, order):
                    yield copy.deepcopy(order)
                    count += 1
                    if count == MOST_VARIANTS:
                        return

    def _accepted(self, item: WorkItem, order: WorkOrder) -> bool:
        if self.entry.result.findings(item.result, limit=1):
            return False
        try:
            on_item = findings_of(called(self.entry, "check_result", item, copy.deepcopy(item.result)))
            return not on_item and not findings_of(called(self.entry, "check_order", copy.deepcopy(order)))
        except Exception:
            return False

    # what they share

    @property
    def _looks(self) -> bool:
        return self.world.example.observe is not None

    def _copy(self) -> WorkOrder:
        return copy.deepcopy(self.order)

    def _apply(self, ctx: Attempt | None = None) -> Any:
        diff = tried(self.entry, "apply", self.book, self.order, ctx or Attempt(KEY))
        if not isinstance(diff, Diff):
            raise TypeError(f"apply returned {type(diff).__name__}, not a Diff")
        self._is_json(diff)
        return diff

    def _attempt(self, key: str, attempt: int) -> Outcome | Exception:
        try:
            return Outcome(self._apply(Attempt(key, attempt)), self.world.seen())
        except Exception as error:
            return error

    def _unless_refused(self, order: WorkOrder) -> Diff:
        """The diff of another order; of one that is refused, none."""
        try:
            diff: Diff = called(self.entry, "apply", order, Attempt(OTHER))
        except Refused:
            return Diff()
        return diff

    def _as_in_another_world(self, diff: Any) -> bool:
        """Whether diff and world are those of the undisturbed apply, apart from what varies."""
        varies = self.world.example.varies
        alike = same(_without(diff, varies), _without(self.reference.diff, varies))
        return alike and same(self.world.seen(), self.reference.seen)

    def _as_before(
        self, did: str, code: str, outcome: Outcome | Exception, place: str = "", varies: Collection[str] = ()
    ) -> None:
        if isinstance(outcome, Exception):
            self._problem(code, did, said(outcome), place=place)
        elif not same(outcome.seen, self.reference.seen):
            self._problem(
                code, did, f"{short(outcome.seen, 150)} instead of {short(self.reference.seen, 150)}", place=place
            )
        elif not same(_without(outcome.diff, varies), _without(self.reference.diff, varies)):
            late = "" if self._looks else code  # where nobody looks, the diff is all there is to tell
            saw = f"{short(shown(outcome.diff), 150)} instead of {short(shown(self.reference.diff), 150)}"
            self._problem(late or "diff_changes", did, saw)

    def _truthful(self, did: str, before: Any, seen: Any, diff: Any) -> None:
        if self._looks and same(before, seen) == _has_changes(diff):
            self._problem(
                "diff_lies", did, f"the diff has {_said(_has_changes(diff))}, the world {_said(not same(before, seen))}"
            )

    def _is_json(self, diff: Diff) -> None:
        try:
            text = json.dumps(diff.as_dict(), allow_nan=False)
            text.encode()
            if json.loads(text) != diff.as_dict():
                raise ValueError("it reads back as something else")
        except (TypeError, ValueError, RecursionError) as error:
            self._problem("diff_not_json", "wrote the diff as JSON", str(error))

    def _problem(self, code: str, did: str, saw: str, hook: str = "apply", place: str = "") -> None:
        self.book.problem(code, did, saw, place_of(self.entry, hook) if not place or code == "diff_changes" else place)


def _without(diff: Any, varies: Collection[str]) -> Any:
    """The diff as JSON, less what the pointers lead to."""
    told = shown(diff)
    for at in varies:
        parent, _, key = at.rpartition("/")
        inside = found_at(told, parent) if parent else told
        if isinstance(inside, dict):
            inside.pop(key.replace("~1", "/").replace("~0", "~"), None)
    return told


def _has_changes(diff: Any) -> bool:
    return bool(isinstance(diff, Diff) and diff.has_changes)


def _said(changes: bool) -> str:
    return "changes" if changes else "no changes"


def _some(lines: Sequence[Line], most: int) -> list[Line]:
    """At most so many, spread over all; the last among them."""
    if len(lines) <= most:
        return list(lines)
    return [lines[(n + 1) * len(lines) // most - 1] for n in range(most)]


def _altered(result: Any) -> Iterator[Any]:
    """The result with one of its values another one."""
    for at, value in _leaves(result, ""):
        for other in _others(value):
            changed = copy.deepcopy(result)
            parent, _, key = at.rpartition("/")
            inside = found_at(changed, parent) if parent else changed
            index = key.replace("~1", "/").replace("~0", "~")
            inside[int(index) if isinstance(inside, list) else index] = other
            yield changed


def _others(value: Any) -> list[Any]:
    match value:
        case bool():
            return [not value]
        case int() | float():
            return [value + 1, value - 1]
        case str():
            return [f"{value}x", f"x{value}", value[:-1]] if value else ["x"]
    return []


def _leaves(value: Any, at: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, pointer(at, key))
    elif at:
        yield at, value


@contextmanager
def moved() -> Iterator[Path]:
    """This process in an empty folder, with hardly an environment."""
    home, environment = Path.cwd(), dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        bare = kept_environment()
        os.environ.clear()
        os.environ.update({**bare, "HOME": folder, "USERPROFILE": folder})
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(home)
            os.environ.clear()
            os.environ.update(environment)
