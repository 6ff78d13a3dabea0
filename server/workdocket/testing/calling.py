"""Calling one hook by hand, plain or awaited, on a copy of its arguments; and records to call it with."""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from workdocket.domain.errors import Finding
from workdocket.domain.model import SYSTEM, Actor, WorkOrder, canonical, checksum
from workdocket.registry import TypeEntry
from workdocket.testing.problems import Book, short

REVIEWER = Actor("user", "reviewer")


@dataclass
class Attempt:
    """An :class:`workdocket.ApplyContext` that keeps what is proposed; the same again is the same order."""

    idempotency_key: str
    attempt: int = 1
    approved_by: Actor = REVIEWER
    proposed: dict[str, str] = field(default_factory=dict)

    def __deepcopy__(self, memo: Any) -> Attempt:
        return self

    async def propose(self, type: str, payload: Mapping[str, Any], **more: Any) -> str:
        request = checksum([type, payload, more.get("priority", 0), more.get("dedupe_key")])
        return self.proposed.setdefault(request, f"WO-{1000 + len(self.proposed)}")


def called(entry: TypeEntry, hook: str, *arguments: Any) -> Any:
    """The hook's answer."""
    answer = getattr(entry.type, hook)(*arguments)
    return asyncio.run(_awaited(answer)) if inspect.isawaitable(answer) else answer


async def _awaited(answer: Any) -> Any:
    return await answer


def tried(entry: TypeEntry, hook: str, book: Book, *arguments: Any) -> Any:
    """The answer on a copy of the arguments, which must be left as they were."""
    given = copy.deepcopy(arguments)
    answer = called(entry, hook, *given)
    if shown(given) != shown(arguments):
        book.problem("mutates_input", f"called {hook}", _changed(arguments, given), place_of(entry, hook))
    return answer


def place_of(entry: TypeEntry, hook: str) -> str:
    """The ``file:line`` of a hook, or of the class."""
    function = inspect.unwrap(getattr(type(entry.type), hook, type(entry.type)))
    try:
        return (
            f"{inspect.getsourcefile(function)}:{inspect.getsourcelines(function)[1]}"
            if entry.has(hook)
            else entry.origin
        )
    except (OSError, TypeError):
        return entry.origin


def shown(value: Any) -> Any:
    """Arguments and answers of hooks as JSON, to be compared."""
    match value:
        case list() | tuple():
            return [shown(one) for one in value]
        case dict():
            return {str(key): shown(one) for key, one in value.items()}
        case set() | frozenset():
            return sorted(map(repr, value))
        case Attempt():
            return None
        case None | bool() | int() | float() | str():
            return value
    return shown(value.as_dict()) if hasattr(value, "as_dict") else _fields(value)


def _fields(value: Any) -> Any:
    return shown(asdict(value)) if hasattr(value, "__dataclass_fields__") else repr(value)


def _changed(before: Any, after: Any) -> str:
    from workdocket.domain.diff import Diff

    changes = Diff.between(shown(before), shown(after)).changes
    return "; ".join(f"{change.path} became {short(change.after, 80)}" for change in changes[:3])


def findings_of(answer: Any) -> list[Finding]:
    """The findings of a check; raises when it is no list of them."""
    if answer is None:
        return []
    if not isinstance(answer, list | tuple) or not all(isinstance(one, Finding) for one in answer):
        raise TypeError(f"it returned {short(answer, 80)}, not a list of Finding")
    return list(answer)


# records by hand


def draft(entry: TypeEntry, payload: Any) -> WorkOrder:
    """An order as plan gets it: no id, no items."""
    return WorkOrder("", 0, "draft", entry.name, entry.version, payload, 0, SYSTEM, 0, 0)


def same(one: Any, other: Any) -> bool:
    return canonical(shown(one)) == canonical(shown(other))
