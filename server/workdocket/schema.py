"""JSON Schema for order types: compiled once, asked fast, answered with findings.

Two engines: ``jsonschema_rs`` says whether a value fits; ``jsonschema`` says what is wrong with one that does not, and
is led past the many list entries and properties that fit.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from typing import Any
from urllib.parse import unquote

import jsonschema_rs
import pydantic
from jsonschema import Draft202012Validator, FormatChecker, ValidationError, exceptions, validators
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import to_json
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from workdocket.domain.diff import pointer
from workdocket.domain.errors import Finding
from workdocket.order_type import Schema

Faults = Iterator[ValidationError]
Rule = Callable[[Any, Any, Any, Any], Iterable[ValidationError] | None]
Fast = Mapping[int, jsonschema_rs.Validator]
"""The fast engine of each schema inside a schema, by the identity of the inner one."""

UnevaluatedProperties = jsonschema_rs.ValidationErrorKind.UnevaluatedProperties

DIALECT = "https://json-schema.org/draft/2020-12/schema"
LONGEST_VALUE, LONGEST_MESSAGE, FAULTS_PER_BRANCH, DEEPEST = 100, 600, 200, 50

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
SAME_PLACE = {"allOf", "anyOf", "dependentSchemas", "else", "if", "not", "oneOf", "then"}
ABOUT_A_PROPERTY = {"required", "dependentRequired", "additionalProperties", "unevaluatedProperties"}

FORMAT_NAMES = (
    "date date-time duration email hostname idn-email idn-hostname ipv4 ipv6 iri iri-reference json-pointer regex"
    " relative-json-pointer time uri uri-reference uri-template uuid"
)


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
        places, self._recursive = _checked(self.json_schema, where)
        compiled = _compiled(self.json_schema)
        fast = {id(inner): compiled[at] for at, inner in places if at in compiled}
        rules = {keyword: _voiced(keyword, rule) for keyword, rule in _rules(fast).items()}
        engine = validators.extend(Draft202012Validator, rules)  # type: ignore[no-untyped-call]
        self._thorough = engine(self.json_schema, registry=Registry(), format_checker=FORMATS)
        self._fast = compiled.get("", self._thorough)

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


def nearest(name: str, known: Iterable[str]) -> str:
    """A question to append to a message, or nothing: ``; did you mean 'minimum'?``."""
    close = get_close_matches(name[:LONGEST_VALUE], known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


class _Untitled(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


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
    try:
        Draft202012Validator.check_schema(schema)
    except exceptions.SchemaError as error:
        raise SchemaError(where, _path(error.absolute_path), _told(error)) from error
    places = list(_walk(schema, ""))
    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
    for at, inner in places:
        for keyword, message in [*_strange(inner, at), *_unresolved(inner, resolver)]:
            raise SchemaError(where, pointer(at, keyword), message)
    if _cyclic(places, resolver, SAME_PLACE):
        raise SchemaError(where, "", "The schema refers to itself without end")
    return places, _cyclic(places, resolver, KEYWORDS - {"$defs", "definitions"})


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


def _cyclic(places: Iterable[tuple[str, dict[str, Any]]], resolver: Any, through: Collection[str]) -> bool:
    graph = {
        id(schema): [
            *(id(inner) for keyword, _, inner in _inner(schema) if keyword in through),
            *(id(resolver.lookup(schema[keyword]).contents) for keyword in REFERENCES & schema.keys()),
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


def _unresolved(schema: dict[str, Any], resolver: Any) -> Iterator[tuple[str, str]]:
    for keyword in REFERENCES & schema.keys():
        reference = schema[keyword]
        try:
            resolver.lookup(reference)
        except Unresolvable:
            local = reference.startswith("#")
            yield keyword, f"{reference!r} " + ("points nowhere" if local else "is not fetched; move it under $defs")


def _compiled(schema: dict[str, Any]) -> dict[str, jsonschema_rs.Validator]:
    """The fast engine by place, but for places beyond it: it knows fewer regular expressions."""
    engines = jsonschema_rs.validator_map_for(schema, validate_formats=True, offline=True)
    places = engines.keys()
    return {unquote(place).removeprefix("#"): engines[place] for place in places}


def _format_checker() -> FormatChecker:
    """The formats as the fast engine knows them, so that both engines say the same."""
    checker = FormatChecker(formats=())
    for name in FORMAT_NAMES.split():
        checker.checks(name)(jsonschema_rs.Draft202012Validator({"format": name}, validate_formats=True).is_valid)
    return checker


FORMATS = _format_checker()


def _rules(fast: Fast) -> Mapping[str, Rule]:
    own: dict[str, Rule] = {
        "required": _required,
        "dependentRequired": _dependent_required,
        "properties": _properties,
        "propertyNames": _property_names,
        "additionalProperties": _additional_properties(fast),
        "unevaluatedProperties": _unevaluated_properties(fast),
        "items": _items(fast),
        "contains": _contains(fast),
        "unevaluatedItems": _unevaluated_items,
        "uniqueItems": _unique_items,
        "pattern": _pattern,
        "anyOf": _alternatives(most=None),
        "oneOf": _alternatives(most=1),
    }
    return {**Draft202012Validator.VALIDATORS, **own}


def _voiced(keyword: str, rule: Rule) -> Rule:
    """``rule``, speaking with the words that ``x-messages`` beside it has for a fault in the same place."""

    def check(engine: Any, operand: Any, value: Any, schema: Any) -> Faults:
        messages = schema.get("x-messages", {})
        for error in rule(engine, operand, value, schema) or ():
            inner = error.validator if isinstance(error.validator, str) else None
            if inner is None or len(error.path) == (inner in ABOUT_A_PROPERTY):
                error.message = messages.get(inner or keyword, error.message)
            yield error

    return check


def _required(engine: Any, names: Sequence[str], value: Any, schema: Any) -> Faults:
    for name in names if isinstance(value, dict) else ():
        if name not in value:
            yield _fault(f"{_brief(name)} is a required property", name)


def _dependent_required(engine: Any, needs: Mapping[str, Sequence[str]], value: Any, schema: Any) -> Faults:
    for name in needs.keys() & value.keys() if isinstance(value, dict) else ():
        for needed in needs[name]:
            if needed not in value:
                yield _fault(f"{_brief(needed)} is required where {_brief(name)} is given", needed)


def _properties(engine: Any, properties: Mapping[str, Any], value: Any, schema: Any) -> Faults:
    for name in properties if isinstance(value, dict) else ():
        if name in value:
            yield from _inside(engine, value[name], properties[name], name)


def _property_names(engine: Any, names: Any, value: Any, schema: Any) -> Faults:
    for name in value if isinstance(value, dict) else ():
        yield from _inside(engine, name, names, name)


def _additional_properties(fast: Fast) -> Rule:
    def check(engine: Any, extra: Any, value: Any, schema: Any) -> Faults:
        known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        fits = _fits(fast, extra)
        for name in value if isinstance(value, dict) else ():
            if name in known or any(re.search(pattern, name) for pattern in patterns):
                continue
            if extra is False:
                yield _unwanted(name, known)
            elif not fits(value[name]):
                yield from _inside(engine, value[name], extra, name)

    return check


def _unevaluated_properties(fast: Fast) -> Rule:
    def check(engine: Any, extra: Any, value: Any, schema: Any) -> Faults:
        if id(schema) not in fast:
            yield from Draft202012Validator.VALIDATORS["unevaluatedProperties"](engine, extra, value, schema)
            return
        for error in fast[id(schema)].iter_errors(value):
            if isinstance(error.kind, UnevaluatedProperties) and not error.instance_path:
                yield from (_unwanted(name, schema.get("properties", {})) for name in error.kind.unexpected)

    return check


def _items(fast: Fast) -> Rule:
    def check(engine: Any, items: Any, value: Any, schema: Any) -> Faults:
        fits = _fits(fast, items)
        first = len(schema.get("prefixItems", ()))
        for index in range(first, len(value)) if isinstance(value, list) else ():
            if not fits(value[index]):
                yield from _inside(engine, value[index], items, index)

    return check


def _contains(fast: Fast) -> Rule:
    def check(engine: Any, wanted: Any, value: Any, schema: Any) -> Faults:
        if not isinstance(value, list):
            return
        fits = fast[id(wanted)].is_valid if id(wanted) in fast else engine.evolve(schema=wanted).is_valid
        matches = sum(map(fits, value))
        least, most = schema.get("minContains", 1), schema.get("maxContains", len(value))
        if not least <= matches <= most:
            yield _fault(f"{matches} entries match what the list must contain, instead of {least} to {most}")

    return check


def _unevaluated_items(engine: Any, extra: Any, value: Any, schema: Any) -> Faults:
    for error in Draft202012Validator.VALIDATORS["unevaluatedItems"](engine, extra, value, schema):
        error.message = "Entries beyond the described ones are not allowed"
        yield error


def _pattern(engine: Any, pattern: str, value: Any, schema: Any) -> Faults:
    if not _matcher(pattern)(value):
        yield _fault(f"{value!r} does not match {pattern!r}")


@lru_cache(maxsize=1024)
def _matcher(pattern: str) -> Callable[[Any], bool]:
    try:
        return jsonschema_rs.Draft202012Validator({"pattern": pattern}).is_valid
    except jsonschema_rs.ValidationError:
        return lambda value: not isinstance(value, str) or re.search(pattern, value) is not None


def _unique_items(engine: Any, unique: bool, value: Any, schema: Any) -> Faults:
    if unique and not DISTINCT.is_valid(value):
        yield _fault(f"{value!r} has non-unique elements")


DISTINCT = jsonschema_rs.Draft202012Validator({"uniqueItems": True})


def _alternatives(most: int | None) -> Rule:
    """anyOf and oneOf: the faults of the branch that was meant, where that is plain; else one fault for all."""

    def check(engine: Any, branches: Any, value: Any, schema: Any) -> Faults:
        faults = [list(islice(engine.descend(value, branch), FAULTS_PER_BRANCH)) for branch in branches]
        passed = faults.count([])
        discriminator = schema.get("discriminator", {})
        if not passed:
            meant = _meant(branches, faults, discriminator.get("propertyName"))
            yield from meant or [_no_branch(value, discriminator)]
        elif most and passed > most:
            yield _fault(f"{value!r} is valid under more than one of the given schemas")

    return check


def _no_branch(value: Any, discriminator: Mapping[str, Any]) -> ValidationError:
    if isinstance(value, dict) and "mapping" in discriminator:
        tag = discriminator["propertyName"]
        return _fault(f"{tag!r} must be one of {list(discriminator['mapping'])}", tag)
    return _fault(f"{value!r} is not valid under any of the given schemas")


def _meant(branches: Sequence[Any], faults: Sequence[list[ValidationError]], tag: str | None) -> list[ValidationError]:
    def of_another_kind(fault: ValidationError) -> bool:
        if not fault.path:
            return fault.validator == "type"
        return len(fault.path) == 1 and (fault.validator == "const" or fault.path[0] == tag)

    candidates = [found for branch, found in zip(branches, faults, strict=True) if branch != {"type": "null"}]
    if len(candidates) > 1:
        candidates = [found for found in candidates if not any(map(of_another_kind, found))]
    return candidates[0] if len(candidates) == 1 else []


def _inside(engine: Any, value: Any, schema: Any, key: str | int) -> Faults:
    if schema is False:
        yield ValidationError("Nothing is allowed here", validator="false", path=[key])
    else:
        yield from engine.descend(value, schema, path=key)


def _fits(fast: Fast, schema: Any) -> Callable[[Any], bool]:
    return fast[id(schema)].is_valid if id(schema) in fast else lambda value: False


def _fault(message: str, *path: str) -> ValidationError:
    return ValidationError(message, path=path)


def _unwanted(name: str, known: Collection[str]) -> ValidationError:
    return _fault(f"{_brief(name)} is not an allowed property{nearest(name, known)}", name)


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
    return _cut(error.message.replace(repr(error.instance), _brief(error.instance)))


def _cut(message: str) -> str:
    return message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}…"


_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = LONGEST_VALUE


def _brief(value: Any) -> str:
    shown = _BRIEF.repr(value)
    return shown if len(shown) <= LONGEST_VALUE else f"{shown[:LONGEST_VALUE]}…"
