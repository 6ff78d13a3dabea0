"""What an order type computes: plans from payloads, findings on results and parts, results from parts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, permutations
from math import factorial
from typing import Any

from workdocket.domain.errors import Refused
from workdocket.domain.model import SYSTEM, Part, WorkItem, WorkOrder, checksum
from workdocket.registry import TypeEntry
from workdocket.schema import Validator
from workdocket.testing import elsewhere, values
from workdocket.testing.calling import called, draft, findings_of, place_of, same, shown, tried
from workdocket.testing.example import Example, results_given
from workdocket.testing.life import Life, polite, raised_code, told
from workdocket.testing.problems import Book, said, short
from workdocket.testing.watching import Own, reaching_out

ORDERS_OF_PARTS, DRAWN_PARTS = 6, 30


def made(
    validator: Validator, examples: Sequence[Any], book: Book, what: str, drawn: int = values.DRAWN
) -> values.Values:
    """Values for a schema; one that its own validator chokes on is a problem."""
    found = values.values(validator, examples, drawn=drawn)
    for value, error in found.choked:
        book.problem("schema_raises", f"checked the {what} {short(value)}", said(error))
    return found


def check_plans(entry: TypeEntry, examples: Sequence[Example], life: Life, own: Own, book: Book) -> None:
    payloads = made(entry.payload, [one.payload for one in examples], book, "payload")
    answers = asyncio.run(life.answers([*payloads.valid, *payloads.invalid]))
    for payload, error in zip(payloads.valid, answers, strict=False):
        if error is not None and error.code == "invalid_plan" and not polite(error):
            book.problem(
                "plan_fails", f"planned the valid payload {short(payload)}", told(error), place_of(entry, "plan")
            )
        elif error is not None and raised_code(error):
            book.problem(
                "plan_raises", f"planned the valid payload {short(payload)}", told(error), place_of(entry, "plan")
            )
    for payload, error in zip(payloads.invalid, answers[len(payloads.valid) :], strict=True):
        if error is None or error.code == "internal":
            book.problem(
                "schema_raises",
                f"filed the invalid payload {short(payload)}",
                "no refusal" if error is None else told(error),
            )
    plans = [_planned(entry, payload, own, book) for payload in payloads.valid]
    _asked_elsewhere(entry, payloads.valid, plans, book)


def _planned(entry: TypeEntry, payload: Any, own: Own, book: Book) -> Any:
    """The plan, made twice; what was raised counts as an answer here."""
    with reaching_out(own) as reached:
        first = _answer(entry, "plan", book, draft(entry, payload))
    second = _answer(entry, "plan", book, draft(entry, payload))
    for what, where in reached.places.values():
        book.problem("plan_reaches_out", f"planned {short(payload, 120)}", f"plan asked {what}", where)
    if not same(first, second):
        saw = f"{short(shown(first), 150)}, then {short(shown(second), 150)}"
        book.problem("plan_varies", f"planned {short(payload, 120)} twice", saw, place_of(entry, "plan"))
    return first


def _answer(entry: TypeEntry, hook: str, book: Book, *arguments: Any) -> Any:
    try:
        return tried(entry, hook, book, *arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _asked_elsewhere(entry: TypeEntry, payloads: Sequence[Any], plans: Sequence[Any], book: Book) -> None:
    try:
        found = elsewhere.plans(entry, payloads)
    except elsewhere.NotAsked as error:
        book.note(f"plans were not made again in another process: {error}")
        return
    for payload, plan, other in zip(payloads, plans, found, strict=True):
        if not same(plan, other):
            did = f"planned {short(payload, 120)} again in another process, with another clock, folder and environment"
            book.problem(
                "plan_varies", did, f"{short(shown(plan), 150)}, there {short(other, 150)}", place_of(entry, "plan")
            )


# results and parts


def check_results(entry: TypeEntry, examples: Sequence[Example], orders: Sequence[WorkOrder], book: Book) -> None:
    """The checks of a result on whatever fits its schema, for every item of the examples."""
    accepted = [item.result for order in orders for item in order.items]
    results = made(entry.result, [*results_given(examples), *accepted], book, "result").valid
    for order in orders:
        for item in order.items[:3]:
            for result in results:
                _checked(entry, "check_result", book, item, result)
            _check_order(entry, order, item, results, book)


def _check_order(entry: TypeEntry, order: WorkOrder, item: WorkItem, results: Sequence[Any], book: Book) -> None:
    for result in results[:10]:
        if not _quiet(entry, item, result):
            continue
        items = tuple(replace(one, result=result) if one is item else one for one in order.items)
        _checked(entry, "check_order", book, replace(order, items=items))


def _quiet(entry: TypeEntry, item: WorkItem, result: Any) -> bool:
    """Whether the type has nothing against the result."""
    try:
        return not findings_of(called(entry, "check_result", item, result))
    except Exception:
        return False


def _checked(entry: TypeEntry, hook: str, book: Book, *arguments: Any) -> None:
    about = arguments[-1].items[-1].result if isinstance(arguments[-1], WorkOrder) else arguments[-1]
    did, place = f"called {hook} with {short(getattr(about, 'payload', about))}", place_of(entry, hook)
    try:
        first, second = (findings_of(tried(entry, hook, book, *arguments)) for _ in range(2))
    except Refused:
        return
    except Exception as error:
        book.problem("check_raises", did, said(error), place)
        return
    if first != second:
        book.problem(
            "check_varies", f"{did}, twice", f"{short(shown(first), 120)}, then {short(shown(second), 120)}", place
        )


def check_parts(entry: TypeEntry, examples: Sequence[Example], orders: Sequence[WorkOrder], book: Book) -> None:
    items = [(example, item) for example, order in zip(examples, orders, strict=True) for item in order.items]
    for key, validator in entry.parts.items():
        if validator is None:
            continue
        given = [payload for example, item in items for name, _, payload in example.parts_for(item) if name == key]
        for payload in made(validator, given, book, f"part {key!r}", DRAWN_PARTS).valid:
            for _, item in items[:3]:
                part = Part(item.id, key, 1, "validated", payload, checksum(payload), SYSTEM, 1, 0)
                _checked(entry, "check_part", book, item, part)
    for example, item in items:
        _assembled(entry, item, example.parts_for(item), book)


def _assembled(entry: TypeEntry, item: WorkItem, parts: Sequence[tuple[str, int | None, Any]], book: Book) -> None:
    """The result, from the same parts in several orders of their keys."""
    latest: dict[str, Any] = {}
    for key, seq, payload in parts:
        latest[key] = payload if seq is None else [*latest.get(key, []), payload]
    orders = [
        dict(pairs)
        for pairs in islice(permutations(latest.items()), 0, None, max(1, _many(len(latest)) // ORDERS_OF_PARTS))
    ]
    place = place_of(entry, "assemble")
    for one in orders[:ORDERS_OF_PARTS] if latest else []:
        with book.raising("check_raises", f"assembled the parts {', '.join(one)}"):
            first = tried(entry, "assemble", book, item, orders[0])
            other = tried(entry, "assemble", book, item, one)
            if not same(first, other):
                did = f"assembled the parts {', '.join(orders[0])}, and in the order {', '.join(one)}"
                book.problem("parts_order", did, f"{short(first, 150)}, then {short(other, 150)}", place)


def _many(count: int) -> int:
    return factorial(min(count, 7))


async def check_arrival(life: Life, world: Any, order: WorkOrder, book: Book) -> None:
    """Parts sent last to first, and every one twice, make the same results."""
    other = await life.handed_in(world, backwards=True)
    for one, again in zip(order.items, other.items if other else (), strict=False):
        if not same(one.result, again.result):
            saw = f"{short(one.result, 150)}, then {short(again.result, 150)}"
            book.problem(
                "parts_order",
                f"sent the parts of {one.id} last to first, and every one twice",
                saw,
                place_of(life.entry, "assemble"),
            )
