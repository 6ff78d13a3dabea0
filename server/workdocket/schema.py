"""JSON Schema for order types: compiled once, asked fast, answered with findings.

Two engines: ``jsonschema_rs`` says whether a value fits; ``jsonschema`` says what is wrong with one that does not, and
is led past the many list entries and properties that fit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import jsonschema_rs
import pydantic
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import to_json

from workdocket.domain.diff import pointer
from workdocket.domain.errors import Finding
from workdocket.order_type import Schema
from workdocket.wording import LONGEST_VALUE, brief, nearest

if TYPE_CHECKING:
    from jsonschema import ValidationError, exceptions

DIALECT = "https://json-schema.org/draft/2020-12/schema"
LONGEST_MESSAGE, DEEPEST = 600, 50

ONE = {
    "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not", "propertyNames", "then",
    "unevaluatedItems", "unevaluatedProperties",
}  # fmt: skip
LISTS = {"allOf", "anyOf", "oneOf", "prefixItems"}
MAPS = {"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"}
PLAIN = {
    "$anchor", "$comment", "$dynamicAnchor", "$dynamicRef", "$id", "$ref", "$schema", "$vocabulary", "const",
    "contentEncoding", "contentMediaType", "default", "dependentRequired", "deprecated", "description",
    "discriminator", "enum", "examples", "exclusiveMaximum", "exclusiveMinimum", "format", "maxContains", "maxItems",
    "maxLength", "maxProperties", "maximum", "minContains", "minItems", "minLength", "minProperties", "minimum",
    "multipleOf", "pattern", "readOnly", "required", "title", "type", "uniqueItems", "writeOnly",
}  # fmt: skip
KEYWORDS = ONE | LISTS | MAPS | PLAIN
REFERENCES = {"$ref", "$dynamicRef"}
DEFINED = re.compile(r"#/(\$defs|definitions)/(\w+)", re.ASCII)
SAME_PLACE = {"allOf", "anyOf", "dependentSchemas", "else", "if", "not", "oneOf", "then"}


class SchemaError(Exception):
    """A schema that cannot be used: whose it is, where in it the fault lies, and what the fault is."""

    def __init__(self, where: str, pointer: str, message: str) -> None:
        super().__init__(f"{where}: {message}" + (f" (at {pointer})" if pointer else ""))
        self.where = where
        self.pointer = pointer
        self.message = message


class Validator:
    """A schema ready for use. ``json_schema`` is what agents are shown; a schema of ``None`` takes any object."""

    def __init__(self, schema: Schema | None, where: str) -> None:
        self.json_schema = _as_json(schema, where)
        self._model = schema if isinstance(schema, type) else None
        self._places, self._recursive = _checked(self.json_schema, where)
        self._fast = _compiled(self.json_schema) or self._thorough

    @cached_property
    def _thorough(self) -> Any:
        from workdocket.keyword import thorough  # with jsonschema, which is slow to import

        compiled = _compiled_by_place(self.json_schema)
        return thorough(self.json_schema, {id(inner): compiled[at] for at, inner in self._places if at in compiled})

    def findings(self, value: Any, *, limit: int = 100) -> list[Finding]:
        """All that is wrong with ``value``, by path. Past ``limit``, one last finding says ``more``."""
        try:
            if self._fast.is_valid(value):
                return _limited(self._model_faults(value), limit)
            if self._recursive and _deeper(value, DEEPEST):
                return self._unexplained(value)
            return self._faults(value, limit) or self._unexplained(value)
        except ValueError as error:
            return [Finding("json", "", _cut(f"This cannot be checked: {error}"))]

    def _faults(self, value: Any, limit: int) -> list[Finding]:
        enough = 2 * limit + 1
        errors = list(islice(self._thorough.iter_errors(value), enough))
        return _limited(_one_per_mistyped_field(errors), limit, complete=len(errors) < enough)

    def _unexplained(self, value: Any) -> list[Finding]:
        """One fault in the words of the fast engine, for what the other has no words for or no stack to look into."""
        error = next(self._fast.iter_errors(value))
        return [Finding(error.kind.name, _path(error.instance_path), _cut(error.message))]

    def _model_faults(self, value: Any) -> list[Finding]:
        if self._model is None:
            return []
        try:
            self._model.model_validate_json(to_json(value))
        except pydantic.ValidationError as error:
            faults = error.errors(include_url=False, include_context=False, include_input=False)
            return [
                Finding(f["type"], _path(_within(value, f["loc"])), _cut(f["msg"].removeprefix("Value error, ")))
                for f in faults
            ]
        return []


class _Untitled(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


ANNOTATIONS = frozenset(
    {"title", "description", "examples", "default", "deprecated", "readOnly", "writeOnly", "$comment"}
)
NAMED = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})
"""Keywords whose members are named by whoever writes the schema."""


def meaning(schema: Any) -> Any:
    """A JSON Schema without what makes no difference to what it takes: words, examples, messages."""
    if isinstance(schema, list):
        return [meaning(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    said = {key: value for key, value in schema.items() if key not in ANNOTATIONS and not key.startswith("x-")}
    return {key: _meant(key, value) for key, value in said.items()}


def _meant(keyword: str, value: Any) -> Any:
    if keyword in ("enum", "const"):
        return value
    if keyword in NAMED and isinstance(value, dict):
        return {name: meaning(inner) for name, inner in value.items()}
    return meaning(value)


def _as_json(schema: Schema | None, where: str) -> dict[str, Any]:
    try:
        if schema is None:
            return {"type": "object"}
        if isinstance(schema, type) and issubclass(schema, pydantic.BaseModel):
            return schema.model_json_schema(schema_generator=_Untitled)
        if isinstance(schema, Mapping):
            return dict(json.loads(json.dumps(dict(schema), allow_nan=False)))
    except (TypeError, ValueError, pydantic.errors.PydanticUserError) as error:
        raise SchemaError(where, "", f"No JSON Schema can be made of it: {error}") from error
    raise SchemaError(where, "", "A schema is a pydantic model class or a JSON Schema object")


def _checked(schema: dict[str, Any], where: str) -> tuple[list[tuple[str, dict[str, Any]]], bool]:
    """Every schema inside ``schema`` with its place, and whether one of them contains itself."""
    if str(schema.get("$schema", DIALECT)).rstrip("#") != DIALECT:
        raise SchemaError(where, "/$schema", f"Only {DIALECT} is understood")
    if not _plainly_sound(schema):
        _check_thoroughly(schema, where)
    places = list(_walk(schema, ""))
    targets = Targets(schema)
    for at, inner in places:
        for keyword, message in [*_strange(inner, at), *_unresolved(inner, targets)]:
            raise SchemaError(where, pointer(at, keyword), message)
    if _cyclic(places, targets, SAME_PLACE):
        raise SchemaError(where, "", "The schema refers to itself without end")
    return places, _cyclic(places, targets, KEYWORDS - {"$defs", "definitions"})


def _plainly_sound(schema: dict[str, Any]) -> bool:
    """Whether the fast engine takes it for a schema, and Python every pattern in it."""
    try:
        if not jsonschema_rs.meta.is_valid(schema):
            return False
        for _, inner in _walk(schema, ""):
            for pattern in [*inner.get("patternProperties", ()), *([inner["pattern"]] if "pattern" in inner else ())]:
                re.compile(pattern)
    except (ValueError, jsonschema_rs.ReferencingError, re.error):
        return False
    return True


def _check_thoroughly(schema: dict[str, Any], where: str) -> None:
    from jsonschema import Draft202012Validator, exceptions

    try:
        Draft202012Validator.check_schema(schema)
    except exceptions.SchemaError as error:
        raise SchemaError(where, _path(error.absolute_path), _told(error)) from error


class Targets:
    """What the references in a schema point at. The usual ones are followed here, the others by ``referencing``, which
    is slow to import."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema

    @cached_property
    def _resolver(self) -> Any:
        from referencing import Registry
        from referencing.jsonschema import DRAFT202012

        return Registry().resolver_with_root(DRAFT202012.create_resource(self._schema))

    def of(self, reference: str) -> Any:
        """The schema; raises ``LookupError`` where there is none."""
        if found := DEFINED.fullmatch(reference):
            return self._schema[found[1]][found[2]]
        from referencing.exceptions import Unresolvable

        try:
            return self._resolver.lookup(reference).contents
        except Unresolvable as error:
            raise LookupError(reference) from error


def _inner(schema: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """The schemas right inside a schema: keyword, place, schema."""
    for keyword, value in schema.items():
        place = pointer("", keyword)
        if keyword in ONE:
            yield keyword, place, value
        elif keyword in LISTS | MAPS:
            for key, inner in value.items() if keyword in MAPS else enumerate(value):
                yield keyword, pointer(place, key), inner


def _walk(schema: Any, at: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        yield at, schema
        for _, place, inner in _inner(schema):
            yield from _walk(inner, at + place)


def _cyclic(places: Iterable[tuple[str, dict[str, Any]]], targets: Targets, through: Collection[str]) -> bool:
    graph = {
        id(schema): [
            *(id(inner) for keyword, _, inner in _inner(schema) if keyword in through),
            *(id(targets.of(schema[keyword])) for keyword in REFERENCES & schema.keys()),
        ]
        for _, schema in places
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError:
        return True
    return False


def _strange(schema: dict[str, Any], at: str) -> Iterator[tuple[str, str]]:
    for keyword in schema:
        if keyword not in KEYWORDS and not keyword.startswith("x-"):
            yield keyword, f"Unknown keyword {keyword!r}{nearest(keyword, KEYWORDS)}"
    if at and "$id" in schema:
        yield "$id", "Only the whole schema may have an $id; name a part of it with $anchor or $defs"
    messages = schema.get("x-messages", {})
    if not isinstance(messages, dict) or not all(isinstance(text, str) for text in messages.values()):
        yield "x-messages", "x-messages is an object of keywords and texts"


def _unresolved(schema: dict[str, Any], targets: Targets) -> Iterator[tuple[str, str]]:
    for keyword in REFERENCES & schema.keys():
        reference = schema[keyword]
        try:
            targets.of(reference)
        except LookupError:
            local = reference.startswith("#")
            yield keyword, f"{reference!r} " + ("points nowhere" if local else "is not fetched; move it under $defs")


def _compiled(schema: dict[str, Any]) -> jsonschema_rs.Validator | None:
    """The fast engine, if the schema is not beyond it: it knows fewer regular expressions."""
    try:
        return jsonschema_rs.Draft202012Validator(schema, validate_formats=True, offline=True)
    except ValueError:
        return None


def _compiled_by_place(schema: dict[str, Any]) -> dict[str, jsonschema_rs.Validator]:
    """The fast engine of every schema inside a schema that is not beyond it."""
    engines = jsonschema_rs.validator_map_for(schema, validate_formats=True, offline=True)
    places = engines.keys()
    return {unquote(place).removeprefix("#"): engines[place] for place in places}


def _one_per_mistyped_field(errors: Sequence[ValidationError]) -> list[Finding]:
    mistyped = {tuple(error.path) for error in errors if error.validator == "type"}
    kept = (error for error in errors if error.validator == "type" or tuple(error.path) not in mistyped)
    ordered = sorted(kept, key=lambda error: [(isinstance(key, str), key) for key in error.path])
    return list(dict.fromkeys(Finding(str(e.validator or "false"), _path(e.path), _told(e)) for e in ordered))


def _limited(findings: list[Finding], limit: int, *, complete: bool = True) -> list[Finding]:
    if len(findings) <= limit and complete:
        return findings
    left = f"{len(findings) - limit} more" if complete else "There are more; mend these first"
    return [*findings[:limit], Finding("more", "", left)]


def _path(keys: Iterable[str | int]) -> str:
    at = ""
    for key in keys:
        known = isinstance(key, int) or len(key) <= LONGEST_VALUE
        at = pointer(at, key if known else f"{str(key)[:LONGEST_VALUE]}…")
    return at


def _within(value: Any, location: Iterable[str | int]) -> Iterator[str | int]:
    """The keys of ``location`` that are really in ``value``: pydantic adds the names of union members."""
    for key in location:
        inside = dict(enumerate(value)) if isinstance(value, list) else value
        if isinstance(inside, dict) and key in inside:
            value = inside[key]
            yield key


def _deeper(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(layer)


def _told(error: ValidationError | exceptions.SchemaError) -> str:
    if len(error.message) <= LONGEST_VALUE:
        return error.message
    return _cut(error.message.replace(repr(error.instance), brief(error.instance)))


def _cut(message: str) -> str:
    return message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}…"
