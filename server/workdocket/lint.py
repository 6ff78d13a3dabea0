"""What can be said about order types without running them. Errors are certain; notes are worth a look."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any, Literal

from pydantic import BaseModel

from workdocket.domain.diff import found_at, pointer
from workdocket.registry import TypeEntry, look
from workdocket.schema import KEYWORDS
from workdocket.wording import nearest

Level = Literal["error", "note"]
DEEPEST = 12


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing about an order type, and the ``file:line`` it is about."""

    level: Level
    code: str
    place: str
    message: str

    def as_dict(self) -> dict[str, Any]:
        file, _, line = self.place.rpartition(":")
        where = {"file": file, "line": int(line)} if line.isdecimal() else {"file": self.place, "line": None}
        return {"level": self.level, "code": self.code, **where, "message": self.message}


@dataclass(frozen=True, slots=True)
class Looked:
    """The names of the sound types, and all that was found."""

    types: Sequence[str]
    remarks: Sequence[Remark]

    @property
    def errors(self) -> int:
        return sum(remark.level == "error" for remark in self.remarks)

    def as_dict(self) -> dict[str, Any]:
        return {
            "types": list(self.types),
            "errors": self.errors,
            "notes": len(self.remarks) - self.errors,
            "remarks": [remark.as_dict() for remark in self.remarks],
        }


def check(specs: Sequence[str], *, entry_points: bool) -> Looked:
    """Look at every type that ``specs`` name and, with ``entry_points``, that installed packages announce."""
    entries, faults = look(specs, entry_points=entry_points)
    broken = [Remark("error", "broken_type", *_split(fault)) for fault in faults]
    found = [remark for entry in entries for remark in remarks(entry)]
    ordered = sorted(found, key=lambda remark: remark.level != "error")
    return Looked(sorted({entry.name for entry in entries}), [*broken, *ordered])


def remarks(entry: TypeEntry) -> Iterator[Remark]:
    """All that the rules have to say about one sound type."""
    for rule in RULES:
        yield from rule(entry)


def _split(fault: str) -> tuple[str, str]:
    """The place and the words of a registry's fault."""
    found = re.match(r"(.+?:\d+): (.*)", fault, re.S)
    return (found[1], found[2]) if found else (fault.partition(": ")[0], fault.partition(": ")[2] or fault)


# the rules


def _schemas(entry: TypeEntry) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "payload", entry.payload.json_schema
    yield "result", entry.result.json_schema
    for key, validator in entry.parts.items():
        if validator is not None:
            yield f"parts[{key!r}]", validator.json_schema


def _impossible(entry: TypeEntry) -> Iterator[Remark]:
    for where, schema in _schemas(entry):
        whole = {"allOf": [schema], "type": "object"} if where in ("payload", "result") else schema
        why = Impossible(schema).why(whole, "", 0)
        if why:
            text = f"{where}: nothing can fit this schema: {why}. Mend the schema."
            yield Remark("error", "impossible_schema", entry.origin, text)


def _mute_messages(entry: TypeEntry) -> Iterator[Remark]:
    """Words for faults that cannot be: of a keyword that there is not, or that is not beside them."""
    for where, schema in _schemas(entry):
        for at, inner in _walk(schema, ""):
            for keyword in inner.get("x-messages", {}):
                place = f"{where}: x-messages{f' at {at}' if at else ''} has words for {keyword!r}"
                if keyword not in KEYWORDS:
                    text = f"{place}, which is no keyword{nearest(keyword, KEYWORDS)}. Mend the name."
                    yield Remark("error", "unknown_keyword", entry.origin, text)
                elif keyword not in inner and keyword not in ("required", "additionalProperties"):
                    text = f"{place}, which is not beside it. Move it to the schema that has {keyword!r}."
                    yield Remark("note", "mute_message", entry.origin, text)


def _nothing_said(entry: TypeEntry) -> Iterator[Remark]:
    for member in ("title", "instructions"):
        if not getattr(entry.type, member).strip():
            text = f"{entry.name} has no {member}. {SAID[member]}"
            yield Remark("note", f"no_{member}", entry.origin, text)


SAID = {
    "title": "People and agents see it in lists.",
    "instructions": "Agents get them with each item: what to do, what a good result is, what never to do.",
}


def _parts_unnamed(entry: TypeEntry) -> Iterator[Remark]:
    said = entry.type.instructions
    for key, spec in entry.type.parts.items():
        if spec.required and said.strip() and not entry.has("required_parts") and key not in said:
            text = f"the part {key!r} is required, and instructions do not name it. Say when to send it."
            yield Remark("note", "part_not_named", entry.origin, text)


def _unseen_defaults(entry: TypeEntry) -> Iterator[Remark]:
    """Hooks get what was sent: a default of the model is not filled in."""
    for member in ("payload", "result"):
        schema: Any = getattr(entry.type, member)
        if not (inspect.isclass(schema) and issubclass(schema, BaseModel)):
            continue
        optional = {name for name, field in schema.model_fields.items() if not field.is_required()}
        for name, place in _subscripts(type(entry.type), OWNERS[member]):
            if name in optional:
                text = f"{member}[{name!r}] fails where {name} was not sent: its default is not filled in. Use .get()."
                yield Remark("note", "unseen_default", place, text)


OWNERS = {"payload": ("payload",), "result": ("result",)}


def _subscripts(cls: type, owners: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each constant key that the class reads of something called ``owners``, with its place."""
    try:
        lines, first = inspect.getsourcelines(cls)
        tree = ast.parse(dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return
    file = Path(inspect.getsourcefile(cls) or "")
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and isinstance(node.slice, ast.Constant):
            of = node.value
            name = of.attr if isinstance(of, ast.Attribute) else of.id if isinstance(of, ast.Name) else ""
            if name in owners:
                yield str(node.slice.value), f"{file}:{first + node.lineno - 1}"


RULES: tuple[Callable[[TypeEntry], Iterator[Remark]], ...] = (
    _impossible,
    _mute_messages,
    _nothing_said,
    _parts_unnamed,
    _unseen_defaults,
)


# schemas that nothing fits


@dataclass(frozen=True)
class Impossible:
    """Finds schemas that certainly nothing fits. What it cannot tell, it takes for possible."""

    root: Mapping[str, Any]

    def why(self, schema: Any, at: str, deep: int) -> str:
        """Why nothing fits, or nothing."""
        if schema is False:
            return f"false at {at or '/'}"
        if not isinstance(schema, Mapping) or deep > DEEPEST:
            return ""
        whole = self._whole(schema, deep)
        return next(filter(None, (test(self, whole, at, deep) for test in TESTS)), "")

    def _whole(self, schema: Mapping[str, Any], deep: int) -> list[Mapping[str, Any]]:
        """The schema and all that hold at the same time."""
        found = [schema]
        if deep > DEEPEST:
            return found
        for inner in schema.get("allOf", ()):
            found += self._whole(inner, deep + 1) if isinstance(inner, Mapping) else [{"enum": []}] * (inner is False)
        reference = str(schema.get("$ref", ""))
        target = found_at(self.root, reference.removeprefix("#")) if reference.startswith("#/") else None
        return found + (self._whole(target, deep + 1) if isinstance(target, Mapping) else [])

    def _kinds(self, whole: Sequence[Mapping[str, Any]], at: str, deep: int) -> str:
        named = [{one["type"]} if isinstance(one["type"], str) else set(one["type"]) for one in whole if "type" in one]
        widened = [kinds | ({"integer"} if "number" in kinds else set()) for kinds in named]
        if named and not set.intersection(*widened):
            return f"it has to be {' and '.join(sorted(' or '.join(sorted(kinds)) for kinds in named))} at {at or '/'}"
        return ""

    def _ranges(self, whole: Sequence[Mapping[str, Any]], at: str, deep: int) -> str:
        for low, high in RANGES:
            least = max((one[low] for one in whole if low in one), default=None)
            most = min((one[high] for one in whole if high in one), default=None)
            if least is not None and most is not None and least > most and _only(whole, RANGES[low, high]):
                return f"{low} is above {high} at {at or '/'}"
        return ""

    def _properties(self, whole: Sequence[Mapping[str, Any]], at: str, deep: int) -> str:
        if not _only(whole, {"object"}):
            return ""
        for name in dict.fromkeys(name for one in whole for name in one.get("required", ())):
            for one in whole:
                closed = one.get("additionalProperties") is False and "patternProperties" not in one
                if closed and name not in one.get("properties", {}):
                    return f"{name!r} is required, and not allowed, at {at or '/'}"
                why = self.why(one.get("properties", {}).get(name), pointer(at, name), deep + 1)
                if why:
                    return why
        return ""

    def _choices(self, whole: Sequence[Mapping[str, Any]], at: str, deep: int) -> str:
        kinds = [{"type": one["type"]} for one in whole if "type" in one]
        for one in whole:
            if one.get("enum") == []:
                return f"there is nothing to choose from at {at or '/'}"
            for keyword in ("anyOf", "oneOf"):
                branches = one.get(keyword)
                if branches and all(self.why({"allOf": [branch, *kinds]}, at, deep + 1) for branch in branches):
                    return f"no branch of {keyword} can be fitted at {at or '/'}"
            if one.get("not") in (True, {}):
                return f"not anything at {at or '/'}"
        given = [one["enum"] if "enum" in one else [one["const"]] for one in whole if "enum" in one or "const" in one]
        if given and _only(whole, {"object"}) and not any(isinstance(value, dict) for value in given[0]):
            return f"it has to be an object, and one of {given[0]!r:.80}, at {at or '/'}"
        return ""


TESTS = (Impossible._kinds, Impossible._ranges, Impossible._properties, Impossible._choices)
RANGES: Mapping[tuple[str, str], set[str]] = {
    ("minimum", "maximum"): {"number", "integer"},
    ("minLength", "maxLength"): {"string"},
    ("minItems", "maxItems"): {"array"},
    ("minProperties", "maxProperties"): {"object"},
}


def _only(whole: Sequence[Mapping[str, Any]], kinds: set[str]) -> bool:
    """Whether the value is certainly of one of these kinds."""
    named = ([one["type"]] if isinstance(one["type"], str) else one["type"] for one in whole if "type" in one)
    return any(set(names) <= kinds for names in named)


def _walk(schema: Any, at: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(schema, Mapping):
        yield at, schema
    if isinstance(schema, Mapping | list):
        for key, inner in schema.items() if isinstance(schema, Mapping) else enumerate(schema):
            if key not in ("x-messages", "enum", "const", "default", "examples"):
                yield from _walk(inner, pointer(at, key))
