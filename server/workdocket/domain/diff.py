"""A deep difference between two JSON values, addressed by JSON Pointers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from workdocket.domain.errors import Finding

Op = Literal["added", "modified", "removed"]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One leaf that differs. ``path`` is a JSON Pointer; ``before``/``after`` are ``None`` where there was nothing."""

    op: Op
    path: str
    before: Any = None
    after: Any = None

    def as_dict(self) -> dict[str, Any]:
        return {"op": self.op, "path": self.path, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class Diff:
    """What an apply changed, or would change. Values are JSON; make one with :meth:`between`.

    ``conflicts`` are what a revert left alone since it is no longer as the order had left it: where, and why.

    >>> Diff.between({"a": 1}, {"a": 2}).changes[0].path
    '/a'
    """

    summary: str = ""
    changes: tuple[FieldChange, ...] = ()
    before: Any = None
    after: Any = None
    conflicts: tuple[Finding, ...] = ()

    @property
    def has_changes(self) -> bool:
        return bool(self.changes)

    @classmethod
    def between(cls, before: Any, after: Any, summary: str = "") -> Diff:
        """The difference of two JSON values; lists are compared by position."""
        changes = tuple(_walk(before, after, ""))
        return cls(summary or _count(changes), changes, before, after)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Diff:
        changes = tuple(
            FieldChange(c["op"], c["path"], c.get("before"), c.get("after")) for c in data.get("changes", ())
        )
        conflicts = tuple(Finding(**one) for one in data.get("conflicts", ()))
        return cls(data.get("summary", ""), changes, data.get("before"), data.get("after"), conflicts)

    def reversed(self) -> Diff:
        """From after to before."""
        changes = tuple(FieldChange(_OTHER_WAY[one.op], one.path, one.after, one.before) for one in self.changes)
        return Diff(f"undo: {self.summary}", changes, self.after, self.before)

    def as_dict(self) -> dict[str, Any]:
        return {
            "summary": self.summary,
            "changes": [change.as_dict() for change in self.changes],
            "before": self.before,
            "after": self.after,
            "has_changes": self.has_changes,
            **({"conflicts": [one.as_dict() for one in self.conflicts]} if self.conflicts else {}),
        }


_OTHER_WAY: Mapping[Op, Op] = {"added": "removed", "removed": "added", "modified": "modified"}


def pointer(parent: str, key: str | int) -> str:
    """``parent`` extended by one escaped JSON Pointer token."""
    return f"{parent}/{str(key).replace('~', '~0').replace('/', '~1')}"


def found_at(value: Any, path: str) -> Any:
    """What JSON has at a JSON Pointer; ``None`` where there is nothing."""
    for token in path.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def _walk(before: Any, after: Any, path: str) -> Iterator[FieldChange]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _walk_keys(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _walk_keys(dict(enumerate(before)), dict(enumerate(after)), path)
    elif type(before) is not type(after) or before != after:
        yield FieldChange(_op(before, after, path), path, before, after)


def _walk_keys(before: dict[Any, Any], after: dict[Any, Any], path: str) -> Iterator[FieldChange]:
    for key in [*before, *(key for key in after if key not in before)]:
        at = pointer(path, key)
        if key not in after:
            yield FieldChange("removed", at, before=before[key])
        elif key not in before:
            yield FieldChange("added", at, after=after[key])
        else:
            yield from _walk(before[key], after[key], at)


def _op(before: Any, after: Any, path: str) -> Op:
    if path == "" and before is None:
        return "added"
    if path == "" and after is None:
        return "removed"
    return "modified"


def _count(changes: tuple[FieldChange, ...]) -> str:
    counts = {op: sum(change.op == op for change in changes) for op in ("added", "modified", "removed")}
    return ", ".join(f"{n} {op}" for op, n in counts.items() if n) or "no changes"
